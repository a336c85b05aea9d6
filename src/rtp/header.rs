//! A look at an RTP packet where it lies, without copying or allocating (RFC 3550 section 5.1).

use std::fmt;

use crate::rtp::{Elements, ExtensionMap, Extensions};

/// The fixed part of the header.
const FIXED_LEN: usize = 12;

/// Why bytes are no RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtpError {
    /// Fewer bytes than the header says it has.
    TooShort,
    /// The version is not 2.
    Version,
    /// The padding is longer than the payload, or claims no byte for its own length.
    Padding,
}

impl fmt::Display for RtpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "the packet ends before its header does",
            Self::Version => "the RTP version is not 2",
            Self::Padding => "the padding does not fit the packet",
        })
    }
}

impl std::error::Error for RtpError {}

/// The fields of the fixed header that forwarding changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderFields {
    /// What it means depends on the payload: mostly the last packet of a video frame.
    pub marker: bool,
    /// 0 to 127.
    pub payload_type: u8,
    /// The sequence number on the wire.
    pub sequence: u16,
    /// In ticks of the codec's clock rate.
    pub timestamp: u32,
    /// The stream.
    pub ssrc: u32,
}

/// The header of a packet. The header of SRTP is never encrypted, so it can be read before decryption;
/// [`padding_len`](Self::padding_len) and [`payload`](Self::payload) mean something only on a plain packet.
#[derive(Clone, Copy, Debug)]
pub struct HeaderView<'a> {
    packet: &'a [u8],
    header_len: usize,
    fields: HeaderFields,
    profile: u16,
    extension: &'a [u8],
}

impl<'a> HeaderView<'a> {
    /// Checks that the whole header, CSRCs and extension block included, lies within `packet`.
    pub fn parse(packet: &'a [u8]) -> Result<Self, RtpError> {
        let (fixed, rest) = packet
            .split_first_chunk::<FIXED_LEN>()
            .ok_or(RtpError::TooShort)?;
        if fixed[0] >> 6 != 2 {
            return Err(RtpError::Version);
        }
        let csrc_len = usize::from(fixed[0] & 0x0f) * 4;
        let mut header_len = FIXED_LEN + csrc_len;
        let after_csrc = rest.get(csrc_len..).ok_or(RtpError::TooShort)?;
        let mut profile = 0;
        let mut extension: &[u8] = &[];
        if fixed[0] & 0x10 != 0 {
            let (head, body) = after_csrc
                .split_first_chunk::<4>()
                .ok_or(RtpError::TooShort)?;
            profile = u16::from_be_bytes([head[0], head[1]]);
            let len = usize::from(u16::from_be_bytes([head[2], head[3]])) * 4;
            extension = body.get(..len).ok_or(RtpError::TooShort)?;
            header_len += 4 + len;
        }
        Ok(Self {
            packet,
            header_len,
            fields: HeaderFields {
                marker: fixed[1] & 0x80 != 0,
                payload_type: fixed[1] & 0x7f,
                sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
                timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
                ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            },
            profile,
            extension,
        })
    }

    /// Always 2.
    pub fn version(&self) -> u8 {
        2
    }

    /// All that a new header needs, free of the packet's lifetime.
    pub fn fields(&self) -> HeaderFields {
        self.fields
    }

    /// The marker bit.
    pub fn marker(&self) -> bool {
        self.fields.marker
    }

    /// 0 to 127.
    pub fn payload_type(&self) -> u8 {
        self.fields.payload_type
    }

    /// The sequence number on the wire.
    pub fn sequence(&self) -> u16 {
        self.fields.sequence
    }

    /// In ticks of the codec's clock rate.
    pub fn timestamp(&self) -> u32 {
        self.fields.timestamp
    }

    /// The stream.
    pub fn ssrc(&self) -> u32 {
        self.fields.ssrc
    }

