//! What a peer is sent of the past: a fresh keyframe and what followed it, for a newcomer or at another layer, and packets
//! that it asks for again.
//!
//! The server has all of it at hand, so that it would leave in one burst and overflow the queue of a narrow network. It
//! leaves as the peer's [`Pacer`] allows instead. A replay is a place in the history of a layer: while it is behind, what
//! comes live of that layer is not sent to the subscription, which finds it in the history when it gets there. A keyframe
//! that comes live goes that way too where it is long for the network: its publisher has sent it as fast as its own allows.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::adapt::SPEECHLESS;
use super::fanout::{Copy, Outgoing, report_now, send_copy};
use super::peer::Peer;
use super::subscription::Subscription;
use super::timers::{Timer, Timers};
use super::track::{Layer, Track};
use super::{Batch, Shard};
use crate::forward::layers::Gate;
use crate::forward::{DropCounts, DropReason, Pacer, Packet, RedForm};
use crate::rtp::{Codec, Extension, MediaKind, PassedOn};

/// A newcomer is served from the history if the keyframe in it is at most this old. An older one would
/// make it play a long catch-up, and a new keyframe is nearly as quick.
pub(super) const FRESH_KEYFRAME: Duration = Duration::from_millis(800);

/// … and if no more packets than this follow it: a new keyframe would be smaller.
pub(super) const CATCH_UP_PACKETS: usize = 200;

/// A replay is over after this, however slow the network seems: who watches should not lag behind for longer, and the
/// history keeps nothing much older.
const LONGEST: Duration = Duration::from_millis(500);

/// The same for a keyframe that came live, beside which nobody lags behind.
const LONGEST_HELD: Duration = Duration::from_secs(1);

/// A keyframe that comes live is held where it takes longer than this to pass.
const LONG_KEYFRAME: Duration = Duration::from_millis(80);

/// The bytes of one of which nothing is known.
const UNKNOWN_KEYFRAME: u64 = 20_000;

/// What a network is taken to carry at least before it was heard from, in bits a second: more than its video is taken to
/// need, since nothing is seen before a keyframe is there.
const FIRST_RATE: u64 = 600_000;

/// What one is taken to carry of which nothing will be known.
const UNKNOWN: u64 = 4_000_000;

/// Bytes that a packet has on the wire beside its own.
const HEADERS: u64 = 50;

/// Packets that wait to be sent again; more are forgotten, and asked for once more if they are still of use.
const MAX_REPAIRS: usize = 128;

/// What is sent of the past to one peer.
#[derive(Debug, Default)]
pub(super) struct Outflow {
    pacer: Pacer,
    /// The subscriptions with a replay, in the order in which they get there.
    replays: VecDeque<usize>,
    /// SSRCs and numbers of packets to send again. They go first: a picture waits for them.
    repairs: VecDeque<(u32, u16)>,
    /// When to go on.
    pub(super) due: Option<Instant>,
}

/// A subscription's place in the past of the layer that it follows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replay {
    /// The encoding that is replayed, and the timestamp of the keyframe at which that began.
    encoding: usize,
    keyframe: u32,
    /// The next number of the source. Packets before it were sent, left out, or are missing.
    next: u64,
    /// When it must have caught up.
    deadline: Instant,
    /// Whether the keyframe came live, and whether more of it is to come.
    live: bool,
    incomplete: bool,
}

/// Where a packet that just came is, as a replay sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meeting {
    /// It comes late, and is sent at once.
    Before,
    /// It waits.
    Behind,
    /// It is a new keyframe: what was not sent by now is of no use any more.
    Overtakes,
}

impl Replay {
    /// `awaited` says whether the encoding is the one that is to be sent.
    pub(super) fn meet(&self, packet: &Packet<'_>, awaited: bool) -> Meeting {
        let numbers = &packet.numbers;
        if numbers.sequence < self.next {
            Meeting::Before
        } else if packet.keyframe_start && awaited && numbers.timestamp != self.keyframe {
            Meeting::Overtakes
        } else {
            Meeting::Behind
        }
    }

    /// One of the encoding whose keyframe begins with this packet, and comes now.
    pub(super) fn held(now: Instant, encoding: usize, packet: &Packet<'_>) -> Self {
        Self {
            encoding,
            keyframe: packet.numbers.timestamp,
            next: packet.numbers.sequence,
            deadline: now + LONGEST_HELD,
            live: true,
            incomplete: true,
        }
    }

    /// Whether the packet of this number is still to come.
    pub(super) fn is_before(&self, sequence: u64) -> bool {
        self.next <= sequence
    }
}

