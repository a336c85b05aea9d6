//! What the server has kept leaves for each receiver at a pace that its network can take.

use std::time::{Duration, Instant};

use super::publication::{Plain, Shape};
use super::sim::{SimNet, Source, ms};
use crate::forward::DropReason;

/// Bits a second of a single encoding whose keyframe has 60 packets: 15 frames of 2 Mbit/s.
const BITRATE: u32 = 4_000_000;
const KEYFRAME: u8 = 60;

/// A publisher whose first keyframe is large, and who sends little afterwards, and viewers.
fn calm_after_a_large_keyframe(seed: u64, clients: usize) -> (SimNet, Source) {
    let mut sim = SimNet::with_clients(seed, clients);
    let source = Source::video(1);
    sim.publish(0, source);
    let publication = sim.publication_mut(0, 0);
    publication.interval = ms(33);
    publication.shape = Some(Shape::new(BITRATE, false));
    sim.run(ms(1));
    sim.publication_mut(0, 0).shape = Some(Shape::new(100_000, false));
    (sim, source)
}

/// A queue of so many packets of 1,150 bytes.
fn limit(sim: &mut SimNet, client: usize, rate: u64, packets: u64) {
    let down = &mut sim.clients[client].down;
    down.rate = Some(rate);
    down.queue = Duration::from_micros(packets * 1_178 * 8 * 1_000_000 / rate);
}

/// When all packets of a frame were there.
fn whole_at(sim: &SimNet, client: usize, frame: u32) -> Option<Instant> {
    let packets = sim.receiver(client, 0).packets.values();
    let of: Vec<_> = packets.filter(|got| got.content.frame == frame).collect();
    let count = of.first().map_or(0, |got| usize::from(got.content.count));
    (count > 0 && of.len() == count).then(|| of.iter().map(|got| got.at).max())?
}

/// The publisher sends a packet without media, between two frames.
fn send_nothing(sim: &mut SimNet) {
    let publication = sim.publication_mut(0, 0);
    let sequence = publication.sequence;
    let nothing = Plain {
        payload: Vec::new(),
        ..publication.sent[&(sequence - 1)].clone()
    };
    publication.sent.insert(sequence, nothing);
    publication.sequence += 1;
    sim.clients[0].send_media(0, sequence);
    sim.send_up(0);
}

#[test]
fn a_large_keyframe_does_not_overflow_the_queue_of_a_newcomer() {
    for seed in 0..5 {
        let (mut sim, source) = calm_after_a_large_keyframe(300 + seed, 4);
        limit(&mut sim, 1, 1_000_000, 20);
        sim.subscribe(2, source);
        sim.run(ms(200));
        let joined = sim.now;
        sim.clients[1].feeds_back = true;
        sim.subscribe(1, source);
        sim.subscribe(3, source);
        sim.run(ms(1_500));
        sim.settle();
        let first = sim.receiver(1, 0).contents().next().expect("a packet");
        assert_eq!((first.frame, first.count), (0, KEYFRAME));
        assert_eq!(sim.clients[1].down.overflows, 0, "seed {seed}");
        assert_eq!(sim.receiver(1, 0).repaired, 0);
        for viewer in 1..4 {
            let receiver = sim.receiver(viewer, 0);
            receiver.assert_playable();
            let frames = sim.publication(0, 0).frame as usize;
            assert_eq!(receiver.whole_frames(source.tag()).len(), frames);
        }
        // As early as the link allows, which takes 570 ms for it and what comes meanwhile.
        let shown = whole_at(&sim, 1, 0).unwrap() - joined;
        assert!(shown < ms(620), "seed {seed}: after {shown:?}");
        // It has caught up: what comes now comes at once.
        let publication = sim.publication(0, 0);
        let frame = publication.frame - 1;
        let captured = publication.captured[frame as usize];
        assert!(whole_at(&sim, 1, frame).unwrap() - captured <= ms(35));
        // Nobody else waits for that.
        for frame in 2..publication.frame {
            let captured = sim.publication(0, 0).captured[frame as usize];
            let late = whole_at(&sim, 2, frame).unwrap() - captured;
            assert!(late <= ms(25), "{frame} came after {late:?}");
        }
        assert!(sim.publication(0, 0).plis.is_empty(), "no other was needed");
    }
}

