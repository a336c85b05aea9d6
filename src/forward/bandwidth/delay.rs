//! The queue before the bottleneck, seen in one-way delays.
//!
//! Sender and receiver share no clock: a delay means something only beside the lowest of the last seconds. A burst
//! that queues behind itself is no congestion, so only the first packet of a burst says whether a queue stood there
//! before it; and since jitter only adds, the lowest of some bursts is taken.

/// What is sent so soon after the last packet belongs to the same burst, in microseconds as all times here; up to so
/// much after its first.
const BURST_GAP: i64 = 5_000;
const MAX_BURST: i64 = 25_000;
/// The lowest delay is taken over two of these at most, each at least so long and of two bursts.
const STANDING_WINDOW: i64 = 50_000;
/// The base is the lowest over so many windows of this length: long enough to see the queue empty, short enough
/// for clocks that drift and routes that change.
const BASE_WINDOW: i64 = 1_500_000;
const BASE_WINDOWS: usize = 8;
/// A queue that is no longer tolerated, where there is no jitter.
const THRESHOLD: f64 = 10_000.0;
/// The largest packet. Delays of packets differ by what that takes to pass, and more so on a slow link.
const MAX_PACKET_BITS: f64 = 9_600.0;
const MAX_SERIALIZATION: f64 = 40_000.0;
/// By how much a step between bursts may exceed twice the usual.
const MAX_STEP: f64 = 2_000.0;
/// More allowance is not made for jitter.
const MAX_JITTER: f64 = 25_000.0;
/// A delay from this on means that the packet waited, where there is no jitter.
const BUSY: f64 = 6_000.0;
/// How long the throughput of the busy bottleneck is measured before an older half is left out.
const BUSY_SPAN: i64 = 300_000;
/// What it takes at least.
const MIN_BUSY_SPAN: i64 = 40_000;
const MIN_BUSY_PACKETS: u32 = 5;
/// A queue that grows by less than this share of the time may be none.
const MIN_GROWTH: f64 = 0.03;
/// The fast signal looks at the last so many packets.
const RECENT: usize = 5;
/// A delay that rose at once, by more than this, and then stays, is a longer way and no queue: a queue grows or shrinks
/// from packet to packet.
const JUMP: i64 = 20_000;
/// With more jitter than this nothing is told from a jump.
const CALM: f64 = 4_000.0;
/// How long it must stay, and how little it may differ meanwhile, where there is no jitter.
const STAYS: i64 = 250_000;
const SAME: f64 = 4_000.0;
/// A delay so far from the base is a receiver's clock that was set.
const MAX_DELAY: i64 = 10_000_000;

/// Follows the delays of one receiver.
#[derive(Clone, Debug)]
pub(super) struct Delay {
    base: WindowedMin,
    /// When the first and the last packet of the present burst were sent.
    burst: Option<(i64, i64)>,
    /// Delay and size of the last first packet, and what it was expected to take.
    last_first: Option<(i64, u16, i64)>,
    /// The estimated rate, in bits a second, and what the largest packet takes at it.
    rate: f64,
    serialization: f64,
    /// The mean difference between one burst and the next.
    jitter: f64,
    /// The same without what the sender's own bursts explain.
    unexplained: f64,
    current: Lowest,
    previous: Lowest,
    busy: Busy,
    model: Model,
    /// The last queue that was seen, and a rise at once that may be a longer way.
    queue: i64,
    jump: Option<Jump>,
    /// How much longer than the model says the last packets took.
    excess: [i64; RECENT],
    position: usize,
}

impl Default for Delay {
    fn default() -> Self {
        Self {
            base: WindowedMin::default(),
            burst: None,
            last_first: None,
            rate: 0.0,
            serialization: 0.0,
            jitter: 0.0,
            unexplained: 0.0,
            current: Lowest::default(),
            previous: Lowest::default(),
            busy: Busy::default(),
            model: Model::default(),
            queue: 0,
            jump: None,
            excess: [0; RECENT],
            position: 0,
        }
    }
}

