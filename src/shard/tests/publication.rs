//! What a simulated client sends: VP8-like video and Opus-like audio, each packet telling what it is.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::audio::Redundancy;
use crate::rtp::rtcp::{ReportBlock, SenderInfo};
use crate::rtp::{MediaKind, Mid, Rid};
use crate::shard::TrackId;

/// The part of a descriptor and payload header before what [`Content`] says.
const VIDEO_HEAD: usize = 7;

/// One stream of a client: a track, or one layer of it.
pub(super) struct Publication {
    pub(super) track: TrackId,
    pub(super) mid: Mid,
    pub(super) kind: MediaKind,
    pub(super) rid: Option<Rid>,
    /// Names the stream in its payloads.
    pub(super) tag: u32,
    pub(super) ssrc: u32,
    pub(super) rtx_ssrc: Option<u32>,
    pub(super) payload_type: u8,
    pub(super) rtx_payload_type: u8,
    /// The SRTP index of the next packet, and of the next retransmission.
    pub(super) sequence: u64,
    pub(super) rtx_sequence: u64,
    /// The RTP time at the start of the simulation.
    pub(super) timestamp: u32,
    pub(super) picture_id: u16,
    pub(super) tl0_pic_idx: u8,
    /// The number of the next frame.
    pub(super) frame: u32,
    pub(super) interval: Duration,
    pub(super) packets_per_frame: u8,
    pub(super) next_frame: Instant,
    pub(super) running: bool,
    pub(super) keyframe_wanted: bool,
    pub(super) sent: BTreeMap<u64, Plain>,
    /// When each frame was captured.
    pub(super) captured: Vec<Instant>,
    pub(super) bytes: u64,
    /// What makes RED of its frames.
    pub(super) redundancy: Option<Redundancy>,
    /// When PLIs came.
    pub(super) plis: Vec<Instant>,
    pub(super) nacks: usize,
    pub(super) retransmitted: usize,
    pub(super) reports: Vec<ReportBlock>,
}

/// A packet as it was before encryption.
#[derive(Clone, Debug)]
pub(super) struct Plain {
    pub(super) marker: bool,
    pub(super) timestamp: u32,
    pub(super) payload: Vec<u8>,
}

/// What a payload says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) tag: u32,
    pub(super) frame: u32,
    pub(super) index: u8,
    pub(super) count: u8,
    pub(super) keyframe: bool,
    pub(super) picture_id: u16,
    pub(super) tl0_pic_idx: u8,
}

impl Publication {
    pub(super) fn clock_rate(&self) -> u32 {
        match self.kind {
            MediaKind::Audio => 48_000,
            MediaKind::Video => 90_000,
        }
    }

    /// The RTP time of a moment this long after the start.
    pub(super) fn timestamp_at(&self, since_start: Duration) -> u32 {
        let ticks = since_start.as_micros() * u128::from(self.clock_rate()) / 1_000_000;
        self.timestamp.wrapping_add(ticks as u32)
    }

    /// The packets of the next frame, by SRTP index.
    pub(super) fn capture(&mut self, start: Instant) -> Vec<u64> {
        let keyframe = self.kind == MediaKind::Audio || std::mem::take(&mut self.keyframe_wanted);
        let first = self.sequence;
        let count = self.packets_per_frame;
        for index in 0..count {
            let content = Content {
                tag: self.tag,
                frame: self.frame,
                index,
                count,
                keyframe,
                picture_id: self.picture_id,
                tl0_pic_idx: self.tl0_pic_idx,
            };
            let payload = content.payload(self.kind);
            let payload = match &mut self.redundancy {
                Some(redundancy) => redundancy.wrap(payload),
                None => payload,
            };
            self.bytes += payload.len() as u64;
            let plain = Plain {
                marker: self.kind == MediaKind::Video && index + 1 == count,
                timestamp: self.timestamp_at(self.next_frame - start),
                payload,
            };
            self.sent.insert(self.sequence, plain);
            self.sequence += 1;
        }
        self.captured.push(self.next_frame);
        self.frame += 1;
        self.picture_id = (self.picture_id + 1) & 0x7fff;
        self.tl0_pic_idx = self.tl0_pic_idx.wrapping_add(1);
        self.next_frame += self.interval;
        (first..self.sequence).collect()
    }

    /// The sender report of this moment. Clients agree on the wall clock.
    pub(super) fn sender_info(&self, since_start: Duration) -> SenderInfo {
        SenderInfo {
            ntp: ntp(since_start),
            rtp_timestamp: self.timestamp_at(since_start),
            packet_count: self.sent.len() as u32,
            octet_count: self.bytes as u32,
        }
    }
}

/// NTP time this long after the start.
pub(super) fn ntp(since_start: Duration) -> u64 {
    const START: u64 = 0xe000_0000 << 32;
    START + ((since_start.as_nanos() << 32) / 1_000_000_000) as u64
}

impl Content {
    fn len(&self) -> usize {
        100 + (self.frame as usize * 13 + usize::from(self.index) * 29) % 700
    }

    fn filler(&self) -> impl Iterator<Item = u8> {
        let seed = self.tag as u8 ^ (self.frame as u8).wrapping_mul(31) ^ self.index;
        (0..self.len()).map(move |at| seed.wrapping_add(at as u8))
    }

    pub(super) fn payload(&self, kind: MediaKind) -> Vec<u8> {
        let mut out = Vec::new();
        if kind == MediaKind::Video {
            // Extended, with picture id of 15 bits, TL0PICIDX and TID (RFC 7741 section 4.2).
            let start = if self.index == 0 { 0x10 } else { 0 };
            let [high, low] = (self.picture_id | 0x8000).to_be_bytes();
            out.extend_from_slice(&[0x80 | start, 0xe0, high, low, self.tl0_pic_idx, 0]);
            out.push(u8::from(!self.keyframe));
        }
        out.extend_from_slice(&self.tag.to_be_bytes());
        out.extend_from_slice(&self.frame.to_be_bytes());
        out.extend_from_slice(&[self.index, self.count]);
        out.extend(self.filler());
        out
    }

    /// Reads a payload again; panics where a byte of it changed.
    pub(super) fn read(payload: &[u8], kind: MediaKind) -> Self {
        let (head, body) = match kind {
            MediaKind::Video => payload.split_at(VIDEO_HEAD),
            MediaKind::Audio => payload.split_at(0),
        };
        let word = |at: usize| u32::from_be_bytes(body[at..at + 4].try_into().unwrap());
        let at = |index: usize| head.get(index).copied().unwrap_or_default();
        let content = Self {
            tag: word(0),
            frame: word(4),
            index: body[8],
            count: body[9],
            keyframe: at(6) == 0,
            picture_id: u16::from_be_bytes([at(2) & 0x7f, at(3)]),
            tl0_pic_idx: at(4),
        };
        assert_eq!(payload, content.payload(kind), "{content:?}");
        content
    }
}
