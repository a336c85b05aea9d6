//! Whether the addresses that clients are told can be this machine's.

use std::net::{IpAddr, SocketAddr};

use super::finding::Finding;
use super::ports::listed;
use crate::config::{Config, IceTcp, ListenAddress};
use crate::runtime::{ShardPorts, shard_addresses};
use crate::transport::{Endpoint, Protocol};

const CHECK: &str = "addresses";

/// Who can reach an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Anybody.
    Public,
    /// Who is in the same network.
    Private,
    /// This machine.
    Loopback,
    /// Nobody.
    Nobody,
}

/// What clients elsewhere are told.
pub(super) fn told(config: &Config, ipv6: bool) -> Vec<Endpoint> {
    let doors = match config.ice_tcp {
        IceTcp::Off => Vec::new(),
        IceTcp::Own(address) => vec![door(address)],
        IceTcp::Page => config.listen.iter().copied().map(door).collect(),
    };
    let ports = ShardPorts {
        udp: config.udp_port,
        ipv6,
        tcp: &doors,
    };
    shard_addresses(ports, &config.announce).candidates
}

/// This machine's addresses, and those that are announced.
pub(super) fn of_server(config: &Config, ipv6: bool) -> Vec<IpAddr> {
    let told = told(config, ipv6);
    let told = told.iter().map(|one| one.address.ip());
    told.chain(own()).collect()
}

/// This machine's addresses.
pub(super) fn own() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.iter().map(if_addrs::Interface::ip).collect()
}

/// Looks at each address that is told.
pub(super) fn check(config: &Config, ipv6: bool) -> Vec<Finding> {
    let own = own();
    let told = told(config, ipv6);
    let mut findings = Vec::new();
    if is_for_loopback_only(config) {
        findings.push(Finding::warning(
            CHECK,
            "the page is served to this machine alone",
            "--listen :443 with a certificate, unless a proxy on this machine leads to it",
        ));
    }
    if !told.iter().any(|one| one.protocol == Protocol::Udp) {
        findings.push(Finding::failure(
            CHECK,
            format!("clients are told no address for media by UDP: browsers take no port like {} there", config.udp_port),
            "choose a --udp-port above 1023; 443 may be used at public addresses only, which --announce says",
        ));
    }
    let mut ips: Vec<IpAddr> = Vec::new();
    for ip in told.iter().map(|one| one.address.ip()) {
        if !ips.contains(&ip) {
            ips.push(ip);
        }
    }
    let ports = needed(config, &told);
    findings.extend(ips.iter().map(|ip| judge(*ip, &own, &ports)));
    let reach: Vec<Reach> = ips.iter().map(|ip| reach(*ip)).collect();
    if !reach.contains(&Reach::Public) && reach.contains(&Reach::Private) {
        findings.push(Finding::warning(
            CHECK,
            "clients are told addresses of a private network only: who comes from the Internet gets no media",
            "if people are to come from there, --announce the public address (--stun HOST:PORT asks a STUN server for it)",
        ));
    }
    findings
}

/// Whether nobody but this machine can open the page.
pub(super) fn is_for_loopback_only(config: &Config) -> bool {
    let mut doors = config.listen.iter().copied().map(door);
    doors.all(|door| door.ip().is_loopback())
}

fn judge(ip: IpAddr, own: &[IpAddr], ports: &str) -> Finding {
    match (reach(ip), own.contains(&ip)) {
        (Reach::Nobody, false) => Finding::failure(
            CHECK,
            format!("clients are told {ip}, which leads nowhere in the Internet"),
            "give --announce the address that the server is reached by",
        ),
        (Reach::Loopback, _) => Finding::warning(
            CHECK,
            format!("clients are told {ip}, which leads each of them to their own machine"),
            "give --announce the address that the server is reached by, unless clients are on this machine alone",
        ),
        (_, true) => Finding::ok(CHECK, format!("{ip} is this machine's own")),
        (Reach::Public | Reach::Private, false) => Finding::not_checked(
            CHECK,
            format!(
                "{ip} is announced and none of this machine's: a router, the cloud or Docker has to lead {ports} here, by the same numbers; \
                 `crosspoint doctor --url` on another machine shows whether it does"
            ),
        ),
    }
}

