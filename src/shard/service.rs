//! What happens on timers: feedback and reports to peers, requests for what is missing, keyframe requests.

use std::time::{Duration, Instant};

use super::apply::QUALITY_INTERVAL;
use super::peer::Peer;
use super::track::Feed;
use super::{Batch, Current, Event, ParticipantId, Shard, Timer};
use crate::rtp::AudioLevel;
use crate::rtp::rtcp::{write_nack, write_pli, write_receiver_report, write_sender_report};

/// How often sender and receiver reports go out: as often as browsers send theirs for video.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// A peer is served at most once in this time.
const MIN_REST: Duration = Duration::from_millis(1);

/// Report blocks in one receiver report (RFC 3550 section 6.4.2).
const MAX_BLOCKS: usize = 31;

/// RTCP datagrams stay below this many bytes before encryption.
const MAX_RTCP: usize = 1_100;

/// A network counts as lossy for so long after a packet was missing.
const LOSSY: Duration = Duration::from_secs(1);

impl Shard {
    /// Makes the peer's timer due at `at`, unless it is due before that.
    pub(super) fn lower(&mut self, index: usize, at: Option<Instant>) {
        if let (Some(at), Some(peer)) = (at, self.peers.get_mut(index)) {
            self.timers.lower(Timer::Peer(index), &mut peer.due, at);
        }
    }

    /// Makes the timer of whoever feeds a track due at `at`, unless it is due before that.
    pub(super) fn lower_feed(&mut self, track: usize, at: Option<Instant>) {
        match (&mut self.tracks[track].feed, at) {
            (Feed::Peer(publisher), at) => {
                let publisher = *publisher;
                self.lower(publisher, at);
            }
            (Feed::Link(mirror), Some(at)) => {
                self.timers.lower(Timer::Mirror(track), &mut mirror.due, at);
            }
            (Feed::Link(_), None) => {}
        }
    }

    /// Takes the transport's timeout, which any call to it may have changed, into the peer's timer.
    pub(super) fn schedule_transport(&mut self, index: usize) {
        let due = self.peers.get(index).and_then(|peer| {
            let transport = peer.transport.poll_timeout();
            [transport, peer.quality_due].into_iter().flatten().min()
        });
        self.lower(index, due);
    }

    /// Sends what the transport of a peer other than the present one wants to send.
    pub(super) fn flush_transport(&mut self, index: usize, batch: &mut Batch) {
        let peer = &mut self.peers[index];
        while let Some(transmit) = peer.transport.poll_transmit() {
            peer.counts.packets_sent += 1;
            peer.counts.bytes_sent += transmit.contents.len() as u64;
            batch.push(transmit.path, &transmit.contents);
        }
        self.schedule_transport(index);
    }

    /// Does what is due for a peer, and sets its timer anew.
    pub(super) fn serve_peer(&mut self, now: Instant, index: usize, batch: &mut Batch) {
        let Some(peer) = self.peers.get_mut(index) else {
            return;
        };
        peer.due = None;
        self.current = Some(Current::Peer(index));
        #[cfg(test)]
        self.bugs.meet(super::tests::bugs::Place::Timeout, index);
        if peer.transport.poll_timeout().is_some_and(|due| due <= now) {
            peer.transport.handle_timeout(now);
            self.pump(now, index, batch);
            if !self.peers.contains(index) {
                return;
            }
        }
        if self.peers[index].connected {
            if self.peers[index].feedback_due.is_some_and(|due| due <= now) {
                self.send_transport_feedback(now, index, batch);
            }
            self.send_kept(now, index, batch);
            self.probe(now, index, batch);
            self.adapt_if_due(now, index, batch);
            self.send_requests(now, index, batch);
            self.send_reports(now, index, batch);
            self.tell_wanted(now, index);
        }
        self.tell_quality(now, index);
        self.schedule(now, index);
    }

    /// Sets a peer's timer anew.
    pub(super) fn schedule(&mut self, now: Instant, index: usize) {
        // However wrong a deadline is, it cannot keep the shard from everybody else.
        let due = self.next_due(index).map(|due| due.max(now + MIN_REST));
        let peer = &mut self.peers[index];
        self.timers.set(Timer::Peer(index), &mut peer.due, due);
    }

