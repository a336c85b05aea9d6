//! What moderators do: mute, stop screens, remove, ban, lock. Whoever waits is in `waiting`.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use super::limits::network_of;
use super::membership::Room;
use super::{CloseCode, Connect, Rooms};
use crate::access::Access;
use crate::negotiation::Source;
use crate::shard::{ParticipantId, TrackId};
use crate::signaling::protocol::{
    Dialect, ErrorCode, HangUpReason, Moderation, Mute, MuteTarget, Person, ProtocolError,
    ServerMessage, Target,
};

/// Most bans of one room; the oldest goes for a new one.
const MAX_BANS: usize = 1000;

/// What moderators want of a room.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Newcomers are refused.
    pub(super) locked: bool,
    /// Newcomers wait.
    pub(super) waiting_room: bool,
    /// Who may not come back.
    bans: VecDeque<Ban>,
}

/// Somebody who may not come back.
#[derive(Debug)]
struct Ban {
    /// The number that it had.
    id: ParticipantId,
    name: Option<Arc<str>>,
    holds: Banned,
}

/// What a ban holds by.
#[derive(Debug, PartialEq, Eq)]
enum Banned {
    /// Who it is.
    Identity(Arc<str>),
    /// Where it comes from, where nobody knows who it is.
    Network(IpAddr),
}

/// Who moderates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moderator {
    /// A participant to whom it is granted.
    Participant(ParticipantId),
    /// An operator of the server.
    Operator,
}

impl Order {
    /// Whether somebody with this access may not come from this address. A ban by address is meant for somebody without an
    /// identity, and holds for nobody else there.
    pub(super) fn bans(&self, access: &Access, address: IpAddr) -> bool {
        let held = match &access.identity {
            Some(identity) => Banned::Identity(Arc::clone(identity)),
            None if access.grants.moderate => return false,
            None => Banned::Network(network_of(address)),
        };
        self.bans.iter().any(|ban| ban.holds == held)
    }

    /// Who may not come back.
    pub(super) fn people_banned(&self) -> Vec<Person<'_>> {
        let bans = self.bans.iter();
        bans.map(|ban| Person {
            id: ban.id.0,
            name: ban.name.as_deref(),
        })
        .collect()
    }

    fn is_usual(&self) -> bool {
        !self.locked && !self.waiting_room && self.bans.is_empty()
    }
}

impl Rooms {
    /// `moderate` from a client.
    pub(super) fn take_moderation(
        &mut self,
        id: ParticipantId,
        moderation: &Moderation,
    ) -> Result<(), ProtocolError> {
        if !self.may_moderate(id) {
            return Err(ProtocolError::new(
                ErrorCode::NotGranted,
                "you may not moderate this room",
            ));
        }
        match self.participants.get(&id) {
            Some(participant) => {
                let room = Arc::clone(&participant.room);
                self.moderate(Moderator::Participant(id), &room, moderation)
            }
            None => Ok(()),
        }
    }

    /// Does what a moderator wants of a room.
    pub(super) fn moderate(
        &mut self,
        by: Moderator,
        room: &str,
        moderation: &Moderation,
    ) -> Result<(), ProtocolError> {
        // Before it may be gone.
        let whom = moderation.target();
        let whom = whom.and_then(|target| self.find_anybody(room, target).ok());
        let span = whom.map_or_else(tracing::Span::none, |id| self.span(id));
        match moderation {
            Moderation::Mute {
                target: Some(target),
                source,
            } => {
                let id = self.find(room, target)?;
                self.mute_somebody(by, id, *source)?;
            }
            Moderation::Mute {
                target: None,
                source,
            } => {
                for id in self.members(room) {
                    if !self.may_moderate(id) && self.is_heard(id, *source) {
                        self.mute_somebody(by, id, *source)?;
                    }
                }
            }
            Moderation::StopScreen(target) => {
                let id = self.find(room, target)?;
                self.stop_screen(by, id)?;
            }
            Moderation::Remove(target) => {
                let id = self.other_than(by, self.find_anybody(room, target)?)?;
                let words = format!("{} removed you from the room", self.words_for(by));
                self.expel(id, ErrorCode::Removed, &words);
            }
            Moderation::Ban(target) => {
                let id = self.other_than(by, self.find_anybody(room, target)?)?;
                self.ban(by, room, id);
            }
            Moderation::Unban(id) => {
                let order = self.order_mut(room)?;
                order.bans.retain(|ban| ban.id.0 != *id);
                self.tell_room_state(room);
            }
            Moderation::Lock(on) => {
                self.order_mut(room)?.locked = *on;
                self.tell_room_state(room);
            }
            Moderation::WaitingRoom(on) => {
                self.order_mut(room)?.waiting_room = *on;
                if !on {
                    self.admit_all(room);
                }
                self.tell_room_state(room);
            }
            Moderation::Admit(Some(target)) => {
                let id = self.find_waiting(room, target)?;
                self.admit(id)?;
            }
            Moderation::Admit(None) => self.admit_all(room),
            Moderation::Refuse(target) => {
                let id = self.find_waiting(room, target)?;
                let words = format!("{} did not let you in", self.words_for(by));
                self.expel(id, ErrorCode::NotAdmitted, &words);
            }
        }
        tracing::info!(parent: &span, room, ?by, ?moderation, "moderated");
        Ok(())
    }

