//! The scenarios that users complain of, each on many seeds.

use std::time::Duration;

use super::call::{CAMERA, Call};
use crate::shard::tests::publication::Shape;
use crate::shard::tests::sim::ms;
use crate::shard::{LayerReason, Wish};

/// The seeds each scenario is run on: `CROSSPOINT_SEEDS` says how many, or which: `100`, or `17..18`.
fn seeds() -> std::ops::Range<u64> {
    let asked = std::env::var("CROSSPOINT_SEEDS").unwrap_or_default();
    let (from, to) = asked.split_once("..").unwrap_or(("0", &asked));
    from.parse().unwrap_or(0)..to.parse().unwrap_or(3)
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A wish for a picture no higher than this.
fn tile(height: u16) -> Wish {
    Wish {
        height: Some(height),
        ..Wish::default()
    }
}

const MBIT: u64 = 1_000_000;

#[test]
fn a_downlink_that_narrows_and_widens_again() {
    for seed in seeds() {
        let mut call = Call::new(seed, 2);
        call.publish(0);
        call.sim.clients[1].down.rate = Some(5 * MBIT);
        call.sim.clients[1].down.jitter = ms(seed % 4);
        call.view(1, 0, Wish::default());
        let start = call.run(s(5));
        let narrow = call.run(s(10));
        // What it was sent at first is not sent in vain.
        let wanted = [0, 1, 2].map(|encoding| call.sim.publication(0, encoding).wanted);
        assert_eq!(wanted, [true, false, false], "seed {seed}");
        call.sim.clients[1].down.rate = Some(MBIT / 2);
        let wide = call.run(s(20));
        call.sim.clients[1].down.rate = Some(5 * MBIT);
        let end = call.run(s(20));
        let seen = call.seen(1, 0);
        assert!(seen.share_of(0, start, narrow) > 0.9, "seed {seed}");
        let dropped = seen.last_of(0, wide).expect("the top layer") - narrow;
        assert!(dropped < s(2), "seed {seed}: dropped after {dropped:?}");
        let freeze = seen.longest_freeze(start, end);
        assert!(freeze < s(1), "seed {seed}: froze for {freeze:?}");
        let back = seen.first_of(0, wide).map(|at| at - wide);
        assert!(
            back.is_some_and(|back| back < s(15)),
            "seed {seed}: back {back:?}"
        );
    }
}

#[test]
fn one_packet_of_ten_is_lost_both_ways() {
    for seed in seeds() {
        // The second viewer has no RED.
        let mut call = Call::new(seed, 3);
        call.publish_with_red(0);
        for client in 0..3 {
            let this = &mut call.sim.clients[client];
            for link in [&mut this.up, &mut this.down] {
                (link.loss, link.rate) = (0.1, Some(5 * MBIT));
            }
        }
        call.view_with_red(1, 0, Wish::default());
        call.view(2, 0, Wish::default());
        let start = call.run(s(5));
        let end = call.run(s(30));
        for viewer in [1, 2] {
            let seen = call.seen(viewer, 0);
            let freeze = seen.longest_freeze(start, end);
            assert!(freeze < ms(500), "seed {seed}: froze for {freeze:?}");
            let made_up = call.made_up(viewer, 0, start, end);
            assert!(made_up < 0.05, "seed {seed}: {made_up} of the voice");
        }
        // Its publisher is told, so that Opus has copies too.
        let reports = &call.voice_of(0).reports;
        let told = reports
            .iter()
            .map(|report| f64::from(report.fraction_lost) / 256.0);
        let told = told.sum::<f64>() / reports.len() as f64;
        assert!((0.05..0.2).contains(&told), "seed {seed}: told {told}");
    }
}

#[test]
fn one_narrow_viewer_among_five() {
    for seed in seeds() {
        let mut call = Call::new(seed, 6);
        call.publish(0);
        for viewer in 1..6 {
            let rate = if viewer == 1 { 300_000 } else { 5 * MBIT };
            call.sim.clients[viewer].down.rate = Some(rate);
            call.view(viewer, 0, Wish::default());
        }
        let start = call.run(s(8));
        let sent = |call: &Call| call.sim.publication(0, 0).bytes;
        let before = sent(&call);
        let end = call.run(s(20));
        for viewer in 2..6 {
            let seen = call.seen(viewer, 0);
            let share = seen.share_of(0, start, end);
            assert!(
                share > 0.98,
                "seed {seed}: {viewer} saw {share} of the best"
            );
            assert!(seen.longest_freeze(start, end) < ms(500), "seed {seed}");
        }
        let narrow = call.seen(1, 0);
        assert!(narrow.share_of(1, start, end) < 0.02, "seed {seed}");
        let freeze = narrow.longest_freeze(start, end);
        assert!(freeze < s(1), "seed {seed}: froze for {freeze:?}");
        let published = (sent(&call) - before) as f64 * 8.0 / 20.0;
        assert!(
            published > f64::from(CAMERA[0]) * 0.9,
            "seed {seed}: {published}"
        );
    }
}

#[test]
fn a_long_way_with_loss() {
    for seed in seeds() {
        let mut call = Call::new(seed, 2);
        call.publish(0);
        for client in 0..2 {
            let this = &mut call.sim.clients[client];
            for link in [&mut this.up, &mut this.down] {
                (link.loss, link.delay, link.rate) = (0.05, ms(100), Some(5 * MBIT));
            }
        }
        call.view(1, 0, Wish::default());
        let start = call.run(s(8));
        let end = call.run(s(30));
        let seen = call.seen(1, 0);
        let freeze = seen.longest_freeze(start, end);
        assert!(freeze < ms(1500), "seed {seed}: froze for {freeze:?}");
        assert!(seen.share_of(0, start, end) > 0.5, "seed {seed}");
    }
}

#[test]
fn a_way_that_becomes_long_and_lossy() {
    for seed in seeds() {
        let mut call = Call::new(seed, 2);
        call.publish(0);
        call.view(1, 0, Wish::default());
        let start = call.run(s(8));
        let this = &mut call.sim.clients[1];
        for link in [&mut this.up, &mut this.down] {
            (link.loss, link.delay) = (0.05, ms(100));
        }
        let end = call.run(s(25));
        let seen = call.seen(1, 0);
        let freeze = seen.longest_freeze(start, end);
        assert!(freeze < s(1), "seed {seed}: froze for {freeze:?}");
        let share = seen.share_of(0, start, end);
        assert!(share > 0.9, "seed {seed}: {share} of the best");
    }
}

#[test]
fn an_uplink_that_halves() {
    for seed in seeds() {
        let mut call = Call::new(seed, 2);
        call.publish(0);
        call.limit_uplink(0, 4 * MBIT);
        call.view(1, 0, Wish::default());
        let start = call.run(s(10));
        let halved = call.run(s(10));
        call.limit_uplink(0, MBIT);
        let end = call.run(s(20));
        let seen = call.seen(1, 0);
        let freeze = seen.longest_freeze(start, end);
        assert!(freeze < ms(1500), "seed {seed}: froze for {freeze:?}");
        assert!(seen.share_of(0, start, halved) > 0.9, "seed {seed}");
        assert!(seen.share_of(1, halved + s(4), end) > 0.9, "seed {seed}");
    }
}

#[test]
fn an_encoding_that_stalls_gives_way_to_a_lesser_one() {
    for seed in seeds() {
        let mut call = Call::new(seed, 3);
        call.publish(0);
        call.view(1, 0, Wish::default());
        // Somebody else sees a smaller one, so that it is sent.
        call.view(2, 0, tile(360));
        let start = call.run(s(8));
        // Its encoder drops most pictures of the best one, as browsers do where there is no room for them.
        let encoder = |call: &mut Call, interval, bitrate| {
            let publication = call.sim.publication_mut(0, 0);
            publication.interval = interval;
            publication.shape = Some(Shape::new(bitrate, true));
        };
        encoder(&mut call, ms(1_200), 80_000);
        let end = call.run(s(8));
        encoder(&mut call, ms(33), CAMERA[0]);
        let back = call.run(s(12));
        let seen = call.seen(1, 0);
        let freeze = seen.longest_freeze(start, back);
        assert!(freeze < ms(700), "seed {seed}: froze for {freeze:?}");
        assert!(seen.share_of(0, start + s(2), end) < 0.2, "seed {seed}");
        assert!(seen.share_of(0, back - s(2), back) > 0.9, "seed {seed}");
    }
}

#[test]
fn an_encoding_that_its_publisher_stops_gives_way_as_soon_as_it_says_so() {
    // The stream's number, three in all, what each has; temporal layers and bitrates.
    let says =
        |stream: u8, best: u8| Some(vec![stream << 6 | 0x20, best | 1, 0x10, 0x54, 9, 9, 9, 9]);
    for seed in seeds() {
        let mut call = Call::new(seed, 3);
        call.publish(0);
        for encoding in 0..3 {
            call.sim.publication_mut(0, encoding).allocation = says(encoding as u8, 0x10);
        }
        call.view(1, 0, Wish::default());
        call.view(2, 0, tile(360));
        let start = call.run(s(8));
        call.sim.publication_mut(0, 0).running = false;
        for encoding in 1..3 {
            call.sim.publication_mut(0, encoding).allocation = says(encoding as u8, 0);
        }
        let end = call.run(s(8));
        let now = call.sim.now;
        for encoding in 0..3 {
            let publication = call.sim.publication_mut(0, encoding);
            publication.allocation = says(encoding as u8, 0x10);
            (publication.running, publication.next_frame) = (true, now);
            publication.keyframe_wanted |= encoding == 0;
        }
        let back = call.run(s(8));
        let seen = call.seen(1, 0);
        let freeze = seen.longest_freeze(start, back);
        assert!(freeze < ms(350), "seed {seed}: froze for {freeze:?}");
        assert!(seen.share_of(1, start + s(1), end) > 0.95, "seed {seed}");
        assert!(seen.share_of(0, end + s(3), back) > 0.95, "seed {seed}");
    }
}

#[test]
fn the_estimate_of_a_steady_link_settles_near_what_it_carries() {
    for seed in seeds() {
        let mut call = Call::new(seed, 2);
        call.publish(0);
        call.sim.clients[1].down.rate = Some(2 * MBIT);
        call.sim.clients[1].down.jitter = ms(seed % 3);
        call.view(1, 0, Wish::default());
        call.run(s(10));
        // A picture waits behind itself for a moment, and a probe behind that: what counts is what stays.
        for second in 0..20 {
            let mut queues = Vec::new();
            for _ in 0..100 {
                let now = call.run(ms(10));
                let estimate = call.bandwidth(1).estimate;
                assert!(
                    (17 * MBIT / 10..=2 * MBIT).contains(&estimate),
                    "seed {seed}: {estimate}"
                );
                queues.push(call.sim.clients[1].down.queued(now));
            }
            let mean = queues.iter().sum::<Duration>() / 100;
            let longest = queues.iter().max().copied().unwrap_or_default();
            assert!(
                mean < ms(50) && longest < ms(120),
                "seed {seed}: {mean:?} of queue, {longest:?} at worst, in second {second}"
            );
        }
    }
}

#[test]
fn a_track_of_which_nothing_fits_is_paused_and_comes_back() {
    for seed in seeds() {
        let mut call = Call::new(seed, 2);
        call.publish_one(0, 1_500_000);
        call.sim.clients[1].down.rate = Some(400_000);
        call.view(1, 0, Wish::default());
        let narrow = call.run(s(10));
        assert_eq!(
            call.told(1).last(),
            Some(&(None, Some(LayerReason::Bandwidth))),
            "seed {seed}"
        );
        call.sim.clients[1].down.rate = Some(5 * MBIT);
        let end = call.run(s(15));
        let seen = call.seen(1, 0);
        let back = seen.first_of(0, narrow).map(|at| at - narrow);
        assert!(
            back.is_some_and(|back| back < s(12)),
            "seed {seed}: back {back:?}"
        );
        assert!(
            seen.longest_freeze(end - s(2), end) < ms(300),
            "seed {seed}"
        );
        let told = call.told(1);
        assert!(
            matches!(told.last(), Some((Some(_), None))),
            "seed {seed}: {told:?}"
        );
    }
}

#[test]
fn a_large_room_of_which_nine_are_seen() {
    const ROOM: usize = 25;
    let tile = Wish {
        width: Some(640),
        height: Some(360),
        ..Wish::default()
    };
    let hidden = Wish {
        paused: true,
        ..tile
    };
    for seed in seeds() {
        let mut call = Call::new(seed, ROOM);
        for client in 1..ROOM {
            call.publish(client);
        }
        call.sim.clients[0].down.rate = Some(6 * MBIT);
        for other in 1..ROOM {
            let wish = if other <= 9 { tile } else { hidden };
            call.view(0, other, wish);
        }
        let mut from = call.run(s(4));
        let mut seen = 1..10;
        for _ in 0..2 {
            let scrolled = call.run(s(4));
            for other in 1..ROOM {
                let player = call.seen(0, other);
                let shown = player.shown_between(from, scrolled);
                if seen.contains(&other) {
                    let freeze = player.longest_freeze(from, scrolled);
                    assert!(freeze < s(1), "seed {seed}: {other} froze for {freeze:?}");
                    let best = player.share_of(0, from, scrolled);
                    assert!(best < 0.05, "seed {seed}: {other} is larger than its tile");
                } else {
                    assert_eq!(shown, 0, "seed {seed}: {other} is not seen");
                }
            }
            for other in seen.clone() {
                call.wish(0, other, hidden);
            }
            seen = seen.start + 8..seen.end + 7;
            for other in seen.clone() {
                call.wish(0, other, tile);
            }
            // What is on the screen now is there within a second.
            from = call.run(s(1));
            for other in seen.clone() {
                let shown = call.seen(0, other).shown_between(scrolled, from);
                assert!(shown > 0, "seed {seed}: {other} is not there yet");
            }
        }
    }
}
