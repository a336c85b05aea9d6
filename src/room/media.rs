//! What changes in a call without an offer: mutes, wishes, and what shards tell.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Rooms;
use super::call::Call;
use super::timer::Timer;
use crate::rtp::{Mid, Rid};
use crate::shard::{
    CallId, Command, Event, FailReason, ForwardedLayer, LayerReason, ParticipantId, PeerId,
    Quality, TimelineEntry, TrackId,
};
use crate::signaling::protocol::{
    Dialect, ErrorCode, HangUpReason, Mute, MuteTarget, ProtocolError, Receive, ServerMessage,
    layer_reason, stats_entries, timeline_lines,
};

/// The bit of a wish's priority that a shared screen has. What the viewer says counts more, who speaks less.
pub(super) const SCREEN: u32 = 1 << 1;

/// The priority of a track for which the viewer said this one.
fn weight(said: u8, is_screen: bool) -> u32 {
    u32::from(said) << 2 | if is_screen { SCREEN } else { 0 }
}

/// How long a call waits for a network that is gone: consent took 30 s to expire, this is on top.
const CONSENT_PATIENCE: Duration = Duration::from_secs(30);

impl Rooms {
    /// `mute`
    pub(super) fn mute(&mut self, id: ParticipantId, mute: Mute) -> Result<(), ProtocolError> {
        let peer = self.peer_mut(id).ok_or_else(not_in_call)?;
        let (peer_id, shard) = (peer.id, peer.shard);
        let tracks: Vec<TrackId> = peer
            .published
            .iter()
            .filter(|published| match mute.target {
                MuteTarget::Mid(mid) => published.mid == mid,
                MuteTarget::Source(source) => published.source == source,
            })
            .map(|published| published.track)
            .collect();
        if tracks.is_empty() {
            return Err(ProtocolError::new(
                ErrorCode::NoSuchTrack,
                "you publish no such track",
            ));
        }
        for track in tracks {
            let changed = self.peer_mut(id).is_some_and(|peer| {
                if mute.muted {
                    peer.muted.insert(track)
                } else {
                    peer.muted.remove(&track)
                }
            });
            if changed {
                let muted = mute.muted;
                self.command(
                    shard,
                    Command::SetMuted {
                        peer: peer_id,
                        track,
                        muted,
                    },
                );
                self.changed.insert(id);
            }
        }
        Ok(())
    }

    /// `receive`
    pub(super) fn receive(
        &mut self,
        id: ParticipantId,
        receive: Receive,
    ) -> Result<(), ProtocolError> {
        self.expect_track(id, receive.track)?;
        let peer = self.peer_mut(id).ok_or_else(not_in_call)?;
        let (peer_id, shard) = (peer.id, peer.shard);
        let before = peer.wishes.get(&receive.track).copied();
        let mut wish = before.unwrap_or_default();
        wish.paused = receive.paused.unwrap_or(wish.paused);
        wish.width = receive.width.or(wish.width);
        wish.height = receive.height.or(wish.height);
        if let Some(priority) = receive.priority {
            wish.priority = weight(priority, wish.priority & SCREEN != 0);
        }
        peer.wishes.insert(receive.track, wish);
        if before != Some(wish) {
            let track = receive.track;
            self.command(
                shard,
                Command::SetWish {
                    peer: peer_id,
                    track,
                    wish,
                },
            );
        }
        Ok(())
    }

    /// An error where nobody else publishes this track in the participant's call.
    fn expect_track(&self, id: ParticipantId, track: TrackId) -> Result<(), ProtocolError> {
        let call = self.peer(id).ok_or_else(not_in_call)?.call;
        let publisher = self.publisher_by_track.get(&track).copied();
        let publisher = publisher.filter(|publisher| {
            *publisher != id && self.peer(*publisher).is_some_and(|peer| peer.call == call)
        });
        let missing = || {
            let message = format!("there is no track `{track}` in your call");
            ProtocolError::new(ErrorCode::NoSuchTrack, message)
        };
        publisher.map(|_| ()).ok_or_else(missing)
    }

    /// `timeline`
    pub(super) fn ask_timeline(
        &mut self,
        id: ParticipantId,
        track: TrackId,
    ) -> Result<(), ProtocolError> {
        self.expect_track(id, track)?;
        let peer = self.peer_mut(id).ok_or_else(not_in_call)?;
        let (peer_id, shard) = (peer.id, peer.shard);
        if peer.timeline_asked.insert(track) {
            let peer = peer_id;
            self.command(shard, Command::Timeline { peer, track });
        }
        Ok(())
    }

