//! What a simulated client sends: VP8-like video and Opus-like audio, each packet telling what it is.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::audio::Redundancy;
use super::sim::{Source, mid_of};
use crate::rtp::rtcp::{ReportBlock, SenderInfo};
use crate::rtp::{MediaKind, Mid, Rid};
use crate::shard::{CodecParameters, TrackId};

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
    /// How it uses its bitrate; without a shape frames have a few packets of no certain length.
    pub(super) shape: Option<Shape>,
    /// The frames that the next may refer to: those of each temporal layer that came last.
    pub(super) last: [Option<u32>; 3],
    /// Frames since the last keyframe.
    pub(super) since_keyframe: u32,
    pub(super) next_frame: Instant,
    /// Packets that wait for their turn, which those of a shaped stream do as in a browser: when each leaves.
    pub(super) paced: VecDeque<(Instant, u64)>,
    pub(super) running: bool,
    /// Whether the server wants it, and whether the network carries it.
    pub(super) wanted: bool,
    pub(super) carried: bool,
    pub(super) keyframe_wanted: bool,
    pub(super) sent: BTreeMap<u64, Plain>,
    /// When each frame was captured.
    pub(super) captured: Vec<Instant>,
    pub(super) bytes: u64,
    /// What its packets say of the encodings that are sent.
    pub(super) allocation: Option<Vec<u8>>,
    /// What makes RED of its frames.
    pub(super) redundancy: Option<Redundancy>,
    /// When PLIs came.
    pub(super) plis: Vec<Instant>,
    pub(super) nacks: usize,
    pub(super) retransmitted: usize,
    pub(super) reports: Vec<ReportBlock>,
}

/// A stream like a browser's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Bits a second of payload at best.
    pub(super) best: u32,
    /// What it has now.
    pub(super) bitrate: u32,
    /// Whether it has three temporal layers (0 2 1 2).
    pub(super) temporal: bool,
}

impl Shape {
    pub(super) fn new(bitrate: u32, temporal: bool) -> Self {
        Self {
            best: bitrate,
            bitrate,
            temporal,
        }
    }

    /// How many times as large a keyframe is.
    const KEYFRAME: u32 = 4;
    /// The shares of a group of four frames.
    const SHARES: [u32; 4] = [40, 15, 30, 15];

    fn frame_len(&self, interval: Duration, position: u32, keyframe: bool) -> u32 {
        let mean = self.bitrate / 8 * interval.as_millis() as u32 / 1000;
        match (keyframe, self.temporal) {
            (true, _) => mean * Self::KEYFRAME,
            (false, true) => mean * 4 * Self::SHARES[position as usize % 4] / 100,
            (false, false) => mean,
        }
    }
}

/// How many times as fast as its bitrate a shaped stream is sent: browsers' pacers do so.
const PACE: f64 = 2.5;

/// PLIs closer than this are one, as for libwebrtc.
const KEYFRAME_INTERVAL: Duration = Duration::from_millis(300);

/// No frame.
pub(super) const NOTHING: u32 = u32::MAX;

/// Payload bytes of a packet of a shaped stream.
const PACKET: u32 = 1_100;

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
    pub(super) temporal: u8,
    /// It depends on the lowest temporal layer only.
    pub(super) sync: bool,
    /// The frame that it depends on.
    pub(super) reference: u32,
    pub(super) len: u16,
}

impl Publication {
    pub(super) fn new(now: Instant, source: Source, codec: CodecParameters) -> Self {
        let video = source.kind == MediaKind::Video;
        Self {
            track: source.track,
            mid: mid_of(0),
            kind: source.kind,
            rid: None,
            tag: source.tag(),
            ssrc: source.ssrc,
            rtx_ssrc: None,
            payload_type: codec.payload_type,
            rtx_payload_type: codec.rtx.unwrap_or_default(),
            sequence: 0,
            rtx_sequence: 0,
            timestamp: 0,
            picture_id: 0,
            tl0_pic_idx: 0,
            frame: 0,
            interval: Duration::from_millis(if video { 40 } else { 20 }),
            packets_per_frame: if video { 3 } else { 1 },
            shape: None,
            last: [None; 3],
            since_keyframe: 0,
            next_frame: now,
            paced: VecDeque::new(),
            running: true,
            wanted: true,
            carried: true,
            keyframe_wanted: video,
            sent: BTreeMap::new(),
            captured: Vec::new(),
            bytes: 0,
            allocation: None,
            redundancy: None,
            plis: Vec::new(),
            nacks: 0,
            retransmitted: 0,
            reports: Vec::new(),
        }
    }

    /// The server wants it, or does not.
    pub(super) fn want(&mut self, now: Instant, wanted: bool) {
        self.wanted = wanted;
        self.run(now);
    }

    /// The client's network carries it, or does not.
    pub(super) fn carry(&mut self, now: Instant, carried: bool) {
        self.carried = carried;
        self.run(now);
    }

    /// A PLI came. Browsers make one keyframe of those that come together.
    pub(super) fn ask_for_keyframe(&mut self, now: Instant) {
        let last = self.plis.last();
        self.keyframe_wanted |= last.is_none_or(|last| now >= *last + KEYFRAME_INTERVAL);
        self.plis.push(now);
    }