    /// Whether a participant may moderate its room.
    pub(super) fn may_moderate(&self, id: ParticipantId) -> bool {
        let participant = self.participants.get(&id);
        participant.is_some_and(|participant| participant.access.grants.moderate)
    }

    /// Whether somebody sends a source that is not muted.
    fn is_heard(&self, id: ParticipantId, source: Source) -> bool {
        let peer = self.peer(id);
        peer.is_some_and(|peer| {
            let mut of_source = peer.published.iter().filter(|one| one.source == source);
            of_source.any(|one| !peer.muted.contains(&one.track))
        })
    }

    fn mute_somebody(
        &mut self,
        by: Moderator,
        id: ParticipantId,
        source: Source,
    ) -> Result<(), ProtocolError> {
        let mute = Mute {
            target: MuteTarget::Source(source),
            muted: true,
        };
        self.mute(id, mute).map_err(|_| sends_no(source))?;
        self.tell_moderated(by, id, "mute", Some(source));
        Ok(())
    }

    /// Takes a screen and its sound from all the others. The client is to end it; until then, and if it does not, they stay
    /// taken away.
    fn stop_screen(&mut self, by: Moderator, id: ParticipantId) -> Result<(), ProtocolError> {
        let is_shared = |source: Source| matches!(source, Source::Screen | Source::ScreenAudio);
        let Some(peer) = self.peer_mut(id) else {
            return Err(sends_no(Source::Screen));
        };
        let published = peer.published.iter();
        let shared: Vec<TrackId> = published
            .filter(|published| is_shared(published.source))
            .map(|published| published.track)
            .collect();
        if shared.is_empty() {
            return Err(sends_no(Source::Screen));
        }
        peer.stopped.extend(shared);
        self.publish(id);
        self.tell_moderated(by, id, "stop-screen", None);
        Ok(())
    }

    fn tell_moderated(
        &mut self,
        by: Moderator,
        id: ParticipantId,
        action: &str,
        source: Option<Source>,
    ) {
        let moderator = match by {
            Moderator::Participant(moderator) => Some(moderator),
            Moderator::Operator => None,
        };
        let name = moderator.and_then(|moderator| self.name(moderator));
        let by = moderator.map(|moderator| Person {
            id: moderator.0,
            name: name.as_deref(),
        });
        let message = ServerMessage::Moderated { action, source, by };
        if self.dialect(id) == Dialect::V1 {
            let text = message.to_text().into();
            self.send_text([id], &text, true);
        }
    }

    /// Ends somebody's stay in a room, or its waiting for it. It is told why, a classic client by the close code.
    pub(super) fn expel(&mut self, id: ParticipantId, code: ErrorCode, words: &str) {
        self.leave_call(id, Some(HangUpReason::Kicked), HangUpReason::Left);
        let error = ProtocolError::new(code, words);
        self.send(id, &ServerMessage::error(&error, true));
        self.close(id, CloseCode::Forbidden, words);
        self.leave_room(id);
    }

    /// Removes somebody, with all its other sessions where it is known who it is, and lets it in no more.
    fn ban(&mut self, by: Moderator, room: &str, id: ParticipantId) {
        let Some(participant) = self.participants.get(&id) else {
            return;
        };
        let identity = participant.access.identity.clone();
        let ban = Ban {
            id,
            name: participant.name.clone(),
            holds: match &identity {
                Some(identity) => Banned::Identity(Arc::clone(identity)),
                None => Banned::Network(network_of(participant.address)),
            },
        };
        if let Ok(order) = self.order_mut(room) {
            order.bans.retain(|known| known.holds != ban.holds);
            if order.bans.len() >= MAX_BANS {
                order.bans.pop_front();
            }
            order.bans.push_back(ban);
        }
        let is_meant = |other: &ParticipantId| {
            let other = self.participants.get(other);
            identity.is_some() && other.is_some_and(|other| other.access.identity == identity)
        };
        let everybody = self.members(room).into_iter().chain(self.waiting(room));
        let sessions: Vec<ParticipantId> = everybody
            .filter(|other| *other == id || is_meant(other))
            .collect();
        let words = format!("{} banned you from the room", self.words_for(by));
        for session in sessions {
            self.expel(session, ErrorCode::Banned, &words);
        }
        self.tell_room_state(room);
    }

