//! What one shard sends another at the end of a tick: plain packets, and messages between them.

use std::time::Duration;

use super::message::{LinkMessage, MirrorId};
use crate::forward::{Packet, PacketShape};

/// Packets and messages from one shard to another, in order. Handed over by the runtime, and given back to the shard
/// that wrote it, so that a steady load allocates nothing.
#[derive(Debug, Default)]
pub struct LinkBatch {
    entries: Vec<Entry>,
    /// Extension blocks and payloads, one after the other.
    bytes: Vec<u8>,
    /// The entry that is read next, and where its bytes begin.
    next: usize,
    next_byte: usize,
    /// Memory that it stands for, about, in bytes.
    weight: usize,
}

#[derive(Debug)]
enum Entry {
    Packet(PacketHead, PacketShape),
    Message(Box<LinkMessage>),
    /// A message that was read.
    Taken,
}

/// Where a packet belongs on the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) struct PacketHead {
    pub(in crate::shard) mirror: MirrorId,
    /// Index of the layer, and the home's name for what feeds it.
    pub(in crate::shard) layer: usize,
    pub(in crate::shard) generation: u32,
    /// For a packet that repeats what was before the subscription: how old it is. It is kept, not forwarded.
    pub(in crate::shard) age: Option<Duration>,
}

/// What is read out of a batch.
#[derive(Debug)]
pub(in crate::shard) enum LinkItem<'a> {
    Packet(PacketHead, Packet<'a>),
    Message(Box<LinkMessage>),
}

impl LinkBatch {
    /// Whether everything in it was read.
    pub fn is_read(&self) -> bool {
        self.next >= self.entries.len()
    }

    /// How many packets are in it, read or not.
    pub fn packets(&self) -> usize {
        let is_packet = |entry: &&Entry| matches!(entry, Entry::Packet(..));
        self.entries.iter().filter(is_packet).count()
    }

    pub(in crate::shard) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(in crate::shard) fn weight(&self) -> usize {
        self.weight
    }

    /// Forgets everything, keeping the memory.
    pub(in crate::shard) fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        (self.next, self.next_byte, self.weight) = (0, 0, 0);
    }

    /// Adds a packet. Returns false for one that is no datagram's.
    pub(in crate::shard) fn push_packet(&mut self, head: PacketHead, packet: &Packet<'_>) -> bool {
        let Some(shape) = PacketShape::of(packet) else {
            return false;
        };
        self.entries.push(Entry::Packet(head, shape));
        self.bytes.extend_from_slice(packet.extensions.block().1);
        self.bytes.extend_from_slice(packet.payload);
        self.weight += packet_weight(packet);
        true
    }

    pub(in crate::shard) fn push_message(&mut self, message: LinkMessage) {
        self.weight += message_weight(&message);
        self.entries.push(Entry::Message(Box::new(message)));
    }

    /// The next packet or message. It counts as read before it is looked at: what a bug makes of it does not happen
    /// twice.
    pub(in crate::shard) fn read(&mut self) -> Option<LinkItem<'_>> {
        let entry = self.entries.get_mut(self.next)?;
        self.next += 1;
        match entry {
            Entry::Packet(head, shape) => {
                let end = self.next_byte + shape.len();
                let bytes = self.bytes.get(self.next_byte..end)?;
                self.next_byte = end;
                Some(LinkItem::Packet(*head, shape.with(bytes)?))
            }
            Entry::Message(_) => match std::mem::replace(entry, Entry::Taken) {
                Entry::Message(message) => Some(LinkItem::Message(message)),
                Entry::Packet(..) | Entry::Taken => None,
            },
            Entry::Taken => None,
        }
    }
}

/// What a packet adds to a batch's weight.
pub(in crate::shard) fn packet_weight(packet: &Packet<'_>) -> usize {
    size_of::<Entry>() + packet.extensions.block().1.len() + packet.payload.len()
}

/// What a message adds to a batch's weight.
pub(in crate::shard) fn message_weight(message: &LinkMessage) -> usize {
    let data = match message {
        LinkMessage::ChannelMessage { data, .. } => data.len(),
        _ => 0,
    };
    size_of::<Entry>() + size_of::<LinkMessage>() + data
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::PacketNumbers;
    use crate::rtp::Elements;
    use crate::rtp::payload::FrameTag;
    use crate::shard::TrackId;

    fn head(generation: u32) -> PacketHead {
        PacketHead {
            mirror: MirrorId { index: 7, epoch: 1 },
            layer: 2,
            generation,
            age: None,
        }
    }

    fn packet(payload: &[u8]) -> Packet<'_> {
        Packet {
            numbers: PacketNumbers {
                sequence: 70_000,
                timestamp: 5,
                ..PacketNumbers::default()
            },
            marker: true,
            payload_type: 96,
            keyframe_start: true,
            tag: FrameTag::default(),
            extensions: Elements::new(0xbede, &[0x10, b'm', 0x50, 9]),
            payload,
            padding: 3,
        }
    }

    #[test]
    fn what_is_read_is_what_was_written_in_that_order_and_once() {
        let mut batch = LinkBatch::default();
        assert!(batch.push_packet(head(1), &packet(b"first")));
        batch.push_message(LinkMessage::Keyframe {
            track: TrackId(3),
            encoding: 0,
        });
        assert!(batch.push_packet(head(2), &packet(b"")));
        assert!(!batch.push_packet(head(3), &packet(&[0; 65_536])));
        assert_eq!((batch.packets(), batch.is_read()), (2, false));
        for generation in [1, 2] {
            let Some(LinkItem::Packet(found, packet)) = batch.read() else {
                panic!("no packet");
            };
            assert_eq!(found, head(generation));
            assert_eq!(packet.numbers.sequence, 70_000);
            assert!(packet.marker && packet.keyframe_start && packet.padding == 3);
            assert_eq!(packet.payload.is_empty(), generation == 2);
            let elements: Vec<_> = packet.extensions.map(|e| (e.id, e.data.to_vec())).collect();
            assert_eq!(elements, [(1, b"m".to_vec()), (5, vec![9])]);
            if generation == 1 {
                let Some(LinkItem::Message(message)) = batch.read() else {
                    panic!("no message");
                };
                assert!(matches!(*message, LinkMessage::Keyframe { track, .. } if track.0 == 3));
            }
        }
        assert!(batch.is_read() && batch.read().is_none());
        batch.clear();
        assert!(batch.is_empty() && batch.weight() == 0);
    }
}
