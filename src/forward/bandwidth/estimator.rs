//! The estimate: what raises and what lowers it.

use std::time::{Duration, Instant};

use super::delay::Delay;
use super::delivered::Delivered;
use super::feedback::{Feedback, ReferenceClock};
use super::loss::{Loss, Verdict};
use super::probe::{MUCH_JITTER, Outcome, Probe, ProbeId, Prober};
use super::sent::SentPackets;

const START: f64 = 300_000.0;
const MIN: f64 = 50_000.0;
const MAX: f64 = 100_000_000.0;
/// The headers of IP and UDP, which every packet has on the wire.
const OVERHEAD: usize = 28;
/// Of the measured capacity: what is used once the queue is gone, and what is never exceeded without a probe.
const USED: f64 = 0.94;
const CEILING: f64 = 0.96;
/// Of the estimate before a queue that did not grow.
const DOUBTFUL: f64 = 0.98;
/// While the queue drains: with a short queue, and with a long one.
const DRAINING: f64 = 0.89;
const DRAINING_LONG: f64 = 0.6;
/// What counts as short and long, in microseconds.
const SHORT_QUEUE: f64 = 30_000.0;
const LONG_QUEUE: f64 = 300_000.0;
/// For how long the capacity is measured anew after overuse began, beyond the round trip. Later, what arrives may
/// be only what is sent.
const MEASURE_TIME: i64 = 700_000;
/// When a queue that does not drain is looked at again.
const STUCK_TIME: i64 = 1_500_000;
/// Growth a second, while the estimate is used.
const GROWTH: f64 = 0.08;
/// The same, where nothing is known of a limit.
const FREE_GROWTH: f64 = 0.2;
/// The share of the estimate that counts as using it.
const IN_USE: f64 = 0.8;
/// Of what arrives without a queue, where nothing is known of a limit: so much can be used, whatever was thought.
const PASSES: f64 = 0.9;
/// The estimate grows no further beyond what arrives: probes show more. Where they are blind, it goes further.
const MAX_AHEAD: f64 = 1.1;
const MAX_AHEAD_BLIND: f64 = 1.5;
const MAX_AHEAD_BITS: f64 = 50_000.0;
/// The lowest that losses take the estimate to at once.
const MAX_LOSS_STEP: f64 = 0.3;
/// With so much more lost than is usual, as a share of all, a queue overflows; and so many standard deviations more, of a
/// loss of 5 % of packets of 8,000 bits.
const OVERFLOW: f64 = 0.07;
const DEVIATIONS: f64 = 2.0;
const PACKET_VARIANCE: f64 = 0.05 * 0.95 * 8_000.0;
/// Without feedback for so long and two round trips, the link may be dead.
const SILENCE: i64 = 500_000;
/// Then the estimate falls by this factor each time.
const SILENCE_FACTOR: f64 = 0.75;
const SILENCE_INTERVAL: i64 = 250_000;
/// REMB counts when there was no transport-wide feedback for so long.
const REMB_AFTER: i64 = 2_000_000;
/// For how long a capacity counts that losses showed, which are a weak witness. What a queue or a probe showed counts
/// until another probe shows more, unless jitter makes probes blind: then it is for so long too.
const CAPACITY_TIME: i64 = 6_000_000;
/// The window of the delivered rate, and the shorter one for when things change.
const WINDOW: i64 = 1_000_000;
const SHORT_WINDOW: i64 = 300_000;
/// A queue that a failed probe left is no overuse, for so long.
const PROBE_ALLOWANCE_TIME: i64 = 600_000;
const PROBE_ALLOWANCE: f64 = 15_000.0;
const FIRST_RTT: Duration = Duration::from_millis(100);

/// What the estimator is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BandwidthState {
    /// No feedback came yet.
    Start,
    /// The estimate holds, or grows as far as it is used.
    Steady,
    /// A queue grew: less is allowed until it is gone.
    Draining,
    /// Less is allowed to see whether less gets lost.
    LossTrial,
    /// Packets are sent and no feedback comes.
    Silent,
    /// The receiver's own estimate is used.
    Remb,
}

/// What the estimator knows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BandwidthStats {
    /// See [`Bandwidth::estimate`].
    pub estimate: u64,
    /// What the estimate will be once the queue that drains is gone; the estimate where none does.
    pub settled: u64,
    /// The queue that stood before the bottleneck when last seen.
    pub queue: Duration,
    /// The share of packets that was lost lately, 0 to 1.
    pub loss: f64,
    /// The share that is lost whatever is sent, 0 to 1.
    pub inherent_loss: f64,
    /// What arrived during the last second before the last feedback, in bits a second.
    pub delivered: u64,
    /// What it is doing.
    pub state: BandwidthState,
}

