//! When the shard must be woken, and for whom.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Who wants to be woken: an index into the shard's peers, calls or tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A peer's reports, feedback, retransmissions and transport.
    Peer(usize),
    /// A call's speakers.
    Call(usize),
    /// The keyframe requests and history of a track that comes over a link.
    Mirror(usize),
}

/// Brings what every peer does now and then into step, so that the thread wakes once for many of them.
#[derive(Debug, Default)]
pub(super) struct Beat {
    start: Option<Instant>,
}

impl Beat {
    /// Few of a thousand peers fall on one beat, and a second has few beats.
    const LENGTH: Duration = Duration::from_millis(125);

    /// The last beat until `interval` from now.
    pub(super) fn within(&mut self, now: Instant, interval: Duration) -> Instant {
        let start = *self.start.get_or_insert(now);
        let end = now + interval;
        let beyond = (end - start).as_micros() % Self::LENGTH.as_micros();
        end - Duration::from_micros(beyond as u64)
    }
}

/// One pending wake-up for each timer, earliest first. The owner keeps the instant that it asked for,
/// which is how an entry is found again.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeSet<(Instant, Timer)>,
}

impl Timers {
    /// Makes `timer` due at `at` or never, instead of when `current` says.
    pub(super) fn set(&mut self, timer: Timer, current: &mut Option<Instant>, at: Option<Instant>) {
        if *current == at {
            return;
        }
        if let Some(old) = current.take() {
            self.due.remove(&(old, timer));
        }
        if let Some(at) = at {
            self.due.insert((at, timer));
            *current = Some(at);
        }
    }

    /// Makes `timer` due at `at` unless it is due before that anyway.
    pub(super) fn lower(&mut self, timer: Timer, current: &mut Option<Instant>, at: Instant) {
        if current.is_none_or(|current| at < current) {
            self.set(timer, current, Some(at));
        }
    }

    /// When the next timer is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes out the first timer that is due. Its owner must forget its instant.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Timer> {
        let &(at, timer) = self.due.first()?;
        if at > now {
            return None;
        }
        self.due.pop_first();
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn timers_fire_in_order_and_only_as_last_set() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        let (mut a, mut b) = (None, None);
        timers.set(Timer::Peer(1), &mut a, Some(at(30)));
        timers.set(Timer::Call(2), &mut b, Some(at(20)));
        timers.lower(Timer::Peer(1), &mut a, at(40));
        assert_eq!(a, Some(at(30)));
        timers.lower(Timer::Peer(1), &mut a, at(10));
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.pop(at(9)), None);
        assert_eq!(timers.pop(at(50)), Some(Timer::Peer(1)));
        timers.set(Timer::Call(2), &mut b, None);
        assert_eq!(timers.pop(at(50)), None);
    }
}
