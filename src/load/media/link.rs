//! The network that clients are told to have: packets get lost, late, and out of order.

use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::load::options::Impairment;

/// By how much a packet that is overtaken comes later.
const OVERTAKEN: Duration = Duration::from_millis(12);

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It passes at once.
    Passes,
    /// It passes at this time.
    Waits(Instant),
    /// It is lost.
    Lost,
}

/// One direction of one client's network.
#[derive(Debug)]
pub(super) struct Link {
    impairment: Impairment,
    random: SmallRng,
    /// When the last packet that keeps its order passes.
    last: Option<Instant>,
}

impl Link {
    /// A link whose accidents follow from the seed.
    pub(super) fn new(impairment: Impairment, seed: u64) -> Self {
        Self {
            impairment,
            random: SmallRng::seed_from_u64(seed),
            last: None,
        }
    }

    /// Decides about a packet.
    pub(super) fn pass(&mut self, now: Instant) -> Fate {
        let Impairment {
            loss,
            delay,
            jitter,
            reorder,
        } = self.impairment;
        if self.impairment == Impairment::default() {
            return Fate::Passes;
        }
        if loss > 0.0 && self.random.random_bool(loss) {
            return Fate::Lost;
        }
        let mut at = now + delay + jitter.mul_f64(self.random.random());
        if reorder > 0.0 && self.random.random_bool(reorder) {
            return Fate::Waits(at + OVERTAKEN);
        }
        // Jitter alone lets nobody overtake.
        at = self.last.map_or(at, |last| at.max(last));
        self.last = Some(at);
        if at <= now {
            Fate::Passes
        } else {
            Fate::Waits(at)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(impairment: Impairment, count: u32) -> Vec<(Duration, Option<Duration>)> {
        let start = Instant::now();
        let mut link = Link::new(impairment, 3);
        let pass = |n: u32| {
            let sent = Duration::from_millis(1) * n;
            let arrives = match link.pass(start + sent) {
                Fate::Passes => Some(sent),
                Fate::Waits(at) => Some(at - start),
                Fate::Lost => None,
            };
            (sent, arrives)
        };
        (0..count).map(pass).collect()
    }

    #[test]
    fn without_impairment_everything_passes_at_once() {
        for (sent, arrives) in fates(Impairment::default(), 100) {
            assert_eq!(arrives, Some(sent));
        }
    }

    #[test]
    fn the_share_that_was_asked_for_gets_lost() {
        let impairment = Impairment {
            loss: 0.1,
            ..Impairment::default()
        };
        let lost = fates(impairment, 10_000)
            .iter()
            .filter(|(_, a)| a.is_none())
            .count();
        assert!((850..1_150).contains(&lost), "{lost}");
    }

    #[test]
    fn jitter_delays_and_keeps_the_order() {
        let impairment = Impairment {
            delay: Duration::from_millis(50),
            jitter: Duration::from_millis(20),
            ..Impairment::default()
        };
        let mut last = Duration::ZERO;
        for (sent, arrives) in fates(impairment, 1_000) {
            let arrives = arrives.unwrap();
            assert!(arrives >= last && arrives >= sent + Duration::from_millis(50));
            assert!(arrives <= sent + Duration::from_millis(70));
            last = arrives;
        }
    }

    #[test]
    fn some_are_overtaken_if_asked_for() {
        let impairment = Impairment {
            reorder: 0.1,
            ..Impairment::default()
        };
        let arrivals: Vec<Duration> = fates(impairment, 1_000)
            .iter()
            .filter_map(|(_, a)| *a)
            .collect();
        let overtaken = arrivals.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert!((60..140).contains(&overtaken), "{overtaken}");
        assert_eq!(arrivals.len(), 1_000);
    }
}
