//! Reading transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).

/// Base sequence number, status count, reference time, feedback count.
const HEADER_LEN: usize = 8;
/// More than this says nothing about what is kept, and would only cost time.
const MAX_STATUSES: u16 = 8192;
/// A delta's unit.
const TICK_MICROS: i64 = 250;
/// The reference time's unit.
const REFERENCE_MICROS: i64 = 64_000;

/// No clock gets here; a receiver that makes up times begins anew.
const MAX_REFERENCE: i64 = 1 << 40;

const SMALL_DELTA: u16 = 1;
const LARGE_DELTA: u16 = 2;

/// One feedback: its packets are what it iterates, as number and, if it was received, arrival in microseconds.
/// Ends early where the bytes do not hold what they announce.
#[derive(Clone, Debug)]
pub(super) struct Feedback<'a> {
    chunks: &'a [u8],
    deltas: &'a [u8],
    next: u16,
    left: u16,
    /// The rest of the present chunk.
    chunk: Chunk,
    arrival: i64,
}

/// The reference times of one receiver, which wrap after 12 days.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReferenceClock {
    latest: Option<i64>,
}

impl ReferenceClock {
    fn unwrap(&mut self, reference: u32) -> i64 {
        let latest = self.latest.unwrap_or(i64::from(reference));
        // Shifted there and back, the difference takes the sign of its 24 bits.
        let difference = (reference.wrapping_sub(latest as u32) << 8) as i32 >> 8;
        let mut unwrapped = latest + i64::from(difference);
        if unwrapped.abs() > MAX_REFERENCE {
            unwrapped = i64::from(reference);
        }
        self.latest = Some(unwrapped);
        unwrapped
    }
}

impl<'a> Feedback<'a> {
    /// Reads the head, and finds where the deltas begin. `None` for what is no feedback.
    pub(super) fn parse(fci: &'a [u8], clock: &mut ReferenceClock) -> Option<Self> {
        let (head, body) = fci.split_first_chunk::<HEADER_LEN>()?;
        let [b0, b1, c0, c1, r0, r1, r2, _count] = *head;
        let left = u16::from_be_bytes([c0, c1]);
        if left == 0 || left > MAX_STATUSES {
            return None;
        }
        let mut deltas = body;
        let mut covered = 0;
        while covered < left {
            let (chunk, rest) = deltas.split_first_chunk::<2>()?;
            covered += Chunk::new(*chunk).left;
            deltas = rest;
        }
        let reference = clock.unwrap(u32::from_be_bytes([0, r0, r1, r2]));
        Some(Self {
            chunks: body,
            deltas,
            next: u16::from_be_bytes([b0, b1]),
            left,
            chunk: Chunk::default(),
            arrival: reference * REFERENCE_MICROS,
        })
    }
}

impl Iterator for Feedback<'_> {
    type Item = (u16, Option<i64>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        while self.chunk.left == 0 {
            let (chunk, rest) = self.chunks.split_first_chunk::<2>()?;
            self.chunk = Chunk::new(*chunk);
            self.chunks = rest;
        }
        let delta = match self.chunk.symbol() {
            0 => None,
            SMALL_DELTA => {
                let (delta, rest) = self.deltas.split_first()?;
                self.deltas = rest;
                Some(i64::from(*delta))
            }
            LARGE_DELTA => {
                let (delta, rest) = self.deltas.split_first_chunk::<2>()?;
                self.deltas = rest;
                Some(i64::from(i16::from_be_bytes(*delta)))
            }
            _ => {
                // Reserved: whether a delta belongs to it is unknown, so nothing after it can be read.
                self.left = 0;
                return None;
            }
        };
        let number = self.next;
        self.next = number.wrapping_add(1);
        let arrival = delta.map(|delta| {
            self.arrival += delta * TICK_MICROS;
            self.arrival
        });
        Some((number, arrival))
    }
}

/// A run of one symbol, or a vector of them (sections 3.1.3 and 3.1.4).
#[derive(Clone, Copy, Debug, Default)]
struct Chunk {
    left: u16,
    /// The next symbol in the highest of the 14 low bits; a run keeps it there.
    bits: u16,
    /// Bits of a symbol; a run takes none.
    taken: u16,
    width: u16,
}

impl Chunk {
    fn new(bytes: [u8; 2]) -> Self {
        let word = u16::from_be_bytes(bytes);
        match word >> 14 {
            0 | 1 => Self {
                left: word & 0x1fff,
                bits: (word >> 13) << 12,
                taken: 0,
                width: 2,
            },
            2 => Self {
                left: 14,
                bits: word & 0x3fff,
                taken: 1,
                width: 1,
            },
            _ => Self {
                left: 7,
                bits: word & 0x3fff,
                taken: 2,
                width: 2,
            },
        }
    }

    fn symbol(&mut self) -> u16 {
        let symbol = (self.bits & 0x3fff) >> (14 - self.width);
        self.bits <<= self.taken;
        self.left -= 1;
        symbol
    }
}
