//! To whom something may be relayed.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

/// To whom something may be relayed: always to this server's own media addresses, to others where that is wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers {
    /// Media addresses as clients are told them, and where the same shard is reached from within this machine.
    own: HashMap<SocketAddr, SocketAddr>,
    /// Their IP addresses.
    hosts: HashSet<IpAddr>,
    /// All addresses of this machine.
    machine: HashSet<IpAddr>,
    public: bool,
    networks: Vec<IpNet>,
}

/// Which others than this server's own media addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TurnPeers {
    /// Whatever is on the Internet: all unicast addresses but those of this machine and those that are local, private,
    /// shared, or for special use.
    pub public: bool,
    /// What is in these networks, whatever they are.
    pub networks: Vec<IpNet>,
}

impl TurnPeers {
    /// Whether there is anybody but this server.
    pub fn is_open(&self) -> bool {
        self.public || !self.networks.is_empty()
    }
}

impl Peers {
    /// `own` has the media addresses that clients are told, with those by which this machine reaches them itself; `machine`
    /// all its addresses.
    pub(crate) fn new(
        own: impl IntoIterator<Item = (SocketAddr, SocketAddr)>,
        machine: impl IntoIterator<Item = IpAddr>,
        others: &TurnPeers,
    ) -> Self {
        let own: HashMap<_, _> = own.into_iter().collect();
        Self {
            hosts: own.keys().map(SocketAddr::ip).collect(),
            own,
            machine: machine.into_iter().collect(),
            public: others.public,
            networks: others.networks.clone(),
        }
    }

    /// Whether a client may be given a permission for this address (RFC 8656 section 9). It has to have one, and is no
    /// address to send to by that.
    pub(crate) fn may_permit(&self, ip: IpAddr) -> bool {
        self.hosts.contains(&ip) || self.is_outside(ip)
    }

    /// Where a datagram for this address is sent; none where it may not be sent.
    pub(crate) fn route(&self, to: SocketAddr) -> Option<SocketAddr> {
        let inner = self.own.get(&to).copied();
        inner.or_else(|| (self.is_outside(to.ip()) && to.port() != 0).then_some(to))
    }

    /// Whether this is the address of somebody else to whom something may be relayed.
    pub(crate) fn is_outside(&self, ip: IpAddr) -> bool {
        let is_named = self.networks.iter().any(|network| network.contains(&ip));
        is_named || (self.public && is_public(ip) && !self.machine.contains(&ip))
    }
}

/// Whether an address is on the Internet, and nowhere nearer: those of the IANA's special-purpose registries are not, which
/// has the addresses by which machines of a cloud ask for their secrets.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let is_special = match (a, b, c) {
        // "This network", private, loopback.
        (0 | 10 | 127, ..) => true,
        // Shared between a provider and its customers (RFC 6598).
        (100, 64..=127, _) => true,
        // Link-local, private.
        (169, 254, _) | (172, 16..=31, _) | (192, 168, _) => true,
        // Protocol assignments, documentation, 6to4 relays, measurements.
        (192, 0, 0 | 2) | (192, 88, 99) | (198, 18 | 19, _) => true,
        (198, 51, 100) | (203, 0, 113) => true,
        // Multicast, reserved, broadcast.
        (224.., ..) => true,
        _ => false,
    };
    !is_special
}

/// Of the one part of IPv6 that is given out (2000::/3) what is not for special use, and not another way to write an IPv4
/// address.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    let is_special = match (a, b) {
        // Protocol assignments, Teredo among them; documentation; 6to4; documentation (RFC 9637).
        (0x2001, 0..=0x01ff) | (0x2001, 0x0db8) | (0x2002, _) | (0x3fff, 0..=0x0fff) => true,
        _ => false,
    };
    a & 0xe000 == 0x2000 && !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn peers(public: bool, networks: &[&str]) -> Peers {
        let address = |text: &str| -> SocketAddr { text.parse().unwrap() };
        let own = [
            (address("203.0.113.5:7880"), address("127.0.0.2:7880")),
            (address("[2001:db8::5]:7880"), address("127.0.0.3:7880")),
        ];
        let networks = networks.iter().map(|text| text.parse().unwrap());
        let others = TurnPeers {
            public,
            networks: networks.collect(),
        };
        Peers::new(own, [ip("203.0.113.5"), ip("9.9.9.9")], &others)
    }

    #[test]
    fn by_default_there_are_only_the_servers_own_media_addresses() {
        let peers = peers(false, &[]);
        assert!(peers.may_permit(ip("203.0.113.5")) && peers.may_permit(ip("2001:db8::5")));
        let route = |text: &str| peers.route(text.parse().unwrap());
        assert_eq!(
            route("203.0.113.5:7880"),
            Some("127.0.0.2:7880".parse().unwrap())
        );
        assert_eq!(
            route("[2001:db8::5]:7880"),
            Some("127.0.0.3:7880".parse().unwrap())
        );
        // Another port of the same machine is somebody else.
        for text in ["203.0.113.5:53", "127.0.0.2:7880", "8.8.8.8:53"] {
            assert_eq!(route(text), None, "{text}");
        }
        for text in ["127.0.0.1", "127.0.0.2", "8.8.8.8", "10.0.0.1", "::1"] {
            assert!(!peers.may_permit(ip(text)), "{text}");
        }
    }

    #[test]
    fn the_public_does_not_have_what_is_nearer_or_special() {
        let peers = peers(true, &[]);
        for text in ["8.8.8.8", "100.63.0.1", "172.32.0.1", "2606:4700::1"] {
            assert!(peers.may_permit(ip(text)), "{text}");
        }
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "9.9.9.9",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!peers.may_permit(ip(text)), "{text}");
            let address = SocketAddr::new(ip(text), 53);
            assert_eq!(peers.route(address), None, "{text}");
        }
        assert_eq!(peers.route("8.8.8.8:0".parse().unwrap()), None);
    }

    #[test]
    fn what_is_named_is_let_through_and_nothing_beside_it() {
        let peers = peers(false, &["10.1.0.0/16", "::1/128"]);
        assert!(peers.may_permit(ip("10.1.255.1")) && peers.may_permit(ip("::1")));
        assert!(!peers.may_permit(ip("10.2.0.1")) && !peers.may_permit(ip("8.8.8.8")));
    }
}
