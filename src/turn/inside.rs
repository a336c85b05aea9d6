//! How this machine reaches its own media ports, whatever address clients know them by.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How many addresses of the loopback network are used beside 127.0.0.1.
const MAX_HOSTS: u8 = 250;

/// Pairs each media address that clients are told with the one that it is reached by from within: on the loopback interface,
/// since an announced address may be somebody else's who translates it. Each IPv4 host has an address of its own there where
/// the system has a whole network of them, so that answers come back by the address that was asked.
pub(crate) fn inside(
    media: impl IntoIterator<Item = SocketAddr>,
) -> impl Iterator<Item = (SocketAddr, SocketAddr)> {
    let mut hosts: HashMap<Ipv4Addr, Ipv4Addr> = HashMap::new();
    let mut others = 0;
    media.into_iter().map(move |address| {
        let host: IpAddr = match address.ip() {
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            IpAddr::V4(ip) => {
                let host = hosts.entry(ip).or_insert_with(|| {
                    let has_network = cfg!(any(target_os = "linux", target_os = "windows"));
                    if ip.is_loopback() || !has_network || others == MAX_HOSTS {
                        return Ipv4Addr::LOCALHOST;
                    }
                    others += 1;
                    Ipv4Addr::new(127, 0, 0, 1 + others)
                });
                (*host).into()
            }
        };
        (address, SocketAddr::new(host, address.port()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn each_host_is_told_apart() {
        let media = [
            "203.0.113.5:7880",
            "203.0.113.5:7881",
            "[2001:db8::5]:7880",
            "198.51.100.5:7880",
            "127.0.0.1:7880",
            "[::1]:7881",
        ];
        let media = media.map(|text| text.parse().unwrap());
        let inner: Vec<String> = inside(media).map(|(_, inner)| inner.to_string()).collect();
        assert_eq!(
            inner,
            [
                "127.0.0.2:7880",
                "127.0.0.2:7881",
                "[::1]:7880",
                "127.0.0.3:7880",
                "127.0.0.1:7880",
                "[::1]:7881"
            ]
        );
    }
}
