//! Short bursts that show whether more than the estimate would pass.
//!
//! A server that forwards whole layers sends less than it could until the next layer fits; only a probe can show
//! that it would. Each is so short that it leaves about 25 ms of queue where it does not fit.

use std::num::NonZeroU16;
use std::time::Duration;

use super::delay::noise;

/// The queue that a probe may leave if the link carries no more than the estimate, in microseconds as all times here.
const MAX_QUEUE: f64 = 18_000.0;
/// How long a probe lasts where there is no jitter.
const LENGTH: f64 = 15_000.0;
const MIN_BYTES: f64 = 700.0;
const MIN_PACKETS: usize = 5;
const MAX_PACKETS: usize = 30;
/// What packets of a probe are sized around, unless that takes more than the greatest number of them.
const PACKET_BYTES: f64 = 1000.0;
const MAX_PACKET_BYTES: f64 = 1200.0;
/// The first probe and the next after a success, as multiples of the estimate.
const FIRST_FACTOR: f64 = 3.0;
const FACTOR: f64 = 2.0;
/// The first probes may show this much, whatever is wanted now.
const FIRST_GOAL: f64 = 2_500_000.0;
/// How far beyond what is wanted later ones go.
const GOAL_FACTOR: f64 = 1.2;
/// Received at less than this share of the rate of sending, a probe met the bottleneck.
const PASSED: f64 = 0.9;
/// What of a measured rate is believed.
const BELIEVED: f64 = 0.94;
/// With more jitter than this, a probe that shows more is repeated before it is believed.
pub(super) const MUCH_JITTER: f64 = 2_500.0;
/// With less, the time of arrival is taken for so many times the jitter longer.
const JITTERS: f64 = 2.0;
/// With much it must last at least so many times the jitter, and raises the estimate at most by this factor.
const MIN_JITTERS: f64 = 3.0;
const MAX_RAISE: f64 = 1.4;
/// Time between probes that show nothing new: the first, and the longest.
const MIN_INTERVAL: i64 = 2_000_000;
const MAX_INTERVAL: i64 = 4_500_000;
/// At the start so many probes that meet a bottleneck follow each other sooner: whoever joins is busy then, and a busy
/// machine looks like a slow network.
const START_MISSES: u8 = 3;
const START_INTERVAL: i64 = 400_000;
/// The longest, where probes pass that real traffic then does not: shapers let short bursts through.
const MAX_FALSE_INTERVAL: i64 = 30_000_000;
/// Overuse so soon after an estimate was raised by a probe says that the probe was wrong.
const FALSE_TIME: i64 = 2_000_000;
/// What a probe waits for to be sent, and for its feedback beyond two round trips.
const PATIENCE: i64 = 500_000;

/// Names one probe's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeId(NonZeroU16);

/// A burst to send: padding, or packets that were sent before, beside whatever else is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Goes with each of its packets to [`Bandwidth::sent`](super::Bandwidth::sent).
    pub id: ProbeId,
    /// How fast to send it, in bits a second.
    pub bitrate: u64,
    /// The fewest packets to make of it.
    pub packets: usize,
    /// How much to send in all, the headers of IP and UDP included.
    pub bytes: usize,
}

/// What a probe showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outcome {
    /// All passed: so much can be used, in bits a second.
    Passed(f64),
    /// It met the bottleneck: so much can be used, which is more than what was thought.
    Bottleneck(f64),
}

impl Outcome {
    fn rate(self) -> f64 {
        match self {
            Self::Passed(rate) | Self::Bottleneck(rate) => rate,
        }
    }

    fn lower(self, other: Self) -> Self {
        if other.rate() < self.rate() {
            other
        } else {
            self
        }
    }
}

/// What a probe showed despite jitter, to be shown again.
#[derive(Clone, Copy, Debug)]
struct Unconfirmed {
    tried: f64,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug)]
struct Active {
    probe: Probe,
    /// Numbers of its first and last packet.
    numbers: Option<(u64, u64)>,
    packets: usize,
    bytes: usize,
    begun: i64,
    deadline: i64,
    /// All that was sent between its first and last packet, media included.
    reported: u64,
    received: u64,
    count: u32,
    /// First and last time of sending, and the size of the last.
    sent: Ends,
    arrived: Ends,
    /// The lowest delays of what was sent in the first and in the second half of it.
    lowest: [Option<i64>; 2],
    half: i64,
}

/// The ends of an interval, and the sizes of the packets there.
#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    first: i64,
    first_size: u16,
    last: i64,
    last_size: u16,
}

impl Ends {
    fn add(&mut self, at: i64, size: u16, is_first: bool) {
        if is_first || at < self.first {
            (self.first, self.first_size) = (at, size);
        }
        if is_first || at >= self.last {
            (self.last, self.last_size) = (at, size);
        }
    }

    fn span(&self) -> f64 {
        (self.last - self.first) as f64
    }
}

