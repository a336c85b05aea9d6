//! Who gets which layer: a few times a second, and whenever something changed, each peer's share of its network is divided
//! among the tracks that it watches.

use std::time::{Duration, Instant};

use super::peer::Peer;
use super::subscription::Subscription;
use super::timers::{Timer, Timers};
use super::track::{Feed, Track};
use super::{Batch, Event, ForwardedLayer, LayerReason, Shard, Wish};
use crate::forward::layers::{Demand, EncodingSet, LayerId, Rung, allocate};
use crate::rtp::{Extension, MediaKind};

/// How often a peer's layers are looked at when nothing happens.
const INTERVAL: Duration = Duration::from_millis(500);

/// A track of which not even the lowest layer fits is sent so long all the same: an estimate may be low for a moment, and
/// is at the beginning.
const STARVING: Duration = Duration::from_secs(1);

/// After a step down nothing rises for so long; twice that when it was a step up that failed, and so on up to the longest.
const RISE_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_RISE_PAUSE: Duration = Duration::from_secs(16);

/// A step down so soon after one up says that the one up was a mistake.
const RISE_TRIAL: Duration = Duration::from_secs(5);

/// What is sent of a layer that is to be left may exceed what the network carries by this, in percent, until the keyframe
/// of the next one is there. Beyond, it would only fill a queue that the keyframe has to pass.
const OVERRUN: u64 = 130;

/// What is probed for, in percent of what the best rungs demand: a little more.
const DEMAND: u64 = 105;

/// A peer that was sent media for so long without a word about its arrival will say nothing.
pub(super) const SPEECHLESS: Duration = Duration::from_secs(1);

/// What the video of a peer is taken to have before it was sent anything, in bits a second.
const FIRST_BUDGET: u64 = 300_000;

/// What is sent again may take this share of an estimate at most.
const MAX_REPEATED: f64 = 0.3;

/// An estimate that fell to less than this share of what it was falls steeply.
const STEEP: f64 = 0.6;

/// What follows a steep fall is taken to be no steeper than this.
const STEEPEST: f64 = 0.4;

/// Layers are looked at when the estimate is less or more than before by these, in percent.
const LESS: u64 = 97;
const MORE: u64 = 105;

/// A picture with this part of the lines that the viewer shows is enough, in percent.
const ENOUGH: u32 = 90;

/// When a peer's layers are looked at, and may rise.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Adaptation {
    /// When they are looked at next.
    pub(super) due: Option<Instant>,
    /// The estimate that they were chosen by.
    estimate: u64,
    /// Before this nothing rises.
    rise_at: Option<Instant>,
    /// How long the last pause was.
    pause: Duration,
    risen: Option<Instant>,
}

impl Adaptation {
    fn may_rise(&self, now: Instant) -> bool {
        self.rise_at.is_none_or(|at| now >= at)
    }

    fn rose(&mut self, now: Instant) {
        self.risen = Some(now);
    }

    /// The network did not carry what was sent.
    fn fell(&mut self, now: Instant) {
        if self.rise_at.is_some_and(|at| now < at) {
            // It is still falling.
            self.rise_at = Some(now + self.pause);
            return;
        }
        let mistaken = self.risen.is_some_and(|risen| now < risen + RISE_TRIAL);
        self.pause = if mistaken {
            (self.pause * 2).clamp(RISE_PAUSE, LONGEST_RISE_PAUSE)
        } else {
            RISE_PAUSE
        };
        self.rise_at = Some(now + self.pause);
    }
}

impl Peer {
    /// Its layers are looked at in this tick.
    pub(super) fn adapt_soon(&mut self, now: Instant, index: usize, timers: &mut Timers) {
        self.adaptation.due = Some(now);
        timers.lower(Timer::Peer(index), &mut self.due, now);
    }
}

