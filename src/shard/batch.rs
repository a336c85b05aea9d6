//! Datagrams on their way out, in lanes: back to back for one destination, ready to be sent as segments.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::Spares;
use crate::transport::Path;

/// Closed lanes that keep their memory for the next; that of a larger burst is given back.
const MAX_SPARE: usize = 8_192;

/// A lane that grew beyond this does not keep it either.
const MAX_SPARE_BYTES: usize = 128 * 1024;

/// In the lane itself as long as they are few: one line of memory less to wait for.
type Sizes = SmallVec<[u16; 16]>;

/// Bytes that may wait at most: more do not fit the processor's cache.
const MAX_WAITING_BYTES: usize = 1024 * 1024;

/// How long lanes may wait for more datagrams, so that more of them leave in one system call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// From the first datagram on; 0 for not at all.
    pub longest: Duration,
    /// Whether the thread has so much to do that every lane should wait, and not only those of large audiences.
    pub busy: bool,
}

/// Datagrams to send, written by the core and flushed by the runtime. Lanes that wait for more are sent when their
/// time has come, all others at the end of the tick. Memory is reused, so that a steady load allocates nothing.
#[derive(Debug, Default)]
pub struct Batch {
    /// All there ever were, open or not, so that an index stays what it is.
    lanes: Vec<Lane>,
    /// Those that keep their memory for the next.
    closed: Spares<usize>,
    /// Those that have none.
    hollow: Vec<usize>,
    /// To be sent now, in this order. What left with another meanwhile is passed over.
    ready: VecDeque<LaneSlot>,
    /// To be sent at a time, in that order. What became ready or was sent meanwhile is passed over.
    waiting: VecDeque<Waiting>,
    epoch: u64,
    bytes: usize,
    /// The time, once it was told.
    now: Option<Instant>,
    holding: Holding,
}

/// Datagrams to one destination, back to back: equal neighbours can leave in one system call.
#[derive(Debug)]
pub struct Lane {
    path: Path,
    state: State,
    /// What leaves at its end.
    beside: LaneSlot,
    /// At whose end it leaves, if that is sent in time.
    carrier: LaneSlot,
    buffer: Vec<u8>,
    sizes: Sizes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    /// Opened as this epoch.
    Waiting(u64),
    Ready(u64),
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    due: Instant,
    lane: LaneSlot,
}

/// Which lane its owner writes to, as long as that is open and has the same path. Who wants its datagrams to stay
/// together has a slot of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneSlot {
    lane: usize,
    /// None is 0, so no slot fits before it was assigned.
    epoch: u64,
}

impl Batch {
    /// An empty batch, whose lanes never wait before [`Self::begin`] says so.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells the time, and how long lanes may wait from now on.
    pub fn begin(&mut self, now: Instant, holding: Holding) {
        self.now = Some(now);
        self.holding = holding;
    }

    /// Whether the copies of a packet should wait that has this many receivers.
    pub(super) fn holds(&self, receivers: usize) -> bool {
        /// From here on it pays, whatever else there is to do; and who watches with so many does not talk much.
        const LARGE_AUDIENCE: usize = 32;
        !self.holding.longest.is_zero() && (self.holding.busy || receivers >= LARGE_AUDIENCE)
    }

    /// Writes one datagram at the end of the buffer that it is given, which is the slot's lane to `path`; with
    /// `false`, or nothing written, takes it back. Returns its size. With `wait` the lane may wait for more, unless
    /// something in it may not.
    pub fn write(
        &mut self,
        slot: &mut LaneSlot,
        path: Path,
        wait: bool,
        datagram: impl FnOnce(&mut Vec<u8>) -> bool,
    ) -> usize {
        let fits = |lane: &Lane| lane.path == path && lane.state.is_open_as(slot.epoch);
        if !self.lanes.get(slot.lane).is_some_and(fits) {
            *slot = self.open(path);
        }
        let lane = &mut self.lanes[slot.lane];
        let size = lane.write(datagram);
        self.bytes += size;
        if let State::Waiting(epoch) = lane.state {
            match self.now {
                // Its first.
                Some(now) if wait && lane.sizes.len() <= 1 => self.waiting.push_back(Waiting {
                    due: now + self.holding.longest,
                    lane: *slot,
                }),
                Some(_) if wait => {}
                _ => {
                    lane.state = State::Ready(epoch);
                    self.ready.push_back(*slot);
                }
            }
        }
        size
    }

