//! A sender of video that follows an estimate, a link, and a receiver that feeds back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::forward::{Bandwidth, Probe, ProbeId, TransportCcRecorder};
use crate::network::Link;
use crate::rtp::rtcp::{RtcpPacket, RtcpPackets};

const OVERHEAD: usize = 28;
const FRAME_INTERVAL: Duration = Duration::from_nanos(33_333_333);
const SAMPLE_INTERVAL: Duration = Duration::from_millis(20);

pub(super) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(super) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// What is under test: ours, or another with the same doors.
pub(super) trait Estimator {
    fn sent(&mut self, at: Instant, size: usize, probe: Option<ProbeId>) -> u16;
    fn handle_feedback(&mut self, now: Instant, fci: &[u8]);
    fn estimate(&self) -> u64;
    fn set_rtt(&mut self, _rtt: Duration) {}
    fn poll_probe(&mut self, _now: Instant) -> Option<Probe> {
        None
    }
    fn handle_timeout(&mut self, _now: Instant) {}
}

impl Estimator for Bandwidth {
    fn sent(&mut self, at: Instant, size: usize, probe: Option<ProbeId>) -> u16 {
        self.sent(at, size, probe)
    }
    fn handle_feedback(&mut self, now: Instant, fci: &[u8]) {
        self.handle_feedback(now, fci);
    }
    fn estimate(&self) -> u64 {
        self.estimate()
    }
    fn set_rtt(&mut self, rtt: Duration) {
        self.set_rtt(rtt);
    }
    fn poll_probe(&mut self, now: Instant) -> Option<Probe> {
        self.poll_probe(now)
    }
    fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            self.handle_timeout(now);
        }
    }
}

/// One look at the run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Since the start.
    pub(super) at: Duration,
    pub(super) estimate: u64,
    /// Before the bottleneck when the last frame began, so without its own packets.
    pub(super) queue: Duration,
}

type Change = Box<dyn FnOnce(&mut Simulation)>;
/// Says whether a packet of some bytes is lost.
type Policer = Box<dyn FnMut(Instant, usize) -> bool>;

enum Event {
    Frame,
    Probe {
        probe: Probe,
        left: usize,
    },
    /// A packet by its number, with its size.
    Departure(u16, usize),
    Arrival(u16),
    FeedbackDue,
    Feedback(Vec<u8>),
    Sample,
    Change(Change),
}

pub(super) struct Simulation {
    pub(super) link: Link,
    /// One way, for feedback.
    pub(super) back_delay: Duration,
    pub(super) feedback_loss: f64,
    /// What the application sends if the estimate allows it, in bits a second.
    pub(super) wanted: u64,
    /// What the application sends whatever the estimate.
    pub(super) least: u64,
    /// Of the receiver's clock, in parts a million.
    pub(super) drift: f64,
    /// Frames leave at this multiple of the estimate; all at once without.
    pub(super) pacing: Option<f64>,
    pub(super) police: Option<Policer>,
    pub(super) samples: Vec<Sample>,
    /// Bytes of probes sent.
    pub(super) probed: usize,
    rng: StdRng,
    start: Instant,
    now: Instant,
    recorder: TransportCcRecorder,
    feedback_is_due: bool,
    queue: Duration,
    events: BTreeMap<(Instant, u64), Event>,
    count: u64,
}

impl Simulation {
    pub(super) fn new(seed: u64, rate: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let start = Instant::now();
        let mut link = Link::default();
        link.rate = Some(rate);
        link.delay = ms(rng.random_range(5..40));
        let mut simulation = Self {
            link,
            back_delay: ms(rng.random_range(10..100)),
            feedback_loss: 0.0,
            wanted: 4_000_000,
            least: 0,
            drift: 0.0,
            pacing: None,
            police: None,
            samples: vec![],
            probed: 0,
            rng,
            start,
            now: start,
            recorder: TransportCcRecorder::default(),
            feedback_is_due: false,
            queue: Duration::ZERO,
            events: BTreeMap::new(),
            count: 0,
        };
        simulation.at(Duration::ZERO, Event::Frame);
        simulation.at(Duration::ZERO, Event::Sample);
        simulation
    }

    pub(super) fn start(&self) -> Instant {
        self.start
    }

    /// Changes the link or the application at a time.
    pub(super) fn change(&mut self, at: Duration, change: impl FnOnce(&mut Self) + 'static) {
        self.at(at, Event::Change(Box::new(change)));
    }

    pub(super) fn run(&mut self, estimator: &mut impl Estimator, duration: Duration) {
        estimator.set_rtt(self.link.delay + self.back_delay);
        let end = self.start + duration;
        while let Some(next) = self.events.first_entry().filter(|next| next.key().0 <= end) {
            self.now = next.key().0;
            let event = next.remove();
            self.handle(estimator, event);
        }
    }

    /// Lowest and highest estimate, and the longest queue, from one time to another.
    pub(super) fn range(&self, from: Duration, to: Duration) -> (u64, u64, Duration) {
        let between = || self.samples.iter().filter(|s| s.at >= from && s.at <= to);
        (
            between().map(|s| s.estimate).min().unwrap(),
            between().map(|s| s.estimate).max().unwrap(),
            between().map(|s| s.queue).max().unwrap(),
        )
    }

