use std::time::{Duration, Instant};

use super::simulation::{Simulation, ms, secs};
use crate::forward::{Bandwidth, BandwidthState, TransportCcRecorder};
use crate::rtp::rtcp::{RtcpPacket, RtcpPackets};

/// Runs a simulation whose application wants twice the rate. Failed expectations name the seed.
pub(super) fn run(
    seed: u64,
    rate: u64,
    set_up: impl FnOnce(&mut Simulation),
    duration: Duration,
) -> Simulation {
    let mut simulation = Simulation::new(seed, rate);
    simulation.wanted = 2 * rate;
    set_up(&mut simulation);
    let mut bandwidth = Bandwidth::new(simulation.start());
    bandwidth.set_demand(2 * rate);
    simulation.run(&mut bandwidth, duration);
    simulation
}

#[track_caller]
fn expect_range(
    seed: u64,
    simulation: &Simulation,
    (from, to): (Duration, Duration),
    (low, high): (u64, u64),
    queue: Duration,
) {
    let found = simulation.range(from, to);
    assert!(
        found.0 >= low && found.1 <= high && found.2 <= queue,
        "seed {seed}: {found:?}, and not {low}..={high} with {queue:?}"
    );
}

#[track_caller]
fn expect_reached(
    seed: u64,
    simulation: &Simulation,
    from: Duration,
    value: u64,
    within: Duration,
) {
    let reached = simulation.reached(from, value);
    assert!(
        reached.is_some_and(|after| after <= within),
        "seed {seed}: {value} was reached after {reached:?}"
    );
}

#[test]
fn a_steady_link_is_used_to_85_percent_and_more_with_a_short_queue() {
    for seed in 0..100 {
        let rate = 2_000_000;
        let simulation = run(seed, rate, |_| (), secs(20));
        expect_reached(seed, &simulation, ms(0), rate * 85 / 100, secs(4));
        let settled = (secs(6), secs(20));
        let range = (rate * 85 / 100, rate);
        expect_range(seed, &simulation, settled, range, ms(50));
    }
}

#[test]
fn so_are_slow_and_fast_links() {
    for seed in 0..20 {
        for (rate, queue) in [(300_000, ms(70)), (1_000_000, ms(55)), (10_000_000, ms(60))] {
            let simulation = run(seed, rate, |_| (), secs(20));
            let settled = (secs(8), secs(20));
            let range = (rate * 84 / 100, rate * 102 / 100);
            expect_range(seed, &simulation, settled, range, queue);
        }
    }
}

#[test]
fn probes_find_what_an_idle_application_does_not_use() {
    for seed in 0..50 {
        let rate = 2_000_000;
        let mut simulation = Simulation::new(seed, rate);
        simulation.wanted = 150_000;
        let mut bandwidth = Bandwidth::new(simulation.start());
        bandwidth.set_demand(3_000_000);
        simulation.run(&mut bandwidth, secs(20));
        expect_reached(seed, &simulation, ms(0), rate * 85 / 100, secs(4));
        let settled = (secs(6), secs(20));
        let range = (rate * 85 / 100, rate);
        expect_range(seed, &simulation, settled, range, ms(40));
        // 20 s of media at 150 kbit/s are 375 kB.
        assert!(simulation.probed < 100_000, "{} bytes", simulation.probed);
    }
}

#[test]
fn what_arrives_without_a_queue_can_be_used_without_probes() {
    for seed in 0..100 {
        let mut simulation = Simulation::new(seed, 3_000_000);
        (simulation.wanted, simulation.least) = (1_200_000, 1_200_000);
        let mut bandwidth = Bandwidth::new(simulation.start());
        simulation.run(&mut bandwidth, secs(3));
        assert_eq!(simulation.probed, 0);
        expect_reached(seed, &simulation, ms(0), 1_000_000, ms(700));
        let (_, highest, queue) = simulation.range(ms(0), secs(3));
        assert!(highest < 2_000_000 && queue < ms(50), "{highest} {queue:?}");
    }
}

