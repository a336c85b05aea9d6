//! Which encodings of a track its publisher is told to send.

use std::time::{Duration, Instant};

/// How long nobody must have wanted an encoding before its publisher is told to stop it.
const PATIENCE: Duration = Duration::from_secs(2);

/// A set of encodings, as bits by their index.
pub type EncodingSet = u32;

/// What is wanted is told at once; what is not, after a while.
#[derive(Clone, Copy, Debug)]
pub struct WantedEncodings {
    /// What the publisher does: everything, before it is told.
    told: EncodingSet,
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
            wanted: all,
            since: None,
            urgent: None,
        }
    }

    /// Whether the publisher should be sending this encoding.
    pub fn is_told(&self, encoding: usize) -> bool {
        self.told & (1 << encoding) != 0
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
        self.told = if vain {
            self.wanted
        } else {
            self.told | self.wanted
        };
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
