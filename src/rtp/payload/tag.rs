//! What a selector of layers must know of a packet.

/// The layers of one packet, and what may begin or end with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameTag {
    /// The spatial layer, 0 to 7; 0 where there are none.
    pub spatial: u8,
    /// The temporal layer, 0 to 7; 0 where there are none.
    pub temporal: u8,
    /// The first packet of this spatial layer's frame. H.264 and H.265 frames whose parameter sets come in packets of
    /// their own have several.
    pub frame_start: bool,
    /// The last packet of this spatial layer's frame. Where the payload cannot tell, of the whole picture.
    pub frame_end: bool,
    /// Belongs to a picture that needs none before it. Where only the first packet of a keyframe can tell, as in VP8
    /// and in AV1 without a descriptor, it is false in the others.
    pub keyframe: bool,
    /// A receiver of lower temporal layers may go up to this one here: the frame depends on none of it, nor of higher
    /// ones, except in this picture. Means nothing in the lowest layer.
    pub temporal_switch: bool,
    /// A receiver of the spatial layers below may go up to this one here: the frame depends on no other picture.
    pub spatial_switch: bool,
    /// Nothing depends on it.
    pub discardable: bool,
}

impl FrameTag {
    /// Of a payload that says nothing of frames: the marker ends them.
    pub(super) fn unknown(marker: bool) -> Self {
        Self {
            frame_end: marker,
            ..Self::default()
        }
    }
}
