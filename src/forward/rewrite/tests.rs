//! Streams whose numbers have gaps, jumps and turns, against what a receiver must see.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::rtp::payload::{PictureId, PictureIds, Tl0PicIdx};

fn numbers(sequence: u64, timestamp: u32) -> PacketNumbers {
    PacketNumbers {
        sequence,
        timestamp,
        picture_ids: PictureIds::default(),
        frame_number: None,
    }
}

fn with_ids(sequence: u64, picture_id: u16, tl0_pic_idx: u8) -> PacketNumbers {
    PacketNumbers {
        sequence,
        timestamp: 0,
        picture_ids: PictureIds {
            picture_id: Some(PictureId {
                value: picture_id,
                long: true,
                at: 2,
            }),
            tl0_pic_idx: Some(Tl0PicIdx {
                value: tl0_pic_idx,
                at: 4,
            }),
        },
        frame_number: Some(picture_id),
    }
}

const VIDEO: Source = Source {
    generation: 1,
    clock_rate: 90_000,
};

#[test]
fn nothing_is_mapped_before_a_source_is_taken_up() {
    let now = Instant::now();
    let mut rewriter = Rewriter::new(0xffff, 7);
    rewriter.skip(&numbers(5, 0), false);
    assert_eq!(rewriter.map(now, &numbers(5, 0)), None);
    assert_eq!(rewriter.source(), None);
    assert_eq!(rewriter.map_timestamp(0), None);
    assert_eq!(rewriter.origin_of(0x7fff), None);
    assert_eq!(rewriter.next_sequence(), 0x7fff);
}

#[test]
fn a_pause_of_the_source_leaves_no_gap_and_keeps_its_time() {
    let now = Instant::now();
    let mut rewriter = Rewriter::new(100, 1000);
    rewriter.skip_to(50);
    rewriter.switch_source(now, VIDEO, &numbers(500, 0));
    let first = rewriter.map(now, &numbers(500, 0)).unwrap();
    // 501 is missing, and may still come; 503 on are not sent.
    rewriter.map(now, &numbers(502, 20)).unwrap();
    rewriter.skip_to(700);
    let next = rewriter.map(now, &numbers(700, 2000)).unwrap();
    assert_eq!(next.sequence, first.sequence + 3);
    assert_eq!(next.timestamp, first.timestamp + 2000);
    let late = rewriter.map(now, &numbers(501, 10)).unwrap();
    assert_eq!(late.sequence, first.sequence + 1);
    assert_eq!(rewriter.map(now, &numbers(503, 30)), None);
    assert_eq!(rewriter.map(now, &numbers(699, 1990)), None);
    rewriter.skip_to(600);
    assert_eq!(rewriter.next_sequence(), next.sequence + 1);
    let origin = rewriter.origin_of(next.sequence as u16).unwrap();
    assert_eq!(origin.sequence, 700);
}

#[test]
fn a_switch_follows_in_sequence_and_in_time() {
    let now = Instant::now();
    let mut rewriter = Rewriter::new(100, 1000);
    rewriter.switch_source(now, VIDEO, &numbers(70_000, 5));
    let first = rewriter.map(now, &numbers(70_000, 5)).unwrap();
    assert_eq!((first.sequence, first.timestamp), (100, 1000));
    // Two packets of one frame: the time counts from the first.
    let later = now + Duration::from_millis(10);
    rewriter.map(later, &numbers(70_001, 5)).unwrap();

    let later = now + Duration::from_millis(40);
    let other = Source {
        generation: 2,
        ..VIDEO
    };
    rewriter.switch_source(later, other, &numbers(9, 80));
    assert_eq!(rewriter.map(later, &numbers(8, 70)), None);
    let next = rewriter.map(later, &numbers(9, 80)).unwrap();
    assert_eq!((next.sequence, next.timestamp), (102, 1000 + 3600));
    assert_eq!(rewriter.map_timestamp(81), Some(4601));

    // Even in no time at all, timestamps advance.
    rewriter.switch_source(later, VIDEO, &numbers(1, 0));
    let next = rewriter.map(later, &numbers(1, 0)).unwrap();
    assert_eq!((next.sequence, next.timestamp), (103, 4601));
}

