//! Whether the server has more to do than it was told to take: the measured load, smoothed, against the configured bounds.

use std::time::{Duration, Instant};

use super::Limits;

/// Over this time the load is smoothed: one keyframe for everybody is no overload.
const WINDOW: Duration = Duration::from_secs(2);

/// Below this share of a bound newcomers are let in again, so that they do not come and go with every newcomer.
const QUIET: f64 = 0.9;

/// What the server has to do, as it is measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerLoad {
    /// The share of its core that each shard works, 0 to 1.
    pub busy: Vec<f64>,
    /// Bytes that all of them have sent since their start.
    pub bytes_out: u64,
}

/// A bound, and whether it is reached.
#[derive(Clone, Copy, Debug, Default)]
struct Bound {
    /// Of all that is measured; `None` before the first.
    smooth: Option<f64>,
    reached: bool,
}

/// All bounds.
#[derive(Debug)]
pub(super) struct LoadBounds {
    max_cpu: Option<u8>,
    max_bits_per_second: Option<u64>,
    cpu_by_shard: Vec<Bound>,
    bandwidth: Bound,
    last: Option<(Instant, u64)>,
}

impl LoadBounds {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            max_cpu: limits.max_cpu,
            max_bits_per_second: limits.max_bits_per_second,
            cpu_by_shard: Vec::new(),
            bandwidth: Bound::default(),
            last: None,
        }
    }

    /// Whether there is anything to be measured for.
    pub(super) fn are_set(&self) -> bool {
        self.max_cpu.is_some() || self.max_bits_per_second.is_some()
    }

    pub(super) fn measure(&mut self, now: Instant, load: &ServerLoad) {
        let Some((before, bytes)) = self.last.replace((now, load.bytes_out)) else {
            return;
        };
        let passed = now.saturating_duration_since(before).as_secs_f64();
        if passed <= 0.0 {
            return;
        }
        let before = self.is_any_reached();
        let weight = (passed / WINDOW.as_secs_f64()).min(1.0);
        if let Some(max) = self.max_cpu {
            self.cpu_by_shard.resize(load.busy.len(), Bound::default());
            for (bound, busy) in self.cpu_by_shard.iter_mut().zip(&load.busy) {
                bound.measure(*busy, weight, f64::from(max) / 100.0);
            }
        }
        if let Some(max) = self.max_bits_per_second {
            let bits = load.bytes_out.saturating_sub(bytes) as f64 * 8.0;
            self.bandwidth.measure(bits / passed, weight, max as f64);
        }
        match (before, self.is_any_reached()) {
            (false, true) => tracing::warn!(
                "there is as much to do as --max-cpu or --max-bandwidth allows: newcomers are refused"
            ),
            (true, false) => tracing::info!("newcomers are let in again"),
            (_, _) => {}
        }
    }

    fn is_any_reached(&self) -> bool {
        self.bandwidth.reached || self.cpu_by_shard.iter().any(|bound| bound.reached)
    }

    /// Whether this shard is to be given nobody more; or any, where nobody knows which it will be.
    pub(super) fn is_overloaded(&self, shard: Option<usize>) -> bool {
        let Some(shard) = shard else {
            return self.is_any_reached();
        };
        let cpu = self.cpu_by_shard.get(shard);
        self.bandwidth.reached || cpu.is_some_and(|bound| bound.reached)
    }
}

impl Bound {
    fn measure(&mut self, value: f64, weight: f64, max: f64) {
        let smooth = self.smooth.get_or_insert(value);
        *smooth += (value - *smooth) * weight;
        self.reached = *smooth >= if self.reached { max * QUIET } else { max };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(max_cpu: Option<u8>, max_bits_per_second: Option<u64>) -> LoadBounds {
        LoadBounds::new(&Limits {
            max_cpu,
            max_bits_per_second,
            ..Limits::default()
        })
    }

    /// Measures twice a second.
    fn run(bounds: &mut LoadBounds, now: &mut Instant, seconds: u32, busy: &[f64], bits: u64) {
        for _ in 0..2 * seconds {
            *now += Duration::from_millis(500);
            let sent = bounds.last.map_or(0, |(_, bytes)| bytes);
            let busy = busy.to_vec();
            let bytes_out = sent + bits / 16;
            bounds.measure(*now, &ServerLoad { busy, bytes_out });
        }
    }

    #[test]
    fn a_busy_shard_takes_nobody_until_it_is_well_below_the_bound() {
        let mut now = Instant::now();
        let mut bounds = bounds(Some(80), None);
        for (busy, overloaded) in [(0.7, false), (0.85, true), (0.75, true), (0.6, false)] {
            run(&mut bounds, &mut now, 20, &[busy, 0.1], 0);
            for (shard, expected) in [(Some(0), overloaded), (Some(1), false), (None, overloaded)] {
                assert_eq!(bounds.is_overloaded(shard), expected, "{busy}, {shard:?}");
            }
        }
        // A moment is no overload.
        run(&mut bounds, &mut now, 1, &[0.9, 0.1], 0);
        assert!(!bounds.is_overloaded(Some(0)));
    }

    #[test]
    fn what_all_send_counts_for_every_shard() {
        let mut now = Instant::now();
        let mut bounds = bounds(None, Some(1_000_000));
        for (bits, overloaded) in [
            (950_000, false),
            (1_050_000, true),
            (950_000, true),
            (850_000, false),
        ] {
            run(&mut bounds, &mut now, 20, &[1.0, 0.0], bits);
            for shard in [Some(0), Some(1), None] {
                assert_eq!(bounds.is_overloaded(shard), overloaded, "{bits}");
            }
        }
    }
}
