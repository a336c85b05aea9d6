//! Redundant audio (RED, RFC 2198) on its way through: what subscribers without it get, and what of it makes good a loss.

use crate::forward::{Packet, PacketNumbers};
use crate::rtp::Elements;
use crate::rtp::payload::RedBlocks;

/// Packets between two of a stream that redundancy can still bring.
const MAX_GAP: u64 = 16;

/// What a subscriber gets of the publisher's packets of one payload type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedForm {
    /// As they came: they are no RED, or the subscriber gives Opus the number that the publisher gives it.
    Whole,
    /// RED whose blocks get another number.
    Renumbered {
        /// Opus by the publisher's number.
        from: u8,
        /// By the subscriber's.
        to: u8,
    },
    /// The Opus of the present moment by itself, for a subscriber without RED.
    Primary {
        /// Opus by the publisher's number.
        opus: u8,
    },
}

impl RedForm {
    /// What of a packet's payload the subscriber gets. `None` where it is to be taken apart and cannot be: it is no RED
    /// with this number, as with encryption from end to end, or there is nothing in it.
    pub fn apply(self, payload: &[u8]) -> Option<&[u8]> {
        let Self::Primary { opus } = self else {
            return Some(payload);
        };
        let payload = blocks(payload, opus)?.primary()?.data;
        (!payload.is_empty()).then_some(payload)
    }

    /// Gives the blocks of a copied payload the subscriber's numbers. What does not look like RED stays as it is.
    pub fn renumber(self, payload: &mut [u8]) {
        let Self::Renumbered { from, to } = self else {
            return;
        };
        if let Some(count) = blocks(payload, from).map(Iterator::count) {
            for header in payload.iter_mut().step_by(RedBlocks::HEADER).take(count) {
                *header = *header & 0x80 | to;
            }
        }
    }
}

/// The blocks of a payload, if all are of this payload type.
fn blocks(payload: &[u8], payload_type: u8) -> Option<RedBlocks<'_>> {
    let mut all = RedBlocks::parse(payload)?;
    let blocks = all;
    all.all(|block| block.payload_type == payload_type)
        .then_some(blocks)
}

/// Finds copies of lost packets in the packets of RED that follow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Redundancy {
    /// Sequence number and timestamp of the newest packet.
    newest: Option<(u64, u32)>,
}

