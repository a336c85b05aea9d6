//! Why is this tile black? What happened to each subscription lately, in a bounded list.
//!
//! Written where something happens to a picture that is not a packet: a keyframe is asked for, comes and is forwarded, a
//! layer changes and why, the network or the publisher turns out to be the limit. Read by control on request.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use slab::Slab;

use super::adapt::forwarded;
use super::peer::Place;
use super::subscription::Subscription;
use super::track::{Feed, Track};
use super::{
    Event, KeyframeReason, LayerReason, PeerId, Shard, TimelineEntry, TimelineEvent, TrackId, Wish,
};
use crate::forward::layers::LayerId;
use crate::rtp::MediaKind;

/// Entries of one subscription: the oldest make room for new ones.
const CAPACITY: usize = 32;

/// An estimate is noted when it differs from the last one that was by this part, in percent.
const OTHER_ESTIMATE: u64 = 20;

/// Estimates that follow each other so soon are one: it is still finding its place.
const ESTIMATES_APART: Duration = Duration::from_secs(2);

/// Loss below this is nothing that a viewer sees, in 1/256 as in receiver reports.
const SLIGHT_LOSS: u8 = 5;

/// Loss is noted at most this often.
const LOSSES_APART: Duration = Duration::from_secs(2);

/// Packets that are to come may take so long.
const PATIENCE: Duration = Duration::from_secs(1);

/// What happened to one subscription lately.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// Oldest first. Its room is taken with the first one.
    notes: VecDeque<Note>,
    /// Since when packets are to come.
    since: Option<Instant>,
    /// Nothing comes from the publisher.
    silent: bool,
    /// A keyframe was asked for, and none was forwarded since.
    asked: bool,
    /// The layer that was noted last, and the reason.
    layer: (Option<LayerId>, Option<LayerReason>),
    /// What the publisher does not send, as it was noted last.
    missing: Option<LayerId>,
    loss_at: Option<Instant>,
}

/// One entry.
#[derive(Clone, Copy, Debug)]
struct Note {
    /// When it happened last.
    at: Instant,
    /// How often it did, one after the other.
    count: u16,
    what: What,
}

const _: () = assert!(size_of::<Note>() <= 32);

/// What happened, in few bytes. Encodings are given by their index, which is named when somebody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Subscribed,
    Asked(KeyframeReason),
    Received(u8),
    Forwarded(u8),
    Layer {
        layer: Option<LayerId>,
        reason: Option<LayerReason>,
        size: Option<(u16, u16)>,
    },
    Paused,
    Resumed,
    Muted,
    Unmuted,
    Silent,
    Flowing,
    /// In kbit/s.
    Estimate(u32),
    /// In 1/256.
    Loss(u8),
    SenderLimited(LayerId),
    Codec,
}

impl Timeline {
    /// Something happened. What happens again and again is one entry.
    pub(super) fn note(&mut self, now: Instant, what: What) {
        if self.notes.capacity() < CAPACITY {
            self.notes.reserve_exact(CAPACITY);
        }
        if matches!(what, What::Subscribed | What::Resumed | What::Unmuted) {
            self.since = Some(now);
        }
        // A keyframe that came over a link is noted as of when its publisher sent it.
        let at = self.notes.back().map_or(now, |last| now.max(last.at));
        if let Some(known) = self.last_alike(at, &what) {
            let Some(known) = self.notes.remove(known) else {
                return;
            };
            let merged = merge(&known, at, what);
            self.notes.push_back(merged);
            return;
        }
        if self.notes.len() == CAPACITY {
            self.notes.pop_front();
        }
        let count = 1;
        self.notes.push_back(Note { at, count, what });
    }

    /// The entry that another of this kind belongs to.
    fn last_alike(&self, now: Instant, what: &What) -> Option<usize> {
        let last = self.notes.len().checked_sub(1)?;
        let note = &self.notes[last];
        match (what, &note.what) {
            (What::Asked(_), What::Asked(_)) => {
                // The viewer and the server ask in turns.
                let notes = self.notes.iter().enumerate().rev();
                notes
                    .take_while(|(_, note)| matches!(note.what, What::Asked(_)))
                    .find(|(_, note)| note.what == *what)
                    .map(|(index, _)| index)
            }
            (What::Estimate(_), What::Estimate(_)) => {
                (now < note.at + ESTIMATES_APART).then_some(last)
            }
            (What::Loss(_), What::Loss(_)) => Some(last),
            (what, known) => (*what == *known).then_some(last),
        }
    }

    /// A keyframe was asked for.
    pub(super) fn keyframe_asked(&mut self, now: Instant, reason: KeyframeReason) {
        self.asked = true;
        self.note(now, What::Asked(reason));
    }

