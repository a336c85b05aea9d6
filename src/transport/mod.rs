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
mod stun;
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

/// Between which addresses a datagram travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    /// The peer's address, never an IPv4 one in IPv6 form.
    pub remote: SocketAddr,
    /// Our address, where the system tells it: replies must come from the address that was asked.
    pub local: Option<IpAddr>,
}