/// Estimates what the network can carry to one receiver.
#[derive(Clone, Debug)]
pub struct Bandwidth {
    /// Has the epoch: all times inside are microseconds since that.
    packets: SentPackets,
    clock: ReferenceClock,
    delivered: Delivered,
    /// The same of all that was reported, lost or not, by the time of sending, and of what came of it.
    offered: Delivered,
    passed: Delivered,
    delay: Delay,
    loss: Loss,
    prober: Prober,
    estimate: f64,
    /// What the bottleneck passed when it was last overused.
    capacity: Option<f64>,
    /// Until when that counts; and whether it counts only so long.
    capacity_until: i64,
    capacity_is_weak: bool,
    state: BandwidthState,
    /// The estimate before the queue that drains now, if that queue did not grow: perhaps it was jitter.
    doubtful: Option<f64>,
    /// The estimate before the queue that drains now.
    before: f64,
    /// When the state began.
    since: i64,
    demand: f64,
    rtt: Duration,
    /// The number of the next packet, when something was last heard.
    answered: u64,
    /// When transport-wide feedback last came.
    heard: Option<i64>,
    /// The number after the last that was reported.
    reported: u64,
    /// When the estimate was last worked out.
    updated: i64,
}

impl Bandwidth {
    /// Starts at 300 kbit/s.
    pub fn new(now: Instant) -> Self {
        Self {
            packets: SentPackets::new(now),
            clock: ReferenceClock::default(),
            delivered: Delivered::default(),
            offered: Delivered::default(),
            passed: Delivered::default(),
            delay: Delay::default(),
            loss: Loss::default(),
            prober: Prober::new(),
            estimate: START,
            capacity: None,
            capacity_until: 0,
            capacity_is_weak: false,
            state: BandwidthState::Start,
            doubtful: None,
            before: START,
            since: 0,
            demand: 0.0,
            rtt: FIRST_RTT,
            answered: 0,
            heard: None,
            reported: 0,
            updated: 0,
        }
    }

    /// A packet leaves at `at`, which pacing may put some milliseconds ahead. `size` is in bytes from the RTP header
    /// to the end of the SRTP tag; the headers of IP and UDP are added here. Returns its transport-wide number.
    pub fn sent(&mut self, at: Instant, size: usize, probe: Option<ProbeId>) -> u16 {
        let at = self.micros(at);
        let size = u16::try_from(size.saturating_add(OVERHEAD)).unwrap_or(u16::MAX);
        let number = self.packets.push(at, size);
        if let Some(id) = probe {
            self.prober.sent(at, number, size, id, self.rtt);
        }
        number as u16
    }

    /// Reads a word of what [`sent`](Self::sent) looks at, so that it comes into the processor's cache. Of no meaning.
    pub fn touch(&self) -> usize {
        self.packets.next() as usize
    }

    /// The same of what it writes, which is elsewhere: better after [`touch`](Self::touch).
    pub fn touch_newest(&self) -> usize {
        self.packets.newest_size()
    }

    /// The body of a transport-wide feedback, as [`RtcpPacket::TransportCc`](crate::rtp::rtcp::RtcpPacket::TransportCc)
    /// holds it. What is malformed, or speaks of packets never sent or long ago, is ignored.
    pub fn handle_feedback(&mut self, now: Instant, fci: &[u8]) {
        let now = self.micros(now);
        let Some(feedback) = Feedback::parse(fci, &mut self.clock) else {
            return;
        };
        let mut highest = None;
        for (number, arrival) in feedback {
            let Some(report) = self.packets.report(number, arrival.is_some()) else {
                continue;
            };
            if report.number >= self.reported {
                self.skip(report.number, report.sent, arrival);
            }
            highest = highest.max(Some(report.number));
            let (sent, size) = (report.sent, report.size);
            if !report.was_lost {
                self.offered.add(sent, u32::from(size));
            }
            self.loss.report(sent, arrival.is_some(), report.was_lost);
            self.prober
                .report(report.number, sent, arrival, size, report.was_lost);
            if let Some(arrival) = arrival {
                self.delay.receive(sent, arrival, size, self.estimate);
                self.delivered.add(arrival, u32::from(size));
                self.passed.add(sent, u32::from(size));
            }
        }
        let Some(highest) = highest else { return };
        self.packets.conclude(highest);
        self.answered = self.packets.next();
        self.heard = Some(now);
        match self.state {
            BandwidthState::Start | BandwidthState::Remb => self.enter(BandwidthState::Steady, now),
            BandwidthState::Silent => {
                self.enter(BandwidthState::Steady, now);
                self.capacity = None;
                self.prober.restart(now);
            }
            BandwidthState::Steady | BandwidthState::Draining | BandwidthState::LossTrial => {}
        }
        self.update(now, highest);
    }

