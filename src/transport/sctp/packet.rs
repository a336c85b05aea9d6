//! SCTP packets (RFC 9260 section 3), as far as [`super::guard`] must read them.

use super::before;

const COMMON_HEADER_LEN: usize = 12;

/// A chunk that the guard looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk<'a> {
    /// INIT and INIT ACK, with the sender's first TSN.
    Init {
        ack: bool,
        initial_tsn: u32,
    },
    Data {
        tsn: u32,
        stream: u16,
        len: usize,
    },
    /// What was received in order, and how many bytes more may come.
    Sack {
        cumulative: u32,
        credit: u32,
    },
    /// FORWARD TSN (RFC 3758): what will not be sent any more.
    ForwardTsn {
        cumulative: u32,
    },
    /// RE-CONFIG (RFC 6525), with its parameters.
    Reconfig {
        parameters: &'a [u8],
    },
    Other,
}

/// An Outgoing SSN Reset Request: the sender will send on these streams no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ResetRequest {
    pub(super) sequence: u32,
    /// The last TSN before the reset.
    pub(super) last_tsn: u32,
}

/// Iterates over the chunks of a packet; `None` within once if they are malformed.
pub(super) struct Chunks<'a>(&'a [u8]);

impl<'a> Chunks<'a> {
    pub(super) fn new(packet: &'a [u8]) -> Self {
        Self(packet.get(COMMON_HEADER_LEN..).unwrap_or_default())
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Option<Chunk<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let part = split_off(&mut self.0);
        if part.is_none() {
            self.0 = &[];
        }
        Some(part.and_then(|(kind, value)| Chunk::parse((kind >> 8) as u8, value)))
    }
}

impl<'a> Chunk<'a> {
    fn parse(kind: u8, value: &'a [u8]) -> Option<Self> {
        Some(match kind {
            0 => Self::Data {
                tsn: word(value, 0)?,
                stream: (word(value, 4)? >> 16) as u16,
                len: value.len().checked_sub(12)?,
            },
            1 | 2 => Self::Init {
                ack: kind == 2,
                initial_tsn: word(value, 12)?,
            },
            3 => Self::Sack {
                cumulative: word(value, 0)?,
                credit: word(value, 4)?,
            },
            130 => Self::Reconfig { parameters: value },
            192 => Self::ForwardTsn {
                cumulative: word(value, 0)?,
            },
            _ => Self::Other,
        })
    }
}

/// The reset requests among a RE-CONFIG chunk's parameters; `None` if they are malformed.
pub(super) fn reset_requests(parameters: &[u8]) -> Option<Vec<ResetRequest>> {
    const OUTGOING_RESET: u16 = 13;
    let mut rest = parameters;
    let mut requests = Vec::new();
    while !rest.is_empty() {
        let (kind, value) = split_off(&mut rest)?;
        if kind == OUTGOING_RESET {
            requests.push(ResetRequest {
                sequence: word(value, 0)?,
                last_tsn: word(value, 8)?,
            });
        }
    }
    Some(requests)
}

/// Takes a chunk or parameter: two bytes, a length that counts all four and the value, padding.
fn split_off<'a>(rest: &mut &'a [u8]) -> Option<(u16, &'a [u8])> {
    let header = word(rest, 0)?;
    let length = (header & 0xffff) as usize;
    let value = rest.get(4..length)?;
    // The last one may lack its padding.
    let padded = length.next_multiple_of(4).min(rest.len());
    *rest = rest.get(padded..)?;
    Some(((header >> 16) as u16, value))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*bytes))
}

impl ResetRequest {
    /// Whether data before the reset is still to come.
    pub(super) fn waits_beyond(&self, cumulative: u32) -> bool {
        before(cumulative, self.last_tsn)
    }
}
