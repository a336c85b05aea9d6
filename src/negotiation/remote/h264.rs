//! The H.264 profile in a `profile-level-id`.

use crate::rtp::H264Profile;

/// The profile of a `profile-level-id` (RFC 6184 section 8.1, table 5): six hexadecimal digits, of which
/// the last two, the level, do not matter. Nothing for a profile that is not forwarded.
pub(super) fn parse_profile(text: &str) -> Option<H264Profile> {
    if text.len() != 6 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let number = u32::from_str_radix(text, 16).ok()?;
    let (idc, iop) = (number >> 16, (number >> 8) & 0xff);
    Some(match (idc, iop) {
        // The constraint flags of the patterns x1xx0000, 1xxx0000 and 11xx0000.
        (0x42, iop) if iop & 0x4f == 0x40 => H264Profile::ConstrainedBaseline,
        (0x4d, iop) if iop & 0x8f == 0x80 => H264Profile::ConstrainedBaseline,
        (0x58, iop) if iop & 0xcf == 0xc0 => H264Profile::ConstrainedBaseline,
        // x0xx0000 and 10xx0000.
        (0x42, iop) if iop & 0x4f == 0 => H264Profile::Baseline,
        (0x58, iop) if iop & 0xcf == 0x80 => H264Profile::Baseline,
        // 0x0x0000.
        (0x4d, iop) if iop & 0xaf == 0 => H264Profile::Main,
        (0x64, 0x00) => H264Profile::High,
        (0x64, 0x0c) => H264Profile::ConstrainedHigh,
        (0xf4, 0x00) => H264Profile::PredictiveHigh444,
        _ => return None,
    })
}

/// The `profile-level-id` that stands for a profile in our offers, at level 3.1 as browsers say.
pub(crate) fn profile_level_id(profile: H264Profile) -> &'static str {
    match profile {
        H264Profile::ConstrainedBaseline => "42e01f",
        H264Profile::Baseline => "42001f",
        H264Profile::Main => "4d001f",
        H264Profile::ConstrainedHigh => "640c1f",
        H264Profile::High => "64001f",
        H264Profile::PredictiveHigh444 => "f4001f",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_told_by_their_constraint_flags() {
        for (text, profile) in [
            ("42e01f", Some(H264Profile::ConstrainedBaseline)),
            ("42C02A", Some(H264Profile::ConstrainedBaseline)),
            ("4de01f", Some(H264Profile::ConstrainedBaseline)),
            ("4d801f", Some(H264Profile::ConstrainedBaseline)),
            ("58c01f", Some(H264Profile::ConstrainedBaseline)),
            ("42001f", Some(H264Profile::Baseline)),
            ("42a01e", Some(H264Profile::Baseline)),
            ("58a01e", Some(H264Profile::Baseline)),
            ("4d001f", Some(H264Profile::Main)),
            ("4d401f", Some(H264Profile::Main)),
            ("640c34", Some(H264Profile::ConstrainedHigh)),
            ("640034", Some(H264Profile::High)),
            ("f4001f", Some(H264Profile::PredictiveHigh444)),
            ("640834", None),
            ("42e01", None),
            ("+2e01f", None),
        ] {
            assert_eq!(parse_profile(text), profile, "{text}");
        }
        for profile in [
            H264Profile::ConstrainedBaseline,
            H264Profile::Baseline,
            H264Profile::Main,
            H264Profile::ConstrainedHigh,
            H264Profile::High,
            H264Profile::PredictiveHigh444,
        ] {
            assert_eq!(parse_profile(profile_level_id(profile)), Some(profile));
        }
    }
}
