//! How much arrived lately, by the receiver's clock.

/// The length of a slot, in microseconds.
const SLOT: i64 = 16_000;
const SLOTS: usize = 64;

/// The bytes of the last second, in slots.
#[derive(Clone, Debug)]
pub(super) struct Delivered {
    bytes: [u32; SLOTS],
    /// The newest slot, since the receiver's epoch. The one before it is the newest that is complete.
    latest: Option<i64>,
    /// The first slot that anything came in since the last gap.
    first: i64,
}

impl Default for Delivered {
    fn default() -> Self {
        Self {
            bytes: [0; SLOTS],
            latest: None,
            first: 0,
        }
    }
}

impl Delivered {
    /// So many bytes came.
    pub(super) fn add(&mut self, arrival: i64, bytes: u32) {
        let slot = arrival.div_euclid(SLOT);
        let latest = match self.latest {
            Some(latest) if slot.abs_diff(latest) < SLOTS as u64 => latest,
            _ => {
                self.bytes = [0; SLOTS];
                self.first = slot;
                slot
            }
        };
        for passed in latest + 1..=slot {
            *self.slot(passed) = 0;
        }
        self.latest = Some(latest.max(slot));
        let slot = self.slot(slot);
        *slot = slot.saturating_add(bytes);
    }

    /// Bits a second over the last `window` microseconds, up to about a second. `None` before half of it has passed.
    pub(super) fn rate(&self, window: i64) -> Option<f64> {
        let latest = self.latest?;
        let slots = (window / SLOT).clamp(1, SLOTS as i64 - 1);
        let begin = (latest - slots).max(self.first);
        if (latest - begin) * 2 < slots {
            return None;
        }
        let bytes: u64 = (begin..latest)
            .map(|slot| u64::from(self.bytes[index(slot)]))
            .sum();
        let seconds = (latest - begin) as f64 * SLOT as f64 / 1e6;
        Some(bytes as f64 * 8.0 / seconds)
    }

    fn slot(&mut self, slot: i64) -> &mut u32 {
        &mut self.bytes[index(slot)]
    }
}

fn index(slot: i64) -> usize {
    slot.rem_euclid(SLOTS as i64) as usize
}