/// What a peer's network carries of video, in bits a second.
#[derive(Clone, Copy, Debug)]
struct Budget {
    /// Once the queue that drains is gone, if the estimate falls no further.
    carried: f64,
    /// What it is expected to carry until then, or once the estimate has fallen as far as it will.
    expected: f64,
}

impl Budget {
    fn steady(carried: f64) -> Self {
        Self {
            carried,
            expected: carried,
        }
    }

    /// What to divide among tracks whose smallest pictures take so much together. Nothing is smaller than those, and
    /// leaving frames of them out costs no keyframe: that can be done when it is needed.
    fn with_room_for(self, smallest: u64) -> u64 {
        self.expected.max(self.carried.min(smallest as f64)) as u64
    }
}

/// What is decided for one subscription.
struct Choice {
    subscription: usize,
    /// What it would get if the publisher sent everything.
    ideal: Option<LayerId>,
    target: Option<LayerId>,
    reason: Option<LayerReason>,
}

impl Shard {
    /// Looks at a peer's layers, if it is time.
    pub(super) fn adapt_if_due(&mut self, now: Instant, index: usize, batch: &mut Batch) {
        if self.peers[index]
            .adaptation
            .due
            .is_some_and(|due| due <= now)
        {
            self.adapt(now, index, batch);
        }
    }

    /// Divides what a peer's network carries among the tracks that it watches.
    pub(super) fn adapt(&mut self, now: Instant, index: usize, batch: &mut Batch) {
        let (choices, budget) = self.choose(now, index);
        let watches = !choices.is_empty();
        for choice in choices {
            self.carry_out(now, &choice, budget, batch);
        }
        let due = watches.then(|| self.beat.within(now, INTERVAL));
        let due = due.into_iter().chain(self.next_silence(now, index)).min();
        self.peers[index].adaptation.due = due;
        self.lower(index, due);
    }

    /// When an encoding that a peer is sent, and that still flows, will have been silent for too long.
    fn next_silence(&self, now: Instant, index: usize) -> Option<Instant> {
        let silence = |&subscription: &usize| {
            let subscription = &self.subscriptions[subscription];
            let track = &self.tracks[subscription.source?];
            let encoding = usize::from(subscription.selector.current()?.encoding);
            track.layers.get(encoding)?.as_ref()?.silent_at(now)
        };
        self.peers[index]
            .subscriptions
            .iter()
            .filter_map(silence)
            .min()
    }

    /// The subscribers of a track have other layers to choose from.
    pub(super) fn adapt_subscribers(&mut self, now: Instant, track: usize) {
        let Self {
            peers,
            tracks,
            subscriptions,
            timers,
            ..
        } = self;
        for &subscription in &tracks[track].subscriptions {
            let peer = subscriptions[subscription].peer;
            peers[peer].adapt_soon(now, peer, timers);
        }
    }

    /// A first layer for a subscription that has none, until its peer's layers are looked at.
    pub(super) fn choose_first(&mut self, now: Instant, subscription: usize) {
        let this = &self.subscriptions[subscription];
        let Some(source) = this.source else {
            return;
        };
        let peer = this.peer;
        let narrow = self.video_budget(now, peer).is_some();
        let track = &self.tracks[source];
        let target = if track.parameters.kind == MediaKind::Audio {
            Some(LayerId::default())
        } else {
            let rungs = needed(track.ladder(now), &this.wish);
            let flowing = || rungs.iter().filter(|rung| rung.available);
            let rung = if narrow {
                flowing().next().or(rungs.first())
            } else {
                flowing().next_back().or(rungs.last())
            };
            rung.map(|rung| rung.layer)
        };
        if this.wish.paused {
            return;
        }
        self.subscriptions[subscription].ideal = target;
        self.aim(now, subscription, target);
        if self.subscriptions[subscription].parameters.kind == MediaKind::Video {
            self.peers[peer].adapt_soon(now, peer, &mut self.timers);
        }
    }