impl Delay {
    /// A packet arrived; `estimate` is in bits a second. Called in the order of sending.
    pub(super) fn receive(&mut self, sent: i64, arrival: i64, size: u16, estimate: f64) {
        let delay = arrival - sent;
        if self
            .base
            .get()
            .is_some_and(|base| delay.abs_diff(base) > MAX_DELAY as u64)
        {
            *self = Self {
                jitter: self.jitter,
                unexplained: self.unexplained,
                ..Self::default()
            };
        }
        let base = self.base.add(sent, delay);
        let queue = delay - base;
        if self.rate != estimate {
            self.rate = estimate;
            self.serialization = (MAX_PACKET_BITS * 1e6 / estimate).min(MAX_SERIALIZATION);
        }
        let first = self.burst.is_none_or(|(begin, last)| {
            !(begin..begin + MAX_BURST).contains(&sent) || sent - last > BURST_GAP
        });
        let begin = self
            .burst
            .filter(|_| !first)
            .map_or(sent, |(begin, _)| begin);
        self.burst = Some((begin, sent));
        let expected = self.model.send(sent, size, estimate);
        // What a packet waits for the others of its burst is no part of the way.
        let behind = if first { 0 } else { expected };
        if self.follow_jump(sent, queue, queue - behind) {
            // The way has become longer, and what stands there now is the new base.
            self.rebase();
            self.base.add(sent, delay);
            self.burst = Some((begin, sent));
            return;
        }
        if first {
            self.first_of_burst(sent, delay, size, expected, estimate);
        }
        self.busy
            .receive(sent, arrival, size, queue as f64 > BUSY + self.jitter);
        self.excess[self.position] = queue - expected;
        self.position = (self.position + 1) % RECENT;
    }

    /// Looks for a delay that rises at once and stays; says when it has stayed for long enough. `alone` is what the packet
    /// waited without what it did for its own burst.
    fn follow_jump(&mut self, sent: i64, queue: i64, alone: i64) -> bool {
        let before = std::mem::replace(&mut self.queue, queue);
        match &mut self.jump {
            None => {
                if (before as f64) < self.threshold() / 2.0 && queue - before > self.least_jump() {
                    self.jump = Some(Jump {
                        at: sent,
                        highest: queue,
                        lowest: queue,
                    });
                }
                false
            }
            Some(jump) => {
                jump.lowest = jump.lowest.min(queue);
                jump.highest = jump.highest.max(alone);
                let differs = (jump.highest - jump.lowest) as f64;
                let stays =
                    differs <= SAME + self.serialization / 2.0 + 2.0 * self.jitter.min(MAX_JITTER);
                if !stays {
                    self.jump = None;
                    return false;
                }
                sent - jump.at >= STAYS
            }
        }
    }

    /// A rise by more than this is no jitter, if there is little of it.
    fn least_jump(&self) -> i64 {
        if self.jitter < CALM {
            JUMP + (4.0 * self.jitter) as i64
        } else {
            i64::MAX
        }
    }

    /// Whether the delay rose a moment ago in a way that a queue does not.
    pub(super) fn has_jumped(&self) -> bool {
        self.jump.is_some()
    }

    /// What rose is a queue all the same.
    pub(super) fn forget_jump(&mut self) {
        self.jump = None;
    }

    /// So many bytes came, or may have, before the next packet that is reported.
    pub(super) fn skip(&mut self, bytes: u32) {
        self.busy.newer.bytes += u64::from(bytes);
    }

    /// `expected` is what the packet takes at the estimated rate, behind what was sent before it.
    fn first_of_burst(&mut self, sent: i64, delay: i64, size: u16, expected: i64, estimate: f64) {
        if let Some((last, last_size, last_expected)) =
            self.last_first.replace((delay, size, expected))
            && self.standing() < self.threshold()
        {
            let step = (delay - last) as f64;
            // A larger packet takes longer to pass, and one behind others: by as much as the estimate says, or less.
            let by_size = (f64::from(size) - f64::from(last_size)) * 8e6 / estimate;
            let by_queue = (expected - last_expected) as f64;
            let seen = step.abs().min((step - by_size).abs());
            let unexplained = seen.min((step - by_queue).abs());
            // A single large step is a queue, not jitter.
            let follow = |mean: &mut f64, step: f64| {
                *mean += (step.min(2.0 * *mean + MAX_STEP) - *mean) / 32.0;
            };
            follow(&mut self.jitter, seen);
            follow(&mut self.unexplained, unexplained);
        }
        if self.current.count >= 2 && sent - self.current.since >= STANDING_WINDOW {
            self.previous = std::mem::take(&mut self.current);
        }
        self.current.add(sent, delay);
    }