impl Redundancy {
    /// Takes a packet of RED around Opus of this payload type. Returns what it holds of the packets between the newest
    /// before it and itself, oldest first, as packets of Opus; whether they are missing is for the caller to know.
    ///
    /// A copy says only how much older it is. That tells its number if all frames between are equally long, as they are
    /// but for pauses without packets: there nothing is found.
    pub fn receive<'a>(
        &mut self,
        packet: &Packet<'a>,
        opus: u8,
    ) -> impl Iterator<Item = Packet<'a>> + use<'a> {
        let packet = *packet;
        let PacketNumbers {
            sequence,
            timestamp,
            ..
        } = packet.numbers;
        let before = self.newest;
        if before.is_none_or(|(newest, _)| sequence > newest) {
            self.newest = Some((sequence, timestamp));
        }
        let gap = before.and_then(|(newest, then)| {
            let packets = sequence.checked_sub(newest)?;
            let ticks = u64::from(timestamp.wrapping_sub(then));
            ((2..=MAX_GAP).contains(&packets) && ticks > 0).then_some((packets, ticks))
        });
        let found = gap.zip(gap.and_then(|_| blocks(packet.payload, opus)));
        found
            .into_iter()
            .flat_map(move |((packets, ticks), blocks)| {
                blocks.filter_map(move |block| {
                    let scaled = u64::from(block.timestamp_offset) * packets;
                    let back = scaled / ticks;
                    let is_one = scaled % ticks == 0 && (1..packets).contains(&back);
                    (is_one && !block.data.is_empty()).then(|| Packet {
                        numbers: PacketNumbers {
                            sequence: sequence - back,
                            timestamp: timestamp.wrapping_sub(u32::from(block.timestamp_offset)),
                            ..packet.numbers
                        },
                        marker: false,
                        payload_type: opus,
                        extensions: Elements::default(),
                        payload: block.data,
                        padding: 0,
                        ..packet
                    })
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rtp::payload::FrameTag;

    fn packet(sequence: u64, timestamp: u32, payload: &[u8]) -> Packet<'_> {
        Packet {
            numbers: PacketNumbers {
                sequence,
                timestamp,
                ..PacketNumbers::default()
            },
            marker: true,
            payload_type: 63,
            keyframe_start: true,
            tag: FrameTag::default(),
            extensions: Elements::default(),
            payload,
            padding: 4,
        }
    }

    /// RED with copies of 20 ms and 40 ms before.
    const TWO: [u8; 14] = [0xef, 0x1e, 0x00, 2, 0xef, 0x0f, 0x00, 1, 111, 1, 2, 3, 4, 5];

    #[test]
    fn a_receiver_without_red_gets_the_primary_and_no_other() {
        let form = RedForm::Primary { opus: 111 };
        assert_eq!(form.apply(&TWO), Some(&[4, 5][..]));
        // Cut, of another number, empty, and encrypted.
        for payload in [&TWO[..5], &[96, 1, 2], &[111], &[0xff, 0xff, 0xff, 0xff, 9]] {
            assert_eq!(form.apply(payload), None, "{payload:?}");
            assert_eq!(RedForm::Whole.apply(payload), Some(payload));
        }
    }

    #[test]
    fn a_receiver_with_other_numbers_gets_red_of_those() {
        let mut payload = TWO;
        let form = RedForm::Renumbered { from: 111, to: 96 };
        form.renumber(&mut payload);
        let blocks: Vec<_> = RedBlocks::parse(&payload).unwrap().collect();
        let before: Vec<_> = RedBlocks::parse(&TWO).unwrap().collect();
        assert!(blocks.iter().all(|block| block.payload_type == 96));
        for (block, before) in blocks.iter().zip(&before) {
            assert_eq!(
                (block.data, block.timestamp_offset),
                (before.data, before.timestamp_offset)
            );
        }
        let mut other = [112, 1, 2];
        form.renumber(&mut other);
        assert_eq!(other, [112, 1, 2], "it is no RED around this Opus");
        let mut whole = TWO;
        RedForm::Whole.renumber(&mut whole);
        assert_eq!(whole, TWO);
    }

    #[test]
    fn copies_stand_for_the_packets_that_are_missing() {
        let mut redundancy = Redundancy::default();
        let mut found = |sequence, timestamp| -> Vec<(u64, u32, Vec<u8>)> {
            let packet = packet(sequence, timestamp, &TWO);
            let found = redundancy.receive(&packet, 111);
            let found = found.inspect(|p| assert!(p.payload_type == 111 && p.padding == 0));
            found
                .map(|p| (p.numbers.sequence, p.numbers.timestamp, p.payload.to_vec()))
                .collect()
        };
        assert!(found(10, 0).is_empty(), "nothing is known to be missing");
        assert!(found(11, 960).is_empty());
        assert_eq!(found(13, 2880), [(12, 1920, vec![3])]);
        let both = [(15, 4800, vec![1, 2]), (16, 5760, vec![3])];
        assert_eq!(found(17, 6720), both);
        // Late, after a pause, and of frames of another length.
        assert!(found(14, 3840).is_empty());
        assert!(found(19, 50_000).is_empty());
        assert!(found(21, 50_000 + 2 * 480).is_empty());
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_is_found_lies_between(
            payload in proptest::collection::vec(any::<u8>(), 0..60),
            numbers in proptest::collection::vec((any::<u8>(), any::<u32>()), 1..20),
        ) {
            let mut redundancy = Redundancy::default();
            let mut newest = None;
            for (sequence, timestamp) in numbers {
                let packet = packet(u64::from(sequence), timestamp, &payload);
                for found in redundancy.receive(&packet, payload.first().map_or(0, |b| b & 0x7f)) {
                    prop_assert!(newest.is_some_and(|newest| found.numbers.sequence > newest));
                    prop_assert!(found.numbers.sequence < u64::from(sequence));
                }
                newest = newest.max(Some(u64::from(sequence)));
            }
        }
    }
}
