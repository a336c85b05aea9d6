//! The RTCP that an endpoint sends: reports, transport-cc, and requests for what is missing.

use std::time::Duration;

use super::{Endpoint, Surroundings};
use crate::rtp::rtcp::{
    ReportBlock, write_cname, write_nack, write_pli, write_receiver_report, write_sender_report,
};

/// Between two reports, as libwebrtc has it for video.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Blocks that one report can have.
const MAX_BLOCKS: usize = 31;
/// The sender of reports where nothing is published.
const NOBODY: u32 = 1;
/// A compound is sent once it is longer.
const MAX_COMPOUND: usize = 1_000;

impl Endpoint {
    /// Sends what is due of it.
    pub(super) fn send_feedback(&mut self, around: &mut Surroundings<'_>) {
        let now = around.now;
        if self.next_report.is_some_and(|due| due <= now) {
            self.next_report = Some(now + REPORT_INTERVAL);
            self.report(around);
        }
        let sender = self.own_ssrc();
        if self.recorder.poll_timeout().is_some_and(|due| due <= now) {
            let media = self.receptions.first().map_or(0, |first| first.setup.ssrc);
            let mut rtcp = Vec::new();
            self.recorder.build_feedback(now, &mut rtcp, sender, media);
            self.send_rtcp(around, &rtcp);
        }
        if self.next_request.is_some_and(|due| due <= now) {
            self.request(around, sender);
        }
    }

    fn own_ssrc(&self) -> u32 {
        let mut layers = self.publications.iter().flat_map(|p| &p.layers);
        layers
            .next()
            .map_or(NOBODY, |layer| layer.outgoing.setup.ssrc)
    }

    /// Sender reports of all that is sent, and blocks about all that is received.
    fn report(&mut self, around: &mut Surroundings<'_>) {
        let now = around.now;
        let nanos = around.tally.nanos(now);
        let receptions = self.receptions.iter_mut();
        let blocks: Vec<ReportBlock> = receptions.filter_map(|r| r.report_block(now)).collect();
        let mut blocks = blocks.chunks(MAX_BLOCKS);
        let mut reports = Vec::new();
        for publication in &self.publications {
            let clock_rate = publication.clock_rate();
            for layer in &publication.layers {
                if let Some(info) = layer.outgoing.report(nanos, clock_rate) {
                    reports.push((layer.outgoing.setup.ssrc, info));
                }
            }
        }
        let sender = self.own_ssrc();
        let mut rtcp = Vec::new();
        for (ssrc, info) in &reports {
            let blocks = blocks.next().unwrap_or_default();
            write_sender_report(&mut rtcp, *ssrc, info, blocks);
            write_cname(&mut rtcp, *ssrc, "load");
        }
        for blocks in blocks {
            if rtcp.len() > MAX_COMPOUND / 2 {
                self.send_rtcp(around, &rtcp);
                rtcp.clear();
            }
            write_receiver_report(&mut rtcp, sender, blocks);
        }
        self.send_rtcp(around, &rtcp);
    }

    /// Asks for packets and keyframes.
    fn request(&mut self, around: &mut Surroundings<'_>, sender: u32) {
        let now = around.now;
        let mut rtcp = Vec::new();
        let mut missing = std::mem::take(&mut self.missing);
        self.next_request = None;
        for index in 0..self.receptions.len() {
            let reception = &mut self.receptions[index];
            let ssrc = reception.setup.ssrc;
            missing.clear();
            let wants_keyframe = reception.poll(now, &mut missing);
            let due = reception.poll_timeout();
            self.next_request = [self.next_request, due].into_iter().flatten().min();
            around.tally.loss.nacks += missing.len() as u64;
            write_nack(&mut rtcp, sender, ssrc, missing.iter().copied());
            if wants_keyframe {
                around.tally.loss.keyframe_requests += 1;
                write_pli(&mut rtcp, sender, ssrc);
            }
            if rtcp.len() > MAX_COMPOUND {
                self.send_rtcp(around, &rtcp);
                rtcp.clear();
            }
        }
        self.missing = missing;
        self.send_rtcp(around, &rtcp);
    }

    /// Seals and sends a compound, if there is anything in it.
    fn send_rtcp(&mut self, around: &mut Surroundings<'_>, rtcp: &[u8]) {
        let (Some(to), Some(srtp)) = (self.ice.selected(), self.srtp.as_mut()) else {
            return;
        };
        if rtcp.is_empty() {
            return;
        }
        let out = &mut *around.out;
        let start = out.bytes.len();
        out.bytes.extend_from_slice(rtcp);
        if srtp.seal_rtcp(&mut out.bytes, start).is_ok() {
            around.tally.sent.rtcp += 1;
            out.finish(start, to);
        } else {
            out.bytes.truncate(start);
        }
    }
}
