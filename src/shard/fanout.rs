//! From one packet of a track to the copies of its subscribers, straight into the batch.

use std::time::Instant;

use super::peer::{Peer, Place};
use super::prefetch::{AT_ONCE, prefetch};
use super::replay::{Meeting, Replay};
use super::subscription::Subscription;
use super::timeline::What;
use super::timers::{Timer, Timers};
use super::{Batch, LaneSlot, Shard};
use crate::forward::layers::{Gate, Selector};
use crate::forward::{DropReason, Packet, Padding, ProbeId, RedForm, Rewritten, Source};
use crate::rtp::{
    Codec, Elements, HeaderFields, MediaKind, OwnWords, PassedOn, pad, write_copied_header,
};
use crate::transport::Path;

/// Bytes of a copy's header, where it does not matter much: the fixed part, and a mid.
const TYPICAL_HEADER: usize = 20;

/// How a copy is sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Copy {
    /// For the first time.
    Media,
    /// Again, because the subscriber missed it.
    Again,
}

impl Shard {
    /// Sends a packet that just came, of this codec, to every subscription of its track.
    pub(super) fn fan_out(
        &mut self,
        now: Instant,
        place: Place,
        codec: Codec,
        packet: &Packet<'_>,
        batch: &mut Batch,
    ) {
        let Self {
            peers,
            tracks,
            subscriptions,
            drops,
            timers,
            ..
        } = self;
        let track = &mut tracks[place.track];
        let (Some(Some(source)), Some(followers)) = (
            track.layers.get_mut(place.layer),
            track.followers.get(place.layer),
        ) else {
            return;
        };
        let Some(main_codec) = source.codec else {
            return;
        };
        let others = track.subscriptions.len() - followers.len();
        drops.add(DropReason::OtherLayer, others as u64);
        let passed = PassedOn::read(packet.extensions, &track.extensions);
        // A picture is of use when its last packet is there: none comes later for what waits until then.
        let is_video = track.parameters.kind == MediaKind::Video;
        let wait = batch.holds(followers.len()) && !(packet.marker && is_video);
        let closes_gap = codec == Codec::Vp8;
        let mut keyframe_wanted = false;
        // Those who have left another encoding for this one.
        let mut arrivals = Vec::new();
        for (position, &index) in followers.iter().enumerate() {
            if position.is_multiple_of(AT_ONCE) {
                let next = followers[position..].iter().take(AT_ONCE);
                prefetch(next, subscriptions, peers, batch);
            }
            let subscription = &mut subscriptions[index];
            let peer = &mut peers[subscription.peer];
            if !peer.can_receive() {
                drops.count(DropReason::NotConnected);
                // Numbers that nobody gets would become a gap, in the end one that is wider than the
                // receiver's rollover counter can follow (RFC 3711 section 3.3.1).
                subscription.wait_for_keyframe();
                continue;
            }
            let mut follows = subscription.follows(place.layer, source);
            if let (Some(replay), true) = (&subscription.replay, follows) {
                match replay.meet(packet, subscription.awaits(place.layer)) {
                    Meeting::Before => {}
                    Meeting::Behind => continue,
                    Meeting::Overtakes => follows = false,
                }
            }
            let way = subscription.way(packet.payload_type);
            let taken = way.and_then(|way| Some((way, way.form.apply(packet.payload)?)));
            let Some((way, payload)) = taken else {
                drops.count(DropReason::NoCodec);
                if follows {
                    subscription.rewriter.skip(&packet.numbers, false);
                }
                if subscription.decodable && is_main_codec(codec) {
                    subscription.decodable = false;
                    subscription.timeline.note(now, What::Codec);
                    peer.adapt_soon(now, subscription.peer, timers);
                }
                continue;
            };
            if !follows {
                if !subscription.awaits(place.layer) {
                    drops.count(DropReason::OtherLayer);
                    continue;
                }
                if !packet.keyframe_start {
                    drops.count(DropReason::WaitingForKeyframe);
                    keyframe_wanted = true;
                    continue;
                }
                let left = subscription.selector.current();
                if let Some(left) = left.filter(|left| usize::from(left.encoding) != place.layer) {
                    arrivals.push((usize::from(left.encoding), index));
                }
                subscription.take_up(
                    now,
                    source.generation,
                    main_codec,
                    packet,
                    peer.is_congested(),
                );
                subscription.note_forwarded(now, place.layer);
                peer.adapt_soon(now, subscription.peer, timers);
                if source.clock.is_some() {
                    report_now(now, subscription.peer, peer, timers);
                }
            }
            let begins = packet.keyframe_start && subscription.rewriter.is_new(&packet.numbers);
            if is_video && begins && subscription.awaits(place.layer) {
                let spatial = subscription
                    .selector
                    .target()
                    .map_or(0, |target| target.spatial);
                if peer.is_narrow_for(now, source.rates.keyframe(usize::from(spatial))) {
                    subscription.replay = Some(Replay::held(now, place.layer, packet));
                    peer.replay_soon(now, subscription.peer, index, timers);
                    continue;
                }
            }
            if !subscription.decodable && is_main_codec(codec) {
                subscription.decodable = true;
                peer.adapt_soon(now, subscription.peer, timers);
            }
            let numbers = &packet.numbers;
            let gate = subscription.gate(packet);
            let Gate::Forward { ends_picture } = gate else {
                drops.count(DropReason::OtherLayer);
                subscription.rewriter.skip(numbers, closes_gap);
                keyframe_wanted |=
                    subscription.selector.needs_keyframe() && subscription.awaits(place.layer);
                continue;
            };
            let Some(numbers) = subscription.rewriter.map(now, numbers) else {
                drops.count(DropReason::Stale);
                continue;
            };
            if numbers.sequence + 1 < subscription.rewriter.next_sequence() {
                // It may have been asked for before it came.
                let then = now + peer.rtt.unwrap_or_default();
                subscription.sent_late(then, numbers.sequence as u16);
            }
            subscription.codec = Some(match way.form {
                RedForm::Primary { .. } => Codec::Opus,
                RedForm::Whole | RedForm::Renumbered { .. } => main_codec,
            });
            let out = Outgoing {
                payload_type: way.payload_type,
                payload,
                form: way.form,
                marker: packet.marker || (ends_picture && is_video),
                numbers,
                passed: &passed,
                wait,
                probe: None,
            };
            let sent = send_copy(now, peer, subscription, packet, &out, Copy::Media, batch);
            if let Err(reason) = sent {
                drops.count(reason);
            }
        }
        if keyframe_wanted {
            source.keyframes.request(now);
        }
        for (encoding, subscription) in arrivals {
            track.unfollow(encoding, subscription);
        }
    }

