//! One stream that is sent: its numbers, and what is needed to send a packet again.

use crate::load::media::StreamSetup;
use crate::load::traffic::{DESCRIPTOR_LEN, Stamp, Vp8Header, fill};
use crate::rtp::rtcp::SenderInfo;
use crate::rtp::sequence::extend;

/// Packets that can be sent again: 2 s of 1.5 Mbit/s and more.
const HISTORY: usize = 512;

/// A packet of a stream, from which its bytes can be made at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    /// Extended; the low 16 bits go on the wire.
    pub(super) sequence: u64,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    /// Of the payload, descriptor and all.
    pub(super) len: usize,
    pub(super) content: Content,
    /// When it was sent first, in nanoseconds of the run.
    pub(super) sent: u64,
}

/// What is in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Opus, with its level.
    Audio { level: u8 },
    /// A part of a frame of VP8.
    Video(Vp8Header),
}

/// An outgoing stream.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) setup: StreamSetup,
    next: u64,
    next_rtx: u64,
    history: Vec<Packet>,
    packets: u32,
    octets: u32,
    /// Of the last packet that was sent.
    timestamp: u32,
    sent: u64,
}

impl Outgoing {
    /// `first` are the first sequence numbers, below 2^15 so that receivers know the first packets' cycle.
    pub(super) fn new(setup: StreamSetup, first: (u16, u16)) -> Self {
        Self {
            setup,
            next: u64::from(first.0 & 0x7fff),
            next_rtx: u64::from(first.1 & 0x7fff),
            history: Vec::new(),
            packets: 0,
            octets: 0,
            timestamp: 0,
            sent: 0,
        }
    }

    /// The number of the next new packet.
    pub(super) fn next_sequence(&mut self) -> u64 {
        let sequence = self.next;
        self.next += 1;
        sequence
    }

    /// The number of the next retransmission.
    pub(super) fn next_rtx_sequence(&mut self) -> u64 {
        let sequence = self.next_rtx;
        self.next_rtx += 1;
        sequence
    }

    /// A packet is sent for the first time.
    pub(super) fn note_sent(&mut self, packet: Packet) {
        let place = (packet.sequence % HISTORY as u64) as usize;
        if place >= self.history.len() {
            self.history.resize(place + 1, packet);
        }
        if let Some(slot) = self.history.get_mut(place) {
            *slot = packet;
        }
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(packet.len as u32);
        self.timestamp = packet.timestamp;
        self.sent = packet.sent;
    }

    /// A packet that was sent not long ago.
    pub(super) fn sent(&self, sequence: u16) -> Option<Packet> {
        let sequence = extend(self.next, sequence);
        let place = (sequence % HISTORY as u64) as usize;
        let packet = self.history.get(place)?;
        (packet.sequence == sequence).then_some(*packet)
    }

    /// What a sender report says at `nanos` of the run; `None` before the first packet.
    pub(super) fn report(&self, nanos: u64, clock_rate: u32) -> Option<SenderInfo> {
        // Seconds of 1900 that do not matter, so that no clock but the run's is asked.
        const EPOCH: u64 = 3_900_000_000;
        let ago = nanos.saturating_sub(self.sent) / 1_000 * u64::from(clock_rate) / 1_000_000;
        let fraction = ((nanos % 1_000_000_000) << 32) / 1_000_000_000;
        (self.packets > 0).then(|| SenderInfo {
            ntp: (EPOCH + nanos / 1_000_000_000) << 32 | fraction,
            rtp_timestamp: self.timestamp.wrapping_add(ago as u32),
            packet_count: self.packets,
            octet_count: self.octets,
        })
    }
}

impl Packet {
    /// Appends the payload.
    pub(super) fn write(&self, out: &mut Vec<u8>, ssrc: u32) {
        let stamp = Stamp {
            sent: self.sent,
            ssrc,
            sequence: self.sequence as u16,
        };
        match self.content {
            // Hybrid, fullband, 20 ms, stereo, one frame (RFC 6716 section 3.1).
            Content::Audio { .. } => fill(out, &[0x7c], self.len, stamp, false),
            Content::Video(header) => {
                out.extend_from_slice(&header.descriptor());
                let len = self.len.saturating_sub(DESCRIPTOR_LEN);
                fill(out, header.frame_tag(), len, stamp, true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing() -> Outgoing {
        let setup = StreamSetup {
            rid: None,
            ssrc: 1,
            rtx_ssrc: 2,
        };
        Outgoing::new(setup, (0xffff, 7))
    }

    fn send(outgoing: &mut Outgoing, sent: u64) -> Packet {
        let packet = Packet {
            sequence: outgoing.next_sequence(),
            timestamp: 90_000,
            marker: false,
            len: 100,
            content: Content::Audio { level: 30 },
            sent,
        };
        outgoing.note_sent(packet);
        packet
    }

    #[test]
    fn what_was_sent_can_be_sent_again_for_a_while_and_across_a_wrap() {
        let mut outgoing = outgoing();
        assert_eq!(outgoing.sent(5), None);
        let packets: Vec<Packet> = (0..70_000).map(|n| send(&mut outgoing, n)).collect();
        assert_eq!(packets[0].sequence, 0x7fff);
        let (last, old) = (packets[69_999], packets[69_999 - HISTORY]);
        assert_eq!(outgoing.sent(last.sequence as u16), Some(last));
        assert_eq!(outgoing.sent(old.sequence as u16), None);
        assert_eq!(outgoing.sent(last.sequence as u16 + 1), None);
    }

    #[test]
    fn reports_tell_the_timestamp_of_their_own_time() {
        let mut outgoing = outgoing();
        assert_eq!(outgoing.report(0, 48_000), None);
        send(&mut outgoing, 1_000_000_000);
        let report = outgoing.report(1_500_000_000, 48_000).unwrap();
        assert_eq!(report.rtp_timestamp, 90_000 + 24_000);
        assert_eq!(report.ntp as u32, 1 << 31);
        assert_eq!((report.packet_count, report.octet_count), (1, 100));
    }
}
