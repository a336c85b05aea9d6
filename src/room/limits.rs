//! How much one client may say, and how often wrongly.

use std::time::{Duration, Instant};

/// Three strikes within this end a socket.
const STRIKE_WINDOW: Duration = Duration::from_secs(10);

/// A message of less than twice this counts for one.
const BYTES_PER_TOKEN: usize = 16 * 1024;

/// A token bucket: `rate` messages a second in the long run, twice as many at once.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    pub(super) fn new(now: Instant, rate: u32) -> Self {
        let rate = f64::from(rate.max(1));
        Self {
            rate,
            tokens: rate * 2.0,
            filled: now,
        }
    }

    /// Whether one more message of this many bytes is allowed now. A long one counts for several: each of the room may
    /// have to be sent it.
    pub(super) fn take(&mut self, now: Instant, bytes: usize) -> bool {
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.rate).min(self.rate * 2.0);
        self.filled = now;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0 + (bytes / BYTES_PER_TOKEN) as f64;
        true
    }
}

/// The last two times that a client sent what no correct client sends.
#[derive(Debug, Default)]
pub(super) struct Strikes {
    last: [Option<Instant>; 2],
}

impl Strikes {
    /// Counts one more; true for the third within ten seconds.
    pub(super) fn strike(&mut self, now: Instant) -> bool {
        let [older, newer] = self.last;
        self.last = [newer, Some(now)];
        older.is_some_and(|at| now.saturating_duration_since(at) < STRIKE_WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_counts_for_several() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start, 10);
        let at_once = (0..100).filter(|_| bucket.take(start, 64 * 1024)).count();
        assert_eq!(at_once, 4);
    }

    #[test]
    fn a_bucket_gives_twice_its_rate_at_once_and_its_rate_after() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start, 10);
        let at_once = (0..100).filter(|_| bucket.take(start, 100)).count();
        assert_eq!(at_once, 20);
        let later = start + Duration::from_millis(500);
        assert_eq!((0..100).filter(|_| bucket.take(later, 100)).count(), 5);
    }

    #[test]
    fn only_the_third_strike_within_ten_seconds_counts() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut strikes = Strikes::default();
        assert!(!strikes.strike(at(0)));
        assert!(!strikes.strike(at(9)));
        assert!(!strikes.strike(at(11)));
        assert!(strikes.strike(at(18)));
    }
}
