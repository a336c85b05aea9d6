//! One track that is published: when it has something to send, and what.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::outgoing::{Content, Outgoing, Packet};
use crate::load::media::{SenderSetup, SourcePlan};
use crate::load::traffic::{
    DESCRIPTOR_LEN, FRAME_TIME, FrameSizes, KEYFRAME_INTERVAL, PACKET_TIME, Speech, Vp8Header,
    split_evenly,
};
use crate::rtp::{MediaKind, Mid, Rid};

/// Requests for a keyframe are answered no more often, as libwebrtc has it.
const KEYFRAME_PAUSE: Duration = Duration::from_millis(300);
/// What a layer has of the best one's bitrate.
const LAYER_SHARES: [u64; 3] = [1, 3, 10];
/// Ticks of Opus's and VP8's clocks in a second.
const AUDIO_CLOCK: u32 = 48_000;
const VIDEO_CLOCK: u32 = 90_000;

/// A track that is published.
pub(super) struct Publication {
    pub(super) setup: SenderSetup,
    pub(super) layers: Vec<Layer>,
    speech: Option<Speech>,
    /// When the next frame or packet of sound is due.
    pub(super) next: Instant,
    timestamp: u32,
}

/// One stream of it.
pub(super) struct Layer {
    pub(super) outgoing: Outgoing,
    sizes: Option<FrameSizes>,
    picture_id: u16,
    /// Frames until a keyframe is due.
    until_keyframe: u32,
    last_keyframe: Option<Instant>,
    wanted: bool,
    paused: bool,
}

/// A packet that is due, and the layer that it belongs to.
pub(super) type Due = (usize, Packet);

impl Publication {
    /// A track that begins at `now`, or up to one frame or packet later: browsers do not keep time with each
    /// other.
    pub(super) fn new(now: Instant, setup: SenderSetup, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let (bitrate, time) = match setup.source {
            SourcePlan::Audio => (None, PACKET_TIME),
            SourcePlan::Video(video) => (Some(video.bitrate), FRAME_TIME),
        };
        let layers = setup.streams.iter().zip(LAYER_SHARES);
        let layers: Vec<Layer> = layers
            .map(|(stream, share)| Layer {
                outgoing: Outgoing::new(*stream, (random.random(), random.random())),
                sizes: bitrate
                    .map(|bitrate| FrameSizes::new(bitrate / share, StdRng::from_rng(&mut random))),
                picture_id: random.random::<u16>() & 0x7fff,
                until_keyframe: 0,
                last_keyframe: None,
                wanted: false,
                paused: false,
            })
            .collect();
        Self {
            speech: bitrate
                .is_none()
                .then(|| Speech::new(StdRng::from_rng(&mut random))),
            next: now + time.mul_f64(random.random()),
            timestamp: random.random(),
            setup,
            layers,
        }
    }

    /// The connection is there: what was due before is not.
    pub(super) fn begin(&mut self, now: Instant) {
        if self.next < now {
            let time = if self.is_video() {
                FRAME_TIME
            } else {
                PACKET_TIME
            };
            let late = now.saturating_duration_since(self.next).as_nanos() / time.as_nanos();
            self.next += time * (late as u32 + 1);
        }
    }

    pub(super) fn mid(&self) -> Mid {
        self.setup.mid
    }

    pub(super) fn clock_rate(&self) -> u32 {
        match self.setup.source {
            SourcePlan::Audio => AUDIO_CLOCK,
            SourcePlan::Video(_) => VIDEO_CLOCK,
        }
    }

    pub(super) fn is_video(&self) -> bool {
        self.setup.source.kind() == MediaKind::Video
    }

    /// Bits a second of all its layers, where it is video.
    pub(super) fn video_bitrate(&self) -> u64 {
        match self.setup.source {
            SourcePlan::Audio => 0,
            SourcePlan::Video(video) => {
                let shares = LAYER_SHARES.iter().take(self.layers.len());
                shares.map(|share| video.bitrate / share).sum()
            }
        }
    }

