//! Names, and who is announced to whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::moderation::Order;
use super::timer::Timer;
use super::{Notice, RoomSettings, Rooms};
use crate::negotiation::Source;
use crate::shard::{CallId, ParticipantId};
use crate::signaling::protocol::{
    Dialect, ErrorCode, HangUpReason, MAX_NAME_CHARACTERS, ParticipantState, ProtocolError,
    ServerMessage, Target,
};

/// What a classic client is called that needs a name and has none: it cannot be told to choose one.
const DEFAULT_NAME: &str = "Guest";

/// A room, from its first participant to its last; or for as long as an operator wants it.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) name: Arc<str>,
    /// In the order in which they came.
    pub(super) participants: BTreeSet<ParticipantId>,
    /// Who waits to be let in, in the order in which they came.
    pub(super) waiting: BTreeSet<ParticipantId>,
    /// When its moderators were told last who waits.
    pub(super) waiting_told: Option<Instant>,
    pub(super) participant_by_name: BTreeMap<Arc<str>, ParticipantId>,
    /// The room's call, while somebody is in it.
    pub(super) call: Option<CallId>,
    /// What moderators want of it.
    pub(super) order: Order,
    /// What operators want of it.
    pub(super) settings: RoomSettings,
    /// Until when it stays although nobody is in it.
    pub(super) empty_until: Option<Instant>,
}

impl Room {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            participants: BTreeSet::new(),
            waiting: BTreeSet::new(),
            waiting_told: None,
            participant_by_name: BTreeMap::new(),
            call: None,
            order: Order::default(),
            settings: RoomSettings::default(),
            empty_until: None,
        }
    }

    /// Whether nobody is in it, nor waits for it.
    pub(super) fn is_empty(&self) -> bool {
        self.participants.is_empty() && self.waiting.is_empty()
    }

    /// `wanted`, with a number appended if somebody but `id` has it.
    fn free_name(&self, id: ParticipantId, wanted: &str) -> Arc<str> {
        let is_free = |name: &str| {
            self.participant_by_name
                .get(name)
                .is_none_or(|&owner| owner == id)
        };
        if is_free(wanted) {
            return wanted.into();
        }
        // Somewhere below the number of participants there is a free one.
        for number in 1u64.. {
            let suffix = number.to_string();
            let base: String = wanted
                .chars()
                .take(MAX_NAME_CHARACTERS - suffix.len())
                .collect();
            let name = format!("{base}{suffix}");
            if is_free(&name) {
                return name.into();
            }
        }
        wanted.into()
    }
}

impl Rooms {
    /// The room of this name, new if there was none.
    pub(super) fn room(&mut self, name: &str) -> &mut Room {
        if !self.room_by_name.contains_key(name) {
            self.notice(name, Notice::RoomStarted);
        }
        self.room_by_name
            .entry(name.into())
            .or_insert_with_key(|name| Room::new(Arc::clone(name)))
    }

    /// Gives a participant the name it wants, or one like it.
    pub(super) fn take_name(&mut self, id: ParticipantId, wanted: &str) {
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        if participant.waits_until.is_some() {
            // It is nobody's as long as its bearer is not in the room.
            participant.name = Some(wanted.into());
            let room = Arc::clone(&participant.room);
            self.tell_moderators(&room);
            return;
        }
        let Some(room) = self.room_by_name.get_mut(&participant.room) else {
            return;
        };
        let name = room.free_name(id, wanted);
        let old = participant.name.replace(Arc::clone(&name));
        if old.as_ref() != Some(&name) {
            if let Some(old) = &old {
                room.participant_by_name.remove(old);
            }
            room.participant_by_name.insert(Arc::clone(&name), id);
        }
        if *name != *wanted {
            self.send(
                id,
                &ServerMessage::RejectUsername {
                    id: id.0,
                    name: &name,
                },
            );
        }
        match old {
            None => {
                self.announce(id, ParticipantState::Joined);
                self.notice_about(id, Notice::ParticipantJoined);
            }
            Some(old) if old != name => {
                self.changed.insert(id);
            }
            Some(_) => return,
        }
        self.tell_user_list(id);
    }

    /// A classic client that asked for a name that is none gets one all the same; it would never see the error.
    pub(super) fn take_bad_name(
        &mut self,
        id: ParticipantId,
        error: ProtocolError,
    ) -> Result<(), ProtocolError> {
        let needs_name = error.code == ErrorCode::BadName
            && self.dialect(id) == Dialect::Classic
            && self.name(id).is_none();
        if !needs_name {
            return Err(error);
        }
        self.needed_name(id).map(|_| ())
    }

    /// The name of a participant that wants to do something that needs one.
    pub(super) fn needed_name(&mut self, id: ParticipantId) -> Result<Arc<str>, ProtocolError> {
        if self.name(id).is_none() && self.dialect(id) == Dialect::Classic {
            self.take_name(id, DEFAULT_NAME);
            // Told as a rejection, since that is the one way to tell a classic client its name.
            if let Some(name) = self.name(id).filter(|name| **name == *DEFAULT_NAME) {
                self.send(
                    id,
                    &ServerMessage::RejectUsername {
                        id: id.0,
                        name: &name,
                    },
                );
            }
        }
        self.name(id)
            .ok_or_else(|| ProtocolError::new(ErrorCode::NoName, "take a name first: `username`"))
    }

    /// Whom `target` means to `id`.
    pub(super) fn resolve(
        &self,
        id: ParticipantId,
        target: &Target,
    ) -> Result<ParticipantId, ProtocolError> {
        let participant = self.participants.get(&id);
        self.find(
            participant.map_or("", |participant| &participant.room),
            target,
        )
    }

