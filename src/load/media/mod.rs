//! The media of all clients: one thread, one UDP socket for each peer.
//!
//! Peers tell it by [`MediaCommand`] what was negotiated. It knows no SDP, no server and no signalling.

mod command;

pub(crate) use command::{
    MediaCommand, MediaSetup, NewPeer, PeerKey, PeerState, ReceiverSetup, SenderSetup, SourcePlan,
    StreamSetup, TransportSetup,
};
