//! What is received of one stream: which packets are new, and the figures of a receiver report.

use std::time::{Duration, Instant};

use crate::rtp::rtcp::ReportBlock;
use crate::rtp::sequence::{SequenceUnwrapper, is_newer_timestamp};

/// A gap larger than this is a source that started anew, not a loss (RFC 3550 appendix A.1).
const MAX_DROPOUT: u64 = 3000;
/// How far back duplicates are told from late packets.
const WINDOW: u64 = 1024;
const WORDS: usize = WINDOW as usize / 64;
/// Transit times that differ by more say nothing about the network.
const MAX_JITTER_SECONDS: u32 = 5;

/// What a packet is to its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Its extended sequence number, seen for the first time.
    New(u64),
    /// It came before.
    Duplicate,
    /// It is so late that nobody knows.
    TooOld,
}

/// The receiver's account of one SSRC (RFC 3550 sections 6.4 and A.3).
#[derive(Clone, Debug)]
pub struct ReceiveStream {
    clock_rate: u32,
    unwrapper: SequenceUnwrapper,
    seen: SeenWindow,
    first: u64,
    packets: u64,
    bytes: u64,
    /// What was expected and received at the last report.
    reported: (u64, u64),
    /// In 16ths of a tick (RFC 3550 appendix A.8).
    jitter: u32,
    newest: Option<Newest>,
    sender_report: Option<(u32, Instant)>,
}

/// The packet that the next is compared with.
#[derive(Clone, Copy, Debug)]
struct Newest {
    at: Instant,
    timestamp: u32,
}

impl ReceiveStream {
    /// A stream of which nothing was received. `clock_rate` is in ticks a second.
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            unwrapper: SequenceUnwrapper::default(),
            seen: SeenWindow::default(),
            first: 0,
            packets: 0,
            bytes: 0,
            reported: (0, 0),
            jitter: 0,
            newest: None,
            sender_report: None,
        }
    }

    /// Counts a packet that came by itself. `payload_len` is in bytes.
    pub fn receive(
        &mut self,
        now: Instant,
        sequence: u16,
        timestamp: u32,
        payload_len: usize,
    ) -> Received {
        let before = self.unwrapper.highest();
        let received = self.mark(sequence);
        if let Received::New(extended) = received {
            match before {
                None => self.first = extended,
                Some(highest) => {
                    let gap = extended.saturating_sub(highest);
                    if gap > MAX_DROPOUT {
                        self.first += gap - 1;
                    }
                    self.first = self.first.min(extended);
                }
            }
            self.packets += 1;
            self.bytes += payload_len as u64;
            self.measure_jitter(now, timestamp);
        }
        received
    }

    /// Takes note of a packet that came as a retransmission. It counts as lost all the same: reports
    /// speak of the network, not of the repair.
    pub fn recover(&mut self, sequence: u16) -> Received {
        // A probe may repeat a packet before it was missed, but never one from far ahead.
        let known = self
            .unwrapper
            .highest()
            .is_some_and(|highest| self.unwrapper.peek(sequence) < highest + WINDOW);
        if !known {
            return Received::TooOld;
        }
        self.mark(sequence)
    }

    /// Changes to another codec's clock.
    pub fn set_clock_rate(&mut self, clock_rate: u32) {
        if self.clock_rate != clock_rate {
            self.clock_rate = clock_rate;
            self.jitter = 0;
            self.newest = None;
        }
    }

    /// Remembers the sender's last report, which receiver reports refer to.
    pub fn handle_sender_report(&mut self, now: Instant, ntp: u64) {
        self.sender_report = Some(((ntp >> 16) as u32, now));
    }

    /// What a receiver report says now, about the time since the last one. `None` before the first
    /// packet.
    pub fn report_block(&mut self, now: Instant, ssrc: u32) -> Option<ReportBlock> {
        let highest = self.unwrapper.highest()?;
        let expected = self.expected();
        let (expected_before, received_before) = self.reported;
        self.reported = (expected, self.packets);
        let expected_since = expected.saturating_sub(expected_before);
        let received_since = self.packets.saturating_sub(received_before);
        let lost_since = expected_since.saturating_sub(received_since);
        let fraction = (lost_since * 256).checked_div(expected_since).unwrap_or(0);
        let (last_sender_report, delay) = match self.sender_report {
            Some((ntp, at)) => (ntp, compact(now.saturating_duration_since(at))),
            None => (0, 0),
        };
        Some(ReportBlock {
            ssrc,
            fraction_lost: fraction.min(255) as u8,
            cumulative_lost: self.lost().clamp(-0x80_0000, 0x7f_ffff) as i32,
            // The unwrapper begins in its second cycle.
            highest_sequence: highest.wrapping_sub(1 << 16) as u32,
            jitter: self.jitter >> 4,
            last_sender_report,
            delay,
        })
    }

    /// Packets that came by themselves.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Payload bytes of those.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Packets that never came by themselves.
    pub fn lost(&self) -> i64 {
        self.expected() as i64 - self.packets as i64
    }

    /// Interarrival jitter in seconds.
    pub fn jitter(&self) -> f64 {
        f64::from(self.jitter) / 16.0 / f64::from(self.clock_rate.max(1))
    }

    /// The highest extended sequence number.
    pub fn highest(&self) -> Option<u64> {
        self.unwrapper.highest()
    }

    fn expected(&self) -> u64 {
        match self.unwrapper.highest() {
            Some(highest) => highest + 1 - self.first,
            None => 0,
        }
    }

    fn mark(&mut self, sequence: u16) -> Received {
        let extended = self.unwrapper.peek(sequence);
        let highest = self.unwrapper.highest().unwrap_or(extended);
        if highest.saturating_sub(extended) >= WINDOW {
            return Received::TooOld;
        }
        if extended > highest {
            self.seen.clear(highest + 1, extended - highest);
        }
        self.unwrapper.unwrap(sequence);
        if self.seen.insert(extended) {
            Received::New(extended)
        } else {
            Received::Duplicate
        }
    }

    /// RFC 3550 appendix A.8, for the first packet of each frame: the others were sent later than their
    /// timestamp says.
    fn measure_jitter(&mut self, now: Instant, timestamp: u32) {
        let before = self.newest;
        if before.is_some_and(|b| !is_newer_timestamp(timestamp, b.timestamp)) {
            return;
        }
        self.newest = Some(Newest { at: now, timestamp });
        let Some(before) = before else { return };
        let elapsed = now.saturating_duration_since(before.at);
        let arrival = elapsed.as_micros() * u128::from(self.clock_rate) / 1_000_000;
        let sent = u128::from(timestamp.wrapping_sub(before.timestamp));
        let difference = arrival.abs_diff(sent);
        if difference > u128::from(MAX_JITTER_SECONDS) * u128::from(self.clock_rate) {
            return;
        }
        let difference = difference as u32;
        self.jitter = (self.jitter + difference) - ((self.jitter + 8) >> 4);
    }
}

