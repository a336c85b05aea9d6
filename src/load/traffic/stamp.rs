//! What packets carry in the place of pictures and sound: the time of their sending, and filling.

use std::ops::Range;

/// Tells a stamp from what another program sends.
const MAGIC: [u8; 4] = *b"CpLd";
/// Bytes of a stamp.
pub(crate) const STAMP_LEN: usize = 20;
/// Bytes after the payload descriptor at which a stamp begins in video: past the longest header of a frame.
const VIDEO_OFFSET: usize = 10;
/// In audio it follows Opus's table-of-contents byte.
const AUDIO_OFFSET: usize = 1;

/// When a packet was sent, and in which stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// In nanoseconds since the run began.
    pub(crate) sent: u64,
    /// The stream's SSRC at its publisher.
    pub(crate) ssrc: u32,
    /// The packet's sequence number at its publisher.
    pub(crate) sequence: u16,
}

impl Stamp {
    fn to_bytes(self) -> [u8; STAMP_LEN] {
        let mut bytes = [0; STAMP_LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..12].copy_from_slice(&self.sent.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.ssrc.to_be_bytes());
        bytes[16..18].copy_from_slice(&self.sequence.to_be_bytes());
        let sum = checksum(&bytes[..18]);
        bytes[18..].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// Whether data of this length has a stamp.
    pub(crate) fn fits(len: usize, video: bool) -> bool {
        len >= place(video).end
    }

    /// The stamp of a plain payload, without its descriptor. `None` where it is too short for one, or
    /// altered.
    pub(crate) fn read(data: &[u8], video: bool) -> Option<Self> {
        let bytes: &[u8; STAMP_LEN] = data.get(place(video))?.try_into().ok()?;
        let right = bytes[..4] == MAGIC && bytes[18..] == checksum(&bytes[..18]).to_be_bytes();
        let [_, _, _, _, sent @ .., _, _, _, _, _, _, _, _] = bytes;
        right.then_some(Self {
            sent: u64::from_be_bytes(*sent),
            ssrc: u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]),
            sequence: u16::from_be_bytes([bytes[16], bytes[17]]),
        })
    }
}

/// Where the stamp lies in the data.
fn place(video: bool) -> Range<usize> {
    let start = if video { VIDEO_OFFSET } else { AUDIO_OFFSET };
    start..start + STAMP_LEN
}

/// Appends data of `len` bytes, or as many as `header` has: the header, the stamp where there is room, and
/// filling that does not compress.
pub(crate) fn fill(out: &mut Vec<u8>, header: &[u8], len: usize, stamp: Stamp, video: bool) {
    let start = out.len();
    out.extend_from_slice(header);
    let mut left = len.saturating_sub(header.len());
    while left > 0 {
        let part = left.min(FILLING.len());
        out.extend_from_slice(&FILLING[..part]);
        left -= part;
    }
    if Stamp::fits(out.len() - start, video) {
        let place = place(video);
        if let Some(at) = out.get_mut(start + place.start..start + place.end) {
            at.copy_from_slice(&stamp.to_bytes());
        }
    }
}

/// A byte sequence of no pattern (a linear congruence, Knuth's MMIX).
static FILLING: [u8; 1_500] = {
    let mut bytes = [0; 1_500];
    let mut state: u64 = 1;
    let mut at = 0;
    while at < bytes.len() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        bytes[at] = (state >> 56) as u8;
        at += 1;
    }
    bytes
};

fn checksum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum: u16, byte| {
        sum.rotate_left(3).wrapping_add(u16::from(*byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp {
        sent: 0x0102_0304_0506_0708,
        ssrc: 0x1000_0040,
        sequence: 65_535,
    };

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        for (header, len, video) in [
            (&[1; 10][..], 1_000, true),
            (&[1; 3], 30, true),
            (&[], 30, true),
            (&[1], 21, false),
        ] {
            let mut data = vec![9];
            fill(&mut data, header, len, STAMP, video);
            assert_eq!(data.len(), 1 + len);
            assert_eq!(&data[1..=header.len()], header);
            assert_eq!(Stamp::read(&data[1..], video), Some(STAMP));
            data[1 + len - 1] ^= 1;
            assert_eq!(Stamp::read(&data[1..], video).is_some(), len > 30);
        }
    }

    #[test]
    fn what_is_too_short_has_none() {
        let mut data = Vec::new();
        fill(&mut data, &[1], 2, STAMP, false);
        assert_eq!(data.len(), 2);
        assert_eq!(Stamp::read(&data, false), None);
        assert_eq!(Stamp::read(&[0; 100], true), None);
    }
}
