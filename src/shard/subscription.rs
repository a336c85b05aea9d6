//! One peer's copy of one track.

use std::collections::VecDeque;
use std::time::Instant;

use rand::Rng;
use rand::rngs::StdRng;

use super::replay::Replay;
use super::timeline::Timeline;
use super::track::Layer;
use super::{CodecParameters, LaneSlot, LayerReason, SendParameters, Wish};
use crate::forward::layers::{EncodingSet, LayerId, Selector};
use crate::forward::{RedForm, Rewriter, SentReports};
use crate::rtp::Codec;

/// Packets that are remembered as sent again a moment ago: as many as one datagram may ask for.
const MAX_REPEATED: usize = 128;

/// How the publisher's packets of one payload type are sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// The subscriber's payload type.
    pub(super) payload_type: u8,
    /// What of them.
    pub(super) form: RedForm,
}

/// A subscription, owned by the shard.
#[derive(Debug)]
pub(super) struct Subscription {
    /// Index of the subscriber.
    pub(super) peer: usize,
    /// What its m-line negotiated.
    pub(super) parameters: SendParameters,
    /// Index of the track; `None` while that is not there.
    pub(super) source: Option<usize>,
    /// What the viewer needs of it.
    pub(super) wish: Wish,
    /// Whether its publisher spoke lately, as it was known when layers were chosen last.
    pub(super) spoke: bool,
    /// Which layer it is sent.
    pub(super) selector: Selector,
    /// The layer that it would be sent if its publisher sent all; `None` where nothing of it is needed or fits.
    pub(super) ideal: Option<LayerId>,
    /// The encodings of it that count among those that the publisher is to send.
    pub(super) counted: EncodingSet,
    /// Why it is not sent more.
    pub(super) reason: Option<LayerReason>,
    /// What the subscriber was told last of both.
    pub(super) told: (Option<LayerId>, Option<LayerReason>),
    /// Whether the subscriber was ever told a reason, and so wants to hear that it is no more.
    pub(super) explained: bool,
    /// Since when not even its lowest layer fits.
    pub(super) starved: Option<Instant>,
    /// What it is still sent of the past: its copies of what comes meanwhile wait behind that.
    pub(super) replay: Option<Replay>,
    /// Whether the subscriber can decode what comes.
    pub(super) decodable: bool,
    /// Where its video is in the batch.
    pub(super) lane: LaneSlot,
    /// For each of the publisher's payload types; `None` where the subscriber has no equal of it.
    ways: [Option<Way>; 128],
    pub(super) rewriter: Rewriter,
    /// Whether every payload type has retransmissions of its own.
    pub(super) repeats_apart: bool,
    /// Whether its packets have transport-wide numbers. Not where one may be sent again under its own number, which would
    /// have another: that would be a different packet.
    pub(super) numbered: bool,
    /// Nothing before this number is sent again: there was no room for it, and what comes next begins with a keyframe.
    pub(super) given_up: u64,
    /// Packets before this number had headers that cannot be written again.
    repeatable_from: u64,
    /// The SRTP index of the next retransmission.
    pub(super) next_rtx: u64,
    /// What was sent again or late, oldest first, and when the receiver will have it, or ask again.
    repeated: VecDeque<(u16, Instant)>,
    pub(super) reports: SentReports,
    /// What the last packet carried.
    pub(super) codec: Option<Codec>,
    pub(super) counts: SubscriptionCounts,
    /// What happened lately.
    pub(super) timeline: Timeline,
}

/// What one subscription was sent, and what it said about it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SubscriptionCounts {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) retransmitted: u64,
    pub(super) nacks: u64,
    pub(super) plis: u64,
    pub(super) fraction_lost: f32,
}

impl Subscription {
    /// A subscription that waits for its first keyframe.
    pub(super) fn new(peer: usize, parameters: SendParameters, rng: &mut StdRng) -> Self {
        Self {
            peer,
            parameters,
            source: None,
            wish: Wish::default(),
            spoke: false,
            selector: Selector::default(),
            ideal: None,
            counted: 0,
            reason: None,
            told: (None, None),
            explained: false,
            starved: None,
            replay: None,
            decodable: true,
            lane: LaneSlot::default(),
            ways: [None; 128],
            rewriter: Rewriter::new(rng.random(), rng.random()),
            repeats_apart: false,
            numbered: false,
            given_up: 0,
            repeatable_from: 0,
            // Below 2^15, so that its first wrap is far (RFC 3711 section 3.3.1).
            next_rtx: rng.random_range(0..1 << 15),
            repeated: VecDeque::new(),
            reports: SentReports::default(),
            codec: None,
            counts: SubscriptionCounts::default(),
            timeline: Timeline::default(),
        }
    }

    /// Whether new parameters go on with the stream that flows.
    pub(super) fn is_same(&self, new: &SendParameters) -> bool {
        let old = &self.parameters;
        old.track == new.track && old.ssrc == new.ssrc && old.rtx_ssrc == new.rtx_ssrc
    }

