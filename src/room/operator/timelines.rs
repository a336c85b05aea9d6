//! What only shards know: somebody's counters, and what became of the tracks on their way to it. A shard is asked once for
//! all who wait for the same.

use serde::Serialize;

use super::{
    Answered, Member, OperatorAnswer, Refusal, RefusalKind, RequestId, not_in_call, to_json,
};
use crate::negotiation::Source;
use crate::room::Rooms;
use crate::shard::{Command, ParticipantId, PeerId, TimelineEntry, TrackId};
use crate::signaling::protocol::{StatsEntry, TimelineLine, timeline_lines_in_words};

#[derive(Serialize)]
struct ParticipantStats<'a> {
    room: &'a str,
    participant: u64,
    name: Option<&'a str>,
    stats: &'a [StatsEntry],
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
    pub(super) fn operator_asks_timelines(
        &mut self,
        request: RequestId,
        member: &Member,
    ) -> Answered {
        let id = self.member(member)?;
        let peer = self
            .peer_mut(id)
            .ok_or_else(|| not_in_call(&member.participant))?;
        let (peer_id, shard) = (peer.id, peer.shard);
        peer.timelines_asked.push(request);
        if peer.timelines_asked.len() == 1 {
            self.command(shard, Command::Timelines { peer: peer_id });
        }
        Ok(None)
    }

    pub(super) fn operator_asks_stats(&mut self, request: RequestId, member: &Member) -> Answered {
        let id = self.member(member)?;
        let peer = self
            .peer_mut(id)
            .ok_or_else(|| not_in_call(&member.participant))?;
        let (peer_id, shard) = (peer.id, peer.shard);
        peer.operators_ask_stats.push(request);
        if peer.operators_ask_stats.len() == 1 && !peer.stats_asked {
            self.command(shard, Command::Stats { peer: peer_id });
        }
        Ok(None)
    }

    /// A shard told a peer's counters, for which operators may have asked.
    pub(in crate::room) fn answer_stats(&mut self, id: ParticipantId, stats: &[StatsEntry]) {
        let asked = self
            .peer_mut(id)
            .map(|peer| std::mem::take(&mut peer.operators_ask_stats))
            .unwrap_or_default();
        if asked.is_empty() {
            return;
        }
        let participant = self.participants.get(&id);
        let json = to_json(&ParticipantStats {
            room: participant.map_or("", |participant| &participant.room),
            participant: id.0,
            name: participant.and_then(|participant| participant.name.as_deref()),
            stats,
        });
        for request in asked {
            self.answer_operator(request, OperatorAnswer::Json(json.clone()));
        }
    }

    /// A shard told what became of the tracks that a peer is sent.
    pub(in crate::room) fn answer_timelines(
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
    pub(in crate::room) fn give_up_asked(&mut self, asked: Vec<RequestId>) {
        for request in asked {
            let refusal = Refusal::new(
                RefusalKind::Conflict,
                "not-in-call",
                "it left its call while it was asked about: ask again once it has joined"
                    .to_owned(),
            );
            self.answer_operator(request, OperatorAnswer::Refused(refusal));
        }
    }
}
