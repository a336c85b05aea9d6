//! What the rooms count.

use super::{Kind, Sample, Text};
use crate::room::RoomCounts;

pub(super) fn write(text: &mut Text, counts: &RoomCounts) {
    for (name, help, value) in [
        ("crosspoint_rooms", "Rooms.", counts.rooms),
        (
            "crosspoint_participants",
            "Participants, those included whose WebSocket broke a moment ago.",
            counts.participants,
        ),
        (
            "crosspoint_websockets",
            "WebSockets of participants.",
            counts.sockets,
        ),
        ("crosspoint_peers", "Peer connections.", counts.peers),
        ("crosspoint_tracks", "Published tracks.", counts.tracks),
    ] {
        text.one(name, Kind::Gauge, help, value as f64);
    }
    let calls = [("room", counts.room_calls), ("direct", counts.direct_calls)];
    let calls = calls.map(|(kind, count)| labelled("kind", kind, count as u64));
    text.family(
        "crosspoint_calls",
        Kind::Gauge,
        "Calls, of rooms and of two; those included that ring.",
        calls,
    );
    let tally = &counts.tally;
    for (name, help, value) in [
        (
            "crosspoint_sessions_total",
            "Participants that came into a room.",
            tally.sessions,
        ),
        (
            "crosspoint_resumes_total",
            "Sessions that went on on another WebSocket.",
            tally.resumes,
        ),
        (
            "crosspoint_peer_connections_total",
            "Peer connections whose media began to flow.",
            tally.connections,
        ),
    ] {
        text.one(name, Kind::Counter, help, value as f64);
    }
    let joins = [("room", tally.room_joins), ("direct", tally.direct_joins)];
    text.family(
        "crosspoint_joins_total",
        Kind::Counter,
        "Times that somebody joined a room's call, or began or was rung for a call of two.",
        joins.map(|(kind, count)| labelled("kind", kind, count)),
    );
    let by_code = |counts: &[(String, u64)]| {
        let samples = counts.iter();
        samples
            .map(|(code, count)| labelled("code", code, *count))
            .collect::<Vec<_>>()
    };
    text.family(
        "crosspoint_refusals_total",
        Kind::Counter,
        "Requests of clients that were refused, by the code of the error.",
        by_code(&tally.refusals),
    );
    text.family(
        "crosspoint_negotiation_failures_total",
        Kind::Counter,
        "Offers, answers and candidates that were refused, by the code of the error.",
        by_code(&tally.negotiation_failures),
    );
    let failures = tally.peer_failures.iter();
    text.family(
        "crosspoint_peer_failures_total",
        Kind::Counter,
        "Peer connections that ended by themselves, by the reason.",
        failures.map(|(reason, count)| labelled("reason", reason, *count)),
    );
}

fn labelled(label: &'static str, word: &str, count: u64) -> Sample {
    (vec![(label, word.to_owned())], count as f64)
}
