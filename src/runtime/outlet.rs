//! A second way out of a UDP socket that somebody else reads.

use std::io;
use std::net::{IpAddr, SocketAddr};

use quinn_udp::{Transmit, UdpSocketState};

use crate::transport::Path;

/// Sends single datagrams from a bound UDP port, whatever thread it is used on.
#[derive(Debug)]
pub struct Outlet {
    socket: std::net::UdpSocket,
    state: UdpSocketState,
    ipv6: bool,
}

impl Outlet {
    /// Of a socket that speaks IPv6 with IPv4, or IPv4 alone.
    pub fn new(socket: &std::net::UdpSocket, ipv6: bool) -> io::Result<Self> {
        let socket = socket.try_clone()?;
        let state = UdpSocketState::new((&socket).into())?;
        Ok(Self {
            socket,
            state,
            ipv6,
        })
    }

    /// Sends a datagram from the address that the other side knows, or drops it as the network would.
    pub fn send(&self, path: Path, contents: &[u8]) {
        let transmit = Transmit {
            destination: destination(path.remote, self.ipv6),
            ecn: None,
            contents,
            segment_size: None,
            src_ip: path.local.map(|ip| source(ip, self.ipv6)),
        };
        if let Err(error) = self.state.try_send((&self.socket).into(), &transmit) {
            tracing::trace!(destination = %path.remote, %error, "not sent");
        }
    }
}

/// A dual-stack socket takes IPv4 addresses in IPv6 form only.
pub(super) fn destination(address: SocketAddr, is_dual: bool) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if is_dual => {
            SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())
        }
        SocketAddr::V4(_) | SocketAddr::V6(_) => address,
    }
}

pub(super) fn source(ip: IpAddr, is_dual: bool) -> IpAddr {
    match ip {
        IpAddr::V4(v4) if is_dual => v4.to_ipv6_mapped().into(),
        IpAddr::V4(_) | IpAddr::V6(_) => ip,
    }
}