    /// The viewer said what it lost since its last report, in 1/256.
    pub(super) fn lost(&mut self, now: Instant, fraction: u8) {
        let is_early = self.loss_at.is_some_and(|at| now < at + LOSSES_APART);
        if fraction > SLIGHT_LOSS && !is_early {
            self.loss_at = Some(now);
            self.note(now, What::Loss(fraction));
        }
    }

    /// Whether packets come; `expected` where they should.
    fn flow(&mut self, now: Instant, flows: bool, expected: bool) {
        let is_late = self.since.is_some_and(|since| now >= since + PATIENCE);
        if flows && self.silent {
            self.silent = false;
            self.note(now, What::Flowing);
        } else if !flows && !self.silent && expected && is_late {
            self.silent = true;
            self.note(now, What::Silent);
        }
    }
}

/// An entry that happened once more.
fn merge(known: &Note, at: Instant, what: What) -> Note {
    match (known.what, what) {
        // The newest value counts, from when the change began.
        (What::Estimate(_), What::Estimate(_)) => Note { what, ..*known },
        (before, what) => Note {
            at,
            count: known.count.saturating_add(1),
            what: match (before, what) {
                (What::Loss(before), What::Loss(now)) => What::Loss(before.max(now)),
                (_, what) => what,
            },
        },
    }
}

impl Subscription {
    /// Its video begins, or goes on, at a keyframe.
    pub(super) fn note_forwarded(&mut self, now: Instant, encoding: usize) {
        if self.parameters.kind == MediaKind::Video {
            self.timeline.asked = false;
            self.timeline.note(now, What::Forwarded(encoding as u8));
        }
    }

    /// The viewer needs something else.
    pub(super) fn note_wish(&mut self, now: Instant, before: &Wish) {
        match (before.paused, self.wish.paused) {
            (false, true) => self.timeline.note(now, What::Paused),
            (true, false) => self.timeline.note(now, What::Resumed),
            (_, _) => {}
        }
    }
}

impl Track {
    /// The publisher is asked for a keyframe of an encoding.
    pub(super) fn note_asked(
        &self,
        now: Instant,
        encoding: usize,
        subscriptions: &mut Slab<Subscription>,
    ) {
        for &index in self.followers.get(encoding).into_iter().flatten() {
            let subscription = &mut subscriptions[index];
            let selector = &subscription.selector;
            if subscription.awaits(encoding) && selector.needs_keyframe() {
                let reason = match selector.current() {
                    None => KeyframeReason::Start,
                    Some(_) => KeyframeReason::Switch,
                };
                subscription.timeline.keyframe_asked(now, reason);
            }
        }
    }

    /// Packets of an encoding were lost on their way here for good: nothing but a keyframe repairs that.
    pub(super) fn note_lost(
        &self,
        now: Instant,
        encoding: usize,
        subscriptions: &mut Slab<Subscription>,
    ) {
        for &index in self.followers.get(encoding).into_iter().flatten() {
            let subscription = &mut subscriptions[index];
            let current = subscription.selector.current();
            if current.is_some_and(|current| usize::from(current.encoding) == encoding) {
                let timeline = &mut subscription.timeline;
                timeline.keyframe_asked(now, KeyframeReason::Loss);
            }
        }
    }

    /// Whether anything of it comes from its publisher.
    fn is_flowing(&self, now: Instant) -> bool {
        let comes = self.layers.iter().flatten().any(|layer| layer.flows(now));
        comes
            || match &self.feed {
                Feed::Peer(_) => false,
                // What nobody here follows does not come here.
                Feed::Link(mirror) => mirror.encodings.iter().flatten().any(|state| state.flows),
            }
    }
}

impl Shard {
    /// Something happened to a track, of which each of its subscriptions shows nothing or something again.
    pub(super) fn note_track(&mut self, now: Instant, track: usize, what: What) {
        for &subscription in &self.tracks[track].subscriptions {
            self.subscriptions[subscription].timeline.note(now, what);
        }
    }

    /// A subscription begins.
    pub(super) fn note_subscribed(&mut self, now: Instant, index: usize) {
        let subscription = &mut self.subscriptions[index];
        subscription.timeline.note(now, What::Subscribed);
        let estimate = self.peers[subscription.peer].noted_estimate;
        if estimate > 0 {
            let what = What::Estimate(kilobits(estimate));
            subscription.timeline.note(now, what);
        }
        if let Some(track) = subscription.source
            && self.tracks[track].muted
        {
            subscription.timeline.note(now, What::Muted);
        }
    }

