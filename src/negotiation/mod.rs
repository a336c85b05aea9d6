//! Offers and answers: a synchronous state machine for each peer connection, which turns SDP into the
//! core's parameters ([`Command`](crate::shard::Command)s) and published tracks, and makes the server's own SDP.
//!
//! Called by [`crate::room`]. It never does I/O, reads no clock, and knows neither rooms nor names; the
//! server is the impolite side of W3C's perfect negotiation, ICE-lite, and speaks unified plan, BUNDLE
//! and rtcp-mux only (RFC 9429).

mod apply;
mod candidate;
mod codecs;
mod config;
mod describe;
mod error;
mod extensions;
mod line;
mod machine;
mod offer;
pub(crate) mod remote;
mod source;
mod state;
mod sync;
#[cfg(test)]
mod tests;
mod text;
mod track;

pub use config::{Config, Limits};
pub use error::{NegotiationError, SdpError};
pub use machine::Negotiation;
pub use source::{Source, Sources};
pub use track::{PublishedTrack, SubscribedTrack, TrackIds};

use crate::rtp::Mid;
use crate::shard::TrackId;

/// A description of ours, to be sent to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The SDP.
    pub sdp: String,
    /// Which m-line carries which track to the client.
    pub tracks: Vec<(Mid, TrackId)>,
}

/// Where offer and answer stand, as in W3C's `RTCSignalingState`, seen from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalingState {
    /// Both sides agree.
    Stable,
    /// An offer of ours is outstanding.
    HaveLocalOffer,
    /// An offer of the client's waits for [`Negotiation::create_answer`].
    HaveRemoteOffer,
}
