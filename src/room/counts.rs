//! How much of everything there is, for operators and metrics.

use super::Rooms;
use super::call::CallKind;

/// How much of everything there is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomCounts {
    /// Rooms.
    pub rooms: usize,
    /// Participants, those included whose socket broke a moment ago.
    pub participants: usize,
    /// WebSockets of participants.
    pub sockets: usize,
    /// Calls of rooms.
    pub room_calls: usize,
    /// Calls of two, those included that ring.
    pub direct_calls: usize,
    /// Peer connections.
    pub peers: usize,
    /// Published tracks.
    pub tracks: usize,
}

impl Rooms {
    /// How much of everything there is now.
    pub fn counts(&self) -> RoomCounts {
        let calls = self.calls.values();
        let room_calls = calls.filter(|call| matches!(call.kind, CallKind::Room));
        let room_calls = room_calls.count();
        RoomCounts {
            rooms: self.room_by_name.len(),
            participants: self.participants.len(),
            sockets: self.participant_by_session.len(),
            room_calls,
            direct_calls: self.calls.len() - room_calls,
            peers: self.participant_by_peer.len(),
            tracks: self.publisher_by_track.len(),
        }
    }
}
