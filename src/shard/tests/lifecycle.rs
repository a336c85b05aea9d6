//! Peers and tracks that come, go and come again.

use super::sim::{SimNet, Source, ms};
use crate::shard::{Command, FailReason, SsrcPair};
use crate::shard::{Event, PeerId, Population};

#[test]
fn a_track_that_comes_after_its_subscription_is_sent() {
    let mut sim = SimNet::with_clients(70, 2);
    let (video, audio) = (Source::video(1), Source::audio(2));
    for source in [video, audio] {
        sim.subscribe(1, source);
    }
    sim.run(ms(500));
    for source in [video, audio] {
        sim.publish(0, source);
    }
    sim.run(ms(500));
    sim.settle();
    for index in [0, 1] {
        sim.receiver(1, index).assert_playable();
        assert_eq!(sim.receiver(1, index).contents().next().unwrap().frame, 0);
    }
}

#[test]
fn a_subscriber_that_connects_later_begins_at_a_keyframe() {
    let mut sim = SimNet::with_clients(71, 1);
    let source = Source::video(1);
    sim.publish(0, source);
    sim.run(ms(2000));
    let asked = sim.publication(0, 0).plis.len();
    let late = sim.join();
    sim.clients[late].checking = false;
    sim.subscribe(late, source);
    sim.run(ms(2000));
    assert_eq!(
        sim.publication(0, 0).plis.len(),
        asked,
        "nobody can see it yet"
    );
    sim.clients[late].checking = true;
    sim.connect();
    sim.run(ms(1000));
    sim.settle();
    sim.receiver(late, 0).assert_playable();
}

#[test]
fn a_peer_that_leaves_ends_its_tracks_and_nothing_else() {
    let mut sim = SimNet::with_clients(72, 3);
    let (first, second) = (Source::video(1), Source::video(2));
    sim.publish(0, first);
    sim.publish(1, second);
    for source in [first, second] {
        sim.subscribe(2, source);
    }
    sim.subscribe(1, first);
    sim.run(ms(500));
    sim.command(Command::RemovePeer { peer: PeerId(100) });
    let removed = sim.now + ms(10);
    sim.run(ms(1000));
    // Its packets still come, and are nobody's.
    assert!(
        sim.receiver(2, 0)
            .packets
            .values()
            .all(|got| got.at <= removed)
    );
    sim.settle();
    sim.receiver(2, 1).assert_playable();
    let frames = sim.publication(1, 0).frame as usize;
    assert_eq!(sim.receiver(2, 1).whole_frames(second.tag()).len(), frames);
    // Then a subscriber leaves.
    sim.command(Command::RemovePeer { peer: PeerId(102) });
    sim.run(ms(1000));
    assert_eq!(sim.stats(1).outbound.len(), 1);
}

#[test]
fn a_call_that_is_over_gives_its_memory_back() {
    let mut sim = SimNet::with_clients(77, 0);
    for client in 0..200 {
        sim.join();
        sim.subscribe(client, Source::video(1));
        sim.subscribe(client, Source::audio(2));
    }
    assert!(sim.shards[0].subscriptions.capacity() >= 400);
    for client in 0..200 {
        sim.leave(client);
    }
    assert_eq!(sim.shards[0].population(), Population::default());
    let shard = &sim.shards[0];
    assert!(shard.peers.capacity() <= 64, "{}", shard.peers.capacity());
    assert!(shard.subscriptions.capacity() <= 64);
}

#[test]
fn a_track_of_an_old_name_is_not_taken_for_the_old_source() {
    let mut sim = SimNet::with_clients(73, 2);
    let source = Source::video(1);
    let publication = sim.publish(0, source);
    sim.subscribe(1, source);
    sim.run(ms(1000));
    let mid = sim.publication(0, publication).mid;
    let peer = sim.clients[0].peer;
    sim.command(Command::SetReceiver {
        peer,
        mid,
        parameters: None,
    });
    sim.run(ms(300));
    // The same track id from another SSRC, with numbers from before those of the first.
    let publication = sim.publication_mut(0, publication);
    publication.ssrc += 100;
    publication.rtx_ssrc = publication.rtx_ssrc.map(|rtx| rtx + 100);
    publication.sequence = 3;
    publication.frame += 1000;
    publication.captured.clear();
    let pair = SsrcPair {
        ssrc: publication.ssrc,
        rtx: publication.rtx_ssrc,
    };
    let parameters = sim.receive_parameters(0, 0, source, vec![pair], Vec::new());
    sim.set_receiver(0, parameters);
    sim.clients[1].down.loss = 0.1;
    sim.run(ms(1500));
    sim.settle();
    let receiver = sim.receiver(1, 0);
    receiver.assert_playable();
    assert!(receiver.last().content.frame > 1030);
}

#[test]
fn a_subscription_that_is_made_again_is_a_new_stream() {
    let mut sim = SimNet::with_clients(74, 2);
    let source = Source::video(1);
    sim.publish(0, source);
    for round in 0..3 {
        let receiver = sim.subscribe(1, source);
        assert_eq!(receiver, round);
        sim.run(ms(700));
        sim.unsubscribe(1, receiver);
        sim.run(ms(100));
    }
    sim.settle();
    for round in 0..3 {
        sim.receiver(1, round).assert_playable();
    }
    assert!(sim.stats(1).outbound.is_empty());
}

#[test]
fn peers_come_and_go_without_a_trace() {
    let mut sim = SimNet::new(75);
    for round in 0..4 {
        let (a, b) = (sim.join(), sim.join());
        sim.connect();
        let source = Source::video(round + 1);
        sim.publish(a, source);
        sim.subscribe(b, source);
        sim.run(ms(300));
        sim.receiver(b, 0).assert_playable();
        for client in [a, b] {
            let peer = sim.clients[client].peer;
            sim.clients[client].checking = false;
            sim.clients[client].publications.clear();
            sim.command(Command::RemovePeer { peer });
        }
        sim.run(ms(100));
        sim.clients
            .iter_mut()
            .for_each(|client| client.connected = true);
    }
    sim.assert_nothing_left();
}

#[test]
fn a_peer_that_fails_is_told_and_gone() {
    let mut sim = SimNet::new(76);
    let client = sim.join();
    sim.clients[client].down.loses = Some(Box::new(|datagram| datagram[0] == 22));
    sim.run(ms(31_000));
    let failed = sim.events.iter().any(|event| {
        matches!(event, Event::Failed { peer, reason: FailReason::Handshake } if *peer == PeerId(100))
    });
    assert!(failed);
    assert!(sim.shards[0].peers.is_empty() && sim.shards[0].demux.is_empty());
}
