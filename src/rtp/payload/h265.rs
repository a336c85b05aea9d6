//! Keyframes and temporal layers of H.265 (RFC 7798 section 4).

use super::FrameTag;
use super::aggregation::units;

const VPS: u8 = 32;
const SPS: u8 = 33;
const DELIMITER: u8 = 35;
const AGGREGATION: u8 = 48;
const FRAGMENT: u8 = 49;

/// Whether the payload carries a video or sequence parameter set, or the first slice of a random access
/// picture.
pub(super) fn is_keyframe_start(payload: &[u8]) -> bool {
    let Some((head, body)) = payload.split_first_chunk::<2>() else {
        return false;
    };
    match kind_of(head[0]) {
        // Decoding order numbers, which would stand before the lengths, are never negotiated.
        AGGREGATION => units(body).any(|([head, _], slice)| starts(kind_of(*head), slice)),
        FRAGMENT => match body {
            // Only the fragment that starts the unit.
            [fragment, slice @ ..] if fragment & 0x80 != 0 => starts(fragment & 0x3f, slice),
            _ => false,
        },
        kind => starts(kind, body),
    }
}

fn kind_of(first: u8) -> u8 {
    (first >> 1) & 0x3f
}

/// What a selector must know. The lowest temporal layer of aggregated units stands in the packet's own header.
pub(super) fn tag(payload: &[u8], marker: bool) -> FrameTag {
    let mut tag = FrameTag::unknown(marker);
    let Some(([first, second], body)) = payload.split_first_chunk::<2>() else {
        return tag;
    };
    // nuh_temporal_id_plus1; 0 is forbidden.
    tag.temporal = (second & 0x07).saturating_sub(1);
    match kind_of(*first) {
        AGGREGATION => {
            for ([head, _], unit) in units(body) {
                add_unit(&mut tag, kind_of(*head), unit);
            }
        }
        FRAGMENT => {
            if let [fragment, unit @ ..] = body {
                let is_first = fragment & 0x80 != 0;
                let unit = if is_first { unit } else { &[] };
                add_unit(&mut tag, fragment & 0x3f, unit);
            }
        }
        kind => add_unit(&mut tag, kind, body),
    }
    tag.temporal_switch |= tag.keyframe;
    tag.spatial_switch = tag.keyframe;
    tag
}

/// Adds what a unit says. Of one that is continued here, only the kind is given.
fn add_unit(tag: &mut FrameTag, kind: u8, unit: &[u8]) {
    match kind {
        0..=15 => {
            tag.frame_start |= is_first_slice(unit);
            // TSA and STSA pictures (ITU-T H.265 section 7.4.2.2) are there to go up at.
            tag.temporal_switch |= matches!(kind, 2..=5);
        }
        16..=23 => {
            tag.frame_start |= is_first_slice(unit);
            tag.keyframe = true;
        }
        VPS | SPS => {
            tag.frame_start = true;
            tag.keyframe = true;
        }
        DELIMITER => tag.frame_start = true,
        _ => {}
    }
}

/// Types 16 to 23 are random access pictures (ITU-T H.265 section 7.4.2.2).
fn starts(kind: u8, slice: &[u8]) -> bool {
    match kind {
        VPS | SPS => true,
        16..=23 => is_first_slice(slice),
        _ => false,
    }
}

/// The first bit of a slice is `first_slice_segment_in_pic_flag` (ITU-T H.265 section 7.3.6.1).
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
            (&[0x40], false),
            (&[0x40, 0x01], true),
            (&[0x42, 0x01, 1], true),
            (&[0x44, 0x01, 1], false),
            // IDR_W_RADL (19) and CRA (21), first slice and not; a trailing picture (1).
            (&[0x26, 0x01, 0x80], true),
            (&[0x26, 0x01, 0x00], false),
            (&[0x2a, 0x01, 0x80], true),
            (&[0x02, 0x01, 0x80], false),
            // Aggregated: PPS and SPS; PPS alone; cut short.
            (
                &[0x60, 0x01, 0, 3, 0x44, 0x01, 1, 0, 3, 0x42, 0x01, 1],
                true,
            ),
            (&[0x60, 0x01, 0, 3, 0x44, 0x01, 1], false),
            (&[0x60, 0x01, 0, 9, 0x42, 0x01], false),
            (&[0x60, 0x01, 0, 1, 0x42, 0, 2, 0x42, 0x01], false),
            // Fragments: the start of an IDR, its middle.
            (&[0x62, 0x01, 0x80 | 19, 0x80], true),
            (&[0x62, 0x01, 19, 0x80], false),
            (&[0x62, 0x01], false),
        ];
        for (payload, expected) in table {
            assert_eq!(is_keyframe_start(payload), *expected, "{payload:02x?}");
        }
    }

    #[test]
    fn every_packet_tells_its_temporal_layer() {
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
        let table: &[(&[u8], FrameTag)] = &[
            (&[0x02], tag),
            // A trailing picture of layer 0, first slice and not; of layer 2; of a forbidden one.
            (&[0x02, 0x01, 0x80], start(tag)),
            (&[0x02, 0x01, 0x00], tag),
            (&[0x02, 0x03, 0x00], layer(2)),
            (&[0x02, 0x00, 0x00], tag),
            // TSA_N (2) of layer 1.
            (
                &[0x04, 0x02, 0x80],
                start(FrameTag {
                    temporal_switch: true,
                    ..layer(1)
                }),
            ),
            // Keyframes: parameter sets, a slice, aggregated, the middle of a fragmented one.
            (&[0x40, 0x01, 0x00], start(key)),
            (&[0x26, 0x01, 0x00], key),
            (&[0x60, 0x01, 0, 3, 0x26, 0x01, 0x80], start(key)),
            (&[0x62, 0x01, 19, 0x80], key),
            // The start and the middle of a fragmented picture of layer 1.
            (&[0x62, 0x02, 0x81, 0x80], start(layer(1))),
            (&[0x62, 0x02, 0x01, 0x80], layer(1)),
            (&[0x46, 0x01, 0x50], start(tag)),
        ];
        for (payload, expected) in table {
            assert_eq!(super::tag(payload, false), *expected, "{payload:02x?}");
        }
        assert!(super::tag(&[0x02, 0x01, 0x80], true).frame_end);
    }
}
