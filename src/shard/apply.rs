//! Carries out control's commands: peers come and go, m-lines change.

use std::time::{Duration, Instant};

use rand::Rng;
use slab::Slab;

use super::peer::{Hearing, Peer, Place, same_source};
use super::subscription::Subscription;
use super::timeline::What;
use super::track::{Feed, Track};
use super::{
    Batch, Call, CallId, Command, Current, IceCredentials, ParticipantId, PeerId,
    ReceiveParameters, SendParameters, Shard, TrackId, TransportParameters, Wish,
};
use crate::forward::{Loudest, Speakers};
use crate::rtp::{ExtensionMap, Mid};
use crate::transport::{ChannelReliability, Path, Transport};

/// The first quality report comes after this time, and then as often.
pub(super) const QUALITY_INTERVAL: Duration = Duration::from_secs(2);

/// User name fragments that find a peer at a time: the current one, and the one before an ICE restart,
/// whose checks go on until the client has the answer.
const MAX_UFRAGS: usize = 2;

impl Shard {
    pub(super) fn apply(&mut self, now: Instant, command: Command, batch: &mut Batch) {
        match command {
            Command::AddPeer {
                peer,
                call,
                participant,
                shards,
                local_ice,
            } => self.add_peer(now, peer, call, participant, &shards, local_ice),
            Command::SetTransport { peer, transport } => {
                self.set_transport(now, peer, transport, batch);
            }
            Command::SetExtensions { peer, extensions } => self.set_extensions(peer, &extensions),
            Command::SetReceiver {
                peer,
                mid,
                parameters,
            } => self.set_receiver(now, peer, mid, parameters),
            Command::SetSender {
                peer,
                mid,
                parameters,
            } => self.set_sender(now, peer, mid, parameters, batch),
            Command::SetMuted { peer, track, muted } => {
                self.set_muted(now, peer, track, muted, batch);
            }
            Command::SetWish { peer, track, wish } => self.set_wish(now, peer, track, wish, batch),
            Command::SetSpeakers { call, speakers } => {
                // Layers are looked at several times a second anyhow.
                if let Some(call) = self.call_by_id.get(&call) {
                    self.calls[*call].recent_speakers = speakers;
                }
            }
            Command::Stats { peer } => self.tell_stats(peer),
            Command::Timeline { peer, track } => self.tell_timeline(now, peer, track),
            Command::SendData {
                peer,
                from,
                label,
                kind,
                data,
            } => {
                if let Some(index) = self.find(peer) {
                    let reliable = ChannelReliability::default();
                    let message = (kind, &data[..]);
                    self.relay_to(now, from, index, &label, reliable, message, batch);
                }
            }
            Command::Timelines { peer } => self.tell_timelines(now, peer),
            Command::Hear { peer, path, check } => self.hear(now, peer, path, &check, batch),
            Command::RemovePeer { peer } => self.remove_peer(now, peer, batch),
        }
    }

    /// The index of a peer, which is now the one being worked on.
    pub(super) fn find(&mut self, peer: PeerId) -> Option<usize> {
        let index = self.peer_by_id.get(&peer).copied();
        self.current = index.map(Current::Peer).or(self.current);
        #[cfg(test)]
        self.bugs.meet(
            super::tests::bugs::Place::Command,
            index.unwrap_or(usize::MAX),
        );
        index
    }

    fn add_peer(
        &mut self,
        now: Instant,
        id: PeerId,
        call: CallId,
        participant: ParticipantId,
        shards: &[usize],
        local_ice: IceCredentials,
    ) {
        if self.peer_by_id.contains_key(&id) {
            return;
        }
        let call = self.call(call);
        let ufrag = local_ice.ufrag.clone();
        let transport = Transport::new(&self.config.identity, local_ice, self.config.channels);
        let feedback_ssrc = self.rng.random_range(1..u32::MAX);
        let index = self
            .peers
            .insert(Peer::new(id, participant, call, transport, feedback_ssrc));
        self.demux.insert_ufrag(&ufrag, index);
        let peer = &mut self.peers[index];
        tracing::debug!(parent: &peer.span, "its peer connection begins");
        peer.ufrags.push(ufrag);
        peer.quality_due = Some(self.beat.within(now, QUALITY_INTERVAL));
        self.peer_by_id.insert(id, index);
        self.calls[call].peers.push(index);
        self.share_call(call, shards);
        self.schedule_transport(index);
    }