    /// The receiver's own estimate, in bits a second. It counts only while no transport-wide feedback comes.
    pub fn handle_remb(&mut self, now: Instant, bitrate: u64) {
        let now = self.micros(now);
        if self.heard.is_some_and(|heard| now - heard < REMB_AFTER) {
            return;
        }
        self.answered = self.packets.next();
        self.enter(BandwidthState::Remb, now);
        self.set_estimate(bitrate as f64);
    }

    /// The round trip as measured elsewhere.
    pub fn set_rtt(&mut self, rtt: Duration) {
        self.rtt = rtt.min(Duration::from_secs(5));
    }

    /// How much could be used at most at the moment, in bits a second: the sum of the best layers that are wanted.
    /// While it exceeds the estimate, there are probes.
    pub fn set_demand(&mut self, demand: u64) {
        self.demand = (demand as f64).min(MAX);
    }

    /// Whether the receiver ever said anything: until then, and with one that never will, the estimate is a guess.
    pub fn is_informed(&self) -> bool {
        self.heard.is_some() || self.state == BandwidthState::Remb
    }

    /// Whether a queue that grew is not gone yet.
    pub fn is_draining(&self) -> bool {
        self.state == BandwidthState::Draining
    }

    /// What the network can carry to this receiver, in bits a second on the wire: 50 kbit/s to 100 Mbit/s.
    pub fn estimate(&self) -> u64 {
        self.estimate as u64
    }

    /// A probe to send now. Called after each feedback, change of demand and timeout.
    pub fn poll_probe(&mut self, now: Instant) -> Option<Probe> {
        if !self.may_probe() {
            return None;
        }
        let now = self.micros(now);
        let jitter = self.delay.noise();
        self.prober.begin(now, self.estimate, self.demand, jitter)
    }

