//! What a shard does with tracks that are published on another: their mirrors.

use std::time::{Duration, Instant};

use super::batch::PacketHead;
use super::message::{Description, LinkMessage, MirrorId};
use crate::forward::{DropReason, Packet, SenderClock};
use crate::rtp::ExtensionMap;
use crate::shard::peer::Place;
use crate::shard::track::{EncodingState, Feed, Mirror, Track};
use crate::shard::{Batch, Current, ReceiveParameters, SendParameters, Shard, Timer};

/// How often histories of mirrors forget what is old.
const RELEASE_INTERVAL: Duration = Duration::from_secs(1);

impl Shard {
    /// A mirror of a track that nobody here subscribed to until now. Nothing is known of it before its home answers.
    pub(in crate::shard) fn add_mirror(&mut self, parameters: &SendParameters) -> usize {
        let id = MirrorId {
            index: self.tracks.vacant_key(),
            epoch: self.next_epoch,
        };
        self.next_epoch = self.next_epoch.wrapping_add(1);
        let mirror = Mirror {
            home: parameters.home,
            id,
            clocks: Vec::new(),
            encodings: Vec::new(),
            asked: (0, 0),
            due: None,
            release_due: None,
        };
        let unknown = ReceiveParameters {
            mid: parameters.mid,
            track: parameters.track,
            kind: parameters.kind,
            voice: false,
            codecs: Vec::new(),
            ssrcs: Vec::new(),
            rids: Vec::new(),
        };
        let track = Track::new(Feed::Link(mirror), ExtensionMap::default(), unknown);
        self.track_by_id.insert(track.id, self.tracks.insert(track));
        let track = parameters.track;
        self.outbox.message(
            parameters.home,
            LinkMessage::Subscribe { track, mirror: id },
        );
        id.index
    }

    /// Ends a mirror without subscriptions.
    pub(in crate::shard) fn remove_mirror(&mut self, index: usize) {
        let track = self.tracks.remove(index);
        self.track_by_id.remove(&track.id);
        if let Feed::Link(mut mirror) = track.feed {
            self.timers.set(Timer::Mirror(index), &mut mirror.due, None);
            let message = LinkMessage::Unsubscribe {
                track: track.id,
                mirror: mirror.id,
            };
            self.outbox.message(mirror.home, message);
        }
    }

    /// The mirror that its home means.
    pub(super) fn find_mirror(&mut self, from: usize, id: MirrorId) -> Option<usize> {
        match &self.tracks.get(id.index)?.feed {
            Feed::Link(mirror) if mirror.id == id && mirror.home == from => {
                self.current = Some(Current::Mirror(id.index));
                Some(id.index)
            }
            Feed::Link(_) | Feed::Peer(_) => None,
        }
    }

    /// Takes a packet from a mirror's home: it is kept, and goes to every subscription here.
    pub(super) fn mirror_packet(
        &mut self,
        now: Instant,
        from: usize,
        head: PacketHead,
        packet: &Packet<'_>,
        batch: &mut Batch,
    ) -> Result<(), DropReason> {
        let index = self
            .find_mirror(from, head.mirror)
            .ok_or(DropReason::Unsubscribed)?;
        let place = Place {
            track: index,
            layer: head.layer,
            rtx: false,
        };
        if packet.payload.is_empty() {
            self.skip_mirrored(now, place, head.generation, packet.numbers.sequence);
            return Ok(());
        }
        let track = &mut self.tracks[index];
        let codec = track
            .parameters
            .codecs
            .iter()
            .find(|codec| codec.payload_type == packet.payload_type)
            .map(|codec| codec.codec)
            .ok_or(DropReason::UnknownPayloadType)?;
        track.take_up_layer(now, head.layer, head.generation);
        if let Some(Some(layer)) = track.layers.get_mut(head.layer) {
            layer.arrived(now);
            layer.rates.observe(now, packet);
        }
        // As old as it would be at home, so that it is of use as long.
        let at = head.age.and_then(|age| now.checked_sub(age)).unwrap_or(now);
        self.keep(at, place, codec, packet);
        self.release_later(now, index);
        if head.age.is_none() {
            self.fan_out(now, place, codec, packet, batch);
        }
        self.lower_keyframes(place);
        Ok(())
    }

