//! One published source, and its layers as they arrive: from a peer, or over a link from the peer's shard.

use std::time::{Duration, Instant};

use super::link::{MirrorId, Outlet};
use super::{ReceiveParameters, TrackId};
use crate::forward::layers::{
    Encoding, EncodingSet, Progress, RateMeter, Rung, Stall, WantedEncodings, ladder,
};
use crate::forward::{
    History, HistoryLimits, KeyframeRequests, NackGenerator, Packet, Padding, ReceiveStream,
    Redundancy, SenderClock,
};
use crate::rtp::descriptor::{DescriptorReader, DescriptorSummary};
use crate::rtp::payload::frame_size;
use crate::rtp::{Codec, ExtensionMap, Extensions, LayersAllocation, MediaKind};

/// A layer that was silent for this long is taken for switched off by its sender.
const SILENT: Duration = Duration::from_secs(1);

/// A keyframe takes so long at most on a slow network, in which no other picture of its encoding comes.
const KEYFRAME: Duration = Duration::from_millis(2_500);

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
    /// For each encoding the subscriptions that are sent it, or are to be.
    pub(super) followers: Vec<Vec<usize>>,
    /// Which encodings its publisher was told to send.
    pub(super) wanted: WantedEncodings,
    /// The subscriptions to it.
    pub(super) subscriptions: Vec<usize>,
    /// What the choice of the loudest calls it, if it is audio that is published here.
    pub(super) member: Option<usize>,
    /// While others are louder: the first packet that was not forwarded.
    pub(super) left_out: Option<u64>,
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
    /// What its home says of its encodings.
    pub(super) encodings: Vec<Option<EncodingState>>,
    /// The encodings that the home was asked for, and those that it was told are wanted.
    pub(super) asked: (EncodingSet, EncodingSet),
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
    /// What packets of RED hold of lost ones.
    pub(super) redundancy: Redundancy,
    /// When to ask for a keyframe.
    pub(super) keyframes: KeyframeRequests,
    /// The publisher's clock, once it told it.
    pub(super) clock: Option<SenderClock>,
    /// What the last packet carried.
    pub(super) codec: Option<Codec>,
    /// When the last packet came.
    pub(super) last_packet: Instant,
    /// What its layers cost.
    pub(super) rates: RateMeter,
    /// Whether it keeps up with the others of its track.
    pub(super) stall: Stall,
    /// Width and height of its best picture, where the publisher says them.
    pub(super) size: Option<(u16, u16)>,
    /// Its number where its publisher says which encodings it sends.
    allocated: Option<u8>,
    /// What its dependency descriptors said so far.
    descriptors: Option<Box<DescriptorReader>>,
    /// The picture that came last, and its temporal layer as its first packet said it.
    picture: Option<(u32, u8)>,
    /// Counters for statistics.
    pub(super) counts: LayerCounts,
}

/// What a choice of layers must know of one encoding.
#[derive(Clone, Debug)]
pub(super) struct EncodingState {
    /// What its layers cost.
    pub(super) rates: RateMeter,
    /// Width and height of its best picture.
    pub(super) size: Option<(u16, u16)>,
    /// Packets come.
    pub(super) flows: bool,
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
            followers: vec![Vec::new(); layers],
            wanted: WantedEncodings::new(layers),
            subscriptions: Vec::new(),
            member: None,
            left_out: None,
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

