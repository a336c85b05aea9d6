//! Calls on several shards: what crosses, what does not, and in which order things may happen.

use super::sim::{SimNet, Source, ms};
use crate::shard::{Batch, Command, Current, Event, FailReason, PeerId};

/// A network with a connected client on each of these shards.
fn clients_on(seed: u64, shards: usize, places: &[usize]) -> SimNet {
    let mut sim = SimNet::with_shards(seed, shards);
    for &shard in places {
        sim.join_on(shard);
    }
    sim.connect();
    sim
}

#[track_caller]
fn assert_all_frames_came(sim: &SimNet, client: usize, receiver: usize, publication: usize) {
    assert_all_frames_came_of(sim, client, receiver, (0, publication));
}

#[track_caller]
fn assert_all_frames_came_of(sim: &SimNet, client: usize, receiver: usize, of: (usize, usize)) {
    let publication = sim.publication(of.0, of.1);
    let receiver = sim.receiver(client, receiver);
    receiver.assert_playable();
    let whole = receiver.whole_frames(publication.tag);
    assert_eq!(whole.len(), publication.frame as usize);
}

#[test]
fn media_reaches_subscribers_on_another_shard_once_per_shard() {
    let mut sim = clients_on(200, 2, &[0, 1, 1, 0]);
    let (video, audio) = (Source::video(1), Source::audio(2));
    for source in [video, audio] {
        for subscriber in [1, 2, 3] {
            sim.subscribe(subscriber, source);
        }
        sim.publish(0, source);
    }
    sim.run(ms(2000));
    sim.settle();
    for subscriber in [1, 2, 3] {
        for index in [0, 1] {
            assert_all_frames_came(&sim, subscriber, index, index);
        }
    }
    let sent: usize = (0..2).map(|p| sim.publication(0, p).sent.len()).sum();
    assert_eq!(sim.crossed[&(0, 1)], sent, "once for both subscribers");
    assert_eq!(sim.crossed[&(1, 0)], 0);
}

#[test]
fn a_subscription_may_come_before_its_track_and_wherever_it_is_asked_first() {
    for delay in [0, 7] {
        let mut sim = clients_on(201, 3, &[1, 0, 2]);
        sim.link_delay = (ms(delay), ms(delay * 3));
        let source = Source::video(1).at(1);
        sim.subscribe(1, source);
        sim.run(ms(100));
        sim.publish(0, source);
        sim.subscribe(2, source);
        sim.run(ms(1000));
        sim.settle();
        for subscriber in [1, 2] {
            assert_all_frames_came(&sim, subscriber, 0, 0);
        }
    }
}

#[test]
fn loss_is_repaired_from_the_mirror() {
    let mut sim = clients_on(202, 2, &[0, 1, 1]);
    let source = Source::video(1);
    for subscriber in [1, 2] {
        sim.subscribe(subscriber, source);
    }
    sim.publish(0, source);
    sim.run(ms(1600));
    let crossed = sim.crossed[&(1, 0)];
    sim.clients[1].down.loss = 0.1;
    sim.run(ms(3000));
    sim.settle();
    assert!(sim.receiver(1, 0).repaired > 10);
    assert_eq!(sim.publication(0, 0).nacks, 0, "the publisher is not asked");
    assert_eq!(sim.crossed[&(1, 0)], crossed, "nor its shard");
    for subscriber in [1, 2] {
        assert_all_frames_came(&sim, subscriber, 0, 0);
    }
}

#[test]
fn loss_on_the_way_to_the_home_is_repaired_there() {
    let mut sim = clients_on(203, 2, &[0, 1]);
    let source = Source::video(1);
    sim.subscribe(1, source);
    sim.publish(0, source);
    sim.run(ms(1600));
    sim.clients[0].up.loss = 0.1;
    (sim.clients[0].up.duplication, sim.clients[0].up.reordering) = (0.1, 0.1);
    sim.run(ms(3000));
    sim.settle();
    assert!(sim.publication(0, 0).nacks > 10);
    assert_all_frames_came(&sim, 1, 0, 0);
}

#[test]
fn keyframe_requests_of_all_shards_are_merged_at_the_home() {
    let mut sim = clients_on(204, 3, &[0, 1, 1, 2, 0]);
    let source = Source::video(1);
    sim.publish(0, source);
    for subscriber in 1..5 {
        sim.subscribe(subscriber, source);
    }
    sim.run(ms(1000));
    let begun = sim.publication(0, 0).plis.len();
    for _ in 0..60 {
        for subscriber in 1..5 {
            sim.clients[subscriber].ask_for_keyframe(0);
            sim.send_up(subscriber);
        }
        sim.run(ms(50));
    }
    let plis = &sim.publication(0, 0).plis[begun..];
    assert!((4..=7).contains(&plis.len()), "{}", plis.len());
    assert!(plis.windows(2).all(|pair| pair[1] - pair[0] >= ms(499)));
    sim.run(ms(1000));
    let asked = sim.publication(0, 0).plis.len();
    sim.run(ms(3000));
    assert_eq!(
        sim.publication(0, 0).plis.len(),
        asked,
        "nobody asks for ever"
    );
    sim.settle();
    for subscriber in 1..5 {
        sim.receiver(subscriber, 0).assert_playable();
    }
}

