//! What there is, as operators read it.

use std::ops::Bound;

use serde::Serialize;

use super::Refusal;
use crate::room::Rooms;
use crate::room::membership::Room;
use crate::shard::ParticipantId;
use crate::signaling::protocol::{CallName, Person, TrackInfo};

#[derive(Serialize)]
pub(super) struct RoomList<'a> {
    rooms: Vec<RoomView<'a>>,
    /// What to say as `after` for the rest; `null` where there is none.
    next: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RoomView<'a> {
    name: &'a str,
    participants: usize,
    calls: usize,
    max_participants: usize,
    locked: bool,
    waiting_room: bool,
    /// In seconds; `null` where it ends with its last participant.
    empty_timeout: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderView<'a> {
    locked: bool,
    waiting_room: bool,
    waiting: Vec<Person<'a>>,
    bans: Vec<Person<'a>>,
}

#[derive(Serialize)]
pub(super) struct ParticipantList<'a> {
    participants: Vec<ParticipantView<'a>>,
}

#[derive(Serialize)]
pub(super) struct ParticipantView<'a> {
    id: u64,
    name: Option<&'a str>,
    /// Who it is, if its token says so.
    identity: Option<&'a str>,
    /// Whether its WebSocket is there.
    connected: bool,
    call: Option<CallName>,
    tracks: Vec<TrackInfo>,
}

#[derive(Serialize)]
pub(super) struct TrackList<'a> {
    tracks: Vec<TrackView<'a>>,
}

#[derive(Serialize)]
struct TrackView<'a> {
    participant: u64,
    name: Option<&'a str>,
    #[serde(flatten)]
    track: TrackInfo,
}

impl Rooms {
    pub(super) fn room_list(&self, after: Option<&str>, limit: usize) -> RoomList<'_> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.room_by_name.range::<str, _>((from, Bound::Unbounded));
        let rooms: Vec<RoomView<'_>> = rest
            .by_ref()
            .take(limit)
            .map(|(_, room)| self.view(room))
            .collect();
        let more = rest.next().is_some();
        RoomList {
            next: rooms.last().map(|room| room.name).filter(|_| more),
            rooms,
        }
    }

    pub(super) fn room_view(&self, room: &str) -> Result<RoomView<'_>, Refusal> {
        self.known_room(room).map(|room| self.view(room))
    }

    fn view<'a>(&self, room: &'a Room) -> RoomView<'a> {
        let calls = self.calls.values().filter(|call| call.room == room.name);
        RoomView {
            name: &room.name,
            participants: room.participants.len(),
            calls: calls.count(),
            max_participants: self.max_participants(room),
            locked: room.order.locked,
            waiting_room: room.order.waiting_room,
            empty_timeout: room.settings.empty_timeout.map(|timeout| timeout.as_secs()),
        }
    }

    pub(super) fn order_view(&self, room: &str) -> Result<OrderView<'_>, Refusal> {
        let room = self.known_room(room)?;
        Ok(OrderView {
            locked: room.order.locked,
            waiting_room: room.order.waiting_room,
            waiting: self.people_waiting(room),
            bans: room.order.people_banned(),
        })
    }

    pub(super) fn participant_list(&self, room: &str) -> Result<ParticipantList<'_>, Refusal> {
        let ids = self.known_room(room)?.participants.iter();
        Ok(ParticipantList {
            participants: ids.map(|id| self.participant_view(*id)).collect(),
        })
    }

    pub(super) fn participant_view(&self, id: ParticipantId) -> ParticipantView<'_> {
        let participant = self.participants.get(&id);
        let call = self.call_name(id);
        let peer = participant
            .and_then(|one| one.peer.as_ref())
            .filter(|_| call.is_some());
        ParticipantView {
            id: id.0,
            name: participant.and_then(|one| one.name.as_deref()),
            identity: participant.and_then(|one| one.access.identity.as_deref()),
            connected: self.is_connected(id),
            call,
            tracks: peer.map(|peer| peer.track_infos()).unwrap_or_default(),
        }
    }

    pub(super) fn track_list(&self, room: &str) -> Result<TrackList<'_>, Refusal> {
        let participants = self.participant_list(room)?.participants;
        let tracks = participants.into_iter().flat_map(|participant| {
            let ParticipantView {
                id, name, tracks, ..
            } = participant;
            tracks.into_iter().map(move |track| TrackView {
                participant: id,
                name,
                track,
            })
        });
        Ok(TrackList {
            tracks: tracks.collect(),
        })
    }
}
