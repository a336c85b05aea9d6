//! One published source, and its layers as they arrive.

use std::time::{Duration, Instant};

use super::{ReceiveParameters, TrackId};
use crate::forward::{
    History, HistoryLimits, KeyframeRequests, NackGenerator, ReceiveStream, SenderClock,
};
use crate::rtp::{Codec, MediaKind};

/// A layer that was silent for this long is taken for switched off by its sender.
const SILENT: Duration = Duration::from_secs(1);

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
    /// The publisher's clock, once it told it.
    pub(super) clock: Option<SenderClock>,
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
    pub(super) nacks: u64,
    pub(super) plis: u64,
    pub(super) key_frames: u64,
}

impl Track {
    /// A track of which nothing has come yet.
    pub(super) fn new(publisher: usize, parameters: ReceiveParameters) -> Self {
        let layers = parameters.rids.len().max(1);
        Self {
            id: parameters.track,
            publisher,
            parameters,
            muted: false,
            layers: (0..layers).map(|_| None).collect(),
            forwarded: None,
            subscriptions: Vec::new(),
        }
    }

    /// The same track from other SSRCs: its layers begin anew.
    pub(super) fn restart(&mut self, parameters: ReceiveParameters) {
        self.layers = (0..parameters.rids.len().max(1)).map(|_| None).collect();
        self.forwarded = None;
        self.parameters = parameters;
    }

    /// Makes the layer that `ssrc` feeds, unless it is there. `next_generation` counts the sources of the
    /// shard, so that a subscription sees when its source is another one.
    pub(super) fn ensure_layer(
        &mut self,
        now: Instant,
        index: usize,
        ssrc: u32,
        next_generation: &mut u32,
    ) {
        let watched = self.is_watched();
        let Some(slot) = self.layers.get_mut(index) else {
            return;
        };
        if slot.as_ref().is_some_and(|layer| layer.ssrc == ssrc) {
            return;
        }
        let limits = history_limits(self.parameters.kind);
        let clock_rate = self
            .parameters
            .codecs
            .first()
            .map_or(90_000, |codec| codec.codec.clock_rate());
        *slot = Some(Layer {
            generation: *next_generation,
            ssrc,
            receive: ReceiveStream::new(clock_rate),
            nack: NackGenerator::default(),
            history: History::new(limits),
            keyframes: KeyframeRequests::default(),
            clock: None,
            codec: None,
            last_packet: now,
            counts: LayerCounts::default(),
        });
        *next_generation = next_generation.wrapping_add(1);
        // Whoever waits for a picture is waiting for one of this layer now.
        if watched
            && self.forwarded.is_none_or(|forwarded| forwarded == index)
            && let Some(layer) = slot
        {
            layer.keyframes.request(now);
        }
    }

    /// Whether somebody would look at a picture now.
    pub(super) fn is_watched(&self) -> bool {
        self.parameters.kind == MediaKind::Video && !self.muted && !self.subscriptions.is_empty()
    }

    /// Nobody waits for a picture any more.
    pub(super) fn cancel_keyframes(&mut self) {
        for layer in self.layers.iter_mut().flatten() {
            layer.keyframes.cancel();
        }
    }

    /// The layer that subscribers get, or the one that they would.
    pub(super) fn forwarded_layer(&mut self) -> Option<&mut Layer> {
        let index = self
            .forwarded
            .or_else(|| self.layers.iter().position(Option::is_some))?;
        self.layers.get_mut(index)?.as_mut()
    }

    /// Whether this layer should be forwarded instead of the present one: the best that flows is.
    pub(super) fn prefers(&self, now: Instant, index: usize) -> bool {
        let Some(forwarded) = self.forwarded else {
            return true;
        };
        let silent = self
            .layers
            .get(forwarded)
            .and_then(Option::as_ref)
            .is_none_or(|layer| now.saturating_duration_since(layer.last_packet) > SILENT);
        index < forwarded || silent
    }

    /// Forgets the packets that could be sent again, since what comes next does not follow them.
    pub(super) fn forget_history(&mut self) {
        for layer in self.layers.iter_mut().flatten() {
            layer.history = History::new(history_limits(self.parameters.kind));
        }
    }
}

fn history_limits(kind: MediaKind) -> HistoryLimits {
    match kind {
        MediaKind::Audio => HistoryLimits::AUDIO,
        MediaKind::Video => HistoryLimits::VIDEO,
    }
}