    /// The home says what the track is.
    pub(super) fn describe_mirror(
        &mut self,
        now: Instant,
        from: usize,
        id: MirrorId,
        description: Description,
        batch: &mut Batch,
    ) {
        let Some(index) = self.find_mirror(from, id) else {
            return;
        };
        let track = &mut self.tracks[index];
        track.extensions = description.extensions;
        if description.restart {
            track.restart(description.parameters);
        } else {
            track.parameters = description.parameters;
        }
        self.reroute(index);
        if description.restart {
            if let Feed::Link(mirror) = &mut self.tracks[index].feed {
                // The home has forgotten what it was asked for.
                mirror.asked = (0, 0);
            }
            self.choose_anew(now, index);
        }
        self.mute_track(now, index, description.muted, batch);
    }

    /// The home says what the encodings of the track are like.
    pub(super) fn mirror_encodings(
        &mut self,
        now: Instant,
        from: usize,
        id: MirrorId,
        encodings: Vec<Option<EncodingState>>,
    ) {
        let Some(index) = self.find_mirror(from, id) else {
            return;
        };
        let Feed::Link(mirror) = &mut self.tracks[index].feed else {
            return;
        };
        let flow = |encodings: &[Option<EncodingState>]| -> Vec<bool> {
            let flows = |state: &Option<EncodingState>| state.as_ref().is_some_and(|s| s.flows);
            encodings.iter().map(flows).collect()
        };
        let changed = flow(&mirror.encodings) != flow(&encodings);
        mirror.encodings = encodings;
        if changed {
            self.adapt_subscribers(now, index);
        }
    }

    /// Tells the home of a mirror which encodings are followed here, if that changed.
    pub(in crate::shard) fn link_follow(&mut self, index: usize) {
        let track = &self.tracks[index];
        let Feed::Link(mirror) = &track.feed else {
            return;
        };
        let followed = track.followers.iter().enumerate();
        let encodings = followed
            .filter(|(_, followers)| !followers.is_empty())
            .fold(0, |all, (encoding, _)| all | 1 << encoding);
        let ideals = track.subscriptions.iter();
        let wanted = ideals
            .filter_map(|&subscription| self.subscriptions[subscription].ideal)
            .fold(encodings, |all, ideal| all | 1 << ideal.encoding);
        let (home, id, track) = (mirror.home, mirror.id, track.id);
        if mirror.asked == (encodings, wanted) {
            return;
        }
        if let Feed::Link(mirror) = &mut self.tracks[index].feed {
            mirror.asked = (encodings, wanted);
        }
        let message = LinkMessage::Follow {
            track,
            mirror: id,
            encodings,
            wanted,
        };
        self.outbox.message(home, message);
    }

    /// What newcomers need is in the history now.
    pub(super) fn mirror_caught_up(
        &mut self,
        now: Instant,
        from: usize,
        id: MirrorId,
        batch: &mut Batch,
    ) {
        if let Some(index) = self.find_mirror(from, id) {
            for subscription in self.tracks[index].subscriptions.clone() {
                self.start_subscription(now, subscription, batch);
            }
        }
    }

    /// The publisher's clock of one layer, which may have no packets here yet.
    pub(super) fn mirror_clock(
        &mut self,
        now: Instant,
        from: usize,
        id: MirrorId,
        layer: usize,
        generation: u32,
        clock: SenderClock,
    ) {
        let Some(index) = self.find_mirror(from, id) else {
            return;
        };
        let track = &mut self.tracks[index];
        let known = track.layers.get_mut(layer).and_then(Option::as_mut);
        match known.filter(|layer| layer.generation == generation) {
            Some(layer) => {
                let first = layer.clock.replace(clock).is_none();
                if first {
                    self.report_soon(now, index);
                }
            }
            None => {
                if let Feed::Link(mirror) = &mut track.feed
                    && layer < track.layers.len()
                {
                    mirror.clocks.retain(|(other, ..)| *other != layer);
                    mirror.clocks.push((layer, generation, clock));
                }
            }
        }
    }

    /// The home left out what comes before this number of a layer.
    pub(super) fn mirror_skip_to(
        &mut self,
        from: usize,
        id: MirrorId,
        layer: usize,
        generation: u32,
        first: u64,
    ) {
        let Some(track) = self.find_mirror(from, id) else {
            return;
        };
        let place = Place {
            track,
            layer,
            rtx: false,
        };
        if self.is_fed_by(place, generation) {
            self.skip_to(place, first);
        }
    }

