//! The numbers of one subscription: its own sequence, timestamps and picture ids, without a break when
//! the source changes, and the way back for retransmissions.

use std::collections::VecDeque;
use std::time::Instant;

use crate::forward::PacketNumbers;
use crate::forward::gap::Gap;
use crate::rtp::sequence::extend;

/// How many stretches of unbroken numbers are remembered for late packets and retransmissions. A source
/// that is forwarded whole needs one.
const MAX_RUNS: usize = 128;
/// How many frames of a replay get timestamps of their own.
const MAX_REPLAYED: u32 = 64;

/// A source that a subscription takes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The caller's name for it, told back by [`Rewriter::origin_of`].
    pub generation: u32,
    /// Timestamp ticks a second.
    pub clock_rate: u32,
}

/// The numbers that a packet has for the subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The extended sequence number, which is the packet's SRTP index.
    pub sequence: u64,
    /// In ticks of the source's clock rate.
    pub timestamp: u32,
    /// 15 bits, for [`PictureIds::write`](crate::rtp::payload::PictureIds::write).
    pub picture_id: u16,
    /// For the same.
    pub tl0_pic_idx: u8,
    /// What the dependency descriptor says, where there is one.
    pub frame_number: Option<u16>,
}

/// Where a packet of the subscription came from, and how it was rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The source's generation.
    pub generation: u32,
    /// The source's extended sequence number.
    pub sequence: u64,
    outgoing: u64,
    offsets: Offsets,
    /// The pictures that were left out before and after its run.
    gaps: [Option<Gap>; 2],
}

impl Origin {
    /// Whether its picture was left out as a whole, so that its picture id is another picture's now. `numbers` are those of
    /// the source's packet.
    pub fn is_left_out(&self, numbers: &PacketNumbers) -> bool {
        let holds = |gap: &Gap| gap.holds(self.generation, numbers);
        self.gaps.iter().flatten().any(holds)
    }

    /// The numbers the packet had when it was sent first. `numbers` are those of the source's packet.
    pub fn rewrite(&self, numbers: &PacketNumbers) -> Rewritten {
        self.offsets.apply(self.outgoing, numbers)
    }
}

/// What is added to the source's numbers, each wrapping at its width.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Offsets {
    timestamp: u32,
    picture_id: u16,
    tl0_pic_idx: u8,
    frame_number: u16,
}

impl Offsets {
    fn apply(&self, sequence: u64, numbers: &PacketNumbers) -> Rewritten {
        let ids = &numbers.picture_ids;
        let picture_id = ids.picture_id.map_or(0, |id| id.value);
        let tl0_pic_idx = ids.tl0_pic_idx.map_or(0, |index| index.value);
        Rewritten {
            sequence,
            timestamp: numbers.timestamp.wrapping_add(self.timestamp),
            picture_id: picture_id.wrapping_add(self.picture_id) & 0x7fff,
            tl0_pic_idx: tl0_pic_idx.wrapping_add(self.tl0_pic_idx),
            frame_number: numbers
                .frame_number
                .map(|number| number.wrapping_add(self.frame_number)),
        }
    }
}

/// The widest gap that is passed on as one. A receiver takes a number for the nearest one, up to 2^15 off, and sees none
/// of the packets that the network loses on its way (RFC 3711 section 3.3.1).
const WIDEST_GAP: u64 = 1 << 14;

/// Consecutive numbers of one source that became consecutive numbers of the subscription. A run ends
/// where the next one begins, counted in outgoing numbers.
#[derive(Clone, Copy, Debug)]
struct Run {
    generation: u32,
    source: u64,
    outgoing: u64,
    offsets: Offsets,
    /// The pictures that were left out as a whole right before it.
    gap: Option<Gap>,
}

/// The newest packet that was sent.
#[derive(Clone, Copy, Debug)]
struct Newest {
    /// When the first packet of its timestamp was sent.
    at: Instant,
    timestamp: u32,
    picture_id: u16,
    tl0_pic_idx: u8,
    frame_number: u16,
}