impl Shard {
    /// Begins to send a subscription what of its target came since the last keyframe.
    pub(super) fn replay_keyframe(
        &mut self,
        now: Instant,
        index: usize,
        batch: &mut Batch,
    ) -> Option<()> {
        let Self {
            peers,
            tracks,
            subscriptions,
            timers,
            ..
        } = self;
        let subscription = &mut subscriptions[index];
        let source_track = subscription.source?;
        let track = &tracks[source_track];
        if track.muted || track.parameters.kind == MediaKind::Audio {
            return None;
        }
        let encoding = usize::from(subscription.selector.target()?.encoding);
        let left = subscription.selector.current();
        let layer = track.layers.get(encoding)?.as_ref()?;
        let history = &layer.history;
        let since = history.since_keyframe(now, CATCH_UP_PACKETS, FRESH_KEYFRAME);
        let first = since?.next()?;
        let codec = layer.codec?;
        subscription.payload_type(first.payload_type)?;
        let congested = peers[subscription.peer].is_congested();
        subscription.take_up(now, layer.generation, codec, &first, congested);
        subscription.replay = Some(Replay {
            encoding,
            keyframe: first.numbers.timestamp,
            next: first.numbers.sequence,
            deadline: now + LONGEST,
            live: false,
            incomplete: false,
        });
        subscription.codec = Some(codec);
        subscription.note_forwarded(now, encoding);
        let receiver = subscription.peer;
        let peer = &mut peers[receiver];
        peer.adapt_soon(now, receiver, timers);
        if !peer.outflow.replays.contains(&index) {
            peer.outflow.replays.push_back(index);
        }
        if let Some(left) = left.filter(|left| usize::from(left.encoding) != encoding) {
            tracks[source_track].unfollow(usize::from(left.encoding), index);
        }
        self.send_past(now, receiver, batch);
        Some(())
    }

    /// Sends a packet again that a peer misses, now or as soon as its network has room.
    pub(super) fn repair(
        &mut self,
        now: Instant,
        index: usize,
        ssrc: u32,
        sequence: u16,
        batch: &mut Batch,
    ) {
        let outflow = &mut self.peers[index].outflow;
        if outflow.repairs.contains(&(ssrc, sequence)) {
            self.drops.count(DropReason::Duplicate);
            return;
        }
        if outflow.repairs.len() >= MAX_REPAIRS {
            self.drops.count(DropReason::RateLimited);
            return;
        }
        outflow.repairs.push_back((ssrc, sequence));
        if outflow.repairs.len() == 1 {
            self.send_past(now, index, batch);
        }
    }

    /// Goes on with what is sent of the past, if it is time.
    pub(super) fn send_kept(&mut self, now: Instant, index: usize, batch: &mut Batch) {
        if self.peers[index].outflow.due.is_some_and(|due| due <= now) {
            self.send_past(now, index, batch);
        }
    }

    fn send_past(&mut self, now: Instant, index: usize, batch: &mut Batch) {
        let rate = self.pace(now, index);
        self.peers[index].outflow.pacer.refill(now, rate);
        let repaired = self.send_repairs(now, index, batch);
        let over = self.send_replays(now, index, batch) && repaired;
        let outflow = &mut self.peers[index].outflow;
        outflow.due = (!over).then(|| outflow.pacer.next(now, rate));
        let due = outflow.due;
        self.lower(index, due);
    }

    /// Returns whether nothing is left.
    fn send_repairs(&mut self, now: Instant, index: usize, batch: &mut Batch) -> bool {
        loop {
            let peer = &mut self.peers[index];
            let Some(&(ssrc, sequence)) = peer.outflow.repairs.front() else {
                return true;
            };
            if !peer.outflow.pacer.may_send() || !peer.may_repair(now) {
                return false;
            }
            peer.outflow.repairs.pop_front();
            let size = self.retransmit(now, index, ssrc, sequence, batch);
            self.peers[index].outflow.pacer.sent(size);
        }
    }

    /// The first that began goes first, so that its picture is there early; late ones do not wait for it. Returns whether
    /// nothing is left.
    fn send_replays(&mut self, now: Instant, index: usize, batch: &mut Batch) -> bool {
        let Self {
            peers,
            tracks,
            subscriptions,
            drops,
            timers,
            ..
        } = self;
        let peer = &mut peers[index];
        let mut replays = std::mem::take(&mut peer.outflow.replays);
        replays.retain(|&subscription| {
            let subscription = subscriptions.get_mut(subscription);
            let Some(subscription) = subscription.filter(|this| this.peer == index) else {
                return false;
            };
            let Some((track, layer)) = subscription.replayed(tracks) else {
                subscription.replay = None;
                return false;
            };
            if !peer.can_receive() {
                subscription.wait_for_keyframe();
                return false;
            }
            let is_over = subscription.go_on(now, peer, track, layer, drops, batch);
            if is_over && layer.clock.is_some() {
                // The clock of a stream that begins or goes on elsewhere is told at once, so that lips are in step early.
                report_now(now, index, peer, timers);
            }
            !is_over
        });
        peer.outflow.replays = replays;
        peer.outflow.replays.is_empty()
    }

