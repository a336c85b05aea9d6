//! What operators ask of the rooms, and what they have done in them: the other side of `/api/v1`.
//!
//! Called by [`crate::signaling`] with requests whose form was checked; what they mean is checked here. Answers are JSON in
//! the wire protocol's names. It never asks who the operator is.
//!
//! `act` makes, changes and closes rooms and says things in them, `view` describes what there is, `timelines` what shards
//! know, which comes later.

mod act;
mod timelines;
mod view;

use std::time::Instant;

use bytes::Bytes;
use serde::Serialize;

use super::{Output, Rooms};
use crate::shard::ParticipantId;
use crate::signaling::protocol::{Moderation, Target};
use crate::transport::MessageKind;

pub use act::{RoomChange, RoomSettings};

/// One request of an operator's. Unique in the server's run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// What an operator asks. Participants are named by their number, or else by their name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorRequest {
    /// Which rooms there are, in the order of their names.
    Rooms {
        /// Only those behind this one.
        after: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// One room.
    Room(String),
    /// A new room, which is there before anybody comes.
    CreateRoom {
        /// Its name.
        name: String,
        /// What is not said is the usual.
        change: RoomChange,
    },
    /// Other settings for a room.
    ChangeRoom {
        /// The room's name.
        room: String,
        /// What is to change.
        change: RoomChange,
    },
    /// Everybody out, and no room any more.
    CloseRoom(String),
    /// Who is in a room.
    Participants(String),
    /// One of them.
    Participant(Member),
    /// What is published in a room.
    Tracks(String),
    /// The server's view of somebody's connection.
    Stats(Member),
    /// What happened to the tracks that somebody is sent.
    Timelines(Member),
    /// Who may come in, who waits, who is banned.
    Order(String),
    /// What a moderator may do as well.
    Moderate {
        /// The room's name.
        room: String,
        /// What.
        moderation: Moderation,
    },
    /// A line of chat.
    Say {
        /// The room's name.
        room: String,
        /// One user, or everybody.
        target: Option<Target>,
        /// Who says so.
        name: String,
        /// What.
        text: String,
    },
    /// A data channel message, for those in a call who have a channel of this label.
    SendData {
        /// The room's name.
        room: String,
        /// One user, or everybody.
        target: Option<Target>,
        /// The channel's label.
        label: String,
        /// Text or bytes.
        kind: MessageKind,
        /// What.
        data: Bytes,
    },
}

/// A participant of a room, as an operator names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The room's name.
    pub room: String,
    /// The participant's number, or else its name.
    pub participant: String,
}

/// What an operator is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorAnswer {
    /// A JSON document.
    Json(String),
    /// Something new is there: this JSON document.
    Created(String),
    /// It is done, and there is nothing to tell.
    Done,
    /// It cannot be.
    Refused(Refusal),
}

/// Why an operator's request cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong.
    pub kind: RefusalKind,
    /// The word for programs.
    pub code: &'static str,
    /// The sentence for people, which says what to do.
    pub message: String,
}

/// What is wrong with an operator's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The request itself.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// Things are not so that it could be done.
    Conflict,
}

impl Refusal {
    fn new(kind: RefusalKind, code: &'static str, message: String) -> Self {
        Self {
            kind,
            code,
            message,
        }
    }
}

/// An answer at once, or none before a shard has told something.
type Answered = Result<Option<OperatorAnswer>, Refusal>;

impl Rooms {
    /// An operator asks. [`Output::Answer`] follows, maybe later.
    pub fn handle_operator(&mut self, now: Instant, id: RequestId, request: OperatorRequest) {
        let answer = match self.answer_to(now, id, request) {
            Ok(Some(answer)) => answer,
            Ok(None) => return,
            Err(refusal) => OperatorAnswer::Refused(refusal),
        };
        self.settle(now);
        self.answer_operator(id, answer);
    }

    fn answer_to(&mut self, now: Instant, id: RequestId, request: OperatorRequest) -> Answered {
        match request {
            OperatorRequest::Rooms { after, limit } => {
                shown(self.room_list(after.as_deref(), limit))
            }
            OperatorRequest::Room(room) => shown(self.room_view(&room)?),
            OperatorRequest::CreateRoom { name, change } => self.create_room(now, &name, change),
            OperatorRequest::ChangeRoom { room, change } => self.change_room(now, &room, change),
            OperatorRequest::CloseRoom(room) => self.close_room(&room),
            OperatorRequest::Participants(room) => shown(self.participant_list(&room)?),
            OperatorRequest::Participant(member) => {
                let participant = self.member(&member)?;
                shown(self.participant_view(participant))
            }
            OperatorRequest::Order(room) => shown(self.order_view(&room)?),
            OperatorRequest::Tracks(room) => shown(self.track_list(&room)?),
            OperatorRequest::Stats(member) => self.operator_asks_stats(id, &member),
            OperatorRequest::Timelines(member) => self.operator_asks_timelines(id, &member),
            OperatorRequest::Moderate { room, moderation } => {
                self.operator_moderates(&room, &moderation)
            }
            OperatorRequest::Say {
                room,
                target,
                name,
                text,
            } => self.say(now, &room, target.as_ref(), &name, &text),
            OperatorRequest::SendData {
                room,
                target,
                label,
                kind,
                data,
            } => self.send_data(&room, target.as_ref(), &label, kind, &data),
        }
    }

    pub(super) fn answer_operator(&mut self, request: RequestId, answer: OperatorAnswer) {
        self.outputs.push_back(Output::Answer { request, answer });
    }

    /// Whom an operator means.
    fn member(&self, member: &Member) -> Result<ParticipantId, Refusal> {
        let Member { room, participant } = member;
        let known = self.known_room(room)?;
        let by_id = participant.parse().map(ParticipantId).ok();
        by_id
            .filter(|id| known.participants.contains(id))
            .or_else(|| known.participant_by_name.get(participant.as_str()).copied())
            .ok_or_else(|| nobody(room, participant))
    }

    fn known_room(&self, room: &str) -> Result<&super::membership::Room, Refusal> {
        self.room_by_name.get(room).ok_or_else(|| {
            let message =
                format!("there is no room `{room}` now: GET /api/v1/rooms lists those there are");
            Refusal::new(RefusalKind::NotFound, "no-such-room", message)
        })
    }
}

fn nobody(room: &str, participant: &str) -> Refusal {
    let message = format!(
        "nobody in room `{room}` has the id or the name `{participant}`: GET /api/v1/rooms/{room}/participants lists who \
         is there"
    );
    Refusal::new(RefusalKind::NotFound, "no-such-participant", message)
}

fn not_in_call(participant: &str) -> Refusal {
    let message =
        format!("`{participant}` is in no call, and is sent nothing: ask again once it has joined");
    Refusal::new(RefusalKind::Conflict, "not-in-call", message)
}

fn shown(document: impl Serialize) -> Answered {
    Ok(Some(OperatorAnswer::Json(to_json(&document))))
}

fn to_json(document: &impl Serialize) -> String {
    // Strings, numbers and lists only: writing them cannot fail.
    serde_json::to_string(document).unwrap_or_default()
}