/// The ports that have to be let through.
fn needed(config: &Config, told: &[Endpoint]) -> String {
    let shards = if config.share_udp_port {
        1
    } else {
        config.shards as u16
    };
    let first = config.udp_port;
    let udp: Vec<u16> = (0..shards)
        .map(|index| first.saturating_add(index))
        .collect();
    let of_tcp = told.iter().filter(|one| one.protocol == Protocol::Tcp);
    let mut tcp: Vec<u16> = of_tcp.map(|one| one.address.port()).collect();
    tcp.sort_unstable();
    tcp.dedup();
    match tcp.is_empty() {
        true => format!("UDP {}", listed(&udp)),
        false => format!("UDP {} and TCP {}", listed(&udp), listed(&tcp)),
    }
}

fn door(address: ListenAddress) -> SocketAddr {
    match address {
        ListenAddress::One(address) => address,
        ListenAddress::Every(port) => SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port)),
    }
}

/// By the registries of special addresses (RFC 6890).
fn reach(ip: IpAddr) -> Reach {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            if ip.is_loopback() {
                Reach::Loopback
            } else if ip.is_private() || (a == 100 && b & 0xc0 == 64) {
                Reach::Private
            } else if ip.is_documentation()
                || ip.is_link_local()
                || ip.is_multicast()
                || a == 0
                || a >= 240
                || (a == 198 && b & 0xfe == 18)
            {
                Reach::Nobody
            } else {
                Reach::Public
            }
        }
        IpAddr::V6(ip) => {
            let [first, second, ..] = ip.segments();
            if ip.is_loopback() {
                Reach::Loopback
            } else if ip.is_unique_local() {
                Reach::Private
            } else if first & 0xe000 != 0x2000 || (first == 0x2001 && second == 0xdb8) {
                // What is allotted is in 2000::/3.
                Reach::Nobody
            } else {
                Reach::Public
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_reaches_an_address_is_known_by_its_kind() {
        for (text, expected) in [
            ("8.8.8.8", Reach::Public),
            ("2a00:1450::1", Reach::Public),
            ("10.1.2.3", Reach::Private),
            ("100.64.0.1", Reach::Private),
            ("fd00::1", Reach::Private),
            ("127.0.0.1", Reach::Loopback),
            ("::1", Reach::Loopback),
            ("203.0.113.5", Reach::Nobody),
            ("169.254.1.1", Reach::Nobody),
            ("198.18.0.1", Reach::Nobody),
            ("255.255.255.255", Reach::Nobody),
            ("2001:db8::1", Reach::Nobody),
            ("fe80::1", Reach::Nobody),
        ] {
            assert_eq!(reach(ip(text)), expected, "{text}");
        }
    }

    #[test]
    fn an_address_is_own_translated_or_wrong() {
        let own = [ip("10.0.0.5")];
        let judged = |text| judge(ip(text), &own, "UDP 7880 to 7881 and TCP 443");
        assert_eq!(judged("10.0.0.5").outcome, Outcome::Ok);
        assert_eq!(judged("192.0.2.1").outcome, Outcome::Failure);
        assert_eq!(judged("127.0.0.1").outcome, Outcome::Warning);
        let translated = judged("8.8.8.8");
        assert_eq!(translated.outcome, Outcome::NotChecked);
        assert!(
            translated.seen.contains("UDP 7880 to 7881 and TCP 443"),
            "{}",
            translated.seen
        );
    }

    #[test]
    fn a_low_port_at_a_private_address_is_no_port_for_media() {
        let config = Config {
            announce: vec![ip("10.0.0.5")],
            udp_port: 443,
            share_udp_port: true,
            ..Config::default()
        };
        let findings = check(&config, true);
        let failure = findings.iter().find(|one| one.outcome == Outcome::Failure);
        assert!(
            failure
                .unwrap()
                .seen
                .contains("no address for media by UDP")
        );
        assert!(findings[0].seen.contains("this machine alone"));
    }
}
