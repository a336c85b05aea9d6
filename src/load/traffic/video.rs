//! Sizes of video frames.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

/// Frames in a second.
const FRAME_RATE: u64 = 30;
/// Between two frames.
pub(crate) const FRAME_TIME: Duration = Duration::from_nanos(1_000_000_000 / FRAME_RATE);
/// Frames from one keyframe to the next, where nobody asks for one: 3 s.
pub(crate) const KEYFRAME_INTERVAL: u32 = 90;
/// How much longer a keyframe is than the others are on average.
const KEYFRAME_FACTOR: f64 = 5.0;
/// Frames in which what was sent too much is saved again.
const RECOVERY_FRAMES: f64 = 30.0;
/// The least share of its size that a frame is saved down to.
const LEAST_SHARE: f64 = 0.4;
/// The spread of sizes: the standard deviation of the logarithm.
const SPREAD: f64 = 0.3;
/// No frame is shorter, in bytes.
const MIN_FRAME: f64 = 120.0;

/// Uneven sizes around a bitrate, as an encoder's rate control leaves them.
#[derive(Clone, Debug)]
pub(crate) struct FrameSizes {
    random: StdRng,
    /// Bytes of a frame at the bitrate.
    target: f64,
    /// Bytes that were sent too much so far.
    surplus: f64,
}

impl FrameSizes {
    /// `bitrate` is in bits a second, of payloads.
    pub(crate) fn new(bitrate: u64, random: StdRng) -> Self {
        Self {
            random,
            target: bitrate as f64 / 8.0 / FRAME_RATE as f64,
            surplus: 0.0,
        }
    }

    /// The next frame's size in bytes.
    pub(crate) fn next(&mut self, keyframe: bool) -> usize {
        // A sum of twelve even numbers is as good as normal, and the same on every machine.
        let sum: f64 = (0..12).map(|_| self.random.random::<f64>()).sum();
        // So that the mean stays 1 (of a log-normal distribution).
        let factor = ((sum - 6.0) * SPREAD - SPREAD * SPREAD / 2.0).exp();
        let size = if keyframe {
            self.target * KEYFRAME_FACTOR * factor
        } else {
            let wanted = self.target - self.surplus / RECOVERY_FRAMES;
            wanted.max(self.target * LEAST_SHARE) * factor
        };
        let size = size.max(MIN_FRAME).round();
        self.surplus += size - self.target;
        size as usize
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn sizes(seed: u64, bitrate: u64, frames: u32) -> Vec<usize> {
        let mut sizes = FrameSizes::new(bitrate, StdRng::seed_from_u64(seed));
        (0..frames)
            .map(|frame| sizes.next(frame % KEYFRAME_INTERVAL == 0))
            .collect()
    }

    #[test]
    fn the_bitrate_is_met_with_keyframes_and_all() {
        for bitrate in [150_000, 1_500_000, 8_000_000] {
            // A whole number of keyframe intervals.
            let frames = KEYFRAME_INTERVAL * 40;
            let bytes: usize = sizes(7, bitrate, frames).iter().sum();
            let seconds = f64::from(frames) / FRAME_RATE as f64;
            let share = bytes as f64 * 8.0 / seconds / bitrate as f64;
            assert!((0.97..1.05).contains(&share), "{share} of {bitrate}");
        }
    }

    #[test]
    fn sizes_are_uneven_and_keyframes_long() {
        let sizes = sizes(7, 1_500_000, KEYFRAME_INTERVAL * 20);
        let (mut keyframes, mut others) = (Vec::new(), Vec::new());
        for (frame, size) in sizes.iter().enumerate() {
            if frame % KEYFRAME_INTERVAL as usize == 0 {
                keyframes.push(*size as f64);
            } else {
                others.push(*size as f64);
            }
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let average = mean(&others);
        assert!(mean(&keyframes) > 3.0 * average);
        let variance = others
            .iter()
            .map(|size| (size - average).powi(2))
            .sum::<f64>();
        let deviation = (variance / others.len() as f64).sqrt() / average;
        assert!((0.2..0.5).contains(&deviation), "{deviation}");
    }

    #[test]
    fn a_seed_gives_the_same_sizes_each_time() {
        assert_eq!(sizes(3, 1_000_000, 500), sizes(3, 1_000_000, 500));
        assert_ne!(sizes(3, 1_000_000, 500), sizes(4, 1_000_000, 500));
    }
}
