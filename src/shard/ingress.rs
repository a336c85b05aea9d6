//! From a datagram of a peer to a plain packet of one of its tracks.

use std::time::{Duration, Instant};

use super::peer::Place;
use super::{Batch, Shard};
use crate::forward::{DropReason, Packet, PacketNumbers, Padding, Received};
use crate::rtp::descriptor::DescriptorSummary;
use crate::rtp::payload::{frame_tag, is_keyframe_start, picture_ids};
use crate::rtp::sequence::extend;
use crate::rtp::{Codec, Extensions, HeaderFields, HeaderView, LayersAllocation, MediaKind};

/// Transport-cc feedback goes out this long after the first packet that it tells of: what libwebrtc's own receiver
/// begins with, of the 50 to 250 ms that its estimator expects.
const FEEDBACK_DELAY: Duration = Duration::from_millis(100);

/// It goes out earlier by up to this when the thread is awake for a packet of the peer anyway.
const FEEDBACK_ADVANCE: Duration = Duration::from_millis(30);

/// How far ahead of its stream a retransmitted packet may be. A probe may repeat a packet that was overtaken
/// on its way here; one from farther ahead would put the rollover counter wrong.
const MAX_AHEAD: u64 = 1_000;

impl Shard {
    pub(super) fn handle_rtp(
        &mut self,
        now: Instant,
        index: usize,
        datagram: &mut [u8],
        batch: &mut Batch,
    ) -> Result<(), DropReason> {
        let view = HeaderView::parse(datagram).map_err(|_| DropReason::Malformed)?;
        let (fields, header_len) = (view.fields(), view.header_len());
        let peer = &mut self.peers[index];
        let stream = peer.stream_by_ssrc.get(&fields.ssrc);
        let srtp_index = match stream {
            Some(stream) => stream.index(fields.sequence),
            None => u64::from(fields.sequence),
        };
        if stream.is_some_and(|stream| !stream.replay.check(srtp_index)) {
            return Err(DropReason::Replayed);
        }
        let len = peer
            .transport
            .open_rtp(datagram, header_len, srtp_index)
            .map_err(|_| DropReason::AuthenticationFailed)?;
        let plain = datagram.get(..len).ok_or(DropReason::Malformed)?;
        let view = HeaderView::parse(plain).map_err(|_| DropReason::Malformed)?;
        let extensions = view.extensions(&peer.extensions);
        let stream = peer.stream_by_ssrc.get_mut(&fields.ssrc);
        let known = stream.and_then(|stream| {
            stream.commit(srtp_index);
            stream.place
        });
        if let Some(number) = extensions.transport_cc {
            self.record_arrival(now, index, number, fields.ssrc, batch);
        }
        let place = match known {
            Some(place) => place,
            None => self.bind(index, &fields, &extensions, srtp_index)?,
        };
        let payload = view.payload().map_err(|_| DropReason::Malformed)?;
        let packet = if place.rtx {
            self.recovered(index, place, view, payload)?
        } else {
            let generation = &mut self.next_generation;
            self.tracks[place.track].ensure_layer(now, place.layer, fields.ssrc, generation);
            Arrived {
                view,
                payload,
                sequence: srtp_index,
                payload_type: fields.payload_type,
                retransmitted: false,
            }
        };
        self.handle_media(now, index, place, &packet, &extensions, batch)
    }

