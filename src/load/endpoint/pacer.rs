//! Spreads the packets of a frame over bursts, as libwebrtc's pacer does.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Between two bursts.
const BURST_TIME: Duration = Duration::from_millis(5);
/// How much faster than the media it sends.
const FACTOR: f64 = 2.5;

/// A queue that is emptied in bursts.
#[derive(Debug)]
pub(super) struct Pacer<T> {
    queue: VecDeque<(usize, T)>,
    /// Bytes that a burst may have.
    burst: f64,
    /// Bytes that may be sent in this burst; below 0 after a packet that exceeded it.
    budget: f64,
    next: Option<Instant>,
}

impl<T> Default for Pacer<T> {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            burst: 0.0,
            budget: 0.0,
            next: None,
        }
    }
}

impl<T> Pacer<T> {
    /// The bitrate of all that it paces.
    pub(super) fn set_bitrate(&mut self, bitrate: u64) {
        self.burst = bitrate as f64 / 8.0 * FACTOR * BURST_TIME.as_secs_f64();
    }

    /// Queues a packet of `len` bytes.
    pub(super) fn push(&mut self, now: Instant, len: usize, packet: T) {
        if self.next.is_none() {
            self.next = Some(now);
        }
        self.queue.push_back((len, packet));
    }

    /// When [`poll`](Self::poll) has something.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// The next packet of the burst that is due; `None` when it is over.
    pub(super) fn poll(&mut self, now: Instant) -> Option<T> {
        let next = self.next?;
        if self.budget <= 0.0 {
            if next > now {
                return None;
            }
            // What a held-up generator missed is made up for by longer bursts.
            let missed = now.saturating_duration_since(next).as_nanos() / BURST_TIME.as_nanos();
            let bursts = 1.0 + missed as f64;
            self.budget += (self.burst * bursts).max(1.0);
            self.next = Some(next + BURST_TIME * (missed as u32 + 1));
            if self.budget <= 0.0 {
                return None;
            }
        }
        let Some((len, packet)) = self.queue.pop_front() else {
            // Whoever was idle has no credit.
            self.budget = self.budget.min(0.0);
            self.next = None;
            return None;
        };
        self.budget -= len as f64;
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_goes_out_in_bursts_of_five_milliseconds() {
        let start = Instant::now();
        let mut pacer = Pacer::default();
        // 2,344 bytes a burst.
        pacer.set_bitrate(1_500_000);
        for packet in 0..6 {
            pacer.push(start, 1_050, packet);
        }
        let mut bursts = Vec::new();
        while let Some(at) = pacer.poll_timeout() {
            let burst: Vec<i32> = std::iter::from_fn(|| pacer.poll(at)).collect();
            bursts.push(((at - start).as_millis(), burst));
        }
        assert_eq!(
            bursts,
            [(0, vec![0, 1, 2]), (5, vec![3, 4]), (10, vec![5]),]
        );
        // A frame later the next begins at once.
        let later = start + Duration::from_millis(33);
        pacer.push(later, 1_050, 6);
        assert_eq!(pacer.poll(later), Some(6));
    }

    #[test]
    fn a_late_poll_sends_what_was_due() {
        let start = Instant::now();
        let mut pacer = Pacer::default();
        pacer.set_bitrate(1_500_000);
        for packet in 0..100 {
            pacer.push(start, 1_000, packet);
        }
        let late = start + Duration::from_millis(52);
        let sent = std::iter::from_fn(|| pacer.poll(late)).count();
        assert!((25..=27).contains(&sent), "{sent} of eleven bursts");
        assert_eq!(
            pacer.poll_timeout(),
            Some(start + Duration::from_millis(55))
        );
    }
}
