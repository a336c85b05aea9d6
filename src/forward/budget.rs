//! What may be spent on sending again: a share of what the network carries, saved up for a short while.

use std::time::{Duration, Instant};

/// How long what was not spent is saved.
const SAVED: Duration = Duration::from_millis(400);

/// The share of a network's rate that goes into repetitions at most. With a fifth of all packets lost, and of their
/// repetitions too, a quarter of what is sent is needed.
const SHARE: f64 = 0.35;

/// The same while a queue has to drain.
const SHARE_DRAINING: f64 = 0.1;

/// Bytes that may be sent again.
#[derive(Clone, Copy, Debug, Default)]
pub struct RepairBudget {
    left: f64,
    at: Option<Instant>,
}

impl RepairBudget {
    /// Takes `bytes` out of the budget of a network that carries `rate` bits a second. Returns whether there were as many.
    /// `draining` says that it carries less than it was sent a moment ago.
    pub fn spend(&mut self, now: Instant, rate: u64, draining: bool, bytes: usize) -> bool {
        let share = if draining { SHARE_DRAINING } else { SHARE };
        let a_second = rate as f64 / 8.0 * share;
        let most = a_second * SAVED.as_secs_f64();
        let elapsed = self
            .at
            .map_or(SAVED, |at| now.saturating_duration_since(at));
        self.at = Some(now);
        self.left = (self.left + a_second * elapsed.as_secs_f64()).min(most);
        // The last packet may exceed it: a small budget is not none.
        let suffices = self.left > 0.0;
        if suffices {
            self.left -= bytes as f64;
        }
        suffices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(budget: &mut RepairBudget, from: Instant, draining: bool) -> usize {
        let tries = (0..1_000).map(|ms| from + Duration::from_millis(ms));
        let spend = tries.filter(|at| budget.spend(*at, 1_000_000, draining, 1_000));
        spend.count() * 1_000 * 8
    }

    #[test]
    fn a_share_is_spent_and_little_while_a_queue_drains() {
        let start = Instant::now();
        let mut budget = RepairBudget::default();
        let first = spent(&mut budget, start, false);
        assert!(
            (350_000..520_000).contains(&first),
            "{first}: with what was saved"
        );
        let second = spent(&mut budget, start + Duration::from_secs(1), true);
        assert!((90_000..120_000).contains(&second), "{second}");
        let third = spent(&mut budget, start + Duration::from_secs(60), false);
        assert!(
            (350_000..520_000).contains(&third),
            "{third}: saved for a while only"
        );
    }
}
