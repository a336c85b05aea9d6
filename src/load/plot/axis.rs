//! Scales: where a value lies on a line of pixels, and which values are worth a label.

/// From where the largest value is so many times the smallest, a linear scale would hide the small ones.
const LOGARITHMIC_FROM: f64 = 20.0;

/// Maps values to pixels.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    /// The pixels of `low` and of `high`.
    pixels: (f64, f64),
    ticks: Vec<f64>,
}

impl Axis {
    /// An axis from 0 to a round number beyond the largest of `values`.
    pub(super) fn linear(values: impl Iterator<Item = f64>, pixels: (f64, f64)) -> Self {
        let largest = values.fold(0.0, f64::max);
        let step = round_step(if largest > 0.0 { largest } else { 1.0 } / 5.0);
        let count = (largest / step).ceil().max(1.0);
        Self {
            low: 0.0,
            high: step * count,
            logarithmic: false,
            pixels,
            ticks: (0..=count as u32).map(|i| f64::from(i) * step).collect(),
        }
    }

    /// A linear axis, or a logarithmic one where the values differ too much for that.
    pub(super) fn fitting(values: impl Iterator<Item = f64> + Clone, pixels: (f64, f64)) -> Self {
        let positive = values.clone().filter(|&value| value > 0.0);
        let smallest = positive.clone().fold(f64::INFINITY, f64::min);
        let largest = positive.fold(0.0, f64::max);
        if largest < smallest * LOGARITHMIC_FROM || !smallest.is_finite() {
            return Self::linear(values, pixels);
        }
        let decades = smallest.log10().floor() as i32..=largest.log10().ceil() as i32;
        Self {
            low: 10f64.powi(*decades.start()),
            high: 10f64.powi(*decades.end()),
            logarithmic: true,
            pixels,
            ticks: decades.map(|decade| 10f64.powi(decade)).collect(),
        }
    }

    /// Whether equal steps are equal factors.
    pub(super) fn logarithmic(&self) -> bool {
        self.logarithmic
    }

    /// The values to label, of which the first is where the axis begins.
    pub(super) fn ticks(&self) -> &[f64] {
        &self.ticks
    }

    /// Where `value` lies. What is below the axis (0 on a logarithmic one) lies at its beginning.
    pub(super) fn pixel(&self, value: f64) -> f64 {
        let share = if self.logarithmic {
            let (low, high) = (self.low.log10(), self.high.log10());
            (value.max(self.low).log10() - low) / (high - low)
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.pixels.0 + share * (self.pixels.1 - self.pixels.0)
    }
}

/// 1, 2 or 5 times a power of ten, at least `step`.
fn round_step(step: f64) -> f64 {
    let magnitude = 10f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0]
        .map(|factor| factor * magnitude)
        .into_iter()
        .find(|&round| round >= step * 0.999)
        .unwrap_or(10.0 * magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_axis_begins_at_zero_and_ends_at_a_round_number() {
        let axis = Axis::linear([50.0, 150.0].into_iter(), (0.0, 300.0));
        assert_eq!(axis.ticks(), [0.0, 50.0, 100.0, 150.0]);
        assert_eq!((axis.pixel(0.0), axis.pixel(150.0)), (0.0, 300.0));
        let upwards = Axis::linear([13.7].into_iter(), (200.0, 0.0));
        assert_eq!(upwards.ticks().last(), Some(&15.0));
        assert_eq!(upwards.pixel(15.0), 0.0);
    }

    #[test]
    fn values_that_differ_much_get_a_logarithmic_axis() {
        let axis = Axis::fitting([0.4, 3.0, 250.0].into_iter(), (300.0, 0.0));
        assert!(axis.logarithmic());
        assert_eq!(axis.ticks(), [0.1, 1.0, 10.0, 100.0, 1_000.0]);
        assert_eq!(axis.pixel(0.0), 300.0);
        assert_eq!(axis.pixel(10.0), 150.0);
        assert!(!Axis::fitting([1.0, 15.0].into_iter(), (0.0, 1.0)).logarithmic());
    }

    #[test]
    fn nothing_and_nothing_but_zeros_still_make_an_axis() {
        for values in [&[][..], &[0.0, 0.0]] {
            let axis = Axis::fitting(values.iter().copied(), (0.0, 100.0));
            assert_eq!(axis.pixel(0.0), 0.0);
            assert!(axis.ticks().len() > 1);
        }
    }
}
