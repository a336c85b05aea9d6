//! Chat, and messages that the server does not know.

use std::time::Instant;

use super::Rooms;
use crate::shard::ParticipantId;
use crate::signaling::protocol::{
    ChatMessage, Dialect, ErrorCode, PassThrough, ProtocolError, ServerMessage,
};

impl Rooms {
    /// `message`: to the room with its sender, or to one user and its sender. Kept for those whose socket broke.
    pub(super) fn chat(
        &mut self,
        now: Instant,
        id: ParticipantId,
        message: ChatMessage,
    ) -> Result<(), ProtocolError> {
        self.expect_chat(id)?;
        let name = self.needed_name(id)?;
        let (receivers, target) = match &message.target {
            None => (self.named_room_mates(id), None),
            Some(target) => {
                let user = self.resolve(id, target)?;
                let receivers = if user == id { vec![id] } else { vec![user, id] };
                (receivers, self.name(user))
            }
        };
        let text = ServerMessage::Message {
            text: &message.text,
            name: &name,
            id: id.0,
            date: self.unix_ms(now),
            target: target.as_deref(),
        }
        .to_text();
        self.send_text(receivers, &text.into(), true);
        Ok(())
    }

    /// Any other type: to one user, or to the room without its sender.
    pub(super) fn pass_through(
        &mut self,
        id: ParticipantId,
        message: PassThrough,
    ) -> Result<(), ProtocolError> {
        self.expect_chat(id)?;
        let name = self.needed_name(id)?;
        let mut receivers: Vec<ParticipantId> = match &message.target {
            None => {
                let mut mates = self.named_room_mates(id);
                mates.retain(|mate| *mate != id);
                mates
            }
            Some(target) => vec![self.resolve(id, target)?],
        };
        if message.is_of_server() {
            // To others it would be in the server's voice.
            receivers.retain(|mate| self.dialect(*mate) == Dialect::Classic);
        }
        self.send_text(receivers, &message.signed(&name, id.0).into(), true);
        Ok(())
    }

    /// Whom the others know by a name: nobody else listens to what is said.
    fn named_room_mates(&self, id: ParticipantId) -> Vec<ParticipantId> {
        let mut mates = self.room_mates(id);
        mates.retain(|mate| self.name(*mate).is_some());
        mates
    }

    /// An error where a participant may say nothing to others.
    fn expect_chat(&self, id: ParticipantId) -> Result<(), ProtocolError> {
        let participant = self.participants.get(&id);
        if participant.is_some_and(|participant| participant.access.grants.chat) {
            return Ok(());
        }
        Err(ProtocolError::new(
            ErrorCode::NotGranted,
            "your token does not let you write to others",
        ))
    }

    /// What the clock on the wall says now, in milliseconds since 1970. It may have been set since the start.
    pub fn set_clock(&mut self, now: Instant, unix_ms: u64) {
        self.clock = (now, unix_ms);
    }

    pub(super) fn unix_ms(&self, now: Instant) -> u64 {
        let (read, unix_ms) = self.clock;
        let elapsed = now.saturating_duration_since(read).as_millis();
        unix_ms.saturating_add(elapsed.try_into().unwrap_or(u64::MAX))
    }
}
