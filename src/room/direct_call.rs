//! One-to-one calls: ringing, accepting, declining, and every way to end.
//!
//! ```text
//! (none) ──offer with target──▶ Ringing ──callee's answer──▶ Connected
//!                                │    └──answer without tracks, a classic client on either end──▶ Accepted
//!                                │                            │ callee's offer, or 1 s ──▶ Connected
//!                                └─ declined, cancelled, timeout, gone ─▶ (none) ◀─ hang-up, gone ─┘
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Rooms;
use super::call::CallKind;
use super::timer::Timer;
use crate::shard::{CallId, ParticipantId};
use crate::signaling::protocol::{
    Description, Dialect, ErrorCode, HangUpReason, ProtocolError, Target,
};

/// How long the caller's answer waits for tracks of a callee whose answer had none. MDN's sample answers `recvonly`
/// and offers its own tracks at once; a caller that is such a client too could not take an offer later.
const CALLEE_OFFER_PATIENCE: Duration = Duration::from_secs(1);

/// How long a classic callee gets no second offer after its answer, since its own is likely on its way.
const CLASSIC_OFFER_HOLD: Duration = Duration::from_secs(2);

/// A call of two.
#[derive(Debug)]
pub(super) struct DirectCall {
    pub(super) caller: ParticipantId,
    pub(super) callee: ParticipantId,
    pub(super) state: DirectState,
}

/// How far a call of two is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DirectState {
    /// The callee has our offer; the caller's waits for its answer.
    Ringing {
        /// Then it is over.
        until: Instant,
    },
    /// The callee accepted; the caller's answer still waits for the callee's tracks.
    Accepted {
        /// Then the caller is answered without them.
        until: Instant,
    },
    /// Both are answered.
    Connected,
}

impl DirectCall {
    pub(super) fn other(&self, id: ParticipantId) -> ParticipantId {
        if id == self.caller {
            self.callee
        } else {
            self.caller
        }
    }

    pub(super) fn is_accepted(&self) -> bool {
        !matches!(self.state, DirectState::Ringing { .. })
    }
}

impl Rooms {
    /// The one-to-one call that a participant is in, or that rings for it.
    pub(super) fn direct_call(&self, id: ParticipantId) -> Option<&DirectCall> {
        match &self.calls.get(&self.peer(id)?.call)?.kind {
            CallKind::Direct(direct) => Some(direct),
            CallKind::Room => None,
        }
    }

    /// The other one of a participant's one-to-one call.
    pub(super) fn other(&self, id: ParticipantId) -> Option<ParticipantId> {
        Some(self.direct_call(id)?.other(id))
    }