#[test]
fn newcomers_on_a_shard_are_served_from_a_fresh_keyframe_of_the_home_and_then_of_the_mirror() {
    let mut sim = clients_on(205, 2, &[0, 1, 1, 1]);
    let source = Source::video(1);
    sim.publish(0, source);
    sim.run(ms(300));
    let asked = sim.publication(0, 0).plis.len();
    for subscriber in [1, 2] {
        let joined = sim.now;
        sim.subscribe(subscriber, source);
        sim.run(ms(200));
        let first = sim
            .receiver(subscriber, 0)
            .packets
            .first_key_value()
            .unwrap()
            .1;
        assert_eq!(first.content.frame, 0);
        assert!(first.at <= joined + ms(10));
    }
    assert_eq!(sim.publication(0, 0).plis.len(), asked, "nobody was asked");
    // The mirror knows how old its keyframe is, which came 300 ms after it was made.
    sim.run(ms(200));
    let joined = sim.now;
    sim.subscribe(3, source);
    sim.run(ms(500));
    assert_eq!(sim.publication(0, 0).plis.len(), asked + 1);
    let first = sim.receiver(3, 0).packets.first_key_value().unwrap().1;
    assert!(first.content.keyframe && first.content.frame > 0 && first.at <= joined + ms(100));
    sim.settle();
    for subscriber in [1, 2, 3] {
        sim.receiver(subscriber, 0).assert_playable();
    }
}

#[test]
fn mute_and_pause_work_across() {
    let mut sim = clients_on(206, 2, &[0, 1, 1]);
    let sources = [Source::video(1), Source::audio(2)];
    for source in sources {
        sim.publish(0, source);
        for subscriber in [1, 2] {
            sim.subscribe(subscriber, source);
        }
    }
    sim.run(ms(1200));
    for source in sources {
        sim.pause(1, source, true);
    }
    sim.run(ms(50));
    let paused = sim.now;
    sim.run(ms(500));
    for index in [0, 1] {
        assert!(sim.receiver(1, index).first_since(paused).is_none());
        assert!(sim.receiver(2, index).first_since(paused).is_some());
    }
    for source in sources {
        sim.pause(1, source, false);
        sim.mute(0, source, true);
    }
    sim.run(ms(50));
    let muted = sim.now;
    sim.run(ms(1000));
    for (subscriber, index) in [(1, 0), (1, 1), (2, 0), (2, 1)] {
        assert!(sim.receiver(subscriber, index).first_since(muted).is_none());
    }
    let unmuted = sim.now;
    for source in sources {
        sim.mute(0, source, false);
    }
    sim.run(ms(500));
    sim.settle();
    for (subscriber, index) in [(1, 0), (1, 1), (2, 0), (2, 1)] {
        let receiver = sim.receiver(subscriber, index);
        receiver.assert_playable();
        let first = receiver.first_since(unmuted).expect("it goes on");
        assert!(first.content.keyframe && first.at < unmuted + ms(150));
    }
}

#[test]
fn the_last_subscription_of_a_shard_ends_the_crossing() {
    let mut sim = clients_on(207, 2, &[0, 1, 1]);
    let source = Source::video(1);
    sim.publish(0, source);
    let receivers = [1, 2].map(|client| (client, sim.subscribe(client, source)));
    sim.run(ms(500));
    sim.unsubscribe(1, receivers[0].1);
    let before = sim.crossed[&(0, 1)];
    sim.run(ms(500));
    assert!(sim.crossed[&(0, 1)] > before + 20);
    sim.unsubscribe(2, receivers[1].1);
    sim.run(ms(20));
    let after = sim.crossed[&(0, 1)];
    let asked = sim.publication(0, 0).plis.len();
    sim.run(ms(2000));
    assert_eq!(sim.crossed[&(0, 1)], after);
    assert_eq!(sim.publication(0, 0).plis.len(), asked);
    assert!(sim.shards[1].tracks.is_empty(), "no mirror is left");
    let again = sim.subscribe(2, source);
    sim.run(ms(500));
    sim.settle();
    sim.receiver(2, again).assert_playable();
}

