//! What operators do: rooms made, changed and closed, and things said in them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Answered, OperatorAnswer, Refusal, RefusalKind, nobody, not_in_call, shown, to_json};
use crate::negotiation;
use crate::room::membership::Room;
use crate::room::moderation::Moderator;
use crate::room::timer::Timer;
use crate::room::{CloseCode, Notice, Rooms};
use crate::shard::{Command, ParticipantId};
use crate::signaling::protocol::{
    ErrorCode, HangUpReason, MAX_NAME_CHARACTERS, MAX_TEXT_CHARACTERS, Moderation, ProtocolError,
    ServerMessage, Target, is_room_name,
};
use crate::transport::MessageKind;

/// How long a room that an operator made stays when nobody is in it, where nothing else was said.
const EMPTY_TIMEOUT: Duration = Duration::from_secs(300);

/// The longest that may be said.
const MAX_EMPTY_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Longest label of a data channel, in bytes; longer ones are relayed to nobody.
const MAX_LABEL: usize = 256;

/// Who speaks for an operator: no participant has this number.
const SERVER: ParticipantId = ParticipantId(0);

/// What is special about a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoomSettings {
    /// Where it is not the server's limit.
    pub max_participants: Option<usize>,
    /// How long the room stays when nobody is in it; without, it ends with its last participant.
    pub empty_timeout: Option<Duration>,
}

/// What is to change in a room's settings. Nothing said, nothing changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoomChange {
    /// Participants that it may have; `None` in it for the server's limit. Nobody is sent away.
    pub max_participants: Option<Option<u64>>,
    /// Seconds for which it stays when nobody is in it; `None` in it for ending with the last participant.
    pub empty_timeout: Option<Option<u64>>,
}

impl Rooms {
    pub(super) fn create_room(&mut self, now: Instant, name: &str, change: RoomChange) -> Answered {
        if !is_room_name(name) {
            let message = "`name` must have 1 to 64 of letters, digits, `-`, `_`, `.`".to_owned();
            return Err(Refusal::new(RefusalKind::Invalid, "bad-room", message));
        }
        let usual = RoomSettings {
            max_participants: None,
            empty_timeout: Some(EMPTY_TIMEOUT),
        };
        let settings = self.changed(usual, change)?;
        if settings.empty_timeout.is_none() {
            let message = "`emptyTimeout` is needed: nobody is in a new room".to_owned();
            return Err(Refusal::new(RefusalKind::Invalid, "bad-message", message));
        }
        if self.room_by_name.contains_key(name) {
            let message =
                format!("there is a room `{name}`: PATCH /api/v1/rooms/{name} changes it");
            return Err(Refusal::new(RefusalKind::Conflict, "room-exists", message));
        }
        if self.room_by_name.len() >= self.config.limits.max_rooms {
            let message = format!(
                "the server has its {} rooms: close some, or raise --max-rooms",
                self.config.limits.max_rooms
            );
            return Err(Refusal::new(
                RefusalKind::Conflict,
                "too-many-rooms",
                message,
            ));
        }
        tracing::info!(room = name, "an operator made a room");
        self.room(name).settings = settings;
        self.emptied.push(name.into());
        self.settle(now);
        let view = to_json(&self.room_view(name)?);
        Ok(Some(OperatorAnswer::Created(view)))
    }

    pub(super) fn change_room(&mut self, now: Instant, name: &str, change: RoomChange) -> Answered {
        let settings = self.changed(self.known_room(name)?.settings, change)?;
        tracing::info!(room = name, ?settings, "an operator changed a room");
        self.room(name).settings = settings;
        let view = shown(self.room_view(name)?);
        if self.known_room(name)?.is_empty() {
            self.emptied.push(name.into());
            self.settle(now);
        }
        view
    }

    /// These settings with the change, which is checked.
    fn changed(&self, settings: RoomSettings, change: RoomChange) -> Result<RoomSettings, Refusal> {
        let most = self.config.limits.max_participants as u64;
        let longest = MAX_EMPTY_TIMEOUT.as_secs();
        let max_participants = change.max_participants.map(|given| {
            let given = bounded("maxParticipants", given, 1, most)?;
            Ok(given.map(|given| given as usize))
        });
        let empty_timeout = change.empty_timeout.map(|given| {
            let given = bounded("emptyTimeout", given, 1, longest)?;
            Ok(given.map(Duration::from_secs))
        });
        Ok(RoomSettings {
            max_participants: max_participants.unwrap_or(Ok(settings.max_participants))?,
            empty_timeout: empty_timeout.unwrap_or(Ok(settings.empty_timeout))?,
        })
    }

    pub(super) fn close_room(&mut self, name: &str) -> Answered {
        let room = self.known_room(name)?;
        let members = &room.participants | &room.waiting;
        tracing::info!(
            room = name,
            participants = members.len(),
            "an operator closed a room"
        );
        // Without it nobody is told of each one that leaves.
        self.room_by_name.remove(name);
        for id in &members {
            self.leave_call(*id, None, HangUpReason::Gone);
        }
        let error = ProtocolError::new(ErrorCode::RoomClosed, "the room was closed");
        for id in members {
            self.send(id, &ServerMessage::error(&error, true));
            self.close(id, CloseCode::Policy, &error.message);
            self.leave_room(id);
        }
        self.notice(name, Notice::RoomEnded);
        Ok(Some(OperatorAnswer::Done))
    }

