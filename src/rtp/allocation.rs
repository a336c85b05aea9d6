//! Which encodings a publisher of simulcast sends, as it says itself: the header extension "video layers allocation" of
//! libwebrtc, <http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00>.

/// What a packet says of the streams of its track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayersAllocation {
    /// The number of the stream that the packet belongs to, 0 to 3.
    pub stream: u8,
    /// The streams that are sent: a bit for each number.
    active: u8,
}

impl LayersAllocation {
    /// Reads the head of the extension; bitrates and sizes follow it. `None` where that is cut short.
    ///
    /// The first byte has the packet's stream and how many there are less one, two bits each, then the spatial layers that
    /// all of them have. Where they differ, that is 0, and half a byte for each stream follows. A zero alone says that
    /// nothing is sent.
    pub fn parse(data: &[u8]) -> Option<Self> {
        let (&head, rest) = data.split_first()?;
        let stream = head >> 6;
        let count = (head >> 4 & 3) + 1;
        if head & 0xf != 0 {
            let active = (1 << count) - 1;
            return Some(Self { stream, active });
        }
        if data == [0] {
            return Some(Self { stream, active: 0 });
        }
        let mut active = 0;
        for number in 0..count {
            let pair = *rest.get(usize::from(number / 2))?;
            let layers = if number % 2 == 0 {
                pair >> 4
            } else {
                pair & 0xf
            };
            active |= u8::from(layers != 0) << number;
        }
        Some(Self { stream, active })
    }

    /// Whether a stream is sent.
    pub fn is_active(&self, stream: u8) -> bool {
        stream < 8 && self.active & 1 << stream != 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn active(data: &[u8]) -> Option<(u8, Vec<u8>)> {
        let read = LayersAllocation::parse(data)?;
        let active = (0..8).filter(|stream| read.is_active(*stream)).collect();
        Some((read.stream, active))
    }

    #[test]
    fn all_streams_may_have_the_same_layers() {
        // Stream 1 of three; two temporal layers each, and their bitrates.
        let data = [0b0110_0001, 0b0101_0100, 50, 75, 80, 90, 100, 120];
        assert_eq!(active(&data), Some((1, vec![0, 1, 2])));
        assert_eq!(active(&[0b0000_0111]), Some((0, vec![0])));
    }

    #[test]
    fn each_stream_may_have_its_own() {
        // The last of three is not sent.
        assert_eq!(
            active(&[0b0010_0000, 0b0001_0001, 0b0000_0000, 0, 50, 90]),
            Some((0, vec![0, 1]))
        );
        assert_eq!(
            active(&[0b1011_0000, 0b0000_0001, 0b0011_0001]),
            Some((2, vec![1, 2, 3]))
        );
        assert_eq!(active(&[0b0001_0000, 0b0000_0001]), Some((0, vec![1])));
    }

    #[test]
    fn nothing_may_be_sent_and_what_is_cut_short_says_nothing() {
        assert_eq!(active(&[0]), Some((0, vec![])));
        assert_eq!(active(&[]), None);
        assert_eq!(active(&[0b0010_0000]), None);
        assert_eq!(active(&[0b0010_0000, 0x11]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(data in proptest::collection::vec(any::<u8>(), 0..20)) {
            if let Some(read) = LayersAllocation::parse(&data) {
                prop_assert!(read.stream < 4);
                prop_assert!((4..=u8::MAX).all(|stream| !read.is_active(stream)));
            }
        }
    }
}
