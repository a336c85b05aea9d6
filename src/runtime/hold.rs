//! How busy a thread is, and from that what may wait: nothing but the copies of large audiences when the server is quiet.

use std::time::{Duration, Instant};

use crate::shard::Holding;

/// Over this time the share of work is smoothed.
const WINDOW: Duration = Duration::from_millis(100);

/// From this share of a core on, every datagram may wait. Longer runs are cheaper, so that the thread is less busy
/// with them; between both shares it stays as it is.
const BUSY: f64 = 0.5;
const QUIET: f64 = 0.3;

/// Measures how busy a thread is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold {
    holding: Holding,
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
            holding: Holding {
                longest,
                busy: false,
            },
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
        self.holding.busy = self.share >= if self.holding.busy { QUIET } else { BUSY };
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

    /// What may wait, and for how long.
    pub(super) fn holding(&self) -> Holding {
        self.holding
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_thread_is_busy_from_one_share_on_and_until_it_falls_below_another() {
        let mut now = Instant::now();
        let mut hold = Hold::new(now, Duration::from_millis(5));
        for (share, busy) in [
            (0.005, false),
            (0.4, false),
            (0.6, true),
            (0.4, true),
            (0.2, false),
            (0.9, true),
        ] {
            work(&mut hold, &mut now, share, 1_000.0);
            assert_eq!(hold.holding().busy, busy, "{share}");
            assert!((hold.share() - share).abs() < 0.02, "{}", hold.share());
        }
        assert_eq!(hold.holding().longest, Duration::from_millis(5));
    }
}
