//! One published source, and its layers as they arrive.

use std::time::Instant;

use crate::forward::{History, KeyframeRequests, NackGenerator, PublisherReport, ReceiveStream};
use crate::rtp::{Codec, Rid};
use crate::shard::{CodecParameters, ReceiveParameters, TrackId};

/// A track, owned by the shard, fed by one peer.
#[derive(Debug)]
pub(super) struct Track {
    /// Its name.
    pub(super) id: TrackId,
    /// The peer that publishes it.
    pub(super) publisher: usize,
    /// What its m-line negotiated.
    pub(super) parameters: ReceiveParameters,
    /// Nothing of it is forwarded.
    pub(super) muted: bool,
    /// Its encodings, in the order of `parameters.rids`; one without simulcast. Each is empty until its
    /// first packet came.
    pub(super) layers: Vec<Option<Layer>>,
    /// The layer that subscribers get.
    pub(super) forwarded: Option<usize>,
    /// The subscriptions to it.
    pub(super) subscriptions: Vec<usize>,
    /// Counts sources, so that a subscription sees when it changed.
    next_generation: u32,
}

/// One encoding of a track: one SSRC and its retransmissions.
#[derive(Debug)]
pub(super) struct Layer {
    /// Tells this source from those that were in its place before.
    pub(super) generation: u32,
    /// The media stream.
    pub(super) ssrc: u32,
    /// Loss and jitter.
    pub(super) receive: ReceiveStream,
    /// What to ask for again.
    pub(super) nack: NackGenerator,
    /// What can be sent again.
    pub(super) history: History,
    /// When to ask for a keyframe.
    pub(super) keyframes: KeyframeRequests,
    /// The publisher's clock.
    pub(super) report: PublisherReport,
    /// What the last packet carried.
    pub(super) codec: Option<Codec>,
    /// When the last packet came.
    pub(super) last_packet: Instant,
    /// Counters for statistics.
    pub(super) counts: LayerCounts,
}

/// What one layer has seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LayerCounts {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) nacks: u64,
    pub(super) plis: u64,
    pub(super) key_frames: u64,
}
