//! What the media thread counts.

use std::time::{Duration, Instant};

use super::Histogram;
use crate::load::report::{Loss, Traffic};

/// Everything that was counted since the last [`take`](Self::take).
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// When the run began: stamps count from here.
    epoch: Instant,
    /// Media that was sent.
    pub(crate) sent: Traffic,
    /// Media that was received.
    pub(crate) received: Traffic,
    /// What did not arrive. `lost` and `repaired` are counted by streams and added at the end.
    pub(crate) loss: Loss,
    /// From sending to receiving.
    pub(crate) latency: Histogram,
    /// From the description of a video track to its first keyframe. Never forgotten.
    pub(crate) keyframe: Histogram,
}

impl Tally {
    /// Nothing counted yet.
    pub(crate) fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            sent: Traffic::default(),
            received: Traffic::default(),
            loss: Loss::default(),
            latency: Histogram::default(),
            keyframe: Histogram::default(),
        }
    }

    /// The time of a stamp.
    pub(crate) fn nanos(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.epoch);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Takes a stamp that was made at `sent` and read at `now`. One from the future is another program's.
    pub(crate) fn stamped(&mut self, now: Instant, sent: u64) -> bool {
        let since = self.nanos(now).checked_sub(sent);
        if let Some(since) = since {
            self.latency.record(Duration::from_nanos(since));
        }
        since.is_some()
    }

    /// Hands out what was counted, and counts from 0 on. Only keyframes are counted on.
    pub(crate) fn take(&mut self) -> Self {
        let next = Self {
            keyframe: self.keyframe.clone(),
            ..Self::new(self.epoch)
        };
        std::mem::replace(self, next)
    }
}
