//! Offers and answers, either way.

use std::time::{Duration, Instant};

use tracing::field;

use super::Rooms;
use super::direct_call::DirectState;
use super::timer::Timer;
use super::traced::Traced;
use crate::negotiation::{self, NegotiationError};
use crate::shard::{ParticipantId, TrackId};
use crate::signaling::protocol::{
    Description, Dialect, ErrorCode, HangUpReason, NewIceCandidate, ProtocolError, ServerMessage,
    SessionDescription, Target, TrackLine,
};

/// How long a classic client may take to answer an offer within a call. MDN's sample cannot resolve glare: it then
/// answers nothing.
const CLASSIC_ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// After so many offers without an answer none is made before the client offers something itself.
const MAX_UNANSWERED: u32 = 3;

/// How far off an offer is put that nobody would answer.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

impl Rooms {
    /// An offer's way to its end, by whom it is made.
    pub(super) fn trace_negotiation(&self, id: ParticipantId, offered_by: &str) -> Traced {
        Traced::new(tracing::info_span!(
            parent: self.span(id),
            "negotiation",
            participant = id.0 as i64,
            offered_by,
            outcome = field::Empty
        ))
    }

    /// `video-offer` from a client.
    pub(super) fn take_offer(
        &mut self,
        now: Instant,
        id: ParticipantId,
        offer: Description,
    ) -> Result<(), ProtocolError> {
        self.needed_name(id)?;
        let in_call = self.peer(id).is_some();
        match &offer.target {
            None if self.is_rung(id) => {
                // It joins the room instead, and so declines whoever rings it.
                self.leave_call(id, Some(HangUpReason::Left), HangUpReason::Busy);
                self.join_room_call(now, id, &offer)
            }
            None if in_call => self.renegotiate(now, id, &offer),
            None => self.join_room_call(now, id, &offer),
            Some(target) => {
                if self
                    .other(id)
                    .is_some_and(|other| self.means(id, target, other))
                {
                    self.renegotiate(now, id, &offer)
                } else {
                    self.call_user(now, id, target, &offer)
                }
            }
        }
    }

    /// Whether somebody rings this participant, who has not answered yet.
    fn is_rung(&self, id: ParticipantId) -> bool {
        self.direct_call(id)
            .is_some_and(|direct| direct.callee == id && !direct.is_accepted())
    }

    /// Whether a target is this one: of two in a call, a name that nobody has any more is the other's old one.
    pub(super) fn means(&self, id: ParticipantId, target: &Target, other: ParticipantId) -> bool {
        match (self.resolve(id, target), target) {
            (Ok(meant), _) => meant == other,
            (Err(_), Target::Name(_)) => true,
            (Err(_), Target::Id(_)) => false,
        }
    }

    /// An offer within a call.
    fn renegotiate(
        &mut self,
        now: Instant,
        id: ParticipantId,
        offer: &Description,
    ) -> Result<(), ProtocolError> {
        let waits = self
            .direct_call(id)
            .is_some_and(|direct| match direct.state {
                DirectState::Ringing { .. } => true,
                DirectState::Accepted { .. } => direct.caller == id,
                DirectState::Connected => false,
            });
        if waits
            && self
                .direct_call(id)
                .is_some_and(|direct| direct.callee == id)
        {
            // The callee rings back: our offer stands, as with glare.
            return Ok(());
        }
        let Some(peer) = self
            .participants
            .get_mut(&id)
            .and_then(|participant| participant.peer.as_mut())
        else {
            return Ok(());
        };
        match peer
            .negotiation
            .handle_offer(&offer.sdp, &offer.sources, &mut self.track_ids)
        {
            Ok(()) => {}
            // Our offer stands: the client rolls back, answers it, and offers again.
            Err(NegotiationError::Glare) => return Ok(()),
            Err(error) => return Err(refusal(&error)),
        }
        peer.unanswered = 0;
        peer.hold_offers = None;
        self.publish(id);
        if waits {
            return Ok(());
        }
        self.answer(now, id)?;
        self.follow_up(now, id)
    }

