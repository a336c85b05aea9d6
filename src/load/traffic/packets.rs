//! How a frame becomes packets.

/// Bytes of [`Vp8Header::descriptor`].
pub(crate) const DESCRIPTOR_LEN: usize = 4;

/// Cuts `len` bytes into as few parts as `limit` allows, nearly equal, the longer ones last, as libwebrtc does.
/// `limit` must not be 0.
pub(crate) fn split_evenly(len: usize, limit: usize) -> impl Iterator<Item = usize> {
    let parts = len.div_ceil(limit.max(1)).max(1);
    let (least, longer) = (len / parts, len % parts);
    (0..parts).map(move |part| least + usize::from(part >= parts - longer))
}

/// What precedes the data of VP8 in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vp8Header {
    /// 15 bits that count frames.
    pub(crate) picture_id: u16,
    /// Whether the packet is the first of its frame.
    pub(crate) starts: bool,
    /// Whether the frame is a keyframe.
    pub(crate) keyframe: bool,
}

impl Vp8Header {
    /// The payload descriptor with a picture id of 15 bits, as Chromium writes it (RFC 7741 section 4.2).
    pub(crate) fn descriptor(self) -> [u8; DESCRIPTOR_LEN] {
        let [high, low] = self.picture_id.to_be_bytes();
        let start = if self.starts { 0x10 } else { 0 };
        [0x80 | start, 0x80, 0x80 | high, low]
    }

    /// The frame's own header, in its first packet (RFC 6386 section 9.1): what routers and decoders
    /// know a keyframe by. A size of 1280 x 720.
    pub(crate) fn frame_tag(self) -> &'static [u8] {
        const KEYFRAME: [u8; 10] = [0x10, 0x20, 0x00, 0x9d, 0x01, 0x2a, 0x00, 0x05, 0xd0, 0x02];
        const OTHER: [u8; 3] = [0x11, 0x20, 0x00];
        match (self.starts, self.keyframe) {
            (true, true) => &KEYFRAME,
            (true, false) => &OTHER,
            (false, _) => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::Codec;
    use crate::rtp::payload::{Vp8Descriptor, is_keyframe_start};

    #[test]
    fn parts_are_few_and_nearly_equal_and_the_longer_ones_last() {
        for (len, limit, expected) in [
            (1, 1_100, vec![1]),
            (1_100, 1_100, vec![1_100]),
            (1_101, 1_100, vec![550, 551]),
            (6_251, 1_100, vec![1_041, 1_042, 1_042, 1_042, 1_042, 1_042]),
        ] {
            let parts: Vec<usize> = split_evenly(len, limit).collect();
            assert_eq!(parts, expected);
            assert_eq!(parts.iter().sum::<usize>(), len);
        }
    }

    #[test]
    fn a_router_sees_where_a_keyframe_starts_and_counts_its_pictures() {
        for (starts, keyframe) in [(true, true), (true, false), (false, true), (false, false)] {
            let header = Vp8Header {
                picture_id: 0x1234,
                starts,
                keyframe,
            };
            let mut payload = header.descriptor().to_vec();
            payload.extend_from_slice(header.frame_tag());
            payload.extend_from_slice(&[1; 20]);
            let read = Vp8Descriptor::parse(&payload).unwrap();
            assert_eq!(read.len, DESCRIPTOR_LEN);
            assert_eq!(read.ids.picture_id.unwrap().value, 0x1234);
            assert_eq!(read.frame_start, starts);
            assert_eq!(
                is_keyframe_start(Codec::Vp8, &payload, None),
                starts && keyframe
            );
        }
    }
}
