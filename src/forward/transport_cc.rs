//! Transport-wide congestion control, the receiver's side: when which packet of a transport came
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01). The sender estimates its bandwidth from it.

use std::collections::VecDeque;
use std::num::NonZeroU32;
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

/// The low half of an arrival in ticks of the epoch, its bits inverted: four bytes, since windows of many publishers share
/// the processor's cache. `None` while nothing came. Of what comes in the last tick of a half, once in twelve days, the one
/// before is said.
type Arrival = Option<NonZeroU32>;

/// Records arrivals of one transport, and writes them as feedback.
#[derive(Clone, Debug, Default)]
pub struct TransportCcRecorder {
    unwrapper: SequenceUnwrapper,
    /// When the first packet came; the clock of the reference time.
    epoch: Option<Instant>,
    /// Arrivals by number from `first` on.
    arrivals: VecDeque<Arrival>,
    first: u64,
    /// When the last packet came, in ticks of the epoch.
    latest: i64,
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
        *slot = Some(NonZeroU32::new(!(ticks as u32)).unwrap_or(NonZeroU32::MIN));
        self.latest = self.latest.max(ticks);
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
        let reference = self.widen(*first_arrival).div_euclid(REFERENCE_TICKS);
        let mut symbols = [NOT_RECEIVED; MAX_STATUSES];
        let mut deltas = [0i16; MAX_STATUSES];
        let mut count = 0;
        let mut last = reference * REFERENCE_TICKS;
        for ((arrival, symbol), delta) in unreported().zip(&mut symbols).zip(&mut deltas) {
            if let Some(arrival) = arrival {
                let arrival = self.widen(*arrival);
                // What is too far from its neighbour begins the next packet.
                let Ok(difference) = i16::try_from(arrival - last) else {
                    break;
                };
                last = arrival;
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

    /// The ticks nearest to the latest that have these low bits.
    fn widen(&self, at: NonZeroU32) -> i64 {
        self.latest - i64::from((self.latest as u32).wrapping_sub(!at.get()) as i32)
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
                .is_none_or(|at| self.widen(*at) < keep_from)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ::rtcp::packet::unmarshal;
    use ::rtcp::transport_feedbacks::transport_layer_cc::{
        PacketStatusChunk, SymbolTypeTcc, TransportLayerCc,
    };
    use proptest::prelude::*;

    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// What one feedback packet says, as the `rtcp` crate reads it: each number with its arrival in
    /// microseconds of the recorder's clock, if it arrived.
    fn read(packet: &TransportLayerCc) -> Vec<(u16, Option<i64>)> {
        let mut symbols = vec![];
        for chunk in &packet.packet_chunks {
            match chunk {
                PacketStatusChunk::RunLengthChunk(run) => {
                    symbols.extend(vec![run.packet_status_symbol; run.run_length.into()]);
                }
                PacketStatusChunk::StatusVectorChunk(vector) => {
                    symbols.extend(vector.symbol_list.iter().copied());
                }
            }
        }
        assert!(symbols.len() >= packet.packet_status_count.into());
        symbols.truncate(packet.packet_status_count.into());
        let mut deltas = packet.recv_deltas.iter();
        // 24 bits with a sign.
        let reference = i64::from((packet.reference_time << 8) as i32 >> 8);
        let mut time = reference * 64_000;
        let base = packet.base_sequence_number;
        let read = symbols.iter().enumerate().map(|(index, symbol)| {
            let arrival = (*symbol != SymbolTypeTcc::PacketNotReceived).then(|| {
                time += deltas.next().unwrap().delta;
                time
            });
            (base.wrapping_add(index as u16), arrival)
        });
        let read = read.collect();
        assert!(deltas.next().is_none());
        read
    }

    fn build(recorder: &mut TransportCcRecorder, now: Instant) -> Vec<TransportLayerCc> {
        let mut out = vec![];
        let count = recorder.build_feedback(now, &mut out, 1, 2);
        if out.is_empty() {
            assert_eq!(count, 0);
            return vec![];
        }
        let packets: Vec<TransportLayerCc> = unmarshal(&mut &out[..])
            .unwrap()
            .iter()
            .map(|p| p.as_any().downcast_ref::<TransportLayerCc>().unwrap())
            .cloned()
            .collect();
        assert_eq!(packets.len(), count);
        for packet in &packets {
            assert_eq!((packet.sender_ssrc, packet.media_ssrc), (1, 2));
        }
        packets
    }

    #[test]
    fn feedback_is_due_after_50_ms_and_goes_on_where_the_last_ended() {
        let start = Instant::now();
        let mut recorder = TransportCcRecorder::default();
        assert_eq!(recorder.poll_timeout(), None);
        assert!(build(&mut recorder, start).is_empty());

        recorder.record(start, 65_534);
        recorder.record(start + ms(10), 65_535);
        recorder.record(start + ms(10), 65_535);
        recorder.record(start + ms(70), 1);
        assert_eq!(recorder.poll_timeout(), Some(start + ms(50)));
        let packets = build(&mut recorder, start + ms(70));
        assert_eq!(packets.len(), 1);
        assert_eq!(packets[0].fb_pkt_count, 0);
        assert_eq!(
            read(&packets[0]),
            [
                (65_534, Some(0)),
                (65_535, Some(10_000)),
                (0, None),
                (1, Some(70_000))
            ]
        );
        assert_eq!(recorder.poll_timeout(), None);

        // The base follows the last number even when the first of the new ones is lost.
        recorder.record(start + ms(130), 3);
        let packets = build(&mut recorder, start + ms(200));
        assert_eq!(packets[0].fb_pkt_count, 1);
        assert_eq!(packets[0].reference_time, 2);
        assert_eq!(read(&packets[0]), [(2, None), (3, Some(130_000))]);
    }

    #[test]
    fn a_packet_that_was_called_lost_is_reported_when_it_comes() {
        let start = Instant::now();
        let mut recorder = TransportCcRecorder::default();
        recorder.record(start, 1);
        recorder.record(start + ms(1), 3);
        build(&mut recorder, start + ms(50));
        recorder.record(start + ms(60), 2);
        recorder.record(start + ms(61), 4);
        let packets = build(&mut recorder, start + ms(110));
        assert_eq!(
            read(&packets[0]),
            [(2, Some(60_000)), (3, Some(1_000)), (4, Some(61_000))]
        );
        // After half a second it is of no use.
        for n in 6..30u16 {
            recorder.record(start + ms(u64::from(n) * 100), n);
            build(&mut recorder, start + ms(u64::from(n) * 100 + 50));
        }
        recorder.record(start + ms(3000), 5);
        assert_eq!(recorder.poll_timeout(), None);
    }

    #[test]
    fn a_call_of_weeks_goes_on() {
        let start = Instant::now();
        let half = Duration::from_micros((1 << 32) * TICK_MICROS as u64);
        let mut recorder = TransportCcRecorder::default();
        recorder.record(start, 0);
        build(&mut recorder, start);
        // What came before the half ends is kept beyond it.
        for (n, at) in [half - ms(20), half - ms(1), half, half + ms(20)]
            .into_iter()
            .enumerate()
        {
            recorder.record(start + at, n as u16 + 1);
        }
        let packets = build(&mut recorder, start + half + ms(50));
        let told: Vec<i64> = packets
            .iter()
            .flat_map(read)
            .filter_map(|(_, at)| at)
            .collect();
        assert_eq!(
            told.windows(2).map(|w| w[1] - w[0]).collect::<Vec<_>>(),
            [19_000, 1_000, 20_000]
        );
    }

    #[test]
    fn long_silences_and_many_packets_are_split() {
        let start = Instant::now();
        let mut recorder = TransportCcRecorder::default();
        recorder.record(start, 0);
        // More than a delta of 16 bits can say: 8.19 s.
        recorder.record(start + ms(9000), 1);
        let packets = build(&mut recorder, start + ms(9000));
        assert_eq!(read(&packets[0]), [(0, Some(0))]);
        assert_eq!(read(&packets[1]), [(1, Some(9_000_000))]);

        for n in 0..1000u16 {
            recorder.record(start + ms(9001), 2 + n);
        }
        assert_eq!(recorder.poll_timeout(), Some(start + ms(9001)), "at once");
        let packets = build(&mut recorder, start + ms(9001));
        let counts: Vec<u16> = packets.iter().map(|p| p.packet_status_count).collect();
        assert_eq!(counts, [400, 400, 200]);
    }

    #[test]
    fn a_jump_starts_anew_and_memory_is_bounded() {
        let start = Instant::now();
        let mut recorder = TransportCcRecorder::default();
        recorder.record(start, 0);
        recorder.record(start, 20_000);
        let packets = build(&mut recorder, start);
        assert_eq!(read(&packets[0]), [(20_000, Some(0))]);
        for n in 0..10_000u16 {
            recorder.record(start, 20_001 + n);
        }
        assert!(recorder.arrivals.len() <= MAX_WINDOW);
        let total: usize = build(&mut recorder, start)
            .iter()
            .map(|p| read(p).len())
            .sum();
        assert_eq!(total, MAX_WINDOW);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_arrival_is_reported_once_with_its_time(
            first: u16,
            packets in proptest::collection::vec((0u8..12, -3i64..12, 0u64..40_000), 1..300),
            every in 1usize..60,
        ) {
            let mut now = Instant::now();
            // The recorder's clock starts at the first packet.
            let start = now + Duration::from_micros(packets[0].2);
            let mut recorder = TransportCcRecorder::default();
            let mut highest = i64::from(first) + 65_536;
            let mut arrived: BTreeMap<u16, i64> = BTreeMap::new();
            let mut reported: BTreeMap<u16, i64> = BTreeMap::new();
            let mut expected_count = 0u8;
            for (index, (kind, step, micros)) in packets.iter().enumerate() {
                now += Duration::from_micros(*micros);
                // Mostly the next number, else a jump or a late one.
                let number = if index == 0 { highest } else { highest + if *kind < 8 { 1 } else { *step } };
                highest = highest.max(number);
                recorder.record(now, number as u16);
                if number > i64::from(first) + 65_535 {
                    let at = (now - start).as_micros() as i64 / 250 * 250;
                    arrived.entry(number as u16).or_insert(at);
                }
                if index % every == 0 || index + 1 == packets.len() {
                    let feedback = build(&mut recorder, now);
                    let mut end = None;
                    for packet in &feedback {
                        prop_assert_eq!(packet.fb_pkt_count, expected_count);
                        expected_count = expected_count.wrapping_add(1);
                        let base = packet.base_sequence_number;
                        prop_assert!(end.is_none_or(|end| end == base));
                        for (number, at) in read(packet) {
                            end = Some(number.wrapping_add(1));
                            if let Some(at) = at {
                                let before = reported.insert(number, at);
                                prop_assert!(before.is_none_or(|before| before == at));
                            }
                        }
                    }
                    prop_assert_eq!(end.unwrap_or((highest + 1) as u16), (highest + 1) as u16);
                }
            }
            // A late one may be too late by then; none is invented, and none that was in time is left out.
            for (number, at) in &reported {
                prop_assert_eq!(arrived.get(number), Some(at));
            }
            let in_time = arrived.iter().filter(|(_, at)| {
                **at + 400_000 > (now - start).as_micros() as i64
            });
            for (number, _) in in_time {
                prop_assert!(reported.contains_key(number), "{}", number);
            }
        }
    }
}