    /// When [`handle_timeout`](Self::handle_timeout) and then [`poll_probe`](Self::poll_probe) have something to do.
    /// May be in the past.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let silence = self.silence_at();
        let wanted = self.prober.is_active() || self.prober.is_wanted(self.estimate, self.demand);
        let probe = (wanted && self.may_probe()).then(|| self.prober.timeout());
        let at = [silence, probe].into_iter().flatten().min()?;
        Some(self.packets.epoch() + Duration::from_micros(at.max(0) as u64))
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.micros(now);
        self.conclude_probe(now, None);
        if self.silence_at().is_some_and(|at| now >= at) {
            self.enter(BandwidthState::Silent, now);
            self.loss.restart(now);
            self.set_estimate(self.estimate * SILENCE_FACTOR);
        }
    }

    /// What is known at the moment.
    pub fn stats(&self) -> BandwidthStats {
        BandwidthStats {
            estimate: self.estimate(),
            settled: self.settled() as u64,
            queue: Duration::from_micros(self.delay.standing() as u64),
            loss: self.loss.latest(),
            inherent_loss: self.loss.inherent(),
            delivered: self.delivered.rate(WINDOW).unwrap_or(0.0) as u64,
            state: self.state,
        }
    }

    /// Feedback was lost: what it would have said is not known. Most of it will have come.
    fn skip(&mut self, number: u64, sent: i64, arrival: Option<i64>) {
        let skipped = self.packets.unknown_bytes(self.reported..number);
        self.reported = number + 1;
        if skipped > 0 {
            self.offered.add(sent, skipped);
            let bytes = (f64::from(skipped) * (1.0 - self.loss.latest())) as u32;
            self.passed.add(sent, bytes);
            self.delay.skip(bytes);
            if let Some(arrival) = arrival {
                self.delivered.add(arrival, bytes);
            }
        }
    }

    fn update(&mut self, now: i64, highest: u64) {
        if self.state == BandwidthState::Draining {
            self.drain(now);
        } else if self.is_overused(now) {
            self.begin_draining(now);
        } else {
            self.judge_loss(now);
            self.conclude_probe(now, Some(highest));
            self.grow(now);
        }
        self.updated = now;
    }

    fn is_overused(&mut self, now: i64) -> bool {
        if self.delay.has_jumped() {
            if !self.overflows() {
                // A moment shows whether it is a queue.
                return false;
            }
            self.delay.forget_jump();
        }
        let after_probe = self.prober.left_queue_at();
        let allowance = match after_probe {
            Some(at) if now - at < PROBE_ALLOWANCE_TIME => PROBE_ALLOWANCE,
            _ => 0.0,
        };
        self.delay.standing() > self.delay.threshold() + allowance
            || self.delay.is_rising(allowance)
    }

    fn begin_draining(&mut self, now: i64) {
        self.enter(BandwidthState::Draining, now);
        self.loss.restart(now);
        self.prober.overused(now);
        self.before = self.estimate;
        self.capacity = Some(self.measure().unwrap_or(self.estimate * DRAINING));
        self.capacity_until = now + CAPACITY_TIME;
        self.capacity_is_weak = false;
        self.doubtful = (!self.is_exceeded()).then_some(self.before);
        self.lower();
    }

    fn drain(&mut self, now: i64) {
        let rtt = self.rtt.as_micros() as i64;
        if self.delay.standing() < self.delay.threshold() / 2.0 {
            self.enter(BandwidthState::Steady, now);
            self.loss.restart(now);
            let doubtful = self.doubtful.take().map(|before| before * DOUBTFUL);
            if let Some(capacity) = self.capacity {
                let capacity = capacity.max(doubtful.unwrap_or(0.0) / USED);
                self.capacity = Some(capacity);
                self.set_estimate(capacity * USED);
            }
            return;
        }
        if now - self.since < MEASURE_TIME + rtt {
            // What arrives may be all that is sent now, unless the queue still grows.
            let measured = self.measure().or(self.capacity);
            let falls = self.capacity > measured;
            if !falls || self.is_exceeded() {
                self.capacity = measured;
            }
        } else if now - self.since > STUCK_TIME + rtt {
            self.unstick(now);
        }
        self.lower();
    }

    /// The queue did not drain. If all comes through that is sent, it is no queue of ours, but a longer way.
    fn unstick(&mut self, now: i64) {
        if self.is_exceeded() {
            self.capacity = self.measure().or(self.capacity);
            self.since = now;
            return;
        }
        self.delay.rebase();
        self.loss.restart(now);
        self.enter(BandwidthState::Steady, now);
        self.capacity = Some(self.before);
        self.set_estimate(self.before * USED);
    }

    /// Whether more is sent than comes through: the queue grows, or is full and overflows.
    fn is_exceeded(&self) -> bool {
        self.overflows() || self.delay.grew()
    }

    fn overflows(&self) -> bool {
        let rates = self
            .passed
            .rate(SHORT_WINDOW)
            .zip(self.offered.rate(SHORT_WINDOW));
        rates.is_some_and(|(passed, offered)| {
            let bits = (offered * SHORT_WINDOW as f64 / 1e6).max(1.0);
            let chance = DEVIATIONS * (PACKET_VARIANCE / bits).sqrt();
            1.0 - passed / offered.max(1.0) > self.loss.inherent() + OVERFLOW + chance
        })
    }

    /// What the bottleneck passes, in bits a second that are sent.
    fn measure(&mut self) -> Option<f64> {
        let passed = match self.delay.busy_rate() {
            Some(rate) => rate,
            None => self.delivered.rate(SHORT_WINDOW)?,
        };
        Some(passed / (1.0 - self.loss.inherent().min(0.5)))
    }

    fn settled(&self) -> f64 {
        let drains = self.state == BandwidthState::Draining;
        let capacity = self.capacity.filter(|_| drains);
        capacity.map_or(self.estimate, |capacity| self.estimate.max(capacity * USED))
    }

    /// So far below the capacity that the queue drains.
    fn lower(&mut self) {
        let Some(capacity) = self.capacity else {
            return;
        };
        let queue = self.delay.standing();
        let long = ((queue - SHORT_QUEUE) / (LONG_QUEUE - SHORT_QUEUE)).clamp(0.0, 1.0);
        let factor = DRAINING + (DRAINING_LONG - DRAINING) * long;
        self.set_estimate(self.estimate.min(capacity * factor));
    }

    fn judge_loss(&mut self, now: i64) {
        let Some(delivered) = self.delivered.rate(SHORT_WINDOW) else {
            return;
        };
        match self.loss.judge(now, delivered, self.estimate) {
            None => {}
            Some(Verdict::Try) => {
                self.loss.begin_trial(now, self.rtt);
                self.prober.overused(now);
                self.enter(BandwidthState::LossTrial, now);
                let carried = self.measure().unwrap_or(delivered);
                let carried = carried.max(self.estimate * MAX_LOSS_STEP);
                self.set_estimate(self.estimate.min(carried));
            }
            Some(Verdict::OwnLoss(before)) => {
                self.enter(BandwidthState::Steady, now);
                self.set_estimate(before);
                self.prober.restart(now);
            }
            Some(Verdict::Congestion) => {
                self.enter(BandwidthState::Steady, now);
                self.capacity = Some(self.estimate);
                self.capacity_until = now + CAPACITY_TIME;
                self.capacity_is_weak = true;
                self.set_estimate(self.estimate * USED);
            }
        }
    }

    fn conclude_probe(&mut self, now: i64, highest: Option<u64>) {
        let jitter = (self.delay.noise(), self.delay.jitter());
        let loss = self.loss.inherent();
        let outcome = self
            .prober
            .conclude(now, highest, self.estimate, jitter, loss);
        if self.state != BandwidthState::Steady {
            return;
        }
        match outcome {
            None => {}
            Some(Outcome::Passed(rate)) => {
                self.capacity = None;
                self.set_estimate(rate.max(self.estimate));
            }
            Some(Outcome::Bottleneck(rate)) => {
                self.capacity = Some(rate / USED);
                self.capacity_until = now + CAPACITY_TIME;
                self.capacity_is_weak = false;
                self.set_estimate(rate);
            }
        }
    }

    fn grow(&mut self, now: i64) {
        if self.state != BandwidthState::Steady {
            return;
        }
        self.prober.confirm(now);
        if self.capacity.is_none()
            && self.delay.noise() < MUCH_JITTER
            && self.delay.standing() <= self.delay.threshold() / 2.0
            && let Some(passes) = self.delivered.rate(SHORT_WINDOW)
        {
            self.set_estimate(self.estimate.max(passes * PASSES));
        }
        let Some(delivered) = self.delivered.rate(WINDOW) else {
            return;
        };
        let carried = delivered / (1.0 - self.loss.inherent().min(0.5));
        let seconds = ((now - self.updated) as f64 / 1e6).clamp(0.0, 0.2);
        if carried < IN_USE * self.estimate || self.delay.standing() > self.delay.threshold() / 2.0
        {
            return;
        }
        let is_blind = self.capacity_is_weak || self.delay.unexplained() > MUCH_JITTER;
        let (ceiling, growth) = match self.capacity {
            Some(capacity) if !is_blind || now < self.capacity_until => {
                (capacity * CEILING, GROWTH)
            }
            Some(_) if self.delay.noise() < 2.0 * MUCH_JITTER => (MAX, GROWTH),
            _ => (MAX, FREE_GROWTH),
        };
        let ahead = if is_blind { MAX_AHEAD_BLIND } else { MAX_AHEAD };
        let ceiling = ceiling.min(carried * ahead + MAX_AHEAD_BITS);
        let grown = (self.estimate * (1.0 + growth * seconds)).min(ceiling);
        self.set_estimate(grown.max(self.estimate));
    }

    /// When the estimate falls for want of feedback.
    fn silence_at(&self) -> Option<i64> {
        self.heard?;
        let since = self.packets.sent_at(self.answered)?;
        match self.state {
            BandwidthState::Remb | BandwidthState::Start => None,
            // Only while something is sent.
            BandwidthState::Silent => {
                (self.packets.latest() > self.since).then_some(self.since + SILENCE_INTERVAL)
            }
            BandwidthState::Steady | BandwidthState::Draining | BandwidthState::LossTrial => {
                Some(since + SILENCE + 2 * self.rtt.as_micros() as i64)
            }
        }
    }

    fn may_probe(&self) -> bool {
        matches!(self.state, BandwidthState::Start | BandwidthState::Steady)
    }

    fn enter(&mut self, state: BandwidthState, now: i64) {
        self.state = state;
        self.since = now;
    }

    fn set_estimate(&mut self, estimate: f64) {
        self.estimate = if estimate.is_finite() {
            estimate.clamp(MIN, MAX)
        } else {
            MIN
        };
    }

    fn micros(&self, at: Instant) -> i64 {
        self.packets.micros(at)
    }
}

#[cfg(test)]
impl Bandwidth {
    /// How many packets are kept.
    pub(super) fn kept(&self) -> usize {
        self.packets.len()
    }
}