    /// Whom `target` means in a room. Somebody without a name is nobody yet.
    pub(super) fn find(&self, room: &str, target: &Target) -> Result<ParticipantId, ProtocolError> {
        let room = self.room_by_name.get(room);
        let found = match target {
            Target::Name(name) => {
                room.and_then(|room| room.participant_by_name.get(name.as_str()).copied())
            }
            Target::Id(number) => Some(ParticipantId(*number))
                .filter(|id| room.is_some_and(|room| room.participants.contains(id)))
                .filter(|id| self.name(*id).is_some()),
        };
        found.ok_or_else(|| {
            ProtocolError::new(ErrorCode::NoSuchUser, "nobody of that name is in the room")
        })
    }

    /// Everybody in the room of `id`.
    pub(super) fn room_mates(&self, id: ParticipantId) -> Vec<ParticipantId> {
        let room = self
            .participants
            .get(&id)
            .and_then(|participant| self.room_by_name.get(&participant.room));
        room.map(|room| room.participants.iter().copied().collect())
            .unwrap_or_default()
    }

    /// Ends a participant: its call, its place in the room, its token.
    pub(super) fn leave_room(&mut self, id: ParticipantId) {
        self.leave_call(id, None, HangUpReason::Gone);
        self.changed.remove(&id);
        self.touched.remove(&id);
        if !self.is_waiting(id) {
            self.announce(id, ParticipantState::Left);
            self.notice_about(id, Notice::ParticipantLeft);
        }
        let mates = self.room_mates(id);
        let Some(participant) = self.participants.remove(&id) else {
            return;
        };
        tracing::info!(parent: &participant.span, "left");
        self.forget_address(participant.address);
        // It would stand for hours.
        if let Some(due) = participant.ice_servers_due {
            self.timers.clear(due, Timer::IceServers(id));
        }
        if let Some(session) = participant.session() {
            self.participant_by_session.remove(&session);
        }
        if let Some(token) = participant.token {
            self.participant_by_token.remove(&token);
        }
        if let Some(room) = self.room_by_name.get_mut(&participant.room) {
            if room.waiting.remove(&id) {
                if room.is_empty() {
                    self.emptied.push(Arc::clone(&participant.room));
                }
                self.tell_moderators(&participant.room);
                return;
            }
            room.participants.remove(&id);
            if let Some(name) = &participant.name {
                room.participant_by_name.remove(name);
            }
            if room.is_empty() {
                self.emptied.push(Arc::clone(&participant.room));
            }
        }
        if participant.access.grants.moderate {
            for waiting in self.waiting(&participant.room) {
                self.tell_waiting(waiting);
            }
        }
        if participant.name.is_some()
            && let Some(&mate) = mates.iter().find(|mate| **mate != id)
        {
            self.tell_user_list(mate);
        }
    }

    /// `participant` `updated`.
    pub(super) fn announce_change(&mut self, id: ParticipantId) {
        self.announce(id, ParticipantState::Updated);
    }

    fn announce(&mut self, id: ParticipantId, state: ParticipantState) {
        let Some(text) = self.participant_text(id, state) else {
            return;
        };
        let mates: Vec<ParticipantId> = self
            .room_mates(id)
            .into_iter()
            .filter(|mate| *mate != id && self.dialect(*mate) == Dialect::V1)
            .collect();
        self.send_text(mates, &text.into(), false);
    }

    /// `participant` `joined` for each that is there already.
    pub(super) fn tell_who_is_there(&mut self, id: ParticipantId) {
        for mate in self.room_mates(id) {
            if mate != id
                && let Some(text) = self.participant_text(mate, ParticipantState::Joined)
            {
                self.send_text([id], &text.into(), false);
            }
        }
    }

    /// `participant`, of somebody who has a name.
    fn participant_text(&self, id: ParticipantId, state: ParticipantState) -> Option<String> {
        let participant = self.participants.get(&id)?;
        let name = participant.name.as_deref()?;
        // Somebody whose call still rings is in none as far as others see.
        let call = self
            .call_name(id)
            .filter(|_| state != ParticipantState::Left);
        let tracks = match (&participant.peer, call) {
            (Some(peer), Some(_)) => peer.track_infos(),
            (Some(_) | None, _) => Vec::new(),
        };
        let message = ServerMessage::Participant {
            id: id.0,
            name,
            state,
            call,
            tracks: &tracks,
            moderator: participant.access.grants.moderate,
        };
        Some(message.to_text())
    }

    /// `userlist` to the classic clients in the room of `id`.
    fn tell_user_list(&mut self, id: ParticipantId) {
        let mates = self.room_mates(id);
        let classic: Vec<ParticipantId> = mates
            .iter()
            .copied()
            .filter(|mate| self.dialect(*mate) == Dialect::Classic)
            .collect();
        if classic.is_empty() {
            return;
        }
        let users: Vec<&str> = mates
            .iter()
            .filter_map(|mate| self.participants.get(mate)?.name.as_deref())
            .collect();
        let text = ServerMessage::UserList { users: &users }.to_text();
        self.send_text(classic, &text.into(), false);
    }

    /// What a track of somebody's shows, for `tracks`.
    pub(super) fn track_source(
        &self,
        id: ParticipantId,
        track: crate::shard::TrackId,
    ) -> Option<(Source, bool)> {
        let peer = self.peer(id)?;
        let published = peer
            .published
            .iter()
            .find(|published| published.track == track)?;
        Some((published.source, peer.muted.contains(&track)))
    }
}