    /// As a moderator, in whose words it is said what is wrong.
    pub(super) fn operator_moderates(&mut self, room: &str, moderation: &Moderation) -> Answered {
        self.known_room(room)?;
        self.moderate(Moderator::Operator, room, moderation)
            .map_err(|error| {
                let (kind, code) = match error.code {
                    ErrorCode::NoSuchUser => (RefusalKind::NotFound, "no-such-participant"),
                    ErrorCode::NoSuchTrack => (RefusalKind::Conflict, "no-such-track"),
                    ErrorCode::RoomFull => (RefusalKind::Conflict, "room-full"),
                    _ => (RefusalKind::Invalid, "bad-message"),
                };
                Refusal::new(kind, code, error.message)
            })?;
        Ok(Some(OperatorAnswer::Done))
    }

    /// Looks after rooms in which nobody is any more.
    pub(in crate::room) fn end_empty_rooms(&mut self, now: Instant) {
        for name in std::mem::take(&mut self.emptied) {
            let Some(room) = self.room_by_name.get_mut(&name) else {
                continue;
            };
            if !room.is_empty() {
                continue;
            }
            match room.settings.empty_timeout {
                Some(timeout) => {
                    let until = now + timeout;
                    if let Some(before) = room.empty_until.replace(until) {
                        self.timers.clear(before, Timer::Room(Arc::clone(&name)));
                    }
                    self.timers.set(until, Timer::Room(name));
                }
                None => self.end_room(&name),
            }
        }
    }

    /// A room may have been empty for long enough.
    pub(in crate::room) fn expire_room(&mut self, now: Instant, name: &Arc<str>) {
        let room = self.room_by_name.get(name);
        let is_over = room.is_some_and(|room| {
            room.is_empty() && room.empty_until.is_some_and(|until| until <= now)
        });
        if is_over {
            self.end_room(name);
        }
    }

    fn end_room(&mut self, name: &str) {
        self.room_by_name.remove(name);
        self.notice(name, Notice::RoomEnded);
    }

    /// Participants that a room may have.
    pub(in crate::room) fn max_participants(&self, room: &Room) -> usize {
        let most = self.config.limits.max_participants;
        room.settings.max_participants.unwrap_or(most)
    }

    pub(super) fn say(
        &mut self,
        now: Instant,
        room: &str,
        target: Option<&Target>,
        name: &str,
        text: &str,
    ) -> Answered {
        let name = name.trim();
        if name.is_empty()
            || name.chars().count() > MAX_NAME_CHARACTERS
            || name.chars().any(char::is_control)
        {
            let message = format!(
                "`name` must have 1 to {MAX_NAME_CHARACTERS} characters without control characters"
            );
            return Err(Refusal::new(RefusalKind::Invalid, "bad-name", message));
        }
        if text.is_empty() || text.chars().count() > MAX_TEXT_CHARACTERS {
            let message = format!("`text` must have 1 to {MAX_TEXT_CHARACTERS} characters");
            return Err(Refusal::new(RefusalKind::Invalid, "bad-message", message));
        }
        let receivers = self.receivers(room, target)?;
        let private = match (target, &receivers[..]) {
            (Some(_), [one]) => self.name(*one),
            (_, _) => None,
        };
        let text = ServerMessage::Message {
            text,
            name,
            id: SERVER.0,
            date: self.unix_ms(now),
            target: private.as_deref(),
        }
        .to_text();
        self.send_text(receivers, &text.into(), true);
        Ok(Some(OperatorAnswer::Done))
    }

    pub(super) fn send_data(
        &mut self,
        room: &str,
        target: Option<&Target>,
        label: &str,
        kind: MessageKind,
        data: &Bytes,
    ) -> Answered {
        let negotiation::Limits {
            max_message_bytes, ..
        } = self.config.negotiation;
        let wrong = if label.len() > MAX_LABEL {
            Some(format!("`label` may have at most {MAX_LABEL} bytes"))
        } else if data.len() > max_message_bytes {
            Some(format!(
                "a message may have at most {max_message_bytes} bytes (--max-data-channel-bytes)"
            ))
        } else {
            None
        };
        if let Some(message) = wrong {
            return Err(Refusal::new(RefusalKind::Invalid, "bad-message", message));
        }
        let receivers = self.receivers(room, target)?;
        if let (Some(_), Some(one)) = (target, receivers.first())
            && self.peer(*one).is_none()
        {
            return Err(not_in_call(&one.to_string()));
        }
        for id in receivers {
            let Some(peer) = self.peer(id) else {
                continue;
            };
            let (shard, peer) = (peer.shard, peer.id);
            let command = Command::SendData {
                peer,
                from: SERVER,
                label: label.to_owned(),
                kind,
                data: data.clone(),
            };
            self.command(shard, command);
        }
        Ok(Some(OperatorAnswer::Done))
    }

    /// Whom a message is for.
    fn receivers(
        &self,
        room: &str,
        target: Option<&Target>,
    ) -> Result<Vec<ParticipantId>, Refusal> {
        let known = self.known_room(room)?;
        let Some(target) = target else {
            return Ok(known.participants.iter().copied().collect());
        };
        let (found, word) = match target {
            Target::Name(name) => {
                let found = known.participant_by_name.get(name.as_str()).copied();
                (found, name.clone())
            }
            Target::Id(number) => {
                let id = ParticipantId(*number);
                let found = Some(id).filter(|id| known.participants.contains(id));
                (found, number.to_string())
            }
        };
        found.map(|id| vec![id]).ok_or_else(|| nobody(room, &word))
    }
}

/// A number within its bounds, or none.
fn bounded(name: &str, given: Option<u64>, low: u64, high: u64) -> Result<Option<u64>, Refusal> {
    match given {
        Some(given) if !(low..=high).contains(&given) => {
            let message = format!("`{name}` must be a whole number from {low} to {high}, or null");
            Err(Refusal::new(RefusalKind::Invalid, "bad-message", message))
        }
        given => Ok(given),
    }
}