    /// Leaves a packet without media out of every subscription's numbers.
    pub(super) fn skip(&mut self, now: Instant, track: usize, layer: usize, sequence: u64) {
        let track = &mut self.tracks[track];
        let Some(Some(source)) = track.layers.get_mut(layer) else {
            return;
        };
        let nothing = Packet::nothing(sequence);
        // Those who are still at what came before it find it there.
        source.history.insert(now, &nothing);
        for &index in track.followers.get(layer).into_iter().flatten() {
            let subscription = &mut self.subscriptions[index];
            let waits = subscription.replay.is_some_and(|r| r.is_before(sequence));
            if subscription.follows(layer, source) && !waits {
                subscription.rewriter.skip(&nothing.numbers, false);
            }
        }
    }

    /// Lets a subscription go to its target: from a keyframe in the history if that is fresh, otherwise at the next.
    pub(super) fn start_subscription(&mut self, now: Instant, index: usize, batch: &mut Batch) {
        let subscription = &self.subscriptions[index];
        let peer = &self.peers[subscription.peer];
        if !subscription.selector.needs_keyframe() || !peer.can_receive() {
            return;
        }
        if self.replay_keyframe(now, index, batch).is_none() {
            let subscription = &self.subscriptions[index];
            if let (Some(track), Some(target)) =
                (subscription.source, subscription.selector.target())
            {
                self.want_keyframe(now, track, usize::from(target.encoding));
            }
        }
    }

    /// The peer's keys are there: what it waits for begins.
    pub(super) fn start_media(&mut self, now: Instant, peer: usize, batch: &mut Batch) {
        for subscription in self.peers[peer].subscriptions.clone() {
            self.start_subscription(now, subscription, batch);
        }
    }

    /// Asks the publisher of a video track for a keyframe of an encoding.
    pub(super) fn want_keyframe(&mut self, now: Instant, index: usize, encoding: usize) {
        let track = &mut self.tracks[index];
        if track.parameters.kind == MediaKind::Audio || track.muted {
            return;
        }
        if let Some(Some(layer)) = track.layers.get_mut(encoding) {
            layer.keyframes.request(now);
            let due = layer.keyframes.poll_timeout();
            self.lower_feed(index, due);
        }
    }
}

