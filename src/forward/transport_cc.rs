//! Transport-wide congestion control, the receiver's side: when which packet of a transport came
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01). The sender estimates its bandwidth from it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::rtp::rtcp::{TRANSPORT_CC, begin_feedback, finish_feedback};
use crate::rtp::sequence::SequenceUnwrapper;

/// RTPFB.
const TRANSPORT_FEEDBACK: u8 = 205;
/// How often feedback is sent: often enough for a sender to climb fast.
const INTERVAL: Duration = Duration::from_millis(50);
/// Feedback does not wait when so many packets are unreported.
const MAX_UNREPORTED: u64 = 200;
/// Numbers that are kept, reported ones included.
const MAX_WINDOW: usize = 2048;
/// How long a reported number is kept, so that a packet that was called lost can still be reported.
const KEEP: Duration = Duration::from_millis(500);
/// Numbers in one packet of feedback: with deltas of two bytes it still fits a datagram.
const MAX_STATUSES: usize = 400;
/// A delta's unit, in microseconds.
const TICK_MICROS: u128 = 250;
/// The reference time's unit of 64 ms, in ticks.
const REFERENCE_TICKS: i64 = 256;

/// Symbols (section 3.1.1).
const NOT_RECEIVED: u8 = 0;
const SMALL_DELTA: u8 = 1;
const LARGE_DELTA: u8 = 2;

/// Records arrivals of one transport, and writes them as feedback.
#[derive(Clone, Debug, Default)]
pub struct TransportCcRecorder {
    unwrapper: SequenceUnwrapper,
    /// When the first packet came; the clock of the reference time.
    epoch: Option<Instant>,
    /// Arrivals by number from `first` on, in ticks of the epoch.
    arrivals: VecDeque<Option<i64>>,
    first: u64,
    /// The first number of the next feedback.
    unreported: u64,
    /// Since when something is unreported.
    since: Option<Instant>,
    feedback_count: u8,
}

impl TransportCcRecorder {
    /// A packet with this number came. A second one of the same number is ignored.
    pub fn record(&mut self, now: Instant, sequence: u16) {
        let epoch = *self.epoch.get_or_insert(now);
        let elapsed = now.saturating_duration_since(epoch);
        let ticks = (elapsed.as_micros() / TICK_MICROS) as i64;
        let number = self.unwrapper.unwrap(sequence);
        let end = self.first + self.arrivals.len() as u64;
        if self.arrivals.is_empty() || number >= end + MAX_WINDOW as u64 {
            // The first, or so far ahead that what is between is of no use to the sender.
            self.arrivals.clear();
            self.first = number;
            self.unreported = number;
        }
        let Some(index) = number.checked_sub(self.first) else {
            return;
        };
        let index = index as usize;
        if index >= self.arrivals.len() {
            self.arrivals.resize(index + 1, None);
        }
        let Some(slot @ None) = self.arrivals.get_mut(index) else {
            return;
        };
        *slot = Some(ticks);
        // A packet that was reported lost begins the next feedback.
        self.unreported = self.unreported.min(number);
        self.since.get_or_insert(now);
        self.bound();
    }

