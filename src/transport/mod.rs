//! One peer's wire: ICE-lite, DTLS, SRTP and SCTP, each sans-IO.
//!
//! Called by [`crate::shard`] with the datagrams of one peer. It never looks into RTP payloads and never
//! knows about tracks, rooms or sockets.

mod channel;
mod check;
mod classify;
mod dtls;
mod ice;
mod identity;
mod replay;
mod sctp;
mod srtp;
pub(crate) mod stun;
#[cfg(test)]
pub(crate) mod tests;
mod wire;

use std::net::{IpAddr, SocketAddr};

pub use channel::{
    ChannelError, ChannelInfo, ChannelLimits, ChannelReliability, MessageKind, ReliabilityLimit,
};
pub(crate) use check::{BindingAnswer, BindingCheck};
pub use classify::{DatagramKind, classify};
pub use dtls::DtlsError;
pub(crate) use dtls::{Dtls, DtlsEvent};
pub use identity::{Identity, IdentityError};
pub use replay::ReplayWindow;
pub use srtp::SrtpError;
pub(crate) use srtp::{Srtp, SrtpProfile};
pub use stun::{StunError, stun_username};
pub(crate) use stun::{StunMessage, integrity_key};
pub use wire::{Transmit, Transport, TransportEvent};

/// What carries datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// As they are.
    Udp,
    /// As frames of a connection that the peer has opened (RFC 6544, RFC 4571).
    Tcp,
}

/// Between which addresses a datagram travels, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    /// What carries it.
    pub protocol: Protocol,
    /// The peer's address, never an IPv4 one in IPv6 form.
    pub remote: SocketAddr,
    /// Our address, where the system tells it: replies must come from the address that was asked.
    pub local: Option<IpAddr>,
}

/// One end of a path: where datagrams come from, or go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// A port of UDP is another one than the same of TCP.
    pub protocol: Protocol,
    /// The address, never an IPv4 one in IPv6 form.
    pub address: SocketAddr,
}

impl Endpoint {
    /// A port of UDP.
    pub fn udp(address: SocketAddr) -> Self {
        let protocol = Protocol::Udp;
        Self { protocol, address }
    }

    /// A port of TCP.
    pub fn tcp(address: SocketAddr) -> Self {
        let protocol = Protocol::Tcp;
        Self { protocol, address }
    }
}

impl Path {
    /// Where what came on it is from.
    pub fn origin(&self) -> Endpoint {
        Endpoint {
            protocol: self.protocol,
            address: self.remote,
        }
    }
}