#[test]
fn without_demand_there_are_no_probes() {
    let mut simulation = Simulation::new(1, 2_000_000);
    simulation.wanted = 250_000;
    let mut bandwidth = Bandwidth::new(simulation.start());
    bandwidth.set_demand(250_000);
    simulation.run(&mut bandwidth, secs(20));
    assert_eq!(simulation.probed, 0);
    assert!(bandwidth.estimate() >= 300_000);
}

#[test]
fn a_step_down_is_followed_and_a_step_up_found() {
    for seed in 0..50 {
        let set_up = |simulation: &mut Simulation| {
            simulation.change(secs(10), |s| s.link.rate = Some(500_000));
            simulation.change(secs(25), |s| s.link.rate = Some(5_000_000));
        };
        let simulation = run(seed, 5_000_000, set_up, secs(40));
        let range = (4_250_000, 5_000_000);
        expect_range(seed, &simulation, (secs(6), secs(10)), range, ms(60));
        // Within a second the estimate fits, and within three the queue is gone.
        let range = (100_000, 520_000);
        expect_range(seed, &simulation, (secs(11), secs(13)), range, ms(400));
        let range = (400_000, 510_000);
        expect_range(seed, &simulation, (secs(14), secs(25)), range, ms(70));
        expect_reached(seed, &simulation, secs(25), 4_250_000, secs(7));
        let range = (4_200_000, 5_000_000);
        expect_range(seed, &simulation, (secs(34), secs(40)), range, ms(60));
    }
}

#[test]
fn random_loss_is_not_congestion() {
    for seed in 0..20 {
        for (loss, share) in [(0.02, 80), (0.05, 75), (0.10, 70), (0.20, 60), (0.30, 50)] {
            let rate = 2_000_000;
            let set_up = |simulation: &mut Simulation| simulation.link.loss = loss;
            let simulation = run(seed, rate, set_up, secs(30));
            let settled = (secs(10), secs(30));
            let mostly =
                simulation.share(settled.0, settled.1, rate * share / 100, rate * 110 / 100);
            assert!(mostly > 0.83, "seed {seed}, loss {loss}: {mostly}");
            let (low, _, queue) = simulation.range(settled.0, settled.1);
            assert!(low > rate * 30 / 100, "seed {seed}, loss {loss}: {low}");
            assert!(queue < ms(150), "seed {seed}, loss {loss}: {queue:?}");
        }
    }
}

/// Loses what exceeds a rate, beyond a bucket of some bytes, without any delay.
pub(super) fn police(simulation: &mut Simulation, rate: f64) {
    let mut tokens = 0.0;
    let mut last = simulation.start();
    simulation.link.rate = None;
    simulation.police = Some(Box::new(move |now: Instant, len| {
        let passed = now.saturating_duration_since(last).as_secs_f64();
        last = last.max(now);
        tokens = (tokens + passed * rate / 8.0).min(20_000.0);
        let passes = tokens >= len as f64;
        if passes {
            tokens -= len as f64;
        }
        !passes
    }));
}

#[test]
fn a_policer_is_obeyed() {
    for seed in 0..20 {
        let rate = 1_000_000;
        let simulation = run(seed, rate, |s| police(s, 1e6), secs(40));
        let mostly = simulation.share(secs(10), secs(40), rate * 60 / 100, rate * 125 / 100);
        assert!(mostly > 0.6, "seed {seed}: {mostly}");
        let (low, ..) = simulation.range(secs(10), secs(40));
        assert!(low > rate * 40 / 100, "seed {seed}: {low}");
    }
}

#[test]
fn jitter_is_not_congestion() {
    for seed in 0..20 {
        for (jitter, share) in [(5, 80), (10, 75), (20, 65), (30, 60)] {
            let rate = 2_000_000;
            let set_up = |simulation: &mut Simulation| simulation.link.jitter = ms(jitter);
            let simulation = run(seed, rate, set_up, secs(40));
            let settled = (secs(20), secs(40));
            let mostly =
                simulation.share(settled.0, settled.1, rate * share / 100, rate * 105 / 100);
            assert!(mostly > 0.75, "seed {seed}, jitter {jitter}: {mostly}");
            let (_, _, queue) = simulation.range(settled.0, settled.1);
            assert!(queue < ms(180), "seed {seed}, jitter {jitter}: {queue:?}");
        }
    }
}

