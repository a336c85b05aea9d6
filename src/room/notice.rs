//! What happened in the rooms, for those who watch from outside.

use std::sync::Arc;

use super::{Output, Rooms};
use crate::shard::ParticipantId;
use crate::signaling::protocol::TrackInfo;

/// Something that happened in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The room is there: somebody came, or an operator made it.
    RoomStarted,
    /// The room is not there any more.
    RoomEnded,
    /// Somebody has a name, and with it is known to the others.
    ParticipantJoined(Somebody),
    /// One of those left.
    ParticipantLeft(Somebody),
    /// Somebody sends something more.
    TrackPublished(Somebody, TrackInfo),
    /// Somebody does not send it any more.
    TrackUnpublished(Somebody, TrackInfo),
}

/// Whom a notice is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Somebody {
    /// The participant's number.
    pub id: u64,
    /// Its name.
    pub name: Arc<str>,
}

impl Rooms {
    pub(super) fn notice(&mut self, room: &str, notice: Notice) {
        let room = room.into();
        self.outputs.push_back(Output::Notice { room, notice });
    }

    /// A notice about a participant, if it has a name.
    pub(super) fn notice_about(
        &mut self,
        id: ParticipantId,
        notice: impl FnOnce(Somebody) -> Notice,
    ) {
        let Some(participant) = self.participants.get(&id) else {
            return;
        };
        let Some(name) = participant.name.clone() else {
            return;
        };
        let room = Arc::clone(&participant.room);
        let notice = notice(Somebody { id: id.0, name });
        self.outputs.push_back(Output::Notice { room, notice });
    }
}
