//! The reading half.

use super::{
    APPLICATION, FIR, GOODBYE, NACK, PAYLOAD_FEEDBACK, PLI, RECEIVER_REPORT, ReportBlock,
    SENDER_REPORT, SenderInfo, TRANSPORT_CC, TRANSPORT_FEEDBACK,
};

const HEADER_LEN: usize = 4;
const BLOCK_LEN: usize = 24;

/// One packet of a compound.
#[derive(Clone, Copy, Debug)]
pub enum RtcpPacket<'a> {
    /// From a sender of media.
    SenderReport {
        /// Who sends.
        ssrc: u32,
        /// When, and how much so far.
        info: SenderInfo,
        /// What it receives.
        reports: ReportBlocks<'a>,
    },
    /// From who sends no media.
    ReceiverReport {
        /// Who reports.
        ssrc: u32,
        /// What it receives.
        reports: ReportBlocks<'a>,
    },
    /// Streams that ended.
    Bye {
        /// Which.
        ssrcs: Ssrcs<'a>,
    },
    /// Packets to send again (RFC 4585 section 6.2.1).
    Nack {
        /// Of which stream.
        media_ssrc: u32,
        /// Which.
        sequences: Nacks<'a>,
    },
    /// Arrival times of what we sent (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).
    TransportCc {
        /// Any stream of the transport.
        media_ssrc: u32,
        /// From the base sequence number on.
        feedback: &'a [u8],
    },
    /// A picture was lost (RFC 4585 section 6.3.1).
    Pli {
        /// Of which stream.
        media_ssrc: u32,
    },
    /// A keyframe is wanted (RFC 5104 section 4.3.1).
    Fir {
        /// Of which streams.
        entries: FirEntries<'a>,
    },
    /// The receiver's estimate of what it can take (draft-alvestrand-rmcat-remb-03).
    Remb {
        /// In bits a second.
        bitrate: u64,
        /// For these streams together.
        ssrcs: Ssrcs<'a>,
    },
}

/// The packets of a compound. Passes over those that are unknown or malformed within their bounds, and
/// ends at the first that exceeds the datagram.
#[derive(Clone, Copy, Debug)]
pub struct RtcpPackets<'a> {
    rest: &'a [u8],
}

impl<'a> RtcpPackets<'a> {
    /// Reads a plain compound packet, or a reduced-size one (RFC 5506).
    pub fn new(datagram: &'a [u8]) -> Self {
        Self { rest: datagram }
    }
}

impl<'a> Iterator for RtcpPackets<'a> {
    type Item = RtcpPacket<'a>;

    fn next(&mut self) -> Option<RtcpPacket<'a>> {
        loop {
            // Whatever returns early below ends the iteration for good.
            let rest = std::mem::take(&mut self.rest);
            let head = rest.first_chunk::<HEADER_LEN>()?;
            if head[0] >> 6 != 2 {
                return None;
            }
            let len = HEADER_LEN * (usize::from(u16::from_be_bytes([head[2], head[3]])) + 1);
            let (packet, after) = rest.split_at_checked(len)?;
            self.rest = after;
            let body = packet.get(HEADER_LEN..)?;
            let padding = match packet.last() {
                Some(padding) if head[0] & 0x20 != 0 => usize::from(*padding),
                _ => 0,
            };
            let Some(body) = body
                .len()
                .checked_sub(padding)
                .and_then(|len| body.get(..len))
            else {
                continue;
            };
            if let Some(packet) = read(head[1], head[0] & 0x1f, body) {
                return Some(packet);
            }
        }
    }
}

fn read(packet_type: u8, count: u8, body: &[u8]) -> Option<RtcpPacket<'_>> {
    match (packet_type, count) {
        (SENDER_REPORT, _) => {
            let (ssrc, body) = split_u32(body)?;
            let (info, body) = body.split_first_chunk::<20>()?;
            Some(RtcpPacket::SenderReport {
                ssrc,
                info: SenderInfo {
                    ntp: u64::from(word(info, 0)) << 32 | u64::from(word(info, 4)),
                    rtp_timestamp: word(info, 8),
                    packet_count: word(info, 12),
                    octet_count: word(info, 16),
                },
                reports: ReportBlocks::new(count, body)?,
            })
        }
        (RECEIVER_REPORT, _) => {
            let (ssrc, body) = split_u32(body)?;
            Some(RtcpPacket::ReceiverReport {
                ssrc,
                reports: ReportBlocks::new(count, body)?,
            })
        }
        (GOODBYE, _) => Some(RtcpPacket::Bye {
            ssrcs: Ssrcs {
                rest: body.get(..usize::from(count) * 4)?,
            },
        }),
        (TRANSPORT_FEEDBACK | PAYLOAD_FEEDBACK, format) => read_feedback(packet_type, format, body),
        _ => None,
    }
}

