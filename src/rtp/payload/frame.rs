//! What a selector of layers must know of one packet.

use super::{Vp8Descriptor, Vp9Descriptor};
use crate::rtp::Codec;

/// The layers of one packet, and what can be done at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameTag {
    /// 0 where there are none.
    pub spatial: u8,
    /// 0 where there are none.
    pub temporal: u8,
    /// The first packet of this layer's frame.
    pub frame_start: bool,
    /// The last packet of this layer's frame.
    pub frame_end: bool,
    /// It belongs to a picture that needs none before it.
    pub keyframe: bool,
    /// A receiver may go up to this temporal layer here.
    pub temporal_switch: bool,
    /// A receiver may go up to this spatial layer here.
    pub spatial_switch: bool,
    /// Nothing depends on it.
    pub discardable: bool,
}

/// Reads it.
pub fn frame_tag(codec: Codec, payload: &[u8], marker: bool) -> FrameTag {
    match codec {
        Codec::Vp8 => Vp8Descriptor::parse(payload).map(|d| FrameTag {
            temporal: d.temporal_id.unwrap_or(0),
            frame_start: d.frame_start,
            frame_end: marker,
            keyframe: d.keyframe_start,
            temporal_switch: d.layer_sync,
            discardable: d.non_reference,
            ..FrameTag::default()
        }),
        Codec::Vp9 { .. } => Vp9Descriptor::parse(payload).map(|d| FrameTag {
            spatial: d.spatial_id.unwrap_or(0),
            temporal: d.temporal_id.unwrap_or(0),
            frame_start: d.frame_start,
            frame_end: d.frame_end,
            keyframe: !d.inter_predicted,
            temporal_switch: d.switching_point,
            spatial_switch: d.inter_layer && !d.inter_predicted,
            discardable: false,
        }),
        _ => None,
    }
    .unwrap_or(FrameTag {
        frame_end: marker,
        ..FrameTag::default()
    })
}