impl Subscription {
    /// Goes on with the layer of this generation, from this packet. What is missing of the one that is left is sent again
    /// unless its network is `congested`: the packets of the new one would wait behind pictures that nobody needs.
    pub(super) fn take_up(
        &mut self,
        now: Instant,
        generation: u32,
        codec: Codec,
        packet: &Packet<'_>,
        congested: bool,
    ) {
        if congested {
            self.given_up = self.rewriter.next_sequence();
        }
        let source = Source {
            generation,
            clock_rate: codec.clock_rate(),
        };
        self.rewriter.switch_source(now, source, &packet.numbers);
        let numbers = &packet.numbers;
        self.selector.take_up(numbers.sequence, numbers.timestamp);
        self.replay = None;
    }

    /// Whether a packet of the encoding that it follows passes.
    pub(super) fn gate(&mut self, packet: &Packet<'_>) -> Gate {
        let spatial = |selector: &Selector| selector.current().map(|current| current.spatial);
        let before = spatial(&self.selector);
        let numbers = &packet.numbers;
        let (sequence, timestamp) = (numbers.sequence, numbers.timestamp);
        let gate = self.selector.gate(sequence, timestamp, &packet.tag);
        if !self.repeats_apart && before != spatial(&self.selector) {
            // Other packets end their picture now, which their marker says.
            self.headers_changed();
        }
        gate
    }

    /// Whether a packet that passed the gate is the last of its picture for this subscriber.
    pub(super) fn ends_picture(&self, packet: &Packet<'_>) -> bool {
        let current = self.selector.current();
        let is_video = self.parameters.kind == MediaKind::Video;
        is_video
            && packet.tag.frame_end
            && current.is_some_and(|current| current.spatial == packet.tag.spatial)
    }
}

/// The clock of a stream that begins or goes on elsewhere is told at once, so that lips are in step early.
pub(super) fn report_now(now: Instant, index: usize, peer: &mut Peer, timers: &mut Timers) {
    peer.report_due = Some(now);
    timers.lower(Timer::Peer(index), &mut peer.due, now);
}

/// What a copy gets in place of the publisher's words.
pub(super) struct Outgoing<'a> {
    pub(super) payload_type: u8,
    /// What of the packet's payload it has.
    pub(super) payload: &'a [u8],
    /// What that was taken through, if it is RED.
    pub(super) form: RedForm,
    pub(super) marker: bool,
    pub(super) numbers: Rewritten,
    /// What the publisher's header extensions say.
    pub(super) passed: &'a PassedOn<'a>,
    /// Whether it may wait for more to the same destination.
    pub(super) wait: bool,
    /// The probe that it belongs to.
    pub(super) probe: Option<ProbeId>,
}

