//! Arithmetic with numbers that wrap: 16-bit sequence numbers and 32-bit timestamps.

/// The number nearest to `reference` whose low 16 bits are `sequence`. Ties go down. Near zero, where
/// there is no number below, the one above is taken.
pub fn extend(reference: u64, sequence: u16) -> u64 {
    let ahead = sequence.wrapping_sub(reference as u16);
    extended(reference, u64::from(ahead), 1 << 16)
}

/// The number nearest to `reference` whose low 32 bits are `timestamp`, as [`extend`] has it.
pub fn extend_timestamp(reference: u64, timestamp: u32) -> u64 {
    let ahead = timestamp.wrapping_sub(reference as u32);
    extended(reference, u64::from(ahead), 1 << 32)
}

fn extended(reference: u64, ahead: u64, cycle: u64) -> u64 {
    let above = reference.wrapping_add(ahead);
    if ahead < cycle / 2 {
        above
    } else {
        above.checked_sub(cycle).unwrap_or(above)
    }
}

/// Whether sequence number `a` comes after `b`, where they are less than half a cycle apart.
pub fn is_newer(a: u16, b: u16) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 15
}

/// Whether timestamp `a` comes after `b`, where they are less than half a cycle apart.
pub fn is_newer_timestamp(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}

/// Extends the sequence numbers of one stream. The first is put in the second cycle, so that packets
/// that were sent before it and come after it still have a number; only the low 16 bits and differences
/// mean anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct SequenceUnwrapper {
    highest: Option<u64>,
}

impl SequenceUnwrapper {
    /// Extends `sequence`, and remembers it if it is the highest so far.
    pub fn unwrap(&mut self, sequence: u16) -> u64 {
        let extended = self.peek(sequence);
        if self.highest.is_none_or(|highest| extended > highest) {
            self.highest = Some(extended);
        }
        extended
    }

    /// Extends `sequence` without remembering it.
    pub fn peek(&self, sequence: u16) -> u64 {
        match self.highest {
            Some(highest) => extend(highest, sequence),
            None => (1 << 16) | u64::from(sequence),
        }
    }

    /// The highest so far.
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }
}

/// Extends the timestamps of one stream, as [`SequenceUnwrapper`] does.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimestampUnwrapper {
    highest: Option<u64>,
}

impl TimestampUnwrapper {
    /// Extends `timestamp`, and remembers it if it is the highest so far.
    pub fn unwrap(&mut self, timestamp: u32) -> u64 {
        let extended = match self.highest {
            Some(highest) => extend_timestamp(highest, timestamp),
            None => (1 << 32) | u64::from(timestamp),
        };
        if self.highest.is_none_or(|highest| extended > highest) {
            self.highest = Some(extended);
        }
        extended
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All candidates near the reference, the nearest chosen.
    fn nearest(reference: u64, low: u64, cycle: u64) -> u64 {
        let base = reference / cycle;
        (base.saturating_sub(1)..=base + 1)
            .map(|c| c * cycle + low)
            .min_by_key(|candidate| candidate.abs_diff(reference))
            .unwrap()
    }

    #[test]
    fn numbers_near_a_wrap_are_extended_to_the_near_side() {
        assert_eq!(extend(0x1_ffff, 0), 0x2_0000);
        assert_eq!(extend(0x2_0000, 0xffff), 0x1_ffff);
        assert_eq!(extend(0x1_8000, 0), 0x1_0000);
        assert_eq!(extend(5, 0xffff), 0xffff);
        assert!(is_newer(0, 65_535) && !is_newer(65_535, 0) && !is_newer(7, 7));
        assert!(is_newer_timestamp(1, u32::MAX) && !is_newer_timestamp(u32::MAX, 1));
    }

    #[test]
    fn a_packet_from_before_the_first_has_a_number() {
        let mut unwrapper = SequenceUnwrapper::default();
        let first = unwrapper.unwrap(2);
        assert_eq!(unwrapper.unwrap(65_534), first - 4);
        assert_eq!(unwrapper.highest(), Some(first));
    }

    proptest! {
        #[test]
        fn extending_finds_the_nearest(reference in 0u64..1 << 40, low: u16) {
            // A tie has two answers; the documented one is tested above.
            prop_assume!(low.wrapping_sub(reference as u16) != 1 << 15);
            prop_assert_eq!(extend(reference, low), nearest(reference, low.into(), 1 << 16));
        }

        #[test]
        fn extending_timestamps_finds_the_nearest(reference in 0u64..1 << 40, low: u32) {
            prop_assume!(low.wrapping_sub(reference as u32) != 1 << 31);
            prop_assert_eq!(
                extend_timestamp(reference, low),
                nearest(reference, low.into(), 1 << 32)
            );
        }

        #[test]
        fn unwrapping_follows_any_walk_of_small_steps(
            start: u16, steps in proptest::collection::vec(-2_000i64..30_000, 1..100),
        ) {
            let mut unwrapper = SequenceUnwrapper::default();
            let first = unwrapper.unwrap(start) as i64;
            let mut highest = first;
            for step in steps {
                // Each number is told relative to the highest so far, as a network reorders.
                let number = highest + step;
                prop_assert_eq!(unwrapper.unwrap(number as u16) as i64, number);
                highest = highest.max(number);
            }
        }

        #[test]
        fn unwrapping_timestamps_follows_any_walk(
            start: u32, steps in proptest::collection::vec(-200_000i64..2_000_000_000, 1..100),
        ) {
            let mut unwrapper = TimestampUnwrapper::default();
            let mut highest = unwrapper.unwrap(start) as i64;
            for step in steps {
                let number = highest + step;
                prop_assert_eq!(unwrapper.unwrap(number as u32) as i64, number);
                highest = highest.max(number);
            }
        }
    }
}
