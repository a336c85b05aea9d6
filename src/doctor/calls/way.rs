//! The ways by which media can go.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::turn::TurnServer;
use crate::transport::{Endpoint, Protocol};

/// One way to the server's media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) enum Way {
    /// To the candidate with this address.
    Direct(Protocol, IpAddr),
    /// By a TURN server.
    Relayed(TurnServer),
}

impl Way {
    /// The way to a candidate.
    pub(in crate::doctor) fn to(candidate: Endpoint) -> Self {
        Self::Direct(candidate.protocol, candidate.address.ip())
    }

    /// Which of the candidates that the server told it leads to. Relays lead to any, of IPv4 first, as they have such an address.
    pub(super) fn destination(&self, candidates: &[Endpoint]) -> Option<SocketAddr> {
        let mut of_protocol = candidates.iter().filter(|candidate| match self {
            Self::Direct(protocol, _) => candidate.protocol == *protocol,
            Self::Relayed(_) => candidate.protocol == Protocol::Udp,
        });
        let found = match self {
            Self::Direct(_, ip) => of_protocol.find(|candidate| candidate.address.ip() == *ip),
            Self::Relayed(_) => of_protocol.min_by_key(|candidate| candidate.address.is_ipv6()),
        };
        found.map(|candidate| candidate.address)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(Protocol::Udp, ip) => write!(f, "UDP to {ip}"),
            Self::Direct(Protocol::Tcp, ip) => write!(f, "TCP to {ip}"),
            Self::Relayed(server) => write!(f, "TURN by {server}"),
        }
    }
}