#[test]
fn a_burst_is_short_and_a_small_keyframe_comes_at_once() {
    let mut sim = SimNet::with_clients(310, 2);
    let source = Source::video(1);
    sim.publish(0, source);
    sim.publication_mut(0, 0).packets_per_frame = 8;
    sim.run(ms(30));
    let joined = sim.now;
    sim.subscribe(1, source);
    sim.run(ms(11));
    assert!(whole_at(&sim, 1, 0).is_some_and(|at| at - joined <= ms(10)));

    let (mut sim, source) = calm_after_a_large_keyframe(311, 2);
    sim.run(ms(100));
    sim.subscribe(1, source);
    sim.run(ms(1_000));
    let mut times: Vec<_> = sim.receiver(1, 0).packets.values().map(|g| g.at).collect();
    times.dedup_by(|at, first| *at - *first < ms(1));
    assert!(times.len() > 20, "{}", times.len());
    let packets = sim.receiver(1, 0).packets.values();
    let first = packets.filter(|got| got.at < times[0] + ms(1)).count();
    assert!(first <= 10, "{first} at once");
}

#[test]
fn a_new_keyframe_overtakes_what_is_still_sent_of_the_last() {
    for seed in 0..5 {
        let (mut sim, source) = calm_after_a_large_keyframe(320 + seed, 2);
        sim.run(ms(300));
        sim.subscribe(1, source);
        sim.run(ms(40 * seed + 20));
        send_nothing(&mut sim);
        sim.publication_mut(0, 0).keyframe_wanted = true;
        sim.run(ms(60));
        let receiver = sim.receiver(1, 0);
        let of_first = receiver.contents().filter(|c| c.frame == 0).count();
        assert!((8..usize::from(KEYFRAME)).contains(&of_first), "{of_first}");
        let new = receiver.packets.values().find(|got| got.content.frame > 0);
        let new = new.expect("another frame");
        let captured = sim.publication(0, 0).captured[new.content.frame as usize];
        assert!(new.content.keyframe && new.at - captured <= ms(40));
        sim.run(ms(300));
        sim.settle();
        // Its numbers are in order and without a gap, and so are the pictures after it.
        sim.receiver(1, 0).assert_playable();
        assert!(sim.publication(0, 0).plis.is_empty());
    }
}

#[test]
fn a_viewer_that_waits_for_the_rest_of_a_keyframe_gets_no_other() {
    let (mut sim, source) = calm_after_a_large_keyframe(330, 2);
    sim.run(ms(100));
    sim.subscribe(1, source);
    sim.run(ms(250));
    sim.clients[1].ask_for_keyframe(0);
    sim.send_up(1);
    sim.run(ms(500));
    assert_eq!(sim.publication(0, 0).plis.len(), 0);
    assert!(whole_at(&sim, 1, 0).is_some());
    sim.clients[1].ask_for_keyframe(0);
    sim.send_up(1);
    sim.run(ms(500));
    assert_eq!(sim.publication(0, 0).plis.len(), 1, "now it is asked for");
}

#[test]
fn losses_and_padding_on_the_way_here_are_met_by_the_replay_as_by_others() {
    for seed in 0..10 {
        let (mut sim, source) = calm_after_a_large_keyframe(340 + seed, 3);
        sim.subscribe(2, source);
        sim.run(ms(100));
        sim.publication_mut(0, 0).interval = ms(10);
        sim.subscribe(1, source);
        for _ in 0..20 {
            (sim.clients[0].up.loss, sim.clients[0].up.reordering) = (0.0, 0.0);
            send_nothing(&mut sim);
            (sim.clients[0].up.loss, sim.clients[0].up.reordering) = (0.2, 0.2);
            sim.run(ms(20));
        }
        (sim.clients[0].up.loss, sim.clients[0].up.reordering) = (0.0, 0.0);
        sim.run(ms(100));
        sim.settle();
        for viewer in [1, 2] {
            let receiver = sim.receiver(viewer, 0);
            assert_eq!(receiver.holes(), 0, "seed {seed}, viewer {viewer}");
            let frames = sim.publication(0, 0).frame as usize;
            assert_eq!(receiver.whole_frames(source.tag()).len(), frames);
        }
    }
}

