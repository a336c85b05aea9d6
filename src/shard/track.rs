//! One published source, and its layers as they arrive: from a peer, or over a link from the peer's shard.

use std::time::{Duration, Instant};

use super::link::{MirrorId, Outlet};
use super::{ReceiveParameters, TrackId};
use crate::forward::{
    History, HistoryLimits, KeyframeRequests, NackGenerator, Padding, ReceiveStream, SenderClock,
};
use crate::rtp::{Codec, ExtensionMap, MediaKind};

/// A layer that was silent for this long is taken for switched off by its sender.
const SILENT: Duration = Duration::from_secs(1);

/// A track, owned by the shard.
#[derive(Debug)]
pub(super) struct Track {
    /// Its name.
    pub(super) id: TrackId,
    /// Where its packets come from.
    pub(super) feed: Feed,
    /// The publisher's header extension ids.
    pub(super) extensions: ExtensionMap,
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
    /// The other shards with subscriptions to it.
    pub(super) outlets: Vec<Outlet>,
}

/// Where the packets of a track come from.
#[derive(Debug)]
pub(super) enum Feed {
    /// The peer of this index, which publishes it.
    Peer(usize),
    /// A link: the publisher is on another shard.
    Link(Mirror),
}

/// What a track is that has its publisher on another shard, its home.
#[derive(Debug)]
pub(super) struct Mirror {
    /// The home.
    pub(super) home: usize,
    /// What the home calls it.
    pub(super) id: MirrorId,
    /// The clocks of layers of which no packet came yet: layer, generation, clock.
    pub(super) clocks: Vec<(usize, u32, SenderClock)>,
    /// When its timer is set.
    pub(super) due: Option<Instant>,
    /// When old packets are to be forgotten, if there are any.
    pub(super) release_due: Option<Instant>,
}

/// One encoding of a track: one SSRC and its retransmissions.
#[derive(Debug)]
pub(super) struct Layer {
    /// Tells this source from those that were in its place before.
    pub(super) generation: u32,
    /// The media stream; 0 where it came over a link.
    pub(super) ssrc: u32,
    /// Loss and jitter.
    pub(super) receive: ReceiveStream,
    /// What to ask for again.
    pub(super) nack: NackGenerator,
    /// What can be sent again.
    pub(super) history: History,
    /// What makes its packets equally long.
    pub(super) padding: Padding,
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
    pub(super) fn new(feed: Feed, extensions: ExtensionMap, parameters: ReceiveParameters) -> Self {
        let layers = parameters.rids.len().max(1);
        Self {
            id: parameters.track,
            feed,
            extensions,
            parameters,
            muted: false,
            layers: (0..layers).map(|_| None).collect(),
            forwarded: None,
            subscriptions: Vec::new(),
            outlets: Vec::new(),
        }
    }

    /// The peer that publishes it, if that is on this shard.
    pub(super) fn publisher(&self) -> Option<usize> {
        match self.feed {
            Feed::Peer(peer) => Some(peer),
            Feed::Link(_) => None,
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
        let Some(slot) = self.layers.get(index) else {
            return;
        };
        if slot.as_ref().is_some_and(|layer| layer.ssrc == ssrc) {
            return;
        }
        self.begin_layer(now, index, *next_generation, ssrc);
        *next_generation = next_generation.wrapping_add(1);
    }

    /// Makes a layer in the place of whatever was there.
    pub(super) fn begin_layer(&mut self, now: Instant, index: usize, generation: u32, ssrc: u32) {
        let watched = self.is_watched();
        let Some(slot) = self.layers.get_mut(index) else {
            return;
        };
        let limits = history_limits(self.parameters.kind);
        let clock_rate = self
            .parameters
            .codecs
            .first()
            .map_or(90_000, |codec| codec.codec.clock_rate());
        let layer = slot.insert(Layer {
            generation,
            ssrc,
            receive: ReceiveStream::new(clock_rate),
            nack: NackGenerator::default(),
            history: History::new(limits),
            padding: Padding::default(),
            keyframes: KeyframeRequests::default(),
            clock: None,
            codec: None,
            last_packet: now,
            counts: LayerCounts::default(),
        });
        // Whoever waits for a picture is waiting for one of this layer now.
        if watched && self.forwarded.is_none_or(|forwarded| forwarded == index) {
            layer.keyframes.request(now);
        }
    }

    /// Whether somebody would look at a picture now.
    pub(super) fn is_watched(&self) -> bool {
        self.parameters.kind == MediaKind::Video && !self.muted && self.has_subscribers()
    }

    /// Whether anybody has subscribed to it, here or on another shard.
    pub(super) fn has_subscribers(&self) -> bool {
        !self.subscriptions.is_empty() || !self.outlets.is_empty()
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
