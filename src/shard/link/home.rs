//! What a track's home does for the shards that have subscribed to it.

use std::time::Instant;

use super::batch::PacketHead;
use super::message::{Description, LinkMessage, MirrorId};
use crate::forward::Packet;
use crate::forward::layers::EncodingSet;
use crate::rtp::MediaKind;
use crate::shard::peer::Place;
use crate::shard::replay::{CATCH_UP_PACKETS, FRESH_KEYFRAME};
use crate::shard::track::{EncodingState, Layer};
use crate::shard::{Batch, Current, Event, FailReason, Shard, TrackId};

/// Another shard with subscriptions to a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) struct Outlet {
    /// Its number.
    pub(in crate::shard) shard: usize,
    /// Its mirror of the track.
    pub(in crate::shard) mirror: MirrorId,
    /// The encodings that it is sent.
    pub(in crate::shard) encodings: EncodingSet,
    /// The encodings that subscriptions there would be sent if the publisher sent all.
    pub(in crate::shard) wanted: EncodingSet,
}

impl Outlet {
    /// Whether it is sent this encoding.
    pub(in crate::shard) fn follows(&self, encoding: usize) -> bool {
        self.encodings & (1 << encoding) != 0
    }

    fn is_of(&self, shard: usize, mirror: MirrorId) -> bool {
        self.shard == shard && self.mirror == mirror
    }
}

impl Shard {
    /// A shard wants a track, which may not be here yet.
    pub(super) fn open_outlet(
        &mut self,
        now: Instant,
        from: usize,
        track: TrackId,
        mirror: MirrorId,
    ) {
        let outlet = Outlet {
            shard: from,
            mirror,
            encodings: 0,
            wanted: 0,
        };
        let Some(index) = self.published(track) else {
            let awaiting = self.outlets_by_track.entry(track).or_default();
            awaiting.retain(|other| other.shard != from);
            awaiting.push(outlet);
            return;
        };
        let outlets = &mut self.tracks[index].outlets;
        outlets.retain(|other| other.shard != from);
        outlets.push(outlet);
        self.describe(index, outlet, true);
        self.tell_encodings(now, index, outlet);
        for layer in 0..self.tracks[index].layers.len() {
            self.tell_clock(index, layer, outlet);
        }
        // A shard where nobody wants any says nothing more.
        self.update_wanted(now, index);
    }

    /// A shard wants other encodings.
    pub(super) fn change_outlet(&mut self, now: Instant, track: TrackId, outlet: Outlet) {
        let Some(index) = self.published(track) else {
            return;
        };
        let mut outlets = self.tracks[index].outlets.iter_mut();
        let Some(known) = outlets.find(|known| known.is_of(outlet.shard, outlet.mirror)) else {
            return;
        };
        let added = outlet.encodings & !known.encodings;
        *known = outlet;
        for encoding in 0..self.tracks[index].layers.len() {
            if added & (1 << encoding) != 0 && !self.repeat_keyframe(now, index, encoding, outlet) {
                self.want_keyframe(now, index, encoding);
            }
        }
        self.update_wanted(now, index);
    }

    /// A shard does not want a track any more.
    pub(super) fn close_outlet(
        &mut self,
        now: Instant,
        from: usize,
        track: TrackId,
        mirror: MirrorId,
    ) {
        let is_closed = |outlet: &Outlet| outlet.is_of(from, mirror);
        if let Some(awaiting) = self.outlets_by_track.get_mut(&track) {
            awaiting.retain(|outlet| !is_closed(outlet));
            if awaiting.is_empty() {
                self.outlets_by_track.remove(&track);
            }
        }
        let Some(index) = self.published(track) else {
            return;
        };
        let track = &mut self.tracks[index];
        track.outlets.retain(|outlet| !is_closed(outlet));
        if !track.has_subscribers() {
            track.cancel_keyframes();
        }
        self.update_wanted(now, index);
    }