    fn next_due(&self, index: usize) -> Option<Instant> {
        let peer = &self.peers[index];
        let mut due = [peer.transport.poll_timeout(), peer.quality_due]
            .into_iter()
            .flatten()
            .min();
        if peer.connected {
            let reports = [
                peer.feedback_due,
                peer.report_due,
                peer.adaptation.due,
                peer.bandwidth_due(),
                peer.outflow.due,
            ];
            due = due.into_iter().chain(reports.into_iter().flatten()).min();
            for &track in &peer.tracks {
                let track = &self.tracks[track];
                due = due.into_iter().chain(track.wanted.poll_timeout()).min();
                for layer in track.layers.iter().flatten() {
                    let wanted = [layer.nack.poll_timeout(), layer.keyframes.poll_timeout()];
                    due = due.into_iter().chain(wanted.into_iter().flatten()).min();
                }
            }
        }
        due
    }

    /// Tells a peer when its packets came.
    pub(super) fn send_transport_feedback(
        &mut self,
        now: Instant,
        index: usize,
        batch: &mut Batch,
    ) {
        let Self { peers, rtcp, .. } = self;
        let peer = &mut peers[index];
        peer.feedback_due = None;
        let (ours, theirs) = (peer.feedback_ssrc, peer.feedback_media_ssrc);
        peer.transport_cc.build_feedback(now, rtcp, ours, theirs);
        send_rtcp(peer, rtcp, batch);
    }

    /// NACKs for what is missing of the peer's streams, and PLIs for what somebody waits for.
    fn send_requests(&mut self, now: Instant, index: usize, batch: &mut Batch) {
        let Self {
            peers,
            tracks,
            subscriptions,
            rtcp,
            ..
        } = self;
        let peer = &mut peers[index];
        let mut missing = Vec::new();
        for track in 0..peer.tracks.len() {
            let track = &mut tracks[peer.tracks[track]];
            // With PLI where it was agreed, and nothing where neither was: RFC 5104 and RFC 4585 have
            // a sender act on what it announced only.
            let pli = track.parameters.codecs.iter().any(|codec| codec.pli);
            for encoding in 0..track.layers.len() {
                let watched = track.is_watched(encoding);
                let Some(Some(layer)) = track.layers.get_mut(encoding) else {
                    continue;
                };
                missing.clear();
                if let Some(rtt) = peer.rtt {
                    layer.nack.set_rtt(rtt);
                }
                layer.nack.poll(now, &mut missing);
                if !missing.is_empty() {
                    layer.counts.nacks += 1;
                    let wanted = missing.iter().copied();
                    write_nack(rtcp, peer.feedback_ssrc, layer.ssrc, wanted);
                }
                let lost = layer.nack.take_needs_keyframe() && watched;
                if lost {
                    layer.keyframes.request(now);
                }
                let lossy = layer.nack.was_lossy(now, LOSSY);
                let again = layer.keyframes.repeats();
                let asks = layer.keyframes.poll(now, lossy) && pli;
                if asks {
                    layer.counts.plis += 1;
                    write_pli(rtcp, peer.feedback_ssrc, layer.ssrc);
                }
                if lost {
                    track.note_lost(now, encoding, subscriptions);
                }
                if asks && !again {
                    track.note_asked(now, encoding, subscriptions);
                }
            }
        }
        send_rtcp(peer, rtcp, batch);
    }

    fn send_reports(&mut self, now: Instant, index: usize, batch: &mut Batch) {
        let peer = &self.peers[index];
        if peer.tracks.is_empty() && peer.subscriptions.is_empty() {
            self.peers[index].report_due = None;
            return;
        }
        if peer.report_due.is_some_and(|due| due > now) {
            return;
        }
        self.peers[index].report_due = Some(self.beat.within(now, REPORT_INTERVAL));
        for track in 0..self.peers[index].tracks.len() {
            self.link_encodings(now, self.peers[index].tracks[track]);
        }
        self.send_receiver_reports(now, index, batch);
        self.send_sender_reports(now, index, batch);
        self.note_silence(now, index);
    }

    fn send_receiver_reports(&mut self, now: Instant, index: usize, batch: &mut Batch) {
        let Self {
            peers,
            tracks,
            rtcp,
            ..
        } = self;
        let peer = &mut peers[index];
        let mut blocks = Vec::new();
        for &track in &peer.tracks {
            for layer in tracks[track].layers.iter_mut().flatten() {
                layer.history.release(now);
                if let Some(block) = layer.receive.report_block(now, layer.ssrc) {
                    let lost = f32::from(block.fraction_lost) / 256.0;
                    peer.worst_loss = peer.worst_loss.max(lost);
                    blocks.push(block);
                }
            }
        }
        for blocks in blocks.chunks(MAX_BLOCKS) {
            write_receiver_report(rtcp, peer.feedback_ssrc, blocks);
        }
        send_rtcp(peer, rtcp, batch);
    }