    /// The size of what was written last to the slot's lane, as long as that is open and leads to `path`.
    pub(super) fn last_size(&self, slot: LaneSlot, path: Path) -> Option<usize> {
        let lane = self.lanes.get(slot.lane)?;
        let fits = lane.path == path && lane.state.is_open_as(slot.epoch);
        let last = lane.sizes.last().filter(|_| fits)?;
        Some(usize::from(*last))
    }

    /// Reads a word of what a [`write`](Self::write) to the slot's lane looks at, so that it comes into the processor's
    /// cache. Of no meaning.
    pub(super) fn touch(&self, slot: LaneSlot) -> usize {
        let lane = self.lanes.get(slot.lane);
        lane.map_or(0, |lane| {
            lane.sizes.len() ^ usize::from(lane.buffer.last().copied().unwrap_or_default())
        })
    }

    /// Lets what is in the other's lane by then leave together with the slot's: a small datagram at the end of a run
    /// costs no call of its own. It waits no longer for that than it would anyway.
    pub(super) fn join(&mut self, slot: LaneSlot, other: LaneSlot) {
        if !self.is_open(slot) {
            return;
        }
        self.lanes[slot.lane].beside = other;
        if self.is_open(other) {
            self.lanes[other.lane].carrier = slot;
        }
    }

    /// Adds one finished datagram, for what is rare.
    pub fn push(&mut self, path: Path, contents: &[u8]) {
        self.write(&mut LaneSlot::default(), path, false, |out| {
            out.extend_from_slice(contents);
            true
        });
    }

    /// Everything that is to be sent, also what waits. Some lanes may be empty.
    pub fn lanes(&self) -> impl Iterator<Item = &Lane> {
        let ready = self.ready.iter().filter(|lane| self.is_open(**lane));
        let waiting = self.waiting.iter().map(|waiting| &waiting.lane);
        let slots = ready.chain(waiting.filter(|lane| self.is_waiting(**lane)));
        slots.filter_map(|slot| self.lanes.get(slot.lane))
    }

    /// When there is something to send, if nothing more is written.
    pub fn due(&mut self) -> Option<Instant> {
        if !self.ready.is_empty() {
            return self.now;
        }
        while let Some(waiting) = self.waiting.front() {
            if self.is_waiting(waiting.lane) {
                return Some(waiting.due);
            }
            self.waiting.pop_front();
        }
        None
    }

