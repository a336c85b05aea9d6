//! RTCP from peers: what publishers report of themselves, and what subscribers miss.

use std::time::{Duration, Instant};

use super::fanout::{Copy, Outgoing, send_copy};
use super::{Batch, KeyframeReason, Shard};
use crate::forward::{DropReason, SenderClock};
use crate::rtp::PassedOn;
use crate::rtp::rtcp::{ReportBlock, RtcpPacket, RtcpPackets};

/// Retransmissions that one datagram of NACKs may cause: what a history holds would be a flood.
const MAX_RETRANSMISSIONS: usize = 128;

/// A packet that was sent again is not sent once more within this share of a round trip: receivers repeat what they ask for
/// once a round trip, and may take that for shorter than it is here.
const REPEAT_AFTER: f64 = 0.85;
const MIN_REPEAT: Duration = Duration::from_millis(10);

/// A network that loses so much whatever it is sent gets repetitions twice: one that gets lost is asked for a round trip
/// later, and the viewer waits.
const LOSSY: f64 = 0.05;

impl Shard {
    pub(super) fn handle_rtcp(
        &mut self,
        now: Instant,
        index: usize,
        datagram: &mut [u8],
        batch: &mut Batch,
    ) -> Result<(), DropReason> {
        let len = self.peers[index]
            .transport
            .open_rtcp(datagram)
            .map_err(|_| DropReason::AuthenticationFailed)?;
        let plain = datagram.get(..len).ok_or(DropReason::Malformed)?;
        let mut repeats = 0;
        for packet in RtcpPackets::new(plain) {
            match packet {
                RtcpPacket::SenderReport {
                    ssrc,
                    info,
                    reports,
                } => {
                    self.handle_sender_report(
                        now,
                        index,
                        ssrc,
                        &SenderClock::new(now, &info),
                        info.ntp,
                    );
                    self.handle_reports(now, index, reports);
                }
                RtcpPacket::ReceiverReport { reports, .. } => {
                    self.handle_reports(now, index, reports);
                }
                RtcpPacket::Nack {
                    media_ssrc,
                    sequences,
                } => {
                    for sequence in sequences {
                        repeats += 1;
                        if repeats > MAX_RETRANSMISSIONS {
                            return Err(DropReason::RateLimited);
                        }
                        self.repair(now, index, media_ssrc, sequence, batch);
                    }
                    self.count_nack(index, media_ssrc);
                }
                RtcpPacket::Pli { media_ssrc } => {
                    self.handle_keyframe_request(now, index, media_ssrc);
                }
                RtcpPacket::Fir { entries } => {
                    for (ssrc, _) in entries {
                        self.handle_keyframe_request(now, index, ssrc);
                    }
                }
                RtcpPacket::TransportCc { feedback, .. } => {
                    if let Some(bandwidth) = &mut self.peers[index].bandwidth {
                        bandwidth.handle_feedback(now, feedback);
                        self.estimate_changed(now, index);
                        self.note_estimate(now, index);
                    }
                }
                RtcpPacket::Remb { bitrate, .. } => {
                    let bandwidth = self.peers[index].bandwidth(now);
                    bandwidth.handle_remb(now, bitrate);
                    self.estimate_changed(now, index);
                    self.note_estimate(now, index);
                }
                // A publisher's BYE is followed by an offer that says so.
                RtcpPacket::Bye { .. } => {}
            }
        }
        Ok(())
    }

    /// The publisher's clock. Subscribers get it at once, so that lips and voice are in step early.
    fn handle_sender_report(
        &mut self,
        now: Instant,
        index: usize,
        ssrc: u32,
        clock: &SenderClock,
        ntp: u64,
    ) {
        let stream = self.peers[index].stream_by_ssrc.get(&ssrc);
        let Some(place) = stream.and_then(|stream| stream.place) else {
            return;
        };
        if place.rtx {
            return;
        }
        let track = &mut self.tracks[place.track];
        let Some(Some(source)) = track.layers.get_mut(place.layer) else {
            return;
        };
        let first = source.clock.is_none();
        source.clock = Some(*clock);
        source.receive.handle_sender_report(now, ntp);
        self.link_clock(place.track, place.layer);
        if first {
            self.report_soon(now, place.track);
        }
    }

    /// Lets all subscribers of a track have its publisher's clock at once.
    pub(super) fn report_soon(&mut self, now: Instant, track: usize) {
        for subscription in self.tracks[track].subscriptions.clone() {
            let subscriber = self.subscriptions[subscription].peer;
            self.peers[subscriber].report_due = Some(now);
            self.lower(subscriber, Some(now));
        }
    }