    /// The contributing sources, four bytes each.
    pub fn csrc(&self) -> &'a [u8] {
        let len = usize::from(self.packet.first().map_or(0, |b| b & 0x0f)) * 4;
        self.packet
            .get(FIXED_LEN..FIXED_LEN + len)
            .unwrap_or_default()
    }

    /// Where the payload starts.
    pub fn header_len(&self) -> usize {
        self.header_len
    }

    /// Whether the padding bit is set.
    pub fn has_padding(&self) -> bool {
        self.packet.first().is_some_and(|b| b & 0x20 != 0)
    }

    /// How many bytes at the end are padding, the length byte included. On a plain packet only.
    pub fn padding_len(&self) -> Result<usize, RtpError> {
        if !self.has_padding() {
            return Ok(0);
        }
        let len = usize::from(self.packet.last().copied().unwrap_or(0));
        if len == 0 || len > self.packet.len() - self.header_len {
            return Err(RtpError::Padding);
        }
        Ok(len)
    }

    /// The payload without padding. On a plain packet only. Empty for a packet that only pads.
    pub fn payload(&self) -> Result<&'a [u8], RtpError> {
        let end = self.packet.len() - self.padding_len()?;
        self.packet
            .get(self.header_len..end)
            .ok_or(RtpError::Padding)
    }

    /// The extension elements in the order of the packet, in either form of RFC 8285. Empty for a
    /// profile that is neither.
    pub fn elements(&self) -> Elements<'a> {
        Elements::new(self.profile, self.extension)
    }

    /// The extensions that `map` names, in one pass.
    pub fn extensions(&self, map: &ExtensionMap) -> Extensions<'a> {
        self.elements().read(map)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rtp::Extension;

    const FIXED: [u8; 12] = [
        0x80, 0xe0, 0x12, 0x34, 0xde, 0xad, 0xbe, 0xef, 0xca, 0xfe, 0xba, 0xbe,
    ];

    fn with(first: u8, rest: &[u8]) -> Vec<u8> {
        let mut packet = FIXED.to_vec();
        packet[0] = first;
        packet.extend_from_slice(rest);
        packet
    }

    #[test]
    fn the_fixed_header_is_read() {
        let packet = with(0x80, b"payload");
        let view = HeaderView::parse(&packet).unwrap();
        assert_eq!(
            view.fields(),
            HeaderFields {
                marker: true,
                payload_type: 96,
                sequence: 0x1234,
                timestamp: 0xdead_beef,
                ssrc: 0xcafe_babe,
            }
        );
        assert_eq!(view.header_len(), 12);
        assert_eq!(view.payload(), Ok(&b"payload"[..]));
        assert_eq!(view.elements().count(), 0);
    }

    #[test]
    fn csrcs_and_the_extension_block_precede_the_payload() {
        let packet = with(
            0x92,
            &[
                1, 2, 3, 4, 5, 6, 7, 8, // two CSRCs
                0xbe, 0xde, 0, 1, 0x10, 0xaa, 0, 0, // one extension and padding
                0x55,
            ],
        );
        let view = HeaderView::parse(&packet).unwrap();
        assert_eq!(view.csrc(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(view.header_len(), 28);
        assert_eq!(view.payload(), Ok(&[0x55][..]));
        let elements: Vec<_> = view.elements().map(|e| (e.id, e.data.to_vec())).collect();
        assert_eq!(elements, [(1, vec![0xaa])]);
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        let whole = with(0x91, &[1, 2, 3, 4, 0xbe, 0xde, 0, 1, 0x10, 0xaa, 0, 0]);
        for len in 0..whole.len() {
            assert_eq!(
                HeaderView::parse(&whole[..len]).err(),
                Some(RtpError::TooShort),
                "{len}"
            );
        }
        assert!(HeaderView::parse(&whole).is_ok());
        assert_eq!(
            HeaderView::parse(&with(0x40, b"")).err(),
            Some(RtpError::Version)
        );
    }

    #[test]
    fn padding_must_fit_the_payload() {
        let payload = |rest: &[u8]| {
            let packet = with(0xa0, rest);
            HeaderView::parse(&packet)
                .unwrap()
                .payload()
                .map(<[u8]>::to_vec)
        };
        assert_eq!(payload(&[1, 2, 0, 2]), Ok(vec![1, 2]));
        assert_eq!(payload(&[0, 0, 3]), Ok(vec![]));
        assert_eq!(payload(&[0, 0, 4]), Err(RtpError::Padding));
        assert_eq!(payload(&[0, 0, 0]), Err(RtpError::Padding));
        // The last byte of the header is no padding length.
        assert_eq!(payload(&[]), Err(RtpError::Padding));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(packet in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut map = ExtensionMap::default();
            for (index, extension) in Extension::ALL.into_iter().enumerate() {
                map.insert(index as u8 + 1, extension);
            }
            if let Ok(view) = HeaderView::parse(&packet) {
                prop_assert!(view.header_len() <= packet.len());
                let _ = view.extensions(&map);
                let _ = view.csrc();
                if let (Ok(payload), Ok(padding)) = (view.payload(), view.padding_len()) {
                    prop_assert_eq!(view.header_len() + payload.len() + padding, packet.len());
                }
            }
        }
    }
}