    /// The layers that anybody wants; the others pause.
    pub(super) fn set_layers(&mut self, rids: &[Rid]) {
        for layer in &mut self.layers {
            let Some(rid) = layer.outgoing.setup.rid else {
                continue;
            };
            let paused = !rids.contains(&rid);
            // Who begins again begins with a keyframe.
            layer.wanted |= layer.paused && !paused;
            layer.paused = paused;
        }
    }

    /// A keyframe was asked for. Returns false if the stream is not one of this track.
    pub(super) fn want_keyframe(&mut self, ssrc: u32) -> bool {
        let mut layers = self.layers.iter_mut();
        let layer = layers.find(|layer| layer.outgoing.setup.ssrc == ssrc);
        layer.map(|layer| layer.wanted = true).is_some()
    }

    /// Appends what is due at `now`, and says when there is more. `limit` is the most that the payload of a
    /// packet may have.
    pub(super) fn capture(&mut self, now: Instant, limit: usize, out: &mut Vec<Due>) {
        while self.next <= now {
            // A generator that was held up leaves out what is old, as a camera does.
            let is_late = now.saturating_duration_since(self.next) > Duration::from_millis(500);
            let time = if let Some(speech) = &mut self.speech {
                let packet = speech.next();
                if let Some(layer) = self.layers.first_mut().filter(|_| !is_late) {
                    let due = Packet {
                        sequence: layer.outgoing.next_sequence(),
                        timestamp: self.timestamp,
                        marker: packet.marker,
                        len: packet.size,
                        content: Content::Audio {
                            level: packet.level,
                        },
                        sent: 0,
                    };
                    out.push((0, due));
                }
                packet.next
            } else {
                if !is_late {
                    for (index, layer) in self.layers.iter_mut().enumerate() {
                        layer.capture(now, index, self.timestamp, limit, out);
                    }
                }
                FRAME_TIME
            };
            let clock = u128::from(match self.setup.source {
                SourcePlan::Audio => AUDIO_CLOCK,
                SourcePlan::Video(_) => VIDEO_CLOCK,
            });
            // Rounded up: a thirtieth of a second is a little short in nanoseconds.
            let ticks = (time.as_nanos() * clock).div_ceil(1_000_000_000);
            self.timestamp = self.timestamp.wrapping_add(ticks as u32);
            self.next += time;
        }
    }
}

