//! Keyframes and temporal layers of H.264 (RFC 6184 section 5).

use super::FrameTag;
use super::aggregation::units;

const SLICE: u8 = 1;
const IDR: u8 = 5;
const SPS: u8 = 7;
const DELIMITER: u8 = 9;
const PREFIX: u8 = 14;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// Whether the payload carries a sequence parameter set, or the first slice of an IDR picture.
pub(super) fn is_keyframe_start(payload: &[u8]) -> bool {
    let [head, body @ ..] = payload else {
        return false;
    };
    match head & 0x1f {
        STAP_A => units(body).any(|([head], slice)| starts(head & 0x1f, slice)),
        FU_A => match body {
            // Only the fragment that starts the unit.
            [fragment, slice @ ..] if fragment & 0x80 != 0 => starts(fragment & 0x1f, slice),
            _ => false,
        },
        kind => starts(kind, body),
    }
}

/// What a selector must know, of the units that can be seen in this packet.
pub(super) fn tag(payload: &[u8], marker: bool) -> FrameTag {
    let mut tag = FrameTag::unknown(marker);
    let [head, body @ ..] = payload else {
        return tag;
    };
    match head & 0x1f {
        STAP_A => {
            for ([head], unit) in units(body) {
                add_unit(&mut tag, *head, unit);
            }
        }
        FU_A => {
            if let [fragment, unit @ ..] = body {
                let is_first = fragment & 0x80 != 0;
                let head = head & 0x60 | fragment & 0x1f;
                add_unit(&mut tag, head, if is_first { unit } else { &[] });
            }
        }
        _ => add_unit(&mut tag, *head, body),
    }
    tag.temporal_switch = tag.keyframe;
    tag.spatial_switch = tag.keyframe;
    tag
}

/// Adds what a unit says, whose first byte is `head`. Of one that is continued here, the rest is not given.
fn add_unit(tag: &mut FrameTag, head: u8, unit: &[u8]) {
    let kind = head & 0x1f;
    match kind {
        // The bytes of nal_unit_header_svc_extension, whose first bit tells it from that of MVC.
        PREFIX => {
            if let [first, _, third, ..] = unit
                && first & 0x80 != 0
            {
                tag.temporal = third >> 5;
            }
        }
        SLICE => {
            tag.frame_start |= is_first_slice(unit);
            // nal_ref_idc 0: no picture refers to it.
            tag.discardable = head & 0x60 == 0;
        }
        IDR => {
            tag.frame_start |= is_first_slice(unit);
            tag.keyframe = true;
        }
        SPS => {
            tag.frame_start = true;
            tag.keyframe = true;
        }
        DELIMITER => tag.frame_start = true,
        _ => {}
    }
}

fn starts(kind: u8, slice: &[u8]) -> bool {
    match kind {
        SPS => true,
        IDR => is_first_slice(slice),
        _ => false,
    }
}

/// `first_mb_in_slice`, the first field of a slice, is a single 1 bit when it is zero (ITU-T H.264
/// section 7.3.3).
fn is_first_slice(slice: &[u8]) -> bool {
    slice.first().is_some_and(|b| b & 0x80 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyframes_start_at_parameter_sets_and_first_slices() {
        let table: &[(&[u8], bool)] = &[
            (&[], false),
            (&[0x65], false),
            (&[0x65, 0x88], true),
            // A later slice of the same picture.
            (&[0x65, 0x40], false),
            (&[0x67, 0x42], true),
            (&[0x68, 0xce], false),
            (&[0x41, 0x9a], false),
            // STAP-A: PPS and SPS; PPS alone; cut short; with an empty unit.
            (&[0x78, 0, 2, 0x68, 0xce, 0, 2, 0x67, 0x42], true),
            (&[0x78, 0, 2, 0x68, 0xce], false),
            (&[0x78, 0, 9, 0x67, 0x42], false),
            (&[0x78, 0, 0, 0, 2, 0x67, 0x42], false),
            // FU-A: the start of an IDR, its middle, the start of another.
            (&[0x7c, 0x85, 0x88], true),
            (&[0x7c, 0x05, 0x88], false),
            (&[0x7c, 0x81, 0x88], false),
            (&[0x7c], false),
        ];
        for (payload, expected) in table {
            assert_eq!(is_keyframe_start(payload), *expected, "{payload:02x?}");
        }
    }

    #[test]
    fn prefix_units_tell_the_temporal_layer() {
        let tag = FrameTag::default();
        let key = FrameTag {
            keyframe: true,
            temporal_switch: true,
            spatial_switch: true,
            ..tag
        };
        let start = |tag| FrameTag {
            frame_start: true,
            ..tag
        };
        let layer = |temporal| FrameTag { temporal, ..tag };
        let discardable = FrameTag {
            discardable: true,
            ..tag
        };
        let table: &[(&[u8], FrameTag)] = &[
            (&[], tag),
            // Alone: layer 2; the extension of MVC; cut short.
            (&[0x0e, 0x80, 0x80, 0x40], layer(2)),
            (&[0x0e, 0x00, 0x80, 0x40], tag),
            (&[0x0e, 0x80, 0x80], tag),
            // With a first slice in one STAP-A: layer 1, referred to; layer 2, not.
            (
                &[0x58, 0, 4, 0x4e, 0x80, 0x80, 0x20, 0, 2, 0x41, 0x9a],
                start(layer(1)),
            ),
            (
                &[0x18, 0, 4, 0x0e, 0x80, 0x80, 0x40, 0, 2, 0x01, 0x9a],
                start(FrameTag {
                    temporal: 2,
                    ..discardable
                }),
            ),
            // Slices: the first, a later one, one that no picture refers to.
            (&[0x41, 0x9a], start(tag)),
            (&[0x41, 0x40], tag),
            (&[0x01, 0x40], discardable),
            // Keyframes: parameter sets; a first and a later slice; a fragment within one.
            (&[0x67, 0x42], start(key)),
            (&[0x65, 0x88], start(key)),
            (&[0x65, 0x40], key),
            (&[0x7c, 0x85, 0x88], start(key)),
            (&[0x7c, 0x05, 0x88], key),
            (&[0x1c, 0x01, 0x88], discardable),
            (&[0x09, 0x10], start(tag)),
        ];
        for (payload, expected) in table {
            assert_eq!(super::tag(payload, false), *expected, "{payload:02x?}");
        }
        assert!(super::tag(&[0x41, 0x9a], true).frame_end);
    }
}