/// Decides when to probe, and works out what a probe showed.
#[derive(Clone, Debug)]
pub(super) struct Prober {
    next_id: NonZeroU16,
    active: Option<Active>,
    next_at: i64,
    interval: i64,
    false_interval: i64,
    factor: f64,
    /// How many more probes may meet the bottleneck until the start is over.
    start_misses: u8,
    unconfirmed: Option<Unconfirmed>,
    /// When a probe last raised the estimate.
    raised: Option<i64>,
    /// When one last ended that met the bottleneck, and so left a queue.
    left_queue: Option<i64>,
}

impl Prober {
    pub(super) fn new() -> Self {
        Self {
            next_id: NonZeroU16::MIN,
            active: None,
            next_at: 0,
            interval: MIN_INTERVAL,
            false_interval: MIN_INTERVAL,
            factor: FIRST_FACTOR,
            start_misses: START_MISSES,
            unconfirmed: None,
            raised: None,
            left_queue: None,
        }
    }

    /// Whether one is under way.
    pub(super) fn is_active(&self) -> bool {
        self.active.is_some()
    }

    /// When one last was under way or ended that met the bottleneck, and so left a queue.
    pub(super) fn left_queue_at(&self) -> Option<i64> {
        self.active
            .and_then(|active| active.numbers.map(|_| active.begun))
            .or(self.left_queue)
    }

    /// When the next may begin, or the present one is given up.
    pub(super) fn timeout(&self) -> i64 {
        self.active.map_or(self.next_at, |active| active.deadline)
    }

    /// Whether the demand makes a probe worth while.
    pub(super) fn is_wanted(&self, estimate: f64, demand: f64) -> bool {
        demand > estimate * 1.02 && self.goal(demand) > estimate * 1.05
    }

    fn goal(&self, demand: f64) -> f64 {
        if self.start_misses > 0 {
            (demand * GOAL_FACTOR).max(FIRST_GOAL)
        } else {
            demand * GOAL_FACTOR
        }
    }

    /// Begins a probe, if it is time.
    pub(super) fn begin(
        &mut self,
        now: i64,
        estimate: f64,
        demand: f64,
        jitter: f64,
    ) -> Option<Probe> {
        if self.active.is_some() || now < self.next_at || !self.is_wanted(estimate, demand) {
            return None;
        }
        let rate = self
            .unconfirmed
            .map_or(estimate * self.factor, |unconfirmed| unconfirmed.tried);
        let rate = rate.min(self.goal(demand)).max(estimate * 1.2);
        let length = LENGTH + 4.0 * jitter;
        let allowed = estimate * (MAX_QUEUE + 2.0 * jitter) / 8e6;
        let bytes = (rate * length / 8e6).min(allowed).max(MIN_BYTES);
        let bytes = bytes.min(MAX_PACKETS as f64 * MAX_PACKET_BYTES);
        let packets = (bytes / PACKET_BYTES).ceil() as usize;
        let probe = Probe {
            id: ProbeId(self.next_id),
            bitrate: rate as u64,
            packets: packets.clamp(MIN_PACKETS, MAX_PACKETS),
            bytes: bytes as usize,
        };
        self.next_id = self.next_id.checked_add(1).unwrap_or(NonZeroU16::MIN);
        self.active = Some(Active {
            probe,
            numbers: None,
            packets: 0,
            bytes: 0,
            begun: now,
            deadline: now + PATIENCE,
            reported: 0,
            received: 0,
            count: 0,
            sent: Ends::default(),
            arrived: Ends::default(),
            lowest: [None; 2],
            half: now + (bytes * 4e6 / rate) as i64,
        });
        Some(probe)
    }

    /// One of a probe's packets leaves.
    pub(super) fn sent(&mut self, at: i64, number: u64, size: u16, id: ProbeId, rtt: Duration) {
        let Some(active) = self.active.as_mut().filter(|a| a.probe.id == id) else {
            return;
        };
        let first = active.numbers.map_or(number, |(first, _)| first);
        if active.numbers.is_none() {
            active.half += at - active.begun;
        }
        active.numbers = Some((first, number));
        active.packets += 1;
        active.bytes += usize::from(size);
        active.deadline = at + PATIENCE + 2 * rtt.as_micros() as i64;
    }

    /// A packet was reported; `arrival` is none if it was lost.
    pub(super) fn report(
        &mut self,
        number: u64,
        sent: i64,
        arrival: Option<i64>,
        size: u16,
        was_lost: bool,
    ) {
        let Some(active) = self.active.as_mut() else {
            return;
        };
        let Some((first, last)) = active.numbers else {
            return;
        };
        if !(first..=last).contains(&number) {
            return;
        }
        if !was_lost {
            active.reported += u64::from(size);
        }
        let Some(arrival) = arrival else { return };
        active.sent.add(sent, size, active.count == 0);
        active.arrived.add(arrival, size, active.count == 0);
        active.received += u64::from(size);
        active.count += 1;
        let delay = arrival - sent;
        let lowest = &mut active.lowest[usize::from(sent >= active.half)];
        *lowest = Some(lowest.map_or(delay, |lowest| lowest.min(delay)));
    }

