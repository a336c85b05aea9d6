//! The datagrams of one tick, in lanes: one lane for each destination, ready to be sent as segments.

use crate::transport::Path;

/// Datagrams to send, written by the core and flushed by the runtime. Reused from tick to tick, so
/// that a steady load allocates nothing.
#[derive(Debug, Default)]
pub struct Batch {
    lanes: Vec<Lane>,
    used: usize,
    generation: u64,
}

/// Datagrams to one destination, back to back: equal neighbours can leave in one system call.
#[derive(Debug)]
pub struct Lane {
    path: Path,
    buffer: Vec<u8>,
    sizes: Vec<u16>,
}

/// Where a peer's lane is in the current batch. Kept by the peer, checked against the generation.
#[derive(Clone, Copy, Debug, Default)]
pub struct LaneSlot {
    generation: u64,
    index: usize,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self {
            // Slots start at generation 0, so no slot matches before it was assigned.
            generation: 1,
            ..Self::default()
        }
    }

    /// The lane to `path`. `slot` remembers it for the rest of the tick, as long as the path is the same.
    pub fn lane(&mut self, slot: &mut LaneSlot, path: Path) -> &mut Lane {
        let known = slot.generation == self.generation && self.lanes[slot.index].path == path;
        if !known {
            *slot = LaneSlot {
                generation: self.generation,
                index: self.open(path),
            };
        }
        &mut self.lanes[slot.index]
    }

    /// Adds one finished datagram, for what is rare.
    pub fn push(&mut self, path: Path, contents: &[u8]) {
        let index = self.open(path);
        self.lanes[index].write(|out| {
            out.extend_from_slice(contents);
            true
        });
    }

    /// What is to be sent. Some lanes may be empty.
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes[..self.used]
    }

    /// Forgets everything, keeping the memory.
    pub fn clear(&mut self) {
        for lane in &mut self.lanes[..self.used] {
            lane.buffer.clear();
            lane.sizes.clear();
        }
        self.used = 0;
        self.generation += 1;
    }

    fn open(&mut self, path: Path) -> usize {
        let index = self.used;
        self.used += 1;
        match self.lanes.get_mut(index) {
            Some(lane) => lane.path = path,
            None => self.lanes.push(Lane {
                path,
                buffer: Vec::new(),
                sizes: Vec::new(),
            }),
        }
        index
    }
}

impl Lane {
    /// Where the datagrams go.
    pub fn path(&self) -> Path {
        self.path
    }

    /// Writes one datagram at the end of the buffer that it is given; with `false`, or nothing written, takes it back.
    pub fn write(&mut self, datagram: impl FnOnce(&mut Vec<u8>) -> bool) -> usize {
        let start = self.buffer.len();
        let keep = datagram(&mut self.buffer);
        let size = self.buffer.len().saturating_sub(start);
        match u16::try_from(size) {
            Ok(size) if keep && size > 0 => self.sizes.push(size),
            _ => {
                self.buffer.truncate(start);
                return 0;
            }
        }
        size
    }

    /// The datagrams as runs of equal size, of which the last may be shorter: `(contents, segment size)`.
    /// A run has at most `max_segments` segments and 65,000 bytes.
    pub fn runs(&self, max_segments: usize) -> impl Iterator<Item = (&[u8], usize)> {
        const MAX_BYTES: usize = 65_000;
        let mut sizes = self.sizes.as_slice();
        let mut rest = self.buffer.as_slice();
        std::iter::from_fn(move || {
            let (&first, _) = sizes.split_first()?;
            let segment = usize::from(first);
            let mut count = 1;
            let mut length = segment;
            while let Some(&next) = sizes.get(count) {
                let next = usize::from(next);
                if count == max_segments || next > segment || length + next > MAX_BYTES {
                    break;
                }
                count += 1;
                length += next;
                if next < segment {
                    break;
                }
            }
            sizes = &sizes[count..];
            let (run, after) = rest.split_at(length);
            rest = after;
            Some((run, segment))
        })
    }

    /// Every datagram by itself.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.runs(1).map(|(contents, _)| contents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(port: u16) -> Path {
        Path {
            remote: ([127, 0, 0, 1], port).into(),
            local: None,
        }
    }

    fn lane_of(sizes: &[usize]) -> Lane {
        let mut lane = Lane {
            path: path(1),
            buffer: Vec::new(),
            sizes: Vec::new(),
        };
        for (i, &size) in sizes.iter().enumerate() {
            lane.write(|out| {
                out.resize(out.len() + size, i as u8);
                true
            });
        }
        lane
    }

    #[test]
    fn equal_neighbours_form_runs_and_a_shorter_one_ends_them() {
        let lane = lane_of(&[100, 100, 80, 100, 120, 120, 120]);
        let runs: Vec<_> = lane.runs(64).map(|(run, size)| (run.len(), size)).collect();
        assert_eq!(runs, [(280, 100), (100, 100), (360, 120)]);
        let pairs: Vec<_> = lane.runs(2).map(|(run, _)| run.len()).collect();
        assert_eq!(pairs, [200, 80, 100, 240, 120]);
        assert_eq!(lane.datagrams().count(), 7);
    }

    #[test]
    fn a_run_stays_below_the_size_of_a_datagram() {
        let lane = lane_of(&[1_200; 100]);
        assert!(lane.runs(100).all(|(run, _)| run.len() <= 65_000));
    }

    #[test]
    fn what_is_taken_back_leaves_no_trace() {
        let mut lane = lane_of(&[10]);
        let written = lane.write(|out| {
            out.extend_from_slice(b"half");
            false
        });
        assert_eq!(written, 0);
        assert_eq!(lane.datagrams().map(<[u8]>::len).collect::<Vec<_>>(), [10]);
    }

    #[test]
    fn a_slot_holds_for_one_tick_and_one_path() {
        let mut batch = Batch::new();
        let mut slot = LaneSlot::default();
        for port in [1, 1, 2] {
            batch.lane(&mut slot, path(port)).write(|out| {
                out.push(0);
                true
            });
        }
        assert_eq!(batch.lanes().len(), 2);
        batch.clear();
        assert_eq!(batch.lanes().len(), 0);
        batch.lane(&mut slot, path(2));
        assert_eq!(batch.lanes().len(), 1);
    }
}
