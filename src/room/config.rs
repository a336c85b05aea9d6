//! What the rooms are told at their start.

use std::time::{Duration, Instant};

use crate::negotiation;
use crate::shard::Fingerprint;
use crate::transport::Endpoint;
use crate::turn::IceServers;

/// What the rooms are told at their start.
#[derive(Clone, Debug)]
pub struct RoomsConfig {
    /// How much of everything there may be.
    pub limits: Limits,
    /// What one SDP may ask for.
    pub negotiation: negotiation::Limits,
    /// Whether clients that can are asked to send redundant audio.
    pub red: bool,
    /// How long a one-to-one call rings.
    pub ring_timeout: Duration,
    /// How long a session whose socket broke may be taken up again.
    pub resume_timeout: Duration,
    /// Our certificate's hash.
    pub fingerprint: Fingerprint,
    /// The shards, in the order of their numbers. At least one.
    pub shards: Vec<ShardAddress>,
    /// Whether all shards share one UDP port, so that a peer goes to whichever hears it first.
    pub shared_port: bool,
    /// Peers of one call that stay on one shard before it goes on in others. At least 1.
    pub peers_together: usize,
    /// Makes `iceServers` of the `id` message.
    pub ice_servers: IceServers,
    /// Randomness for resume tokens and ICE credentials: a secret.
    pub seed: [u8; 32],
    /// The instant that `started_unix_ms` is about.
    pub started: Instant,
    /// Milliseconds since 1970 at `started`.
    pub started_unix_ms: u64,
}

/// Where one shard receives media, best address first.
#[derive(Clone, Debug, Default)]
pub struct ShardAddress {
    /// Candidates for clients on this machine.
    pub loopback: Vec<Endpoint>,
    /// Candidates for everybody else.
    pub others: Vec<Endpoint>,
}

/// How much of everything there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In one room, those included whose socket broke a moment ago.
    pub max_participants: usize,
    /// Rooms with somebody in them.
    pub max_rooms: usize,
    /// Sessions from one IP address or IPv6 network of 64 bits, those included whose socket broke a moment ago.
    pub max_sockets_per_address: usize,
    /// New sessions and new calls from one such address in the long run; ten times as many at once. At least 1.
    pub max_joins_per_second: u32,
    /// The share of its core that a shard may work before newcomers to it are refused, in percent; `None` for all. Newcomers to
    /// any, where nobody knows to which they come.
    pub max_cpu: Option<u8>,
    /// Bits a second that all shards together may send before newcomers are refused; `None` for all.
    pub max_bits_per_second: Option<u64>,
    /// From one socket in the long run; twice as many at once. At least 1.
    pub max_messages_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_participants: 200,
            max_rooms: 1000,
            max_sockets_per_address: 256,
            max_joins_per_second: 50,
            max_cpu: None,
            max_bits_per_second: None,
            max_messages_per_second: 100,
        }
    }
}
