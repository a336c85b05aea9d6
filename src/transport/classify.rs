//! What a datagram on the one UDP port is, told by its first bytes.

/// The protocols that share a port (RFC 7983, RFC 5761).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatagramKind {
    /// A connectivity or consent check.
    Stun,
    /// DTLS records: a handshake, or data channels.
    Dtls,
    /// An SRTP packet.
    Rtp,
    /// A compound SRTCP packet.
    Rtcp,
}

/// Tells protocols apart by the first byte (RFC 7983 section 7), and RTP from RTCP by the second (RFC 5761
/// section 4). `None` for TURN channels, QUIC and whatever is too short for its kind.
pub fn classify(datagram: &[u8]) -> Option<DatagramKind> {
    let first = *datagram.first()?;
    match first {
        0..=3 if datagram.len() >= 20 => Some(DatagramKind::Stun),
        20..=63 if datagram.len() > 13 => Some(DatagramKind::Dtls),
        128..=191 => match *datagram.get(1)? {
            192..=223 if datagram.len() >= 8 => Some(DatagramKind::Rtcp),
            0..=191 | 224.. if datagram.len() >= 12 => Some(DatagramKind::Rtp),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_the_first_bytes() {
        let kind = |first, second| {
            let mut datagram = [0; 40];
            datagram[0] = first;
            datagram[1] = second;
            classify(&datagram)
        };
        assert_eq!(kind(0, 1), Some(DatagramKind::Stun));
        assert_eq!(kind(3, 0), Some(DatagramKind::Stun));
        assert_eq!(kind(4, 0), None);
        assert_eq!(kind(22, 254), Some(DatagramKind::Dtls));
        assert_eq!(kind(64, 0), None);
        assert_eq!(kind(0x80, 111), Some(DatagramKind::Rtp));
        // A marker bit before a payload type of 96 and more must not look like RTCP.
        assert_eq!(kind(0x90, 0x80 | 96), Some(DatagramKind::Rtp));
        assert_eq!(kind(0x80, 200), Some(DatagramKind::Rtcp));
        assert_eq!(kind(0x81, 206), Some(DatagramKind::Rtcp));
        assert_eq!(kind(192, 0), None);
    }

    #[test]
    fn short_datagrams_are_nothing() {
        for first in 0..=255 {
            assert_eq!(classify(&[first, 200, 0]), None);
        }
        assert_eq!(classify(&[]), None);
    }
}
