//! How media leaves an endpoint: captured, paced, sealed, and sent again where asked for.

use super::outgoing::Content;
use super::publication::Due;
use super::{Endpoint, Surroundings};
use crate::rtp::rtcp::{RtcpPacket, RtcpPackets};
use crate::rtp::{Extension, ExtensionValues, HeaderFields, own_extensions, write_header};

/// The longest packet before encryption, as libwebrtc has it.
const MAX_PACKET: usize = 1_200;
/// A fixed header, and extensions of as many bytes as a client sends.
const MAX_HEADER: usize = 12 + 4 + 24;

/// Which packets are on their way a second time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    No,
    Yes,
}

impl Endpoint {
    /// Takes what the sources have: audio is sent at once, video is paced.
    pub(super) fn capture(&mut self, around: &mut Surroundings<'_>) {
        for index in 0..self.publications.len() {
            let mut due = std::mem::take(&mut self.due);
            let publication = &mut self.publications[index];
            publication.capture(around.now, MAX_PACKET - MAX_HEADER, &mut due);
            let is_video = publication.is_video();
            for packet in due.drain(..) {
                if is_video {
                    self.pacer.push(around.now, packet.1.len, (index, packet));
                } else {
                    self.send(around, index, packet, Repeat::No);
                }
            }
            self.due = due;
        }
    }

    /// Sends what the pacer lets through.
    pub(super) fn send_burst(&mut self, around: &mut Surroundings<'_>) {
        while let Some((index, due)) = self.pacer.poll(around.now) {
            self.send(around, index, due, Repeat::No);
        }
    }

    /// Takes RTCP about what it sends, and sender reports.
    pub(super) fn handle_rtcp(&mut self, around: &mut Surroundings<'_>, datagram: &mut [u8]) {
        let opened = self.srtp.as_mut().map(|srtp| srtp.open_rtcp(datagram));
        let Some(Ok(len)) = opened else {
            around.tally.loss.strange += 1;
            return;
        };
        around.tally.received.rtcp += 1;
        for packet in RtcpPackets::new(datagram.get(..len).unwrap_or_default()) {
            match packet {
                RtcpPacket::Nack {
                    media_ssrc,
                    sequences,
                } => {
                    for sequence in sequences {
                        self.send_again(around, media_ssrc, sequence);
                    }
                }
                RtcpPacket::Pli { media_ssrc } => self.want_keyframe(media_ssrc),
                RtcpPacket::Fir { entries } => {
                    entries.for_each(|(ssrc, _)| self.want_keyframe(ssrc));
                }
                RtcpPacket::SenderReport { ssrc, info, .. } => {
                    let index = self.reception_by_ssrc.get(&ssrc).map(|(index, _)| *index);
                    let reception = index.and_then(|index| self.receptions.get_mut(index));
                    if let Some(reception) = reception {
                        reception.handle_sender_report(around.now, info.ntp);
                    }
                }
                // What is sent does not adapt itself: a load is to be the same in every run.
                RtcpPacket::ReceiverReport { .. }
                | RtcpPacket::TransportCc { .. }
                | RtcpPacket::Remb { .. }
                | RtcpPacket::Bye { .. } => {}
            }
        }
    }

    fn want_keyframe(&mut self, ssrc: u32) {
        for publication in &mut self.publications {
            publication.want_keyframe(ssrc);
        }
    }

    fn send_again(&mut self, around: &mut Surroundings<'_>, ssrc: u32, sequence: u16) {
        let found = self
            .publications
            .iter()
            .enumerate()
            .find_map(|(index, publication)| {
                let mut layers = publication.layers.iter();
                let layer = layers.position(|layer| layer.outgoing.setup.ssrc == ssrc)?;
                let packet = publication.layers.get(layer)?.outgoing.sent(sequence)?;
                Some((index, (layer, packet)))
            });
        if let Some((index, due)) = found {
            self.send(around, index, due, Repeat::Yes);
        }
    }

    /// Writes, seals and counts a packet.
    fn send(
        &mut self,
        around: &mut Surroundings<'_>,
        index: usize,
        due: Due,
        repeat: Repeat,
    ) -> Option<()> {
        let (to, srtp) = (self.ice.selected()?, self.srtp.as_mut()?);
        let publication = self.publications.get_mut(index)?;
        let is_video = publication.is_video();
        let (mid, setup) = (publication.mid(), &publication.setup);
        let (layer, mut packet) = due;
        let outgoing = &mut publication.layers.get_mut(layer)?.outgoing;
        let rtx = setup.rtx_payload_type.filter(|_| repeat == Repeat::Yes);
        if repeat == Repeat::No {
            packet.sent = around.tally.nanos(around.now);
            outgoing.note_sent(packet);
        }
        let stream = outgoing.setup;
        let (ssrc, payload_type, sequence) = match rtx {
            Some(payload_type) => (stream.rtx_ssrc, payload_type, outgoing.next_rtx_sequence()),
            None => (stream.ssrc, setup.payload_type, packet.sequence),
        };
        let values = ExtensionValues {
            mid: Some(mid),
            transport_cc: Some(self.transport_cc),
            abs_send_time: None,
        };
        self.transport_cc = self.transport_cc.wrapping_add(1);
        let mut extensions = own_extensions(&self.extensions, &values);
        let rid = if rtx.is_some() {
            Extension::RepairedRid
        } else {
            Extension::Rid
        };
        if let (Some(id), Some(rid)) = (self.extensions.id(rid), stream.rid) {
            extensions.push(id, rid.as_bytes());
        }
        if let (Content::Audio { level }, Some(id)) =
            (packet.content, self.extensions.id(Extension::AudioLevel))
        {
            // The highest bit says that it is a voice.
            let voice = if level < 127 { 0x80 } else { 0 };
            extensions.push(id, &[voice | level]);
        }
        let fields = HeaderFields {
            marker: packet.marker,
            payload_type,
            sequence: sequence as u16,
            timestamp: packet.timestamp,
            ssrc,
        };
        let out = &mut *around.out;
        let start = out.bytes.len();
        write_header(&mut out.bytes, &fields, &extensions);
        let header_len = out.bytes.len() - start;
        if rtx.is_some() {
            out.bytes
                .extend_from_slice(&(packet.sequence as u16).to_be_bytes());
        }
        packet.write(&mut out.bytes, stream.ssrc);
        if srtp
            .seal_rtp(&mut out.bytes, start, header_len, sequence)
            .is_err()
        {
            out.bytes.truncate(start);
            return None;
        }
        let sent = &mut around.tally.sent;
        if repeat == Repeat::Yes {
            sent.retransmissions += 1;
        } else {
            sent.packets += 1;
            sent.bits += (out.bytes.len() - start) as u64 * 8;
            sent.audio_packets += u64::from(!is_video);
        }
        out.finish(start, to);
        Some(())
    }
}
