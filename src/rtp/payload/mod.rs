//! What a router must know of a payload: where a keyframe starts, which layers a packet belongs to, how large the
//! pictures are, and the counters of frames that must go on when the source changes. Nothing is decoded.

mod aggregation;
mod av1;
mod h264;
mod h265;
mod picture;
mod red;
mod size;
mod tag;
mod vp8;
mod vp9;

pub use picture::{PictureId, PictureIds, Tl0PicIdx};
pub use red::{RedBlock, RedBlocks};
pub use size::FrameSizes;
pub use tag::FrameTag;
pub use vp8::Vp8Descriptor;
pub use vp9::Vp9Descriptor;

use crate::rtp::Codec;
use crate::rtp::descriptor::{DescriptorSummary, Structure};

/// Whether this is the first packet of a frame that can be decoded without any before it. A frame that
/// carries parameter sets may have several such packets, of one timestamp. Audio always can. Where AV1
/// comes with a dependency descriptor, that tells.
pub fn is_keyframe_start(
    codec: Codec,
    payload: &[u8],
    dependency_descriptor: Option<&[u8]>,
) -> bool {
    match codec {
        Codec::Vp8 => Vp8Descriptor::parse(payload).is_some_and(|d| d.keyframe_start),
        Codec::Vp9 { .. } => Vp9Descriptor::parse(payload).is_some_and(|d| d.keyframe_start()),
        Codec::H264 { .. } => h264::is_keyframe_start(payload),
        Codec::H265 { .. } => h265::is_keyframe_start(payload),
        Codec::Av1 { .. } => av1::is_keyframe_start(payload, dependency_descriptor),
        Codec::Opus
        | Codec::Red
        | Codec::G722
        | Codec::Pcmu
        | Codec::Pcma
        | Codec::TelephoneEvent(_) => true,
    }
}

/// What a selector of layers must know of a packet. A dependency descriptor tells, of whatever codec; without one the
/// payload does, as far as it can:
/// - VP9 says all but what is discardable.
/// - VP8 has temporal layers only.
/// - H.264 has temporal layers in packets that carry a prefix NAL unit (RFC 6190 section 1.1.3).
/// - H.265 has temporal layers in every packet.
/// - AV1 has layers in packets that begin with an OBU which has an extension header.
///
/// Every packet of audio is a whole frame that needs none before it.
pub fn frame_tag(
    codec: Codec,
    payload: &[u8],
    marker: bool,
    descriptor: Option<&DescriptorSummary>,
) -> FrameTag {
    if let Some(descriptor) = descriptor {
        return descriptor.tag;
    }
    match codec {
        Codec::Vp8 => Vp8Descriptor::parse(payload)
            .map_or_else(|| FrameTag::unknown(marker), |d| d.tag(marker)),
        Codec::Vp9 { .. } => {
            Vp9Descriptor::parse(payload).map_or_else(|| FrameTag::unknown(marker), |d| d.tag())
        }
        Codec::H264 { .. } => h264::tag(payload, marker),
        Codec::H265 { .. } => h265::tag(payload, marker),
        Codec::Av1 { .. } => av1::tag(payload, marker),
        Codec::Opus
        | Codec::Red
        | Codec::G722
        | Codec::Pcmu
        | Codec::Pcma
        | Codec::TelephoneEvent(_) => FrameTag {
            frame_start: true,
            frame_end: true,
            keyframe: true,
            temporal_switch: true,
            spatial_switch: true,
            ..FrameTag::default()
        },
    }
}

