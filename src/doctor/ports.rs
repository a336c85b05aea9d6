//! Whether the server would get its ports.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpListener;

use super::finding::Finding;
use super::holder::holder;
use super::reach::ServerUrl;
use crate::config::{Config, IceTcp, ListenAddress};
use crate::runtime::{BindError, MediaSocket};
use crate::server::{ServerError, listen};
use crate::transport::Protocol;

const CHECK: &str = "ports";

/// The ports that could be had, until this is dropped, and what was found.
pub(super) struct Ports {
    pub(super) findings: Vec<Finding>,
    /// The page of a Crosspoint that has them already.
    pub(super) running: Option<SocketAddr>,
    /// Whether the media sockets speak IPv6.
    pub(super) ipv6: bool,
    _listeners: Vec<TcpListener>,
    _sockets: Vec<MediaSocket>,
}

/// Takes all ports at once, so that those of one server do not get in each other's way either.
pub(super) async fn check(config: &Config) -> Ports {
    let mut ports = Ports {
        findings: Vec::new(),
        running: None,
        ipv6: true,
        _listeners: Vec::new(),
        _sockets: Vec::new(),
    };
    for &address in &config.listen {
        ports.page(config, address).await;
    }
    if let IceTcp::Own(address) = config.ice_tcp {
        ports.tcp(address, "--ice-tcp").await;
    }
    ports.media(config);
    if let Some(port) = config.turn.as_ref().and_then(|turn| turn.port) {
        ports.tcp(ListenAddress::Every(port), "--turn-port").await;
        let socket = MediaSocket::bind(port).map_err(|error| error.of("--turn-port"));
        ports.udp(port, socket.map(|socket| vec![socket]), "--turn-port");
    }
    ports
}

impl Ports {
    async fn page(&mut self, config: &Config, address: ListenAddress) {
        let (ip, port) = parts(address);
        match listen(address).await {
            Ok(listener) => self.free(Protocol::Tcp, listener),
            Err(ServerError::Listen { source, .. })
                if config.listen_is_default && source.kind() == io::ErrorKind::AddrNotAvailable =>
            {
                let why = format!("TCP {ip}:{port}: this machine has no such address");
                self.findings.push(Finding::not_checked(CHECK, why));
            }
            Err(error) => {
                let at = reached_at(ip, port);
                if error.kind() == Some(io::ErrorKind::AddrInUse) && is_crosspoint(config, at).await
                {
                    self.running.get_or_insert(at);
                    let seen = format!(
                        "TCP {port}: a Crosspoint answers there, and is what is called below"
                    );
                    self.findings.push(Finding::ok(CHECK, seen));
                } else {
                    self.refused(Protocol::Tcp, port, error.kind(), &error, "--listen");
                }
            }
        }
    }

    async fn tcp(&mut self, address: ListenAddress, option: &str) {
        let (_, port) = parts(address);
        match listen(address).await {
            Ok(listener) => self.free(Protocol::Tcp, listener),
            Err(error) => self.refused(Protocol::Tcp, port, error.kind(), &error, option),
        }
    }

    fn free(&mut self, protocol: Protocol, listener: TcpListener) {
        if let Ok(address) = listener.local_addr() {
            let seen = format!("{} {}: free", name(protocol), address.port());
            self.findings.push(Finding::ok(CHECK, seen));
        }
        self._listeners.push(listener);
    }

    /// The ports of the shards.
    fn media(&mut self, config: &Config) {
        let first = config.udp_port;
        if config.share_udp_port {
            let sockets = MediaSocket::bind_shared(first, config.shards);
            return self.udp(first, sockets, "--udp-port");
        }
        let mut free = Vec::new();
        for index in 0..config.shards as u16 {
            let port = if first == 0 { 0 } else { first + index };
            match MediaSocket::bind(port) {
                Ok(socket) => free.push(socket),
                Err(error) => self.udp(port, Err(error), "--udp-port"),
            }
        }
        if !free.is_empty() {
            self.udp(first, Ok(free), "--udp-port");
        }
    }

    fn udp(&mut self, port: u16, sockets: Result<Vec<MediaSocket>, BindError>, option: &str) {
        match sockets {
            Ok(sockets) => {
                let mut ports: Vec<u16> = sockets.iter().map(MediaSocket::port).collect();
                ports.dedup();
                self.ipv6 &= sockets.iter().all(MediaSocket::ipv6);
                let seen = format!("UDP {}: free", listed(&ports));
                self.findings.push(Finding::ok(CHECK, seen));
                self._sockets.extend(sockets);
            }
            Err(error) => self.refused(Protocol::Udp, port, Some(error.kind()), &error, option),
        }
    }

