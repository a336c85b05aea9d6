//! The media of all clients: one thread, one UDP socket for each peer.
//!
//! Peers tell it by [`MediaCommand`] what was negotiated. It knows no SDP, no server and no signalling.

mod command;
mod link;
mod socket;
mod thread;

pub(crate) use command::{
    Measured, MediaCommand, MediaSetup, NewPeer, PeerKey, PeerProgress, PeerState, ReceiverSetup,
    SenderSetup, SourcePlan, StreamSetup, TransportSetup,
};
pub(crate) use thread::{MediaSettings, MediaThread};
