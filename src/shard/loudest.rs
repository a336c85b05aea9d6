//! In a large call only the loudest audio goes on. The shard chooses among the tracks that are published on it; those who
//! receive them, here or over a link, see a pause in the stream, without a gap in its numbers. What a shared screen sounds like
//! is no voice, and always goes on.

use std::time::Instant;

use super::peer::Place;
use super::track::Feed;
use super::{Batch, Shard};
use crate::forward::{Choice, Packet, PacketShape};
use crate::rtp::{AudioLevel, Codec};

/// When a track begins, at most so many packets from before are sent …
const MAX_REPLAYED: u64 = 10;

/// … and at most this part of a second: with older ones the receiver would begin with a delay that it has to make good.
const REPLAYED_PART: u32 = 5;

/// A packet that was kept, apart from the history.
struct Kept {
    codec: Codec,
    shape: PacketShape,
    bytes: Vec<u8>,
}

impl Shard {
    /// Whether a packet that just came, and is not kept yet, is forwarded. Where its track begins, what came since the
    /// sound began is forwarded before it.
    pub(super) fn is_heard(
        &mut self,
        now: Instant,
        place: Place,
        packet: &Packet<'_>,
        level: Option<AudioLevel>,
        batch: &mut Batch,
    ) -> bool {
        let track = &mut self.tracks[place.track];
        let sequence = packet.numbers.sequence;
        let choice = match (level, track.member, &track.feed) {
            (Some(level), Some(member), Feed::Peer(publisher)) => {
                let call = &mut self.calls[self.peers[*publisher].call];
                if call.loudest.is_choosing() {
                    call.loudest.hear(now, member, level, sequence)
                } else {
                    Choice::Forward
                }
            }
            _ => Choice::Forward,
        };
        let first = match (choice, track.left_out) {
            (Choice::LeaveOut, since) => {
                track.left_out = since.or(Some(sequence));
                return false;
            }
            (Choice::Late, _) => return track.is_heard_at(sequence),
            (Choice::Forward | Choice::Begin { .. }, None) => return true,
            (Choice::Forward, Some(_)) => sequence,
            // What came before was sent, or may still be.
            (Choice::Begin { first }, Some(since)) => first.max(since),
        };
        track.left_out = None;
        self.begin_audio(now, place, packet, first, batch);
        true
    }

    /// A track of a peer here is one of those to choose from if it is a voice.
    pub(super) fn join_loudest(&mut self, publisher: usize, track: usize) {
        let track = &mut self.tracks[track];
        let loudest = &mut self.calls[self.peers[publisher].call].loudest;
        match (track.parameters.voice, track.member) {
            (true, None) => track.member = Some(loudest.join()),
            (false, Some(member)) => {
                loudest.leave(member);
                track.member = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// It is no more.
    pub(super) fn leave_loudest(&mut self, publisher: usize, track: usize) {
        if let Some(member) = self.tracks[track].member.take() {
            self.calls[self.peers[publisher].call].loudest.leave(member);
        }
    }

    /// Goes on with a track at this number of it, as far as it was kept, before the packet that just came.
    fn begin_audio(
        &mut self,
        now: Instant,
        place: Place,
        packet: &Packet<'_>,
        first: u64,
        batch: &mut Batch,
    ) {
        let kept = self.kept_since(now, place, packet, first);
        let first = kept
            .first()
            .map_or(packet.numbers.sequence, |kept| kept.shape.numbers.sequence);
        self.skip_to(place, first);
        self.link_skip_to(place, first);
        for Kept {
            codec,
            shape,
            bytes,
        } in &kept
        {
            if let Some(packet) = shape.with(bytes) {
                self.link_packet(place, &packet);
                self.fan_out(now, place, *codec, &packet, batch);
            }
        }
    }

    /// The packets from `first` to before `packet` that are young enough to be sent. This happens when somebody begins
    /// to speak, so it may copy them.
    fn kept_since(&self, now: Instant, place: Place, packet: &Packet<'_>, first: u64) -> Vec<Kept> {
        let track = &self.tracks[place.track];
        let Some(Some(layer)) = track.layers.get(place.layer) else {
            return Vec::new();
        };
        let end = packet.numbers.sequence;
        let codecs = &track.parameters.codecs;
        let keep = |sequence: u64| {
            let kept = layer.history.packet(now, sequence)?;
            let mut codecs = codecs.iter();
            let codec = codecs.find(|codec| codec.payload_type == kept.payload_type)?;
            let age = packet
                .numbers
                .timestamp
                .wrapping_sub(kept.numbers.timestamp);
            if age > codec.codec.clock_rate() / REPLAYED_PART {
                return None;
            }
            let mut bytes = kept.extensions.block().1.to_vec();
            bytes.extend_from_slice(kept.payload);
            Some(Kept {
                codec: codec.codec,
                shape: PacketShape::of(&kept)?,
                bytes,
            })
        };
        let first = first.max(end.saturating_sub(MAX_REPLAYED));
        (first..end).filter_map(keep).collect()
    }

    /// Leaves what was not sent of a track out of its subscriptions' numbers: it goes on with this packet.
    pub(super) fn skip_to(&mut self, place: Place, first: u64) {
        let track = &self.tracks[place.track];
        let Some(Some(source)) = track.layers.get(place.layer) else {
            return;
        };
        for &index in track.followers.get(place.layer).into_iter().flatten() {
            let subscription = &mut self.subscriptions[index];
            if subscription.follows(place.layer, source) {
                subscription.rewriter.skip_to(first);
            }
        }
    }
}
