//! One way of a wire: the link, and the packets that are on it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use rand::rngs::StdRng;
use serde::Serialize;

use crate::link::Link;
use crate::settings::Settings;

/// One way of a wire.
pub(crate) struct Way {
    link: Link,
    transit: BinaryHeap<Reverse<Packet>>,
    counters: Counters,
}

/// What passed so far.
#[derive(Clone, Copy, Default, Serialize)]
pub(crate) struct Counters {
    /// Packets that came out at the far end, and their bytes.
    packets: u64,
    bytes: u64,
    /// Packets lost since the queue was full.
    overflows: u64,
    /// Packets lost by chance.
    lost: u64,
    /// Packets that the device at the far end refused.
    refused: u64,
    /// The longest that a packet came out after its time, since this was last asked.
    latest_us: u64,
    /// What a packet that is sent now would wait.
    queue_ms: f64,
}

/// A packet on its way; the one that arrives first is the smallest. The number keeps the order of what arrives at one time.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    due: Instant,
    number: u64,
    bytes: Vec<u8>,
}

impl Way {
    pub(crate) fn new() -> Self {
        let mut link = Link::default();
        // A device hands out whole IP packets.
        link.overhead = 0;
        Self {
            link,
            transit: BinaryHeap::new(),
            counters: Counters::default(),
        }
    }

    pub(crate) fn set(&mut self, settings: &Settings) -> Result<(), String> {
        settings.apply(&mut self.link)
    }

    /// A packet goes in at the near end.
    pub(crate) fn take(&mut self, now: Instant, number: u64, rng: &mut StdRng, packet: &[u8]) {
        let overflows = self.link.overflows;
        let arrivals = self.link.send(now, rng, packet);
        if self.link.overflows == overflows && arrivals == [None, None] {
            self.counters.lost += 1;
        }
        for due in arrivals.into_iter().flatten() {
            let bytes = packet.to_vec();
            self.transit.push(Reverse(Packet { due, number, bytes }));
        }
    }

    /// When the next packet comes out.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.transit.peek().map(|Reverse(packet)| packet.due)
    }

    /// Hands over what has come out by now.
    pub(crate) fn deliver(&mut self, now: Instant, mut send: impl FnMut(&[u8]) -> bool) {
        while self.due().is_some_and(|due| due <= now) {
            let Some(Reverse(packet)) = self.transit.pop() else {
                return;
            };
            let late = now.duration_since(packet.due).as_micros() as u64;
            self.counters.latest_us = self.counters.latest_us.max(late);
            if send(&packet.bytes) {
                self.counters.packets += 1;
                self.counters.bytes += packet.bytes.len() as u64;
            } else {
                self.counters.refused += 1;
            }
        }
    }

    pub(crate) fn counters(&mut self, now: Instant) -> Counters {
        self.counters.overflows = self.link.overflows;
        self.counters.queue_ms = self.link.queued(now).as_secs_f64() * 1000.0;
        let counters = self.counters;
        self.counters.latest_us = 0;
        counters
    }
}
