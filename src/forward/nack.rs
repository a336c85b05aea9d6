//! Which packets of one incoming stream to ask for again.

use std::time::{Duration, Instant};

/// With more missing than this a keyframe is the shorter way.
const MAX_MISSING: usize = 256;
/// A gap from this size on is no loss that can be repaired.
const MAX_GAP: u64 = 1000;
/// How long a packet may be overtaken before it is asked for.
const REORDER_TIME: Duration = Duration::from_millis(10);
/// By how many packets.
const REORDER_PACKETS: u64 = 2;
/// The shortest time between two requests for one packet.
const MIN_INTERVAL: Duration = Duration::from_millis(20);
/// How often a packet is asked for.
const MAX_TRIES: u8 = 10;
/// How long a packet is of use.
const MAX_AGE: Duration = Duration::from_secs(1);
/// Before a round trip was measured.
const FIRST_RTT: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug)]
struct Missing {
    sequence: u64,
    since: Instant,
    sent: Option<Instant>,
    tries: u8,
}

/// Finds gaps in the extended sequence numbers of a stream, and says when to ask for what.
#[derive(Clone, Debug)]
pub struct NackGenerator {
    highest: Option<u64>,
    /// In ascending order.
    missing: Vec<Missing>,
    rtt: Duration,
    needs_keyframe: bool,
}

impl Default for NackGenerator {
    fn default() -> Self {
        Self {
            highest: None,
            missing: Vec::new(),
            rtt: FIRST_RTT,
            needs_keyframe: false,
        }
    }
}

impl NackGenerator {
    /// A packet came, by itself or as a retransmission.
    pub fn receive(&mut self, now: Instant, sequence: u64) {
        let Some(highest) = self.highest else {
            self.highest = Some(sequence);
            return;
        };
        if sequence <= highest {
            if let Ok(index) = self.find(sequence) {
                self.missing.remove(index);
            }
            return;
        }
        self.highest = Some(sequence);
        let gap = sequence - highest - 1;
        if gap == 0 {
            return;
        }
        if gap >= MAX_GAP || self.missing.len() as u64 + gap > MAX_MISSING as u64 {
            self.missing.clear();
            self.needs_keyframe = true;
            return;
        }
        self.missing
            .extend((highest + 1..sequence).map(|sequence| Missing {
                sequence,
                since: now,
                sent: None,
                tries: 0,
            }));
    }

    /// A keyframe starts at this packet: nothing before it is of use.
    pub fn keyframe(&mut self, sequence: u64) {
        let older = self.missing.partition_point(|m| m.sequence < sequence);
        self.missing.drain(..older);
        self.needs_keyframe = false;
    }

    /// The measured round trip, which paces repetitions.
    pub fn set_rtt(&mut self, rtt: Duration) {
        self.rtt = rtt;
    }

    /// Appends the packets to ask for now, in ascending order; they are taken for asked.
    pub fn poll(&mut self, now: Instant, out: &mut Vec<u16>) {
        let Some(highest) = self.highest else { return };
        let interval = self.interval();
        let before = self.missing.len();
        self.missing.retain(|missing| {
            // The last request gets its time before it is given up.
            let last_due = missing.sent.is_none_or(|sent| now >= sent + interval);
            let given_up = missing.tries >= MAX_TRIES && last_due;
            !given_up && now.saturating_duration_since(missing.since) < MAX_AGE
        });
        self.needs_keyframe |= self.missing.len() < before;
        for missing in &mut self.missing {
            if missing.tries < MAX_TRIES && due(missing, highest, interval) <= now {
                missing.sent = Some(now);
                missing.tries += 1;
                out.push(missing.sequence as u16);
            }
        }
    }

    /// When [`poll`](Self::poll) has something to do next. In the past when it has now.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let highest = self.highest?;
        let interval = self.interval();
        self.missing
            .iter()
            .map(|missing| due(missing, highest, interval).min(missing.since + MAX_AGE))
            .min()
    }

    /// Whether packets were given up since the last call or keyframe, so that only a keyframe helps.
    pub fn take_needs_keyframe(&mut self) -> bool {
        std::mem::take(&mut self.needs_keyframe)
    }

    /// How many packets are missing now.
    pub fn missing(&self) -> usize {
        self.missing.len()
    }

    fn interval(&self) -> Duration {
        self.rtt.max(MIN_INTERVAL)
    }

    fn find(&self, sequence: u64) -> Result<usize, usize> {
        self.missing.binary_search_by_key(&sequence, |m| m.sequence)
    }
}

fn due(missing: &Missing, highest: u64, interval: Duration) -> Instant {
    match missing.sent {
        Some(sent) => sent + interval,
        None if highest - missing.sequence >= REORDER_PACKETS => missing.since,
        None => missing.since + REORDER_TIME,
    }
}