/// Gives the packets of changing sources the numbers of one stream.
///
/// A packet that is lost on its way here keeps its number free, so that the subscriber sees the loss; one
/// that is left out on purpose must be told with [`skip`](Self::skip), and leaves no hole unless a later
/// packet was sent before it.
#[derive(Clone, Debug)]
pub struct Rewriter {
    /// The present run, in place: it is all that a packet needs as long as nothing is left out.
    run: Option<Run>,
    /// Those before it.
    earlier: VecDeque<Run>,
    source: Source,
    /// The first number of the current source; what is older belongs to the time before the switch.
    start: u64,
    /// The subscription's number at which the current source begins.
    start_outgoing: u64,
    /// One past the highest number of the current source that was mapped or skipped.
    next: u64,
    /// The highest number of the subscription that a packet was given.
    sent: u64,
    first_sequence: u16,
    first_timestamp: u32,
    newest: Option<Newest>,
    /// The picture that was left out last.
    left_out: Option<u16>,
    /// Frames of the current source that were given other times than those of their capture.
    replayed: u32,
}

impl Rewriter {
    /// A subscription that has sent nothing. The first numbers should be random; the sequence number is
    /// taken modulo 2^15, so that its first wrap is far (RFC 3711 section 3.3.1).
    pub fn new(first_sequence: u16, first_timestamp: u32) -> Self {
        Self {
            run: None,
            earlier: VecDeque::new(),
            source: Source {
                generation: 0,
                clock_rate: 90_000,
            },
            start: u64::MAX,
            start_outgoing: 0,
            next: 0,
            sent: u64::from(first_sequence & 0x7fff),
            first_sequence: first_sequence & 0x7fff,
            first_timestamp,
            newest: None,
            left_out: None,
            replayed: 0,
        }
    }

    /// Takes up a source, or the same again after a pause, at `first`, which is to be mapped next. Its
    /// timestamp follows the last one by the time that passed, its picture id by one.
    pub fn switch_source(&mut self, now: Instant, source: Source, first: &PacketNumbers) {
        let outgoing = self.next_sequence();
        let offsets = self.offsets_at(now, source, first);
        self.source = source;
        self.left_out = None;
        self.replayed = 0;
        self.start = first.sequence;
        self.start_outgoing = outgoing;
        self.next = first.sequence;
        self.begin_run(Run {
            generation: source.generation,
            source: first.sequence,
            outgoing,
            offsets,
            // One that carried nothing goes up in this.
            gap: self
                .run
                .filter(|run| run.outgoing == outgoing)
                .and_then(|run| run.gap),
        });
    }

    /// As [`map`](Self::map), for a packet that was kept: frames that are sent sooner after one another than they were
    /// captured get timestamps that are as near. With those of the past the receiver would take what it gets in a burst
    /// for frames ahead of their time, and delay all that follow.
    pub fn map_replayed(&mut self, now: Instant, numbers: &PacketNumbers) -> Option<Rewritten> {
        // What is missing before it, and may still come, has its offsets.
        let follows = numbers.sequence == self.next && self.replayed < MAX_REPLAYED;
        if let (true, Some(mut run), Some(newest)) = (follows, self.run, self.newest) {
            let timestamp = numbers.timestamp.wrapping_add(run.offsets.timestamp);
            let captured = timestamp.wrapping_sub(newest.timestamp);
            let sent = ticks(now, newest.at, self.source.clock_rate);
            if sent < captured && captured < 1 << 31 {
                run.outgoing += numbers.sequence - run.source;
                run.source = numbers.sequence;
                run.offsets.timestamp = run.offsets.timestamp.wrapping_sub(captured - sent);
                self.begin_run(run);
                self.replayed += 1;
            }
        }
        self.map(now, numbers)
    }

    /// Whether no later packet of the current source was mapped or left out.
    pub fn is_new(&self, numbers: &PacketNumbers) -> bool {
        numbers.sequence >= self.next
    }

    /// The subscription's numbers of a packet of the current source. `None` for a packet that is older
    /// than the switch, that was skipped, or that is too late to know. The same packet always gets the
    /// same numbers: duplicates are for the caller to drop.
    pub fn map(&mut self, now: Instant, numbers: &PacketNumbers) -> Option<Rewritten> {
        if numbers.sequence < self.start {
            return None;
        }
        if numbers.sequence < self.next {
            return self.map_late(numbers);
        }
        self.close_wide_gap(numbers.sequence);
        let run = self.run.as_ref()?;
        let sequence = run.outgoing + (numbers.sequence - run.source);
        let rewritten = run.offsets.apply(sequence, numbers);
        self.next = numbers.sequence + 1;
        self.sent = sequence;
        self.remember(now, numbers, &rewritten);
        Some(rewritten)
    }