#[test]
fn reordering_and_duplicates_do_little_harm() {
    for seed in 0..20 {
        let rate = 2_000_000;
        let set_up = |simulation: &mut Simulation| {
            simulation.link.reordering = 0.05;
            simulation.link.duplication = 0.02;
        };
        let simulation = run(seed, rate, set_up, secs(30));
        let mostly = simulation.share(secs(8), secs(30), rate * 80 / 100, rate * 102 / 100);
        assert!(mostly > 0.8, "seed {seed}: {mostly}");
    }
}

#[test]
fn a_long_way_with_losses_is_used() {
    for seed in 0..20 {
        let rate = 2_000_000;
        let set_up = |simulation: &mut Simulation| {
            simulation.link.delay = ms(100);
            simulation.back_delay = ms(100);
            simulation.link.loss = 0.05;
        };
        let simulation = run(seed, rate, set_up, secs(30));
        let mostly = simulation.share(secs(10), secs(30), rate * 75 / 100, rate);
        assert!(mostly > 0.9, "seed {seed}: {mostly}");
    }
}

#[test]
fn lost_feedback_is_no_loss() {
    for seed in 0..20 {
        let rate = 2_000_000;
        let set_up = |simulation: &mut Simulation| simulation.feedback_loss = 0.3;
        let simulation = run(seed, rate, set_up, secs(30));
        let mostly = simulation.share(secs(10), secs(30), rate * 80 / 100, rate * 105 / 100);
        assert!(mostly > 0.85, "seed {seed}: {mostly}");
    }
}

#[test]
fn clocks_may_drift() {
    for seed in 0..10 {
        for drift in [-200.0, 200.0] {
            let rate = 2_000_000;
            let set_up = |simulation: &mut Simulation| simulation.drift = drift;
            let simulation = run(seed, rate, set_up, secs(60));
            let settled = (secs(6), secs(60));
            let range = (rate * 84 / 100, rate);
            expect_range(seed, &simulation, settled, range, ms(60));
        }
    }
}

#[test]
fn pacing_changes_little() {
    for seed in 0..20 {
        let rate = 2_000_000;
        let set_up = |simulation: &mut Simulation| simulation.pacing = Some(2.5);
        let simulation = run(seed, rate, set_up, secs(20));
        let mostly = simulation.share(secs(6), secs(20), rate * 85 / 100, rate);
        assert!(mostly > 0.9, "seed {seed}: {mostly}");
        let range = (rate * 80 / 100, rate);
        expect_range(seed, &simulation, (secs(6), secs(20)), range, ms(80));
    }
}

#[test]
fn silence_lowers_the_estimate_and_its_end_restores_it() {
    for seed in 0..20 {
        let rate = 2_000_000;
        let set_up = |simulation: &mut Simulation| {
            simulation.change(secs(10), |s| s.feedback_loss = 1.0);
            simulation.change(secs(20), |s| s.feedback_loss = 0.0);
        };
        let simulation = run(seed, rate, set_up, secs(40));
        let (low, ..) = simulation.range(secs(19), secs(20));
        assert_eq!(low, 50_000, "seed {seed}");
        expect_reached(seed, &simulation, secs(20), rate * 80 / 100, secs(7));
        let settled = (secs(30), secs(40));
        let range = (rate * 84 / 100, rate);
        expect_range(seed, &simulation, settled, range, ms(60));
    }
}

#[test]
fn a_longer_route_is_no_queue_for_long() {
    for seed in 0..20 {
        let rate = 2_000_000;
        let set_up = |simulation: &mut Simulation| {
            simulation.change(secs(10), |s| s.link.delay += ms(60));
        };
        let simulation = run(seed, rate, set_up, secs(30));
        let (low, ..) = simulation.range(secs(10), secs(30));
        assert!(low > rate * 40 / 100, "seed {seed}: {low}");
        let mostly = simulation.share(secs(18), secs(30), rate * 80 / 100, rate);
        assert!(mostly > 0.95, "seed {seed}: {mostly}");
    }
}