#[test]
fn picture_ids_go_on_over_switches_and_wrap() {
    let now = Instant::now();
    let mut rewriter = Rewriter::new(0, 0);
    rewriter.switch_source(now, VIDEO, &with_ids(1, 0x7fff, 255));
    let first = rewriter.map(now, &with_ids(1, 0x7fff, 255)).unwrap();
    assert_eq!((first.picture_id, first.tl0_pic_idx), (0x7fff, 255));
    rewriter.switch_source(now, VIDEO, &with_ids(1, 500, 9));
    let next = rewriter.map(now, &with_ids(1, 500, 9)).unwrap();
    assert_eq!((next.picture_id, next.tl0_pic_idx), (0, 0));
    let next = rewriter.map(now, &with_ids(2, 501, 9)).unwrap();
    assert_eq!((next.picture_id, next.tl0_pic_idx), (1, 0));
    // A packet from before the switch is rewritten as it was then.
    let origin = rewriter.origin_of(0).unwrap();
    assert_eq!(origin.rewrite(&with_ids(1, 0x7fff, 255)), first);
}

#[test]
fn skipped_packets_leave_no_hole_but_lost_ones_do() {
    let now = Instant::now();
    let mut rewriter = Rewriter::new(0, 0);
    let map = |rewriter: &mut Rewriter, n| rewriter.map(now, &numbers(n, 0)).map(|r| r.sequence);
    rewriter.switch_source(now, VIDEO, &numbers(10, 0));
    assert_eq!(map(&mut rewriter, 10), Some(0));
    rewriter.skip(&numbers(11, 0), false);
    rewriter.skip(&numbers(12, 0), false);
    assert_eq!(map(&mut rewriter, 13), Some(1));
    // 14 is missing when 15 is skipped, and comes late.
    rewriter.skip(&numbers(15, 0), false);
    assert_eq!(map(&mut rewriter, 16), Some(3));
    assert_eq!(map(&mut rewriter, 14), Some(2));
    assert_eq!(map(&mut rewriter, 11), None);
    assert_eq!(map(&mut rewriter, 15), None);
    // Too late to skip: the number is taken, and can be asked for.
    assert_eq!(map(&mut rewriter, 18), Some(5));
    rewriter.skip(&numbers(17, 0), false);
    assert_eq!(rewriter.origin_of(4).map(|o| o.sequence), Some(17));
    assert_eq!(rewriter.origin_of(6), None);
}

#[test]
fn a_gap_that_no_receiver_can_follow_is_closed() {
    let start = Instant::now();
    let mut rewriter = Rewriter::new(1_000, 0);
    rewriter.switch_source(start, VIDEO, &numbers(1, 0));
    let mut map = |sequence| rewriter.map(start, &numbers(sequence, 0)).unwrap().sequence;
    assert_eq!(map(1), 1_000);
    assert_eq!(map(1 + WIDEST_GAP), 1_000 + WIDEST_GAP);
    // A publisher in its first cycle may step ahead by nearly a whole one.
    assert_eq!(map(65_327), 1_001 + WIDEST_GAP);
    rewriter.skip(&numbers(130_000, 0), false);
    let next = rewriter.map(start, &numbers(130_001, 0)).unwrap();
    assert_eq!(next.sequence, 1_002 + WIDEST_GAP);
    assert_eq!(
        rewriter.map(start, &numbers(100, 0)).map(|it| it.sequence),
        Some(1_099)
    );
    assert_eq!(rewriter.map(start, &numbers(60_000, 0)), None);
    // Nor many that are narrower, with nothing between them that was sent.
    for sequence in (140_000..200_000).step_by(10_000) {
        rewriter.skip(&numbers(sequence, 0), false);
    }
    let last = rewriter.map(start, &numbers(200_000, 0)).unwrap();
    assert!(last.sequence - next.sequence <= WIDEST_GAP + 1);
}

#[test]
fn a_first_packet_that_was_skipped_is_not_sought_in_the_source_before() {
    let now = Instant::now();
    let mut rewriter = Rewriter::new(0, 0);
    rewriter.switch_source(now, VIDEO, &numbers(0, 0));
    for n in 0..100 {
        rewriter.map(now, &numbers(n, 0));
    }
    rewriter.switch_source(now, VIDEO, &numbers(50, 0));
    rewriter.skip(&numbers(50, 0), false);
    assert_eq!(rewriter.map(now, &numbers(50, 0)), None);
    assert_eq!(
        rewriter.map(now, &numbers(51, 0)).map(|r| r.sequence),
        Some(100)
    );
}

