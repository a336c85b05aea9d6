//! What was sent lately, by transport-wide sequence number.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

use crate::rtp::sequence::extend;

/// How many packets are kept. What is older when its feedback comes counts as unknown.
const MAX_PACKETS: usize = 4096;
/// How long a packet is kept at most, in microseconds.
const MAX_AGE: i64 = 5_000_000;
/// How much older than the newest that was reported it may be: whatever is said of it later, is said out of order.
/// Rings of many receivers share the processor's cache, so that short ones are faster.
const MAX_LATE: i64 = 1_000_000;
/// Old ones are looked for with every so many packets: their memory is far from that of the new ones.
const EXPIRE_EVERY: u64 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Unknown,
    Lost,
    Received,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    /// The low half of the microseconds.
    at: u32,
    size: u16,
    fate: Fate,
}

/// What a feedback says anew of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// Never wraps.
    pub(super) number: u64,
    /// When it was sent, in microseconds.
    pub(super) sent: i64,
    /// In bytes on the wire.
    pub(super) size: u16,
    /// It was called lost before, and is not.
    pub(super) was_lost: bool,
}

/// A ring that grows with use. All that is looked at when a packet leaves is in one line of the processor's cache: the
/// packets of many receivers leave in turn, and it is cold each time.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct SentPackets {
    /// All times are microseconds since this.
    epoch: Instant,
    packets: VecDeque<Sent>,
    /// The number of the first in the ring.
    first: u64,
    /// When the last was sent.
    latest: i64,
}

impl SentPackets {
    pub(super) fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            packets: VecDeque::new(),
            first: 0,
            latest: 0,
        }
    }

    /// When all times begin.
    pub(super) fn epoch(&self) -> Instant {
        self.epoch
    }

    /// In microseconds, and never before the epoch.
    pub(super) fn micros(&self, at: Instant) -> i64 {
        at.saturating_duration_since(self.epoch).as_micros() as i64
    }

    /// The number of the next packet.
    pub(super) fn next(&self) -> u64 {
        self.first + self.packets.len() as u64
    }

    /// The size of the last packet, in bytes; 0 where there is none.
    pub(super) fn newest_size(&self) -> usize {
        self.packets.back().map_or(0, |last| usize::from(last.size))
    }

    /// When the packet of this number was sent, or the oldest that is kept if it is not. `None` if it was not sent yet.
    pub(super) fn sent_at(&self, number: u64) -> Option<i64> {
        let index = usize::try_from(number.saturating_sub(self.first)).ok()?;
        Some(self.widen(self.packets.get(index)?.at))
    }

    /// Keeps a packet, and returns its number.
    pub(super) fn push(&mut self, at: i64, size: u16) -> u64 {
        if at - self.latest > MAX_AGE {
            // Also because the low halves of times so far apart would say nothing.
            self.first += self.packets.len() as u64;
            self.packets.clear();
        }
        self.latest = self.latest.max(at);
        let number = self.next();
        if number.is_multiple_of(EXPIRE_EVERY) || self.packets.len() >= MAX_PACKETS {
            self.expire();
        }
        self.packets.push_back(Sent {
            at: at as u32,
            size,
            fate: Fate::Unknown,
        });
        number
    }

    fn expire(&mut self) {
        while let Some(oldest) = self.packets.front() {
            let old = self.latest - self.widen(oldest.at) > MAX_AGE;
            if !old && self.packets.len() < MAX_PACKETS {
                break;
            }
            self.packets.pop_front();
            self.first += 1;
        }
    }

    /// When the last was sent.
    pub(super) fn latest(&self) -> i64 {
        self.latest
    }

    /// Takes a feedback's word on one packet. `None` if it is not kept, or nothing new was said.
    pub(super) fn report(&mut self, number: u16, received: bool) -> Option<Report> {
        let last = self.first + (self.packets.len() as u64).checked_sub(1)?;
        let number = extend(last, number);
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let packet = self.packets.get_mut(index)?;
        let was_lost = match (packet.fate, received) {
            (Fate::Unknown, _) => false,
            (Fate::Lost, true) => true,
            (Fate::Lost, false) | (Fate::Received, _) => return None,
        };
        packet.fate = if received { Fate::Received } else { Fate::Lost };
        let packet = *packet;
        Some(Report {
            number,
            sent: self.widen(packet.at),
            size: packet.size,
            was_lost,
        })
    }

    /// All that was to be said about the packets up to this one was said: forgets those that were sent long before it.
    pub(super) fn conclude(&mut self, number: u64) {
        let Some(newest) = self.sent_at(number) else {
            return;
        };
        while let Some(oldest) = self.packets.front() {
            if newest - self.widen(oldest.at) <= MAX_LATE {
                break;
            }
            self.packets.pop_front();
            self.first += 1;
        }
    }

    /// The bytes of packets in a range of which nothing was said.
    pub(super) fn unknown_bytes(&self, numbers: Range<u64>) -> u32 {
        let index =
            |number: u64| (number.saturating_sub(self.first) as usize).min(self.packets.len());
        let range = self.packets.range(index(numbers.start)..index(numbers.end));
        let unknown = range.filter(|packet| packet.fate == Fate::Unknown);
        unknown.map(|packet| u32::from(packet.size)).sum()
    }

    /// The time nearest before the latest that has these low bits.
    fn widen(&self, at: u32) -> i64 {
        // What was sent last may, by pacing, not be the latest.
        self.latest - i64::from((self.latest as u32).wrapping_sub(at) as i32)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.packets.len()
    }
}
