//! Keyframes of H.265 (RFC 7798 section 4).

const VPS: u8 = 32;
const SPS: u8 = 33;
const AGGREGATION: u8 = 48;
const FRAGMENT: u8 = 49;

/// Whether the payload carries a video or sequence parameter set, or the first slice of a random access
/// picture.
pub(super) fn is_keyframe_start(payload: &[u8]) -> bool {
    let Some((head, body)) = payload.split_first_chunk::<2>() else {
        return false;
    };
    match kind_of(head[0]) {
        AGGREGATION => aggregated(body),
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

/// Units with a 16-bit length before each (RFC 7798 section 4.4.2). Decoding order numbers, which would
/// stand before the lengths, are never negotiated.
fn aggregated(mut body: &[u8]) -> bool {
    while let Some((len, rest)) = body.split_first_chunk::<2>() {
        let len = usize::from(u16::from_be_bytes(*len));
        let Some(([first, _, slice @ ..], after)) = rest.split_at_checked(len) else {
            return false;
        };
        if starts(kind_of(*first), slice) {
            return true;
        }
        body = after;
    }
    false
}

/// Types 16 to 23 are random access pictures; the first bit of a slice is
/// `first_slice_segment_in_pic_flag` (ITU-T H.265 sections 7.4.2.2 and 7.3.6.1).
fn starts(kind: u8, slice: &[u8]) -> bool {
    match kind {
        VPS | SPS => true,
        16..=23 => slice.first().is_some_and(|b| b & 0x80 != 0),
        _ => false,
    }
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
}