    fn tell_timeline(&mut self, peer: PeerId, track: TrackId, entries: &[TimelineEntry]) {
        let Some(&id) = self.participant_by_peer.get(&peer) else {
            return;
        };
        let asked = self
            .peer_mut(id)
            .is_some_and(|peer| peer.timeline_asked.remove(&track));
        if asked {
            let message = ServerMessage::Timeline {
                track: &track.to_string(),
                events: &timeline_lines(entries),
            };
            self.send(id, &message);
        }
    }

    /// `stats`
    pub(super) fn ask_stats(&mut self, id: ParticipantId) -> Result<(), ProtocolError> {
        let peer = self.peer_mut(id).ok_or_else(not_in_call)?;
        let (peer_id, shard) = (peer.id, peer.shard);
        let first = !peer.stats_asked && peer.operators_ask_stats.is_empty();
        peer.stats_asked = true;
        if first {
            self.command(shard, Command::Stats { peer: peer_id });
        }
        Ok(())
    }

    pub(super) fn act_on_event(&mut self, now: Instant, shard: usize, event: Event) {
        // What the shard says from which it moved says nothing any more.
        let owner = event
            .peer()
            .and_then(|id| self.participant_by_peer.get(&id));
        let peer = owner.and_then(|owner| self.peer(*owner));
        if peer.is_some_and(|peer| peer.shard != shard) {
            return;
        }
        match event {
            Event::Heard {
                peer,
                by,
                path,
                check,
            } => self.move_peer(peer, by, path, check),
            Event::Connected { peer } => {
                self.tally.connections += 1;
                if let Some(&id) = self.participant_by_peer.get(&peer) {
                    tracing::info!(parent: self.span(id), "media flows");
                    if let Some(peer) = self.peer_mut(id) {
                        peer.joining.end("connected");
                    }
                }
                self.consent(now, peer, true);
            }
            Event::Consent { peer, fresh } => self.consent(now, peer, fresh),
            Event::Failed { peer, reason } => {
                self.tally.failed(reason);
                if let Some(&id) = self.participant_by_peer.get(&peer) {
                    tracing::info!(parent: self.span(id), ?reason, "its peer connection failed");
                    // A client that closes its connection is about to say so here too, and knows.
                    if reason == FailReason::Closed {
                        self.leave_call(id, None, HangUpReason::Left);
                    } else {
                        self.leave_call(id, Some(HangUpReason::Gone), HangUpReason::Gone);
                    }
                }
            }
            Event::Layers {
                peer,
                track,
                layer,
                reason,
            } => self.tell_layers(peer, track, layer, reason),
            Event::Wanted { peer, mid, rids } => self.tell_wanted(peer, mid, &rids),
            Event::Speakers { call, speakers } => {
                if let Some(call) = self.calls.get_mut(&call) {
                    call.speakers.set(now, shard, speakers);
                }
                self.tell_speakers(now, call);
            }
            Event::Quality { peer, quality } => self.tell_quality(peer, quality),
            Event::Stats { peer, stats } => {
                let Some(&id) = self.participant_by_peer.get(&peer) else {
                    return;
                };
                let asked = self
                    .peer_mut(id)
                    .is_some_and(|peer| std::mem::take(&mut peer.stats_asked));
                let stats = stats_entries(&stats);
                if asked {
                    self.send(id, &ServerMessage::Stats { stats: &stats });
                }
                self.answer_stats(id, &stats);
            }
            Event::Timeline {
                peer,
                track,
                entries,
            } => self.tell_timeline(peer, track, &entries),
            Event::Timelines { peer, timelines } => self.answer_timelines(peer, &timelines),
        }
    }

    /// A network that is gone is given time: an ICE restart may bring it back.
    fn consent(&mut self, now: Instant, peer: PeerId, fresh: bool) {
        let Some(&id) = self.participant_by_peer.get(&peer) else {
            return;
        };
        let due = (!fresh).then(|| now + CONSENT_PATIENCE);
        if let Some(peer) = self.peer_mut(id) {
            peer.consent_due = due;
        }
        if let Some(due) = due {
            self.timers.set(due, super::timer::Timer::Peer(id));
        }
    }

    /// A deadline of a peer is past.
    pub(super) fn look_at_peer(&mut self, now: Instant, id: ParticipantId) {
        if self
            .peer(id)
            .and_then(|peer| peer.consent_due)
            .is_some_and(|due| due <= now)
        {
            self.tally.timed_out();
            self.leave_call(id, Some(HangUpReason::Timeout), HangUpReason::Timeout);
            return;
        }
        self.expire_offer(now, id);
    }

