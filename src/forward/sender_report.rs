//! Sender reports for subscribers: the publisher's clock in the subscription's numbers, so that audio and
//! video of one publisher stay in step, and the round trip that comes back with them.

use std::time::{Duration, Instant};

use crate::forward::Rewriter;
use crate::rtp::rtcp::SenderInfo;

/// How many reports wait for their answer.
const REMEMBERED: usize = 4;
/// Answers that took longer say nothing about the network.
const MAX_RTT: Duration = Duration::from_secs(10);

/// The publisher's wall clock against its RTP clock, as its last sender report said.
#[derive(Clone, Copy, Debug)]
pub struct SenderClock {
    ntp: u64,
    rtp_timestamp: u32,
    at: Instant,
}

impl SenderClock {
    /// Takes a report that came now.
    pub fn new(now: Instant, info: &SenderInfo) -> Self {
        Self {
            ntp: info.ntp,
            rtp_timestamp: info.rtp_timestamp,
            at: now,
        }
    }

    /// Both clocks now: NTP time, and the publisher's RTP timestamp of `clock_rate` ticks a second.
    pub fn at(&self, now: Instant, clock_rate: u32) -> (u64, u32) {
        let elapsed = now.saturating_duration_since(self.at);
        let ticks = elapsed.as_micros() * u128::from(clock_rate) / 1_000_000;
        (
            self.ntp.wrapping_add(ntp_duration(elapsed)),
            self.rtp_timestamp.wrapping_add(ticks as u32),
        )
    }

    /// What a subscription's report says now. `packets` and `bytes` are what the subscription sent.
    /// `None` before it took up a source.
    pub fn sender_info(
        &self,
        now: Instant,
        rewriter: &Rewriter,
        packets: u64,
        bytes: u64,
    ) -> Option<SenderInfo> {
        let (ntp, timestamp) = self.at(now, rewriter.source()?.clock_rate);
        Some(SenderInfo {
            ntp,
            rtp_timestamp: rewriter.map_timestamp(timestamp)?,
            packet_count: packets as u32,
            octet_count: bytes as u32,
        })
    }
}

/// The reports that one subscription sent last.
#[derive(Clone, Copy, Debug, Default)]
pub struct SentReports {
    ring: [Option<(u32, Instant)>; REMEMBERED],
    next: usize,
}

impl SentReports {
    /// A report with this NTP time is sent now.
    pub fn sent(&mut self, now: Instant, ntp: u64) {
        if let Some(slot) = self.ring.get_mut(self.next) {
            *slot = Some((middle(ntp), now));
        }
        self.next = (self.next + 1) % REMEMBERED;
    }

    /// The round trip, from the LSR and DLSR of a report block that came now (RFC 3550 section 6.4.1).
    /// `None` when it answers none of our last reports, or with a delay that cannot be. An LSR of 0 means
    /// that no report was received.
    pub fn rtt(&self, now: Instant, last_sender_report: u32, delay: u32) -> Option<Duration> {
        if last_sender_report == 0 {
            return None;
        }
        let (_, sent) = self
            .ring
            .iter()
            .flatten()
            .find(|(ntp, _)| *ntp == last_sender_report)?;
        let held = Duration::from_micros((u64::from(delay) * 1_000_000) >> 16);
        let rtt = now.saturating_duration_since(*sent).checked_sub(held)?;
        (rtt <= MAX_RTT).then_some(rtt)
    }
}

/// The middle 32 bits of an NTP time, as LSR has them.
fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// In 32.32 fixed-point seconds.
fn ntp_duration(time: Duration) -> u64 {
    (time.as_secs() << 32) | ((u64::from(time.subsec_nanos()) << 32) / 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::{PacketNumbers, Source};

    const SECOND: u64 = 1 << 32;

    fn numbers(timestamp: u32) -> PacketNumbers {
        PacketNumbers {
            sequence: 1,
            timestamp,
            ..PacketNumbers::default()
        }
    }

    fn report(ntp: u64, rtp_timestamp: u32) -> SenderInfo {
        SenderInfo {
            ntp,
            rtp_timestamp,
            packet_count: 0,
            octet_count: 0,
        }
    }

    #[test]
    fn both_clocks_go_on_from_the_publishers_report() {
        let start = Instant::now();
        let clock = SenderClock::new(start, &report(7 * SECOND, u32::MAX - 44_999));
        let later = start + Duration::from_millis(1500);
        assert_eq!(
            clock.at(later, 90_000),
            (8 * SECOND + SECOND / 2, 135_000 - 45_000)
        );
    }

    #[test]
    fn lips_stay_in_step() {
        // A publisher whose audio and video clocks show these at its NTP time of 100 s.
        let start = Instant::now();
        let audio = SenderClock::new(start, &report(100 * SECOND, 48_000));
        let video = SenderClock::new(
            start + Duration::from_millis(300),
            &report(100 * SECOND, 90_000),
        );
        let info = |clock: &SenderClock, clock_rate, first: u32, timestamp| {
            let mut rewriter = Rewriter::new(0, first);
            let source = Source {
                generation: 0,
                clock_rate,
            };
            assert_eq!(clock.sender_info(start, &rewriter, 1, 2), None);
            rewriter.switch_source(start, source, &numbers(timestamp));
            let now = start + Duration::from_secs(2);
            let info = clock.sender_info(now, &rewriter, 1, 1 << 32 | 5).unwrap();
            assert_eq!((info.packet_count, info.octet_count), (1, 5));
            // When the packet of this timestamp was captured, in the publisher's NTP time.
            let sent = rewriter.map_timestamp(timestamp).unwrap();
            let ticks = info.rtp_timestamp.wrapping_sub(sent);
            let age = (u64::from(ticks) << 32) / u64::from(clock_rate);
            info.ntp - age
        };
        // Captured at the same moment, half a second after the reports.
        let heard = info(&audio, 48_000, 5_000_000, 48_000 + 24_000);
        let seen = info(&video, 90_000, 77, 90_000 + 45_000);
        assert_eq!(heard >> 16, (100 * SECOND + SECOND / 2) >> 16);
        assert!(heard.abs_diff(seen) < SECOND / 10_000);
    }

    #[test]
    fn the_round_trip_is_what_the_receiver_did_not_hold() {
        let start = Instant::now();
        let mut reports = SentReports::default();
        for n in 0..6 {
            reports.sent(start + Duration::from_secs(n), (n + 1) << 32);
        }
        let now = start + Duration::from_millis(5600);
        let rtt = reports.rtt(now, 6 << 16, 1 << 15).unwrap();
        assert_eq!(rtt, Duration::from_millis(100));
        let rtt = reports.rtt(now, 3 << 16, 3 << 16).unwrap();
        assert_eq!(rtt, Duration::from_millis(600));
        // None of ours, one that is forgotten, none at all, a delay that cannot be.
        assert_eq!(reports.rtt(now, 7 << 16, 0), None);
        assert_eq!(reports.rtt(now, 1 << 16, 0), None);
        assert_eq!(reports.rtt(now, 0, 0), None);
        assert_eq!(reports.rtt(now, 6 << 16, u32::MAX), None);
        assert_eq!(reports.rtt(now + Duration::from_secs(20), 6 << 16, 0), None);
    }
}