    /// An offer with a target from somebody in no call: rings.
    pub(super) fn call_user(
        &mut self,
        now: Instant,
        caller: ParticipantId,
        target: &Target,
        offer: &Description,
    ) -> Result<(), ProtocolError> {
        let callable = self.callable(caller, target);
        let admitted = callable.and_then(|callee| {
            self.admit_to_call(now, caller, None)?;
            Ok(callee)
        });
        let callee = match admitted {
            Ok(callee) => callee,
            // The sample's client knows one way to hear that its call came to nothing.
            Err(error) if self.dialect(caller) == Dialect::Classic => {
                let reason = match error.code {
                    ErrorCode::SelfCall
                    | ErrorCode::InCall
                    | ErrorCode::TooManyJoins
                    | ErrorCode::Overloaded
                    | ErrorCode::Draining => HangUpReason::Busy,
                    _ => HangUpReason::Gone,
                };
                self.tell_hang_up(caller, None, reason);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if self.peer(callee).is_some() {
            self.tell_hang_up(caller, Some(callee), HangUpReason::Busy);
            return Ok(());
        }
        self.ring(now, caller, callee, offer)
    }

    fn callable(
        &self,
        caller: ParticipantId,
        target: &Target,
    ) -> Result<ParticipantId, ProtocolError> {
        let callee = self.resolve(caller, target)?;
        if callee == caller {
            return Err(ProtocolError::new(
                ErrorCode::SelfCall,
                "one cannot call oneself",
            ));
        }
        if self.peer(caller).is_some() {
            return Err(ProtocolError::new(
                ErrorCode::InCall,
                "hang up first: you are in a call",
            ));
        }
        Ok(callee)
    }

    fn ring(
        &mut self,
        now: Instant,
        caller: ParticipantId,
        callee: ParticipantId,
        offer: &Description,
    ) -> Result<(), ProtocolError> {
        let Some(room) = self
            .participants
            .get(&caller)
            .map(|participant| Arc::clone(&participant.room))
        else {
            return Ok(());
        };
        let until = now + self.config.ring_timeout;
        let state = DirectState::Ringing { until };
        let call = self.new_call(
            room,
            CallKind::Direct(DirectCall {
                caller,
                callee,
                state,
            }),
        );
        let (mut peer, local_ice) = self.new_peer(call, caller);
        // Told at once, not when the callee accepts: the offer must be one that can be answered.
        let taken = peer
            .negotiation
            .handle_offer(&offer.sdp, &offer.sources, &mut self.track_ids);
        if let Err(error) = taken {
            self.remove_call(call);
            return Err(super::description::refusal(&error));
        }
        self.add_peer(caller, peer, local_ice);
        self.publish(caller);
        let (mut peer, local_ice) = self.new_peer(call, callee);
        let hears_nothing = self
            .peer(caller)
            .is_some_and(|peer| peer.published.is_empty())
            || !self.may_subscribe(callee);
        if hears_nothing {
            peer.offer_to_receive(caller, &mut self.track_ids);
        }
        self.add_peer(callee, peer, local_ice);
        self.timers.set(until, Timer::Call(call));
        Ok(())
    }

    /// The callee answered our offer.
    pub(super) fn accept(
        &mut self,
        now: Instant,
        callee: ParticipantId,
    ) -> Result<(), ProtocolError> {
        let Some(call) = self.peer(callee).map(|peer| peer.call) else {
            return Ok(());
        };
        let Some(caller) = self.other(callee) else {
            return Ok(());
        };
        let publishes = self
            .peer(callee)
            .is_some_and(|peer| !peer.published.is_empty());
        let classic_callee = self.dialect(callee) == Dialect::Classic;
        let classic_caller = self.dialect(caller) == Dialect::Classic;
        if classic_callee {
            self.hold_offers(callee, now + CLASSIC_OFFER_HOLD);
        }
        self.changed.extend([caller, callee]);
        if publishes || !(classic_callee || classic_caller) {
            return self.answer_caller(now, call);
        }
        let until = now + CALLEE_OFFER_PATIENCE;
        self.set_direct_state(call, DirectState::Accepted { until });
        self.timers.set(until, Timer::Call(call));
        Ok(())
    }

    /// The callee's own offer came, which the caller's answer may have waited for.
    pub(super) fn follow_up(
        &mut self,
        now: Instant,
        id: ParticipantId,
    ) -> Result<(), ProtocolError> {
        if let Some(peer) = self.peer_mut(id) {
            peer.hold_offers = None;
        }
        let waiting = self.direct_call(id).is_some_and(|direct| {
            direct.callee == id && matches!(direct.state, DirectState::Accepted { .. })
        });
        match self.peer(id).map(|peer| peer.call) {
            Some(call) if waiting => self.answer_caller(now, call),
            Some(_) | None => Ok(()),
        }
    }

    fn answer_caller(&mut self, now: Instant, call: CallId) -> Result<(), ProtocolError> {
        self.set_direct_state(call, DirectState::Connected);
        let caller = self.calls.get(&call).and_then(|call| match &call.kind {
            CallKind::Direct(direct) => Some(direct.caller),
            CallKind::Room => None,
        });
        match caller {
            Some(caller) => self.answer(now, caller),
            None => Ok(()),
        }
    }

    fn set_direct_state(&mut self, call: CallId, state: DirectState) {
        if let Some(call) = self.calls.get_mut(&call)
            && let CallKind::Direct(direct) = &mut call.kind
        {
            direct.state = state;
        }
    }

    /// `hang-up` from a client: declines, cancels or leaves. Without a call there is nothing to end: it crossed ours.
    pub(super) fn hang_up(
        &mut self,
        id: ParticipantId,
        target: Option<&Target>,
    ) -> Result<(), ProtocolError> {
        if let Some(target) = target
            && self.peer(id).is_some()
        {
            // A late decline must not end another call than the one it is about.
            let other = self.other(id);
            if !other.is_some_and(|other| self.means(id, target, other)) {
                return Err(ProtocolError::new(
                    ErrorCode::NotInCall,
                    "you are in no call with that user",
                ));
            }
        }
        let declines = self
            .direct_call(id)
            .is_some_and(|direct| direct.callee == id && !direct.is_accepted());
        let reason = if declines {
            HangUpReason::Declined
        } else {
            HangUpReason::Left
        };
        self.leave_call(id, None, reason);
        Ok(())
    }

    /// Ends a call of two. Each is told what there is to tell.
    pub(super) fn end_direct_call(
        &mut self,
        id: ParticipantId,
        told: Option<HangUpReason>,
        other: ParticipantId,
        other_told: Option<HangUpReason>,
    ) {
        self.remove_peer(id);
        self.remove_peer(other);
        if let Some(reason) = told {
            self.tell_hang_up(id, Some(other), reason);
        }
        if let Some(reason) = other_told {
            self.tell_hang_up(other, Some(id), reason);
        }
    }

    /// A deadline of a call is past.
    pub(super) fn expire_call(&mut self, now: Instant, id: CallId) {
        let Some(CallKind::Direct(direct)) = self.calls.get(&id).map(|call| &call.kind) else {
            return;
        };
        let (caller, callee) = (direct.caller, direct.callee);
        match direct.state {
            DirectState::Ringing { until } if until <= now => {
                let timeout = Some(HangUpReason::Timeout);
                self.end_direct_call(caller, timeout, callee, timeout);
            }
            DirectState::Accepted { until } if until <= now => {
                // The offer was good when it came, and still is.
                let _ = self.answer_caller(now, id);
            }
            DirectState::Ringing { .. } | DirectState::Accepted { .. } | DirectState::Connected => {
            }
        }
    }
}