    /// Sends nothing more to a subscription.
    pub(super) fn stop(&mut self, now: Instant, subscription: usize) {
        self.subscriptions[subscription].ideal = None;
        self.aim(now, subscription, None);
    }

    /// All subscriptions of a track begin with a layer again: it has others now.
    pub(super) fn choose_anew(&mut self, now: Instant, track: usize) {
        for subscription in self.tracks[track].subscriptions.clone() {
            self.subscriptions[subscription].selector.set_target(None);
            self.choose_first(now, subscription);
        }
        self.update_wanted(now, track);
    }

    /// What the peer's network carries may be another now: its layers are looked at, and a probe may be due.
    pub(super) fn estimate_changed(&mut self, now: Instant, index: usize) {
        let peer = &mut self.peers[index];
        let Some(bandwidth) = &peer.bandwidth else {
            return;
        };
        let estimate = bandwidth.estimate();
        let before = peer.adaptation.estimate;
        let due = peer.bandwidth_due();
        if estimate * 100 < before * LESS || estimate * 100 > before * MORE {
            peer.adapt_soon(now, index, &mut self.timers);
        }
        self.lower(index, due);
    }

    /// What the peer's network carries of video, in bits a second; `None` where nothing limits it.
    fn video_budget(&self, now: Instant, index: usize) -> Option<Budget> {
        let peer = &self.peers[index];
        let Some(bandwidth) = &peer.bandwidth else {
            // One that could say something about arrivals will be asked with the first packet.
            return peer
                .extensions
                .id(Extension::TransportCc)
                .map(|_| Budget::steady(FIRST_BUDGET as f64));
        };
        let stats = bandwidth.stats();
        let since = peer.media_since.unwrap_or(now);
        if !bandwidth.is_informed() && now > since + SPEECHLESS {
            return None;
        }
        let audio = self.audio_rate(now, index);
        // What gets lost is sent again; but not what a queue that overflows loses, which ends with less in it.
        let lost = if bandwidth.is_draining() {
            stats.inherent_loss
        } else {
            stats.loss
        };
        let kept = 1.0 - lost.clamp(0.0, MAX_REPEATED);
        let video = |bitrate: u64| bitrate.saturating_sub(audio) as f64 * kept;
        let mut budget = Budget {
            carried: video(stats.settled),
            expected: video(stats.estimate),
        };
        // One that falls steeply has not arrived at the bottom: each layer in between would cost a keyframe for nothing.
        let before = peer.adaptation.estimate as f64;
        let fall = stats.estimate as f64 / before.max(1.0);
        if bandwidth.is_draining() && fall < STEEP {
            budget.expected *= fall.max(STEEPEST);
        }
        Some(budget)
    }

    /// What a peer is sent of audio, in bits a second. What has no numbers is not in its estimate, and not in this.
    pub(super) fn audio_rate(&self, now: Instant, index: usize) -> u64 {
        let subscriptions = self.peers[index].subscriptions.iter();
        subscriptions
            .map(|&subscription| &self.subscriptions[subscription])
            .filter(|this| this.parameters.kind == MediaKind::Audio && this.numbered)
            .filter_map(|subscription| self.tracks[subscription.source?].audio_rate(now))
            .sum()
    }