fn read_feedback(packet_type: u8, format: u8, body: &[u8]) -> Option<RtcpPacket<'_>> {
    let (_sender_ssrc, body) = split_u32(body)?;
    let (media_ssrc, body) = split_u32(body)?;
    match (packet_type, format) {
        (TRANSPORT_FEEDBACK, NACK) => Some(RtcpPacket::Nack {
            media_ssrc,
            sequences: Nacks {
                rest: body,
                pid: 0,
                bitmask: 0,
            },
        }),
        (TRANSPORT_FEEDBACK, TRANSPORT_CC) => Some(RtcpPacket::TransportCc {
            media_ssrc,
            feedback: body,
        }),
        (PAYLOAD_FEEDBACK, PLI) => Some(RtcpPacket::Pli { media_ssrc }),
        (PAYLOAD_FEEDBACK, FIR) => Some(RtcpPacket::Fir {
            entries: FirEntries { rest: body },
        }),
        (PAYLOAD_FEEDBACK, APPLICATION) => read_remb(body),
        _ => None,
    }
}

fn read_remb(body: &[u8]) -> Option<RtcpPacket<'_>> {
    let (head, ssrcs) = body.split_first_chunk::<8>()?;
    let [b'R', b'E', b'M', b'B', count, a, b, c] = *head else {
        return None;
    };
    let mantissa = u64::from(u32::from_be_bytes([0, a & 0x03, b, c]));
    let exponent = u32::from(a >> 2);
    // 18 bits shifted by up to 63: what does not fit is more than any network has.
    let bitrate = if exponent > mantissa.leading_zeros() {
        u64::MAX
    } else {
        mantissa << exponent
    };
    Some(RtcpPacket::Remb {
        bitrate: if mantissa == 0 { 0 } else { bitrate },
        ssrcs: Ssrcs {
            rest: ssrcs.get(..usize::from(count) * 4)?,
        },
    })
}

/// The report blocks of a report, at most 31.
#[derive(Clone, Copy, Debug)]
pub struct ReportBlocks<'a> {
    rest: &'a [u8],
}

impl<'a> ReportBlocks<'a> {
    fn new(count: u8, body: &'a [u8]) -> Option<Self> {
        let rest = body.get(..usize::from(count) * BLOCK_LEN)?;
        Some(Self { rest })
    }
}

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.rest.split_first_chunk::<BLOCK_LEN>()?;
        self.rest = rest;
        // The shift back fills with the sign.
        let cumulative_lost = ((word(block, 4) << 8) as i32) >> 8;
        Some(ReportBlock {
            ssrc: word(block, 0),
            fraction_lost: block[4],
            cumulative_lost,
            highest_sequence: word(block, 8),
            jitter: word(block, 12),
            last_sender_report: word(block, 16),
            delay: word(block, 20),
        })
    }
}

/// A list of SSRCs.
#[derive(Clone, Copy, Debug)]
pub struct Ssrcs<'a> {
    rest: &'a [u8],
}

impl Iterator for Ssrcs<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (ssrc, rest) = split_u32(self.rest)?;
        self.rest = rest;
        Some(ssrc)
    }
}

/// The sequence numbers of a NACK, up to 17 for each word of it.
#[derive(Clone, Copy, Debug)]
pub struct Nacks<'a> {
    rest: &'a [u8],
    pid: u16,
    bitmask: u16,
}

impl Iterator for Nacks<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if self.bitmask != 0 {
            let bit = self.bitmask.trailing_zeros() as u16;
            self.bitmask &= self.bitmask - 1;
            return Some(self.pid.wrapping_add(bit + 1));
        }
        let (item, rest) = split_u32(self.rest)?;
        self.rest = rest;
        self.pid = (item >> 16) as u16;
        self.bitmask = item as u16;
        Some(self.pid)
    }
}

/// The streams of a FIR, each with its command's number.
#[derive(Clone, Copy, Debug)]
pub struct FirEntries<'a> {
    rest: &'a [u8],
}

impl Iterator for FirEntries<'_> {
    type Item = (u32, u8);

    fn next(&mut self) -> Option<(u32, u8)> {
        let (entry, rest) = self.rest.split_first_chunk::<8>()?;
        self.rest = rest;
        Some((word(entry, 0), entry[4]))
    }
}

fn split_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*head), rest))
}

/// A word of a block of known size; 0 outside of it.
fn word(block: &[u8], at: usize) -> u32 {
    block
        .get(at..)
        .and_then(split_u32)
        .map_or(0, |(word, _)| word)
}
