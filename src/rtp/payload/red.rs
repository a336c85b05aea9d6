//! Redundant audio: the blocks of a RED payload (RFC 2198 section 3).

/// One encoding of a piece of audio within a RED payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedBlock<'a> {
    /// What the data are, 0 to 127, by the numbers of the m-line.
    pub payload_type: u8,
    /// How much older than the packet's timestamp it is, 0 to 16,383 ticks of the clock; 0 for the primary.
    pub timestamp_offset: u16,
    /// As it would lie in a packet of its own, at most 1,023 bytes where it is redundant.
    pub data: &'a [u8],
}

/// The blocks of a RED payload in their order, the primary last. Copies of the same audio that were sent in
/// packets before come first, oldest before newest as senders order them.
#[derive(Clone, Copy, Debug, Default)]
pub struct RedBlocks<'a> {
    /// The headers that are left, the one of the primary at last; empty when all are given.
    headers: &'a [u8],
    /// The data that belong to them.
    data: &'a [u8],
}

impl<'a> RedBlocks<'a> {
    /// Bytes of a redundant block's header: a set bit, payload type, timestamp offset (14 bits), length (10 bits).
    pub(crate) const HEADER: usize = 4;

    /// Reads the headers of a payload. `None` where they are cut short or name more data than there are: then no
    /// block of it can be trusted.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut primary = 0;
        let mut redundant_data = 0;
        while payload.get(primary)? & 0x80 != 0 {
            let header = payload.get(primary..primary + Self::HEADER)?;
            redundant_data += data_len(header[2], header[3]);
            primary += Self::HEADER;
        }
        let (headers, data) = payload.split_at_checked(primary + 1)?;
        (redundant_data <= data.len()).then_some(Self { headers, data })
    }

    /// The block that the packet's own timestamp belongs to.
    pub fn primary(self) -> Option<RedBlock<'a>> {
        self.last()
    }
}

impl<'a> Iterator for RedBlocks<'a> {
    type Item = RedBlock<'a>;

    fn next(&mut self) -> Option<RedBlock<'a>> {
        match *self.headers {
            [first, high, middle, low, ref rest @ ..] if first & 0x80 != 0 => {
                let (data, after) = self.data.split_at_checked(data_len(middle, low))?;
                (self.headers, self.data) = (rest, after);
                Some(RedBlock {
                    payload_type: first & 0x7f,
                    timestamp_offset: u16::from_be_bytes([high, middle]) >> 2,
                    data,
                })
            }
            [payload_type] => {
                self.headers = &[];
                Some(RedBlock {
                    payload_type,
                    timestamp_offset: 0,
                    data: std::mem::take(&mut self.data),
                })
            }
            _ => None,
        }
    }
}

/// The low two bits of the third byte of a header, and the fourth.
fn data_len(third: u8, fourth: u8) -> usize {
    usize::from(u16::from_be_bytes([third & 0x03, fourth]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(payload_type: u8, timestamp_offset: u16, data: &[u8]) -> RedBlock<'_> {
        RedBlock {
            payload_type,
            timestamp_offset,
            data,
        }
    }

    #[test]
    fn blocks_come_in_order_and_the_primary_takes_what_is_left() {
        type Row<'a> = (&'a [u8], Option<&'a [RedBlock<'a>]>);
        let table: &[Row<'_>] = &[
            (&[], None),
            (&[111], Some(&[block(111, 0, &[])])),
            (&[111, 1, 2], Some(&[block(111, 0, &[1, 2])])),
            // As Chromium sends Opus: one copy, 20 ms older, of two bytes.
            (
                &[0x80 | 111, 0x0f, 0x00, 2, 111, 1, 2, 3],
                Some(&[block(111, 960, &[1, 2]), block(111, 0, &[3])]),
            ),
            // The greatest offset, an empty copy, an empty primary.
            (
                &[0x80 | 5, 0xff, 0xfc, 0, 6],
                Some(&[block(5, 16_383, &[]), block(6, 0, &[])]),
            ),
            // Cut within a header, before the primary's, and within the data.
            (&[0x80 | 111, 0x0f, 0x00], None),
            (&[0x80 | 111, 0x0f, 0x00, 2], None),
            (&[0x80 | 111, 0x0f, 0x00, 2, 111, 1], None),
        ];
        for (payload, expected) in table {
            let blocks = RedBlocks::parse(payload).map(Iterator::collect::<Vec<_>>);
            assert_eq!(blocks.as_deref(), *expected, "{payload:02x?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            redundant in proptest::collection::vec(
                (0u8..128, 0u16..16_384, proptest::collection::vec(any::<u8>(), 0..1024)), 0..5),
            primary in (0u8..128, proptest::collection::vec(any::<u8>(), 0..50)),
        ) {
            let mut payload = vec![];
            for (payload_type, offset, data) in &redundant {
                let word = 1u32 << 31
                    | u32::from(*payload_type) << 24
                    | u32::from(*offset) << 10
                    | data.len() as u32;
                payload.extend_from_slice(&word.to_be_bytes());
            }
            payload.push(primary.0);
            for (_, _, data) in &redundant {
                payload.extend_from_slice(data);
            }
            payload.extend_from_slice(&primary.1);

            let blocks = RedBlocks::parse(&payload).unwrap();
            let mut expected: Vec<_> =
                redundant.iter().map(|(p, o, d)| block(*p, *o, d)).collect();
            expected.push(block(primary.0, 0, &primary.1));
            prop_assert_eq!(blocks.primary(), expected.last().copied());
            prop_assert_eq!(blocks.collect::<Vec<_>>(), expected);
        }

        #[test]
        fn arbitrary_bytes_never_panic(payload in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(blocks) = RedBlocks::parse(&payload) {
                let total: usize = blocks.map(|b| b.data.len()).sum();
                prop_assert!(total < payload.len());
                prop_assert!(blocks.primary().is_some());
            }
        }
    }
}
