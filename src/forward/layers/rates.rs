//! What each layer of one encoding costs: measured, since publishers promise nothing.

use std::time::{Duration, Instant};

use super::{MAX_SPATIAL, MAX_TEMPORAL};
use crate::forward::Packet;

/// How long is measured before a rate changes.
const INTERVAL: Duration = Duration::from_millis(500);
/// What a new measurement counts against those before, when it is lower: a scene that calms down may liven up again.
const FALL: f64 = 0.3;
/// The same when it is higher.
const RISE: f64 = 0.7;
/// The same of the first one after a silence: what was measured before that may have been a beginning.
const RESUMED: f64 = 0.7;
/// What is left of a peak after each interval.
const FADE: f64 = 0.98;
/// The share of the bytes of key pictures that counts in each interval: one of them is worth some seconds of others, which
/// its encoder makes up for, and says nothing of what comes next.
const AMORTISED: f64 = 0.05;
/// Whatever begins is a little above its rate.
const MIN_SWING: f64 = 1.1;
/// More than that is not believed of a peak.
const MAX_SWING: f64 = 2.0;
/// Headers that each packet has on the wire beside its payload: IP, UDP, RTP with extensions, the tag.
const HEADERS: usize = 28 + 12 + 12 + 16;

/// Bits a second of each spatial and temporal layer of an encoding, smoothed.
#[derive(Clone, Debug, Default)]
pub struct RateMeter {
    /// Bytes since `began`, of each layer alone, without key pictures.
    bytes: [[u32; MAX_TEMPORAL]; MAX_SPATIAL],
    /// Bytes of key pictures that did not count yet.
    owed: [f64; MAX_SPATIAL],
    /// The key picture that came last.
    key: Option<u32>,
    /// Bytes of each spatial layer of that one, and of the one before.
    key_bytes: [u32; MAX_SPATIAL],
    key_bytes_before: [u32; MAX_SPATIAL],
    began: Option<Instant>,
    rates: [[f64; MAX_TEMPORAL]; MAX_SPATIAL],
    /// What all of them together had at most, not long ago.
    peak: f64,
    measured: bool,
    /// The next measurement is the first after a silence.
    resumed: bool,
}

impl RateMeter {
    /// A packet of the encoding came.
    pub fn observe(&mut self, now: Instant, packet: &Packet<'_>) {
        let began = *self.began.get_or_insert(now);
        let elapsed = now.saturating_duration_since(began);
        if elapsed >= INTERVAL {
            self.measure(elapsed);
            self.began = Some(now);
        }
        let (tag, timestamp) = (&packet.tag, packet.numbers.timestamp);
        let size = (packet.payload.len() + HEADERS) as u32;
        let spatial = usize::from(tag.spatial).min(MAX_SPATIAL - 1);
        let temporal = usize::from(tag.temporal).min(MAX_TEMPORAL - 1);
        if packet.keyframe_start && self.key != Some(timestamp) {
            self.key = Some(timestamp);
            self.key_bytes_before = std::mem::take(&mut self.key_bytes);
        }
        if self.key == Some(timestamp) {
            let bytes = &mut self.key_bytes[spatial];
            *bytes = bytes.saturating_add(size);
            self.owed[spatial] += f64::from(size);
        } else {
            let bytes = &mut self.bytes[spatial][temporal];
            *bytes = bytes.saturating_add(size);
        }
    }

    /// What a key picture of this spatial layer and those below takes on the wire, in bytes: the larger of the last two.
    /// 0 before any came.
    pub fn keyframe(&self, spatial: usize) -> u64 {
        let sum = |bytes: &[u32; MAX_SPATIAL]| -> u64 {
            let lower = bytes.iter().take(spatial + 1);
            lower.map(|bytes| u64::from(*bytes)).sum()
        };
        sum(&self.key_bytes).max(sum(&self.key_bytes_before))
    }

    /// The encoding went silent: what was counted last is not half of a rate.
    pub fn pause(&mut self) {
        self.bytes = Default::default();
        self.owed = Default::default();
        self.began = None;
        self.resumed = true;
    }

    /// Whether anything came since it was made, or was paused.
    pub fn is_counting(&self) -> bool {
        self.began.is_some()
    }

    /// Whether nothing was measured since the last silence.
    pub fn is_stale(&self) -> bool {
        self.resumed
    }

    /// What a subscriber of this layer gets, lower ones included. `None` before anything was measured.
    pub fn rate(&self, spatial: usize, temporal: usize) -> Option<u64> {
        let lower = self.rates.iter().take(spatial + 1);
        let sum: f64 = lower
            .flat_map(|rates| rates.iter().take(temporal + 1))
            .sum();
        self.measured.then_some(sum as u64)
    }

    /// What all layers together cost; 0 before anything was measured.
    pub fn total(&self) -> u64 {
        let sum: f64 = self.rates.iter().flatten().sum();
        sum as u64
    }

    /// By how much all layers together were above their present rates, not long ago: a little more than 1 at least. An encoding that begins
    /// again may cost so much.
    pub fn swing(&self) -> f64 {
        let total: f64 = self.rates.iter().flatten().sum();
        if total > 0.0 {
            (self.peak / total).clamp(MIN_SWING, MAX_SWING)
        } else {
            MIN_SWING
        }
    }