    /// Whether a newcomer may come into a room, or (`true`) has to wait for it.
    pub(super) fn check_order(
        &self,
        room: &Room,
        connect: &Connect,
    ) -> Result<bool, ProtocolError> {
        let order = &room.order;
        if order.bans(&connect.access, connect.address) {
            return Err(ProtocolError::new(
                ErrorCode::Banned,
                "you are banned from this room",
            ));
        }
        if connect.access.grants.moderate {
            return Ok(false);
        }
        if order.locked {
            return Err(ProtocolError::new(
                ErrorCode::RoomLocked,
                "the room is locked: ask one of those in it to open it",
            ));
        }
        if order.waiting_room {
            self.check_waiting(room, connect)?;
        }
        Ok(order.waiting_room)
    }

    /// Tells everybody in a room how it is ordered, and moderators who waits and who is banned.
    pub(super) fn tell_room_state(&mut self, room: &str) {
        for id in self.members(room) {
            self.tell_room_state_to(id);
        }
    }

    /// The same to a newcomer, if there is anything to tell.
    pub(super) fn tell_unusual_room_state(&mut self, id: ParticipantId) {
        let room = self.participants.get(&id);
        let room = room.and_then(|participant| self.room_by_name.get(&participant.room));
        if room.is_some_and(|room| !room.order.is_usual() || !room.waiting.is_empty()) {
            self.tell_room_state_to(id);
        }
    }

    pub(super) fn tell_room_state_to(&mut self, id: ParticipantId) {
        let Some(room) = self
            .participants
            .get(&id)
            .and_then(|participant| self.room_by_name.get(&participant.room))
        else {
            return;
        };
        let moderates = self.may_moderate(id);
        let waiting = moderates.then(|| self.people_waiting(room));
        let bans = moderates.then(|| room.order.people_banned());
        let message = ServerMessage::RoomState {
            locked: room.order.locked,
            waiting_room: room.order.waiting_room,
            waiting,
            bans,
        };
        if self.dialect(id) == Dialect::V1 {
            let text = message.to_text().into();
            self.send_text([id], &text, false);
        }
    }

    /// Who waits for a room.
    pub(super) fn people_waiting(&self, room: &Room) -> Vec<Person<'_>> {
        let name = |id| self.participants.get(id)?.name.as_deref();
        let waiting = room.waiting.iter();
        waiting
            .map(|id| Person {
                id: id.0,
                name: name(id),
            })
            .collect()
    }

    /// Who is in a room.
    pub(super) fn members(&self, room: &str) -> Vec<ParticipantId> {
        let room = self.room_by_name.get(room);
        room.map(|room| room.participants.iter().copied().collect())
            .unwrap_or_default()
    }

    fn order_mut(&mut self, room: &str) -> Result<&mut Order, ProtocolError> {
        let room = self.room_by_name.get_mut(room);
        room.map(|room| &mut room.order)
            .ok_or_else(|| ProtocolError::new(ErrorCode::BadRoom, "there is no such room"))
    }

    /// One who is in the room, also without a name yet, or else waits for it.
    fn find_anybody(&self, room: &str, target: &Target) -> Result<ParticipantId, ProtocolError> {
        let nameless = match target {
            Target::Id(id) => Some(ParticipantId(*id)),
            Target::Name(_) => None,
        };
        if let Some(id) = nameless.filter(|id| self.members(room).contains(id)) {
            return Ok(id);
        }
        self.find(room, target)
            .or_else(|error| self.find_waiting(room, target).map_err(|_| error))
    }

    /// An error where somebody means itself, or a session of its own.
    fn other_than(&self, by: Moderator, id: ParticipantId) -> Result<ParticipantId, ProtocolError> {
        let identity = |id: ParticipantId| self.participants.get(&id)?.access.identity.clone();
        match by {
            Moderator::Participant(own)
                if own == id || identity(own).is_some_and(|own| identity(id) == Some(own)) =>
            {
                Err(ProtocolError::new(
                    ErrorCode::SelfTarget,
                    "that is yourself: leave the room instead",
                ))
            }
            Moderator::Participant(_) | Moderator::Operator => Ok(id),
        }
    }

    fn words_for(&self, by: Moderator) -> String {
        match by {
            Moderator::Participant(id) => self
                .name(id)
                .map_or_else(|| "a moderator".to_owned(), |name| name.to_string()),
            Moderator::Operator => "the server's operator".to_owned(),
        }
    }
}

fn sends_no(source: Source) -> ProtocolError {
    let message = format!("nobody of that name sends a {} here", source.word());
    ProtocolError::new(ErrorCode::NoSuchTrack, message)
}