/// Writes one copy into the peer's lane and encrypts it there. Returns its size.
pub(super) fn send_copy(
    now: Instant,
    peer: &mut Peer,
    subscription: &mut Subscription,
    packet: &Packet<'_>,
    out: &Outgoing<'_>,
    copy: Copy,
    batch: &mut Batch,
) -> Result<usize, DropReason> {
    let path = peer.path.ok_or(DropReason::NotConnected)?;
    let parameters = &subscription.parameters;
    let rtx = match copy {
        Copy::Media => None,
        Copy::Again => subscription
            .rtx_payload_type(out.payload_type)
            .zip(parameters.rtx_ssrc),
    };
    if matches!(copy, Copy::Again)
        && rtx.is_none()
        && !subscription.is_repeatable(out.numbers.sequence)
    {
        return Err(DropReason::HistoryMiss);
    }
    let (index, payload_type, ssrc) = match rtx {
        Some((payload_type, ssrc)) => (subscription.next_rtx, payload_type, ssrc),
        None => (out.numbers.sequence, out.payload_type, parameters.ssrc),
    };
    let fields = HeaderFields {
        marker: out.marker,
        payload_type,
        sequence: index as u16,
        timestamp: out.numbers.timestamp,
        ssrc,
    };
    let overhead = peer.transport.rtp_overhead();
    let expected = TYPICAL_HEADER + out.payload.len() + usize::from(packet.padding) + overhead;
    let own = OwnWords {
        transport_cc: peer.number(now, subscription.numbered, expected, out.probe),
        frame_number: out.numbers.frame_number,
    };
    let (transport, map) = (&mut peer.transport, &peer.extensions);
    // The packets of one picture stay together; small ones, of any stream, are beside them.
    let (slot, neighbour) = match parameters.kind {
        MediaKind::Audio => (&mut peer.lane, None),
        MediaKind::Video => {
            // A repetition without RTX would have other neighbours, and one number and key must never protect two
            // different packets (RFC 7714 section 8.1).
            let flexible = subscription.repeats_apart && rtx.is_none();
            let size = TYPICAL_HEADER + out.payload.len() + overhead;
            let neighbour = flexible
                .then(|| share_lane(&mut subscription.lane, peer.video_lane, path, size, batch))
                .flatten();
            (&mut subscription.lane, neighbour)
        }
    };
    let padding = if rtx.is_some() { 0 } else { packet.padding };
    let size = batch.write(slot, path, out.wait, |buffer| {
        let start = buffer.len();
        write_copied_header(buffer, &fields, out.passed, map, &parameters.mid, &own);
        let header_len = buffer.len() - start;
        if rtx.is_some() {
            // The original sequence number goes first (RFC 4588 section 4).
            buffer.extend_from_slice(&(out.numbers.sequence as u16).to_be_bytes());
        }
        let payload = buffer.len();
        buffer.extend_from_slice(out.payload);
        out.form.renumber(&mut buffer[payload..]);
        packet.numbers.picture_ids.write(
            &mut buffer[payload..],
            out.numbers.picture_id,
            out.numbers.tl0_pic_idx,
        );
        let size = buffer.len() - start + overhead;
        let aligned = neighbour.and_then(|neighbour| Padding::to_neighbour(size, neighbour));
        pad(buffer, start, aligned.unwrap_or(padding));
        transport.seal_rtp(buffer, start, header_len, index).is_ok()
    });
    if parameters.kind == MediaKind::Video {
        batch.join(subscription.lane, peer.lane);
        peer.video_lane = subscription.lane;
    }
    if size == 0 {
        return Err(DropReason::EncryptionFailed);
    }
    if rtx.is_some() {
        subscription.next_rtx += 1;
    }
    match copy {
        Copy::Media => {
            subscription.counts.packets += 1;
            subscription.counts.bytes += out.payload.len() as u64;
        }
        Copy::Again => subscription.counts.retransmitted += 1,
    }
    peer.counts.packets_sent += 1;
    peer.counts.bytes_sent += size as u64;
    Ok(size)
}

/// Sends a packet of padding in the place of a retransmission: it is of no use but for what its arrival says. Returns its
/// size, or nothing where there is no path or no RTX.
pub(super) fn send_padding(
    now: Instant,
    peer: &mut Peer,
    subscription: &mut Subscription,
    probe: Option<ProbeId>,
    batch: &mut Batch,
) -> Option<usize> {
    let path = peer.path?;
    let parameters = &subscription.parameters;
    let ssrc = parameters.rtx_ssrc?;
    let payload_type = parameters.codecs.iter().find_map(|codec| codec.rtx)?;
    let index = subscription.next_rtx;
    let fields = HeaderFields {
        marker: false,
        payload_type,
        sequence: index as u16,
        timestamp: subscription.rewriter.newest_timestamp(),
        ssrc,
    };
    let expected = TYPICAL_HEADER + usize::from(u8::MAX) + peer.transport.rtp_overhead();
    let own = OwnWords {
        transport_cc: peer.number(now, subscription.numbered, expected, probe),
        frame_number: None,
    };
    let (transport, map) = (&mut peer.transport, &peer.extensions);
    let passed = PassedOn::read(Elements::default(), map);
    let size = batch.write(&mut subscription.lane, path, false, |buffer| {
        let start = buffer.len();
        write_copied_header(buffer, &fields, &passed, map, &parameters.mid, &own);
        let header_len = buffer.len() - start;
        pad(buffer, start, u8::MAX);
        transport.seal_rtp(buffer, start, header_len, index).is_ok()
    });
    if size == 0 {
        return None;
    }
    subscription.next_rtx += 1;
    peer.counts.packets_sent += 1;
    peer.counts.bytes_sent += size as u64;
    Some(size)
}

/// Lets a copy of video that would open a lane go where other video for the same peer is, if it is of about that size.
/// Returns the size of the datagram before it.
fn share_lane(
    own: &mut LaneSlot,
    other: LaneSlot,
    path: Path,
    size: usize,
    batch: &Batch,
) -> Option<usize> {
    let neighbour = batch.last_size(*own, path);
    if neighbour.is_some() {
        return neighbour;
    }
    let neighbour = batch.last_size(other, path)?;
    Padding::to_neighbour(size, neighbour)?;
    *own = other;
    Some(neighbour)
}

/// DTMF and redundancy beside a codec do not decide whether a track can be decoded.
fn is_main_codec(codec: Codec) -> bool {
    !matches!(codec, Codec::TelephoneEvent(_))
}