    /// The queue that no recent burst found shorter, in microseconds.
    pub(super) fn standing(&self) -> f64 {
        let lowest = match (self.current.count, self.previous.count) {
            (0 | 1, 0) => return 0.0,
            (_, 0) => self.current.delay,
            (0, _) => self.previous.delay,
            _ => self.current.delay.min(self.previous.delay),
        };
        let base = self.base.get().unwrap_or(lowest);
        (lowest - base).max(0) as f64
    }

    /// From what standing queue on the link is overused, in microseconds.
    pub(super) fn threshold(&self) -> f64 {
        THRESHOLD + self.serialization + 2.0 * self.jitter()
    }

    /// The mean difference between one burst and the next, bounded, in microseconds.
    pub(super) fn jitter(&self) -> f64 {
        self.jitter.min(MAX_JITTER)
    }

    /// The jitter beyond what packets of different sizes explain, in microseconds.
    pub(super) fn noise(&self) -> f64 {
        without_sizes(self.jitter(), self.serialization)
    }

    /// The jitter that neither sizes of packets nor bursts of the sender explain, in microseconds.
    pub(super) fn unexplained(&self) -> f64 {
        self.unexplained.min(MAX_JITTER)
    }

    /// Whether the last packets took far longer than they would at the estimated rate: seen within one burst.
    /// `allowance` is in microseconds.
    pub(super) fn is_rising(&self, allowance: f64) -> bool {
        let lowest = self.excess.iter().copied().min().unwrap_or(0);
        lowest as f64 > 2.0 * THRESHOLD + 3.0 * self.jitter() + allowance
    }

    /// What came through while there was a queue, in bits a second.
    pub(super) fn busy_rate(&self) -> Option<f64> {
        self.busy.rate()
    }

    /// Whether that queue grew, so that more was sent than came through.
    pub(super) fn grew(&self) -> bool {
        self.busy.grew()
    }

    /// What stands now is taken for an empty queue.
    pub(super) fn rebase(&mut self) {
        *self = Self {
            jitter: self.jitter,
            unexplained: self.unexplained,
            ..Self::default()
        };
    }
}

/// The jitter of a link of this rate beyond what packets of different sizes explain, in microseconds.
pub(super) fn noise(jitter: f64, rate: f64) -> f64 {
    without_sizes(
        jitter,
        (MAX_PACKET_BITS * 1e6 / rate).min(MAX_SERIALIZATION),
    )
}

fn without_sizes(jitter: f64, serialization: f64) -> f64 {
    (jitter - serialization / 8.0).max(0.0)
}

/// A delay that rose at once.
#[derive(Clone, Copy, Debug)]
struct Jump {
    at: i64,
    highest: i64,
    lowest: i64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Lowest {
    since: i64,
    delay: i64,
    count: u32,
}

impl Lowest {
    fn add(&mut self, at: i64, delay: i64) {
        if self.count == 0 {
            (self.since, self.delay) = (at, delay);
        }
        self.delay = self.delay.min(delay);
        self.count = self.count.saturating_add(1);
    }
}

/// The lowest delay of some windows.
#[derive(Clone, Debug, Default)]
struct WindowedMin {
    windows: [Option<i64>; BASE_WINDOWS],
    position: usize,
    since: i64,
    lowest: Option<i64>,
}

impl WindowedMin {
    fn add(&mut self, at: i64, delay: i64) -> i64 {
        if at - self.since > BASE_WINDOW {
            self.since = at;
            self.position = (self.position + 1) % BASE_WINDOWS;
            self.windows[self.position] = None;
            self.lowest = self.windows.iter().flatten().copied().min();
        }
        let window = &mut self.windows[self.position];
        *window = Some(window.map_or(delay, |lowest| lowest.min(delay)));
        let lowest = self.lowest.map_or(delay, |lowest| lowest.min(delay));
        self.lowest = Some(lowest);
        lowest
    }

