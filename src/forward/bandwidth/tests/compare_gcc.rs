//! Why this estimator and not `rtc-interceptor`'s `Gcc`: both in the same simulation.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use interceptor::{BandwidthEstimator, Gcc, PacketReport};

use super::simulation::{Estimator, Simulation, ms, secs};
use crate::forward::bandwidth::feedback::{Feedback, ReferenceClock};
use crate::forward::{Bandwidth, ProbeId};
use crate::rtp::sequence::extend;

const SEEDS: u64 = 5;

/// `Gcc` with the bookkeeping that it leaves to its caller.
#[derive(Default)]
struct GccSender {
    gcc: Gcc,
    clock: ReferenceClock,
    sent: BTreeMap<u64, (Instant, usize)>,
    next: u64,
}

impl Estimator for GccSender {
    fn sent(&mut self, at: Instant, size: usize, _probe: Option<ProbeId>) -> u16 {
        let number = self.next;
        self.next += 1;
        // As our own counts it.
        self.sent.insert(number, (at, size + 28));
        number as u16
    }

    fn handle_feedback(&mut self, now: Instant, fci: &[u8]) {
        let mut reports = vec![];
        for (number, arrival) in Feedback::parse(fci, &mut self.clock).unwrap() {
            let id = extend(self.next, number);
            let Some((departure, size)) = self.sent.get(&id).copied() else {
                continue;
            };
            reports.push(PacketReport {
                ssrc: 1,
                id,
                rtp_sequence_number: number,
                is_twcc: true,
                twcc_sequence_number: number,
                size,
                arrived: arrival.is_some(),
                departure,
                arrival: arrival.map(|at| Duration::from_micros(at as u64)),
                ecn: Default::default(),
            });
            if arrival.is_some() {
                self.sent.remove(&id);
            }
        }
        self.gcc.on_reports(now, &reports);
    }

    fn estimate(&self) -> u64 {
        self.gcc.target_bitrate() as u64
    }
}

/// The same twice; `set_up` is for both.
fn both(
    seed: u64,
    rate: u64,
    wanted: u64,
    set_up: impl Fn(&mut Simulation),
    duration: Duration,
) -> [Simulation; 2] {
    let mut ours = Simulation::new(seed, rate);
    ours.wanted = wanted;
    set_up(&mut ours);
    let mut bandwidth = Bandwidth::new(ours.start());
    bandwidth.set_demand(wanted);
    ours.run(&mut bandwidth, duration);

    let mut theirs = Simulation::new(seed, rate);
    theirs.wanted = wanted;
    set_up(&mut theirs);
    theirs.run(&mut GccSender::default(), duration);
    [ours, theirs]
}

fn report(what: &str, seed: u64, both: &[Simulation; 2], from: Duration, to: Duration) {
    for (name, simulation) in ["ours", "Gcc "].into_iter().zip(both) {
        let (low, high, queue) = simulation.range(from, to);
        println!(
            "{what}, seed {seed}, {name}: {} to {} kbit/s, queue up to {} ms, after {from:?}",
            low / 1000,
            high / 1000,
            queue.as_millis(),
        );
    }
}

#[test]
fn on_a_steady_link() {
    for seed in 0..SEEDS {
        let rate = 2_000_000;
        let both = both(seed, rate, 4_000_000, |_| (), secs(60));
        report("steady 2 Mbit/s", seed, &both, secs(10), secs(60));
        let [ours, theirs] = both;
        let (low, high, queue) = ours.range(secs(6), secs(60));
        assert!(low >= rate * 85 / 100 && high <= rate, "{low}..{high}");
        assert!(queue < ms(60), "{queue:?}");
        // It starts slowly, and then fills the queue.
        assert!(
            theirs
                .reached(ms(0), rate * 85 / 100)
                .is_none_or(|after| after > secs(15))
        );
        assert!(theirs.range(secs(10), secs(60)).2 > ms(150));
    }
}

#[test]
fn on_a_link_that_gets_slower_and_faster() {
    for seed in 0..SEEDS {
        let set_up = |simulation: &mut Simulation| {
            simulation.change(secs(15), |s| s.link.rate = Some(500_000));
            simulation.change(secs(30), |s| s.link.rate = Some(5_000_000));
        };
        let both = both(seed, 5_000_000, 10_000_000, set_up, secs(45));
        report("5 Mbit/s", seed, &both, secs(8), secs(15));
        report("0.5 Mbit/s", seed, &both, secs(18), secs(30));
        report("5 Mbit/s again", seed, &both, secs(37), secs(45));
        let [ours, theirs] = both;
        assert!(
            ours.reached(secs(30), 4_250_000)
                .is_some_and(|after| after < secs(7))
        );
        assert!(
            theirs
                .reached(secs(30), 4_250_000)
                .is_none_or(|after| after > secs(8))
        );
        assert!(theirs.range(secs(18), secs(30)).2 > ms(150));
        let (low, high, queue) = ours.range(secs(19), secs(30));
        assert!(low > 350_000 && high < 510_000, "{low}..{high}");
        assert!(queue < ms(70), "{queue:?}");
    }
}

#[test]
fn on_a_link_that_loses_a_tenth() {
    for seed in 0..SEEDS {
        let rate = 2_000_000;
        let both = both(seed, rate, 4_000_000, |s| s.link.loss = 0.1, secs(60));
        report("10 % loss", seed, &both, secs(10), secs(60));
        let [ours, theirs] = both;
        let mostly = ours.share(secs(10), secs(60), rate * 70 / 100, rate * 102 / 100);
        assert!(mostly > 0.9, "{mostly}");
        assert!(theirs.share(secs(10), secs(60), 0, rate * 30 / 100) > 0.9);
    }
}

#[test]
fn with_an_application_that_sends_little() {
    for seed in 0..SEEDS {
        let set_up = |simulation: &mut Simulation| simulation.wanted = 150_000;
        let both = both(seed, 1_000_000, 3_000_000, set_up, secs(60));
        report(
            "150 kbit/s sent on 1 Mbit/s",
            seed,
            &both,
            secs(50),
            secs(60),
        );
        let [ours, theirs] = both;
        let (low, high, _) = ours.range(secs(6), secs(60));
        assert!(low >= 850_000 && high <= 1_020_000, "{low}..{high}");
        // It claims what nothing has shown.
        assert!(theirs.range(secs(50), secs(60)).1 > 2_000_000);
    }
}
