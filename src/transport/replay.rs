//! A replay list: which packet indices were already taken (RFC 3711 section 3.3.2).

const WORDS: usize = 16;
/// How far behind the newest packet one may be and still be taken.
const WIDTH: u64 = WORDS as u64 * 64;

/// The packets of one SSRC that were seen, over 48-bit SRTP or 31-bit SRTCP indices.
///
/// Ask [`check`](Self::check) before decrypting, tell [`commit`](Self::commit) after the packet was authenticated.
/// It is 1,024 packets wide, so that retransmissions and reordering pass.
#[derive(Clone, Debug, Default)]
pub struct ReplayWindow {
    /// One more than the highest index that was committed; 0 at first.
    next: u64,
    /// A bit for each index, at the index modulo the width.
    seen: [u64; WORDS],
}

impl ReplayWindow {
    /// Whether a packet of this index is new and not too old.
    pub fn check(&self, index: u64) -> bool {
        if index >= self.next {
            return true;
        }
        let (word, bit) = place(index);
        self.next - index <= WIDTH && self.seen[word] & bit == 0
    }

    /// Marks a packet as taken.
    pub fn commit(&mut self, index: u64) {
        if index >= self.next {
            self.forget(self.next, index);
            self.next = index.saturating_add(1);
        } else if self.next - index > WIDTH {
            return;
        }
        let (word, bit) = place(index);
        self.seen[word] |= bit;
    }

    /// Clears the places of indices that come into the window, `from` to `to`, both included.
    fn forget(&mut self, from: u64, to: u64) {
        if to - from >= WIDTH {
            self.seen = [0; WORDS];
            return;
        }
        for index in from..=to {
            let (word, bit) = place(index);
            self.seen[word] &= !bit;
        }
    }
}

fn place(index: u64) -> (usize, u64) {
    (((index / 64) % WORDS as u64) as usize, 1 << (index % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_packet_is_taken_once() {
        let mut window = ReplayWindow::default();
        assert!(window.check(0));
        window.commit(0);
        assert!(!window.check(0));
        window.commit(WIDTH);
        assert!(!window.check(0), "too old");
        assert!(window.check(1), "late, but within the window");
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_set(steps in prop::collection::vec((-1_500i64..1_500, any::<bool>()), 1..400)) {
            let mut window = ReplayWindow::default();
            let mut taken = BTreeSet::new();
            let mut at = 5_000i64;
            for (step, commit) in steps {
                at = (at + step).max(0);
                let index = at as u64;
                let oldest = taken.last().map_or(0, |newest: &u64| (newest + 1).saturating_sub(WIDTH));
                let expected = !taken.contains(&index) && index >= oldest;
                prop_assert_eq!(window.check(index), expected);
                if commit && expected {
                    window.commit(index);
                    taken.insert(index);
                }
            }
        }
    }
}
