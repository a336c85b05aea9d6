use std::collections::BTreeMap;
use std::time::Instant;

use proptest::prelude::*;

use super::simulation::ms;
use crate::forward::bandwidth::feedback::{Feedback, ReferenceClock};
use crate::forward::{Bandwidth, TransportCcRecorder};
use crate::rtp::rtcp::{RtcpPacket, RtcpPackets};

/// How a chunk is written.
#[derive(Clone, Copy, Debug)]
enum Form {
    Run,
    OneBit,
    TwoBits,
}

/// Writes the body of a feedback from symbols and deltas, the plainest way.
fn write(base: u16, reference: u32, deltas: &[Option<i16>], forms: &[Form]) -> Vec<u8> {
    let mut out = base.to_be_bytes().to_vec();
    out.extend((deltas.len() as u16).to_be_bytes());
    out.extend(&reference.to_be_bytes()[1..]);
    out.push(7);
    let symbols: Vec<u16> = deltas
        .iter()
        .map(|delta| match delta {
            None => 0,
            Some(0..=255) => 1,
            Some(_) => 2,
        })
        .collect();
    let mut rest = &symbols[..];
    let mut forms = forms.iter().cycle();
    while !rest.is_empty() {
        let run = rest.iter().take_while(|symbol| **symbol == rest[0]).count();
        let one_bit = rest.iter().take(14).all(|symbol| *symbol < 2);
        let form = *forms.next().unwrap();
        let (chunk, taken) = match form {
            Form::OneBit if one_bit => {
                let taken = rest.len().min(14);
                let bits = rest[..taken].iter().enumerate();
                (bits.fold(0x8000, |c, (i, s)| c | s << (13 - i)), taken)
            }
            Form::TwoBits => {
                let taken = rest.len().min(7);
                let bits = rest[..taken].iter().enumerate();
                (bits.fold(0xc000, |c, (i, s)| c | s << (12 - 2 * i)), taken)
            }
            Form::Run | Form::OneBit => (rest[0] << 13 | run as u16, run),
        };
        out.extend(chunk.to_be_bytes());
        rest = &rest[taken..];
    }
    for delta in deltas.iter().flatten() {
        match delta {
            0..=255 => out.push(*delta as u8),
            _ => out.extend(delta.to_be_bytes()),
        }
    }
    out
}

fn read(fci: &[u8]) -> Vec<(u16, Option<i64>)> {
    Feedback::parse(fci, &mut ReferenceClock::default()).map_or_else(Vec::new, Iterator::collect)
}

#[test]
fn reference_times_wrap_and_go_back() {
    let mut clock = ReferenceClock::default();
    let mut arrival = |reference| {
        let fci = write(1, reference, &[Some(4)], &[Form::Run]);
        Feedback::parse(&fci, &mut clock)
            .unwrap()
            .next()
            .unwrap()
            .1
            .unwrap()
    };
    let first = arrival(0xff_ffff);
    assert_eq!(arrival(0x00_0000) - first, 64_000);
    assert_eq!(arrival(0x00_0002) - first, 3 * 64_000);
    assert_eq!(arrival(0xff_fffe) - first, -64_000);
}

#[test]
fn what_is_no_feedback_is_refused() {
    assert_eq!(read(&[]), []);
    assert_eq!(read(&[0; 8]), []);
    // Announces 100 packets, and covers two.
    assert_eq!(read(&[0, 0, 0, 100, 0, 0, 0, 0, 0x20, 2, 1, 1]), []);
    // The deltas of the second and third are missing.
    let one = vec![(0, Some(250))];
    assert_eq!(read(&[0, 0, 0, 3, 0, 0, 0, 0, 0x20, 3, 1]), one);
    // Empty runs cover nothing, however many there are.
    let mut empty = vec![0, 0, 0, 3, 0, 0, 0, 0];
    empty.resize(1400, 0);
    assert_eq!(read(&empty), []);
    // The reserved symbol ends what can be read.
    assert_eq!(read(&[0, 0, 0, 2, 0, 0, 0, 0, 0xdc, 0, 1, 1]), one);
}

