//! Which share gets lost, and whether sending less would change that.
//!
//! Radio loses packets whatever is sent; a policer loses what is too much. From one number the two cannot be told
//! apart, so an excess of loss starts a trial: the estimate falls to what was delivered. If the loss stays, it is
//! the link's own, and the estimate returns.

use std::time::Duration;

/// Packets for which a share is worked out.
const SAMPLE: u32 = 100;
/// With less than that, after so long, in microseconds as all times here.
const SAMPLE_TIME: i64 = 2_000_000;
const MIN_SAMPLE: u32 = 20;
/// With such an excess a small sample is enough.
const MUCH: f64 = 0.4;
const MUCH_SAMPLE: u32 = 30;
/// An excess below this is not acted upon.
const MIN_EXCESS: f64 = 0.03;
/// Standard deviations that chance is given.
const DEVIATIONS: f64 = 3.0;
/// How fast the link's own loss follows samples that are no excess, and smaller ones.
const FOLLOW: f64 = 0.1;
const FOLLOW_DOWN: f64 = 0.15;
/// A trial that still loses more than this share of the excess has shown that sending less does not help.
const REMAINING: f64 = 0.35;
/// What a trial waits beyond the round trip before it counts: feedback's interval, and slow senders.
const TRIAL_DELAY: i64 = 300_000;
/// A trial in which no less came through is repeated so often before it is given up.
const TRIAL_SAMPLES: u32 = 4;

/// What a sample led to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Too much was lost: try what was delivered.
    Try,
    /// The trial lost as much: return to the rate of before, in bits a second.
    OwnLoss(f64),
    /// The trial lost less: what is delivered is what the link can carry.
    Congestion,
}

#[derive(Clone, Copy, Debug)]
struct Trial {
    /// The estimate of before.
    estimate: f64,
    /// The delivered rate of before.
    delivered: f64,
    loss: f64,
    samples: u32,
}

/// Follows the losses of one receiver.
#[derive(Clone, Debug, Default)]
pub(super) struct Loss {
    lost: u32,
    total: u32,
    since: i64,
    /// What was sent before this does not count.
    begin: i64,
    latest: f64,
    /// The link's own.
    inherent: f64,
    trial: Option<Trial>,
}

impl Loss {
    /// A packet was reported for the first time, or was lost before and came.
    pub(super) fn report(&mut self, sent: i64, received: bool, was_lost: bool) {
        if sent < self.begin {
            return;
        }
        if was_lost {
            self.lost = self.lost.saturating_sub(1);
            return;
        }
        self.total += 1;
        self.lost += u32::from(!received);
    }

    /// Called after each feedback. `delivered` and `estimate` are in bits a second.
    pub(super) fn judge(&mut self, now: i64, delivered: f64, estimate: f64) -> Option<Verdict> {
        let due = self.total >= MIN_SAMPLE && now - self.since >= SAMPLE_TIME;
        let much = self.total >= MUCH_SAMPLE
            && f64::from(self.lost) > (self.inherent + MUCH) * f64::from(self.total);
        if self.total < SAMPLE && !due && !much {
            return None;
        }
        let share = f64::from(self.lost) / f64::from(self.total);
        let mean = ((share + self.inherent) / 2.0).max(0.01);
        let deviation = (mean * (1.0 - mean) / f64::from(self.total)).sqrt();
        (self.lost, self.total, self.since) = (0, 0, now);
        self.latest = share;
        if let Some(trial) = self.trial {
            return self.conclude(trial, share, delivered);
        }
        let excess = share - self.inherent;
        if excess <= MIN_EXCESS + DEVIATIONS * deviation {
            let weight = if excess > 0.0 { FOLLOW } else { FOLLOW_DOWN };
            self.inherent += weight * excess;
            return None;
        }
        self.trial = Some(Trial {
            estimate,
            delivered,
            loss: share,
            samples: 0,
        });
        Some(Verdict::Try)
    }

    /// The trial begins with what is sent from now on.
    pub(super) fn begin_trial(&mut self, now: i64, rtt: Duration) {
        self.begin = now + TRIAL_DELAY;
        self.since = now + TRIAL_DELAY + rtt.as_micros() as i64;
    }

    fn conclude(&mut self, mut trial: Trial, share: f64, delivered: f64) -> Option<Verdict> {
        trial.samples += 1;
        let remaining = self.inherent + (trial.loss - self.inherent) * REMAINING;
        if share < remaining {
            self.trial = None;
            return Some(Verdict::Congestion);
        }
        let sends_less = delivered < 0.97 * trial.delivered;
        if !sends_less && trial.samples < TRIAL_SAMPLES {
            // As much comes through as before, so too much is still sent.
            trial.delivered = delivered;
            self.trial = Some(trial);
            return Some(Verdict::Try);
        }
        self.trial = None;
        self.inherent = share;
        Some(Verdict::OwnLoss(trial.estimate))
    }

    /// Something else changed the estimate: what was sent before says nothing about the present.
    pub(super) fn restart(&mut self, now: i64) {
        self.trial = None;
        (self.lost, self.total) = (0, 0);
        (self.since, self.begin) = (now, now);
    }

    /// The share of the last sample.
    pub(super) fn latest(&self) -> f64 {
        self.latest
    }

    /// The share that does not depend on what is sent.
    pub(super) fn inherent(&self) -> f64 {
        self.inherent
    }
}
