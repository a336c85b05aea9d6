//! What a negotiation is told at its start.

use super::Sources;
use crate::shard::{Fingerprint, IceCredentials, PeerId};
use crate::transport::Endpoint;

/// What one negotiation is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The peer that the commands are about.
    pub peer: PeerId,
    /// Our first credentials, the ones of [`AddPeer`](crate::shard::Command::AddPeer). Later ones are
    /// made from these and `seed`.
    pub local_ice: IceCredentials,
    /// Our certificate's hash.
    pub fingerprint: Fingerprint,
    /// Our addresses, best first. Every description names all of them.
    pub candidates: Vec<Endpoint>,
    /// What a client may ask for.
    pub limits: Limits,
    /// Of which sources the client may send tracks. What else it offers to send is answered with a direction that refuses it.
    pub may_publish: Sources,
    /// Whether it may have data channels.
    pub data_channels: bool,
    /// Whether the client is asked to send redundant audio (RFC 2198) if it can.
    pub red: bool,
    /// The session id of our `o=` line.
    pub session_id: u64,
    /// Randomness for SSRCs and credentials.
    pub seed: u64,
}

/// What a client may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one description.
    pub max_sdp_bytes: usize,
    /// Tracks that a peer publishes at once.
    pub max_tracks: usize,
    /// M-lines of one description, stopped ones included.
    pub max_media_lines: usize,
    /// Bytes of one data channel message.
    pub max_message_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_sdp_bytes: 200_000,
            max_tracks: 16,
            max_media_lines: 1_000,
            max_message_bytes: 65_536,
        }
    }
}