    /// A keyframe of an encoding came. It is of interest where one was waited for.
    pub(super) fn note_keyframe(&mut self, now: Instant, place: Place) {
        let track = &self.tracks[place.track];
        let Some(Some(layer)) = track.layers.get(place.layer) else {
            return;
        };
        for &index in track.followers.get(place.layer).into_iter().flatten() {
            let subscription = &mut self.subscriptions[index];
            let awaits = subscription.awaits(place.layer) && subscription.selector.needs_keyframe();
            if awaits || subscription.timeline.asked {
                let what = What::Received(place.layer as u8);
                subscription.timeline.note(now, what);
                // Otherwise it is noted where it is taken up.
                if subscription.follows(place.layer, layer) && subscription.decodable {
                    subscription.note_forwarded(now, place.layer);
                }
            }
        }
    }

    /// Packets of a track come again.
    pub(super) fn note_flowing(&mut self, now: Instant, track: usize) {
        for &subscription in &self.tracks[track].subscriptions {
            let timeline = &mut self.subscriptions[subscription].timeline;
            timeline.flow(now, true, true);
        }
    }

    /// Looks which of the tracks that a peer is to be sent do not come.
    pub(super) fn note_silence(&mut self, now: Instant, index: usize) {
        for &subscription in &self.peers[index].subscriptions {
            let subscription = &mut self.subscriptions[subscription];
            let track = subscription.source.map(|track| &self.tracks[track]);
            let flows = track.is_some_and(|track| track.is_flowing(now));
            let muted = track.is_some_and(|track| track.muted);
            let expected = !muted && !subscription.wish.paused;
            subscription.timeline.flow(now, flows, expected);
        }
    }

    /// What a peer's network carries may be another now.
    pub(super) fn note_estimate(&mut self, now: Instant, index: usize) {
        let peer = &mut self.peers[index];
        let Some(estimate) = peer.estimate() else {
            return;
        };
        let before = peer.noted_estimate;
        if estimate.abs_diff(before) * 100 <= before * OTHER_ESTIMATE {
            return;
        }
        peer.noted_estimate = estimate;
        let what = What::Estimate(kilobits(estimate));
        for &subscription in &peer.subscriptions {
            self.subscriptions[subscription].timeline.note(now, what);
        }
    }

    /// A subscription's layer was looked at.
    pub(super) fn note_layers(&mut self, now: Instant, index: usize) {
        let subscription = &mut self.subscriptions[index];
        let Some(track) = subscription.source.map(|track| &self.tracks[track]) else {
            return;
        };
        let timeline = &mut subscription.timeline;
        let reason = subscription.reason;
        let missing = subscription
            .ideal
            .filter(|_| reason == Some(LayerReason::Publisher));
        if std::mem::replace(&mut timeline.missing, missing) != missing
            && let Some(missing) = missing
        {
            timeline.note(now, What::SenderLimited(missing));
        }
        if subscription.wish.paused || !subscription.decodable {
            timeline.layer = (None, None);
            return;
        }
        let selector = &subscription.selector;
        let layer = selector.current();
        if layer.is_none() && selector.target().is_some() {
            // It waits for a keyframe, which is noted as such.
            return;
        }
        let (told_layer, told_reason) = std::mem::replace(&mut timeline.layer, (layer, reason));
        let other_layer = told_layer != layer && (layer.is_none() || track.has_layers());
        if told_reason != reason || other_layer {
            let size = layer.and_then(|layer| size_of_layer(track, layer));
            let what = What::Layer {
                layer,
                reason,
                size,
            };
            timeline.note(now, what);
        }
    }

    /// Answers a request for the timeline of one track that a peer is sent.
    pub(super) fn tell_timeline(&mut self, now: Instant, id: PeerId, track: TrackId) {
        let Some(&index) = self.peer_by_id.get(&id) else {
            return;
        };
        let subscriptions = self.peers[index].subscriptions.iter();
        let subscription = subscriptions
            .map(|&subscription| &self.subscriptions[subscription])
            .find(|subscription| subscription.parameters.track == track);
        let entries = subscription
            .map(|subscription| self.entries(now, subscription))
            .unwrap_or_default();
        self.events.push_back(Event::Timeline {
            peer: id,
            track,
            entries,
        });
    }

    /// Answers a request for all timelines of a peer.
    pub(super) fn tell_timelines(&mut self, now: Instant, id: PeerId) {
        let Some(&index) = self.peer_by_id.get(&id) else {
            return;
        };
        let subscriptions = self.peers[index].subscriptions.iter();
        let timelines = subscriptions
            .map(|&subscription| &self.subscriptions[subscription])
            .map(|subscription| {
                let track = subscription.parameters.track;
                (track, self.entries(now, subscription))
            })
            .collect();
        self.events.push_back(Event::Timelines {
            peer: id,
            timelines,
        });
    }

    fn entries(&self, now: Instant, subscription: &Subscription) -> Vec<TimelineEntry> {
        let track = subscription.source.map(|track| &self.tracks[track]);
        let notes = subscription.timeline.notes.iter();
        notes
            .map(|note| TimelineEntry {
                age: now.saturating_duration_since(note.at),
                count: note.count,
                event: in_words(track, note.what),
            })
            .collect()
    }
}

