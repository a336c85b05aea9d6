//! DTLS 1.2 records (RFC 6347 section 4.1) and handshake fragments (section 4.2.2), as far as they are
//! in the clear: enough to keep from the supplier what would make it grow, fail or recurse deeply.

const RECORD_HEADER_LEN: usize = 13;
const FRAGMENT_HEADER_LEN: usize = 12;
/// Longest handshake message: certificates of browsers have a few hundred bytes.
const MAX_MESSAGE_LEN: usize = 16 * 1024;
/// No stack cuts handshake messages smaller, but for the last piece.
const MIN_FRAGMENT_LEN: usize = 64;
/// A whole handshake has about ten messages.
const MAX_MESSAGE_SEQUENCE: u16 = 64;

/// The content types of RFC 6347 that DTLS 1.2 has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentType {
    ChangeCipherSpec,
    Alert,
    Handshake,
    ApplicationData,
}

/// One record of a datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) content: ContentType,
    /// 0 is in the clear, anything else encrypted.
    pub(super) epoch: u16,
    pub(super) body: &'a [u8],
}

/// A piece of a handshake message in the clear.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment<'a> {
    pub(super) message_type: u8,
    pub(super) message_len: usize,
    pub(super) message_sequence: u16,
    pub(super) offset: usize,
    pub(super) data: &'a [u8],
}

/// Iterates over the records of a datagram; `Err` once if they do not fill it exactly.
pub(super) struct Records<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, ()>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let record = Record::split_off(&mut self.0);
        if record.is_none() {
            self.0 = &[];
        }
        Some(record.ok_or(()))
    }
}

impl<'a> Record<'a> {
    fn split_off(rest: &mut &'a [u8]) -> Option<Self> {
        let (header, behind) = rest.split_first_chunk::<RECORD_HEADER_LEN>()?;
        let content = match header[0] {
            20 => ContentType::ChangeCipherSpec,
            21 => ContentType::Alert,
            22 => ContentType::Handshake,
            23 => ContentType::ApplicationData,
            _ => return None,
        };
        // 254.255 is DTLS 1.0, which ClientHello records carry for old middleboxes, 254.253 is 1.2.
        if header[1] != 254 {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
        let (body, behind) = behind.split_at_checked(length)?;
        *rest = behind;
        (length > 0).then_some(Self {
            content,
            epoch: u16::from_be_bytes([header[3], header[4]]),
            body,
        })
    }

    /// Whether a peer that keeps to the RFCs could have sent this. Records in the clear that could not
    /// are forged or hostile: the supplier would end the association on some of them.
    pub(super) fn is_plausible(&self) -> bool {
        match (self.epoch, self.content) {
            (0, ContentType::Handshake) => Fragments(self.body).all(|fragment| fragment.is_ok()),
            (0, ContentType::ChangeCipherSpec) => self.body == [1],
            (0, ContentType::Alert) => self.body.len() == 2,
            (0, ContentType::ApplicationData) => false,
            // The supplier takes it unauthenticated, and then waits for an epoch that never comes.
            (_, ContentType::ChangeCipherSpec) => false,
            _ => true,
        }
    }
}

/// Iterates over the handshake fragments of a record in the clear; `Err` once at an implausible one.
pub(super) struct Fragments<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Fragments<'a> {
    type Item = Result<Fragment<'a>, ()>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let fragment = Fragment::split_off(&mut self.0);
        if fragment.is_none() {
            self.0 = &[];
        }
        Some(fragment.ok_or(()))
    }
}

impl<'a> Fragment<'a> {
    fn split_off(rest: &mut &'a [u8]) -> Option<Self> {
        let (header, behind) = rest.split_first_chunk::<FRAGMENT_HEADER_LEN>()?;
        let word = |at: usize| {
            let bytes = [0, header[at], header[at + 1], header[at + 2]];
            u32::from_be_bytes(bytes) as usize
        };
        let (message_len, offset, length) = (word(1), word(6), word(9));
        let message_sequence = u16::from_be_bytes([header[4], header[5]]);
        let (data, behind) = behind.split_at_checked(length)?;
        let end = offset + length;
        let plausible = message_len <= MAX_MESSAGE_LEN
            && message_sequence <= MAX_MESSAGE_SEQUENCE
            && end <= message_len
            && (end == message_len || length >= MIN_FRAGMENT_LEN)
            && (length > 0 || message_len == 0);
        *rest = behind;
        plausible.then_some(Self {
            message_type: header[0],
            message_len,
            message_sequence,
            offset,
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(content: u8, epoch: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![content, 254, 253, 0, epoch, 0, 0, 0, 0, 0, 7];
        bytes.extend((body.len() as u16).to_be_bytes());
        bytes.extend(body);
        bytes
    }

    fn fragment(message_len: u8, offset: u8, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![1, 0, 0, message_len, 0, 0, 0, 0, offset, 0, 0];
        bytes.push(data.len() as u8);
        bytes.extend(data);
        bytes
    }

    fn plausible(datagram: &[u8]) -> bool {
        Records(datagram).all(|record| record.is_ok_and(|record| record.is_plausible()))
    }

    #[test]
    fn whole_records_pass() {
        let mut datagram = record(22, 0, &fragment(3, 0, &[1, 2, 3]));
        datagram.extend(record(20, 0, &[1]));
        datagram.extend(record(22, 1, &[0; 48]));
        assert!(plausible(&datagram));
        for length in 1..datagram.len() {
            let cut = &datagram[..length];
            let whole = [28, 28 + 14].contains(&length);
            assert_eq!(plausible(cut), whole, "cut at {length}");
        }
    }

    #[test]
    fn what_would_harm_does_not_pass() {
        assert!(!plausible(&record(23, 0, &[0; 20])), "data in the clear");
        assert!(!plausible(&record(20, 1, &[1])), "a renegotiation");
        assert!(
            !plausible(&record(22, 0, &fragment(200, 10, &[5]))),
            "a crumb"
        );
        assert!(
            !plausible(&record(22, 0, &fragment(200, 10, &[]))),
            "an empty piece"
        );
        assert!(
            !plausible(&record(22, 0, &fragment(3, 2, &[1, 2]))),
            "beyond the end"
        );
        assert!(
            plausible(&record(22, 0, &fragment(200, 100, &[0; 70]))),
            "a piece"
        );
    }
}