#[test]
fn remb_counts_only_where_nothing_better_comes() {
    let start = Instant::now();
    let mut bandwidth = Bandwidth::new(start);
    bandwidth.handle_remb(start, 700_000);
    assert_eq!(bandwidth.estimate(), 700_000);
    assert_eq!(bandwidth.stats().state, BandwidthState::Remb);
    bandwidth.handle_remb(start, 0);
    assert_eq!(bandwidth.estimate(), 50_000);
    bandwidth.handle_remb(start, u64::MAX);
    assert_eq!(bandwidth.estimate(), 100_000_000);

    let mut simulation = Simulation::new(1, 2_000_000);
    let mut bandwidth = Bandwidth::new(simulation.start());
    simulation.run(&mut bandwidth, secs(5));
    let estimate = bandwidth.estimate();
    let now = simulation.start() + secs(5);
    bandwidth.handle_remb(now, 5_000_000);
    assert_eq!(bandwidth.estimate(), estimate);
    bandwidth.handle_remb(now + secs(3), 5_000_000);
    assert_eq!(bandwidth.estimate(), 5_000_000);
}

#[test]
fn timeouts_are_never_far_behind() {
    let start = Instant::now();
    let mut bandwidth = Bandwidth::new(start);
    assert_eq!(bandwidth.poll_timeout(), None);
    bandwidth.set_demand(1_000_000);
    let now = bandwidth.poll_timeout().unwrap();
    let probe = bandwidth.poll_probe(now).unwrap();
    assert!(probe.bitrate > 300_000 && probe.packets >= 5);
    // Nobody sends it: after a while it is given up, and another is asked for later.
    let now = bandwidth.poll_timeout().unwrap();
    assert!(now > start);
    bandwidth.handle_timeout(now);
    assert_eq!(bandwidth.poll_probe(now), None);
    let later = bandwidth.poll_timeout().unwrap();
    assert!(later > now);
    bandwidth.handle_timeout(later);
    assert!(bandwidth.poll_probe(later).is_some());
}

#[test]
fn a_receiver_that_is_busy_when_it_joins_is_probed_again_soon() {
    for seed in 0..50 {
        let mut simulation = Simulation::new(seed, 350_000);
        simulation.wanted = 2_500_000;
        simulation.change(ms(500), |s| s.link.rate = Some(10_000_000));
        let mut bandwidth = Bandwidth::new(simulation.start());
        bandwidth.set_demand(2_500_000);
        simulation.run(&mut bandwidth, secs(5));
        expect_reached(seed, &simulation, ms(0), 2_000_000, ms(2_000));
    }
}

#[test]
fn what_is_kept_is_bounded() {
    let start = Instant::now();
    let mut bandwidth = Bandwidth::new(start);
    for n in 0..70_000_u64 {
        let number = bandwidth.sent(start + Duration::from_micros(100 * n), 1200, None);
        assert_eq!(number, n as u16);
    }
    assert!(bandwidth.kept() <= 4096);
    bandwidth.sent(start + secs(3600), 1200, None);
    assert_eq!(bandwidth.kept(), 1);
}

#[test]
fn what_was_reported_is_kept_for_a_second() {
    let start = Instant::now();
    let mut bandwidth = Bandwidth::new(start);
    let mut recorder = TransportCcRecorder::default();
    for n in 0..2_000 {
        let now = start + n * ms(5);
        let number = bandwidth.sent(now, 1200, None);
        recorder.record(now, number);
        if n % 10 == 9 {
            let mut datagram = vec![];
            recorder.build_feedback(now, &mut datagram, 1, 2);
            for packet in RtcpPackets::new(&datagram) {
                if let RtcpPacket::TransportCc { feedback, .. } = packet {
                    bandwidth.handle_feedback(now, feedback);
                }
            }
        }
    }
    assert_eq!(bandwidth.kept(), 201);
}
