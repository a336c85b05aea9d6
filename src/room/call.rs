//! Calls, and the peers in them. A small call begins on one shard with all its peers, a large one on several.

use std::collections::BTreeSet;
use std::sync::Arc;

use rand::Rng;
use rand::distr::{Alphanumeric, SampleString};
use tracing::field;

use super::Rooms;
use super::direct_call::DirectCall;
use super::peer::Peer;
use super::placement::{least_loaded, place};
use super::recent_speakers::RecentSpeakers;
use super::speakers::CallSpeakers;
use super::timer::Timer;
use super::traced::Traced;
use crate::access::Grants;
use crate::negotiation::{Config, Negotiation};
use crate::shard::{CallId, Command, IceCredentials, ParticipantId, PeerId, shard_letter};
use crate::signaling::protocol::{CallName, HangUpReason, ServerMessage};

/// A call, from its first peer to its last.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: CallId,
    pub(super) room: Arc<str>,
    /// Where it began.
    pub(super) shard: usize,
    /// Its peers on each shard.
    pub(super) peers_by_shard: Vec<usize>,
    pub(super) speakers: CallSpeakers,
    pub(super) recent: RecentSpeakers,
    pub(super) kind: CallKind,
    pub(super) members: BTreeSet<ParticipantId>,
}

/// Whose call it is.
#[derive(Debug)]
pub(super) enum CallKind {
    /// The room's: everybody may join.
    Room,
    /// Of two users.
    Direct(DirectCall),
}

impl Rooms {
    /// A call without members, on the shard with the least to do.
    pub(super) fn new_call(&mut self, room: Arc<str>, kind: CallKind) -> CallId {
        let id = CallId(self.next_id());
        let shard = least_loaded(&self.load_by_shard).unwrap_or(0);
        let call = Call {
            id,
            room,
            shard,
            peers_by_shard: vec![0; self.load_by_shard.len()],
            speakers: CallSpeakers::default(),
            recent: RecentSpeakers::default(),
            kind,
            members: BTreeSet::new(),
        };
        self.calls.insert(id, call);
        id
    }

    /// A peer for a participant, which nobody knows of before [`Self::add_peer`]; with the credentials for that.
    pub(super) fn new_peer(
        &mut self,
        call: CallId,
        owner: ParticipantId,
    ) -> (Peer, IceCredentials) {
        let shard = self.calls.get(&call).map_or(0, |call| self.place(call));
        let id = PeerId(self.next_id());
        let local_ice = IceCredentials {
            // The number makes it unique; the rest keeps it from being guessed.
            ufrag: format!(
                "{}{:x}{}",
                shard_letter(shard),
                id.0,
                Alphanumeric.sample_string(&mut self.rng, 8)
            ),
            pwd: Alphanumeric.sample_string(&mut self.rng, 32),
        };
        let owner = self.participants.get(&owner);
        let is_loopback = owner.is_some_and(|owner| owner.address.to_canonical().is_loopback());
        let grants = owner.map_or(Grants::default(), |owner| owner.access.grants);
        let candidates = self
            .config
            .shards
            .get(shard)
            .map(|address| match is_loopback {
                true => address.loopback.clone(),
                false => address.others.clone(),
            });
        let negotiation = Negotiation::new(Config {
            peer: id,
            local_ice: local_ice.clone(),
            fingerprint: self.config.fingerprint.clone(),
            candidates: candidates.unwrap_or_default(),
            limits: self.config.negotiation,
            may_publish: grants.publish,
            data_channels: grants.data_channels(),
            red: self.config.red,
            // RFC 9429 section 5.2.1: 62 bits that no other session has.
            session_id: self.rng.random::<u64>() >> 2,
            seed: self.rng.random(),
        });
        (Peer::new(id, call, shard, negotiation), local_ice)
    }

    /// The shard on which a call's next peer begins. The two of a one-to-one call begin together.
    pub(super) fn place(&self, call: &Call) -> usize {
        match call.kind {
            CallKind::Room => place(
                call.shard,
                &call.peers_by_shard,
                self.config.peers_together,
                &self.load_by_shard,
            ),
            CallKind::Direct(_) => call.shard,
        }
    }

    /// Counts what a peer receives, so many tracks more or fewer.
    pub(super) fn weigh(&mut self, id: ParticipantId, more: usize, fewer: usize) {
        let Some(peer) = self.peer_mut(id) else {
            return;
        };
        let shard = peer.shard;
        let before = peer.load;
        peer.load = (before + more).saturating_sub(fewer);
        let after = peer.load;
        if let Some(load) = self.load_by_shard.get_mut(shard) {
            *load = (*load + after).saturating_sub(before);
        }
    }

