//! What a viewer sees of the packets that came: a decoder that shows each picture as soon as it and all that it depends on
//! are there.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::shard::tests::publication::NOTHING;
use crate::shard::tests::receiver::Receiver;

/// One picture on the screen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    pub(super) at: Instant,
    /// Which encoding it is of, 0 for the best.
    pub(super) encoding: u32,
}

/// All pictures that a viewer saw, in the order of time.
pub(super) struct Player {
    pub(super) shown: Vec<Shown>,
}

#[derive(Default)]
struct Frame {
    packets: u8,
    count: u8,
    complete: Option<Instant>,
    reference: u32,
}

/// Picture ids go on by one from picture to picture: a decoder waits for one that it thinks was lost.
fn assert_continuous(receiver: &Receiver) {
    let mut before: Option<(u64, u16, u32)> = None;
    for (number, got) in &receiver.packets {
        let id = got.content.picture_id;
        if let Some((last, last_id, timestamp)) = before
            && *number == last + 1
        {
            let step = id.wrapping_sub(last_id) & 0x7fff;
            let expected = u16::from(got.timestamp != timestamp);
            let around: Vec<_> = receiver
                .packets
                .range(number - 8..number + 8)
                .map(|(n, got)| {
                    let c = &got.content;
                    (
                        n,
                        c.tag,
                        c.frame,
                        c.index,
                        c.count,
                        c.temporal,
                        c.picture_id,
                        got.at,
                    )
                })
                .collect();
            assert_eq!(step, expected, "{number}: {around:#?}");
        }
        before = Some((*number, id, got.timestamp));
    }
}

impl Player {
    /// Plays what a receiver got of a track whose encodings have tags from `tag` on.
    pub(super) fn play(receiver: &Receiver, tag: u32) -> Self {
        assert_continuous(receiver);
        // A keyframe that is kept may be sent again, as another picture.
        let mut frames: HashMap<(u32, u32, u16), Frame> = HashMap::new();
        let mut order = Vec::new();
        for got in receiver.packets.values() {
            let content = &got.content;
            let key = (content.tag, content.frame, content.picture_id);
            let frame = frames.entry(key).or_insert_with(|| {
                order.push(key);
                Frame::default()
            });
            frame.packets += 1;
            frame.count = content.count;
            frame.reference = content.reference;
            frame.complete = frame.complete.max(Some(got.at));
        }
        let mut shown_at: HashMap<(u32, u32), Instant> = HashMap::new();
        let mut shown = Vec::new();
        for key in order {
            let frame = &frames[&key];
            let (true, Some(complete)) = (frame.packets == frame.count, frame.complete) else {
                continue;
            };
            let after = match frame.reference {
                NOTHING => Some(complete),
                reference => shown_at.get(&(key.0, reference)).copied(),
            };
            let Some(after) = after else {
                continue;
            };
            let at = complete.max(after);
            shown_at.insert((key.0, key.1), at);
            shown.push(Shown {
                at,
                encoding: key.0 - tag,
            });
        }
        shown.sort_by_key(|shown| shown.at);
        Self { shown }
    }

    fn between(&self, from: Instant, to: Instant) -> impl Iterator<Item = &Shown> {
        self.shown
            .iter()
            .filter(move |shown| shown.at >= from && shown.at < to)
    }

    /// How many pictures were shown.
    pub(super) fn shown_between(&self, from: Instant, to: Instant) -> usize {
        self.between(from, to).count()
    }

    /// The longest time without a new picture.
    pub(super) fn longest_freeze(&self, from: Instant, to: Instant) -> Duration {
        let times = self.between(from, to).map(|shown| shown.at);
        let all: Vec<Instant> = std::iter::once(from).chain(times).chain([to]).collect();
        let gaps = all.windows(2).map(|pair| pair[1] - pair[0]);
        gaps.max().unwrap_or_default()
    }

    /// When a picture of this encoding, or a better one, was shown first after a moment.
    pub(super) fn first_of(&self, encoding: u32, from: Instant) -> Option<Instant> {
        let shown = self
            .shown
            .iter()
            .find(|s| s.at >= from && s.encoding <= encoding);
        shown.map(|shown| shown.at)
    }

    /// When a picture of this encoding, or a better one, was shown last before a moment.
    pub(super) fn last_of(&self, encoding: u32, to: Instant) -> Option<Instant> {
        let mut shown = self.shown.iter().rev();
        shown
            .find(|s| s.at < to && s.encoding <= encoding)
            .map(|shown| shown.at)
    }

    /// The share of the pictures that were of this encoding or a better one.
    pub(super) fn share_of(&self, encoding: u32, from: Instant, to: Instant) -> f64 {
        let all = self.between(from, to).count();
        let of = self.between(from, to).filter(|s| s.encoding <= encoding);
        of.count() as f64 / all.max(1) as f64
    }
}