    /// When feedback should be written. In the past when it is due now.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let since = self.since?;
        let count = self.first + self.arrivals.len() as u64 - self.unreported;
        Some(if count >= MAX_UNREPORTED {
            since
        } else {
            since + INTERVAL
        })
    }

    /// Appends all that is unreported as one or more RTCP packets. Returns how many.
    pub fn build_feedback(
        &mut self,
        now: Instant,
        out: &mut Vec<u8>,
        sender_ssrc: u32,
        media_ssrc: u32,
    ) -> usize {
        if self.since.take().is_none() {
            return 0;
        }
        let mut written = 0;
        while self.write_one(out, sender_ssrc, media_ssrc) {
            written += 1;
        }
        self.forget(now);
        written
    }

    /// Appends one packet from the first unreported number on. Returns false when nothing is left.
    fn write_one(&mut self, out: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32) -> bool {
        let base = self.unreported;
        let begin = (base - self.first) as usize;
        let unreported = || self.arrivals.range(begin.min(self.arrivals.len())..);
        let Some(first_arrival) = unreported().flatten().next() else {
            return false;
        };
        let reference = first_arrival.div_euclid(REFERENCE_TICKS);
        let mut symbols = [NOT_RECEIVED; MAX_STATUSES];
        let mut deltas = [0i16; MAX_STATUSES];
        let mut count = 0;
        let mut last = reference * REFERENCE_TICKS;
        for ((arrival, symbol), delta) in unreported().zip(&mut symbols).zip(&mut deltas) {
            if let Some(arrival) = arrival {
                // What is too far from its neighbour begins the next packet.
                let Ok(difference) = i16::try_from(arrival - last) else {
                    break;
                };
                last = *arrival;
                *delta = difference;
                *symbol = match difference {
                    0..=255 => SMALL_DELTA,
                    _ => LARGE_DELTA,
                };
            }
            count += 1;
        }
        let symbols = symbols.get(..count).unwrap_or_default();
        let start = begin_feedback(
            out,
            TRANSPORT_FEEDBACK,
            TRANSPORT_CC,
            sender_ssrc,
            media_ssrc,
        );
        out.extend_from_slice(&(base as u16).to_be_bytes());
        out.extend_from_slice(&(count as u16).to_be_bytes());
        let [_, a, b, c] = (reference as u32).to_be_bytes();
        out.extend_from_slice(&[a, b, c, self.feedback_count]);
        write_chunks(out, symbols);
        for (symbol, delta) in symbols.iter().zip(deltas) {
            match *symbol {
                SMALL_DELTA => out.push(delta as u8),
                LARGE_DELTA => out.extend_from_slice(&delta.to_be_bytes()),
                _ => {}
            }
        }
        finish_feedback(out, start);
        self.feedback_count = self.feedback_count.wrapping_add(1);
        self.unreported = base + count as u64;
        true
    }

    /// Drops the oldest numbers past the window.
    fn bound(&mut self) {
        while self.arrivals.len() > MAX_WINDOW {
            self.arrivals.pop_front();
            self.first += 1;
        }
        self.unreported = self.unreported.max(self.first);
    }

    /// Drops reported numbers that are too old to change.
    fn forget(&mut self, now: Instant) {
        let Some(epoch) = self.epoch else { return };
        let keep_from = now.saturating_duration_since(epoch).saturating_sub(KEEP);
        let keep_from = (keep_from.as_micros() / TICK_MICROS) as i64;
        while self.first + 1 < self.unreported
            && self
                .arrivals
                .iter()
                .flatten()
                .next()
                .is_none_or(|at| *at < keep_from)
        {
            self.arrivals.pop_front();
            self.first += 1;
        }
    }
}

/// Packs symbols into chunks of 16 bits (sections 3.1.3 and 3.1.4): runs where they are long, else
/// vectors of one bit or, with large deltas, of two bits for each.
fn write_chunks(out: &mut Vec<u8>, mut symbols: &[u8]) {
    const MAX_RUN: usize = 0x1fff;
    while let Some(first) = symbols.first() {
        let run = symbols.iter().take(MAX_RUN).take_while(|s| *s == first);
        let run = run.count();
        let one_bit = symbols.iter().take(14).all(|s| *s != LARGE_DELTA);
        let vector = if one_bit { 14 } else { 7 };
        let (chunk, taken) = if run >= vector.min(symbols.len()) {
            (u16::from(*first) << 13 | run as u16, run)
        } else {
            let taken = vector.min(symbols.len());
            let bits = if one_bit { 1 } else { 2 };
            let head = if one_bit { 0x8000 } else { 0xc000 };
            let chunk = symbols
                .iter()
                .take(taken)
                .enumerate()
                .fold(head, |chunk, (i, s)| {
                    chunk | u16::from(*s) << (14 - bits * (i as u16 + 1))
                });
            (chunk, taken)
        };
        out.extend_from_slice(&chunk.to_be_bytes());
        symbols = symbols.get(taken..).unwrap_or_default();
    }
}
