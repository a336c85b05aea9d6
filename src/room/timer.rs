//! What is to be looked at, and when.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use crate::shard::{CallId, ParticipantId};

/// Whose deadlines are to be looked at. The deadline itself stands where it belongs, so a timer that comes too
/// early, too late for something that is gone, or twice, does nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Whether its broken session may still be resumed.
    Resume(ParticipantId),
    /// Ringing, or an answer that is held back.
    Call(CallId),
    /// A change of who speaks.
    Speakers(CallId),
    /// Offers held back or not answered; consent.
    Peer(ParticipantId),
    /// Whether it waited to be let in for long enough.
    Waiting(ParticipantId),
    /// Who waits for it is to be told again.
    WaitingList(Arc<str>),
    /// Whether it was empty for long enough.
    Room(Arc<str>),
    /// Credentials of TURN.
    IceServers(ParticipantId),
}

/// All timers, soonest first.
#[derive(Debug, Default)]
pub(super) struct Timers {
    entries: BTreeSet<(Instant, Timer)>,
}

impl Timers {
    pub(super) fn set(&mut self, at: Instant, timer: Timer) {
        self.entries.insert((at, timer));
    }

    /// Forgets a timer that was set for then: for those that stand long after what they are for is gone.
    pub(super) fn clear(&mut self, at: Instant, timer: Timer) {
        self.entries.remove(&(at, timer));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.entries.first().map(|(at, _)| *at)
    }

    /// The next timer that is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Timer> {
        let due = self.entries.first().is_some_and(|(at, _)| *at <= now);
        if !due {
            return None;
        }
        self.entries.pop_first().map(|(_, timer)| timer)
    }
}