#[test]
fn layers_switch_across() {
    let mut sim = clients_on(208, 2, &[0, 1]);
    let source = Source::video(1);
    let first = sim.publish_layers(0, source, &["h", "l"]);
    sim.subscribe(1, source);
    sim.run(ms(2500));
    let best = sim.publication(0, first).tag;
    assert_eq!(sim.receiver(1, 0).last().content.tag, best);
    sim.publication_mut(0, first).running = false;
    sim.run(ms(3000));
    assert_eq!(sim.receiver(1, 0).last().content.tag, best + 1);
    let now = sim.now;
    let high = sim.publication_mut(0, first);
    (high.running, high.next_frame) = (true, now);
    sim.run(ms(1500));
    assert_eq!(sim.receiver(1, 0).last().content.tag, best);
    sim.settle();
    sim.receiver(1, 0).assert_playable();
}

#[test]
fn the_publishers_clock_is_told_across() {
    let mut sim = clients_on(209, 2, &[0, 1]);
    let sources = [Source::video(1), Source::audio(2)];
    for source in sources {
        sim.publish(0, source);
    }
    sim.run(ms(1200));
    for source in sources {
        sim.subscribe(1, source);
    }
    sim.run(ms(400));
    for index in [0, 1] {
        let receiver = sim.receiver(1, index);
        let (_, report) = receiver.reports.first().expect("at once");
        // Every captured frame has the time that the clock says.
        let got = receiver.last();
        let publication = sim.publication(0, index);
        let rate = u64::from(publication.clock_rate());
        let captured = publication.captured[got.content.frame as usize] - sim.start;
        let told = super::publication::ntp(captured).wrapping_sub(report.ntp) as i64;
        let ticks = got.timestamp.wrapping_sub(report.rtp_timestamp) as i32;
        let difference = told as f64 / 4_294_967_296.0 * rate as f64 - f64::from(ticks);
        assert!(difference.abs() < rate as f64 / 500.0, "{difference} ticks");
    }
}

#[test]
fn a_publisher_that_leaves_and_a_track_that_comes_again() {
    let mut sim = clients_on(210, 2, &[0, 1]);
    let source = Source::video(1);
    let publication = sim.publish(0, source);
    sim.subscribe(1, source);
    sim.run(ms(600));
    sim.unpublish(0, publication);
    sim.run(ms(300));
    let again = sim.publish(
        0,
        Source {
            ssrc: 0x7000,
            ..source
        },
    );
    sim.run(ms(600));
    let frames = sim.publication(0, again).frame;
    assert!(sim.receiver(1, 0).last().content.frame + 2 >= frames);
    sim.settle();
    sim.receiver(1, 0).assert_playable();
    sim.leave(0);
    sim.run(ms(100));
    assert!(sim.shards[0].tracks.is_empty());
    sim.unsubscribe(1, 0);
    sim.run(ms(100));
    for shard in &sim.shards {
        assert!(shard.tracks.is_empty() && shard.track_by_id.is_empty());
        assert!(shard.outlets_by_track.is_empty() && shard.waiting_by_track.is_empty());
    }
}

#[test]
fn a_bug_met_in_a_mirror_ends_the_publisher_and_nobody_else() {
    let mut sim = clients_on(211, 2, &[0, 1, 0]);
    let (bad, good) = (Source::video(1), Source::video(2));
    sim.publish(0, bad);
    sim.publish(2, good);
    for source in [bad, good] {
        sim.subscribe(1, source);
    }
    sim.run(ms(500));
    let mirror = sim.shards[1].track_by_id[&bad.track];
    sim.shards[1].current = Some(Current::Mirror(mirror));
    let mut batch = Batch::new();
    sim.shards[1].abandon_current(sim.now, &mut batch);
    sim.command_to(1, Command::Stats { peer: PeerId(0) });
    sim.run(ms(100));
    let failed: Vec<_> = sim
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Failed { peer, reason } => Some((*peer, *reason)),
            _ => None,
        })
        .collect();
    assert_eq!(failed, [(sim.clients[0].peer, FailReason::Internal)]);
    sim.run(ms(500));
    sim.settle();
    assert_all_frames_came_of(&sim, 1, 1, (2, 0));
}

#[test]
fn speakers_are_told_by_their_own_shard() {
    let mut sim = clients_on(212, 2, &[0, 1]);
    for client in [0, 1] {
        let source = Source::audio(1 + client as u64).at(client);
        sim.clients[client].audio_level = Some(20);
        sim.publish(client, source);
        sim.subscribe(1 - client, source);
    }
    sim.run(ms(1000));
    let lists: Vec<Vec<u64>> = sim
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Speakers { speakers, .. } => Some(speakers.iter().map(|(id, _)| id.0).collect()),
            _ => None,
        })
        .collect();
    assert_eq!(lists.len(), 2);
    assert!(lists.contains(&vec![0]) && lists.contains(&vec![1]));
    let heard = sim.receiver(1, 0).last().audio_level;
    assert_eq!(heard.map(|level| level.level), Some(20), "extensions cross");
}