    /// How fast a peer is sent what is of the past, in bits a second: faster than its network seems to be, and so fast
    /// that replays end in time.
    fn pace(&self, now: Instant, index: usize) -> u64 {
        let peer = &self.peers[index];
        let left = |&subscription: &usize| {
            let subscription = self.subscriptions.get(subscription)?;
            let replay = subscription.replay?;
            let (_, layer) = subscription.replayed(&self.tracks)?;
            let (bytes, packets) = layer.history.amount_from(replay.next);
            let time = replay.deadline.saturating_duration_since(now);
            let ms = (time.as_millis() as u64).max(1);
            Some((bytes + packets * HEADERS) * 8 * 1_000 / ms)
        };
        let in_time: u64 = peer.outflow.replays.iter().filter_map(left).sum();
        let carried = peer.presumed_rate(now);
        Pacer::rate(carried, self.audio_rate(now, index)).max(in_time)
    }
}

impl Subscription {
    /// The layer that it is sent the past of, as long as it follows that.
    fn replayed<'a>(&self, tracks: &'a slab::Slab<Track>) -> Option<(&'a Track, &'a Layer)> {
        let encoding = self.replay?.encoding;
        let track = tracks.get(self.source?)?;
        let layer = track.layers.get(encoding)?.as_ref()?;
        let goes_on = !track.muted && !self.wish.paused && self.follows(encoding, layer);
        goes_on.then_some((track, layer))
    }

    /// Sends as much of its replay as may leave now. Returns whether it has caught up.
    fn go_on(
        &mut self,
        now: Instant,
        peer: &mut Peer,
        track: &Track,
        layer: &Layer,
        drops: &mut DropCounts,
        batch: &mut Batch,
    ) -> bool {
        while let Some(replay) = &mut self.replay {
            let sequence = replay.next;
            if sequence >= layer.history.end() {
                if replay.incomplete && now < replay.deadline {
                    return false;
                }
                self.replay = None;
                break;
            }
            if now < replay.deadline && !peer.outflow.pacer.may_send() {
                return false;
            }
            replay.next += 1;
            // What is missing goes out when it comes.
            let Some(packet) = layer.history.packet(now, sequence) else {
                continue;
            };
            replay.incomplete &= packet.numbers.timestamp == replay.keyframe && !packet.marker;
            match self.send_replayed(now, peer, track, layer, &packet, batch) {
                Ok(size) => peer.outflow.pacer.sent(size),
                Err(reason) => drops.count(reason),
            }
        }
        true
    }

    fn send_replayed(
        &mut self,
        now: Instant,
        peer: &mut Peer,
        track: &Track,
        layer: &Layer,
        packet: &Packet<'_>,
        batch: &mut Batch,
    ) -> Result<usize, DropReason> {
        let numbers = &packet.numbers;
        if packet.payload.is_empty() {
            self.rewriter.skip(numbers, false);
            return Err(DropReason::PaddingOnly);
        }
        let Some(payload_type) = self.payload_type(packet.payload_type) else {
            self.rewriter.skip(numbers, false);
            return Err(DropReason::NoCodec);
        };
        let Gate::Forward { ends_picture } = self.gate(packet) else {
            let closes_gap = layer.codec == Some(Codec::Vp8);
            self.rewriter.skip(numbers, closes_gap);
            return Err(DropReason::OtherLayer);
        };
        let is_live = self.replay.is_some_and(|replay| replay.live);
        let rewritten = if is_live {
            self.rewriter.map(now, numbers)
        } else {
            self.rewriter.map_replayed(now, numbers)
        };
        let out = Outgoing {
            payload_type,
            payload: packet.payload,
            form: RedForm::Whole,
            marker: packet.marker || ends_picture,
            numbers: rewritten.ok_or(DropReason::Stale)?,
            passed: &PassedOn::read(packet.extensions, &track.extensions),
            wait: false,
            probe: None,
        };
        send_copy(now, peer, self, packet, &out, Copy::Media, batch)
    }
}

impl Peer {
    /// Whether a keyframe of so many bytes, 0 where that is not known, takes long to pass.
    pub(super) fn is_narrow_for(&self, now: Instant, keyframe: u64) -> bool {
        let bytes = if keyframe == 0 {
            UNKNOWN_KEYFRAME
        } else {
            keyframe
        };
        bytes * 8_000 > self.presumed_rate(now) * LONG_KEYFRAME.as_millis() as u64
    }

    /// Lets one of its subscriptions be sent in this tick what it is behind with.
    pub(super) fn replay_soon(
        &mut self,
        now: Instant,
        index: usize,
        subscription: usize,
        timers: &mut Timers,
    ) {
        if !self.outflow.replays.contains(&subscription) {
            self.outflow.replays.push_back(subscription);
        }
        self.outflow.due = Some(now);
        timers.lower(Timer::Peer(index), &mut self.due, now);
    }

    /// What its network carries, as far as anything is known of it, in bits a second.
    fn presumed_rate(&self, now: Instant) -> u64 {
        let since = self.media_since.unwrap_or(now);
        match &self.bandwidth {
            Some(bandwidth) if bandwidth.is_informed() => bandwidth.estimate(),
            _ if now > since + SPEECHLESS => UNKNOWN,
            Some(bandwidth) => bandwidth.estimate().max(FIRST_RATE),
            // One that could say something about arrivals will be asked with the first packet.
            None if self.extensions.id(Extension::TransportCc).is_some() => FIRST_RATE,
            None => UNKNOWN,
        }
    }
}
