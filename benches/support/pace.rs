//! Traffic as a browser shapes it: 30 frames/s of uneven size, cut into nearly equal packets and paced in
//! bursts, and 50 packets/s of voice.

use std::time::Duration;

/// Bits a second of the video.
const BITRATE: u64 = 1_500_000;
const FRAME: Duration = Duration::from_micros(33_333);
const BURST: Duration = Duration::from_millis(5);
/// The pacer sends a frame at this many times the bitrate.
const HASTE: f64 = 2.5;
/// Bytes of payload in a packet at most.
const MAX_PAYLOAD: usize = 1_160;
/// Frames from one keyframe to the next.
const KEYFRAMES: u64 = 90;
const VOICE: Duration = Duration::from_millis(20);

/// One packet to send.
pub(crate) struct Piece {
    /// Since the beginning.
    pub(crate) at: Duration,
    /// Index of the track: 0 is voice, 1 video.
    pub(crate) track: usize,
    /// Bytes of payload.
    pub(crate) size: usize,
    pub(crate) start: bool,
    pub(crate) marker: bool,
    pub(crate) keyframe: bool,
    pub(crate) frame: u64,
    pub(crate) timestamp: u32,
}

/// The packets of one publisher, in the order of their times.
pub(crate) struct Pace {
    video: bool,
    phase: Duration,
    frame: u64,
    voice: u64,
    /// When the pacer may send again.
    idle_at: Duration,
    pending: std::collections::VecDeque<Piece>,
    random: u64,
}

impl Pace {
    /// The publisher `index` of `of`, whose frames come evenly between those of the others.
    pub(crate) fn new(index: usize, of: usize, video: bool) -> Self {
        Self {
            video,
            phase: FRAME * index as u32 / of as u32,
            frame: 0,
            voice: 0,
            idle_at: Duration::ZERO,
            pending: Default::default(),
            random: 0x9e37_79b9_7f4a_7c15 ^ (index as u64 + 1),
        }
    }

    /// The next packet.
    pub(crate) fn next(&mut self) -> Piece {
        let voice_at = self.phase + VOICE * self.voice as u32;
        if self.video && self.pending.is_empty() {
            self.cut_frame();
        }
        if self
            .pending
            .front()
            .is_some_and(|piece| piece.at <= voice_at)
            && let Some(piece) = self.pending.pop_front()
        {
            return piece;
        }
        self.voice += 1;
        Piece {
            at: voice_at,
            track: 0,
            size: self.between(60, 110),
            start: true,
            marker: false,
            keyframe: false,
            frame: self.voice,
            timestamp: (self.voice * 960) as u32,
        }
    }

    fn cut_frame(&mut self) {
        let keyframe = self.frame.is_multiple_of(KEYFRAMES);
        let average = (BITRATE / 8 / 30) as usize;
        let size = match keyframe {
            true => average * 4,
            false => self.between(average * 6 / 10, average * 13 / 10),
        };
        let count = size.div_ceil(MAX_PAYLOAD);
        let burst = (BITRATE as f64 / 8.0 * HASTE * BURST.as_secs_f64()) as usize;
        // After a keyframe there is a queue.
        let begin = self.idle_at.max(self.phase + FRAME * self.frame as u32);
        let mut sent = 0;
        for index in 0..count {
            // Larger ones last, as libwebrtc cuts them.
            let size = size / count + usize::from(index >= count - size % count);
            self.pending.push_back(Piece {
                at: begin + BURST * (sent / burst) as u32,
                track: 1,
                size,
                start: index == 0,
                marker: index == count - 1,
                keyframe,
                frame: self.frame,
                timestamp: (self.frame * 3_000) as u32,
            });
            sent += size;
        }
        self.idle_at = begin + BURST * (sent / burst) as u32;
        self.frame += 1;
    }

    fn between(&mut self, low: usize, high: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        low + (self.random % (high - low) as u64) as usize
    }
}
