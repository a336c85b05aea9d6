//! Payload descriptors of every codec, redundant audio, and dependency descriptors of a stream.

use bytes::Bytes;
use crosspoint::rtp::descriptor::{DescriptorReader, DescriptorSummary};
use crosspoint::rtp::payload::{
    RedBlocks, Vp8Descriptor, Vp9Descriptor, frame_size, frame_tag, is_keyframe_start, picture_ids,
};
use crosspoint::rtp::{Codec, H264Profile};
use rtp::codec::vp8::Vp8Packet;
use rtp::codec::vp9::Vp9Packet;
use rtp::packetizer::Depacketizer;

use super::input::Input;

/// Packets of one input.
const MAX_PACKETS: usize = 16;

const CODECS: [Codec; 7] = [
    Codec::Vp8,
    Codec::Vp9 { profile: 0 },
    Codec::H264 {
        profile: H264Profile::ConstrainedBaseline,
        packetization_mode: 1,
    },
    Codec::H265 {
        profile: 1,
        tier: 0,
    },
    Codec::Av1 { profile: 0 },
    Codec::Red,
    Codec::Opus,
];

/// Reads the packets of a stream.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let codec = input.choose(&CODECS);
    let mut reader = DescriptorReader::default();
    for _ in 0..MAX_PACKETS {
        if input.is_empty() {
            break;
        }
        let timestamp = u32::from(input.u8()) * 3_000;
        let descriptor = input.bytes();
        let summary = describe(&mut reader, descriptor, timestamp);
        let payload = input.bytes();
        let marker = input.u8() & 1 == 0;
        let tag = frame_tag(codec, payload, marker, summary.as_ref());
        assert!(tag.spatial < 8 && tag.temporal < 8);
        is_keyframe_start(codec, payload, None);
        is_keyframe_start(codec, payload, Some(descriptor));
        for structure in [None, reader.structure()] {
            if let Some(sizes) = frame_size(codec, payload, structure) {
                assert_eq!(sizes.layer(8), None);
                assert_eq!(sizes.largest().is_some(), sizes.layer(0).is_some());
            }
        }
        assert_counters(codec, payload, input.u16(), input.u8());
        match codec {
            Codec::Vp8 => assert_vp8(payload),
            Codec::Vp9 { .. } => assert_vp9(payload),
            _ => assert_red(payload),
        }
    }
}

/// Reads a dependency descriptor. One that is refused changes nothing.
fn describe(
    reader: &mut DescriptorReader,
    descriptor: &[u8],
    timestamp: u32,
) -> Option<DescriptorSummary> {
    let before = format!("{reader:?}");
    let Some(summary) = reader.read(descriptor, timestamp) else {
        assert_eq!(format!("{reader:?}"), before);
        return None;
    };
    let structure = reader.structure().expect("what tells its meaning");
    let targets = structure.targets().len();
    assert!((1..=32).contains(&targets) && (1..=64).contains(&structure.template_count()));
    assert!(structure.chain_count() <= 32);
    for template in 0..=structure.template_count() {
        let known = template < structure.template_count();
        assert_eq!(structure.template_layer(template).is_some(), known);
        assert_eq!(structure.fdiffs(template).is_some(), known);
        assert_eq!(structure.indication(template, targets - 1).is_some(), known);
        assert_eq!(structure.indication(template, targets), None);
        let chains = structure.chain_fdiffs(template).map_or(0, <[u8]>::len);
        assert!(!known || chains == usize::from(structure.chain_count()));
    }
    structure.top_layer(reader.active_targets());
    Some(summary)
}

/// Counters that are written are read again, and nothing else is changed.
fn assert_counters(codec: Codec, payload: &[u8], picture_id: u16, tl0_pic_idx: u8) {
    let ids = picture_ids(codec, payload);
    let mut copy = payload.to_vec();
    ids.write(&mut copy, picture_id, tl0_pic_idx);
    let again = picture_ids(codec, &copy);
    if let Some(id) = ids.picture_id {
        let again = again.picture_id.expect("it is still there");
        assert_eq!((again.at, again.long), (id.at, id.long));
        let mask = if id.long { 0x7fff } else { 0x7f };
        assert_eq!(again.value, picture_id & mask);
    }
    if let Some(idx) = ids.tl0_pic_idx {
        let again = again.tl0_pic_idx.expect("it is still there");
        assert_eq!((again.at, again.value), (idx.at, tl0_pic_idx));
    }
    let written = |at: usize| {
        let in_id = ids.picture_id.is_some_and(|id| {
            let first = usize::from(id.at);
            (first..=first + usize::from(id.long)).contains(&at)
        });
        in_id || ids.tl0_pic_idx.is_some_and(|idx| usize::from(idx.at) == at)
    };
    for (at, (before, after)) in payload.iter().zip(&copy).enumerate() {
        assert!(before == after || written(at), "byte {at}");
    }
    assert_eq!(
        is_keyframe_start(codec, payload, None),
        is_keyframe_start(codec, &copy, None)
    );
}

/// As the supplier's reader sees it, where it reads it as well.
fn assert_vp8(payload: &[u8]) {
    let mut other = Vp8Packet::default();
    let rest = other.depacketize(&Bytes::copy_from_slice(payload));
    let (Some(ours), Ok(rest)) = (Vp8Descriptor::parse(payload), rest) else {
        return;
    };
    assert_eq!(ours.len + rest.len(), payload.len());
    assert_eq!(
        ours.ids.picture_id.map(|id| id.value),
        (other.i == 1).then_some(other.picture_id)
    );
    assert_eq!(
        ours.ids.tl0_pic_idx.map(|idx| idx.value),
        (other.l == 1).then_some(other.tl0_pic_idx)
    );
}

fn assert_vp9(payload: &[u8]) {
    let mut other = Vp9Packet::default();
    let rest = other.depacketize(&Bytes::copy_from_slice(payload));
    let (Some(ours), Ok(_)) = (Vp9Descriptor::parse(payload), rest) else {
        return;
    };
    assert_eq!(
        ours.ids.picture_id.map(|id| id.value),
        other.i.then_some(other.picture_id)
    );
    assert_eq!(ours.temporal_id, other.l.then_some(other.tid));
    assert_eq!(ours.spatial_id, other.l.then_some(other.sid));
    assert_eq!(
        (
            ours.inter_predicted,
            ours.flexible,
            ours.frame_start,
            ours.frame_end,
            ours.structure
        ),
        (other.p, other.f, other.b, other.e, other.v)
    );
}

/// The blocks of redundant audio are pieces of it, in its order.
fn assert_red(payload: &[u8]) {
    let Some(blocks) = RedBlocks::parse(payload) else {
        return;
    };
    let count = blocks.count();
    let total: usize = blocks.map(|block| block.data.len()).sum();
    assert_eq!(total + 4 * (count - 1) + 1, payload.len());
    assert!(
        blocks
            .take(count - 1)
            .all(|block| block.data.len() <= 1_023)
    );
    let primary = blocks.primary().expect("the last one");
    assert_eq!(primary.timestamp_offset, 0);
    assert!(payload.ends_with(primary.data));
}
