//! Keyframes of AV1 (RTP Payload Format For AV1, sections 4.4 and A.8).

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
}
