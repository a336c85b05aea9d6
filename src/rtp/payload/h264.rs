//! Keyframes of H.264 (RFC 6184 section 5).

const IDR: u8 = 5;
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// Whether the payload carries a sequence parameter set, or the first slice of an IDR picture.
pub(super) fn is_keyframe_start(payload: &[u8]) -> bool {
    let [head, body @ ..] = payload else {
        return false;
    };
    match head & 0x1f {
        STAP_A => aggregated(body),
        FU_A => match body {
            // Only the fragment that starts the unit.
            [fragment, slice @ ..] if fragment & 0x80 != 0 => starts(fragment & 0x1f, slice),
            _ => false,
        },
        kind => starts(kind, body),
    }
}

/// Units with a 16-bit length before each (RFC 6184 section 5.7.1).
fn aggregated(mut body: &[u8]) -> bool {
    while let Some((len, rest)) = body.split_first_chunk::<2>() {
        let len = usize::from(u16::from_be_bytes(*len));
        let Some(([head, slice @ ..], after)) = rest.split_at_checked(len) else {
            return false;
        };
        if starts(head & 0x1f, slice) {
            return true;
        }
        body = after;
    }
    false
}

/// `first_mb_in_slice`, the first field of a slice, is a single 1 bit when it is zero (ITU-T H.264
/// section 7.3.3).
fn starts(kind: u8, slice: &[u8]) -> bool {
    match kind {
        SPS => true,
        IDR => slice.first().is_some_and(|b| b & 0x80 != 0),
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
}
