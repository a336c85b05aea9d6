//! One direction of a simulated network.

use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;

/// Says which datagrams it means.
pub(super) type Filter = Box<dyn FnMut(&[u8]) -> bool>;

/// How one direction treats datagrams. At first it is perfect but for its delay.
pub(super) struct Link {
    /// The shares of datagrams that get lost, come twice, or are overtaken by later ones.
    pub(super) loss: f64,
    pub(super) duplication: f64,
    pub(super) reordering: f64,
    pub(super) delay: Duration,
    /// Up to so much is added to the delay, without reordering.
    pub(super) jitter: Duration,
    /// Loses the datagrams that it says yes to.
    pub(super) loses: Option<Filter>,
    /// When the last datagram arrives.
    latest: Option<Instant>,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            loss: 0.0,
            duplication: 0.0,
            reordering: 0.0,
            delay: Duration::from_millis(10),
            jitter: Duration::ZERO,
            loses: None,
            latest: None,
        }
    }
}

impl Link {
    /// When a datagram that is sent now arrives: never, once or twice.
    pub(super) fn send(
        &mut self,
        now: Instant,
        rng: &mut StdRng,
        datagram: &[u8],
    ) -> [Option<Instant>; 2] {
        let lost = self.loses.as_mut().is_some_and(|loses| loses(datagram));
        if lost || rng.random_bool(self.loss) {
            return [None, None];
        }
        let twice = rng.random_bool(self.duplication);
        let first = self.arrival(now, rng);
        [Some(first), twice.then(|| self.arrival(now, rng))]
    }

    fn arrival(&mut self, now: Instant, rng: &mut StdRng) -> Instant {
        let jitter = rng.random_range(Duration::ZERO..=self.jitter);
        let due = now + self.delay + jitter;
        if rng.random_bool(self.reordering) {
            return due + Duration::from_micros(rng.random_range(1_000..30_000));
        }
        let due = self.latest.map_or(due, |latest| due.max(latest));
        self.latest = Some(due);
        due
    }
}