    /// Leaves out a packet of the current source. Without effect when it is older than a packet that
    /// was mapped: its number stays free, and the subscriber may ask for it.
    ///
    /// With `closes_gap` its picture is left out as a whole, and its picture id goes to the next one: a decoder of VP8
    /// waits for pictures that it thinks were lost.
    pub fn skip(&mut self, numbers: &PacketNumbers, closes_gap: bool) {
        let sequence = numbers.sequence;
        if sequence < self.next || sequence < self.start {
            return;
        }
        self.close_wide_gap(sequence);
        let Some(mut run) = self.run else {
            return;
        };
        let picture = numbers.picture_ids.picture_id.map(|id| id.value);
        // One that carried nothing, nor kept a number for what is missing, goes up in the next.
        if sequence > run.source {
            run.gap = None;
        }
        if let (true, Some(id)) = (closes_gap, picture)
            && self.left_out != picture
        {
            self.left_out = picture;
            run.offsets.picture_id = run.offsets.picture_id.wrapping_sub(1);
            run.gap = Some(Gap::with(run.gap, run.generation, id));
        }
        self.reserve(numbers, &run.offsets);
        // Packets between are missing: they may still come, or be asked for.
        self.next = sequence + 1;
        self.begin_run(Run {
            source: sequence + 1,
            outgoing: run.outgoing + (sequence - run.source),
            ..run
        });
    }

    /// Leaves out all packets of the current source that come before `first`, which is to be mapped next, and were not
    /// mapped or skipped yet: while they came, nothing of the source was sent.
    pub fn skip_to(&mut self, first: u64) {
        if first <= self.next || first < self.start {
            return;
        }
        let Some(run) = self.run else {
            return;
        };
        let outgoing = self.next_sequence();
        self.next = first;
        self.begin_run(Run {
            source: first,
            outgoing,
            ..run
        });
    }

    /// Does not pass on what is missing before a new packet, where that would be a gap that a receiver takes for a step back.
    fn close_wide_gap(&mut self, sequence: u64) {
        let Some(run) = &self.run else { return };
        let outgoing = run.outgoing + (sequence - run.source);
        if outgoing.saturating_sub(self.sent) > WIDEST_GAP {
            self.skip_to(sequence);
        }
    }

    /// Which packet a number of the subscription stands for. `None` when it was not given yet, or is
    /// forgotten.
    pub fn origin_of(&self, sequence: u16) -> Option<Origin> {
        let next = self.next_sequence();
        let outgoing = extend(next.checked_sub(1)?, sequence);
        if outgoing >= next {
            return None;
        }
        let (run, after) = match &self.run {
            Some(run) if run.outgoing <= outgoing => (run, None),
            present => {
                let index = self.earlier.partition_point(|run| run.outgoing <= outgoing);
                let run = self.earlier.get(index.checked_sub(1)?)?;
                (run, self.earlier.get(index).or(present.as_ref()))
            }
        };
        Some(Origin {
            generation: run.generation,
            sequence: run.source + (outgoing - run.outgoing),
            outgoing,
            offsets: run.offsets,
            gaps: [run.gap, after.and_then(|after| after.gap)],
        })
    }

    /// The subscription's timestamp for a timestamp of the current source, as a sender report needs it.
    pub fn map_timestamp(&self, timestamp: u32) -> Option<u32> {
        let run = self.run.as_ref()?;
        Some(timestamp.wrapping_add(run.offsets.timestamp))
    }

    /// The timestamp that was sent last; before the first, the one that it will have.
    pub fn newest_timestamp(&self) -> u32 {
        self.newest
            .map_or(self.first_timestamp, |newest| newest.timestamp)
    }

    /// The source that was taken up last.
    pub fn source(&self) -> Option<Source> {
        self.run.is_some().then_some(self.source)
    }

    /// The number that the next packet gets if none is missing.
    pub fn next_sequence(&self) -> u64 {
        match &self.run {
            Some(run) => run.outgoing + (self.next - run.source),
            None => u64::from(self.first_sequence),
        }
    }

