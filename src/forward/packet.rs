//! A packet on its way from a publisher to its subscribers.

use crate::rtp::Elements;
use crate::rtp::payload::{FrameTag, PictureIds};

/// The numbers of a packet that a subscription replaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketNumbers {
    /// The extended sequence number: its low 16 bits were on the wire.
    pub sequence: u64,
    /// In ticks of the codec's clock rate.
    pub timestamp: u32,
    /// The frame counters, and where they stand in the payload.
    pub picture_ids: PictureIds,
    /// The number of its frame in the dependency descriptor, where there is one.
    pub frame_number: Option<u16>,
}

/// One packet of a publisher's stream, plain: as it came, as it was recovered from a retransmission, or
/// as the history kept it.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// What is rewritten.
    pub numbers: PacketNumbers,
    /// The marker bit.
    pub marker: bool,
    /// The publisher's payload type of the media, never that of the retransmission.
    pub payload_type: u8,
    /// The first packet of a frame that needs none before it.
    pub keyframe_start: bool,
    /// Its layers.
    pub tag: FrameTag,
    /// The header extensions, by the publisher's ids.
    pub extensions: Elements<'a>,
    /// Without padding.
    pub payload: &'a [u8],
    /// Bytes of padding that its copies get. It belongs to the packet, so that a copy that is sent again
    /// under its own number is the same to the last byte (RFC 7714 section 8.1).
    pub padding: u8,
}

impl Packet<'_> {
    /// What stands for a packet of this number that carries no media.
    pub fn nothing(sequence: u64) -> Self {
        Self {
            numbers: PacketNumbers {
                sequence,
                ..PacketNumbers::default()
            },
            marker: false,
            payload_type: 0,
            keyframe_start: false,
            tag: FrameTag::default(),
            extensions: Elements::default(),
            payload: &[],
            padding: 0,
        }
    }
}

/// A packet apart from its bytes, which whoever keeps it puts elsewhere: the extension block first, then the payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PacketShape {
    pub(crate) numbers: PacketNumbers,
    marker: bool,
    payload_type: u8,
    keyframe_start: bool,
    tag: FrameTag,
    padding: u8,
    profile: u16,
    extensions_len: u16,
    payload_len: u16,
}

impl PacketShape {
    /// Nothing for a packet that is longer than a datagram can be.
    pub(crate) fn of(packet: &Packet<'_>) -> Option<Self> {
        let (profile, extensions) = packet.extensions.block();
        Some(Self {
            numbers: packet.numbers,
            marker: packet.marker,
            payload_type: packet.payload_type,
            keyframe_start: packet.keyframe_start,
            tag: packet.tag,
            padding: packet.padding,
            profile,
            extensions_len: u16::try_from(extensions.len()).ok()?,
            payload_len: u16::try_from(packet.payload.len()).ok()?,
        })
    }

    /// How many bytes belong to it.
    pub(crate) fn len(&self) -> usize {
        usize::from(self.extensions_len) + usize::from(self.payload_len)
    }

    /// The packet of these bytes, which are [`Self::len`] many.
    pub(crate) fn with<'a>(&self, bytes: &'a [u8]) -> Option<Packet<'a>> {
        let (extensions, payload) = bytes.split_at_checked(usize::from(self.extensions_len))?;
        Some(Packet {
            numbers: self.numbers,
            marker: self.marker,
            payload_type: self.payload_type,
            keyframe_start: self.keyframe_start,
            tag: self.tag,
            extensions: Elements::new(self.profile, extensions),
            payload,
            padding: self.padding,
        })
    }
}