    /// Somebody on a shard that subscribed cannot go on without a keyframe.
    pub(super) fn keyframe_wanted(
        &mut self,
        now: Instant,
        from: usize,
        track: TrackId,
        encoding: usize,
    ) {
        if let Some(index) = self.published(track)
            && self.tracks[index].outlets.iter().any(|o| o.shard == from)
        {
            self.want_keyframe(now, index, encoding);
        }
    }

    /// A shard met a bug with what comes of this track: that is its publisher's end, as it would be here.
    pub(super) fn abandon_publisher(&mut self, now: Instant, track: TrackId, batch: &mut Batch) {
        let publisher = self
            .published(track)
            .and_then(|index| self.tracks[index].publisher());
        let Some(peer) = publisher.map(|publisher| self.peers[publisher].id) else {
            return;
        };
        self.events.push_back(Event::Failed {
            peer,
            reason: FailReason::Internal,
        });
        self.remove_peer(now, peer, batch);
    }

    /// Sends a packet that just came to every shard with subscriptions, once.
    pub(in crate::shard) fn link_packet(&mut self, place: Place, packet: &Packet<'_>) {
        let track = &self.tracks[place.track];
        let Some(Some(layer)) = track.layers.get(place.layer) else {
            return;
        };
        let outlets = track.outlets.iter();
        for outlet in outlets.filter(|outlet| outlet.follows(place.layer)) {
            let head = PacketHead {
                mirror: outlet.mirror,
                layer: place.layer,
                generation: layer.generation,
                age: None,
            };
            if let Err(reason) = self.outbox.packet(outlet.shard, head, packet) {
                self.drops.count(reason);
            }
        }
    }

    /// Lets the other shards leave a packet without media out of their subscriptions' numbers.
    pub(in crate::shard) fn link_skip(&mut self, place: Place, sequence: u64) {
        self.link_packet(place, &Packet::nothing(sequence));
    }

    /// Lets the other shards leave what they were not sent of a layer out of their subscriptions' numbers.
    pub(in crate::shard) fn link_skip_to(&mut self, place: Place, first: u64) {
        let track = &self.tracks[place.track];
        let Some(Some(layer)) = track.layers.get(place.layer) else {
            return;
        };
        for outlet in &track.outlets {
            let message = LinkMessage::SkipTo {
                mirror: outlet.mirror,
                layer: place.layer,
                generation: layer.generation,
                first,
            };
            self.outbox.message(outlet.shard, message);
        }
    }

    /// Tells the other shards the publisher's clock of a layer.
    pub(in crate::shard) fn link_clock(&mut self, track: usize, layer: usize) {
        for outlet in 0..self.tracks[track].outlets.len() {
            let outlet = self.tracks[track].outlets[outlet];
            self.tell_clock(track, layer, outlet);
        }
    }

    /// Tells the other shards what a track is now. With `restart` its layers begin anew.
    pub(in crate::shard) fn link_description(&mut self, track: usize, restart: bool) {
        for outlet in 0..self.tracks[track].outlets.len() {
            let outlet = self.tracks[track].outlets[outlet];
            self.describe(track, outlet, restart);
        }
    }

    /// Tells the other shards what the encodings of a track are like now.
    pub(in crate::shard) fn link_encodings(&mut self, now: Instant, track: usize) {
        for outlet in 0..self.tracks[track].outlets.len() {
            let outlet = self.tracks[track].outlets[outlet];
            self.tell_encodings(now, track, outlet);
        }
    }

    /// Tells the other shards that a track was muted or unmuted.
    pub(in crate::shard) fn link_muted(&mut self, track: usize, muted: bool) {
        for Outlet { shard, mirror, .. } in &self.tracks[track].outlets {
            let mirror = *mirror;
            self.outbox
                .message(*shard, LinkMessage::Muted { mirror, muted });
        }
    }