    /// Also says what was divided, in bits a second.
    fn choose(&mut self, now: Instant, index: usize) -> (Vec<Choice>, Option<u64>) {
        let budget = self.video_budget(now, index);
        let Self {
            peers,
            tracks,
            subscriptions,
            calls,
            ..
        } = self;
        let peer = &mut peers[index];
        let speakers = &calls[peer.call].recent_speakers;
        let mut reordered = false;
        let may_rise = budget.is_none() || peer.adaptation.may_rise(now);
        let mut watched = Vec::new();
        for &index in &peer.subscriptions {
            let subscription = &mut subscriptions[index];
            let Some(track) = subscription.source else {
                continue;
            };
            let spoke = speakers.contains(&subscription.parameters.participant);
            reordered |= std::mem::replace(&mut subscription.spoke, spoke) != spoke;
            let track = &tracks[track];
            if subscription.parameters.kind == MediaKind::Video {
                let rungs = needed(track.ladder(now), &subscription.wish);
                watched.push((index, rungs));
            }
        }
        let demands: Vec<Demand<'_>> = watched
            .iter()
            .map(|(index, rungs)| {
                let subscription = &subscriptions[*index];
                let current = subscription
                    .ideal
                    .and_then(|ideal| rungs.iter().position(|rung| rung.layer == ideal));
                Demand {
                    rungs: if subscription.wish.paused { &[] } else { rungs },
                    priority: subscription.priority(),
                    current,
                    may_rise: may_rise || current.is_none(),
                }
            })
            .collect();
        if let Some(bandwidth) = &mut peer.bandwidth {
            let video: u64 = demands.iter().map(Demand::most).sum();
            let expected = budget.map_or(0, |budget| budget.expected as u64);
            let audio = bandwidth.estimate().saturating_sub(expected);
            bandwidth.set_demand(video * DEMAND / 100 + audio);
            peer.adaptation.estimate = bandwidth.estimate();
        }
        let smallest = demands
            .iter()
            .map(|demand| smallest_picture(demand.rungs))
            .sum();
        let budget = budget.map(|budget| budget.with_room_for(smallest));
        let given = allocate(budget.unwrap_or(u64::MAX), &demands);
        let is_informed = peer.bandwidth.as_ref().is_some_and(|b| b.is_informed());
        let (mut rose, mut fell) = (false, false);
        let mut choices = Vec::new();
        for ((index, _), (demand, given)) in watched.iter().zip(demands.iter().zip(given)) {
            let subscription = &mut subscriptions[*index];
            let mut rung = given.rung;
            if !demand.rungs.is_empty() {
                rung = subscription.bear(now, rung, is_informed);
            }
            rose |= rung > demand.current;
            let is_sent = subscription.selector.current().is_some();
            fell |= rung < demand.current && is_sent && given.limited;
            let target = rung.map(|rung| at_hand(demand.rungs, rung));
            let reason = if subscription.wish.paused {
                None
            } else if !subscription.decodable {
                Some(LayerReason::Codec)
            } else if given.limited && rung.is_none_or(|rung| rung + 1 < demand.rungs.len()) {
                Some(LayerReason::Bandwidth)
            } else if target < rung {
                Some(LayerReason::Publisher)
            } else {
                None
            };
            let layer = |rung: Option<usize>| Some(demand.rungs.get(rung?)?.layer);
            choices.push(Choice {
                subscription: *index,
                ideal: layer(rung),
                target: layer(target),
                reason,
            });
        }
        // Who makes room for another says nothing about the network.
        if fell && !reordered {
            peer.adaptation.fell(now);
        } else if rose && !fell {
            peer.adaptation.rose(now);
        }
        (choices, budget)
    }

    fn carry_out(&mut self, now: Instant, choice: &Choice, budget: Option<u64>, batch: &mut Batch) {
        let index = choice.subscription;
        let subscription = &mut self.subscriptions[index];
        subscription.reason = choice.reason;
        subscription.ideal = choice.ideal;
        if subscription.selector.target() != choice.target {
            let span = &self.peers[subscription.peer].span;
            tracing::debug!(
                parent: span,
                track = %subscription.parameters.track,
                current = ?subscription.selector.current(),
                target = ?choice.target,
                reason = ?choice.reason,
                budget,
                "another layer"
            );
            self.aim(now, index, choice.target);
            self.start_subscription(now, index, batch);
            self.leave_what_overruns(now, index, budget);
        } else if subscription.wanted() != subscription.counted
            && let Some(track) = subscription.source
        {
            self.update_wanted(now, track);
        }
        self.note_layers(now, index);
        self.tell_layers(index);
    }