    /// The next lane whose time has come at `now`, or without a time the next of all. Nothing when none is due.
    pub fn next_due(&mut self, now: Option<Instant>) -> Option<DueLane<'_>> {
        let ready = loop {
            match self.ready.pop_front() {
                Some(slot) if !self.is_open(slot) || self.is_carried(slot) => {}
                ready => break ready,
            }
        };
        let index = match ready {
            Some(slot) => slot.lane,
            None => {
                let due = self.due()?;
                let is_due = now.is_none_or(|now| due <= now);
                if !is_due && self.bytes < MAX_WAITING_BYTES {
                    return None;
                }
                self.waiting.pop_front()?.lane.lane
            }
        };
        self.take_beside(index);
        Some(DueLane { batch: self, index })
    }

    /// Forgets everything, keeping the memory.
    pub fn clear(&mut self) {
        while self.next_due(None).is_some() {}
    }

    /// Gives back the memory of lanes that nobody has needed since this was called last: each grows to the longest burst that
    /// it ever carried. Returns whether there is more, which may be given back the next time.
    pub fn give_back(&mut self) -> bool {
        for index in self.closed.take_unused() {
            self.lanes[index].empty();
            self.hollow.push(index);
        }
        if self.hollow.len() == self.lanes.len() {
            // No slot fits the next ones: epochs go on.
            *self = Self {
                epoch: self.epoch,
                now: self.now,
                holding: self.holding,
                ..Self::default()
            };
        }
        !self.closed.is_empty()
    }

    /// After a panic: forgets the part of a datagram that was written then, which may not even be encrypted.
    pub(super) fn mend(&mut self) {
        for lane in &mut self.lanes {
            let whole = lane.sizes.iter().map(|size| usize::from(*size)).sum();
            lane.buffer.truncate(whole);
        }
    }

    fn is_open(&self, slot: LaneSlot) -> bool {
        let lane = self.lanes.get(slot.lane);
        lane.is_some_and(|lane| lane.state.is_open_as(slot.epoch))
    }

    fn is_waiting(&self, slot: LaneSlot) -> bool {
        let lane = self.lanes.get(slot.lane);
        lane.is_some_and(|lane| lane.state == State::Waiting(slot.epoch))
    }

    /// Whether an open lane leaves with another one that is ready too.
    fn is_carried(&self, slot: LaneSlot) -> bool {
        let lane = &self.lanes[slot.lane];
        self.lanes.get(lane.carrier.lane).is_some_and(|carrier| {
            carrier.state == State::Ready(lane.carrier.epoch)
                && carrier.beside == slot
                && carrier.path == lane.path
        })
    }

    /// Moves what is to leave with a lane to its end.
    fn take_beside(&mut self, index: usize) {
        let Some(lane) = self.lanes.get(index) else {
            return;
        };
        let (other, path) = (lane.beside, lane.path);
        if other.lane == index || !self.is_open(other) || self.lanes[other.lane].path != path {
            return;
        }
        let theirs = &mut self.lanes[other.lane];
        let mut buffer = std::mem::take(&mut theirs.buffer);
        let mut sizes = std::mem::take(&mut theirs.sizes);
        let lane = &mut self.lanes[index];
        lane.buffer.append(&mut buffer);
        lane.sizes.append(&mut sizes);
        let theirs = &mut self.lanes[other.lane];
        (theirs.buffer, theirs.sizes) = (buffer, sizes);
        self.close(other.lane);
    }

    fn close(&mut self, index: usize) {
        let Some(lane) = self.lanes.get_mut(index) else {
            return;
        };
        self.bytes -= lane.buffer.len();
        lane.state = State::Closed;
        (lane.beside, lane.carrier) = Default::default();
        lane.sizes.clear();
        lane.buffer.clear();
        if self.closed.len() >= MAX_SPARE || lane.buffer.capacity() > MAX_SPARE_BYTES {
            lane.empty();
            self.hollow.push(index);
        } else {
            self.closed.push(index);
        }
    }

    fn open(&mut self, path: Path) -> LaneSlot {
        self.epoch += 1;
        let state = State::Waiting(self.epoch);
        let index = match self.closed.pop().or_else(|| self.hollow.pop()) {
            Some(index) => {
                let lane = &mut self.lanes[index];
                (lane.path, lane.state) = (path, state);
                index
            }
            None => {
                self.lanes.push(Lane {
                    path,
                    state,
                    beside: LaneSlot::default(),
                    carrier: LaneSlot::default(),
                    buffer: Vec::new(),
                    sizes: Sizes::new(),
                });
                self.lanes.len() - 1
            }
        };
        LaneSlot {
            lane: index,
            epoch: self.epoch,
        }
    }
}

/// A lane whose time has come. It is closed when this is dropped.
#[derive(Debug)]
pub struct DueLane<'a> {
    batch: &'a mut Batch,
    index: usize,
}

impl std::ops::Deref for DueLane<'_> {
    type Target = Lane;

    fn deref(&self) -> &Lane {
        &self.batch.lanes[self.index]
    }
}

impl Drop for DueLane<'_> {
    fn drop(&mut self) {
        self.batch.close(self.index);
    }
}

impl State {
    fn is_open_as(self, other: u64) -> bool {
        match self {
            Self::Closed => false,
            Self::Waiting(epoch) | Self::Ready(epoch) => epoch == other,
        }
    }
}

