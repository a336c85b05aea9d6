//! Under which addresses clients are told to reach a shard.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::transport::Endpoint;

/// The candidates of one shard, best first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardAddress {
    /// For a client on this machine: loopback first, since a laptop may have nothing else.
    pub local_candidates: Vec<Endpoint>,
    /// For everybody else.
    pub candidates: Vec<Endpoint>,
}

/// The ports by which one shard is reached.
#[derive(Clone, Copy, Debug)]
pub struct ShardPorts<'a> {
    /// Its UDP port, on every address.
    pub udp: u16,
    /// Whether that speaks IPv6.
    pub ipv6: bool,
    /// Where TCP connections for media are let in.
    pub tcp: &'a [SocketAddr],
}

/// The candidates of a shard. `announce` replaces this machine's own addresses.
pub fn shard_addresses(ports: ShardPorts<'_>, announce: &[IpAddr]) -> ShardAddress {
    let own: Vec<IpAddr> = if announce.is_empty() {
        interface_addresses()
    } else {
        announce.to_vec()
    };
    let is_told = |ip: &IpAddr| !announce.is_empty() || !ip.is_loopback();
    let others: Vec<IpAddr> = own.into_iter().filter(is_told).collect();
    let usable = |ip: &&IpAddr| ports.ipv6 || ip.is_ipv4();
    let candidates = ports.candidates(others.iter().filter(usable), !announce.is_empty());
    let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let everywhere = loopback
        .iter()
        .chain(others.iter().filter(|ip| !loopback.contains(ip)));
    let local_candidates = ports.candidates(everywhere.filter(usable), !announce.is_empty());
    ShardAddress {
        // A server that is reached through loopback alone has nothing else to offer to anybody.
        candidates: if candidates.is_empty() {
            local_candidates.clone()
        } else {
            candidates
        },
        local_candidates,
    }
}

impl ShardPorts<'_> {
    /// UDP on all of these addresses, then TCP on those where it is let in.
    fn candidates<'a>(
        &self,
        ips: impl Iterator<Item = &'a IpAddr> + Clone,
        announced: bool,
    ) -> Vec<Endpoint> {
        let udp = ips
            .clone()
            .map(|ip| Endpoint::udp(SocketAddr::new(*ip, self.udp)));
        let tcp = self.tcp.iter().flat_map(|door| {
            let leads = move |ip: &&IpAddr| leads_to(door.ip(), **ip, announced);
            let ips = ips.clone().filter(leads);
            ips.map(|ip| Endpoint::tcp(SocketAddr::new(*ip, door.port())))
        });
        let mut candidates = Vec::new();
        for candidate in udp.chain(tcp) {
            if browsers_take(candidate.address) && !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
        candidates
    }
}

/// Chromium takes no port below 1024 but 80 and 443, and those only at public addresses; a description with another makes
/// it forget all candidates (libwebrtc, `VerifyCandidates`).
fn browsers_take(address: SocketAddr) -> bool {
    let is_private = match address.ip() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let is_shared = a == 100 && b & 0xc0 == 64;
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || is_shared
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local(),
    };
    match address.port() {
        80 | 443 => !is_private,
        port => port == 0 || port >= 1024,
    }
}

/// Whether who connects to `ip` comes to a port that was opened on `door`. Announced addresses are translated on the way,
/// to any but loopback.
fn leads_to(door: IpAddr, ip: IpAddr, announced: bool) -> bool {
    if door.is_unspecified() {
        // One of IPv6 takes IPv4 too.
        return door.is_ipv6() || ip.is_ipv4();
    }
    door == ip
        || announced && !ip.is_loopback() && !door.is_loopback() && door.is_ipv4() == ip.is_ipv4()
}

/// This machine's addresses, IPv4 before IPv6, without link-local ones: those need a zone, which
/// candidates cannot carry.
fn interface_addresses() -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = match if_addrs::get_if_addrs() {
        Ok(interfaces) => interfaces
            .into_iter()
            .map(|interface| interface.ip())
            .filter(|ip| match ip {
                IpAddr::V4(ip) => !ip.is_link_local(),
                IpAddr::V6(ip) => !ip.is_unicast_link_local(),
            })
            .collect(),
        Err(error) => {
            tracing::warn!(
                "the addresses of this machine cannot be read ({error}): use --announce"
            );
            Vec::new()
        }
    };
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Protocol;

    fn texts(candidates: &[Endpoint]) -> Vec<String> {
        let text = |candidate: &Endpoint| format!("{:?} {}", candidate.protocol, candidate.address);
        candidates.iter().map(text).collect()
    }

    fn ports(tcp: &[SocketAddr], ipv6: bool) -> ShardPorts<'_> {
        ShardPorts {
            udp: 7880,
            ipv6,
            tcp,
        }
    }

    #[test]
    fn announced_addresses_replace_the_machines_own() {
        let announce = [
            "203.0.113.5".parse().unwrap(),
            "2001:db8::5".parse().unwrap(),
        ];
        let doors = ["[::]:443".parse().unwrap()];
        let address = shard_addresses(ports(&doors, true), &announce);
        let expected = [
            "Udp 203.0.113.5:7880",
            "Udp [2001:db8::5]:7880",
            "Tcp 203.0.113.5:443",
            "Tcp [2001:db8::5]:443",
        ];
        assert_eq!(texts(&address.candidates), expected);
        let local = texts(&address.local_candidates);
        assert_eq!(local[0], "Udp 127.0.0.1:7880");
        assert_eq!(
            local[4], "Tcp 203.0.113.5:443",
            "a port of its own at home is refused"
        );
        assert_eq!(local.len(), 6);
    }

    #[test]
    fn without_ipv6_no_candidate_speaks_it() {
        let announce = ["2001:db8::5".parse().unwrap()];
        let address = shard_addresses(ports(&[], false), &announce);
        assert!(address.candidates.iter().all(|one| one.address.is_ipv4()));
        assert!(!address.candidates.is_empty());
    }

    #[test]
    fn low_ports_are_told_where_browsers_take_them() {
        for (address, taken) in [
            ("203.0.113.5:443", true),
            ("203.0.113.5:80", true),
            ("203.0.113.5:1023", false),
            ("10.0.0.5:443", false),
            ("100.64.0.1:443", false),
            ("127.0.0.1:443", false),
            ("[fd00::1]:443", false),
            ("[2001:db8::1]:443", true),
            ("10.0.0.5:1024", true),
        ] {
            assert_eq!(browsers_take(address.parse().unwrap()), taken, "{address}");
        }
    }

    #[test]
    fn tcp_is_told_where_it_is_let_in() {
        let announce = ["203.0.113.5".parse().unwrap()];
        for (door, others, local) in [
            ("127.0.0.1:8080", 0, 1),
            ("0.0.0.0:8080", 1, 2),
            ("10.0.0.7:8080", 1, 1),
            ("[::1]:8080", 0, 1),
            ("[2001:db8::5]:8080", 0, 0),
        ] {
            let doors = [door.parse().unwrap()];
            let address = shard_addresses(ports(&doors, true), &announce);
            let count = |candidates: &[Endpoint]| {
                let tcp = candidates
                    .iter()
                    .filter(|one| one.protocol == Protocol::Tcp);
                tcp.count()
            };
            assert_eq!(count(&address.candidates), others, "{door}");
            assert_eq!(count(&address.local_candidates), local, "{door}");
        }
    }
}