    /// `video-answer` from a client. The first one of a callee accepts.
    pub(super) fn take_answer(
        &mut self,
        now: Instant,
        id: ParticipantId,
        answer: &Description,
    ) -> Result<(), ProtocolError> {
        let Some(peer) = self
            .participants
            .get_mut(&id)
            .and_then(|participant| participant.peer.as_mut())
        else {
            return Err(refusal(&NegotiationError::UnexpectedAnswer));
        };
        peer.end_placeholders();
        let taken =
            peer.negotiation
                .handle_answer(&answer.sdp, &answer.sources, &mut self.track_ids);
        if let Err(error) = taken {
            // Nobody would answer the offer again. One that rings may still be answered otherwise.
            if error != NegotiationError::UnexpectedAnswer && !self.is_rung(id) {
                self.take_back_offer(now, id);
            }
            return Err(refusal(&error));
        }
        peer.answer_due = None;
        peer.unanswered = 0;
        peer.offering.end("answered");
        self.touched.insert(id);
        self.publish(id);
        let accepts = self
            .direct_call(id)
            .is_some_and(|direct| direct.callee == id && !direct.is_accepted());
        if accepts {
            self.accept(now, id)
        } else {
            Ok(())
        }
    }

    /// `new-ice-candidate` from a client. One that comes late for its call is nobody's fault.
    pub(super) fn take_candidate(
        &mut self,
        id: ParticipantId,
        candidate: &NewIceCandidate,
    ) -> Result<(), ProtocolError> {
        let Some(peer) = self.peer_mut(id) else {
            return Ok(());
        };
        peer.negotiation
            .handle_candidate(
                candidate.candidate.as_deref().unwrap_or_default(),
                candidate.sdp_mid.as_deref(),
                candidate.sdp_m_line_index,
                candidate.username_fragment.as_deref(),
            )
            .map_err(|error| refusal(&error))
    }

    /// Answers the offer that a participant's negotiation holds.
    pub(super) fn answer(&mut self, _now: Instant, id: ParticipantId) -> Result<(), ProtocolError> {
        let Some(peer) = self.peer_mut(id) else {
            return Ok(());
        };
        let answer = peer
            .negotiation
            .create_answer()
            .map_err(|error| refusal(&error))?;
        self.drain_commands(id);
        self.touched.insert(id);
        self.send_description(id, &answer, "answer");
        Ok(())
    }

    /// Makes and sends an offer, if there is something to say and the client can hear it.
    pub(super) fn offer(&mut self, now: Instant, id: ParticipantId) {
        if !self.is_connected(id) {
            return;
        }
        let rings = self
            .direct_call(id)
            .is_some_and(|direct| !direct.is_accepted());
        let classic = self.dialect(id) == Dialect::Classic;
        let Some(peer) = self.peer_mut(id) else {
            return;
        };
        if peer.hold_offers.is_some_and(|until| now < until) || !peer.negotiation.needs_offer() {
            return;
        }
        let Some(offer) = peer.negotiation.create_offer() else {
            return;
        };
        if classic && !rings {
            let due = now + CLASSIC_ANSWER_PATIENCE;
            peer.answer_due = Some(due);
            self.timers.set(due, Timer::Peer(id));
        }
        let traced = self.trace_negotiation(id, "server");
        if let Some(peer) = self.peer_mut(id) {
            peer.offering = traced;
        }
        self.drain_commands(id);
        self.send_description(id, &offer, "offer");
    }

    /// Sends the outstanding offer again, if there is one.
    pub(super) fn repeat_offer(&mut self, id: ParticipantId) {
        let offer = self
            .peer(id)
            .and_then(|peer| peer.negotiation.outstanding_offer().cloned());
        if let Some(offer) = offer {
            self.send_description(id, &offer, "offer");
        }
    }

