//! Where data goes that arrives on a stream after we reset it.
//!
//! The supplier keeps such data, lets nobody read it, and refuses the remote side's own reset until somebody
//! has: the stream would never end and its bytes would weigh on the receive window for ever. So the DATA is
//! relabelled, each fragment a whole unordered message of a stream that is always read.

use bytes::{Bytes, BytesMut};

use super::guard::MAX_STREAMS;

/// No peer can use this stream: it is beyond what was agreed.
pub(super) const SINK: u16 = MAX_STREAMS;

const COMMON_HEADER_LEN: usize = 12;
const DATA: u8 = 0;
/// Unordered, beginning and end of a message.
const WHOLE: u8 = 0b111;

/// Relabels the DATA chunks of closing streams. The packet was found well formed.
pub(super) fn divert(mut packet: BytesMut, is_closing: impl Fn(u16) -> bool) -> Bytes {
    let mut diverted = false;
    let mut rest = packet.get_mut(COMMON_HEADER_LEN..).unwrap_or_default();
    while let Some(header) = rest.first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let padded = length.next_multiple_of(4).clamp(4, rest.len());
        let (chunk, behind) = rest.split_at_mut(padded);
        if let [DATA, flags, _, _, _, _, _, _, stream @ ..] = chunk
            && let Some(stream) = stream.first_chunk_mut::<2>()
            && is_closing(u16::from_be_bytes(*stream))
        {
            *flags |= WHOLE;
            *stream = SINK.to_be_bytes();
            diverted = true;
        }
        rest = behind;
    }
    if diverted && let Some(checksum) = packet.get_mut(8..12) {
        // RFC 9260 appendix A: computed over zeros in its own place, little-endian.
        checksum.fill(0);
        let sum = ::crc32c::crc32c(&packet).to_le_bytes();
        packet[8..12].copy_from_slice(&sum);
    }
    packet.freeze()
}
