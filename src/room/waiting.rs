//! The waiting room: whoever came, and is not in the room yet.

use std::time::{Duration, Instant};

use super::membership::Room;
use super::timer::Timer;
use super::{Connect, Rooms};
use crate::shard::ParticipantId;
use crate::signaling::protocol::{
    Dialect, ErrorCode, ProtocolError, ServerMessage, Target, WaitingState,
};

/// Most that wait for one room.
const MAX_WAITING: usize = 64;

/// Moderators are told who waits at most this often.
const INTERVAL: Duration = Duration::from_millis(500);

/// How long anybody waits.
const PATIENCE: Duration = Duration::from_secs(600);

impl Rooms {
    /// Whether one more may wait for a room.
    pub(super) fn check_waiting(
        &self,
        room: &Room,
        connect: &Connect,
    ) -> Result<(), ProtocolError> {
        if connect.dialect == Dialect::Classic {
            return Err(ProtocolError::new(
                ErrorCode::NotAdmitted,
                "the room has a waiting room, of which this client knows nothing",
            ));
        }
        if room.waiting.len() >= MAX_WAITING {
            return Err(ProtocolError::new(
                ErrorCode::WaitingRoomFull,
                format!("{MAX_WAITING} people wait for this room already"),
            ));
        }
        Ok(())
    }

    /// A newcomer waits from now on.
    pub(super) fn start_waiting(&mut self, now: Instant, id: ParticipantId) {
        let until = now + PATIENCE;
        if let Some(participant) = self.participants.get_mut(&id) {
            participant.waits_until = Some(until);
            self.timers.set(until, Timer::Waiting(id));
        }
    }

    /// Whether a participant is not in its room yet.
    pub(super) fn is_waiting(&self, id: ParticipantId) -> bool {
        let participant = self.participants.get(&id);
        participant.is_some_and(|participant| participant.waits_until.is_some())
    }

    /// Who waits for a room.
    pub(super) fn waiting(&self, room: &str) -> Vec<ParticipantId> {
        let room = self.room_by_name.get(room);
        room.map(|room| room.waiting.iter().copied().collect())
            .unwrap_or_default()
    }

    /// One who waits for a room. Names are not unique there.
    pub(super) fn find_waiting(
        &self,
        room: &str,
        target: &Target,
    ) -> Result<ParticipantId, ProtocolError> {
        let found = match target {
            Target::Id(id) => Some(ParticipantId(*id)),
            Target::Name(name) => {
                let mut waiting = self.waiting(room).into_iter();
                waiting.find(|id| self.name(*id).as_deref() == Some(name))
            }
        };
        found
            .filter(|id| self.waiting(room).contains(id))
            .ok_or_else(|| {
                ProtocolError::new(
                    ErrorCode::NoSuchUser,
                    "nobody of that name or id waits for the room",
                )
            })
    }

    /// Tells one who waits what for.
    pub(super) fn tell_waiting(&mut self, id: ParticipantId) {
        let room = self.participants.get(&id);
        let room = room.map(|participant| self.members(&participant.room));
        let moderator = room
            .unwrap_or_default()
            .into_iter()
            .any(|member| self.may_moderate(member));
        let message = ServerMessage::Waiting {
            state: WaitingState::Waiting,
            moderator: Some(moderator),
        };
        self.send(id, &message);
    }

    /// Somebody came to a room or left it: if that is a moderator, those who wait are told, and it is told of them.
    pub(super) fn tell_waiting_of_moderator(&mut self, id: ParticipantId) {
        let room = self.participants.get(&id).map(|one| one.room.clone());
        if let (true, Some(room)) = (self.may_moderate(id), room) {
            for waiting in self.waiting(&room) {
                self.tell_waiting(waiting);
            }
        }
    }

    /// Who waits for a room changed, which its moderators are to be told.
    pub(super) fn tell_moderators(&mut self, room: &str) {
        self.waiting_changed.insert(room.into());
    }

    /// Tells moderators who waits, not too often: strangers could bury them.
    pub(super) fn settle_waiting(&mut self, now: Instant) {
        for name in std::mem::take(&mut self.waiting_changed) {
            let Some(room) = self.room_by_name.get_mut(&name) else {
                continue;
            };
            let next = room.waiting_told.map(|at| at + INTERVAL);
            if let Some(next) = next.filter(|next| now < *next) {
                self.timers.set(next, Timer::WaitingList(name));
                continue;
            }
            room.waiting_told = Some(now);
            for id in self.members(&name) {
                if self.may_moderate(id) {
                    self.tell_room_state_to(id);
                }
            }
        }
    }

    /// One who waits comes in.
    pub(super) fn admit(&mut self, id: ParticipantId) -> Result<(), ProtocolError> {
        let Some(participant) = self.participants.get(&id) else {
            return Ok(());
        };
        let name = participant.room.clone();
        let Some(room) = self.room_by_name.get(&name) else {
            return Ok(());
        };
        let most = self.max_participants(room);
        if room.participants.len() >= most {
            let message = format!("the room has its {most} participants");
            return Err(ProtocolError::new(ErrorCode::RoomFull, message));
        }
        self.bring_in(id);
        self.tell_moderators(&name);
        Ok(())
    }

    /// All who wait come in, as many as the room holds.
    pub(super) fn admit_all(&mut self, room: &str) {
        for id in self.waiting(room) {
            if self.admit(id).is_err() {
                return;
            }
        }
    }

    fn bring_in(&mut self, id: ParticipantId) {
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        participant.waits_until = None;
        let name = participant.name.take();
        if let Some(room) = self.room_by_name.get_mut(&participant.room) {
            room.waiting.remove(&id);
            room.participants.insert(id);
        }
        let message = ServerMessage::Waiting {
            state: WaitingState::Admitted,
            moderator: None,
        };
        self.send(id, &message);
        self.tell_unusual_room_state(id);
        self.tell_who_is_there(id);
        if let Some(name) = name {
            self.take_name(id, &name);
        }
    }

    /// Somebody may have waited for long enough.
    pub(super) fn expire_waiting(&mut self, now: Instant, id: ParticipantId) {
        let participant = self.participants.get(&id);
        let until = participant.and_then(|participant| participant.waits_until);
        if until.is_some_and(|until| until <= now) {
            let minutes = PATIENCE.as_secs() / 60;
            let words = format!("nobody let you in within {minutes} minutes: try again later");
            self.expel(id, ErrorCode::NotAdmitted, &words);
        }
    }
}