    /// Keeps the counters of pictures that are missing before one that was left out: the next source goes on behind them.
    fn reserve(&mut self, numbers: &PacketNumbers, offsets: &Offsets) {
        let Some(newest) = &mut self.newest else {
            return;
        };
        let ids = &numbers.picture_ids;
        if let Some(id) = ids.picture_id {
            let reserved = id.value.wrapping_add(offsets.picture_id) & 0x7fff;
            if reserved.wrapping_sub(newest.picture_id) & 0x7fff < 0x4000 {
                newest.picture_id = reserved;
            }
        }
        if let Some(index) = ids.tl0_pic_idx {
            let reserved = index.value.wrapping_add(offsets.tl0_pic_idx);
            if reserved.wrapping_sub(newest.tl0_pic_idx) < 0x80 {
                newest.tl0_pic_idx = reserved;
            }
        }
    }

    fn map_late(&self, numbers: &PacketNumbers) -> Option<Rewritten> {
        let generation = self.source.generation;
        let holds = |gap: Option<Gap>| gap.is_some_and(|gap| gap.holds(generation, numbers));
        let mut end = self.next_sequence();
        let mut gap_after = None;
        for run in self.run.iter().chain(self.earlier.iter().rev()) {
            if run.outgoing < self.start_outgoing {
                break;
            }
            if numbers.sequence >= run.source {
                let sequence = run.outgoing + (numbers.sequence - run.source);
                // Past the end of its run it was skipped. One of a picture that was left out has its id no more.
                let is_left_out = sequence >= end || holds(run.gap) || holds(gap_after);
                return (!is_left_out).then(|| run.offsets.apply(sequence, numbers));
            }
            end = run.outgoing;
            gap_after = run.gap;
        }
        None
    }

    fn begin_run(&mut self, run: Run) {
        // An empty run never carried a packet.
        let last = self.run.filter(|last| last.outgoing != run.outgoing);
        if let Some(last) = last {
            if self.earlier.len() + 1 >= MAX_RUNS {
                self.earlier.pop_front();
            }
            self.earlier.push_back(last);
        }
        self.run = Some(run);
    }

    fn remember(&mut self, now: Instant, numbers: &PacketNumbers, rewritten: &Rewritten) {
        let before = self.newest;
        let has = &numbers.picture_ids;
        self.newest = Some(Newest {
            at: before
                .filter(|before| before.timestamp == rewritten.timestamp)
                .map_or(now, |before| before.at),
            timestamp: rewritten.timestamp,
            picture_id: match (has.picture_id, before) {
                (None, Some(before)) => before.picture_id,
                _ => rewritten.picture_id,
            },
            tl0_pic_idx: match (has.tl0_pic_idx, before) {
                (None, Some(before)) => before.tl0_pic_idx,
                _ => rewritten.tl0_pic_idx,
            },
            frame_number: rewritten
                .frame_number
                .or(before.map(|before| before.frame_number))
                .unwrap_or_default(),
        });
    }

    fn offsets_at(&self, now: Instant, source: Source, first: &PacketNumbers) -> Offsets {
        let Some(newest) = self.newest else {
            return Offsets {
                timestamp: self.first_timestamp.wrapping_sub(first.timestamp),
                ..Offsets::default()
            };
        };
        let timestamp = newest
            .timestamp
            .wrapping_add(ticks(now, newest.at, source.clock_rate));
        let ids = &first.picture_ids;
        Offsets {
            timestamp: timestamp.wrapping_sub(first.timestamp),
            picture_id: ids.picture_id.map_or(0, |id| {
                newest.picture_id.wrapping_add(1).wrapping_sub(id.value)
            }),
            tl0_pic_idx: ids.tl0_pic_idx.map_or(0, |index| {
                newest.tl0_pic_idx.wrapping_add(1).wrapping_sub(index.value)
            }),
            frame_number: first.frame_number.map_or(0, |number| {
                newest.frame_number.wrapping_add(1).wrapping_sub(number)
            }),
        }
    }
}

/// The time from `then` to `now` in ticks, at least one, modulo 2^32.
fn ticks(now: Instant, then: Instant, clock_rate: u32) -> u32 {
    let elapsed = now.saturating_duration_since(then);
    let ticks = elapsed.as_micros() * u128::from(clock_rate) / 1_000_000;
    (ticks as u32).max(1)
}

#[cfg(test)]
mod tests;