    /// What was sent until now would have another header now.
    pub(super) fn headers_changed(&mut self) {
        self.repeatable_from = self.rewriter.next_sequence();
    }

    /// Whether a packet may be sent again under its own number. One number and key must never protect
    /// two different packets (RFC 7714 section 8.1): only a byte-identical one may go, which one with a
    /// transport-wide number cannot be.
    pub(super) fn is_repeatable(&self, sequence: u64) -> bool {
        !self.numbered && sequence >= self.repeatable_from
    }

    /// Looks up the subscriber's payload type for each of the publisher's.
    pub(super) fn route(&mut self, publisher: &[CodecParameters]) {
        self.headers_changed();
        self.ways = [None; 128];
        self.repeats_apart = self.parameters.rtx_ssrc.is_some();
        self.numbered = false;
        let mut may_repeat = false;
        for theirs in publisher {
            let found = way(publisher, theirs, &self.parameters.codecs);
            let slot = self.ways.get_mut(usize::from(theirs.payload_type));
            if let (Some((ours, form)), Some(slot)) = (found, slot) {
                *slot = Some(Way {
                    payload_type: ours.payload_type,
                    form,
                });
                self.repeats_apart &= ours.rtx.is_some();
                may_repeat |= ours.nack;
                // DTMF beside a codec has no feedback of its own.
                if !matches!(ours.codec, Codec::TelephoneEvent(_)) {
                    self.numbered |= ours.transport_cc;
                }
            }
        }
        self.numbered &= self.repeats_apart || !may_repeat;
    }

    /// The subscriber's payload type for one of the publisher's.
    pub(super) fn payload_type(&self, publisher: u8) -> Option<u8> {
        self.way(publisher).map(|way| way.payload_type)
    }

    /// How packets of one of the publisher's payload types are sent on.
    pub(super) fn way(&self, publisher: u8) -> Option<Way> {
        self.ways.get(usize::from(publisher)).copied().flatten()
    }

    /// The subscriber's payload type for retransmissions of its payload type.
    pub(super) fn rtx_payload_type(&self, payload_type: u8) -> Option<u8> {
        self.parameters
            .codecs
            .iter()
            .find(|codec| codec.payload_type == payload_type)
            .and_then(|codec| codec.rtx)
    }

    /// A packet was sent out of its order, and the receiver cannot have it before `then`: until then it is not sent again.
    pub(super) fn sent_late(&mut self, then: Instant, sequence: u16) {
        if self.repeated.len() >= MAX_REPEATED {
            self.repeated.pop_front();
        }
        self.repeated.push_back((sequence, then));
    }

    /// Whether to send a packet again: not while the receiver cannot have what was sent of it. If so, it is taken for sent,
    /// to be there at `then`; says how often it was sent so before.
    pub(super) fn repeat(&mut self, now: Instant, sequence: u16, then: Instant) -> Option<usize> {
        let earlier = self.repeated.iter().filter(|(known, _)| *known == sequence);
        let (mut count, mut too_early) = (0, false);
        for (_, then) in earlier {
            count += 1;
            too_early |= now < *then;
        }
        if too_early {
            return None;
        }
        self.sent_late(then, sequence);
        Some(count)
    }

    /// Stops until the next keyframe.
    pub(super) fn wait_for_keyframe(&mut self) {
        self.selector.stop();
        self.replay = None;
    }

    /// Whether a packet of this encoding goes on with what was sent last.
    pub(super) fn follows(&self, encoding: usize, layer: &Layer) -> bool {
        self.selector
            .current()
            .is_some_and(|current| usize::from(current.encoding) == encoding)
            && self
                .rewriter
                .source()
                .is_some_and(|source| source.generation == layer.generation)
    }

    /// Whether it is to go on with this encoding as soon as it can.
    pub(super) fn awaits(&self, encoding: usize) -> bool {
        self.selector
            .target()
            .is_some_and(|target| usize::from(target.encoding) == encoding)
    }
}

/// What the subscriber has for one of the publisher's payload types: of RED, if it has none, the Opus in it.
fn way<'a>(
    publisher: &[CodecParameters],
    theirs: &CodecParameters,
    subscriber: &'a [CodecParameters],
) -> Option<(&'a CodecParameters, RedForm)> {
    let ours = |codec: Codec| subscriber.iter().find(|ours| ours.codec == codec);
    if theirs.codec != Codec::Red {
        return ours(theirs.codec).map(|ours| (ours, RedForm::Whole));
    }
    let is_opus = |codec: &&CodecParameters| codec.codec == Codec::Opus;
    let from = publisher.iter().find(is_opus)?.payload_type;
    let opus = ours(Codec::Opus)?;
    let form = match ours(Codec::Red) {
        None => return Some((opus, RedForm::Primary { opus: from })),
        Some(_) if opus.payload_type == from => RedForm::Whole,
        Some(_) => RedForm::Renumbered {
            from,
            to: opus.payload_type,
        },
    };
    ours(Codec::Red).map(|red| (red, form))
}