/// How large the pictures of each spatial layer are, where the first packet of a keyframe says it in the clear: by the
/// structure that its dependency descriptor brought, else by the descriptor of VP9 or the frame header of VP8. The
/// parameter sets of H.264 and H.265 and the sequence header of AV1 are not read.
pub fn frame_size(
    codec: Codec,
    payload: &[u8],
    structure: Option<&Structure>,
) -> Option<FrameSizes> {
    if let Some(sizes) = structure.and_then(Structure::sizes) {
        return Some(sizes);
    }
    match codec {
        Codec::Vp8 => Vp8Descriptor::parse(payload)?.size(payload),
        Codec::Vp9 { .. } => Vp9Descriptor::parse(payload)?.sizes(payload),
        Codec::H264 { .. }
        | Codec::H265 { .. }
        | Codec::Av1 { .. }
        | Codec::Opus
        | Codec::Red
        | Codec::G722
        | Codec::Pcmu
        | Codec::Pcma
        | Codec::TelephoneEvent(_) => None,
    }
}

/// The frame counters of a payload, where its codec has them.
pub fn picture_ids(codec: Codec, payload: &[u8]) -> PictureIds {
    match codec {
        Codec::Vp8 => Vp8Descriptor::parse(payload).map(|d| d.ids),
        Codec::Vp9 { .. } => Vp9Descriptor::parse(payload).map(|d| d.ids),
        Codec::H264 { .. }
        | Codec::H265 { .. }
        | Codec::Av1 { .. }
        | Codec::Opus
        | Codec::Red
        | Codec::G722
        | Codec::Pcmu
        | Codec::Pcma
        | Codec::TelephoneEvent(_) => None,
    }
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rtp::H264Profile;

    #[test]
    fn a_tag_is_as_small_as_its_fields_and_the_descriptor_tells_first() {
        assert!(size_of::<FrameTag>() <= 8);
        let descriptor = DescriptorSummary {
            tag: FrameTag {
                spatial: 2,
                ..FrameTag::default()
            },
            ..DescriptorSummary::default()
        };
        let tag = frame_tag(Codec::Vp8, &[0x10, 0x00], true, Some(&descriptor));
        assert_eq!(tag, descriptor.tag);
        let tag = frame_tag(Codec::Vp9 { profile: 0 }, &[], true, None);
        assert_eq!(tag, FrameTag::unknown(true));
        let audio = frame_tag(Codec::Opus, &[], false, None);
        assert!(audio.frame_start && audio.frame_end && audio.keyframe);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            payload in proptest::collection::vec(any::<u8>(), 0..64),
            descriptor in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..8)),
            picture_id: u16,
            tl0_pic_idx: u8,
            marker: bool,
        ) {
            for codec in [
                Codec::Vp8,
                Codec::Vp9 { profile: 0 },
                Codec::H264 {
                    profile: H264Profile::Main,
                    packetization_mode: 1,
                },
                Codec::H265 { profile: 1, tier: 0 },
                Codec::Av1 { profile: 0 },
                Codec::Opus,
            ] {
                let _ = is_keyframe_start(codec, &payload, descriptor.as_deref());
                let tag = frame_tag(codec, &payload, marker, None);
                // Both say the same of the first packet of a keyframe.
                if is_keyframe_start(codec, &payload, None) {
                    prop_assert!(tag.frame_start && tag.keyframe);
                    prop_assert!(tag.temporal_switch && tag.spatial_switch);
                }
                let _ = frame_size(codec, &payload, None);
                let ids = picture_ids(codec, &payload);
                let mut rewritten = payload.clone();
                ids.write(&mut rewritten, picture_id, tl0_pic_idx);
                let again = picture_ids(codec, &rewritten);
                // Only the numbers change, never what stands where.
                prop_assert_eq!(again.picture_id.map(|p| (p.at, p.long)), ids.picture_id.map(|p| (p.at, p.long)));
                if let Some(id) = again.picture_id {
                    prop_assert_eq!(id.value, picture_id & if id.long { 0x7fff } else { 0x7f });
                }
                if let Some(index) = again.tl0_pic_idx {
                    prop_assert_eq!(index.value, tl0_pic_idx);
                }
                prop_assert_eq!(
                    is_keyframe_start(codec, &payload, None),
                    is_keyframe_start(codec, &rewritten, None)
                );
                // A counter may lie outside of a shorter copy.
                ids.write(&mut [], picture_id, tl0_pic_idx);
            }
        }
    }
}
