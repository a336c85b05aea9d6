//! The core's root: one `Shard` for each core of the machine, sans-IO.
//!
//! Called by [`crate::runtime`], which tells it the time and hands it datagrams and commands. It never
//! names a socket, a clock or an executor, and never sees SDP.

mod command;
mod event;
mod parameters;

pub use command::Command;
pub use event::{Event, FailReason, InboundStats, OutboundStats, PeerStats, Quality};
pub use parameters::{
    CallId, CodecParameters, DtlsRole, Fingerprint, FingerprintHash, IceCredentials, ParticipantId,
    PeerId, ReceiveParameters, SctpParameters, SendParameters, SsrcPair, TrackId,
    TransportParameters,
};