    /// The call of this name, new if there was none.
    pub(super) fn call(&mut self, id: CallId) -> usize {
        if let Some(&index) = self.call_by_id.get(&id) {
            return index;
        }
        let index = self.calls.insert(Call {
            id,
            peers: Vec::new(),
            shards: Vec::new(),
            remote: Vec::new(),
            speakers: Speakers::default(),
            recent_speakers: Vec::new(),
            loudest: Loudest::new(self.config.loudest),
            due: None,
        });
        self.call_by_id.insert(id, index);
        index
    }

    fn set_transport(
        &mut self,
        now: Instant,
        peer: PeerId,
        transport: TransportParameters,
        batch: &mut Batch,
    ) {
        let Some(index) = self.find(peer) else {
            return;
        };
        let peer = &mut self.peers[index];
        let ufrag = transport.local_ice.ufrag.clone();
        if !peer.ufrags.contains(&ufrag) {
            self.demux.insert_ufrag(&ufrag, index);
            peer.ufrags.push(ufrag);
            if peer.ufrags.len() > MAX_UFRAGS {
                let oldest = peer.ufrags.remove(0);
                self.demux.remove_ufrag(&oldest);
            }
        }
        peer.transport.set_parameters(now, &transport);
        self.pump(now, index, batch);
    }

    /// A peer that moved here gets the check for which it did.
    fn hear(&mut self, now: Instant, peer: PeerId, path: Path, check: &[u8], batch: &mut Batch) {
        let Some(index) = self.find(peer) else {
            return;
        };
        // Whatever becomes of the check: nobody moves twice.
        self.peers[index].hearing = Hearing::Here;
        if let Err(reason) = self.handle_stun(now, path, check, batch) {
            self.drops.count(reason);
        }
    }

    fn set_extensions(&mut self, peer: PeerId, extensions: &ExtensionMap) {
        let Some(index) = self.find(peer) else {
            return;
        };
        let peer = &mut self.peers[index];
        if peer.extensions == *extensions {
            return;
        }
        peer.extensions = *extensions;
        for &subscription in &peer.subscriptions {
            self.subscriptions[subscription].headers_changed();
        }
        for track in peer.tracks.clone() {
            self.tracks[track].extensions = *extensions;
            for &subscription in &self.tracks[track].subscriptions {
                self.subscriptions[subscription].headers_changed();
            }
            self.link_description(track, false);
        }
    }

    fn set_receiver(
        &mut self,
        now: Instant,
        peer: PeerId,
        mid: Mid,
        parameters: Option<ReceiveParameters>,
    ) {
        let Some(index) = self.find(peer) else {
            return;
        };
        let old = self.peers[index]
            .tracks
            .iter()
            .copied()
            .find(|&track| self.tracks[track].parameters.mid == mid);
        match (old, parameters) {
            (None, None) => {}
            (Some(old), None) => self.remove_track(index, old),
            (None, Some(parameters)) => self.add_track(now, index, parameters),
            (Some(old), Some(parameters)) => {
                if same_source(&self.tracks[old].parameters, &parameters) {
                    self.tracks[old].parameters = parameters;
                    self.join_loudest(index, old);
                    self.reroute(old);
                    self.link_description(old, false);
                } else if self.tracks[old].id == parameters.track {
                    self.restart_track(now, index, old, parameters);
                } else {
                    self.remove_track(index, old);
                    self.add_track(now, index, parameters);
                }
            }
        }
    }

    fn add_track(&mut self, now: Instant, publisher: usize, parameters: ReceiveParameters) {
        let id = parameters.track;
        if let Some(&known) = self.track_by_id.get(&id) {
            match self.tracks[known].feed {
                Feed::Peer(_) => return,
                // Its publisher moved here.
                Feed::Link(_) => self.end_mirror(known),
            }
        }
        let extensions = self.peers[publisher].extensions;
        let track = Track::new(Feed::Peer(publisher), extensions, parameters);
        let track = self.tracks.insert(track);
        self.track_by_id.insert(id, track);
        self.join_loudest(publisher, track);
        self.peers[publisher].tracks.push(track);
        self.announce_ssrcs(publisher, track);
        for subscription in self.waiting_by_track.remove(&id).unwrap_or_default() {
            self.attach(now, subscription, track);
        }
        self.link_begin(now, track);
    }