    /// After a feedback that spoke of packets up to `number`, or with none when time has passed.
    pub(super) fn conclude(
        &mut self,
        now: i64,
        number: Option<u64>,
        estimate: f64,
        (jitter, all_jitter): (f64, f64),
        inherent_loss: f64,
    ) -> Option<Outcome> {
        let active = self.active?;
        let is_sent = active.packets >= active.probe.packets && active.bytes >= active.probe.bytes;
        let is_reported =
            is_sent && number.is_some_and(|n| active.numbers.is_some_and(|(_, last)| n >= last));
        if !is_reported && now < active.deadline {
            return None;
        }
        self.active = None;
        let Some((sent, received)) = active.rates(inherent_loss, jitter, all_jitter) else {
            // Nothing to send, or no feedback: it says nothing about the link.
            self.next_at = now + MIN_INTERVAL / 2;
            return None;
        };
        let tried = active.probe.bitrate as f64;
        let mut outcome = if received >= PASSED * sent {
            Outcome::Passed(sent.min(received).min(1.1 * tried) * BELIEVED)
        } else {
            self.left_queue = Some(now);
            Outcome::Bottleneck(received * BELIEVED)
        };
        if outcome.rate() < estimate * 1.03 {
            self.fail(now);
            return None;
        }
        let earlier = self.unconfirmed.take();
        if jitter > MUCH_JITTER {
            let Some(earlier) = earlier else {
                self.unconfirmed = Some(Unconfirmed { tried, outcome });
                self.next_at = now;
                return None;
            };
            let most = Outcome::Bottleneck(estimate * MAX_RAISE);
            outcome = outcome.lower(earlier.outcome).lower(most);
        }
        self.raised = Some(now);
        self.interval = MIN_INTERVAL;
        match outcome {
            Outcome::Passed(_) => {
                self.next_at = now;
                self.factor = FACTOR;
            }
            Outcome::Bottleneck(_) => {
                self.next_at = now + self.miss().unwrap_or(MIN_INTERVAL);
            }
        }
        Some(outcome)
    }

    fn fail(&mut self, now: i64) {
        self.factor = FACTOR;
        self.unconfirmed = None;
        self.next_at = now + self.miss().unwrap_or(self.interval);
        if self.start_misses == 0 {
            self.interval = (self.interval * 3 / 2).min(MAX_INTERVAL);
        }
    }

    /// A probe met the bottleneck. Returns after what time there is another, if that is soon.
    fn miss(&mut self) -> Option<i64> {
        self.start_misses = self.start_misses.saturating_sub(1);
        (self.start_misses > 0).then_some(START_INTERVAL)
    }

    /// The link turned out to be overused. What a probe under way shows then is worth nothing.
    pub(super) fn overused(&mut self, now: i64) {
        let was_false = self.raised.take().is_some_and(|at| now - at < FALSE_TIME);
        self.active = None;
        self.start_misses = 0;
        self.fail(now);
        if was_false {
            self.next_at = now + self.false_interval;
            self.false_interval = (self.false_interval * 2).min(MAX_FALSE_INTERVAL);
        }
    }

    /// What a probe showed has stood the test of traffic.
    pub(super) fn confirm(&mut self, now: i64) {
        if self.raised.is_some_and(|at| now - at > FALSE_TIME) {
            self.raised = None;
            self.false_interval = MIN_INTERVAL;
        }
    }

    /// The link is back, or nothing is known about it any more.
    pub(super) fn restart(&mut self, now: i64) {
        let next_id = self.next_id;
        *self = Self {
            next_id,
            next_at: now,
            ..Self::new()
        };
    }
}

impl Active {
    /// The rates of sending and receiving, in bits a second, without what the link loses of anything.
    fn rates(&self, inherent_loss: f64, jitter: f64, all_jitter: f64) -> Option<(f64, f64)> {
        if self.count < MIN_PACKETS as u32 - 1 || self.received * 2 < self.reported {
            return None;
        }
        let received = self.received as f64;
        let loss = 1.0 - received / self.reported as f64;
        let send_span = self.sent.span().max(500.0);
        let receive_span = self.arrived.span().max(250.0);
        let send = (received - f64::from(self.sent.last_size)) * 8e6 / send_span;
        let bits = (received - f64::from(self.arrived.first_size)) * 8.0;
        // A first packet that was held up makes the others look fast. Of the jitter, packets that pass at this rate one
        // behind the other explain the rest.
        let noise = noise(all_jitter, bits * 1e6 / receive_span).max(jitter);
        let receive = bits * 1e6 / (receive_span + JITTERS * noise);
        let (send, receive) = if jitter > MUCH_JITTER {
            // The ends say little then. A queue that grew shows in the lowest delays.
            let [before, after] = self.lowest;
            let grown = ((after? - before?) as f64 - jitter / 2.0).max(0.0);
            if send_span < MIN_JITTERS * jitter {
                return None;
            }
            let send = send.min(self.probe.bitrate as f64);
            (send, send / (1.0 + 2.0 * grown / send_span))
        } else {
            (send, receive)
        };
        // With so few packets only a large excess of loss means something: a policer's.
        let policed = if loss > inherent_loss + 0.3 {
            1.0 - loss
        } else {
            1.0
        };
        Some((send, receive * policed))
    }
}