    /// What the peer received of what it was sent.
    fn handle_reports(
        &mut self,
        now: Instant,
        index: usize,
        reports: impl Iterator<Item = ReportBlock>,
    ) {
        let peer = &mut self.peers[index];
        for report in reports {
            let Some(&subscription) = peer.sender_by_ssrc.get(&report.ssrc) else {
                continue;
            };
            let subscription = &mut self.subscriptions[subscription];
            if report.ssrc != subscription.parameters.ssrc {
                continue;
            }
            let lost = f32::from(report.fraction_lost) / 256.0;
            subscription.counts.fraction_lost = lost;
            subscription.timeline.lost(now, report.fraction_lost);
            peer.worst_loss = peer.worst_loss.max(lost);
            let rtt = subscription
                .reports
                .rtt(now, report.last_sender_report, report.delay);
            if let Some(rtt) = rtt {
                peer.observe_rtt(rtt);
            }
        }
    }

    /// Sends a packet again out of the track's history, which all its subscriptions share. Returns its size, 0 if it is
    /// not sent.
    pub(super) fn retransmit(
        &mut self,
        now: Instant,
        index: usize,
        ssrc: u32,
        sequence: u16,
        batch: &mut Batch,
    ) -> usize {
        let sent = self.try_retransmit(now, index, ssrc, sequence, batch);
        sent.unwrap_or_else(|reason| {
            self.drops.count(reason);
            0
        })
    }

    fn try_retransmit(
        &mut self,
        now: Instant,
        index: usize,
        ssrc: u32,
        sequence: u16,
        batch: &mut Batch,
    ) -> Result<usize, DropReason> {
        let Self {
            peers,
            tracks,
            subscriptions,
            ..
        } = self;
        let subscription = peers[index]
            .sender_by_ssrc
            .get(&ssrc)
            .copied()
            .ok_or(DropReason::UnknownSsrc)?;
        let subscription = &mut subscriptions[subscription];
        let track = &tracks[subscription.source.ok_or(DropReason::HistoryMiss)?];
        if track.muted || subscription.wish.paused {
            return Err(DropReason::HistoryMiss);
        }
        let origin = subscription
            .rewriter
            .origin_of(sequence)
            .ok_or(DropReason::HistoryMiss)?;
        let packet = track
            .layers
            .iter()
            .flatten()
            .find(|layer| layer.generation == origin.generation)
            .and_then(|layer| layer.history.packet(now, origin.sequence))
            .ok_or(DropReason::HistoryMiss)?;
        let numbers = origin.rewrite(&packet.numbers);
        if numbers.sequence < subscription.given_up {
            return Err(DropReason::Stale);
        }
        let mut packet = packet;
        if origin.is_left_out(&packet.numbers) {
            // It was missing when its picture was left out, so that a number was kept for it. An empty packet fills that;
            // its own would have the id of another picture.
            if !subscription.repeats_apart {
                return Err(DropReason::OtherLayer);
            }
            packet.payload = &[];
        }
        let wait = peers[index].rtt.unwrap_or_default().mul_f64(REPEAT_AFTER);
        let then = now + wait.max(MIN_REPEAT);
        let Some(earlier) = subscription.repeat(now, sequence, then) else {
            return Err(DropReason::Duplicate);
        };
        let is_lossy = earlier > 0 || peers[index].inherent_loss() >= LOSSY;
        let twice = is_lossy && subscription.repeats_apart && !peers[index].is_congested();
        let way = subscription
            .way(packet.payload_type)
            .ok_or(DropReason::NoCodec)?;
        let payload = way.form.apply(packet.payload);
        let passed = PassedOn::read(packet.extensions, &track.extensions);
        let out = Outgoing {
            payload_type: way.payload_type,
            payload: payload.ok_or(DropReason::NoCodec)?,
            form: way.form,
            marker: packet.marker || subscription.ends_picture(&packet),
            numbers,
            passed: &passed,
            wait: false,
            probe: None,
        };
        let peer = &mut peers[index];
        let mut sent = send_copy(now, peer, subscription, &packet, &out, Copy::Again, batch)?;
        peer.repaired(sent);
        if twice && peer.may_repair(now) {
            let again = send_copy(now, peer, subscription, &packet, &out, Copy::Again, batch)?;
            peer.repaired(again);
            sent += again;
        }
        Ok(sent)
    }

    fn count_nack(&mut self, index: usize, ssrc: u32) {
        if let Some(&subscription) = self.peers[index].sender_by_ssrc.get(&ssrc) {
            self.subscriptions[subscription].counts.nacks += 1;
        }
    }

    /// A subscriber cannot go on without a keyframe. All such requests of a layer are merged.
    fn handle_keyframe_request(&mut self, now: Instant, index: usize, ssrc: u32) {
        let Some(&subscription) = self.peers[index].sender_by_ssrc.get(&ssrc) else {
            return;
        };
        let subscription = &mut self.subscriptions[subscription];
        subscription.counts.plis += 1;
        let timeline = &mut subscription.timeline;
        timeline.keyframe_asked(now, KeyframeReason::Viewer);
        if subscription.replay.is_some() {
            // It is on its way.
            return;
        }
        let selector = &subscription.selector;
        if let (Some(track), Some(layer)) = (
            subscription.source,
            selector.current().or(selector.target()),
        ) {
            self.want_keyframe(now, track, usize::from(layer.encoding));
        }
    }
}
