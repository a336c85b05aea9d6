//! Probes: short bursts to one peer that show whether its network carries more than is sent.

use std::time::{Duration, Instant};

use super::fanout::{Copy, Outgoing, send_copy, send_padding};
use super::peer::Peer;
use super::subscription::Subscription;
use super::track::Track;
use super::{Batch, Shard};
use crate::forward::{Packet, Probe, ProbeId, RedForm, Rewritten};
use crate::rtp::PassedOn;

/// What is repeated is among so many packets that were sent last: the newest are the likeliest to be of use.
const REPEATED: u64 = 16;

/// Packets of one probe, however small they are.
const MAX_PACKETS: usize = 64;

/// Sent at once when the thread was late: more would be no probe of this rate.
const MAX_AT_ONCE: usize = 16;

/// A probe that is being sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probing {
    id: ProbeId,
    bitrate: u64,
    packets: usize,
    bytes: usize,
    sent: usize,
    /// When the next packet goes out.
    pub(super) due: Instant,
}

impl Probing {
    fn new(now: Instant, probe: Probe) -> Self {
        Self {
            id: probe.id,
            bitrate: probe.bitrate.max(1),
            packets: probe.packets,
            bytes: probe.bytes,
            sent: 0,
            due: now,
        }
    }

    /// A packet of this size went out. Returns whether that was the last.
    fn sent(&mut self, size: usize) -> bool {
        self.sent += 1;
        self.bytes = self.bytes.saturating_sub(size);
        self.due += Duration::from_nanos(size as u64 * 8_000_000_000 / self.bitrate);
        (self.sent >= self.packets && self.bytes == 0) || self.sent >= MAX_PACKETS
    }
}

impl Shard {
    /// Begins a probe where one is of use, and sends what is due of it.
    pub(super) fn probe(&mut self, now: Instant, index: usize, batch: &mut Batch) {
        let peer = &mut self.peers[index];
        let Some(bandwidth) = &mut peer.bandwidth else {
            return;
        };
        if bandwidth.poll_timeout().is_some_and(|due| due <= now) {
            bandwidth.handle_timeout(now);
        }
        // Who never said when anything came would not say it of a probe.
        if !bandwidth.is_informed() {
            return;
        }
        if peer.probing.is_none() {
            let Some(subscription) = self.carrier(index) else {
                return;
            };
            let peer = &mut self.peers[index];
            let probe = peer.bandwidth.as_mut().and_then(|b| b.poll_probe(now));
            peer.probing = probe.map(|probe| (subscription, Probing::new(now, probe)));
        }
        for _ in 0..MAX_AT_ONCE {
            let Some((subscription, mut probing)) = self.peers[index].probing else {
                return;
            };
            if probing.due > now {
                return;
            }
            let size = self.send_probe(now, subscription, probing, batch);
            let is_over = size.is_none_or(|size| probing.sent(size));
            self.peers[index].probing = (!is_over).then_some((subscription, probing));
        }
    }

    /// A subscription whose retransmissions can carry a probe, best one that has something to repeat.
    fn carrier(&self, index: usize) -> Option<usize> {
        let peer = &self.peers[index];
        if !peer.can_receive() {
            return None;
        }
        let able = peer.subscriptions.iter().copied().filter(|&subscription| {
            let subscription = &self.subscriptions[subscription];
            subscription.numbered && subscription.repeats_apart
        });
        able.max_by_key(|&subscription| self.subscriptions[subscription].counts.packets)
    }

    /// Sends one packet of a probe, and returns its size on the wire.
    fn send_probe(
        &mut self,
        now: Instant,
        subscription: usize,
        probing: Probing,
        batch: &mut Batch,
    ) -> Option<usize> {
        let Self {
            peers,
            tracks,
            subscriptions,
            ..
        } = self;
        let subscription = subscriptions.get_mut(subscription)?;
        let peer = &mut peers[subscription.peer];
        let track = subscription.source.and_then(|track| tracks.get(track));
        let packet = track.and_then(|track| repeated(now, subscription, track, probing.sent));
        let id = Some(probing.id);
        match (packet, track) {
            (Some((packet, numbers)), Some(track)) => {
                let out = Outgoing {
                    payload_type: subscription.payload_type(packet.payload_type)?,
                    payload: packet.payload,
                    form: RedForm::Whole,
                    marker: packet.marker || subscription.ends_picture(&packet),
                    numbers,
                    passed: &PassedOn::read(packet.extensions, &track.extensions),
                    wait: false,
                    probe: id,
                };
                send_copy(now, peer, subscription, &packet, &out, Copy::Again, batch).ok()
            }
            _ => send_padding(now, peer, subscription, id, batch),
        }
    }
}

impl Peer {
    /// When its probe or its estimate want attention.
    pub(super) fn bandwidth_due(&self) -> Option<Instant> {
        let probing = self.probing.map(|(_, probing)| probing.due);
        let estimate = self
            .bandwidth
            .as_ref()
            .and_then(|bandwidth| bandwidth.poll_timeout());
        probing.into_iter().chain(estimate).min()
    }
}

/// One of the packets that were sent last, of a mirrored choice so that each is taken in turn.
fn repeated<'a>(
    now: Instant,
    subscription: &Subscription,
    track: &'a Track,
    turn: usize,
) -> Option<(Packet<'a>, Rewritten)> {
    if track.muted {
        return None;
    }
    let back = 1 + turn as u64 % REPEATED;
    let sequence = subscription.rewriter.next_sequence().checked_sub(back)?;
    let origin = subscription.rewriter.origin_of(sequence as u16)?;
    let layer = track
        .layers
        .iter()
        .flatten()
        .find(|layer| layer.generation == origin.generation)?;
    let packet = layer.history.packet(now, origin.sequence)?;
    if origin.is_left_out(&packet.numbers) || packet.payload.is_empty() {
        return None;
    }
    Some((packet, origin.rewrite(&packet.numbers)))
}
