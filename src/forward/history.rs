//! The last packets of one incoming stream, for retransmissions and for newcomers.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::forward::{Packet, PacketNumbers, PacketShape};

/// The first size of the byte store, which doubles when a stream needs more.
const FIRST_BYTES: usize = 8 * 1024;

/// What is too old is forgotten with every so many packets: its memory is far from that of the new ones, and in none of the
/// processor's caches.
const EXPIRE_EVERY: u64 = 16;

/// What a [`History`] may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Packets, lost ones included.
    pub packets: usize,
    /// Bytes of payloads and extensions.
    pub bytes: usize,
    /// Older packets are of no use to a receiver.
    pub age: Duration,
}

impl HistoryLimits {
    /// A second and a half of 4 Mbit/s.
    pub const VIDEO: Self = Self {
        packets: 1024,
        bytes: 1024 * 1024,
        age: Duration::from_millis(1500),
    };
    /// 640 ms and more of voice.
    pub const AUDIO: Self = Self {
        packets: 64,
        bytes: 16 * 1024,
        age: Duration::from_millis(1500),
    };
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Instant,
    shape: PacketShape,
    /// Where its bytes were put, counted from the first byte ever put.
    position: u64,
}

#[derive(Clone, Copy, Debug)]
struct Keyframe {
    first: u64,
    timestamp: u32,
}

/// A ring of packets, found by extended sequence number in constant time. The bytes of all packets share
/// one circular store, which grows with the bitrate up to its limit; new packets overwrite the oldest.
/// Before the first packet it holds no memory.
#[derive(Clone, Debug)]
pub struct History {
    limits: HistoryLimits,
    /// Packets by sequence number from `first` on, with holes where they are missing.
    entries: VecDeque<Option<Entry>>,
    first: u64,
    bytes: Vec<u8>,
    /// How many bytes were ever put, those that were left free at the end of a lap included.
    head: u64,
    /// Up to here bytes can be put without looking what they overwrite.
    free_until: u64,
    keyframe: Option<Keyframe>,
}

impl History {
    /// An empty history.
    pub fn new(limits: HistoryLimits) -> Self {
        Self {
            limits,
            entries: VecDeque::new(),
            first: 0,
            bytes: Vec::new(),
            head: 0,
            free_until: 0,
            keyframe: None,
        }
    }

    /// Keeps a copy of the packet. Returns false when it is there already, is too large, or is older
    /// than all that is kept.
    pub fn insert(&mut self, now: Instant, packet: &Packet<'_>) -> bool {
        let Some(shape) = PacketShape::of(packet) else {
            return false;
        };
        if packet.numbers.sequence.is_multiple_of(EXPIRE_EVERY) {
            self.expire(now);
        }
        let Some(index) = self.place(packet.numbers.sequence) else {
            return false;
        };
        let Some(position) = self.store(packet.extensions.block().1, packet.payload) else {
            return false;
        };
        if let Some(slot) = self.entries.get_mut(index) {
            *slot = Some(Entry {
                at: now,
                shape,
                position,
            });
        }
        if packet.keyframe_start {
            self.note_keyframe(&packet.numbers);
        }
        true
    }

