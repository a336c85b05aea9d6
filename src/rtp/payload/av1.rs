//! Keyframes and layers of AV1 (RTP Payload Format For AV1, sections 4.4 and A.8).

use super::FrameTag;

const SEQUENCE_HEADER: u8 = 1;
const FRAME_HEADER: u8 = 3;
const METADATA: u8 = 5;
const FRAME: u8 = 6;

/// Whether this is the first packet of a coded video sequence.
pub(super) fn is_keyframe_start(payload: &[u8], dependency_descriptor: Option<&[u8]>) -> bool {
    if let Some([first, _, _, extended @ ..]) = dependency_descriptor {
        // A keyframe's first packet starts a frame and brings a new template structure.
        let start_of_frame = first & 0x80 != 0;
        let structure = extended.first().is_some_and(|b| b & 0x80 != 0);
        return start_of_frame && structure;
    }
    // Z says that the first element continues one of the packet before; N that a sequence starts.
    payload
        .first()
        .is_some_and(|aggregation| aggregation & 0x80 == 0 && aggregation & 0x08 != 0)
        && payload.len() > 1
}

/// What a selector must know, without a descriptor: what the header of the packet's first OBU says, where it begins
/// in this packet.
pub(super) fn tag(payload: &[u8], marker: bool) -> FrameTag {
    let mut tag = FrameTag::unknown(marker);
    let keyframe = is_keyframe_start(payload, None);
    tag.keyframe = keyframe;
    tag.temporal_switch = keyframe;
    tag.spatial_switch = keyframe;
    tag.frame_start = keyframe;
    if let Some([head, after @ ..]) = first_obu(payload) {
        // Tile groups go on with a frame; what else there is comes before one.
        let kind = head >> 3 & 0x0f;
        tag.frame_start |= matches!(kind, SEQUENCE_HEADER | FRAME_HEADER | METADATA | FRAME);
        if head & 0x04 != 0
            && let Some(extension) = after.first()
        {
            tag.temporal = extension >> 5;
            tag.spatial = extension >> 3 & 0x03;
        }
    }
    tag
}

/// From the header of the first OBU on, unless the packet continues one.
fn first_obu(payload: &[u8]) -> Option<&[u8]> {
    let (aggregation, mut rest) = payload.split_first()?;
    if aggregation & 0x80 != 0 {
        return None;
    }
    // W: only a single element has no length before it.
    if aggregation & 0x30 != 0x10 {
        while *rest.split_off_first()? & 0x80 != 0 {}
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_descriptor_tells_and_without_it_the_aggregation_header() {
        type Row<'a> = (&'a [u8], Option<&'a [u8]>, bool);
        let table: &[Row<'_>] = &[
            (&[], None, false),
            (&[0x08], None, false),
            (&[0x18, 0x0a], None, true),
            (&[0x88, 0x0a], None, false),
            (&[0x10, 0x0a], None, false),
            (&[0x10, 0x0a], Some(&[0xc0, 0, 1, 0x80]), true),
            (&[0x10, 0x0a], Some(&[0x40, 0, 1, 0x80]), false),
            (&[0x18, 0x0a], Some(&[0xc0, 0, 1]), false),
            (&[0x18, 0x0a], Some(&[0xc0, 0, 1, 0x00]), false),
            // A descriptor that is cut short is none.
            (&[0x18, 0x0a], Some(&[0xc0]), true),
        ];
        for (payload, descriptor, expected) in table {
            assert_eq!(
                is_keyframe_start(payload, *descriptor),
                *expected,
                "{payload:02x?} {descriptor:02x?}"
            );
        }
    }

    #[test]
    fn the_first_obu_tells_the_layers() {
        let tag = FrameTag::default();
        let start = |tag| FrameTag {
            frame_start: true,
            ..tag
        };
        let upper = FrameTag {
            temporal: 2,
            spatial: 1,
            ..tag
        };
        let key = start(FrameTag {
            keyframe: true,
            temporal_switch: true,
            spatial_switch: true,
            ..tag
        });
        let table: &[(&[u8], FrameTag)] = &[
            (&[], tag),
            (&[0x10], tag),
            // A frame alone, without and with layers; a tile group.
            (&[0x10, 0x30, 9], start(tag)),
            (&[0x10, 0x34, 0x48, 9], start(upper)),
            (&[0x10, 0x24, 0x48, 9], upper),
            (&[0x10, 0x34], start(tag)),
            // After a length of one byte and of two; without end.
            (&[0x20, 3, 0x34, 0x48, 9, 0x20], start(upper)),
            (&[0x00, 0x83, 0x01, 0x34, 0x48, 9], start(upper)),
            (&[0x00, 0x83, 0x83], tag),
            // What continues another's OBU says nothing.
            (&[0x90, 0x34, 0x48, 9], tag),
            // A sequence begins.
            (&[0x28, 1, 0x08, 0x30], key),
        ];
        for (payload, expected) in table {
            assert_eq!(super::tag(payload, false), *expected, "{payload:02x?}");
        }
        assert!(super::tag(&[0x10, 0x30, 9], true).frame_end);
    }
}
