//! Where messages end in a stream (RFC 8656 sections 3.1 and 12.5), and what data on a channel looks like.

/// Longest message of a stream, with its header. Media is far shorter.
pub(crate) const MAX_FRAME: usize = 8_192;

const CHANNEL_HEADER: usize = 4;
const STUN_HEADER: usize = 20;
/// Channels by number (RFC 8656 section 12).
pub(super) const CHANNELS: std::ops::RangeInclusive<u16> = 0x4000..=0x4fff;

/// What comes on a stream is no TURN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotFramed;

/// The length of the message that a stream goes on with, padding included; `None` while too little of it is there.
pub(crate) fn frame_len(stream: &[u8]) -> Result<Option<usize>, NotFramed> {
    let Some((&[first, _, high, low], _)) = stream.split_first_chunk::<CHANNEL_HEADER>() else {
        return match stream.first() {
            Some(0x80..) => Err(NotFramed),
            _ => Ok(None),
        };
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let whole = match first {
        0..=0x3f => STUN_HEADER + length,
        0x40..=0x7f => CHANNEL_HEADER + length.next_multiple_of(4),
        0x80.. => return Err(NotFramed),
    };
    if whole > MAX_FRAME {
        return Err(NotFramed);
    }
    Ok(Some(whole))
}

/// Whether a message is, by its first byte, one on a channel (RFC 8656 section 12).
pub(crate) fn is_channel_data(message: &[u8]) -> bool {
    matches!(message.first(), Some(0x40..=0x4f))
}

/// The number and the data of a message on a channel.
pub(super) fn read_channel_data(message: &[u8]) -> Option<(u16, &[u8])> {
    let (&[a, b, high, low], data) = message.split_first_chunk::<CHANNEL_HEADER>()?;
    let number = u16::from_be_bytes([a, b]);
    let data = data.get(..usize::from(u16::from_be_bytes([high, low])))?;
    CHANNELS.contains(&number).then_some((number, data))
}

/// Appends a message on a channel, padded for a stream.
pub(super) fn write_channel_data(number: u16, data: &[u8], padded: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&(data.len() as u16).to_be_bytes());
    out.extend_from_slice(data);
    if padded {
        let padding = data.len().next_multiple_of(4) - data.len();
        out.extend_from_slice(&[0; 3][..padding]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_where_its_header_says() {
        assert_eq!(frame_len(&[]), Ok(None));
        assert_eq!(frame_len(&[0, 1, 0]), Ok(None));
        assert_eq!(frame_len(&[0, 1, 0, 8]), Ok(Some(28)));
        assert_eq!(frame_len(&[0x40, 0, 0, 5]), Ok(Some(12)));
        assert_eq!(frame_len(&[0x40, 0, 0xff, 0]), Err(NotFramed));
        for first in [0x80, 0x90, 0xff] {
            assert_eq!(frame_len(&[first]), Err(NotFramed));
            assert_eq!(frame_len(&[first, 0, 0, 0]), Err(NotFramed));
        }
    }

    #[test]
    fn data_on_a_channel_comes_back_as_it_was() {
        for length in 0..9 {
            let data = &[7; 9][..length];
            let mut out = Vec::new();
            write_channel_data(0x4001, data, true, &mut out);
            assert_eq!(frame_len(&out), Ok(Some(out.len())));
            assert_eq!(read_channel_data(&out), Some((0x4001, data)));
            let mut unpadded = Vec::new();
            write_channel_data(0x4001, data, false, &mut unpadded);
            assert_eq!(read_channel_data(&unpadded), Some((0x4001, data)));
            if length > 0 {
                assert_eq!(read_channel_data(&unpadded[..3 + length]), None);
            }
        }
        assert_eq!(read_channel_data(&[0x50, 0, 0, 0]), None);
    }
}