    /// The same track comes from other SSRCs now; subscriptions go on.
    fn restart_track(
        &mut self,
        now: Instant,
        publisher: usize,
        track: usize,
        parameters: ReceiveParameters,
    ) {
        self.forget_streams(publisher, track);
        self.leave_loudest(publisher, track);
        self.tracks[track].restart(parameters);
        self.join_loudest(publisher, track);
        self.announce_ssrcs(publisher, track);
        self.reroute(track);
        self.forget_outlets(track);
        self.choose_anew(now, track);
        self.link_description(track, true);
    }

    /// Lets announced SSRCs find their track. Others are found by mid, at their first packet.
    fn announce_ssrcs(&mut self, publisher: usize, track: usize) {
        let parameters = &self.tracks[track].parameters;
        if !parameters.rids.is_empty() {
            return;
        }
        let Some(pair) = parameters.ssrcs.first().copied() else {
            return;
        };
        let place = |rtx| Place {
            track,
            layer: 0,
            rtx,
        };
        // Where there are too many, the first packet finds no room either.
        let publisher = &mut self.peers[publisher];
        publisher.bind(pair.ssrc, place(false));
        if let Some(rtx) = pair.rtx {
            publisher.bind(rtx, place(true));
        }
    }

    pub(super) fn forget_streams(&mut self, publisher: usize, track: usize) {
        for stream in self.peers[publisher].stream_by_ssrc.values_mut() {
            stream.place = stream.place.filter(|place| place.track != track);
        }
    }

    /// Ends a track. Its subscriptions wait, in case control has not told them yet.
    fn remove_track(&mut self, publisher: usize, track: usize) {
        self.forget_streams(publisher, track);
        self.leave_loudest(publisher, track);
        self.peers[publisher].tracks.retain(|&t| t != track);
        let track = self.tracks.remove(track);
        self.track_by_id.remove(&track.id);
        self.wait_for_track(track.id, track.subscriptions);
        self.link_end(track.id, track.outlets);
    }

    /// Ends a mirror whose home is not where its publisher is. Its subscriptions wait.
    fn end_mirror(&mut self, mirror: usize) {
        let track = &mut self.tracks[mirror];
        let (id, subscriptions) = (track.id, std::mem::take(&mut track.subscriptions));
        self.remove_mirror(mirror);
        self.wait_for_track(id, subscriptions);
    }

    /// Lets the subscriptions of a track that ended here wait for it.
    fn wait_for_track(&mut self, track: TrackId, subscriptions: Vec<usize>) {
        for &subscription in &subscriptions {
            let subscription = &mut self.subscriptions[subscription];
            subscription.source = None;
            subscription.selector.set_target(None);
        }
        if !subscriptions.is_empty() {
            self.waiting_by_track.insert(track, subscriptions);
        }
    }

    fn set_sender(
        &mut self,
        now: Instant,
        peer: PeerId,
        mid: Mid,
        parameters: Option<SendParameters>,
        batch: &mut Batch,
    ) {
        let Some(index) = self.find(peer) else {
            return;
        };
        let old = self.peers[index]
            .subscriptions
            .iter()
            .copied()
            .find(|&subscription| self.subscriptions[subscription].parameters.mid == mid);
        if let (Some(old), Some(parameters)) = (old, &parameters)
            && self.subscriptions[old].is_same(parameters)
        {
            let before = self.subscriptions[old].parameters.home;
            self.subscriptions[old].parameters = parameters.clone();
            if before != parameters.home {
                self.follow_publisher(now, parameters, batch);
            }
            if let Some(track) = self.subscriptions[old].source {
                self.subscriptions[old].route(&self.tracks[track].parameters.codecs);
            }
            return;
        }
        if let Some(old) = old {
            self.remove_subscription(old);
        }
        if let Some(parameters) = parameters {
            self.add_subscription(now, index, parameters, batch);
        }
    }

