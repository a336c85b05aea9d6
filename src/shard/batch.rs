//! Datagrams on their way out, in lanes: back to back for one destination, ready to be sent as segments.

use std::collections::VecDeque;
use std::time::Instant;

use crate::transport::Path;

/// Lanes that are kept for reuse, beyond which a burst's memory is given back.
const MAX_SPARE: usize = 8_192;

/// A lane that grew beyond this is not kept either.
const MAX_SPARE_BYTES: usize = 128 * 1024;

/// Datagrams to send, written by the core and flushed by the runtime, which may wait with a lane so that
/// more come into it. Memory is reused, so that a steady load allocates nothing.
#[derive(Debug)]
pub struct Batch {
    /// Oldest first.
    lanes: VecDeque<Lane>,
    /// The number of the oldest lane. They are numbered in the order in which they were opened.
    first: u64,
    spare: Vec<Lane>,
    bytes: usize,
    now: Option<Instant>,
    held: bool,
}

/// Datagrams to one destination, back to back: equal neighbours can leave in one system call.
#[derive(Debug)]
pub struct Lane {
    path: Path,
    opened: Option<Instant>,
    buffer: Vec<u8>,
    sizes: Vec<u16>,
}

/// Which lane its owner writes to, as long as that is in the batch and has the same path. Who wants its
/// datagrams to stay together has a slot of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct LaneSlot {
    number: u64,
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self {
            lanes: VecDeque::new(),
            // Slots start at number 0, so no slot matches before it was assigned.
            first: 1,
            spare: Vec::new(),
            bytes: 0,
            now: None,
            held: false,
        }
    }

    /// Tells the time, at which the lanes are opened that are opened from now on, and whether lanes
    /// will wait for more before they are sent.
    pub fn begin(&mut self, now: Instant, held: bool) {
        self.now = Some(now);
        self.held = held;
    }

    /// Whether lanes wait for more before they are sent, so that it pays to make datagrams equally long.
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// Writes one datagram at the end of the buffer that it is given, which is the slot's lane to `path`; with
    /// `false`, or nothing written, takes it back. Returns its size.
    pub fn write(
        &mut self,
        slot: &mut LaneSlot,
        path: Path,
        datagram: impl FnOnce(&mut Vec<u8>) -> bool,
    ) -> usize {
        let known = slot.number.checked_sub(self.first);
        let known = known.and_then(|index| self.lanes.get(usize::try_from(index).ok()?));
        if known.is_none_or(|lane| lane.path != path) {
            slot.number = self.open(path);
        }
        let index = (slot.number - self.first) as usize;
        let size = self.lanes[index].write(datagram);
        self.bytes += size;
        size
    }

    /// Adds one finished datagram, for what is rare.
    pub fn push(&mut self, path: Path, contents: &[u8]) {
        self.write(&mut LaneSlot::default(), path, |out| {
            out.extend_from_slice(contents);
            true
        });
    }

    /// What is to be sent, oldest lane first. Some lanes may be empty.
    pub fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter()
    }

    /// The oldest lane.
    pub fn oldest(&self) -> Option<&Lane> {
        self.lanes.front()
    }

    /// Forgets the oldest lane, which was sent.
    pub fn pop(&mut self) {
        if let Some(lane) = self.lanes.pop_front() {
            self.first += 1;
            self.recycle(lane);
        }
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets everything, keeping the memory.
    pub fn clear(&mut self) {
        while !self.lanes.is_empty() {
            self.pop();
        }
    }

    fn recycle(&mut self, mut lane: Lane) {
        self.bytes -= lane.buffer.len();
        lane.buffer.clear();
        lane.sizes.clear();
        if self.spare.len() < MAX_SPARE && lane.buffer.capacity() <= MAX_SPARE_BYTES {
            self.spare.push(lane);
        }
    }

    fn open(&mut self, path: Path) -> u64 {
        let number = self.first + self.lanes.len() as u64;
        let opened = self.now;
        let lane = match self.spare.pop() {
            Some(lane) => Lane {
                path,
                opened,
                ..lane
            },
            None => Lane {
                path,
                opened,
                buffer: Vec::new(),
                sizes: Vec::new(),
            },
        };
        self.lanes.push_back(lane);
        number
    }
}

impl Lane {
    /// Where the datagrams go.
    pub fn path(&self) -> Path {
        self.path
    }

    /// When its first datagram was written, if the batch was told the time.
    pub fn opened(&self) -> Option<Instant> {
        self.opened
    }

    fn write(&mut self, datagram: impl FnOnce(&mut Vec<u8>) -> bool) -> usize {
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
            opened: None,
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

    fn one(out: &mut Vec<u8>) -> bool {
        out.push(0);
        true
    }

    #[test]
    fn a_slot_keeps_its_lane_while_that_waits_and_its_path_is_the_same() {
        let mut batch = Batch::new();
        let mut slot = LaneSlot::default();
        for port in [1, 1, 2] {
            batch.write(&mut slot, path(port), one);
        }
        assert_eq!(batch.lanes().count(), 2);
        batch.pop();
        batch.write(&mut slot, path(2), one);
        let counts: Vec<_> = batch.lanes().map(|lane| lane.datagrams().count()).collect();
        assert_eq!(counts, [2]);
        batch.clear();
        batch.write(&mut slot, path(2), one);
        assert_eq!(batch.lanes().count(), 1);
        assert_eq!(batch.bytes(), 1);
    }

    #[test]
    fn lanes_leave_in_the_order_in_which_they_were_opened() {
        let start = Instant::now();
        let mut batch = Batch::new();
        let mut slots = [LaneSlot::default(); 3];
        for round in 0..5 {
            let now = start + std::time::Duration::from_millis(round);
            batch.begin(now, true);
            for (slot, port) in slots.iter_mut().zip(1..) {
                batch.write(slot, path(port), one);
            }
            if round >= 1 {
                batch.pop();
            }
        }
        let opened: Vec<_> = batch.lanes().map(|lane| lane.opened().unwrap()).collect();
        assert!(opened.is_sorted());
        assert_eq!(batch.oldest().unwrap().opened(), opened.first().copied());
        let left: usize = batch.lanes().map(|lane| lane.datagrams().count()).sum();
        assert_eq!(left, batch.bytes());
    }
}
