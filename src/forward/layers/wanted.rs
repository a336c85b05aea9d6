//! Which encodings of a track its publisher is told to send.

use std::time::{Duration, Instant};

/// How long nobody must have wanted an encoding before its publisher is told to stop it.
const PATIENCE: Duration = Duration::from_secs(2);

/// So long a publisher that is told to send an encoding may take until it does: what it was told before, and what left it
/// before it heard, is none of its doing.
const REACTION: Duration = Duration::from_secs(2);

/// A set of encodings, as bits by their index.
pub type EncodingSet = u32;

/// What is wanted is told at once; what is not, after a while.
#[derive(Clone, Copy, Debug)]
pub struct WantedEncodings {
    /// What the publisher does: everything, before it is told.
    told: EncodingSet,
    /// What it was told lately, and when the last of it.
    fresh: EncodingSet,
    told_at: Option<Instant>,
    wanted: EncodingSet,
    /// Since when something is sent in vain.
    since: Option<Instant>,
    /// When something is to be told that cannot wait.
    urgent: Option<Instant>,
}

impl WantedEncodings {
    /// For a track with so many encodings, all of which its publisher sends.
    pub fn new(encodings: usize) -> Self {
        let all = EncodingSet::MAX >> (EncodingSet::BITS - encodings.clamp(1, 32) as u32);
        Self {
            told: all,
            fresh: 0,
            told_at: None,
            wanted: all,
            since: None,
            urgent: None,
        }
    }

    /// Whether the publisher should be sending this encoding by now.
    pub fn is_due(&self, now: Instant, encoding: usize) -> bool {
        self.told & !self.fresh(now) & (1 << encoding) != 0
    }

    fn fresh(&self, now: Instant) -> EncodingSet {
        let is_fresh = self.told_at.is_some_and(|at| now < at + REACTION);
        if is_fresh { self.fresh } else { 0 }
    }

    /// These are wanted now.
    pub fn set(&mut self, now: Instant, wanted: EncodingSet) {
        self.wanted = wanted;
        self.urgent = (wanted & !self.told != 0).then_some(now);
        self.since = if self.told & !wanted == 0 {
            None
        } else {
            self.since.or(Some(now))
        };
    }

    /// What to tell the publisher now, if anything; it is taken for told.
    pub fn poll(&mut self, now: Instant) -> Option<EncodingSet> {
        let vain = self.since.is_some_and(|since| now >= since + PATIENCE);
        if !vain && self.urgent.is_none() {
            return None;
        }
        // Something that is needed does not end the patience with what is not.
        let told = if vain {
            self.wanted
        } else {
            self.told | self.wanted
        };
        let added = told & !self.told;
        if added != 0 {
            self.fresh = self.fresh(now) | added;
            self.told_at = Some(now);
        }
        self.told = told;
        self.urgent = None;
        if vain {
            self.since = None;
        }
        Some(self.told)
    }

    /// When [`poll`](Self::poll) has something to tell; in the past when it has now.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.urgent.or(self.since.map(|since| since + PATIENCE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_told_at_once_and_what_is_not_after_two_seconds() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut wanted = WantedEncodings::new(3);
        assert_eq!((wanted.poll(start), wanted.poll_timeout()), (None, None));
        wanted.set(at(0), 0b100);
        assert_eq!(
            (wanted.poll(at(1_999)), wanted.poll_timeout()),
            (None, Some(at(2_000)))
        );
        assert_eq!(wanted.poll(at(2_000)), Some(0b100));
        wanted.set(at(3_000), 0b001);
        assert_eq!(wanted.poll_timeout(), Some(at(3_000)));
        assert_eq!(wanted.poll(at(3_000)), Some(0b101));
        assert_eq!(wanted.poll(at(4_999)), None);
        assert_eq!(wanted.poll(at(5_000)), Some(0b001));
        assert_eq!(
            (wanted.poll(at(9_000)), wanted.poll_timeout()),
            (None, None)
        );
    }

    #[test]
    fn what_was_told_lately_is_not_due_yet() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut wanted = WantedEncodings::new(3);
        assert!((0..3).all(|encoding| wanted.is_due(start, encoding)));
        wanted.set(at(0), 0b001);
        assert_eq!(wanted.poll(at(2_000)), Some(0b001));
        let due = |wanted: &WantedEncodings, now| {
            (0..3)
                .map(|encoding| wanted.is_due(now, encoding))
                .collect::<Vec<_>>()
        };
        assert_eq!(due(&wanted, at(2_000)), [true, false, false]);
        wanted.set(at(2_100), 0b101);
        wanted.poll(at(2_100));
        assert_eq!(due(&wanted, at(3_000)), [true, false, false]);
        wanted.set(at(3_000), 0b111);
        wanted.poll(at(3_000));
        assert_eq!(due(&wanted, at(4_999)), [true, false, false]);
        assert_eq!(due(&wanted, at(5_000)), [true, true, true]);
        wanted.set(at(6_000), 0b011);
        wanted.poll(at(8_000));
        assert_eq!(due(&wanted, at(8_000)), [true, true, false]);
    }

    #[test]
    fn what_is_wanted_again_in_time_is_never_mentioned() {
        let start = Instant::now();
        let mut wanted = WantedEncodings::new(1);
        wanted.set(start, 0);
        wanted.set(start + Duration::from_secs(1), 1);
        assert_eq!(wanted.poll(start + Duration::from_secs(5)), None);
        wanted.set(start + Duration::from_secs(6), 0);
        assert_eq!(wanted.poll(start + Duration::from_secs(7)), None);
        assert_eq!(wanted.poll(start + Duration::from_secs(8)), Some(0));
    }
}
