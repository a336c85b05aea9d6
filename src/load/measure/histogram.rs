//! A distribution of durations in fixed memory: log-linear buckets, none wider than 1/64 of its values.

use std::time::Duration;

use crate::load::report::Percentiles;

/// Buckets of each power of two, as a power of two.
const BITS: u32 = 6;
const PER_OCTAVE: usize = 1 << BITS;
/// Values from 2^42 ns (73 minutes) on share the last bucket.
const OCTAVES: usize = 42;
const BUCKETS: usize = (OCTAVES - BITS as usize + 1) * PER_OCTAVE;

/// Durations of up to an hour, to the nanosecond where they are short and to 1.6 % where they are long.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    min: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS].into_boxed_slice(),
            total: 0,
            min: u64::MAX,
            max: 0,
        }
    }
}

impl Histogram {
    /// Adds one.
    pub(crate) fn record(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(bucket(nanos)) {
            *count += 1;
        }
        self.total += 1;
        self.min = self.min.min(nanos);
        self.max = self.max.max(nanos);
    }

    /// The percentiles in milliseconds; `None` without a value.
    pub(crate) fn percentiles(&self) -> Option<Percentiles> {
        (self.total > 0).then(|| Percentiles {
            count: self.total,
            min: millis(self.min),
            p50: self.at(0.5),
            p90: self.at(0.9),
            p99: self.at(0.99),
            max: millis(self.max),
        })
    }

    /// The least value that is not below the share `quantile` of all, as the middle of its bucket.
    fn at(&self, quantile: f64) -> f64 {
        let wanted = ((self.total as f64 * quantile).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return millis(middle(index).clamp(self.min, self.max));
            }
        }
        millis(self.max)
    }
}

fn millis(nanos: u64) -> f64 {
    // To the microsecond: more would be noise.
    (nanos as f64 / 1_000.0).round() / 1_000.0
}

/// Below 64 a value is its own bucket; above, its highest bit chooses the octave and the six bits below it
/// the bucket.
fn bucket(value: u64) -> usize {
    let octave = (u64::BITS - value.leading_zeros()).saturating_sub(BITS + 1);
    let place = (value >> octave) as usize;
    (octave as usize * PER_OCTAVE + place).min(BUCKETS - 1)
}

fn middle(bucket: usize) -> u64 {
    let octave = (bucket / PER_OCTAVE).saturating_sub(1);
    let place = (bucket - octave * PER_OCTAVE) as u64;
    let width = 1 << octave;
    place * width + width / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_narrow_and_in_order() {
        let mut last = 0;
        let mut value: u64 = 0;
        while value < 1 << 41 {
            let index = bucket(value);
            assert!(index >= last, "{value}");
            last = index;
            let error = middle(index).abs_diff(value) as f64;
            assert!(error <= value as f64 / 64.0, "{value} in {}", middle(index));
            value = value + value / 37 + 1;
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_of_even_values() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentiles(), None);
        for micros in 1..=10_000 {
            histogram.record(Duration::from_micros(micros));
        }
        let found = histogram.percentiles().unwrap();
        assert_eq!((found.count, found.min, found.max), (10_000, 0.001, 10.0));
        for (value, expected) in [(found.p50, 5.0), (found.p90, 9.0), (found.p99, 9.9)] {
            assert!(
                (value - expected).abs() < expected / 60.0,
                "{value} for {expected}"
            );
        }
    }

    #[test]
    fn one_value_is_all_percentiles() {
        let mut histogram = Histogram::default();
        histogram.record(Duration::from_micros(1_500));
        let found = histogram.percentiles().unwrap();
        assert_eq!((found.p50, found.p99, found.max), (1.5, 1.5, 1.5));
    }
}