    /// Sets the target of a subscription, and makes it a follower of what leads there.
    fn aim(&mut self, now: Instant, index: usize, target: Option<LayerId>) {
        let subscription = &mut self.subscriptions[index];
        subscription.selector.set_target(target);
        let Some(source) = subscription.source else {
            return;
        };
        let selector = &subscription.selector;
        let led = [selector.target(), selector.current()].map(|layer| {
            let encoding = layer.map(|layer| usize::from(layer.encoding));
            encoding.unwrap_or(usize::MAX)
        });
        let track = &mut self.tracks[source];
        for encoding in 0..track.followers.len() {
            if led.contains(&encoding) {
                track.follow(encoding, index);
            } else {
                track.unfollow(encoding, index);
            }
        }
        self.update_wanted(now, source);
    }

    /// Stops the layer that a subscription is to leave, if there is much too little room for it.
    fn leave_what_overruns(&mut self, now: Instant, index: usize, budget: Option<u64>) {
        let subscription = &mut self.subscriptions[index];
        let (Some(budget), Some(source)) = (budget, subscription.source) else {
            return;
        };
        let selector = &mut subscription.selector;
        let (Some(current), true) = (selector.current(), selector.needs_keyframe()) else {
            return;
        };
        let rungs = self.tracks[source].ladder(now);
        let cost = rungs.iter().find(|rung| rung.layer == current);
        if cost.is_some_and(|rung| rung.bitrate * 100 > budget * OVERRUN) {
            selector.stop();
            subscription.given_up = subscription.rewriter.next_sequence();
        }
    }

    /// Works out which encodings of a track anybody is sent or would be, for its publisher.
    pub(super) fn update_wanted(&mut self, now: Instant, index: usize) {
        let track = &self.tracks[index];
        if track.parameters.kind == MediaKind::Audio {
            self.link_follow(index);
            return;
        }
        let mut wanted = EncodingSet::default();
        for &subscription in &track.subscriptions {
            let subscription = &mut self.subscriptions[subscription];
            subscription.counted = subscription.wanted();
            wanted |= subscription.counted;
        }
        self.link_follow(index);
        let track = &mut self.tracks[index];
        let elsewhere = track
            .outlets
            .iter()
            .fold(0, |all, outlet| all | outlet.wanted);
        match &track.feed {
            Feed::Peer(publisher) if !track.parameters.rids.is_empty() => {
                let publisher = *publisher;
                track.wanted.set(now, wanted | elsewhere);
                let due = track.wanted.poll_timeout();
                self.lower(publisher, due);
            }
            Feed::Peer(_) | Feed::Link(_) => {}
        }
    }

    /// Tells a publisher which of its encodings are wanted, if that changed.
    pub(super) fn tell_wanted(&mut self, now: Instant, index: usize) {
        for &track in &self.peers[index].tracks {
            let track = &mut self.tracks[track];
            if let Some(wanted) = track.wanted.poll(now) {
                let rids = track.parameters.rids.iter().enumerate();
                let rids = rids.filter(|(encoding, _)| wanted & (1 << encoding) != 0);
                self.events.push_back(Event::Wanted {
                    peer: self.peers[index].id,
                    mid: track.parameters.mid,
                    rids: rids.map(|(_, rid)| *rid).collect(),
                });
            }
        }
    }

    /// Tells a subscriber what it is sent of a track, if that changed and says something.
    fn tell_layers(&mut self, index: usize) {
        let subscription = &mut self.subscriptions[index];
        let Some(track) = subscription.source.map(|track| &self.tracks[track]) else {
            return;
        };
        let layer = subscription
            .selector
            .current()
            .filter(|_| subscription.decodable);
        let state = (layer, subscription.reason);
        let (told_layer, told_reason) = std::mem::replace(&mut subscription.told, state);
        subscription.explained |= state.1.is_some();
        let matters = subscription.explained || track.has_layers();
        if told_reason != state.1 || (told_layer != layer && matters) {
            self.events.push_back(Event::Layers {
                peer: self.peers[subscription.peer].id,
                track: track.id,
                layer: layer.map(|layer| forwarded(Some(track), layer)),
                reason: state.1,
            });
        }
    }
}

