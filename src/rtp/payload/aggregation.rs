//! Several units of one picture in one packet, as H.264 (RFC 6184 section 5.7.1) and H.265 (RFC 7798 section 4.4.2) have them.

/// The first `HEAD` bytes and the rest of units with a 16-bit length before each. Ends at one that is cut short, or has
/// no whole head.
pub(super) fn units<const HEAD: usize>(
    mut body: &[u8],
) -> impl Iterator<Item = (&[u8; HEAD], &[u8])> {
    std::iter::from_fn(move || {
        let (len, rest) = body.split_first_chunk::<2>()?;
        let len = usize::from(u16::from_be_bytes(*len));
        let (unit, after) = rest.split_at_checked(len)?;
        body = after;
        unit.split_first_chunk::<HEAD>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_come_one_by_one_up_to_one_that_is_cut_short() {
        let body = [0, 3, 1, 2, 3, 0, 2, 4, 5, 0, 4, 6, 7];
        let heads: Vec<_> = units::<1>(&body).collect();
        assert_eq!(heads, [(&[1], &[2, 3][..]), (&[4], &[5][..])]);
        let heads: Vec<_> = units::<2>(&body).collect();
        assert_eq!(heads, [(&[1, 2], &[3][..]), (&[4, 5], &[][..])]);
        assert_eq!(units::<2>(&[0, 1, 9, 0, 2, 1, 2]).count(), 0, "no head");
        assert_eq!(units::<1>(&[0, 0, 0, 1, 9]).count(), 0, "empty");
    }
}