    fn get(&self) -> Option<i64> {
        self.lowest
    }
}

/// Measures throughput for as long as packets waited, which is then the bottleneck's.
#[derive(Clone, Copy, Debug, Default)]
struct Busy {
    older: Span,
    newer: Span,
}

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    begin: Option<i64>,
    end: i64,
    bytes: u64,
    packets: u32,
    /// The delays of its first and last packet.
    first_delay: i64,
    last_delay: i64,
}

impl Span {
    fn new(sent: i64, arrival: i64) -> Self {
        Self {
            begin: Some(arrival),
            end: arrival,
            first_delay: arrival - sent,
            last_delay: arrival - sent,
            ..Self::default()
        }
    }
}

impl Busy {
    fn receive(&mut self, sent: i64, arrival: i64, size: u16, waited: bool) {
        if !waited {
            *self = Self::default();
            return;
        }
        let Some(begin) = self.newer.begin else {
            // What comes after the first that waited is measured.
            self.newer = Span::new(sent, arrival);
            return;
        };
        self.newer.end = self.newer.end.max(arrival);
        self.newer.bytes += u64::from(size);
        self.newer.packets += 1;
        self.newer.last_delay = arrival - sent;
        if self.newer.end - begin > BUSY_SPAN {
            self.older = self.newer;
            self.newer = Span::new(sent, self.newer.end);
        }
    }

    fn grew(&self) -> bool {
        let first = if self.older.begin.is_some() {
            self.older
        } else {
            self.newer
        };
        let Some(begin) = first.begin else {
            return false;
        };
        let span = (self.newer.end - begin) as f64;
        (self.newer.last_delay - first.first_delay) as f64 > MIN_GROWTH * span
    }

    fn rate(&self) -> Option<f64> {
        let begin = self.older.begin.or(self.newer.begin)?;
        let span = self.newer.end - begin;
        let packets = self.older.packets + self.newer.packets;
        if span < MIN_BUSY_SPAN || packets < MIN_BUSY_PACKETS {
            return None;
        }
        let bytes = self.older.bytes + self.newer.bytes;
        Some(bytes as f64 * 8e6 / span as f64)
    }
}

/// A bottleneck that has exactly the estimated rate: nothing should take longer than there.
#[derive(Clone, Copy, Debug, Default)]
struct Model {
    bits: f64,
    at: i64,
}

impl Model {
    /// How long this packet would wait and pass, in microseconds.
    fn send(&mut self, at: i64, size: u16, rate: f64) -> i64 {
        let passed = (at - self.at).max(0) as f64 * rate / 1e6;
        self.at = self.at.max(at);
        self.bits = (self.bits - passed).max(0.0) + f64::from(size) * 8.0;
        (self.bits * 1e6 / rate) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two packets every 20 ms, of which the second waits for the first; the last burst has eight, and jumps by 25 ms. Each
    /// of its packets comes so much later than the one before.
    fn jump(spacing: i64) -> Delay {
        let mut delay = Delay::default();
        for burst in 0..100 {
            for packet in 0..2 {
                let sent = burst * 20_000;
                delay.receive(sent, sent + 30_000 + packet * 2_000, 1_200, 5e6);
            }
        }
        for packet in 0..8 {
            let sent = 2_000_000;
            delay.receive(sent, sent + 55_000 + packet * spacing, 1_200, 5e6);
        }
        delay
    }

    #[test]
    fn a_rise_that_goes_on_within_a_burst_is_a_queue_and_no_longer_way() {
        let longer = jump(2_000);
        assert!(longer.has_jumped());
        let queue = jump(19_200);
        assert!(!queue.has_jumped() && queue.is_rising(0.0));
    }
}
