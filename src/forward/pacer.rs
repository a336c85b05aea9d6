//! How fast leaves for one receiver what the server could send at once: pictures that it kept, and packets that are asked
//! for again. What comes live is paced by its publisher, and never waits here.

use std::time::{Duration, Instant};

/// The shortest time between two bursts.
const INTERVAL: Duration = Duration::from_millis(5);

/// How fast a network is sent to, in percent of its estimate. That follows what was sent, so that many networks carry more.
/// In one that does not, a third of this would wait: what came live between, and is heard, waits there too.
const PACE: u64 = 150;

/// Bytes of one burst: what any queue holds at least, and one run of segments at most. On a slow network it is what passes
/// in some 60 ms, and two packets at least.
const LEAST_BURST: f64 = 8.0 * 1_200.0;
const LARGEST_BURST: f64 = 64.0 * 1_200.0;
const SLOW_BURST: Duration = Duration::from_millis(60);
const SMALLEST_BURST: f64 = 2.0 * 1_200.0;

/// Bytes that may be sent to one receiver now, saved up for a few milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pacer {
    left: f64,
    at: Option<Instant>,
}

impl Pacer {
    /// The rate in bits a second for a network that is estimated to carry `estimate`, and is sent so much of `audio`, which
    /// does not wait.
    pub fn rate(estimate: u64, audio: u64) -> u64 {
        let all = estimate.saturating_mul(PACE) / 100;
        all.saturating_sub(audio).max(estimate / 2)
    }

    /// Saves up what `rate` bits a second allow since the last time; after a while without, one burst.
    pub fn refill(&mut self, now: Instant, rate: u64) {
        let a_second = rate as f64 / 8.0;
        let least = (a_second * SLOW_BURST.as_secs_f64()).clamp(SMALLEST_BURST, LEAST_BURST);
        // A thread that is late by one interval loses nothing.
        let burst = (a_second * 2.0 * INTERVAL.as_secs_f64()).clamp(least, LARGEST_BURST);
        let elapsed = self.at.map(|at| now.saturating_duration_since(at));
        let saved = elapsed.map_or(burst, |elapsed| a_second * elapsed.as_secs_f64());
        self.at = Some(now);
        self.left = (self.left + saved).min(burst);
    }

    /// Whether a packet may leave now. The last one of a burst may exceed it.
    pub fn may_send(&self) -> bool {
        self.left > 0.0
    }

    /// So many bytes left.
    pub fn sent(&mut self, bytes: usize) {
        self.left -= bytes as f64;
    }

    /// When the next burst may leave at `rate` bits a second.
    pub fn next(&self, now: Instant, rate: u64) -> Instant {
        let missing = (-self.left).max(0.0) * 8.0 / rate.max(1) as f64;
        now + Duration::from_secs_f64(missing.min(1.0)).max(INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of each burst for `time`, and when it left.
    fn bursts(pacer: &mut Pacer, start: Instant, rate: u64, time: Duration) -> Vec<(u64, usize)> {
        let mut now = start;
        let mut bursts = Vec::new();
        while now < start + time {
            pacer.refill(now, rate);
            let mut bytes = 0;
            while pacer.may_send() {
                pacer.sent(1_000);
                bytes += 1_000;
            }
            bursts.push(((now - start).as_millis() as u64, bytes));
            now = pacer.next(now, rate);
        }
        bursts
    }

    #[test]
    fn a_burst_leaves_at_once_and_the_rest_at_the_rate() {
        for rate in [100_000, 750_000, 5_000_000, 50_000_000] {
            let mut pacer = Pacer::default();
            let all = bursts(&mut pacer, Instant::now(), rate, Duration::from_secs(2));
            let (first, rest) = all.split_first().unwrap();
            let least = if rate < 500_000 {
                SMALLEST_BURST
            } else {
                5_000.0
            };
            assert!((least as usize..=78_000).contains(&first.1), "{rate}");
            assert!(rest.iter().all(|(_, bytes)| *bytes <= first.1), "{rate}");
            let sent: usize = rest.iter().map(|(_, bytes)| bytes).sum();
            let share = sent as f64 * 8.0 / 2.0 / rate as f64;
            assert!((0.9..1.1).contains(&share), "{rate}: {share}");
            assert!(all.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 5));
        }
    }

    #[test]
    fn what_was_not_used_is_saved_for_one_burst_only() {
        let start = Instant::now();
        let mut pacer = Pacer::default();
        bursts(&mut pacer, start, 1_000_000, Duration::from_millis(100));
        let later = start + Duration::from_secs(10);
        let all = bursts(&mut pacer, later, 1_000_000, Duration::from_millis(1));
        assert_eq!(all, [(0, 8_000)]);
    }

    #[test]
    fn nothing_is_too_slow_or_too_fast() {
        let now = Instant::now();
        for rate in [0, 1, u64::MAX] {
            let mut pacer = Pacer::default();
            pacer.refill(now, Pacer::rate(rate, 0));
            pacer.sent(100_000);
            assert!(pacer.next(now, rate) > now);
        }
    }
}