/// Names the encodings of what happened.
fn in_words(track: Option<&Track>, what: What) -> TimelineEvent {
    let rid = |encoding: u8| {
        let rids = &track?.parameters.rids;
        rids.get(usize::from(encoding)).copied()
    };
    let name = |layer: LayerId| forwarded(track, layer);
    match what {
        What::Subscribed => TimelineEvent::Subscribed,
        What::Asked(reason) => TimelineEvent::KeyframeAsked(reason),
        What::Received(encoding) => TimelineEvent::KeyframeReceived(rid(encoding)),
        What::Forwarded(encoding) => TimelineEvent::KeyframeForwarded(rid(encoding)),
        What::Layer {
            layer,
            reason,
            size,
        } => TimelineEvent::Layer {
            layer: layer.map(name),
            reason,
            size,
        },
        What::Paused => TimelineEvent::Paused,
        What::Resumed => TimelineEvent::Resumed,
        What::Muted => TimelineEvent::Muted,
        What::Unmuted => TimelineEvent::Unmuted,
        What::Silent => TimelineEvent::Silent,
        What::Flowing => TimelineEvent::Flowing,
        What::Estimate(kilobits) => TimelineEvent::Estimate(u64::from(kilobits) * 1_000),
        What::Loss(fraction) => TimelineEvent::Loss(f32::from(fraction) / 256.0),
        What::SenderLimited(layer) => TimelineEvent::SenderLimited(name(layer)),
        What::Codec => TimelineEvent::Codec,
    }
}

/// Width and height of a layer, where they are known: those of the best one of its encoding are.
fn size_of_layer(track: &Track, layer: LayerId) -> Option<(u16, u16)> {
    let encoding = usize::from(layer.encoding);
    let (size, top) = match (track.layers.get(encoding), &track.feed) {
        (Some(Some(known)), _) if known.size.is_some() => (known.size, known.rates.top()),
        (_, Feed::Link(mirror)) => {
            let state = mirror.encodings.get(encoding)?.as_ref()?;
            (state.size, state.rates.top())
        }
        (_, Feed::Peer(_)) => return None,
    };
    size.filter(|_| usize::from(layer.spatial) >= top.0)
}

fn kilobits(bitrate: u64) -> u32 {
    u32::try_from(bitrate / 1_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn whats(timeline: &Timeline) -> Vec<(What, u16)> {
        let notes = timeline.notes.iter();
        notes.map(|note| (note.what, note.count)).collect()
    }

    #[test]
    fn what_happens_again_and_again_is_one_entry() {
        let start = Instant::now();
        let mut timeline = Timeline::default();
        timeline.note(start, What::Subscribed);
        for n in 0..100 {
            let reason = match n % 2 {
                0 => KeyframeReason::Viewer,
                _ => KeyframeReason::Start,
            };
            timeline.keyframe_asked(start + ms(n), reason);
        }
        timeline.lost(start + ms(200), 40);
        timeline.lost(start + ms(300), 80);
        timeline.lost(start + ms(2200), 20);
        timeline.lost(start + ms(4200), 4);
        timeline.note(start + ms(5000), What::Estimate(300));
        timeline.note(start + ms(5500), What::Estimate(500));
        timeline.note(start + ms(7500), What::Estimate(900));
        let expected = [
            (What::Subscribed, 1),
            (What::Asked(KeyframeReason::Viewer), 50),
            (What::Asked(KeyframeReason::Start), 50),
            (What::Loss(40), 2),
            (What::Estimate(500), 1),
            (What::Estimate(900), 1),
        ];
        assert_eq!(whats(&timeline), expected);
        assert_eq!(timeline.notes[4].at, start + ms(5000));
    }

    #[test]
    fn it_is_bounded_and_takes_its_room_once() {
        let start = Instant::now();
        let mut timeline = Timeline::default();
        timeline.note(start, What::Subscribed);
        let room = timeline.notes.capacity();
        for n in 0..1_000 {
            let what = if n % 2 == 0 {
                What::Paused
            } else {
                What::Resumed
            };
            timeline.note(start + ms(n), what);
        }
        assert_eq!(
            (timeline.notes.len(), timeline.notes.capacity()),
            (CAPACITY, room)
        );
        assert_eq!(timeline.notes[CAPACITY - 1].at, start + ms(999));
    }

    #[test]
    fn it_never_goes_back_in_time() {
        let start = Instant::now();
        let mut timeline = Timeline::default();
        timeline.note(start + ms(10), What::Subscribed);
        timeline.note(start, What::Received(0));
        assert_eq!(timeline.notes[1].at, start + ms(10));
    }
}