#[test]
fn many_keyframes_at_once_share_the_pace() {
    let mut sim = SimNet::with_clients(350, 7);
    let sources: Vec<_> = (0..6).map(|n| Source::video(1 + n)).collect();
    for (client, source) in sources.iter().enumerate() {
        sim.publish(client, *source);
        sim.publication_mut(client, 0).packets_per_frame = 12;
    }
    sim.run(ms(20));
    for client in 0..6 {
        sim.publication_mut(client, 0).packets_per_frame = 1;
    }
    sim.run(ms(100));
    let joined = sim.now;
    limit(&mut sim, 6, 1_500_000, 15);
    for source in &sources {
        sim.subscribe(6, *source);
    }
    sim.run(ms(1_000));
    sim.settle();
    assert_eq!(sim.clients[6].down.overflows, 0);
    for index in 0..6 {
        let receiver = sim.receiver(6, index);
        receiver.assert_playable();
        assert_eq!(receiver.packets.values().next().unwrap().content.frame, 0);
        let first = receiver.packets.values().take(12).map(|got| got.at).max();
        assert!(first.unwrap() - joined < ms(560));
    }
}

#[test]
fn what_is_asked_for_in_bulk_is_not_sent_in_bulk() {
    let mut sim = SimNet::with_clients(360, 2);
    let source = Source::video(1);
    sim.publish(0, source);
    sim.subscribe(1, source);
    let publication = sim.publication_mut(0, 0);
    publication.interval = ms(33);
    publication.shape = Some(Shape::new(1_000_000, false));
    sim.run(ms(2_000));
    sim.clients[1].down.loss = 1.0;
    sim.run(ms(200));
    sim.clients[1].down.loss = 0.0;
    let again = sim.now;
    let before = sim.receiver(1, 0).repaired;
    sim.run(ms(600));
    let receiver = sim.receiver(1, 0);
    let repaired = receiver.repaired - before;
    assert!(repaired > 15, "{repaired}");
    sim.settle();
    assert_eq!(sim.receiver(1, 0).holes(), 0);
    let packets = sim.receiver(1, 0).packets.values();
    let times: Vec<_> = packets.map(|got| got.at).filter(|at| *at > again).collect();
    let most = times.iter().map(|first| {
        let burst = times
            .iter()
            .filter(|at| **at >= *first && **at < *first + ms(2));
        burst.count()
    });
    let most = most.max().unwrap();
    assert!(most <= 16, "{most} at once");
    assert_eq!(sim.drops(DropReason::RateLimited), 0);
}

#[test]
fn a_replay_ends_with_what_it_is_of() {
    type Change = fn(&mut SimNet, Source);
    let changes: [Change; 4] = [
        |sim, source| sim.mute(0, source, true),
        |sim, source| sim.pause(1, source, true),
        |sim, _| sim.unsubscribe(1, 0),
        |sim, _| sim.unpublish(0, 0),
    ];
    for (seed, change) in changes.into_iter().enumerate() {
        let (mut sim, source) = calm_after_a_large_keyframe(370 + seed as u64, 2);
        sim.run(ms(100));
        sim.subscribe(1, source);
        sim.run(ms(50));
        change(&mut sim, source);
        sim.run(ms(15));
        let before = sim.receiver(1, 0).packets.len();
        sim.run(ms(1_000));
        assert_eq!(sim.receiver(1, 0).packets.len(), before, "{seed}");
        assert!(before < usize::from(KEYFRAME));
        // Again.
        let index = if seed < 2 {
            sim.mute(0, source, false);
            sim.pause(1, source, false);
            0
        } else {
            let now = sim.now;
            let index = sim.subscribe(1, source);
            let again = sim.publish(
                0,
                Source {
                    ssrc: 0x9000,
                    ..source
                },
            );
            sim.publication_mut(0, again).next_frame = now;
            index
        };
        sim.run(ms(1_000));
        sim.settle();
        let receiver = sim.receiver(1, index);
        receiver.assert_playable();
        assert!(receiver.packets.len() > before, "{seed}");
    }
}
