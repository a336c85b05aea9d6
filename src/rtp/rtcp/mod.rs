//! RTCP where it lies: an iterator over compound packets, and writers into the output (RFC 3550 section
//! 6, RFC 4585, RFC 5104). What is not listed in [`RtcpPacket`] is passed over.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{FirEntries, Nacks, ReportBlocks, RtcpPacket, RtcpPackets, Ssrcs};
pub use write::{
    write_bye, write_cname, write_fir, write_nack, write_pli, write_receiver_report,
    write_sender_report,
};

pub(crate) use write::{begin_feedback, finish_feedback};

/// Packet types.
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

/// Formats of transport feedback.
const NACK: u8 = 1;
/// The format of transport-wide congestion control.
pub(crate) const TRANSPORT_CC: u8 = 15;

/// Formats of payload feedback.
const PLI: u8 = 1;
const FIR: u8 = 4;
const APPLICATION: u8 = 15;

/// Whether a packet of the RTP and RTCP range is RTCP (RFC 5761 section 4).
pub fn is_rtcp(packet: &[u8]) -> bool {
    packet.get(1).is_some_and(|b| (192..=223).contains(b))
}

/// What a sender report says about its sender (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// Wall clock in 32.32 fixed-point seconds since 1900.
    pub ntp: u64,
    /// The same moment in RTP time.
    pub rtp_timestamp: u32,
    /// Packets sent, modulo 2^32.
    pub packet_count: u32,
    /// Payload bytes sent, modulo 2^32.
    pub octet_count: u32,
}

/// What a receiver says about one stream (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream.
    pub ssrc: u32,
    /// Packets lost of those expected since the last report, in 256ths.
    pub fraction_lost: u8,
    /// All packets lost, in 24 bits; negative after duplicates.
    pub cumulative_lost: i32,
    /// The highest sequence number, with the count of cycles above it.
    pub highest_sequence: u32,
    /// Interarrival jitter in timestamp ticks.
    pub jitter: u32,
    /// The middle 32 bits of the last sender report's NTP time; 0 if there was none.
    pub last_sender_report: u32,
    /// The time since that came, in 65,536ths of a second.
    pub delay: u32,
}