impl Subscription {
    /// The encodings that it is sent, is to be sent, or would be if they flowed.
    fn wanted(&self) -> EncodingSet {
        let selector = &self.selector;
        [self.ideal, selector.target(), selector.current()]
            .into_iter()
            .flatten()
            .fold(0, |all, layer| all | 1 << layer.encoding)
    }

    /// Its place among the others: what its viewer says counts more than who spoke.
    fn priority(&self) -> u32 {
        self.wish.priority.saturating_mul(2) | u32::from(self.spoke)
    }

    /// Keeps the lowest rung when none fits: until something is known of the network, and then for a while, unless it was
    /// given up before.
    fn bear(&mut self, now: Instant, rung: Option<usize>, is_informed: bool) -> Option<usize> {
        if rung.is_some() || !is_informed {
            self.starved = None;
            return rung.or(Some(0));
        }
        let since = *self.starved.get_or_insert(now);
        let is_sent = self.selector.target().is_some();
        (is_sent && now < since + STARVING).then_some(0)
    }
}

impl Track {
    /// Whether there is anything to choose from.
    pub(super) fn has_layers(&self) -> bool {
        let tops = self.layers.iter().flatten().map(|layer| layer.rates.top());
        self.layers.len() > 1 || tops.into_iter().any(|top| top != (0, 0))
    }
}

/// What all frames of the smallest picture take, in bits a second.
fn smallest_picture(rungs: &[Rung]) -> u64 {
    let picture = |rung: &Rung| (rung.layer.encoding, rung.layer.spatial);
    let Some(first) = rungs.first().map(picture) else {
        return 0;
    };
    let frames = rungs.iter().filter(|rung| picture(rung) == first);
    frames.map(|rung| rung.bitrate).max().unwrap_or(0)
}

/// The rungs up to what the viewer needs: at least one.
fn needed(mut rungs: Vec<Rung>, wish: &Wish) -> Vec<Rung> {
    let by_width = wish.width.map(|width| u32::from(width) * 9 / 16);
    let Some(lines) = wish.height.map(u32::from).or(by_width) else {
        return rungs;
    };
    let heights = rungs.iter().map(|rung| rung.height);
    let enough = heights
        .filter(|height| u32::from(*height) * 100 >= lines * ENOUGH)
        .min();
    if let Some(enough) = enough {
        rungs.retain(|rung| rung.height <= enough);
    }
    rungs
}

/// The rung that is sent in the place of one that its publisher does not send now: the next lower one that it does, or
/// else the next higher one that costs no more.
fn at_hand(rungs: &[Rung], ideal: usize) -> usize {
    let is_sent = |rung: &usize| rungs.get(*rung).is_some_and(|rung| rung.available);
    let bitrate = |rung: usize| rungs.get(rung).map_or(0, |rung| rung.bitrate);
    let below = (0..=ideal).rev().find(is_sent);
    let above = || {
        let mut above = ideal + 1..rungs.len();
        above.find(|rung| is_sent(rung) && bitrate(*rung) <= bitrate(ideal))
    };
    below.or_else(above).unwrap_or(ideal)
}

/// A layer as others name it.
pub(super) fn forwarded(track: Option<&Track>, layer: LayerId) -> ForwardedLayer {
    let rids = track.map(|track| &track.parameters.rids);
    ForwardedLayer {
        rid: rids.and_then(|rids| rids.get(usize::from(layer.encoding)).copied()),
        spatial: layer.spatial,
        temporal: layer.temporal,
    }
}
