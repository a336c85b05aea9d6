//! What may be spent on sending again: a share of what the network carries, saved up for a short while.

use std::time::{Duration, Instant};

/// How long what was not spent is saved.
const SAVED: Duration = Duration::from_millis(400);

/// The share of a network's rate that goes into repetitions at most. With a fifth of all packets lost, and of their
/// repetitions too, a quarter of what is sent is needed.
const SHARE: f64 = 0.4;

/// A network counts as no slower than this, in bits a second: the keyframe of the smallest picture must get through.
const SLOWEST: u64 = 250_000;

/// Bytes that may be sent again.
#[derive(Clone, Copy, Debug, Default)]
pub struct RepairBudget {
    left: f64,
    at: Option<Instant>,
}

impl RepairBudget {
    /// Whether something may be sent again now to a network that carries `rate` bits a second. The last packet may exceed
    /// the budget: a small one is not none.
    pub fn allows(&mut self, now: Instant, rate: u64) -> bool {
        let a_second = rate.max(SLOWEST) as f64 / 8.0 * SHARE;
        let most = a_second * SAVED.as_secs_f64();
        let elapsed = self
            .at
            .map_or(SAVED, |at| now.saturating_duration_since(at));
        self.at = Some(now);
        self.left = (self.left + a_second * elapsed.as_secs_f64()).min(most);
        self.left > 0.0
    }

    /// So many bytes were sent again.
    pub fn spent(&mut self, bytes: usize) {
        self.left -= bytes as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(budget: &mut RepairBudget, from: Instant, rate: u64) -> usize {
        let tries = (0..1_000).map(|ms| from + Duration::from_millis(ms));
        let spent = tries.filter(|at| {
            let allowed = budget.allows(*at, rate);
            budget.spent(if allowed { 1_000 } else { 0 });
            allowed
        });
        spent.count() * 1_000 * 8
    }

    #[test]
    fn a_share_is_spent_and_a_little_in_any_case() {
        let start = Instant::now();
        let mut budget = RepairBudget::default();
        let first = spent(&mut budget, start, 1_000_000);
        assert!(
            (400_000..600_000).contains(&first),
            "{first}: with what was saved"
        );
        let second = spent(&mut budget, start + Duration::from_secs(1), 10_000);
        assert!((90_000..120_000).contains(&second), "{second}");
        let third = spent(&mut budget, start + Duration::from_secs(60), 1_000_000);
        assert!(
            (400_000..600_000).contains(&third),
            "{third}: saved for a while only"
        );
    }
}