    /// Puts a peer into its call, and subscribes it to all that is published there.
    pub(super) fn add_peer(&mut self, owner: ParticipantId, peer: Peer, local_ice: IceCredentials) {
        let (id, shard, call_id) = (peer.id, peer.shard, peer.call);
        let Some(call) = self.calls.get_mut(&call_id) else {
            return;
        };
        let Some(participant) = self.participants.get_mut(&owner) else {
            return;
        };
        match call.kind {
            CallKind::Room => self.tally.room_joins += 1,
            CallKind::Direct(_) => self.tally.direct_joins += 1,
        }
        call.members.insert(owner);
        let mut peer = peer;
        peer.joining = Traced::new(tracing::info_span!(
            parent: &participant.span,
            "join",
            participant = owner.0 as i64,
            peer = id.0 as i64,
            call = call_id.0 as i64,
            shard,
            outcome = field::Empty
        ));
        tracing::info!(parent: &participant.span, call = call_id.0, shard, "joined a call");
        participant.peer = Some(peer);
        participant.was_in_call = true;
        self.participant_by_peer.insert(id, owner);
        self.weigh(owner, 1, 0);
        self.enter_shard(owner, local_ice);
        self.subscribe_to_all(owner);
        self.touched.insert(owner);
    }

    /// Tells a participant's shard of its peer.
    pub(super) fn enter_shard(&mut self, owner: ParticipantId, local_ice: IceCredentials) {
        let Some(peer) = self.peer(owner) else {
            return;
        };
        let (id, shard, call_id) = (peer.id, peer.shard, peer.call);
        let Some(call) = self.calls.get_mut(&call_id) else {
            return;
        };
        let places = call.peers_by_shard.iter().enumerate();
        let shards = places
            .filter(|(other, peers)| *other != shard && **peers > 0)
            .map(|(other, _)| other)
            .collect();
        let mut speakers = None;
        if let Some(peers) = call.peers_by_shard.get_mut(shard) {
            *peers += 1;
            if *peers == 1 && !call.recent.told().is_empty() {
                // What the others there know.
                speakers = Some(call.recent.told().to_vec());
            }
        }
        self.command(
            shard,
            Command::AddPeer {
                peer: id,
                call: call_id,
                participant: owner,
                shards,
                local_ice,
            },
        );
        if let Some(speakers) = speakers {
            let call = call_id;
            self.command(shard, Command::SetSpeakers { call, speakers });
        }
    }

    /// Ends a peer on its shard.
    pub(super) fn leave_shard(&mut self, peer: PeerId, call: CallId, shard: usize) {
        self.command(shard, Command::RemovePeer { peer });
        let Some(call) = self.calls.get_mut(&call) else {
            return;
        };
        if let Some(peers) = call.peers_by_shard.get_mut(shard) {
            *peers -= 1;
            if *peers == 0 {
                // No shard tells of a call that is over there.
                call.speakers.forget(shard);
            }
        }
        if let Some(due) = call.speakers.due() {
            self.timers.set(due, Timer::Speakers(call.id));
        }
    }

    /// Takes a participant's peer out of its call, which ends with its last peer.
    pub(super) fn remove_peer(&mut self, owner: ParticipantId) {
        self.unpublish_all(owner);
        self.weigh(owner, 0, usize::MAX);
        let Some(peer) = self
            .participants
            .get_mut(&owner)
            .and_then(|participant| participant.peer.take())
        else {
            return;
        };
        self.participant_by_peer.remove(&peer.id);
        self.give_up_asked(peer.timelines_asked);
        self.give_up_asked(peer.operators_ask_stats);
        self.leave_shard(peer.id, peer.call, peer.shard);
        self.changed.insert(owner);
        if let Some(call) = self.calls.get_mut(&peer.call) {
            call.members.remove(&owner);
            if call.members.is_empty() {
                self.remove_call(peer.call);
            }
        }
    }

    /// Forgets a call without members.
    pub(super) fn remove_call(&mut self, id: CallId) {
        if let Some(call) = self.calls.remove(&id)
            && let Some(room) = self.room_by_name.get_mut(&call.room)
            && room.call == Some(call.id)
        {
            room.call = None;
        }
    }

    /// Takes a participant out of whatever call it is in or that rings. `own` is what it is told itself, if anything;
    /// `others` what the other one of a one-to-one call is told.
    pub(super) fn leave_call(
        &mut self,
        id: ParticipantId,
        own: Option<HangUpReason>,
        others: HangUpReason,
    ) {
        let Some(call) = self.peer(id).and_then(|peer| self.calls.get(&peer.call)) else {
            return;
        };
        match &call.kind {
            CallKind::Room => {
                self.remove_peer(id);
                if let Some(reason) = own {
                    self.tell_hang_up(id, None, reason);
                }
            }
            CallKind::Direct(direct) => {
                let other = direct.other(id);
                self.end_direct_call(id, own, other, Some(others));
            }
        }
    }

    /// `hang-up` to `id`, which is about `other` in a one-to-one call. Kept for a session whose socket broke: nothing
    /// else would tell it.
    pub(super) fn tell_hang_up(
        &mut self,
        id: ParticipantId,
        other: Option<ParticipantId>,
        reason: HangUpReason,
    ) {
        let name = other.and_then(|other| self.name(other));
        let target = self.name(id);
        let text = ServerMessage::HangUp {
            name: name.as_deref(),
            target: target.as_deref(),
            reason,
        }
        .to_text();
        self.send_text([id], &text.into(), true);
    }

    /// Which kind of call a participant is in; none while it rings.
    pub(super) fn call_name(&self, id: ParticipantId) -> Option<CallName> {
        match &self.calls.get(&self.peer(id)?.call)?.kind {
            CallKind::Room => Some(CallName::Room),
            CallKind::Direct(direct) => direct.is_accepted().then_some(CallName::Direct),
        }
    }
}