impl Layer {
    fn capture(
        &mut self,
        now: Instant,
        index: usize,
        timestamp: u32,
        limit: usize,
        out: &mut Vec<Due>,
    ) {
        let Some(sizes) = self.sizes.as_mut().filter(|_| !self.paused) else {
            return;
        };
        let rested = self
            .last_keyframe
            .is_none_or(|last| now.saturating_duration_since(last) >= KEYFRAME_PAUSE);
        let keyframe = self.until_keyframe == 0 || (self.wanted && rested);
        if keyframe {
            self.wanted = false;
            self.last_keyframe = Some(now);
            self.until_keyframe = KEYFRAME_INTERVAL;
        }
        self.until_keyframe -= 1;
        self.picture_id = (self.picture_id + 1) & 0x7fff;
        let size = sizes.next(keyframe);
        let first = out.len();
        for len in split_evenly(size, limit.saturating_sub(DESCRIPTOR_LEN)) {
            let header = Vp8Header {
                picture_id: self.picture_id,
                starts: out.len() == first,
                keyframe,
            };
            let packet = Packet {
                sequence: self.outgoing.next_sequence(),
                timestamp,
                marker: false,
                len: len + DESCRIPTOR_LEN,
                content: Content::Video(header),
                sent: 0,
            };
            out.push((index, packet));
        }
        if let Some((_, last)) = out.last_mut() {
            last.marker = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::media::StreamSetup;
    use crate::load::plan::VideoPlan;

    fn video(simulcast: bool) -> SenderSetup {
        let stream = |(ssrc, rid): (u32, &str)| StreamSetup {
            rid: rid.parse().ok(),
            ssrc,
            rtx_ssrc: ssrc + 1,
        };
        let streams = [(10, "f"), (20, "h"), (30, "q")];
        let count = if simulcast { 3 } else { 1 };
        SenderSetup {
            mid: "0".parse().unwrap(),
            source: SourcePlan::Video(VideoPlan {
                bitrate: 1_500_000,
                simulcast,
            }),
            payload_type: 96,
            rtx_payload_type: Some(97),
            streams: streams.into_iter().take(count).map(stream).collect(),
        }
    }

    /// What is sent in so many seconds, by layer.
    fn run(publication: &mut Publication, now: &mut Instant, seconds: f64) -> Vec<Due> {
        let end = *now + Duration::from_secs_f64(seconds);
        let mut out = Vec::new();
        while publication.next < end {
            *now = publication.next;
            publication.capture(*now, 1_150, &mut out);
        }
        *now = end;
        out
    }

    fn keyframes(sent: &[Due], layer: usize) -> usize {
        let starts = sent.iter().filter(|(index, packet)| {
            *index == layer && matches!(packet.content, Content::Video(h) if h.starts && h.keyframe)
        });
        starts.count()
    }

    #[test]
    fn thirty_frames_a_second_and_a_keyframe_each_three() {
        let mut now = Instant::now();
        let mut publication = Publication::new(now, video(false), 5);
        let sent = run(&mut publication, &mut now, 30.0);
        let frames = sent.iter().filter(|(_, packet)| packet.marker).count();
        assert!((898..=900).contains(&frames), "{frames}");
        assert_eq!(keyframes(&sent, 0), 10);
        let timestamps = sent
            .last()
            .unwrap()
            .1
            .timestamp
            .wrapping_sub(sent[0].1.timestamp);
        assert_eq!(timestamps, 3_000 * (frames as u32 - 1));
        for (before, after) in sent.iter().zip(&sent[1..]) {
            assert_eq!(after.1.sequence, before.1.sequence + 1);
            assert!(after.1.len <= 1_150);
        }
    }

    #[test]
    fn a_keyframe_that_is_asked_for_comes_with_the_next_frame_but_not_too_often() {
        let mut now = Instant::now();
        let mut publication = Publication::new(now, video(false), 5);
        run(&mut publication, &mut now, 1.0);
        assert!(publication.want_keyframe(10));
        assert!(!publication.want_keyframe(11));
        assert_eq!(keyframes(&run(&mut publication, &mut now, 0.05), 0), 1);
        publication.want_keyframe(10);
        assert_eq!(keyframes(&run(&mut publication, &mut now, 0.2), 0), 0);
        assert_eq!(keyframes(&run(&mut publication, &mut now, 0.2), 0), 1);
    }

    #[test]
    fn layers_differ_in_bitrate_and_pause_when_nobody_wants_them() {
        let mut now = Instant::now();
        let mut publication = Publication::new(now, video(true), 5);
        let bytes = |sent: &[Due], layer: usize| -> usize {
            let of = sent.iter().filter(|(index, _)| *index == layer);
            of.map(|(_, packet)| packet.len).sum()
        };
        let sent = run(&mut publication, &mut now, 9.0);
        let [best, middle, least] = [0, 1, 2].map(|layer| bytes(&sent, layer) as f64);
        assert!((2.5..3.5).contains(&(best / middle)), "{}", best / middle);
        assert!((8.0..12.0).contains(&(best / least)), "{}", best / least);
        publication.set_layers(&["h".parse().unwrap()]);
        let sent = run(&mut publication, &mut now, 1.0);
        assert_eq!((bytes(&sent, 0), bytes(&sent, 2)), (0, 0));
        assert!(bytes(&sent, 1) > 0);
        publication.set_layers(&["f".parse().unwrap()]);
        let sent = run(&mut publication, &mut now, 0.1);
        assert_eq!((keyframes(&sent, 0), bytes(&sent, 1)), (1, 0));
    }

    #[test]
    fn the_same_seed_is_the_same_traffic() {
        let start = Instant::now();
        let sent = |seed| {
            run(
                &mut Publication::new(start, video(true), seed),
                &mut start.clone(),
                2.0,
            )
        };
        assert_eq!(sent(1), sent(1));
        assert_ne!(sent(1), sent(2));
    }
}