    /// Begins with a keyframe whenever it was not sent for a while.
    fn run(&mut self, now: Instant) {
        let running = self.wanted && self.carried;
        if running && !self.running {
            self.keyframe_wanted = true;
            self.next_frame = now;
        }
        self.running = running;
    }

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

    /// Captures the next frame: its packets wait for their turn.
    pub(super) fn pace(&mut self, start: Instant) {
        let mut at = self.next_frame;
        if let Some(&(last, _)) = self.paced.back() {
            at = at.max(last);
        }
        for sequence in self.capture(start) {
            self.paced.push_back((at, sequence));
            if let Some(shape) = self.shape.filter(|_| self.kind == MediaKind::Video) {
                let bits = self.sent[&sequence].payload.len() as f64 * 8.0;
                let rate = f64::from(shape.bitrate) * PACE;
                at += Duration::from_secs_f64(bits / rate);
            }
        }
    }

    /// When it has something to send.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let paced = self.paced.front().map(|(at, _)| *at);
        let frame = self.running.then_some(self.next_frame);
        paced.into_iter().chain(frame).min()
    }

    /// The packets of the next frame, by SRTP index.
    fn capture(&mut self, start: Instant) -> Vec<u64> {
        let keyframe = self.kind == MediaKind::Audio || std::mem::take(&mut self.keyframe_wanted);
        if keyframe {
            self.since_keyframe = 0;
            self.last = [None; 3];
        }
        let position = self.since_keyframe % 4;
        let temporal = match (self.shape, position) {
            (Some(Shape { temporal: true, .. }), 1 | 3) => 2,
            (Some(Shape { temporal: true, .. }), 2) => 1,
            _ => 0,
        };
        // The newest of the lower layers, or of its own if it is the lowest.
        let lower = self.last.iter().take(usize::from(temporal).max(1));
        let reference = lower.flatten().max().copied().unwrap_or(NOTHING);
        let first = self.sequence;
        let (count, lens) = self.lengths(position, keyframe);
        for index in 0..count {
            let content = Content {
                tag: self.tag,
                frame: self.frame,
                index,
                count,
                keyframe,
                picture_id: self.picture_id,
                tl0_pic_idx: self.tl0_pic_idx,
                temporal,
                sync: temporal > 0 && position < 3,
                reference,
                len: lens[usize::from(index)],
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
        self.last[usize::from(temporal)] = Some(self.frame);
        self.since_keyframe += 1;
        self.captured.push(self.next_frame);
        self.frame += 1;
        self.picture_id = (self.picture_id + 1) & 0x7fff;
        // The number of the next one: it goes on with the lowest layer.
        let lowest_is_next =
            self.since_keyframe.is_multiple_of(4) || self.shape.is_none_or(|s| !s.temporal);
        self.tl0_pic_idx = self.tl0_pic_idx.wrapping_add(u8::from(lowest_is_next));
        self.next_frame += self.interval;
        (first..self.sequence).collect()
    }

    /// How many packets the next frame has, and their lengths.
    fn lengths(&self, position: u32, keyframe: bool) -> (u8, Vec<u16>) {
        if let Some(shape) = self.shape {
            let is_large = keyframe && self.kind == MediaKind::Video;
            let len = shape.frame_len(self.interval, position, is_large).max(50);
            let count = len.div_ceil(PACKET);
            return (count as u8, vec![(len / count) as u16; count as usize]);
        }
        let usual = |index: u8| 100 + (self.frame as usize * 13 + usize::from(index) * 29) % 700;
        let count = self.packets_per_frame;
        (count, (0..count).map(|index| usual(index) as u16).collect())
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
    fn filler(&self) -> impl Iterator<Item = u8> {
        let seed = self.tag as u8 ^ (self.frame as u8).wrapping_mul(31) ^ self.index;
        (0..usize::from(self.len)).map(move |at| seed.wrapping_add(at as u8))
    }

    pub(super) fn payload(&self, kind: MediaKind) -> Vec<u8> {
        let mut out = Vec::new();
        if kind == MediaKind::Video {
            // Extended, with picture id of 15 bits, TL0PICIDX and TID (RFC 7741 section 4.2).
            let start = if self.index == 0 { 0x10 } else { 0 };
            let [high, low] = (self.picture_id | 0x8000).to_be_bytes();
            let layer = self.temporal << 6 | u8::from(self.sync) << 5;
            out.extend_from_slice(&[0x80 | start, 0xe0, high, low, self.tl0_pic_idx, layer]);
            out.push(u8::from(!self.keyframe));
        }
        out.extend_from_slice(&self.tag.to_be_bytes());
        out.extend_from_slice(&self.frame.to_be_bytes());
        out.extend_from_slice(&[self.index, self.count]);
        out.extend_from_slice(&self.reference.to_be_bytes());
        out.extend_from_slice(&self.len.to_be_bytes());
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
            temporal: at(5) >> 6,
            sync: at(5) & 0x20 != 0,
            reference: word(10),
            len: u16::from_be_bytes([body[14], body[15]]),
        };
        assert_eq!(payload, content.payload(kind), "{content:?}");
        content
    }
}