    /// The highest spatial and temporal layer that there is now.
    pub fn top(&self) -> (usize, usize) {
        let is_there = |rates: &[f64; MAX_TEMPORAL]| rates.iter().any(|rate| *rate > 0.0);
        let spatial = self.rates.iter().rposition(is_there).unwrap_or(0);
        let temporal = (0..MAX_TEMPORAL)
            .rfind(|temporal| self.rates.iter().any(|rates| rates[*temporal] > 0.0))
            .unwrap_or(0);
        (spatial, temporal)
    }

    fn measure(&mut self, elapsed: Duration) {
        let fall = match (self.measured, self.resumed) {
            (false, _) => 1.0,
            (true, true) => RESUMED,
            (true, false) => FALL,
        };
        let rise = fall.max(RISE);
        (self.measured, self.resumed) = (true, false);
        for (bytes, owed) in self.bytes.iter_mut().zip(&mut self.owed) {
            let due = *owed * AMORTISED;
            *owed -= due;
            bytes[0] = bytes[0].saturating_add(due as u32);
        }
        let bytes: u32 = self.bytes.iter().flatten().sum();
        let total = f64::from(bytes) * 8.0 / elapsed.as_secs_f64();
        self.peak = total.max(self.peak * FADE);
        for (rates, bytes) in self.rates.iter_mut().zip(&mut self.bytes) {
            for (rate, bytes) in rates.iter_mut().zip(bytes) {
                let now = f64::from(std::mem::take(bytes)) * 8.0 / elapsed.as_secs_f64();
                *rate += (now - *rate) * if now > *rate { rise } else { fall };
                // A layer that is no more does not linger as a rung of its own.
                if *rate < 1_000.0 {
                    *rate = 0.0;
                }
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::forward::PacketNumbers;
    use crate::rtp::Elements;
    use crate::rtp::payload::FrameTag;

    /// A packet of these layers and this many bytes of payload.
    pub(in super::super) fn packet(
        timestamp: u32,
        spatial: u8,
        temporal: u8,
        payload: usize,
    ) -> Packet<'static> {
        Packet {
            numbers: PacketNumbers {
                timestamp,
                ..PacketNumbers::default()
            },
            marker: true,
            payload_type: 96,
            keyframe_start: false,
            tag: FrameTag {
                spatial,
                temporal,
                ..FrameTag::default()
            },
            extensions: Elements::default(),
            payload: &[0; 8_000][..payload],
            padding: 0,
        }
    }

    fn feed(meter: &mut RateMeter, now: &mut Instant, ms: u64, packets: &[(u8, u8, usize)]) {
        let end = *now + Duration::from_millis(ms);
        while *now < end {
            for (spatial, temporal, payload) in packets {
                meter.observe(*now, &packet(0, *spatial, *temporal, *payload));
            }
            *now += Duration::from_millis(20);
        }
    }

    #[test]
    fn a_keyframe_is_known_by_its_size_and_is_no_rise() {
        let mut now = Instant::now();
        let mut meter = RateMeter::default();
        feed(&mut meter, &mut now, 2_000, &[(0, 0, 500)]);
        let before = meter.rate(0, 0).unwrap();
        assert_eq!(meter.keyframe(0), 0);
        for index in 0..30 {
            let packet = Packet {
                keyframe_start: index == 0,
                ..packet(9, u8::from(index >= 10), 0, 1_000 - HEADERS)
            };
            meter.observe(now, &packet);
        }
        assert_eq!((meter.keyframe(0), meter.keyframe(1)), (10_000, 30_000));
        feed(&mut meter, &mut now, 600, &[(0, 0, 500)]);
        assert!(meter.rate(1, 0).unwrap() < before * 3 / 2);
        // A smaller one does not hide it at once.
        for timestamp in [10, 11] {
            let small = Packet {
                keyframe_start: true,
                ..packet(timestamp, 0, 0, 1_000 - HEADERS)
            };
            meter.observe(now, &small);
            let largest = if timestamp == 10 { 30_000 } else { 1_000 };
            assert_eq!(meter.keyframe(1), largest);
        }
    }

    #[test]
    fn rates_are_cumulative_and_layers_that_end_vanish() {
        let mut now = Instant::now();
        let mut meter = RateMeter::default();
        assert_eq!((meter.rate(0, 0), meter.top()), (None, (0, 0)));
        let payload = 1_000 - HEADERS;
        feed(
            &mut meter,
            &mut now,
            2_000,
            &[(0, 0, payload), (0, 1, payload), (1, 0, payload)],
        );
        assert_eq!(meter.top(), (1, 1));
        for (spatial, temporal, expected) in [(0, 0, 400_000), (0, 1, 800_000), (1, 1, 1_200_000)] {
            let rate = meter.rate(spatial, temporal).unwrap();
            assert!(rate.abs_diff(expected) < 40_000, "{rate} for {expected}");
        }
        feed(&mut meter, &mut now, 12_000, &[(0, 0, payload)]);
        assert_eq!(meter.top(), (0, 0));
    }

    #[test]
    fn a_rise_is_believed_sooner_than_a_fall() {
        let mut now = Instant::now();
        let mut meter = RateMeter::default();
        feed(&mut meter, &mut now, 1_000, &[(0, 0, 500)]);
        let before = meter.rate(0, 0).unwrap();
        feed(&mut meter, &mut now, 600, &[(0, 0, 1_200)]);
        let risen = meter.rate(0, 0).unwrap();
        assert!(risen > before * 17 / 10, "{before} {risen}");
        feed(&mut meter, &mut now, 600, &[(0, 0, 500)]);
        assert!(meter.rate(0, 0).unwrap() > before * 13 / 10);
    }
}
