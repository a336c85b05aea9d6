//! What a run of the load generator found, as text and as JSON.
//!
//! Made by the driver; read by people, by scripts and by the drawing. Knows no server.

mod text;

use serde::Serialize;

/// All runs of one command.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The version of the generator.
    pub version: &'static str,
    /// What was driven: name, and version where it is known.
    pub target: String,
    /// The profile's name.
    pub profile: &'static str,
    /// The seed of the traffic.
    pub seed: u64,
    /// One of so many packets of a stream was decrypted.
    pub sample: u32,
    /// One for each number of subscribers.
    pub runs: Vec<RunReport>,
}

/// One measurement, over an interval in which everybody was there.
#[derive(Serialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RunReport {
    /// Number of rooms.
    pub rooms: usize,
    /// Participants of each room that publish.
    pub publishers: usize,
    /// Participants of each room that receive.
    pub subscribers: usize,
    /// The SRTP profile that the server chose, as IANA names it; several where clients differ.
    pub srtp: Vec<&'static str>,
    /// Length of the interval.
    pub seconds: f64,
    /// It was ended by Ctrl-C before its time.
    pub ended_early: bool,
    /// Clients of the plan.
    pub clients: usize,
    /// Those that joined and are connected.
    pub joined: usize,
    /// Clients that failed or left early, and why: each reason, and how often it was given.
    pub failed: Vec<(String, usize)>,
    /// Tracks that were to be received, and how many of them gave media in the interval; with those of visitors,
    /// which nobody expects.
    pub tracks_expected: usize,
    /// See [`tracks_expected`](Self::tracks_expected).
    pub tracks_received: usize,
    /// Media that the generator sent.
    pub sent: Traffic,
    /// Media that its subscribers received: the forwarded packets.
    pub received: Traffic,
    /// What did not arrive, and what was repaired.
    pub loss: Loss,
    /// Between sending and receiving, in milliseconds, of the packets that were decrypted.
    pub latency: Option<Percentiles>,
    /// From opening the signalling to a connected peer, in milliseconds, all clients.
    pub join: Option<Percentiles>,
    /// From the description of a video track, or the connection where that is later, to its first
    /// keyframe, in milliseconds.
    pub keyframe: Option<Percentiles>,
    /// Those that came and went meanwhile; none where nobody was asked to.
    pub churn: Option<ChurnReport>,
    /// What the server's process used; none where it is unknown.
    pub server: Option<ProcessUse>,
    /// What the generator itself used.
    pub generator: Option<ProcessUse>,
}

/// Media in one direction. Retransmissions are counted apart and are in none of the others.
#[derive(Serialize, Clone, Copy, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// RTP packets of media.
    pub packets: u64,
    /// Of them those of audio.
    pub audio_packets: u64,
    /// Bits of these packets, the UDP payload with the SRTP tag.
    pub bits: u64,
    /// RTP packets that were sent again.
    pub retransmissions: u64,
    /// RTCP packets (datagrams).
    pub rtcp: u64,
}

/// What did not arrive. Counted from the sequence numbers of what subscribers received.
#[derive(Serialize, Clone, Copy, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Loss {
    /// Packets that did not come at first.
    pub lost: u64,
    /// Of them those that came as retransmissions.
    pub repaired: u64,
    /// Requests for a packet that were sent.
    pub nacks: u64,
    /// Requests for a keyframe that were sent.
    pub keyframe_requests: u64,
    /// Packets that came twice, that belong to no stream or that could not be decrypted.
    pub strange: u64,
    /// Packets that the generator itself was told to lose.
    pub injected: u64,
    /// Packets for which the generator's own socket had no room.
    pub unsent: u64,
}

/// A distribution.
#[derive(Serialize, Clone, Copy, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Percentiles {
    /// How many values there are.
    pub count: u64,
    /// The least value.
    pub min: f64,
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The greatest value.
    pub max: f64,
}

/// Clients that came and went while others stayed. Their media is in the run's traffic and loss.
#[derive(Serialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ChurnReport {
    /// How many came in a second.
    pub per_second: u32,
    /// How long each stayed, in seconds.
    pub stay: f64,
    /// How many came, from before the warm-up on.
    pub came: u64,
    /// Of them those that were made to leave before they could be connected.
    pub early: u64,
    /// Those that were connected when their time was over, and left. Whoever fell silent at the end is still on the way.
    pub stayed: u64,
    /// Those that were not, and why: each reason, and how often it was given.
    pub failed: Vec<(String, usize)>,
}

/// What a process used in the interval.
#[derive(Serialize, Clone, Copy, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ProcessUse {
    /// Processor seconds in user mode.
    pub user_seconds: f64,
    /// Processor seconds in the kernel.
    pub system_seconds: f64,
    /// Processor seconds of both per million packets that subscribers received.
    pub seconds_per_million: Option<f64>,
    /// Resident memory at the end of the interval, in bytes.
    pub resident_bytes: u64,
}
