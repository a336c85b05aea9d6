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
