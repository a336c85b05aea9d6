use std::time::{Duration, Instant};

use super::simulation::{Simulation, ms, secs};
use crate::forward::{Bandwidth, BandwidthState};

/// Runs a simulation whose demand is twice the rate. The panic of a failed expectation names the seed.
pub(super) fn run(
    seed: u64,
    rate: u64,
    set_up: impl FnOnce(&mut Simulation),
    duration: Duration,
) -> Simulation {
    run_with_demand(seed, rate, 2 * rate, set_up, duration)
}

fn run_with_demand(
    seed: u64,
    rate: u64,
    demand: u64,
    set_up: impl FnOnce(&mut Simulation),
    duration: Duration,
) -> Simulation {
    let mut simulation = Simulation::new(seed, rate);
    simulation.wanted = demand;
    set_up(&mut simulation);
    let mut bandwidth = Bandwidth::new(simulation.start());
    bandwidth.set_demand(demand);
    simulation.run(&mut bandwidth, duration);
    simulation
}

#[track_caller]
fn expect_range(
    seed: u64,
    simulation: &Simulation,
    from: Duration,
    to: Duration,
    low: u64,
    high: u64,
    queue: Duration,
) {
    let found = simulation.range(from, to);
    assert!(
        found.0 >= low && found.1 <= high && found.2 <= queue,
        "seed {seed}: {found:?}, and not {low}..={high} with {queue:?}"
    );
}

#[test]
fn a_steady_link_is_used_to_85_percent_and_more_with_a_short_queue() {
    for seed in 0..100 {
        let rate = 2_000_000;
        let simulation = run(seed, rate, |_| (), secs(20));
        let reached = simulation.reached(ms(0), rate * 85 / 100);
        assert!(
            reached.is_some_and(|after| after < secs(4)),
            "seed {seed}: {reached:?}"
        );
        expect_range(
            seed,
            &simulation,
            secs(6),
            secs(20),
            rate * 85 / 100,
            rate,
            ms(50),
        );
    }
}