#[test]
fn runs_are_bounded() {
    let now = Instant::now();
    let mut rewriter = Rewriter::new(0, 0);
    rewriter.switch_source(now, VIDEO, &numbers(0, 0));
    for n in 0..10_000 {
        if n % 2 == 0 {
            rewriter.map(now, &numbers(n, 0)).unwrap();
        } else {
            rewriter.skip(&numbers(n, 0), false);
        }
    }
    assert_eq!(rewriter.earlier.len() + 1, MAX_RUNS);
    assert_eq!(rewriter.map(now, &numbers(2, 0)), None);
    assert_eq!(rewriter.origin_of(1), None);
    assert_eq!(rewriter.origin_of(4999).map(|o| o.sequence), Some(9998));
}

#[test]
fn a_replay_squeezes_the_past_into_no_time() {
    let now = Instant::now();
    let mut rewriter = Rewriter::new(10, 1000);
    rewriter.switch_source(now, VIDEO, &numbers(1, 0));
    rewriter.map(now, &numbers(1, 0));
    // Three frames of two packets each, 33 ms apart, then a live one.
    let now = now + Duration::from_millis(100);
    let past: Vec<_> = (0..6)
        .map(|n| numbers(500 + n, 7000 + n as u32 / 2 * 2970))
        .collect();
    rewriter.switch_source(now, VIDEO, &past[0]);
    let mut sent = vec![];
    for packet in &past {
        let mapped = rewriter.map_replayed(now, packet).unwrap();
        sent.push((mapped.sequence, mapped.timestamp));
        let origin = rewriter.origin_of(mapped.sequence as u16).unwrap();
        assert_eq!(origin.sequence, packet.sequence);
        assert_eq!(origin.rewrite(packet), mapped);
    }
    let begin = 1000 + 9000;
    let expected = [0, 0, 1, 1, 2, 2].map(|frame| begin + frame);
    assert_eq!(sent, (11..17).zip(expected).collect::<Vec<_>>());
    let live = numbers(506, 7000 + 3 * 2970);
    let mapped = rewriter.map(now, &live).unwrap();
    assert_eq!((mapped.sequence, mapped.timestamp), (17, begin + 2 + 2970));
    assert_eq!(
        rewriter.map_timestamp(live.timestamp),
        Some(mapped.timestamp)
    );
    assert_eq!(rewriter.map(now, &numbers(499, 0)), None);

    // A long one keeps within its bounds, and its timestamps never go back.
    let past = (0..1000).map(|n| numbers(n, n as u32 * 3000));
    rewriter.switch_source(now, VIDEO, &numbers(0, 0));
    let mut before = mapped.timestamp;
    for packet in past {
        let mapped = rewriter.map_replayed(now, &packet).unwrap();
        assert!(mapped.timestamp > before);
        before = mapped.timestamp;
    }
    assert!(rewriter.earlier.len() < MAX_RUNS);
}

#[test]
fn a_replay_over_some_time_keeps_step_with_what_is_sent() {
    let start = Instant::now();
    let at = |ms: u64| start + Duration::from_millis(ms);
    let mut rewriter = Rewriter::new(10, 1000);
    // A keyframe that takes 60 ms, then a frame each 10 ms, all captured 33 ms apart; the fifth packet is missing.
    let sent = [
        (0, 0),
        (30, 0),
        (60, 1),
        (70, 2),
        (80, 4),
        (113, 5),
        (146, 6),
    ];
    let sources = [0, 1, 2, 3, 5, 6, 7];
    rewriter.switch_source(start, VIDEO, &numbers(100, 500));
    let mut mapped = Vec::new();
    for (source, (time, frame)) in sources.into_iter().zip(sent) {
        let packet = numbers(100 + source, 500 + frame * 2970);
        let rewritten = rewriter.map_replayed(at(time), &packet).unwrap();
        let origin = rewriter.origin_of(rewritten.sequence as u16).unwrap();
        assert_eq!(origin.rewrite(&packet), rewritten);
        mapped.push((rewritten.sequence - 10, rewritten.timestamp - 1000));
    }
    // No frame is farther from the one before than it was at its capture; what is missing has its place and its time.
    let expected = [
        (0, 0),
        (1, 0),
        (2, 2970),
        (3, 3870),
        (5, 9810),
        (6, 12_780),
        (7, 15_750),
    ];
    assert_eq!(mapped, expected);
    let late = numbers(104, 500 + 3 * 2970);
    let filled = rewriter.map(at(150), &late).unwrap();
    assert_eq!((filled.sequence, filled.timestamp), (14, 1000 + 6840));
}