    /// The publishers' clocks in each subscription's numbers, so that lips stay in step.
    fn send_sender_reports(&mut self, now: Instant, index: usize, batch: &mut Batch) {
        let Self {
            peers,
            tracks,
            subscriptions,
            rtcp,
            ..
        } = self;
        let peer = &mut peers[index];
        for subscription in 0..peer.subscriptions.len() {
            let subscription = &mut subscriptions[peer.subscriptions[subscription]];
            let Some(source) = subscription.rewriter.source() else {
                continue;
            };
            let clock = subscription.source.and_then(|track| {
                let layers = tracks[track].layers.iter().flatten();
                layers
                    .filter(|layer| layer.generation == source.generation)
                    .find_map(|layer| layer.clock)
            });
            let counts = &subscription.counts;
            let info = clock.and_then(|clock| {
                clock.sender_info(now, &subscription.rewriter, counts.packets, counts.bytes)
            });
            if let Some(info) = info {
                subscription.reports.sent(now, info.ntp);
                write_sender_report(rtcp, subscription.parameters.ssrc, &info, &[]);
            }
        }
        send_rtcp(peer, rtcp, batch);
    }

    fn tell_quality(&mut self, now: Instant, index: usize) {
        let peer = &mut self.peers[index];
        if peer.quality_due.is_some_and(|due| due > now) {
            return;
        }
        peer.quality_due = Some(self.beat.within(now, QUALITY_INTERVAL));
        if peer.connected {
            let event = Event::Quality {
                peer: peer.id,
                quality: peer.take_quality(QUALITY_INTERVAL),
            };
            self.events.push_back(event);
        }
    }

    /// Takes the level of one packet of audio into the call's ranking.
    pub(super) fn observe_level(&mut self, now: Instant, index: usize, level: AudioLevel) {
        let peer = &self.peers[index];
        let call = &mut self.calls[peer.call];
        call.speakers.observe(now, peer.participant.0, level);
        if let Some(due) = call.speakers.poll_timeout() {
            self.timers
                .lower(Timer::Call(peer.call), &mut call.due, due);
        }
    }

    /// Tells who speaks, if that changed.
    pub(super) fn serve_call(&mut self, now: Instant, index: usize) {
        let Some(call) = self.calls.get_mut(index) else {
            return;
        };
        call.due = None;
        self.current = None;
        if let Some(speakers) = call.speakers.poll(now) {
            let speakers = speakers
                .into_iter()
                .map(|(key, level)| (ParticipantId(key), level))
                .collect();
            self.events.push_back(Event::Speakers {
                call: call.id,
                speakers,
            });
        }
        if let Some(due) = call.speakers.poll_timeout() {
            self.timers.lower(Timer::Call(index), &mut call.due, due);
        }
    }
}

/// Encrypts what was put together into the peer's lane, in datagrams of whole packets, and empties it.
/// Nothing is sent without a path.
fn send_rtcp(peer: &mut Peer, rtcp: &mut Vec<u8>, batch: &mut Batch) {
    let mut rest = rtcp.as_slice();
    while let (Some(path), false) = (peer.path, rest.is_empty()) {
        let datagram;
        (datagram, rest) = rest.split_at(datagram_len(rest));
        let transport = &mut peer.transport;
        let size = batch.write(&mut peer.lane, path, false, |buffer| {
            let start = buffer.len();
            buffer.extend_from_slice(datagram);
            transport.seal_rtcp(buffer, start).is_ok()
        });
        if size > 0 {
            peer.counts.packets_sent += 1;
            peer.counts.bytes_sent += size as u64;
        }
    }
    rtcp.clear();
}

/// The length of as many packets as fit a datagram, at least one.
fn datagram_len(rtcp: &[u8]) -> usize {
    let mut end = 0;
    while let Some([_, _, high, low]) = rtcp.get(end..).and_then(|rest| rest.first_chunk()) {
        let words = usize::from(u16::from_be_bytes([*high, *low])) + 1;
        if end > 0 && end + words * 4 > MAX_RTCP {
            return end;
        }
        end = (end + words * 4).min(rtcp.len());
    }
    rtcp.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_of_rtcp_end_between_packets_and_below_the_limit() {
        let mut rtcp = Vec::new();
        for stream in 0..3 {
            write_nack(&mut rtcp, 1, stream, (0..4000).step_by(20));
        }
        write_pli(&mut rtcp, 1, 2);
        let nack = (rtcp.len() - 12) / 3;
        let mut rest = rtcp.as_slice();
        let mut lengths = Vec::new();
        while !rest.is_empty() {
            lengths.push(datagram_len(rest));
            rest = &rest[datagram_len(rest)..];
        }
        assert!(nack <= MAX_RTCP && nack * 2 > MAX_RTCP);
        assert_eq!(lengths, [nack, nack, nack + 12]);
    }
}