    fn refused(
        &mut self,
        protocol: Protocol,
        port: u16,
        kind: Option<io::ErrorKind>,
        error: &dyn std::error::Error,
        option: &str,
    ) {
        let protocol_name = name(protocol);
        self.findings.push(match kind {
            Some(io::ErrorKind::AddrInUse) => {
                let held = holder(protocol, port);
                if let Some(page) = self.running {
                    let of_page = holder(Protocol::Tcp, page.port());
                    if held == of_page {
                        let seen = format!("{protocol_name} {port}: the same Crosspoint has it, as it seems");
                        self.findings.push(Finding::ok(CHECK, seen));
                        return;
                    }
                }
                taken(protocol_name, port, held.as_ref(), option)
            }
            Some(io::ErrorKind::PermissionDenied) => Finding::failure(
                CHECK,
                format!("{protocol_name} {port}: this user may not open ports below 1024"),
                "AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit of systemd (deploy/crosspoint.service has it), or \
                 sysctl -w net.ipv4.ip_unprivileged_port_start=443; and run the doctor as that user is run",
            ),
            Some(io::ErrorKind::AddrNotAvailable) => Finding::failure(
                CHECK,
                format!("{protocol_name} {port}: this machine does not have the address that is asked for"),
                format!("give {option} an address of this machine, or :{port} for all of them"),
            ),
            _ => Finding::failure(CHECK, error.to_string(), format!("choose another with {option}")),
        });
    }
}

fn taken(protocol: &str, port: u16, held: Option<&super::holder::Holder>, option: &str) -> Finding {
    match held {
        Some(held) => Finding::failure(
            CHECK,
            format!("{protocol} {port}: {held} has it"),
            format!("stop {}, or choose another port with {option}", held.name),
        ),
        None => {
            let letter = if protocol == "UDP" { 'u' } else { 't' };
            Finding::failure(
                CHECK,
                format!("{protocol} {port}: another program has it"),
                format!(
                    "stop it (as root, `ss -l{letter}np sport = :{port}` says which it is), or choose another port with {option}"
                ),
            )
        }
    }
}

/// Whether what listens there is a Crosspoint.
async fn is_crosspoint(config: &Config, at: SocketAddr) -> bool {
    let url = ServerUrl::at(at, config.tls.is_some(), None);
    let health = url.get(at, "/health").await;
    let ready = url.get(at, "/ready").await;
    let says = |answer: &super::reach::Answer, words: &[&str]| {
        let body = std::str::from_utf8(&answer.body).unwrap_or_default();
        words.contains(&body)
    };
    matches!((health, ready), (Ok(health), Ok(ready))
        if says(&health, &["ok"]) && says(&ready, &["ready", "starting", "draining"]))
}

/// The address that a listener is reached by from this machine.
fn reached_at(ip: IpAddr, port: u16) -> SocketAddr {
    let ip = match ip {
        ip if !ip.is_unspecified() => ip,
        _ => Ipv4Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, port)
}

fn parts(address: ListenAddress) -> (IpAddr, u16) {
    match address {
        ListenAddress::One(address) => (address.ip(), address.port()),
        ListenAddress::Every(port) => (Ipv6Addr::UNSPECIFIED.into(), port),
    }
}

fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Udp => "UDP",
        Protocol::Tcp => "TCP",
    }
}

/// Ports in words: `7880`, `7880 to 7883`, or each.
pub(super) fn listed(ports: &[u16]) -> String {
    let counts_up = ports
        .windows(2)
        .all(|two| two[1].checked_sub(two[0]) == Some(1));
    match ports {
        [one] => one.to_string(),
        [first, .., last] if counts_up => format!("{first} to {last}"),
        all => all
            .iter()
            .map(u16::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::super::holder::Holder;
    use super::*;

    #[test]
    fn who_has_a_port_is_in_the_fix() {
        let nginx = Holder {
            pid: 7,
            name: "nginx".to_owned(),
        };
        let known = taken("TCP", 443, Some(&nginx), "--listen");
        assert_eq!(known.seen, "TCP 443: nginx (process 7) has it");
        assert_eq!(
            known.fix.as_deref(),
            Some("stop nginx, or choose another port with --listen")
        );
        let unknown = taken("UDP", 7_880, None, "--udp-port");
        assert!(unknown.fix.unwrap().contains("ss -lunp sport = :7880"));
    }

    #[test]
    fn ports_are_listed_shortly() {
        assert_eq!(listed(&[7_880]), "7880");
        assert_eq!(listed(&[7_880, 7_881, 7_882]), "7880 to 7882");
        assert_eq!(listed(&[7_880, 7_890]), "7880, 7890");
        assert_eq!(listed(&[9, 7, 8]), "9, 7, 8");
    }
}