    /// The share of samples whose estimate lies within.
    pub(super) fn share(&self, from: Duration, to: Duration, low: u64, high: u64) -> f64 {
        let between = || self.samples.iter().filter(|s| s.at >= from && s.at <= to);
        let within = between().filter(|s| (low..=high).contains(&s.estimate));
        within.count() as f64 / between().count() as f64
    }

    /// When, from a time on, the estimate first reached a value.
    pub(super) fn reached(&self, from: Duration, value: u64) -> Option<Duration> {
        let found = self
            .samples
            .iter()
            .find(|s| s.at >= from && s.estimate >= value);
        found.map(|s| s.at - from)
    }

    fn handle(&mut self, estimator: &mut impl Estimator, event: Event) {
        match event {
            Event::Change(change) => change(self),
            Event::Frame => {
                self.frame(estimator);
                self.after(FRAME_INTERVAL, Event::Frame);
            }
            Event::Probe { probe, left } => {
                let size = (probe.bytes / probe.packets).min(1200);
                self.probed += size;
                self.send(estimator, self.now, size, Some(probe.id));
                if left > size {
                    let pause = size as f64 * 8.0 / probe.bitrate as f64;
                    let left = left - size;
                    let pause = Duration::from_secs_f64(pause);
                    self.after(pause, Event::Probe { probe, left });
                }
            }
            Event::Departure(number, size) => self.depart(number, size),
            Event::Arrival(number) => {
                let elapsed = (self.now - self.start).mul_f64(1.0 + self.drift / 1e6);
                self.recorder.record(self.start + elapsed, number);
                if !std::mem::replace(&mut self.feedback_is_due, true) {
                    let wait = ms(self.rng.random_range(50..=100));
                    self.after(wait, Event::FeedbackDue);
                }
            }
            Event::FeedbackDue => {
                self.feedback_is_due = false;
                let mut out = vec![];
                let elapsed = (self.now - self.start).mul_f64(1.0 + self.drift / 1e6);
                self.recorder
                    .build_feedback(self.start + elapsed, &mut out, 1, 2);
                if !self.rng.random_bool(self.feedback_loss) {
                    self.after(self.back_delay, Event::Feedback(out));
                }
            }
            Event::Feedback(datagram) => {
                for packet in RtcpPackets::new(&datagram) {
                    if let RtcpPacket::TransportCc { feedback, .. } = packet {
                        estimator.handle_feedback(self.now, feedback);
                    }
                }
                self.probe(estimator);
            }
            Event::Sample => {
                estimator.handle_timeout(self.now);
                self.probe(estimator);
                self.samples.push(Sample {
                    at: self.now - self.start,
                    estimate: estimator.estimate(),
                    queue: self.queue,
                });
                self.after(SAMPLE_INTERVAL, Event::Sample);
            }
        }
    }

    fn probe(&mut self, estimator: &mut impl Estimator) {
        if let Some(probe) = estimator.poll_probe(self.now) {
            let left = probe.bytes;
            self.after(Duration::ZERO, Event::Probe { probe, left });
        }
    }

    fn frame(&mut self, estimator: &mut impl Estimator) {
        self.queue = self.link.queued(self.now);
        let rate = estimator.estimate().min(self.wanted).max(self.least) as f64;
        let varied = rate * self.rng.random_range(0.85..1.15);
        let bytes = (varied * FRAME_INTERVAL.as_secs_f64() / 8.0) as usize;
        let packets = bytes.div_ceil(1200);
        let size = bytes / packets;
        for n in 0..packets {
            let wait = self.pacing.map_or(0.0, |factor| {
                (n * size) as f64 * 8.0 / (factor * estimator.estimate() as f64)
            });
            let at = self.now + Duration::from_secs_f64(wait);
            self.send(estimator, at, size.max(60), None);
        }
    }

    /// `size` counts the headers of IP and UDP.
    fn send(
        &mut self,
        estimator: &mut impl Estimator,
        at: Instant,
        size: usize,
        probe: Option<ProbeId>,
    ) {
        let size = size.max(OVERHEAD + 12) - OVERHEAD;
        let number = estimator.sent(at, size, probe);
        self.at(at - self.start, Event::Departure(number, size));
    }

    fn depart(&mut self, number: u16, size: usize) {
        let now = self.now;
        let lost = |police: &mut Policer| police(now, size + OVERHEAD);
        if self.police.as_mut().is_some_and(lost) {
            return;
        }
        let arrivals = self.link.send(now, &mut self.rng, &[0; 1500][..size]);
        for arrival in arrivals.into_iter().flatten() {
            self.at(arrival - self.start, Event::Arrival(number));
        }
    }

    fn after(&mut self, wait: Duration, event: Event) {
        self.at(self.now - self.start + wait, event);
    }

    fn at(&mut self, at: Duration, event: Event) {
        self.count += 1;
        self.events.insert((self.start + at, self.count), event);
    }
}
