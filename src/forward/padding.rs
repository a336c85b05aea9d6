//! How much padding makes the neighbours of a stream equally long.
//!
//! The kernel takes a run of equally long datagrams for one destination in one call, and browsers cut a
//! frame into packets that are a byte or a few apart. Padding is decided once for each packet of a source,
//! never for each subscriber.

/// Packets that differ by more than this are left as they are.
const MAX_PADDING: usize = 64;

/// Browsers put the larger packets of a frame last: the first leaves room for one byte more, rounded up to this.
const STEP: usize = 4;

/// Voice is padded to a multiple of this.
const VOICE_STEP: usize = 64;

/// No packet is padded beyond this length of payload and extensions: what IPv6 carries everywhere, less the
/// headers of IP, UDP and RTP and the tag.
const MAX_LEN: usize = 1_280 - 48 - 12 - 16;

/// The lengths of one incoming stream. A length is that of payload and extensions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Padding {
    timestamp: u32,
    target: usize,
}

impl Padding {
    /// Bytes of padding for the next packet of a video stream, 0 to 64. `last` says whether it ends its
    /// frame. That one is padded too: a run of segments may end with a shorter one, but then with no other after it.
    pub fn of_video(&mut self, timestamp: u32, len: usize, last: bool) -> u8 {
        let padding = self.target.checked_sub(len);
        match padding {
            Some(padding) if timestamp == self.timestamp && padding <= MAX_PADDING => padding as u8,
            _ => {
                self.timestamp = timestamp;
                let room = (len + 1).next_multiple_of(STEP);
                self.target = if last || room > MAX_LEN { len } else { room };
                (self.target - len) as u8
            }
        }
    }

    /// Bytes of padding that make a datagram of `size` bytes as long as the one before it on its way to the same
    /// receiver, of any stream: 0 to 255, and an eighth of that one at most. `None` where that is too little, or where
    /// this is the longer one.
    pub fn to_neighbour(size: usize, neighbour: usize) -> Option<u8> {
        let padding = neighbour.checked_sub(size)?;
        u8::try_from(padding)
            .ok()
            .filter(|_| padding <= neighbour / 8)
    }

    /// Bytes of padding for a packet of voice, 0 to 63: several voices to one listener are then of few lengths.
    pub fn of_voice(len: usize) -> u8 {
        (len.next_multiple_of(VOICE_STEP) - len) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(frames: &[&[usize]]) -> Vec<Vec<usize>> {
        let mut padding = Padding::default();
        let frames = frames.iter().zip(1..);
        frames
            .map(|(frame, timestamp)| {
                let last = frame.len() - 1;
                let packets = frame.iter().enumerate();
                packets
                    .map(|(index, &len)| {
                        len + usize::from(padding.of_video(timestamp, len, index == last))
                    })
                    .collect()
            })
            .collect()
    }

    #[test]
    fn the_packets_of_a_frame_become_equally_long() {
        assert_eq!(
            lengths(&[&[1_001, 1_001, 1_002, 1_002], &[900, 880, 840, 836]]),
            [[1_004, 1_004, 1_004, 1_004], [904, 904, 904, 836]]
        );
    }

    #[test]
    fn what_differs_much_ends_its_frame_or_is_long_stays_as_it_is() {
        assert_eq!(lengths(&[&[500]]), [[500]]);
        assert_eq!(lengths(&[&[1_000, 900, 900]]), [[1_004, 904, 904]]);
        let long = MAX_LEN;
        assert_eq!(lengths(&[&[long, long, long]]), [[long; 3]]);
        assert_eq!(lengths(&[&[1_400, 1_390, 1_380]]), [[1_400, 1_400, 1_400]]);
    }

    #[test]
    fn a_datagram_becomes_as_long_as_the_one_before_unless_much_is_missing() {
        for (size, neighbour, padding) in [
            (1_000, 1_000, Some(0)),
            (900, 1_000, Some(100)),
            (875, 1_000, Some(125)),
            (874, 1_000, None),
            (1_001, 1_000, None),
            (19_700, 20_000, None),
        ] {
            assert_eq!(Padding::to_neighbour(size, neighbour), padding, "{size}");
        }
    }

    #[test]
    fn voice_has_few_lengths() {
        for len in 0..300 {
            let padded = len + usize::from(Padding::of_voice(len));
            assert!(padded >= len && padded < len + VOICE_STEP);
            assert_eq!(padded % VOICE_STEP, 0);
        }
    }
}