    fn add_subscription(
        &mut self,
        now: Instant,
        peer: usize,
        parameters: SendParameters,
        batch: &mut Batch,
    ) {
        let track = self.source_of(now, &parameters, batch);
        let id = parameters.track;
        let (ssrc, rtx_ssrc) = (parameters.ssrc, parameters.rtx_ssrc);
        let subscription = Subscription::new(peer, parameters, &mut self.rng);
        let index = self.subscriptions.insert(subscription);
        let owner = &mut self.peers[peer];
        owner.subscriptions.push(index);
        owner.sender_by_ssrc.insert(ssrc, index);
        if let Some(rtx) = rtx_ssrc {
            owner.sender_by_ssrc.insert(rtx, index);
        }
        self.subscriptions[index].source = track;
        self.note_subscribed(now, index);
        match track {
            Some(track) => {
                self.attach(now, index, track);
                self.start_subscription(now, index, batch);
            }
            None => self.waiting_by_track.entry(id).or_default().push(index),
        }
    }

    /// The track that is meant, or its mirror, which others may have waited for. `None` while its publisher, who belongs here,
    /// has not brought it.
    fn source_of(
        &mut self,
        now: Instant,
        parameters: &SendParameters,
        batch: &mut Batch,
    ) -> Option<usize> {
        if let Some(&known) = self.track_by_id.get(&parameters.track) {
            return Some(known);
        }
        if !self.outbox.reaches(parameters.home) {
            return None;
        }
        let mirror = self.add_mirror(parameters);
        let waiting = self.waiting_by_track.remove(&parameters.track);
        for subscription in waiting.unwrap_or_default() {
            self.attach(now, subscription, mirror);
            self.start_subscription(now, subscription, batch);
        }
        Some(mirror)
    }

    /// The publisher of a track is on another shard now, and over on the one before: all who are subscribed here get it from
    /// there.
    fn follow_publisher(&mut self, now: Instant, parameters: &SendParameters, batch: &mut Batch) {
        let known = self.track_by_id.get(&parameters.track).copied();
        if let Some(known) = known {
            match &self.tracks[known].feed {
                Feed::Link(mirror) if mirror.home != parameters.home => self.end_mirror(known),
                // It is here already, or another subscription was told first.
                Feed::Peer(_) | Feed::Link(_) => return,
            }
        }
        self.source_of(now, parameters, batch);
    }

    /// Joins a subscription to its track.
    fn attach(&mut self, now: Instant, subscription: usize, track: usize) {
        let source = &mut self.tracks[track];
        source.subscriptions.push(subscription);
        let this = &mut self.subscriptions[subscription];
        this.source = Some(track);
        this.route(&source.parameters.codecs);
        self.choose_first(now, subscription);
    }

    fn remove_subscription(&mut self, index: usize) {
        let subscription = self.subscriptions.remove(index);
        let id = subscription.parameters.track;
        if let Some(peer) = self.peers.get_mut(subscription.peer) {
            peer.subscriptions.retain(|&other| other != index);
            peer.sender_by_ssrc.retain(|_, other| *other != index);
        }
        if let Some(track) = subscription.source {
            let source = &mut self.tracks[track];
            source.subscriptions.retain(|&other| other != index);
            for encoding in 0..source.followers.len() {
                source.unfollow(encoding, index);
            }
            if !source.has_subscribers() {
                match source.feed {
                    Feed::Peer(_) => source.cancel_keyframes(),
                    Feed::Link(_) => self.remove_mirror(track),
                }
            }
        } else if let Some(waiting) = self.waiting_by_track.get_mut(&id) {
            waiting.retain(|&other| other != index);
            if waiting.is_empty() {
                self.waiting_by_track.remove(&id);
            }
        }
    }

    /// The publisher's codecs changed: every subscription looks up its payload types anew.
    pub(super) fn reroute(&mut self, track: usize) {
        let track = &self.tracks[track];
        for &subscription in &track.subscriptions {
            self.subscriptions[subscription].route(&track.parameters.codecs);
        }
    }

    fn set_muted(
        &mut self,
        now: Instant,
        peer: PeerId,
        track: TrackId,
        muted: bool,
        batch: &mut Batch,
    ) {
        let Some(index) = self.find(peer) else {
            return;
        };
        let Some(track) = self.track_by_id.get(&track).copied() else {
            return;
        };
        if self.tracks[track].publisher() == Some(index) {
            self.mute_track(now, track, muted, batch);
        }
    }