#[derive(Clone, Debug)]
enum Op {
    /// A packet this far from the highest.
    Map(i8),
    Skip(i8),
    Switch(u64, u32),
    Wait(u16),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (-6i8..6).prop_map(Op::Map),
        4 => (-2i8..4).prop_map(Op::Skip),
        1 => (100u64..200_000, any::<u32>()).prop_map(|(s, t)| Op::Switch(s, t)),
        4 => (0u16..100).prop_map(Op::Wait),
    ]
}

/// Every number that was ever given, in order: which packet, and the timestamp offset.
#[derive(Default)]
struct Model {
    given: Vec<(u32, u64, u32)>,
    switched_at: usize,
    next: u64,
}

impl Model {
    fn give_up_to(&mut self, generation: u32, end: u64, offset: u32) {
        for sequence in self.next..end {
            self.given.push((generation, sequence, offset));
        }
        self.next = self.next.max(end);
    }

    fn find(&self, sequence: u64) -> Option<usize> {
        let current = self.given.get(self.switched_at..)?;
        let found = current.iter().position(|(_, s, _)| *s == sequence)?;
        Some(found + self.switched_at)
    }
}

proptest! {
    #[test]
    fn numbers_match_a_model_that_remembers_all(
        first_sequence in 0u16..0x8000,
        first_timestamp: u32,
        ops in proptest::collection::vec(op(), 1..120),
    ) {
        let mut now = Instant::now();
        let mut rewriter = Rewriter::new(first_sequence, first_timestamp);
        let mut model = Model::default();
        let mut source = VIDEO;
        let mut offset = first_timestamp;
        let mut newest: Option<(Instant, u32)> = None;
        let mut base = (1000, 0);
        rewriter.switch_source(now, source, &numbers(base.0, base.1));
        model.next = base.0;
        for op in ops {
            // A packet's timestamp follows from its number: three packets a frame.
            let at = |base: (u64, u32), n: u64| {
                base.1.wrapping_add(((n.wrapping_sub(base.0) as i64).div_euclid(3) as u32).wrapping_mul(3000))
            };
            match op {
                Op::Wait(ms) => now += Duration::from_millis(ms.into()),
                Op::Switch(start, timestamp) => {
                    source.generation += 1;
                    base = (start, timestamp);
                    rewriter.switch_source(now, source, &numbers(start, timestamp));
                    let begin = newest.map_or(first_timestamp, |(then, timestamp)| {
                        timestamp.wrapping_add(((now - then).as_millis() as u32 * 90).max(1))
                    });
                    offset = begin.wrapping_sub(timestamp);
                    model.switched_at = model.given.len();
                    model.next = start;
                }
                Op::Skip(delta) => {
                    let n = model.next.wrapping_add_signed(delta.into());
                    rewriter.skip(&numbers(n, 0), false);
                    if n >= model.next {
                        model.give_up_to(source.generation, n, offset);
                        model.next = n + 1;
                    }
                }
                Op::Map(delta) => {
                    let n = model.next.wrapping_add_signed(delta.into());
                    let packet = numbers(n, at(base, n));
                    let mapped = rewriter.map(now, &packet);
                    let newer = n >= model.next;
                    if newer {
                        model.give_up_to(source.generation, n + 1, offset);
                    }
                    let expected = model.find(n).map(|index| Rewritten {
                        sequence: u64::from(first_sequence) + index as u64,
                        timestamp: packet.timestamp.wrapping_add(offset),
                        picture_id: 0,
                        tl0_pic_idx: 0,
                        frame_number: None,
                    });
                    prop_assert_eq!(mapped, expected, "packet {}", n);
                    if let (true, Some(mapped)) = (newer, mapped) {
                        match newest {
                            Some((_, t)) if t == mapped.timestamp => {}
                            _ => newest = Some((now, mapped.timestamp)),
                        }
                    }
                }
            }
            let next = u64::from(first_sequence) + model.given.len() as u64;
            prop_assert_eq!(rewriter.next_sequence(), next);
            prop_assert_eq!(rewriter.origin_of(next as u16), None);
        }
        for (index, (generation, sequence, offset)) in model.given.iter().enumerate() {
            let outgoing = u64::from(first_sequence) + index as u64;
            let origin = rewriter.origin_of(outgoing as u16).unwrap();
            prop_assert_eq!((origin.generation, origin.sequence), (*generation, *sequence));
            let again = origin.rewrite(&numbers(*sequence, 77));
            prop_assert_eq!(again.sequence, outgoing);
            prop_assert_eq!(again.timestamp, offset.wrapping_add(77));
        }
    }
}