    /// The packet of this number, if it is kept and young enough.
    pub fn packet(&self, now: Instant, sequence: u64) -> Option<Packet<'_>> {
        let index = usize::try_from(sequence.checked_sub(self.first)?).ok()?;
        let entry = self.entries.get(index)?.as_ref()?;
        if now.saturating_duration_since(entry.at) > self.limits.age {
            return None;
        }
        self.read(entry)
    }

    /// All packets from the start of the last keyframe, so that a newcomer can decode at once. `None`
    /// when one of them is missing, when there are more than `max_packets`, or when the keyframe is older
    /// than `max_age`.
    pub fn since_keyframe(
        &self,
        now: Instant,
        max_packets: usize,
        max_age: Duration,
    ) -> Option<impl Iterator<Item = Packet<'_>> + Clone> {
        let offset = self.keyframe?.first.checked_sub(self.first)?;
        let offset = usize::try_from(offset).ok()?;
        let first = self.entries.get(offset)?.as_ref()?;
        let age = now.saturating_duration_since(first.at);
        if age > max_age.min(self.limits.age) || self.entries.len() - offset > max_packets {
            return None;
        }
        let packets = self
            .entries
            .range(offset..)
            .map(|slot| slot.as_ref().and_then(|entry| self.read(entry)));
        packets
            .clone()
            .all(|packet| packet.is_some())
            .then(|| packets.flatten())
    }

    /// One past the highest number that was kept.
    pub fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// About how many bytes the packets from this number on have, headers left aside, and how many packets they are.
    pub fn amount_from(&self, sequence: u64) -> (u64, u64) {
        let packets = self.end().saturating_sub(sequence.max(self.first));
        let last = usize::try_from(packets).unwrap_or(usize::MAX);
        let skipped = self.entries.len().saturating_sub(last);
        let mut entries = self.entries.range(skipped..).flatten();
        // Those that came late were put behind others, which is of no weight.
        let from = entries.next().map_or(self.head, |entry| entry.position);
        (self.head - from, packets)
    }

    /// How old the start of the last keyframe is, if it is kept.
    pub fn keyframe_age(&self, now: Instant) -> Option<Duration> {
        let offset = self.keyframe?.first.checked_sub(self.first)?;
        let first = self.entries.get(usize::try_from(offset).ok()?)?.as_ref()?;
        Some(now.saturating_duration_since(first.at))
    }

    /// Forgets what is too old, and all memory once nothing is left. Called now and then for a stream
    /// that may have stopped.
    pub fn release(&mut self, now: Instant) {
        self.expire(now);
        if self.entries.is_empty() {
            *self = Self::new(self.limits);
        }
    }

    /// Bytes of memory that are held now.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Option<Entry>>()
    }

    fn expire(&mut self, now: Instant) {
        while let Some(front) = self.entries.front() {
            let young = front
                .as_ref()
                .is_some_and(|entry| now.saturating_duration_since(entry.at) <= self.limits.age);
            if young {
                break;
            }
            self.entries.pop_front();
            self.first += 1;
        }
    }

    /// Makes room for a number. `None` when it is taken, or below all others.
    fn place(&mut self, sequence: u64) -> Option<usize> {
        let end = self.first + self.entries.len() as u64;
        let gap = sequence.saturating_sub(end);
        if self.entries.is_empty() || gap >= self.limits.packets as u64 {
            self.entries.clear();
            self.first = sequence;
            self.entries.push_back(None);
            return Some(0);
        }
        let index = usize::try_from(sequence.checked_sub(self.first)?).ok()?;
        if index < self.entries.len() {
            return self.entries.get(index)?.is_none().then_some(index);
        }
        self.entries.resize(index + 1, None);
        while self.entries.len() > self.limits.packets {
            self.entries.pop_front();
            self.first += 1;
        }
        Some(self.entries.len() - 1)
    }

    /// Puts bytes into the store, growing it rather than overwriting a packet that may be asked for.
    fn store(&mut self, extensions: &[u8], payload: &[u8]) -> Option<u64> {
        let len = extensions.len() + payload.len();
        if len.max(1) > self.limits.bytes {
            return None;
        }
        let position = loop {
            let capacity = self.bytes.len();
            let position = next_position(self.head, len, capacity);
            let fits = len.max(1) <= capacity;
            if fits && (capacity >= self.limits.bytes || self.is_free(position + len as u64)) {
                break position;
            }
            self.grow(len);
        };
        let start = usize::try_from(position % self.bytes.len().max(1) as u64).ok()?;
        let (head, tail) = self
            .bytes
            .get_mut(start..start + len)?
            .split_at_mut(extensions.len());
        head.copy_from_slice(extensions);
        tail.copy_from_slice(payload);
        self.head = position + len as u64;
        Some(position)
    }

    /// Whether bytes can be put up to `end` without overwriting a packet.
    fn is_free(&mut self, end: u64) -> bool {
        if end <= self.free_until {
            return true;
        }
        let oldest = self.entries.iter().flatten().next();
        let capacity = self.bytes.len() as u64;
        match oldest.filter(|entry| entry.position + capacity >= self.head) {
            Some(oldest) => {
                self.free_until = oldest.position + capacity;
                end <= self.free_until
            }
            // None is left, or it was overwritten before.
            None => true,
        }
    }

    /// Doubles the store and moves all packets to its beginning.
    fn grow(&mut self, least: usize) {
        let capacity = (self.bytes.len() * 2)
            .max(FIRST_BYTES)
            .max(least)
            .min(self.limits.bytes);
        let mut bytes = Vec::with_capacity(capacity);
        let old = std::mem::take(&mut self.bytes);
        for slot in &mut self.entries {
            let Some(entry) = slot else { continue };
            let Some(kept) = slice_of(&old, self.head, entry) else {
                *slot = None;
                continue;
            };
            entry.position = bytes.len() as u64;
            bytes.extend_from_slice(kept);
        }
        self.head = bytes.len() as u64;
        self.free_until = 0;
        bytes.resize(capacity, 0);
        self.bytes = bytes;
    }

    fn read(&self, entry: &Entry) -> Option<Packet<'_>> {
        entry.shape.with(slice_of(&self.bytes, self.head, entry)?)
    }

    fn note_keyframe(&mut self, numbers: &PacketNumbers) {
        let first = match self.keyframe {
            // Parameter sets and the picture after them are starts of one frame.
            Some(known) if known.timestamp == numbers.timestamp => {
                known.first.min(numbers.sequence)
            }
            // A late packet of a keyframe before the last.
            Some(known) if known.first > numbers.sequence && known.first >= self.first => return,
            _ => numbers.sequence,
        };
        self.keyframe = Some(Keyframe {
            first,
            timestamp: numbers.timestamp,
        });
    }
}

