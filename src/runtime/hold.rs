//! How long datagrams wait for others to the same destination: not at all when the server is quiet, and longer
//! the busier it is.

use std::time::{Duration, Instant};

/// Over this time the share of work is smoothed.
const WINDOW: Duration = Duration::from_millis(100);

/// From this share of a core on, datagrams wait as long as they may.
const BUSY: f64 = 0.5;

/// A shorter wait would cost more than it gains.
const SHORTEST: Duration = Duration::from_micros(100);

/// Bytes that may wait at most: more do not fit the processor's cache.
const MAX_BYTES: usize = 1024 * 1024;

/// Measures how busy a thread is, and says from that how long a lane may wait.
///
/// A longer wait makes longer runs, which are cheaper: the thread gets less busy, and the wait shorter, until
/// both agree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold {
    longest: Duration,
    share: f64,
    /// When the thread last began to rest, or was told to work on.
    since: Instant,
    /// When it was last woken.
    woken: Instant,
}

impl Hold {
    /// Waits up to `longest`, 0 for never. The thread works from now on.
    pub(super) fn new(now: Instant, longest: Duration) -> Self {
        Self {
            longest,
            share: 0.0,
            since: now,
            woken: now,
        }
    }

    /// The thread goes to rest.
    pub(super) fn rest(&mut self, now: Instant) {
        let whole = now.saturating_duration_since(self.since);
        let worked = now.saturating_duration_since(self.woken);
        if !whole.is_zero() {
            let share = worked.as_secs_f64() / whole.as_secs_f64();
            let weight = (whole.as_secs_f64() / WINDOW.as_secs_f64()).min(1.0);
            self.share += (share - self.share) * weight;
        }
        self.since = now;
        self.woken = now;
    }

    /// The thread was woken.
    pub(super) fn wake(&mut self, now: Instant) {
        self.woken = now;
    }

    /// The share of the thread's time that is work, 0 to 1.
    pub(super) fn share(&self) -> f64 {
        self.share
    }

    /// How long a lane waits from its first datagram on.
    pub(super) fn length(&self) -> Duration {
        let length = self.longest.mul_f64((self.share / BUSY).min(1.0));
        if length < SHORTEST {
            Duration::ZERO
        } else {
            length
        }
    }

    /// Whether the oldest lane, opened at `opened`, is to be sent now, when `bytes` wait in all.
    pub(super) fn is_over(&self, now: Instant, opened: Option<Instant>, bytes: usize) -> bool {
        let waited = |opened| now.saturating_duration_since(opened) >= self.length();
        bytes >= MAX_BYTES || opened.is_none_or(waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_millis(5);

    fn ms(n: f64) -> Duration {
        Duration::from_secs_f64(n / 1e3)
    }

    /// Works `share` of each millisecond, for `time`.
    fn work(hold: &mut Hold, now: &mut Instant, share: f64, time: f64) {
        for _ in 0..time as usize {
            hold.wake(*now);
            *now += ms(share);
            hold.rest(*now);
            *now += ms(1.0 - share);
        }
        hold.wake(*now);
    }

    #[test]
    fn a_quiet_thread_waits_for_nothing_and_a_busy_one_as_long_as_it_may() {
        let mut now = Instant::now();
        let mut hold = Hold::new(now, LONGEST);
        assert_eq!(hold.length(), Duration::ZERO);
        work(&mut hold, &mut now, 0.005, 1_000.0);
        assert_eq!(hold.length(), Duration::ZERO);
        work(&mut hold, &mut now, 0.25, 1_000.0);
        let half = hold.length().as_secs_f64() / LONGEST.as_secs_f64();
        assert!((half - 0.5).abs() < 0.02, "{half}");
        work(&mut hold, &mut now, 0.9, 1_000.0);
        assert_eq!(hold.length(), LONGEST);
        assert!((hold.share() - 0.9).abs() < 0.02);
        work(&mut hold, &mut now, 0.001, 1_000.0);
        assert_eq!(hold.length(), Duration::ZERO);
    }

    #[test]
    fn a_lane_is_sent_when_it_waited_long_enough_or_too_much_waits() {
        let mut now = Instant::now();
        let mut hold = Hold::new(now, LONGEST);
        work(&mut hold, &mut now, 0.9, 1_000.0);
        let opened = Some(now);
        assert!(!hold.is_over(now + ms(4.9), opened, 1_000));
        assert!(hold.is_over(now + ms(5.0), opened, 1_000));
        assert!(hold.is_over(now, opened, MAX_BYTES));
        assert!(hold.is_over(now, None, 0));
    }

    #[test]
    fn switched_off_it_never_waits() {
        let mut now = Instant::now();
        let mut hold = Hold::new(now, Duration::ZERO);
        work(&mut hold, &mut now, 1.0, 1_000.0);
        assert!(hold.is_over(now, Some(now), 0));
    }
}