/// A bit for each of the last [`WINDOW`] numbers.
#[derive(Clone, Debug, Default)]
struct SeenWindow([u64; WORDS]);

impl SeenWindow {
    /// Forgets `count` numbers from `from` on, which come into the window; a whole lap is all.
    fn clear(&mut self, from: u64, count: u64) {
        for number in from..from + count.min(WINDOW) {
            let (word, bit) = Self::at(number);
            self.0[word] &= !bit;
        }
    }

    /// Returns false when the number was there.
    fn insert(&mut self, number: u64) -> bool {
        let (word, bit) = Self::at(number);
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    fn at(number: u64) -> (usize, u64) {
        let index = (number % WINDOW) as usize;
        (index / 64, 1 << (index % 64))
    }
}

/// A time in 65,536ths of a second.
fn compact(time: Duration) -> u32 {
    ((time.as_micros() << 16) / 1_000_000).min(u128::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const CLOCK: u32 = 90_000;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn losses_are_reported_since_the_last_report_and_in_all() {
        let now = Instant::now();
        let mut stream = ReceiveStream::new(CLOCK);
        assert_eq!(stream.report_block(now, 9), None);
        // From 65,530 on, every fourth missing, over the wrap.
        for n in 65_530u32..65_570 {
            if n % 4 != 0 {
                stream.receive(now, n as u16, 0, 10);
            }
        }
        let block = stream.report_block(now, 9).unwrap();
        assert_eq!(block.ssrc, 9);
        // 65,530 to 65,569 are 40, of which 10 never came.
        assert_eq!(block.cumulative_lost, 10);
        assert_eq!(block.fraction_lost, 64);
        assert_eq!(block.highest_sequence, 65_569);
        assert_eq!((stream.packets(), stream.bytes()), (30, 300));

        for n in 34..44 {
            stream.receive(now, n, 0, 10);
        }
        let block = stream.report_block(now, 9).unwrap();
        assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 10));
        let block = stream.report_block(now, 9).unwrap();
        assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 10));
    }

    #[test]
    fn copies_and_the_very_late_are_told_from_new_packets() {
        let now = Instant::now();
        let mut stream = ReceiveStream::new(CLOCK);
        let first = match stream.receive(now, 100, 0, 1) {
            Received::New(first) => first,
            other => panic!("{other:?}"),
        };
        assert_eq!(stream.receive(now, 100, 0, 1), Received::Duplicate);
        assert_eq!(stream.receive(now, 102, 0, 1), Received::New(first + 2));
        assert_eq!(stream.receive(now, 101, 0, 1), Received::New(first + 1));
        assert_eq!(stream.receive(now, 99, 0, 1), Received::New(first - 1));
        assert_eq!(stream.lost(), 0);
        assert_eq!(stream.receive(now, 1200, 0, 1), Received::New(first + 1100));
        assert_eq!(stream.receive(now, 103, 0, 1), Received::TooOld);
        assert_eq!(stream.receive(now, 1199, 0, 1), Received::New(first + 1099));
    }

    #[test]
    fn a_repaired_packet_stays_lost_in_the_report_but_is_new_once() {
        let now = Instant::now();
        let mut stream = ReceiveStream::new(CLOCK);
        assert_eq!(stream.recover(1), Received::TooOld, "of what stream?");
        stream.receive(now, 1, 0, 1);
        stream.receive(now, 3, 0, 1);
        assert!(matches!(stream.recover(2), Received::New(_)));
        assert_eq!(stream.recover(2), Received::Duplicate);
        assert_eq!(stream.receive(now, 2, 0, 1), Received::Duplicate);
        assert_eq!(stream.lost(), 1);
        // A probe repeats what was not missed yet.
        assert!(matches!(stream.recover(4), Received::New(_)));
        assert_eq!(stream.recover(30_000), Received::TooOld);
    }

    #[test]
    fn a_source_that_starts_anew_loses_nothing() {
        let now = Instant::now();
        let mut stream = ReceiveStream::new(CLOCK);
        stream.receive(now, 1, 0, 1);
        stream.receive(now, 2, 0, 1);
        stream.receive(now, 20_002, 0, 1);
        assert_eq!(stream.lost(), 0);
        stream.receive(now, 20_004, 0, 1);
        assert_eq!(stream.lost(), 1);
    }

    #[test]
    fn jitter_follows_appendix_a8() {
        let start = Instant::now();
        let mut stream = ReceiveStream::new(CLOCK);
        // Frames 20 ms apart of which every second comes 5 ms late: 450 ticks of difference each.
        let mut expected = 0.0;
        for n in 0..200u16 {
            let late = if n % 2 == 1 { 5 } else { 0 };
            let now = start + ms(20 * u64::from(n) + late);
            stream.receive(now, n * 2, u32::from(n) * 1800, 1);
            // The second packet of a frame, later, says nothing.
            stream.receive(now + ms(3), n * 2 + 1, u32::from(n) * 1800, 1);
            if n > 0 {
                expected += (450.0 - expected) / 16.0;
            }
        }
        let jitter = stream.jitter() * f64::from(CLOCK);
        assert!((jitter - expected).abs() < 2.0, "{jitter} {expected}");
        let block = stream.report_block(start, 1).unwrap();
        assert!((f64::from(block.jitter) - expected).abs() < 2.0);
        stream.set_clock_rate(48_000);
        assert!(stream.jitter() < f64::EPSILON);
    }

    #[test]
    fn the_last_sender_report_is_referred_to() {
        let start = Instant::now();
        let mut stream = ReceiveStream::new(CLOCK);
        stream.receive(start, 1, 0, 1);
        let block = stream.report_block(start, 1).unwrap();
        assert_eq!((block.last_sender_report, block.delay), (0, 0));
        stream.handle_sender_report(start, 0x1122_3344_5566_7788);
        let block = stream.report_block(start + ms(500), 1).unwrap();
        assert_eq!(
            (block.last_sender_report, block.delay),
            (0x3344_5566, 32_768)
        );
    }

    proptest! {
        #[test]
        fn counts_match_a_model_that_remembers_all(
            start: u16, steps in proptest::collection::vec(-40i64..40, 1..400),
        ) {
            let now = Instant::now();
            let mut stream = ReceiveStream::new(CLOCK);
            let mut seen = BTreeSet::new();
            let origin = 1_000_000 + i64::from(start);
            let mut highest = origin;
            for step in steps {
                let number = if seen.is_empty() { origin } else { highest + step };
                let sequence = (number - 1_000_000) as u16;
                let new = matches!(stream.receive(now, sequence, 0, 1), Received::New(_));
                prop_assert_eq!(new, seen.insert(number));
                highest = highest.max(number);
            }
            let first = *seen.first().unwrap();
            prop_assert_eq!(stream.packets(), seen.len() as u64);
            prop_assert_eq!(stream.lost(), highest - first + 1 - seen.len() as i64);
            let block = stream.report_block(now, 1).unwrap();
            prop_assert_eq!(i64::from(block.highest_sequence), highest - 1_000_000);
            let expected = (highest - first + 1) as u64;
            let fraction = (expected - seen.len() as u64) * 256 / expected;
            prop_assert_eq!(u64::from(block.fraction_lost), fraction);
        }
    }
}
