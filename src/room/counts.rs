//! How much of everything there is and was, for operators and metrics.

use std::collections::BTreeMap;

use super::Rooms;
use super::call::CallKind;
use crate::shard::FailReason;
use crate::signaling::protocol::{ErrorCode, ProtocolError};

/// How much of everything there is now, and was since the start.
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
    /// What happened since the start.
    pub tally: TallySnapshot,
}

/// What happened since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TallySnapshot {
    /// Participants that came.
    pub sessions: u64,
    /// Sessions that went on on another socket.
    pub resumes: u64,
    /// Peers of rooms' calls.
    pub room_joins: u64,
    /// Peers of calls of two.
    pub direct_joins: u64,
    /// Peers whose media began to flow.
    pub connections: u64,
    /// What clients were refused, by the code of the error.
    pub refusals: Vec<(String, u64)>,
    /// Offers, answers and candidates among them.
    pub negotiation_failures: Vec<(String, u64)>,
    /// Peers that ended by themselves, by the reason.
    pub peer_failures: Vec<(&'static str, u64)>,
}

/// Counts what happens.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) sessions: u64,
    pub(super) resumes: u64,
    pub(super) room_joins: u64,
    pub(super) direct_joins: u64,
    pub(super) connections: u64,
    refusals: BTreeMap<ErrorCode, u64>,
    negotiation_failures: BTreeMap<ErrorCode, u64>,
    peer_failures: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// A client was told this.
    pub(super) fn refused(&mut self, error: &ProtocolError) {
        *self.refusals.entry(error.code).or_default() += 1;
        let is_negotiation = matches!(
            error.code,
            ErrorCode::BadSdp
                | ErrorCode::BadCandidate
                | ErrorCode::UnexpectedAnswer
                | ErrorCode::TooManyTracks
        );
        if is_negotiation {
            *self.negotiation_failures.entry(error.code).or_default() += 1;
        }
    }

    /// A shard told that a peer is over.
    pub(super) fn failed(&mut self, reason: FailReason) {
        self.ended(match reason {
            FailReason::Handshake => "handshake",
            FailReason::Fingerprint => "fingerprint",
            FailReason::Closed => "closed",
            FailReason::Internal => "internal",
        });
    }

    /// A peer's network was gone for too long.
    pub(super) fn timed_out(&mut self) {
        self.ended("timeout");
    }

    fn ended(&mut self, reason: &'static str) {
        *self.peer_failures.entry(reason).or_default() += 1;
    }

    fn snapshot(&self) -> TallySnapshot {
        let named = |counts: &BTreeMap<ErrorCode, u64>| {
            let counts = counts.iter();
            counts
                .map(|(code, count)| (code.to_string(), *count))
                .collect()
        };
        TallySnapshot {
            sessions: self.sessions,
            resumes: self.resumes,
            room_joins: self.room_joins,
            direct_joins: self.direct_joins,
            connections: self.connections,
            refusals: named(&self.refusals),
            negotiation_failures: named(&self.negotiation_failures),
            peer_failures: self
                .peer_failures
                .iter()
                .map(|(reason, count)| (*reason, *count))
                .collect(),
        }
    }
}

impl Rooms {
    /// How much of everything there is now, and was since the start.
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
            tally: self.tally.snapshot(),
        }
    }
}