    /// The track is gone, for now at least.
    pub(super) fn mirror_ended(&mut self, now: Instant, from: usize, id: MirrorId) {
        if let Some(index) = self.find_mirror(from, id) {
            self.forget_layers(now, index);
        }
    }

    /// A bug was met with what came over a link: nothing of it stays, and the publisher is over, as it would be if it
    /// were here.
    pub(in crate::shard) fn abandon_mirror(&mut self, now: Instant, index: usize) {
        self.forget_layers(now, index);
        let track = &self.tracks[index];
        if let Feed::Link(Mirror { home, .. }) = track.feed {
            let track = track.id;
            self.outbox.message(home, LinkMessage::Abandon { track });
        }
    }

    /// Asks a mirror's home for what is due, and forgets what is too old.
    pub(in crate::shard) fn serve_mirror(&mut self, now: Instant, index: usize) {
        let Some(track) = self.tracks.get_mut(index) else {
            return;
        };
        let Feed::Link(mirror) = &mut track.feed else {
            return;
        };
        mirror.due = None;
        self.current = Some(Current::Mirror(index));
        let release = mirror.release_due.is_some_and(|due| due <= now);
        if release {
            mirror.release_due = None;
        }
        let (mut wanted, mut kept) = (Vec::new(), false);
        for (encoding, layer) in track.layers.iter_mut().enumerate() {
            let Some(layer) = layer else {
                continue;
            };
            if layer.keyframes.poll(now, false) {
                wanted.push(encoding);
            }
            if release {
                layer.history.release(now);
                kept |= layer.history.memory() > 0;
            }
        }
        if kept {
            mirror.release_due = Some(now + RELEASE_INTERVAL);
        }
        for &encoding in &wanted {
            let track = track.id;
            self.outbox
                .message(mirror.home, LinkMessage::Keyframe { track, encoding });
        }
        let requests = track.layers.iter().flatten();
        let due = requests
            .filter_map(|layer| layer.keyframes.poll_timeout())
            .chain(mirror.release_due)
            .min();
        self.timers.set(Timer::Mirror(index), &mut mirror.due, due);
        for encoding in wanted {
            self.tracks[index].note_asked(now, encoding, &mut self.subscriptions);
        }
    }

    fn skip_mirrored(&mut self, now: Instant, place: Place, generation: u32, sequence: u64) {
        if self.is_fed_by(place, generation) {
            self.skip(now, place.track, place.layer, sequence);
        }
    }

    fn is_fed_by(&self, place: Place, generation: u32) -> bool {
        let layer = self.tracks[place.track].layers.get(place.layer);
        layer.is_some_and(|layer| layer.as_ref().is_some_and(|l| l.generation == generation))
    }

    fn forget_layers(&mut self, now: Instant, index: usize) {
        let track = &mut self.tracks[index];
        let parameters = track.parameters.clone();
        track.restart(parameters);
        if let Feed::Link(mirror) = &mut track.feed {
            mirror.clocks.clear();
            mirror.encodings.clear();
        }
        self.choose_anew(now, index);
    }

    fn release_later(&mut self, now: Instant, index: usize) {
        if let Feed::Link(mirror) = &mut self.tracks[index].feed
            && mirror.release_due.is_none()
        {
            let due = now + RELEASE_INTERVAL;
            mirror.release_due = Some(due);
            self.timers
                .lower(Timer::Mirror(index), &mut mirror.due, due);
        }
    }
}

impl Track {
    /// Goes on with an encoding as the home sends it now.
    fn take_up_layer(&mut self, now: Instant, index: usize, generation: u32) {
        let known = self.layers.get(index).and_then(Option::as_ref);
        if known.is_none_or(|layer| layer.generation != generation) {
            self.begin_layer(now, index, generation, 0);
            if let (Feed::Link(mirror), Some(Some(layer))) =
                (&mut self.feed, self.layers.get_mut(index))
            {
                let mut clocks = mirror.clocks.iter();
                let clock = clocks.find(|(layer, of, _)| (*layer, *of) == (index, generation));
                layer.clock = clock.map(|(_, _, clock)| *clock);
                mirror.clocks.retain(|(layer, ..)| *layer != index);
            }
        }
    }
}
