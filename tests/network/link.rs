//! One direction of a network: a bottleneck with a queue before it, then a way that loses, delays and reorders.
//!
//! The tests of the shard run it in virtual time; the user-space link between network namespaces runs it with real
//! datagrams, so that what was seen in the one can be tried in the other.

use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;

/// Says which datagrams it means.
pub type Filter = Box<dyn FnMut(&[u8]) -> bool>;

/// How one direction treats datagrams. At first it is perfect but for its delay.
pub struct Link {
    /// What passes the bottleneck, in bits a second. Without one, all at once.
    pub rate: Option<u64>,
    /// What the queue before the bottleneck holds, as the time that it takes to drain. What comes when it is full is lost.
    pub queue: Duration,
    /// Bytes that each datagram takes on the bottleneck beside its own: the headers of IP and UDP.
    pub overhead: usize,
    /// The shares of datagrams that get lost behind the bottleneck, come twice, or are overtaken by later ones.
    pub loss: f64,
    /// See `loss`.
    pub duplication: f64,
    /// See `loss`.
    pub reordering: f64,
    /// What a datagram takes at least.
    pub delay: Duration,
    /// Up to so much is added to the delay, without reordering.
    pub jitter: Duration,
    /// Loses the datagrams that it says yes to.
    pub loses: Option<Filter>,
    /// What was lost because the queue was full.
    pub overflows: u64,
    /// Bits that wait before the bottleneck, at the time when that was worked out last.
    backlog: f64,
    worked_out: Option<Instant>,
    /// When the last datagram arrives.
    latest: Option<Instant>,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            rate: None,
            queue: Duration::from_millis(300),
            overhead: 28,
            loss: 0.0,
            duplication: 0.0,
            reordering: 0.0,
            delay: Duration::from_millis(10),
            jitter: Duration::ZERO,
            loses: None,
            overflows: 0,
            backlog: 0.0,
            worked_out: None,
            latest: None,
        }
    }
}

impl Link {
    /// When a datagram that is sent now arrives: never, once or twice.
    pub fn send(
        &mut self,
        now: Instant,
        rng: &mut StdRng,
        datagram: &[u8],
    ) -> [Option<Instant>; 2] {
        let lost = self.loses.as_mut().is_some_and(|loses| loses(datagram));
        if lost {
            return [None, None];
        }
        let Some(passed) = self.pass(now, datagram.len()) else {
            self.overflows += 1;
            return [None, None];
        };
        if rng.random_bool(self.loss) {
            return [None, None];
        }
        let twice = rng.random_bool(self.duplication);
        let first = self.arrival(passed, rng);
        [Some(first), twice.then(|| self.arrival(passed, rng))]
    }

    /// How long what is sent now would wait for what was sent before.
    pub fn queued(&mut self, now: Instant) -> Duration {
        let Some(rate) = self.rate else {
            return Duration::ZERO;
        };
        self.drain(now, rate as f64);
        Duration::from_secs_f64(self.backlog / rate as f64)
    }

    /// When a datagram of this length is through the bottleneck; `None` where the queue has no room for it.
    fn pass(&mut self, now: Instant, len: usize) -> Option<Instant> {
        let Some(rate) = self.rate else {
            return Some(now);
        };
        if self.queued(now) > self.queue {
            return None;
        }
        self.backlog += (len + self.overhead) as f64 * 8.0;
        Some(now + Duration::from_secs_f64(self.backlog / rate as f64))
    }

    fn drain(&mut self, now: Instant, rate: f64) {
        let since = self.worked_out.replace(now).unwrap_or(now);
        let passed = now.saturating_duration_since(since).as_secs_f64() * rate;
        self.backlog = (self.backlog - passed).max(0.0);
    }

    fn arrival(&mut self, passed: Instant, rng: &mut StdRng) -> Instant {
        let jitter = rng.random_range(Duration::ZERO..=self.jitter);
        let due = passed + self.delay + jitter;
        if rng.random_bool(self.reordering) {
            return due + Duration::from_micros(rng.random_range(1_000..30_000));
        }
        let due = self.latest.map_or(due, |latest| due.max(latest));
        self.latest = Some(due);
        due
    }
}