    /// The same track from other SSRCs: its layers begin anew, and nobody follows any of them.
    pub(super) fn restart(&mut self, parameters: ReceiveParameters) {
        let layers = parameters.rids.len().max(1);
        self.layers = (0..layers).map(|_| None).collect();
        self.followers = vec![Vec::new(); layers];
        self.wanted = WantedEncodings::new(layers);
        self.left_out = None;
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
        let watched = self.is_watched(index);
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
            redundancy: Redundancy::default(),
            keyframes: KeyframeRequests::default(),
            clock: None,
            codec: None,
            last_packet: now,
            rates: RateMeter::default(),
            stall: Stall::default(),
            size: None,
            allocated: None,
            descriptors: None,
            picture: None,
            counts: LayerCounts::default(),
        });
        // Whoever waits for a picture is waiting for one of this layer now.
        if watched {
            layer.keyframes.request(now);
        }
    }

    /// Whether somebody would look at a picture of this encoding now.
    pub(super) fn is_watched(&self, encoding: usize) -> bool {
        let is_followed = self
            .followers
            .get(encoding)
            .is_some_and(|followers| !followers.is_empty())
            || self.outlets.iter().any(|outlet| outlet.follows(encoding));
        self.parameters.kind == MediaKind::Video && !self.muted && is_followed
    }

    /// What could be sent of it.
    pub(super) fn ladder(&self, now: Instant) -> Vec<Rung> {
        let encodings: Vec<Encoding<'_>> = match &self.feed {
            Feed::Peer(_) => {
                let layers = self.layers.iter().map(Option::as_ref);
                layers
                    .map(|layer| Encoding {
                        rates: layer.map(|layer| &layer.rates),
                        height: layer.and_then(|layer| Some(layer.size?.1)),
                        available: layer.is_some_and(|layer| layer.is_available(now)),
                    })
                    .collect()
            }
            Feed::Link(mirror) => {
                let encoding = |index: usize| {
                    let state = mirror.encodings.get(index).and_then(Option::as_ref);
                    Encoding {
                        rates: state.map(|state| &state.rates),
                        height: state.and_then(|state| Some(state.size?.1)),
                        available: state.is_some_and(|state| state.flows),
                    }
                };
                (0..self.layers.len()).map(encoding).collect()
            }
        };
        ladder(&encodings)
    }

    /// A packet of an encoding came. Returns whether that shows that one of them has stalled, or does not any more.
    pub(super) fn observe_progress(&mut self, now: Instant, index: usize, timestamp: u32) -> bool {
        if self.layers.len() < 2 {
            return false;
        }
        let Some(Some(layer)) = self.layers.get_mut(index) else {
            return false;
        };
        let progress = layer.stall.observe(now, timestamp);
        if progress == Progress::None {
            return false;
        }
        let mut changed = progress == Progress::Recovered;
        // Only a lesser encoding can be sent instead of one that has stalled.
        let cost = layer.rates.total();
        for (other, layer) in self.layers.iter_mut().enumerate() {
            if let Some(layer) = layer
                && layer.rates.total() > cost
                && !layer.keyframes.was_asked(now, KEYFRAME)
                && self.wanted.is_due(now, other)
            {
                changed |= layer.stall.fall_behind(now);
            }
        }
        changed
    }

    /// A packet of an encoding says which of them are sent. Returns whether that shows that one has stopped that was asked
    /// for: its silence would show it much later.
    pub(super) fn observe_allocation(
        &mut self,
        now: Instant,
        index: usize,
        allocation: LayersAllocation,
    ) -> bool {
        if let Some(Some(layer)) = self.layers.get_mut(index) {
            layer.allocated = Some(allocation.stream);
        }
        let mut changed = false;
        for (other, layer) in self.layers.iter_mut().enumerate() {
            if let Some(layer) = layer
                && other != index
                && layer
                    .allocated
                    .is_some_and(|number| !allocation.is_active(number))
                && layer.flows(now)
                && self.wanted.is_due(now, other)
            {
                changed |= layer.stall.stop(now);
            }
        }
        changed
    }

    /// Whether an older packet, of this number, belongs to what is forwarded.
    pub(super) fn is_heard_at(&self, sequence: u64) -> bool {
        self.left_out.is_none_or(|since| sequence < since)
    }

    /// What its sound takes now, in bits a second.
    pub(super) fn audio_rate(&self, now: Instant) -> Option<u64> {
        if self.left_out.is_some() {
            return None;
        }
        let layer = self.layers.first()?.as_ref()?;
        layer.flows(now).then(|| layer.rates.rate(0, 0))?
    }

    /// A subscription is sent an encoding, or is to be.
    pub(super) fn follow(&mut self, encoding: usize, subscription: usize) {
        if let Some(followers) = self.followers.get_mut(encoding)
            && !followers.contains(&subscription)
        {
            followers.push(subscription);
        }
    }

    /// It is not any more.
    pub(super) fn unfollow(&mut self, encoding: usize, subscription: usize) {
        if let Some(followers) = self.followers.get_mut(encoding) {
            followers.retain(|&other| other != subscription);
            if followers.is_empty()
                && !self.is_watched(encoding)
                && let Some(Some(layer)) = self.layers.get_mut(encoding)
            {
                layer.keyframes.cancel();
            }
        }
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

    /// Forgets the packets that could be sent again, since what comes next does not follow them.
    pub(super) fn forget_history(&mut self) {
        for layer in self.layers.iter_mut().flatten() {
            layer.history = History::new(history_limits(self.parameters.kind));
        }
    }
}

impl Layer {
    /// Whether packets come.
    pub(super) fn flows(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last_packet) <= SILENT
    }

    /// Whether it is worth sending on: packets come, and pictures as often as of others.
    pub(super) fn is_available(&self, now: Instant) -> bool {
        self.flows(now) && !self.stall.is_stalled()
    }

    /// From when on it is silent, if it is not yet and nothing more comes.
    pub(super) fn silent_at(&self, now: Instant) -> Option<Instant> {
        let at = self.last_packet + SILENT + Duration::from_millis(1);
        (at > now).then_some(at)
    }

    /// What the dependency descriptor of a packet says, if it has one.
    pub(super) fn describe(
        &mut self,
        timestamp: u32,
        extensions: &Extensions<'_>,
    ) -> Option<DescriptorSummary> {
        let descriptor = extensions.dependency_descriptor?;
        self.descriptors
            .get_or_insert_default()
            .read(descriptor, timestamp)
    }

    /// Takes from a packet of video what it says about its picture, and adds what only an earlier one said.
    pub(super) fn look_at(&mut self, codec: Codec, packet: &mut Packet<'_>) {
        if packet.keyframe_start {
            let structure = self
                .descriptors
                .as_ref()
                .and_then(|reader| reader.structure());
            let sizes = frame_size(codec, packet.payload, structure);
            self.size = sizes.and_then(|sizes| sizes.largest()).or(self.size);
        }
        // Of a picture of H.264 only the first packet says its temporal layer.
        if let (Codec::H264 { .. }, None) = (codec, packet.numbers.frame_number) {
            let timestamp = packet.numbers.timestamp;
            match self.picture {
                Some((of, temporal)) if of == timestamp => {
                    packet.tag.temporal = packet.tag.temporal.max(temporal);
                }
                _ => self.picture = Some((timestamp, packet.tag.temporal)),
            }
        }
    }

    /// A packet came.
    pub(super) fn arrived(&mut self, now: Instant) {
        if !self.flows(now) {
            self.rates.pause();
            self.stall.restart(now);
        }
        self.last_packet = now;
    }
}

fn history_limits(kind: MediaKind) -> HistoryLimits {
    match kind {
        MediaKind::Audio => HistoryLimits::AUDIO,
        MediaKind::Video => HistoryLimits::VIDEO,
    }
}
