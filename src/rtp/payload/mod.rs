//! What a router must know of a payload: where a keyframe starts, and the counters of frames that must
//! go on when the source changes. Nothing is decoded.

mod av1;
mod h264;
mod h265;
mod picture;
mod red;
mod vp8;
mod vp9;

pub use picture::{PictureId, PictureIds, Tl0PicIdx};
pub use red::{RedBlock, RedBlocks};
pub use vp8::Vp8Descriptor;
pub use vp9::Vp9Descriptor;

use crate::rtp::Codec;

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

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            payload in proptest::collection::vec(any::<u8>(), 0..64),
            descriptor in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..8)),
            picture_id: u16,
            tl0_pic_idx: u8,
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