    /// Stops forwarding a track, or goes on at a keyframe.
    pub(super) fn mute_track(
        &mut self,
        now: Instant,
        track: usize,
        muted: bool,
        batch: &mut Batch,
    ) {
        if self.tracks[track].muted == muted {
            return;
        }
        self.tracks[track].muted = muted;
        self.note_track(now, track, if muted { What::Muted } else { What::Unmuted });
        self.link_muted(track, muted);
        self.tracks[track].forget_history();
        if muted {
            self.tracks[track].cancel_keyframes();
        } else {
            for subscription in self.tracks[track].subscriptions.clone() {
                self.subscriptions[subscription].wait_for_keyframe();
                self.start_subscription(now, subscription, batch);
            }
            // Mirrors that have seen no packet cannot ask for one of a layer.
            for encoding in 0..self.tracks[track].layers.len() {
                let mut outlets = self.tracks[track].outlets.iter();
                if outlets.any(|outlet| outlet.follows(encoding)) {
                    self.want_keyframe(now, track, encoding);
                }
            }
        }
    }

    fn set_wish(
        &mut self,
        now: Instant,
        peer: PeerId,
        track: TrackId,
        wish: Wish,
        batch: &mut Batch,
    ) {
        let Some(index) = self.find(peer) else {
            return;
        };
        let subscription = self.peers[index]
            .subscriptions
            .iter()
            .copied()
            .find(|&s| self.subscriptions[s].parameters.track == track);
        let Some(subscription) = subscription else {
            return;
        };
        let before = std::mem::replace(&mut self.subscriptions[subscription].wish, wish);
        self.subscriptions[subscription].note_wish(now, &before);
        if wish.paused && !before.paused {
            self.stop(now, subscription);
            self.adapt(now, index, batch);
        } else if before.paused && !wish.paused {
            self.choose_first(now, subscription);
            self.start_subscription(now, subscription, batch);
        } else if before != wish {
            self.adapt(now, index, batch);
        }
    }

    /// Ends a peer and all that hangs on it.
    pub(super) fn remove_peer(&mut self, now: Instant, id: PeerId, batch: &mut Batch) {
        let Some(index) = self.peer_by_id.remove(&id) else {
            return;
        };
        for subscription in self.peers[index].subscriptions.clone() {
            self.remove_subscription(subscription);
        }
        for track in self.peers[index].tracks.clone() {
            self.remove_track(index, track);
        }
        let participant = self.peers[index].participant;
        self.close_all_relays(now, index, batch);
        self.peers[index].transport.close(now);
        self.flush_transport(index, batch);
        let mut peer = self.peers.remove(index);
        tracing::debug!(
            parent: &peer.span,
            received = peer.counts.packets_received,
            sent = peer.counts.packets_sent,
            "its peer connection is over"
        );
        self.timers
            .set(super::Timer::Peer(index), &mut peer.due, None);
        for ufrag in &peer.ufrags {
            self.demux.remove_ufrag(ufrag);
        }
        for &address in &peer.addresses {
            self.demux.remove_address(address, index);
        }
        self.leave_call(peer.call, index, participant);
        self.current = None;
    }

    fn leave_call(&mut self, call: usize, peer: usize, participant: ParticipantId) {
        self.calls[call].speakers.remove(participant.0);
        let members = &mut self.calls[call].peers;
        members.retain(|&member| member != peer);
        if members.is_empty() {
            self.unshare_call(call);
            self.forget_call_if_over(call);
        }
    }

    /// Forgets a call that has no peers here, and of which no other shard says to have any.
    pub(super) fn forget_call_if_over(&mut self, call: usize) {
        let this = &self.calls[call];
        if this.peers.is_empty() && this.shards.is_empty() {
            let mut gone = self.calls.remove(call);
            self.timers
                .set(super::Timer::Call(call), &mut gone.due, None);
            self.call_by_id.remove(&gone.id);
            give_back(&mut self.peers);
            give_back(&mut self.tracks);
            give_back(&mut self.subscriptions);
            give_back(&mut self.calls);
        }
    }
}

/// Room that is kept for the next call, in entries.
const KEPT: usize = 64;

/// Gives memory back that the busiest moment has needed: a subscription takes more than a kibibyte, and a slab doubles.
///
/// Costs something only where the last entries are vacant.
fn give_back<T>(slab: &mut Slab<T>) {
    if slab.capacity() > KEPT && slab.len() < slab.capacity() / 4 {
        slab.shrink_to_fit();
    }
}