#[test]
fn feedback_for_what_was_never_sent_is_ignored() {
    let start = Instant::now();
    let mut bandwidth = Bandwidth::new(start);
    let before = bandwidth.stats();
    let fci = write(100, 5, &[Some(1), None, Some(3)], &[Form::Run]);
    bandwidth.handle_feedback(start + ms(50), &fci);
    assert_eq!(bandwidth.stats(), before);
    for _ in 0..50 {
        bandwidth.sent(start, 1000, None);
    }
    bandwidth.handle_feedback(start + ms(100), &fci);
    assert_eq!(bandwidth.stats(), before);
}

fn deltas() -> impl Strategy<Value = Vec<Option<i16>>> {
    let delta = prop_oneof![
        3 => Just(None),
        4 => (0i16..256).prop_map(Some),
        1 => any::<i16>().prop_map(Some),
    ];
    let runs = (delta, prop_oneof![Just(1usize), 1usize..40]);
    proptest::collection::vec(runs, 1..40).prop_map(|runs| {
        let runs = runs.into_iter();
        runs.flat_map(|(delta, count)| vec![delta; count]).collect()
    })
}

fn forms() -> impl Strategy<Value = Vec<Form>> {
    let form = prop_oneof![Just(Form::Run), Just(Form::OneBit), Just(Form::TwoBits)];
    proptest::collection::vec(form, 1..5)
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        base: u16, reference in 0u32..1 << 24, deltas in deltas(), forms in forms(),
    ) {
        let fci = write(base, reference, &deltas, &forms);
        let mut at = i64::from(reference) * 64_000;
        let expected: Vec<_> = (0u16..)
            .zip(&deltas)
            .map(|(n, delta)| {
                let arrival = delta.map(|delta| {
                    at += i64::from(delta) * 250;
                    at
                });
                (base.wrapping_add(n), arrival)
            })
            .collect();
        prop_assert_eq!(read(&fci), expected);
    }

    #[test]
    fn our_receivers_feedback_is_read(
        base: u16, gaps in proptest::collection::vec((0u64..40_000, 0u16..20), 1..300),
    ) {
        let start = Instant::now();
        let mut recorder = TransportCcRecorder::default();
        let (mut micros, mut number) = (0, base);
        let mut expected = BTreeMap::new();
        for (pause, gap) in gaps {
            micros += pause;
            number = number.wrapping_add(1 + gap);
            let at = start + std::time::Duration::from_micros(micros);
            recorder.record(at, number);
            expected.insert(number, micros as i64 / 250 * 250);
        }
        let mut datagram = vec![];
        let end = start + std::time::Duration::from_micros(micros);
        recorder.build_feedback(end, &mut datagram, 1, 2);
        let mut clock = ReferenceClock::default();
        let mut found = BTreeMap::new();
        for packet in RtcpPackets::new(&datagram) {
            let RtcpPacket::TransportCc { feedback, .. } = packet else {
                panic!("other than feedback");
            };
            let feedback = Feedback::parse(feedback, &mut clock).unwrap();
            found.extend(feedback.filter_map(|(number, at)| Some((number, at?))));
        }
        // What fell out of the recorder's window is not reported.
        prop_assert!(found.len() * 2 > expected.len().min(200));
        // Its epoch is its first packet.
        let epoch = expected.values().min().copied().unwrap();
        for (number, at) in found {
            let difference = expected[&number] - epoch - at;
            prop_assert!(difference.abs() <= 250, "{} is off by {}", number, difference);
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(
        feedbacks in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..200), 1..20),
        remb: u64,
    ) {
        let start = Instant::now();
        let mut bandwidth = Bandwidth::new(start);
        bandwidth.set_demand(u64::MAX);
        for (n, mut fci) in (0u64..).zip(feedbacks) {
            let now = start + ms(100 * n);
            for _ in 0..50 {
                bandwidth.sent(now, 1200, None);
            }
            if n % 2 == 0 && fci.len() > 4 {
                // Plausible numbers, so that something is found.
                fci[0] = 0;
                fci[1] %= 50;
                fci[2] = 0;
            }
            bandwidth.handle_feedback(now, &fci);
            if let Some(probe) = bandwidth.poll_probe(now) {
                prop_assert!(probe.packets > 0 && probe.bytes > 0 && probe.bitrate > 0);
                bandwidth.sent(now, 1200, Some(probe.id));
            }
            bandwidth.handle_timeout(now);
            bandwidth.handle_remb(now, remb);
            let estimate = bandwidth.estimate();
            prop_assert!((50_000..=100_000_000).contains(&estimate), "{}", estimate);
            bandwidth.stats();
        }
    }
}