    /// Takes a retransmission apart (RFC 4588 section 4): the packet in it.
    fn recovered<'a>(
        &self,
        index: usize,
        place: Place,
        view: HeaderView<'a>,
        payload: &'a [u8],
    ) -> Result<Arrived<'a>, DropReason> {
        let Some((original, payload)) = payload.split_first_chunk::<2>() else {
            // Browsers probe for bandwidth with padding on this stream.
            return Err(DropReason::PaddingOnly);
        };
        let track = &self.tracks[place.track];
        let layer = track
            .layers
            .get(place.layer)
            .and_then(Option::as_ref)
            .ok_or(DropReason::UnknownRetransmission)?;
        let payload_type = track
            .parameters
            .codecs
            .iter()
            .find(|codec| codec.rtx == Some(view.payload_type()))
            .map(|codec| codec.payload_type)
            .ok_or(DropReason::UnknownPayloadType)?;
        let reference = self.peers[index]
            .stream_by_ssrc
            .get(&layer.ssrc)
            .and_then(|media| media.highest)
            .ok_or(DropReason::UnknownRetransmission)?;
        let sequence = extend(reference, u16::from_be_bytes(*original));
        if sequence > reference + MAX_AHEAD {
            return Err(DropReason::UnknownRetransmission);
        }
        Ok(Arrived {
            view,
            payload,
            sequence,
            payload_type,
            retransmitted: true,
        })
    }

    /// Updates what is known of the layer, keeps the packet for retransmissions, and forwards it.
    fn handle_media(
        &mut self,
        now: Instant,
        index: usize,
        place: Place,
        arrived: &Arrived<'_>,
        extensions: &Extensions<'_>,
        batch: &mut Batch,
    ) -> Result<(), DropReason> {
        let track = &mut self.tracks[place.track];
        let parameters = track
            .parameters
            .codecs
            .iter()
            .find(|codec| codec.payload_type == arrived.payload_type)
            .copied()
            .ok_or(DropReason::UnknownPayloadType)?;
        let (muted, kind) = (track.muted, track.parameters.kind);
        let voice = track.parameters.voice;
        let layer = track
            .layers
            .get_mut(place.layer)
            .and_then(Option::as_mut)
            .ok_or(DropReason::UnknownSsrc)?;
        // What came by itself and as a retransmission, in either order, is forwarded once. The replay list
        // cannot tell: both are genuine, and both count for congestion control.
        let received = if arrived.retransmitted {
            layer.receive.recover(arrived.sequence as u16)
        } else {
            let (sequence, timestamp) = (arrived.view.sequence(), arrived.view.timestamp());
            let receive = &mut layer.receive;
            receive.set_clock_rate(parameters.codec.clock_rate());
            receive.receive(now, sequence, timestamp, arrived.payload.len())
        };
        match received {
            Received::New(_) => {}
            Received::Duplicate => return Err(DropReason::Duplicate),
            Received::TooOld => return Err(DropReason::Stale),
        }
        let descriptor = layer.describe(arrived.view.timestamp(), extensions);
        let mut packet = arrived.packet(parameters.codec, descriptor.as_ref());
        if kind == MediaKind::Video {
            layer.look_at(parameters.codec, &mut packet);
        }
        if parameters.nack {
            layer.nack.receive(now, arrived.sequence);
            let due = layer.nack.poll_timeout();
            self.lower(index, due);
        }
        if arrived.payload.is_empty() {
            self.skip(now, place.track, place.layer, arrived.sequence);
            self.link_skip(place, arrived.sequence);
            return Err(DropReason::PaddingOnly);
        }
        if muted {
            return Err(DropReason::Muted);
        }
        if let (Some(level), true) = (extensions.audio_level, voice) {
            self.observe_level(now, index, level);
        }
        self.measure(now, place, &packet, extensions.layers_allocation);
        packet.padding = self.padding(place, &packet, arrived.retransmitted, batch);
        let heard = match kind {
            MediaKind::Video => true,
            // It says nothing about now.
            MediaKind::Audio if arrived.retransmitted => {
                self.tracks[place.track].is_heard_at(arrived.sequence)
            }
            MediaKind::Audio => self.is_heard(now, place, &packet, extensions.audio_level, batch),
        };
        let codec = parameters.codec;
        if codec == Codec::Red {
            self.recover_before(now, place, &packet, parameters.nack, batch);
        }
        self.keep(now, place, codec, &packet);
        if !heard {
            return Err(DropReason::NotLoudest);
        }
        self.link_packet(place, &packet);
        self.fan_out(now, place, codec, &packet, batch);
        self.lower_keyframes(place);
        Ok(())
    }

    /// Takes what a packet of RED holds of packets that are missing for packets of Opus that came late, so that all
    /// subscribers get them. They stay lost in reports: the publisher is to know what its network does.
    fn recover_before(
        &mut self,
        now: Instant,
        place: Place,
        packet: &Packet<'_>,
        nack: bool,
        batch: &mut Batch,
    ) {
        let track = &mut self.tracks[place.track];
        let mut codecs = track.parameters.codecs.iter();
        let opus = codecs.find(|codec| codec.codec == Codec::Opus);
        let (Some(opus), Some(Some(layer))) = (opus, track.layers.get_mut(place.layer)) else {
            return;
        };
        for copy in layer.redundancy.receive(packet, opus.payload_type) {
            let Some(Some(layer)) = self.tracks[place.track].layers.get_mut(place.layer) else {
                return;
            };
            let sequence = copy.numbers.sequence;
            // Should the packet come after all, it is a duplicate: its number is taken.
            if !matches!(layer.receive.recover(sequence as u16), Received::New(_)) {
                continue;
            }
            if nack {
                layer.nack.receive(now, sequence);
            }
            self.keep(now, place, Codec::Opus, &copy);
            if self.tracks[place.track].is_heard_at(sequence) {
                self.link_packet(place, &copy);
                self.fan_out(now, place, Codec::Opus, &copy, batch);
            }
        }
    }

    /// Bytes that make the packet as long as its neighbours.
    fn padding(&mut self, place: Place, packet: &Packet<'_>, late: bool, batch: &Batch) -> u8 {
        let track = &mut self.tracks[place.track];
        let receivers = track.subscriptions.len();
        let Some(Some(layer)) = track.layers.get_mut(place.layer) else {
            return 0;
        };
        let len = packet.payload.len() + packet.extensions.block().1.len();
        match track.parameters.kind {
            // Its neighbours left long ago.
            _ if late => 0,
            MediaKind::Video => {
                let timestamp = packet.numbers.timestamp;
                layer.padding.of_video(timestamp, len, packet.marker)
            }
            MediaKind::Audio if batch.holds(receivers) => Padding::of_voice(len),
            MediaKind::Audio => 0,
        }
    }

    /// Keeps a packet for retransmissions and newcomers.
    pub(super) fn keep(&mut self, now: Instant, place: Place, codec: Codec, packet: &Packet<'_>) {
        let track = &mut self.tracks[place.track];
        let Some(Some(layer)) = track.layers.get_mut(place.layer) else {
            return;
        };
        // DTMF events come between the packets of the voice; they do not change the codec.
        if !matches!(codec, Codec::TelephoneEvent(_)) || layer.codec.is_none() {
            layer.codec = Some(codec);
        }
        if packet.keyframe_start && codec.kind() == MediaKind::Video {
            layer.keyframes.keyframe_arrived();
            layer.nack.keyframe(packet.numbers.sequence);
            layer.counts.key_frames += 1;
        }
        layer.history.insert(now, packet);
        if packet.keyframe_start && codec.kind() == MediaKind::Video {
            self.note_keyframe(now, place);
        }
    }

    /// Notes what a packet says about its encoding. Subscribers may have waited for it to flow.
    fn measure(
        &mut self,
        now: Instant,
        place: Place,
        packet: &Packet<'_>,
        allocation: Option<LayersAllocation>,
    ) {
        let track = &mut self.tracks[place.track];
        let Some(Some(layer)) = track.layers.get_mut(place.layer) else {
            return;
        };
        let flowed = layer.flows(now) && layer.rates.is_counting();
        layer.arrived(now);
        layer.rates.observe(now, packet);
        let mut is_other = track.observe_progress(now, place.layer, packet.numbers.timestamp);
        if let Some(allocation) = allocation {
            is_other |= track.observe_allocation(now, place.layer, allocation);
        }
        if (is_other || !flowed) && track.parameters.kind == MediaKind::Video {
            self.adapt_subscribers(now, place.track);
            self.link_encodings(now, place.track);
        }
        if !flowed {
            self.note_flowing(now, place.track);
        }
    }

    /// Wakes the feed's timer for a keyframe request that the packet may have caused.
    pub(super) fn lower_keyframes(&mut self, place: Place) {
        let due = self.tracks[place.track]
            .layers
            .get(place.layer)
            .and_then(Option::as_ref)
            .and_then(|layer| layer.keyframes.poll_timeout());
        self.lower_feed(place.track, due);
    }

    fn record_arrival(
        &mut self,
        now: Instant,
        index: usize,
        number: u16,
        ssrc: u32,
        batch: &mut Batch,
    ) {
        let peer = &mut self.peers[index];
        peer.transport_cc.record(now, number);
        peer.feedback_media_ssrc = ssrc;
        match peer.feedback_due {
            None => {
                peer.feedback_due = Some(now + FEEDBACK_DELAY);
                let due = peer.feedback_due;
                self.lower(index, due);
            }
            Some(due) if due <= now + FEEDBACK_ADVANCE => {
                self.send_transport_feedback(now, index, batch);
                self.schedule(now, index);
            }
            Some(_) => {}
        }
    }

    /// Finds the track of an SSRC that was not announced, by what its packet says of itself: mid and rid
    /// (RFC 8843 section 9.2, RFC 8853), or else a payload type that only one m-line has.
    fn place(
        &self,
        index: usize,
        fields: &HeaderFields,
        extensions: &Extensions<'_>,
    ) -> Result<Place, DropReason> {
        let peer = &self.peers[index];
        let carries = |track: &usize| {
            let codecs = &self.tracks[*track].parameters.codecs;
            codecs.iter().any(|codec| {
                codec.payload_type == fields.payload_type || codec.rtx == Some(fields.payload_type)
            })
        };
        let mut candidates = peer.tracks.iter().copied().filter(|track| {
            extensions
                .mid
                .is_none_or(|mid| self.tracks[*track].parameters.mid == mid)
                && carries(track)
        });
        let track = candidates.next().ok_or(DropReason::UnknownSsrc)?;
        if candidates.next().is_some() {
            return Err(DropReason::UnknownSsrc);
        }
        let parameters = &self.tracks[track].parameters;
        let rtx = parameters
            .codecs
            .iter()
            .any(|codec| codec.rtx == Some(fields.payload_type));
        let layer = match (extensions.rid, extensions.repaired_rid) {
            (Some(rid), _) | (None, Some(rid)) => parameters
                .rids
                .iter()
                .position(|known| *known == rid)
                .ok_or(DropReason::UnknownSsrc)?,
            (None, None) if parameters.rids.is_empty() => 0,
            (None, None) => return Err(DropReason::UnknownSsrc),
        };
        Ok(Place { track, layer, rtx })
    }

    /// Finds out what an SSRC is, and remembers it from its packet of this index on.
    fn bind(
        &mut self,
        index: usize,
        fields: &HeaderFields,
        extensions: &Extensions<'_>,
        srtp_index: u64,
    ) -> Result<Place, DropReason> {
        let place = self.place(index, fields, extensions)?;
        let peer = &mut self.peers[index];
        if !peer.bind(fields.ssrc, place) {
            return Err(DropReason::RateLimited);
        }
        if let Some(stream) = peer.stream_by_ssrc.get_mut(&fields.ssrc) {
            stream.commit(srtp_index);
        }
        Ok(place)
    }
}

/// A plain packet, as it came or out of a retransmission.
struct Arrived<'a> {
    view: HeaderView<'a>,
    payload: &'a [u8],
    /// Extended.
    sequence: u64,
    payload_type: u8,
    retransmitted: bool,
}

impl<'a> Arrived<'a> {
    fn packet(&self, codec: Codec, descriptor: Option<&DescriptorSummary>) -> Packet<'a> {
        let marker = self.view.marker();
        Packet {
            numbers: PacketNumbers {
                sequence: self.sequence,
                timestamp: self.view.timestamp(),
                picture_ids: picture_ids(codec, self.payload),
                frame_number: descriptor.map(|descriptor| descriptor.frame_number),
            },
            marker,
            payload_type: self.payload_type,
            keyframe_start: match descriptor {
                Some(descriptor) => descriptor.starts_sequence,
                None => is_keyframe_start(codec, self.payload, None),
            },
            tag: frame_tag(codec, self.payload, marker, descriptor),
            extensions: self.view.elements(),
            payload: self.payload,
            padding: 0,
        }
    }
}