    /// No offer goes out to this participant before `until`.
    pub(super) fn hold_offers(&mut self, id: ParticipantId, until: Instant) {
        if let Some(peer) = self.peer_mut(id) {
            peer.hold_offers = Some(until);
            self.timers.set(until, Timer::Peer(id));
        }
    }

    /// The part of a peer's timer that is about offers.
    pub(super) fn expire_offer(&mut self, now: Instant, id: ParticipantId) {
        let Some(peer) = self.peer_mut(id) else {
            return;
        };
        if peer.hold_offers.is_some_and(|until| until <= now) {
            peer.hold_offers = None;
        }
        if peer.answer_due.is_some_and(|due| due <= now) {
            self.take_back_offer(now, id);
        }
        self.touched.insert(id);
    }

    /// Gives up on an answer to our offer, and makes another after a while: not for ever.
    fn take_back_offer(&mut self, now: Instant, id: ParticipantId) {
        let Some(peer) = self.peer_mut(id) else {
            return;
        };
        peer.answer_due = None;
        peer.negotiation.rollback();
        peer.offering.end("taken back");
        peer.unanswered += 1;
        if peer.unanswered < MAX_UNANSWERED {
            self.hold_offers(id, now + CLASSIC_ANSWER_PATIENCE);
        } else {
            // Without a timer: an offer of the client's ends it, or the call's end.
            peer.hold_offers = Some(now + NEVER);
        }
    }

    /// Hands a peer's commands to its shard.
    pub(super) fn drain_commands(&mut self, id: ParticipantId) {
        let Some(peer) = self.peer_mut(id) else {
            return;
        };
        let shard = peer.shard;
        for command in peer.poll_commands() {
            self.command(shard, command);
        }
    }

    fn send_description(
        &mut self,
        id: ParticipantId,
        description: &negotiation::Description,
        kind: &str,
    ) {
        let Some(receiver) = self.participants.get(&id) else {
            return;
        };
        let mids: Vec<String> = description
            .tracks
            .iter()
            .map(|(mid, _)| mid.to_string())
            .collect();
        let tracks: Option<Vec<TrackLine<'_>>> = (receiver.dialect == Dialect::V1).then(|| {
            let lines = mids.iter().zip(&description.tracks);
            lines
                .filter_map(|(mid, (_, track))| self.track_line(mid, *track))
                .collect()
        });
        let name = self.other(id).and_then(|other| self.name(other));
        let sdp = SessionDescription {
            kind,
            sdp: &description.sdp,
        };
        let (name, target, tracks) = (name.as_deref(), receiver.name(), tracks.as_deref());
        let message = if kind == "offer" {
            ServerMessage::VideoOffer {
                sdp,
                name,
                target,
                tracks,
            }
        } else {
            ServerMessage::VideoAnswer {
                sdp,
                name,
                target,
                tracks,
            }
        };
        let text = message.to_text().into();
        self.send_text([id], &text, false);
    }

    fn track_line<'a>(&'a self, mid: &'a str, track: TrackId) -> Option<TrackLine<'a>> {
        let owner = self.publisher_by_track.get(&track)?;
        let publisher = self.participants.get(owner)?;
        let (source, muted) = self.track_source(*owner, track)?;
        Some(TrackLine {
            mid,
            track: track.to_string(),
            participant: owner.0,
            name: publisher.name(),
            kind: source.kind(),
            source,
            muted,
        })
    }
}

/// What a client is told about what its negotiation refused.
pub(super) fn refusal(error: &NegotiationError) -> ProtocolError {
    let code = match error {
        NegotiationError::Glare | NegotiationError::BadSdp(_) => ErrorCode::BadSdp,
        NegotiationError::UnexpectedAnswer => ErrorCode::UnexpectedAnswer,
        NegotiationError::NoOffer => ErrorCode::ServerBusy,
        NegotiationError::TooManyTracks(_) => ErrorCode::TooManyTracks,
        NegotiationError::BadCandidate(_) => ErrorCode::BadCandidate,
    };
    ProtocolError::new(code, error.to_string())
}