    /// A track begins: shards that waited for it are told.
    pub(in crate::shard) fn link_begin(&mut self, now: Instant, track: usize) {
        let id = self.tracks[track].id;
        self.tracks[track].outlets = self.outlets_by_track.remove(&id).unwrap_or_default();
        self.forget_outlets(track);
        self.link_description(track, true);
        self.link_encodings(now, track);
        if !self.tracks[track].outlets.is_empty() {
            self.update_wanted(now, track);
        }
    }

    /// A track begins anew: the other shards say again what they want of it.
    pub(in crate::shard) fn forget_outlets(&mut self, track: usize) {
        for outlet in &mut self.tracks[track].outlets {
            (outlet.encodings, outlet.wanted) = (0, 0);
        }
    }

    /// A track is over. The other shards are told, and wait in case it comes again.
    pub(in crate::shard) fn link_end(&mut self, track: TrackId, outlets: Vec<Outlet>) {
        for Outlet { shard, mirror, .. } in &outlets {
            let mirror = *mirror;
            self.outbox.message(*shard, LinkMessage::Ended { mirror });
        }
        if !outlets.is_empty() {
            self.outlets_by_track.insert(track, outlets);
        }
    }

    /// The track of this name, if its publisher is here; its publisher is now the peer being worked on.
    fn published(&mut self, track: TrackId) -> Option<usize> {
        let index = self.track_by_id.get(&track).copied()?;
        let publisher = self.tracks[index].publisher()?;
        self.current = Some(Current::Peer(publisher));
        Some(index)
    }

    fn describe(&mut self, track: usize, outlet: Outlet, restart: bool) {
        let track = &self.tracks[track];
        let description = Box::new(Description {
            parameters: track.parameters.clone(),
            extensions: track.extensions,
            muted: track.muted,
            restart,
        });
        let mirror = outlet.mirror;
        let message = LinkMessage::Describe {
            mirror,
            description,
        };
        self.outbox.message(outlet.shard, message);
    }

    fn tell_encodings(&mut self, now: Instant, track: usize, outlet: Outlet) {
        let track = &self.tracks[track];
        if track.parameters.kind == MediaKind::Audio {
            return;
        }
        let state = |layer: &Layer| EncodingState {
            rates: layer.rates.clone(),
            size: layer.size,
            flows: layer.is_available(now),
        };
        let layers = track.layers.iter();
        let message = LinkMessage::Encodings {
            mirror: outlet.mirror,
            encodings: layers.map(|layer| layer.as_ref().map(state)).collect(),
        };
        self.outbox.message(outlet.shard, message);
    }

    fn tell_clock(&mut self, track: usize, layer: usize, outlet: Outlet) {
        let Some(Some(source)) = self.tracks[track].layers.get(layer) else {
            return;
        };
        if let Some(clock) = source.clock {
            let message = LinkMessage::Clock {
                mirror: outlet.mirror,
                layer,
                generation: source.generation,
                clock,
            };
            self.outbox.message(outlet.shard, message);
        }
    }

    /// Sends a shard what it needs to begin with an encoding at once: all since the last keyframe, if that is fresh.
    fn repeat_keyframe(
        &mut self,
        now: Instant,
        track: usize,
        index: usize,
        outlet: Outlet,
    ) -> bool {
        let track = &self.tracks[track];
        if track.muted || track.parameters.kind == MediaKind::Audio {
            return false;
        }
        let Some(Some(layer)) = track.layers.get(index) else {
            return false;
        };
        let history = &layer.history;
        let Some(packets) = history.since_keyframe(now, CATCH_UP_PACKETS, FRESH_KEYFRAME) else {
            return false;
        };
        let head = PacketHead {
            mirror: outlet.mirror,
            layer: index,
            generation: layer.generation,
            age: history.keyframe_age(now),
        };
        for packet in packets {
            if self.outbox.packet(outlet.shard, head, &packet).is_err() {
                return false;
            }
        }
        let mirror = outlet.mirror;
        self.outbox
            .message(outlet.shard, LinkMessage::CaughtUp { mirror });
        true
    }
}