/// Where the next `len` bytes go: a packet is never split over the end of the store.
fn next_position(head: u64, len: usize, capacity: usize) -> u64 {
    let at = head.checked_rem(capacity as u64).unwrap_or(0);
    if at + len as u64 > capacity as u64 {
        head + (capacity as u64 - at)
    } else {
        head
    }
}

/// The bytes of an entry, unless newer ones were put over them.
fn slice_of<'a>(bytes: &'a [u8], head: u64, entry: &Entry) -> Option<&'a [u8]> {
    let capacity = bytes.len() as u64;
    if entry.position + capacity < head {
        return None;
    }
    let start = usize::try_from(entry.position.checked_rem(capacity)?).ok()?;
    bytes.get(start..start + entry.shape.len())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::rtp::payload::{FrameTag, PictureIds};
    use crate::rtp::{Element, Elements, ExtensionBuffer};

    const LIMITS: HistoryLimits = HistoryLimits {
        packets: 32,
        bytes: 64 * 1024,
        age: Duration::from_secs(1),
    };

    fn packet(sequence: u64, payload: &[u8]) -> Packet<'_> {
        Packet {
            numbers: PacketNumbers {
                sequence,
                timestamp: sequence as u32 / 4,
                picture_ids: PictureIds::default(),
                frame_number: None,
            },
            marker: sequence % 4 == 3,
            payload_type: 96,
            keyframe_start: false,
            tag: FrameTag::default(),
            extensions: Elements::default(),
            payload,
            padding: 0,
        }
    }

    fn keyframe(sequence: u64) -> Packet<'static> {
        Packet {
            keyframe_start: true,
            ..packet(sequence, b"key")
        }
    }

    fn since(history: &History, now: Instant) -> Option<Vec<u64>> {
        let packets = history.since_keyframe(now, 20, Duration::from_millis(500))?;
        Some(packets.map(|p| p.numbers.sequence).collect())
    }

    #[test]
    fn an_idle_history_holds_nothing_and_a_stopped_one_lets_go() {
        let now = Instant::now();
        let mut history = History::new(HistoryLimits::VIDEO);
        assert_eq!(history.memory(), 0);
        assert!(history.insert(now, &packet(1, b"a")));
        assert!(history.memory() > 0);
        history.release(now + Duration::from_secs(1));
        assert!(history.packet(now, 1).is_some());
        history.release(now + Duration::from_secs(2));
        assert_eq!(history.memory(), 0);
    }

    #[test]
    fn a_packet_is_given_back_whole_until_it_is_old() {
        let now = Instant::now();
        let mut buffer = ExtensionBuffer::default();
        buffer.push(20, b"level");
        let mut header = vec![];
        crate::rtp::write_header(
            &mut header,
            &crate::rtp::HeaderFields {
                marker: false,
                payload_type: 0,
                sequence: 0,
                timestamp: 0,
                ssrc: 0,
            },
            &buffer,
        );
        let view = crate::rtp::HeaderView::parse(&header).unwrap();
        let mut history = History::new(LIMITS);
        let kept = Packet {
            extensions: view.elements(),
            ..packet(7, b"payload")
        };
        assert!(history.insert(now, &kept));
        assert!(!history.insert(now, &kept), "it is there already");
        let found = history.packet(now + LIMITS.age, 7).unwrap();
        assert_eq!(found.numbers, kept.numbers);
        assert!(found.marker);
        assert_eq!(found.payload, b"payload");
        let elements: Vec<_> = found.extensions.collect();
        assert_eq!(
            elements,
            [Element {
                id: 20,
                data: b"level"
            }]
        );
        assert!(history.packet(now + LIMITS.age * 2, 7).is_none());
        assert!(history.packet(now, 8).is_none());
    }

    #[test]
    fn a_packet_beyond_every_bound_is_refused() {
        let now = Instant::now();
        let mut history = History::new(LIMITS);
        assert!(!history.insert(now, &packet(1, &[0; 65_536])));
        assert!(history.insert(now, &packet(100, b"")));
        assert!(history.packet(now, 100).is_some());
        assert!(!history.insert(now, &packet(99, b"")), "below all others");
        // A jump starts anew.
        assert!(history.insert(now, &packet(1_000_000, b"")));
        assert!(history.packet(now, 100).is_none());
        let nothing = HistoryLimits { bytes: 0, ..LIMITS };
        assert!(!History::new(nothing).insert(now, &packet(1, b"")));
    }

    #[test]
    fn a_newcomer_gets_all_since_the_last_keyframe() {
        let now = Instant::now();
        let mut history = History::new(LIMITS);
        assert_eq!(since(&history, now), None);
        history.insert(now, &keyframe(4));
        history.insert(now, &packet(5, b"x"));
        // The next keyframe has two starts, which come in the wrong order, and then an older one comes late.
        history.insert(now, &keyframe(9));
        assert_eq!(since(&history, now), Some(vec![9]));
        history.insert(now, &keyframe(8));
        history.insert(now, &keyframe(7));
        assert_eq!(since(&history, now), Some(vec![8, 9]));
        history.insert(now, &packet(11, b"x"));
        assert_eq!(since(&history, now), None, "10 is missing");
        history.insert(now, &packet(10, b"x"));
        assert_eq!(since(&history, now), Some(vec![8, 9, 10, 11]));
        assert_eq!(history.amount_from(9).1, history.end() - 9);
        assert_eq!(history.amount_from(11), (2, 1), "10 came after it");
        assert_eq!(history.amount_from(12), (0, 0));
        assert_eq!(history.amount_from(0).0, 15);
        assert_eq!(since(&history, now + Duration::from_millis(501)), None);
        for n in 12..28 {
            history.insert(now, &packet(n, b"x"));
        }
        assert_eq!(since(&history, now).map(|p| p.len()), Some(20));
        history.insert(now, &packet(28, b"x"));
        assert_eq!(since(&history, now), None, "too many");
    }

    #[test]
    fn the_store_grows_with_the_bitrate_and_then_stays() {
        let start = Instant::now();
        let memory_at = |interval: Duration| {
            let mut history = History::new(HistoryLimits::VIDEO);
            let mut memory = vec![];
            for n in 0..8000 {
                let now = start + interval * n;
                history.insert(now, &packet(n.into(), &[7; 1100]));
                let oldest = now - HistoryLimits::VIDEO.age;
                if oldest >= start && n % 500 == 0 {
                    let first = (oldest - start).as_nanos().div_ceil(interval.as_nanos());
                    assert!(history.packet(now, first as u64).is_some(), "{n}");
                }
                memory.push(history.memory());
            }
            assert_eq!(memory[4000], memory[7999]);
            memory[7999]
        };
        // 220 kbit/s, and 2.9 Mbit/s.
        assert!(memory_at(Duration::from_millis(40)) <= 64 * 1024 + 128 * 128);
        assert!(memory_at(Duration::from_millis(3)) >= 512 * 1024);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_found_is_what_was_put(
            ops in proptest::collection::vec((-8i64..8, 0usize..9000, 0u64..60), 1..200),
        ) {
            let mut now = Instant::now();
            let mut history = History::new(LIMITS);
            let mut model: BTreeMap<u64, (Instant, Vec<u8>)> = BTreeMap::new();
            let mut highest = 1000u64;
            for (step, len, wait) in ops {
                now += Duration::from_millis(wait);
                let sequence = highest.saturating_add_signed(step);
                let payload = vec![(sequence ^ len as u64) as u8; len];
                if history.insert(now, &packet(sequence, &payload)) {
                    model.insert(sequence, (now, payload.clone()));
                    let found = history.packet(now, sequence);
                    prop_assert_eq!(found.map(|p| p.payload.to_vec()), Some(payload));
                }
                highest = highest.max(sequence);
                for (sequence, (at, payload)) in &model {
                    if let Some(found) = history.packet(now, *sequence) {
                        prop_assert!(now - *at <= LIMITS.age);
                        prop_assert_eq!(found.payload, &payload[..]);
                        prop_assert_eq!(found.numbers.sequence, *sequence);
                    }
                }
                prop_assert!(history.bytes.len() <= LIMITS.bytes);
                prop_assert!(history.entries.len() <= LIMITS.packets);
            }
        }

        #[test]
        fn small_packets_within_the_limits_are_never_lost(
            order in proptest::collection::vec(0u64..4, 1..200), len in 0usize..1500,
        ) {
            let now = Instant::now();
            let mut history = History::new(LIMITS);
            let mut put = vec![];
            history.insert(now, &packet(0, b"first"));
            for (index, late) in order.into_iter().enumerate() {
                // Each number once, displaced by up to three places.
                let sequence = (index as u64 + 1) * 4 + late;
                if history.insert(now, &packet(sequence, &vec![1; len])) {
                    put.push(sequence);
                }
                let kept = put.iter().rev().take(LIMITS.packets / 8);
                for sequence in kept {
                    prop_assert!(history.packet(now, *sequence).is_some());
                }
            }
        }
    }
}
