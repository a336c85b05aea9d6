//! What operators ask: who is there, and what became of the tracks on their way to somebody.

use serde::Serialize;

use super::{Output, Rooms};
use crate::negotiation::Source;
use crate::shard::{Command, ParticipantId, PeerId, TimelineEntry, TrackId};
use crate::signaling::protocol::{CallName, TimelineLine, timeline_lines_in_words};

/// One request of an operator's. Unique in the server's run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// What an operator asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorRequest {
    /// Which rooms there are, and who is in them.
    Rooms,
    /// What happened to the tracks that somebody is sent.
    Timelines {
        /// The room's name.
        room: String,
        /// The participant's number, or else its name.
        participant: String,
    },
}

/// What an operator is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorAnswer {
    /// A JSON document.
    Json(String),
    /// There is no such thing.
    NotFound {
        /// The word for programs.
        code: &'static str,
        /// The sentence for people, which says what to do.
        message: String,
    },
}

#[derive(Serialize)]
struct RoomList<'a> {
    rooms: Vec<RoomLine<'a>>,
}

#[derive(Serialize)]
struct RoomLine<'a> {
    name: &'a str,
    participants: usize,
    calls: usize,
    members: Vec<MemberLine<'a>>,
}

#[derive(Serialize)]
struct MemberLine<'a> {
    id: u64,
    name: Option<&'a str>,
    call: Option<CallName>,
}

#[derive(Serialize)]
struct ParticipantTimelines<'a> {
    room: &'a str,
    participant: u64,
    name: Option<&'a str>,
    tracks: Vec<TrackTimeline<'a>>,
}

#[derive(Serialize)]
struct TrackTimeline<'a> {
    track: String,
    /// The publisher; `null` where it is gone.
    participant: Option<u64>,
    name: Option<&'a str>,
    source: Option<Source>,
    muted: Option<bool>,
    events: Vec<TimelineLine>,
}

impl Rooms {
    /// An operator asks. [`Output::Answer`] follows, maybe later.
    pub fn handle_operator(&mut self, id: RequestId, request: OperatorRequest) {
        let answer = match request {
            OperatorRequest::Rooms => Some(OperatorAnswer::Json(self.room_list())),
            OperatorRequest::Timelines { room, participant } => {
                self.ask_timelines(id, &room, &participant).err()
            }
        };
        if let Some(answer) = answer {
            self.answer_operator(id, answer);
        }
    }

    fn answer_operator(&mut self, request: RequestId, answer: OperatorAnswer) {
        self.outputs.push_back(Output::Answer { request, answer });
    }

    fn room_list(&self) -> String {
        let member = |id: &ParticipantId| MemberLine {
            id: id.0,
            name: self
                .participants
                .get(id)
                .and_then(|one| one.name.as_deref()),
            call: self.call_name(*id),
        };
        let rooms = self.room_by_name.values().map(|room| RoomLine {
            name: &room.name,
            participants: room.participants.len(),
            calls: self
                .calls
                .values()
                .filter(|call| call.room == room.name)
                .count(),
            members: room.participants.iter().map(member).collect(),
        });
        to_json(&RoomList {
            rooms: rooms.collect(),
        })
    }

    /// Asks the shard, once for all who wait for the same. An error is the answer.
    fn ask_timelines(
        &mut self,
        request: RequestId,
        room: &str,
        participant: &str,
    ) -> Result<(), OperatorAnswer> {
        let Some(known) = self.room_by_name.get(room) else {
            let message =
                format!("there is no room `{room}` now: GET /api/v1/rooms lists those there are");
            return Err(not_found("no-such-room", message));
        };
        let by_id = participant.parse().map(ParticipantId).ok();
        let id = by_id
            .filter(|id| known.participants.contains(id))
            .or_else(|| known.participant_by_name.get(participant).copied());
        let Some(id) = id else {
            let message = format!(
                "nobody in room `{room}` has the id or the name `{participant}`: GET /api/v1/rooms lists who is there"
            );
            return Err(not_found("no-such-participant", message));
        };
        let Some(peer) = self.peer_mut(id) else {
            let message = format!(
                "`{participant}` is in no call, and is sent nothing: ask again once it has joined"
            );
            return Err(not_found("not-in-call", message));
        };
        let (peer_id, shard) = (peer.id, peer.shard);
        peer.timelines_asked.push(request);
        if peer.timelines_asked.len() == 1 {
            self.command(shard, Command::Timelines { peer: peer_id });
        }
        Ok(())
    }

    /// A shard told what became of the tracks that a peer is sent.
    pub(super) fn answer_timelines(
        &mut self,
        peer: PeerId,
        timelines: &[(TrackId, Vec<TimelineEntry>)],
    ) {
        let Some(&id) = self.participant_by_peer.get(&peer) else {
            return;
        };
        let asked = self
            .peer_mut(id)
            .map(|peer| std::mem::take(&mut peer.timelines_asked));
        let json = self.timelines_json(id, timelines);
        for request in asked.unwrap_or_default() {
            self.answer_operator(request, OperatorAnswer::Json(json.clone()));
        }
    }

    fn timelines_json(
        &self,
        id: ParticipantId,
        timelines: &[(TrackId, Vec<TimelineEntry>)],
    ) -> String {
        let participant = self.participants.get(&id);
        let tracks = timelines.iter().map(|(track, entries)| {
            let publisher = self.publisher_by_track.get(track).copied();
            let shown = publisher.and_then(|publisher| self.track_source(publisher, *track));
            TrackTimeline {
                track: track.to_string(),
                participant: publisher.map(|publisher| publisher.0),
                name: publisher
                    .and_then(|publisher| self.participants.get(&publisher)?.name.as_deref()),
                source: shown.map(|(source, _)| source),
                muted: shown.map(|(_, muted)| muted),
                events: timeline_lines_in_words(entries),
            }
        });
        to_json(&ParticipantTimelines {
            room: participant.map_or("", |participant| &participant.room),
            participant: id.0,
            name: participant.and_then(|participant| participant.name.as_deref()),
            tracks: tracks.collect(),
        })
    }

    /// A peer is gone that somebody asked about.
    pub(super) fn give_up_timelines(&mut self, asked: Vec<RequestId>) {
        for request in asked {
            let message = "it left its call while it was asked about: ask again once it has joined";
            self.answer_operator(request, not_found("not-in-call", message.to_owned()));
        }
    }
}

fn not_found(code: &'static str, message: String) -> OperatorAnswer {
    OperatorAnswer::NotFound { code, message }
}

fn to_json(document: &impl Serialize) -> String {
    // Strings, numbers and lists only: writing them cannot fail.
    serde_json::to_string(document).unwrap_or_default()
}