    fn tell_layers(
        &mut self,
        peer: PeerId,
        track: TrackId,
        layer: Option<ForwardedLayer>,
        reason: Option<LayerReason>,
    ) {
        let Some(&id) = self.participant_by_peer.get(&peer) else {
            return;
        };
        let track = track.to_string();
        let rid = layer.and_then(|layer| layer.rid);
        let message = ServerMessage::Layers {
            track: &track,
            rid: rid.as_ref().map(Rid::as_str),
            spatial: layer.map(|layer| layer.spatial),
            temporal: layer.map(|layer| layer.temporal),
            reason: reason.map(layer_reason),
        };
        self.send(id, &message);
    }

    fn tell_wanted(&mut self, peer: PeerId, mid: Mid, rids: &[Rid]) {
        let Some(&id) = self.participant_by_peer.get(&peer) else {
            return;
        };
        let rids: Vec<&str> = rids.iter().map(Rid::as_str).collect();
        let message = ServerMessage::Wanted {
            mid: mid.as_str(),
            rids: &rids,
        };
        self.send(id, &message);
    }

    /// Tells a call's members who speaks, if that changed and it is time, and its shards whose picture comes first.
    pub(super) fn tell_speakers(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        let Call {
            members, speakers, ..
        } = call;
        let speakers = speakers.poll(now, |id| members.contains(&id));
        if let Some(speakers) = &speakers {
            let ids: Vec<ParticipantId> = speakers.iter().map(|(id, _)| *id).collect();
            call.recent.hear(now, &ids);
        }
        let dues = [call.speakers.due(), call.recent.due(now)];
        if let Some(due) = dues.into_iter().flatten().min() {
            self.timers.set(due, Timer::Speakers(id));
        }
        self.put_speakers_first(now, id);
        if let Some(speakers) = speakers {
            self.list_speakers(id, &speakers);
        }
    }

    /// Tells a call's shards who spoke lately, if that is somebody else now.
    fn put_speakers_first(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        let members = &call.members;
        let Some(first) = call.recent.poll(now, |id| members.contains(&id)) else {
            return;
        };
        let speakers = first.to_vec();
        let peers = call.peers_by_shard.iter().enumerate();
        let shards: Vec<usize> = peers
            .filter(|(_, peers)| **peers > 0)
            .map(|(shard, _)| shard)
            .collect();
        for shard in shards {
            let speakers = speakers.clone();
            self.command(shard, Command::SetSpeakers { call: id, speakers });
        }
    }

    fn list_speakers(&mut self, id: CallId, speakers: &[(ParticipantId, f32)]) {
        let ids: Vec<u64> = speakers.iter().map(|(id, _)| id.0).collect();
        let levels = speakers.iter().map(|(_, level)| level.clamp(0.0, 1.0));
        let levels: Vec<f32> = levels.collect();
        let text = ServerMessage::Speakers {
            ids: &ids,
            levels: &levels,
        }
        .to_text();
        let members = self.calls.get(&id).map(|call| call.members.iter().copied());
        let members = members.into_iter().flatten().collect();
        self.send_to_v1(members, text);
    }

    fn tell_quality(&mut self, peer: PeerId, quality: Quality) {
        let Some(&id) = self.participant_by_peer.get(&peer) else {
            return;
        };
        let score = score(&quality);
        let changed = self
            .peer_mut(id)
            .is_some_and(|peer| peer.score.replace(score) != Some(score));
        let message = ServerMessage::Quality {
            id: id.0,
            score,
            loss: quality.loss,
            rtt: quality.rtt.map(|rtt| rtt.as_secs_f64() * 1000.0),
            bandwidth: quality.bandwidth,
        };
        let mut receivers = vec![id];
        if changed {
            receivers.extend(self.others_in_call(id));
        }
        self.send_to_v1(receivers, message.to_text());
    }

    fn send_to_v1(&mut self, ids: Vec<ParticipantId>, text: String) {
        let text: Arc<str> = text.into();
        let v1: Vec<ParticipantId> = ids
            .into_iter()
            .filter(|id| self.dialect(*id) == Dialect::V1)
            .collect();
        self.send_text(v1, &text, false);
    }
}

fn not_in_call() -> ProtocolError {
    ProtocolError::new(ErrorCode::NotInCall, "you are in no call")
}

/// 5 for a network nobody notices, 1 for one that makes talking hard. Loss weighs most, since audio has the least
/// to hide it with; above 300 ms people start to talk at the same time (ITU-T G.114).
fn score(quality: &Quality) -> u8 {
    let of_loss = match quality.loss {
        loss if loss < 0.01 => 5,
        loss if loss < 0.03 => 4,
        loss if loss < 0.08 => 3,
        loss if loss < 0.2 => 2,
        _ => 1,
    };
    let of_rtt = match quality.rtt.unwrap_or_default().as_millis() {
        0..150 => 5,
        150..300 => 4,
        300..600 => 3,
        600..1200 => 2,
        _ => 1,
    };
    of_loss.min(of_rtt)
}