impl Lane {
    /// Where the datagrams go.
    pub fn path(&self) -> Path {
        self.path
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

    /// Keeps no memory.
    fn empty(&mut self) {
        self.buffer = Vec::new();
        self.sizes = Sizes::new();
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
    use crate::transport::Protocol;

    fn path(port: u16) -> Path {
        Path {
            protocol: Protocol::Udp,
            remote: ([127, 0, 0, 1], port).into(),
            local: None,
        }
    }

    #[test]
    fn memory_that_a_burst_needed_is_given_back_and_that_of_each_tick_is_kept() {
        let mut batch = Batch::new();
        let mut tick = |lanes: u16| {
            for port in 0..lanes {
                batch.push(path(port), &[7; 1_000]);
            }
            batch.clear();
            let held = |batch: &Batch| {
                batch
                    .lanes
                    .iter()
                    .filter(|lane| lane.buffer.capacity() > 0)
                    .count()
            };
            let before = held(&batch);
            let more = batch.give_back();
            (before, held(&batch), more)
        };
        assert_eq!(tick(50), (50, 50, true));
        assert_eq!(tick(3), (50, 3, true));
        assert_eq!(tick(3), (3, 3, true));
        assert_eq!(tick(5), (5, 5, true), "of lanes that had none");
        assert_eq!(tick(0), (5, 0, false));
        assert_eq!(tick(0), (0, 0, false));
        assert!(batch.lanes.is_empty());
        // Slots of before lead nowhere.
        let mut slot = LaneSlot { lane: 2, epoch: 3 };
        let write = |out: &mut Vec<u8>| {
            out.push(1);
            true
        };
        assert_eq!(batch.write(&mut slot, path(9), false, write), 1);
        assert_eq!(slot.lane, 0);
    }

    fn lane_of(sizes: &[usize]) -> Lane {
        let mut lane = Lane {
            path: path(1),
            state: State::Ready(1),
            beside: LaneSlot::default(),
            carrier: LaneSlot::default(),
            buffer: Vec::new(),
            sizes: Sizes::new(),
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
    fn what_a_bug_leaves_behind_is_not_sent() {
        let mut batch = Batch::new();
        let mut slot = LaneSlot::default();
        let mut write = |batch: &mut Batch, byte: u8, fails: bool| {
            batch.write(&mut slot, path(1), false, |out| {
                out.extend([byte; 9]);
                assert!(!fails, "a bug");
                true
            })
        };
        write(&mut batch, 1, false);
        let bug = std::panic::AssertUnwindSafe(|| write(&mut batch, 2, true));
        assert!(std::panic::catch_unwind(bug).is_err());
        batch.mend();
        write(&mut batch, 3, false);
        let lane = batch.next_due(None).unwrap();
        assert!(lane.datagrams().eq([[1; 9], [3; 9]]));
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
    fn a_slot_keeps_its_lane_while_that_is_open_and_its_path_is_the_same() {
        let mut batch = Batch::new();
        let mut slot = LaneSlot::default();
        for port in [1, 1, 2] {
            batch.write(&mut slot, path(port), false, one);
        }
        assert_eq!(batch.lanes().count(), 2);
        assert_eq!(batch.next_due(None).unwrap().path(), path(1));
        batch.write(&mut slot, path(2), false, one);
        let counts: Vec<_> = batch.lanes().map(|lane| lane.datagrams().count()).collect();
        assert_eq!(counts, [2]);
        batch.clear();
        assert_eq!(batch.bytes, 0);
        batch.write(&mut slot, path(2), false, one);
        assert_eq!(batch.lanes().count(), 1);
        assert_eq!(batch.bytes, 1);
        assert_eq!(batch.last_size(slot, path(2)), Some(1));
        assert_eq!(batch.last_size(slot, path(1)), None);
        batch.clear();
        assert_eq!(batch.last_size(slot, path(2)), None);
    }

    const MS: Duration = Duration::from_millis(1);

    /// Sends what is due, and says to which ports and how much.
    fn sent(batch: &mut Batch, now: Instant) -> Vec<(u16, usize)> {
        std::iter::from_fn(|| {
            let lane = batch.next_due(Some(now))?;
            Some((lane.path().remote.port(), lane.datagrams().count()))
        })
        .collect()
    }

    #[test]
    fn lanes_wait_for_more_until_their_time_or_what_may_not_wait() {
        let start = Instant::now();
        let holding = Holding {
            longest: 5 * MS,
            busy: true,
        };
        let mut batch = Batch::new();
        let [mut first, mut second, mut third] = [LaneSlot::default(); 3];
        batch.begin(start, holding);
        batch.write(&mut first, path(1), true, one);
        batch.write(&mut second, path(2), true, one);
        batch.write(&mut third, path(3), false, one);
        assert_eq!(sent(&mut batch, start), [(3, 1)]);
        assert_eq!(batch.due(), Some(start + 5 * MS));
        batch.begin(start + MS, holding);
        batch.write(&mut first, path(1), true, one);
        batch.write(&mut second, path(2), false, one);
        batch.write(&mut third, path(3), true, one);
        assert_eq!(sent(&mut batch, start + MS), [(2, 2)]);
        batch.begin(start + 2 * MS, holding);
        batch.write(&mut second, path(2), true, one);
        assert_eq!(sent(&mut batch, start + 4 * MS), []);
        assert_eq!(sent(&mut batch, start + 5 * MS), [(1, 2)]);
        assert_eq!(sent(&mut batch, start + 10 * MS), [(3, 1), (2, 1)]);
        assert_eq!((batch.due(), batch.bytes), (None, 0));
    }

    #[test]
    fn what_lies_beside_a_lane_leaves_with_it() {
        let start = Instant::now();
        let holding = Holding {
            longest: 5 * MS,
            busy: true,
        };
        let mut batch = Batch::new();
        batch.begin(start, holding);
        let [mut video, mut voice, mut elsewhere] = [LaneSlot::default(); 3];
        batch.write(&mut voice, path(1), true, one);
        batch.write(&mut elsewhere, path(2), true, one);
        batch.write(&mut video, path(1), false, one);
        batch.join(video, voice);
        assert_eq!(sent(&mut batch, start), [(1, 2)]);
        batch.write(&mut video, path(1), false, one);
        batch.join(video, elsewhere);
        assert_eq!(sent(&mut batch, start), [(1, 1)], "another path");
        batch.write(&mut voice, path(1), false, one);
        batch.write(&mut video, path(1), false, one);
        batch.join(video, voice);
        assert_eq!(batch.lanes().count(), 3);
        assert_eq!(sent(&mut batch, start), [(1, 2)], "what came first too");
        batch.write(&mut video, path(1), true, one);
        batch.write(&mut voice, path(1), false, one);
        batch.join(video, voice);
        assert_eq!(sent(&mut batch, start), [(1, 1)], "no waiting for it");
        batch.write(&mut voice, path(1), false, one);
        batch.write(&mut video, path(1), false, one);
        batch.join(video, voice);
        assert_eq!(sent(&mut batch, start), [(1, 3)]);
        batch.write(&mut voice, path(1), false, one);
        batch.write(&mut video, path(2), false, one);
        batch.join(video, voice);
        assert_eq!(sent(&mut batch, start), [(1, 1), (2, 1)], "elsewhere");
        assert_eq!(sent(&mut batch, start + 5 * MS), [(2, 1)]);
        assert_eq!((batch.due(), batch.bytes), (None, 0));
    }

    #[test]
    fn too_much_does_not_wait_and_without_a_time_nothing_does() {
        let now = Instant::now();
        let mut batch = Batch::new();
        let mut slot = LaneSlot::default();
        batch.write(&mut slot, path(1), true, one);
        assert_eq!(sent(&mut batch, now), [(1, 1)]);
        assert!(!batch.holds(1_000));
        let longest = 5 * MS;
        batch.begin(
            now,
            Holding {
                longest,
                busy: false,
            },
        );
        assert!(batch.holds(1_000) && !batch.holds(2));
        let much = |out: &mut Vec<u8>| {
            out.resize(out.len() + 1_000, 0);
            true
        };
        for port in 0..2_000 {
            batch.write(&mut LaneSlot::default(), path(port), true, much);
        }
        let left = sent(&mut batch, now).len();
        assert!(left > 900 && batch.bytes < MAX_WAITING_BYTES, "{left}");
    }
}
