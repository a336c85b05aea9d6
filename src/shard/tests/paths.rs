//! Networks that change under a peer.

use super::sim::{SimNet, Source, ms};
use crate::shard::Event;
use crate::transport::Endpoint;

fn consents(sim: &SimNet, client: usize) -> Vec<bool> {
    let peer = sim.clients[client].peer;
    let events = sim.events.iter();
    events
        .filter_map(|event| match event {
            Event::Consent { peer: whose, fresh } if *whose == peer => Some(*fresh),
            _ => None,
        })
        .collect()
}

#[test]
fn an_ice_restart_to_another_address_loses_no_media() {
    let mut sim = SimNet::with_clients(80, 2);
    let source = Source::video(1);
    for (publisher, subscriber) in [(0, 1), (1, 0)] {
        let source = Source::video(1 + publisher as u64);
        sim.publish(publisher, source);
        sim.subscribe(subscriber, source);
    }
    sim.run(ms(1000));
    sim.restart_ice(0);
    sim.run(ms(500));
    sim.move_to(0, ([198, 51, 100, 77], 5000).into());
    let now = sim.now;
    sim.clients[0].check(now);
    sim.send_up(0);
    sim.run(ms(1500));
    sim.settle();
    for client in [0, 1] {
        let tag = source.tag() * (2 - client as u32);
        let frames = sim.publication(1 - client, 0).frame as usize;
        sim.receiver(client, 0).assert_playable();
        assert_eq!(sim.receiver(client, 0).whole_frames(tag).len(), frames);
    }
    // The old address stays valid for a while: what is late comes in, too.
    assert!(consents(&sim, 0).is_empty());
}

#[test]
fn media_from_an_address_without_a_check_is_refused() {
    let mut sim = SimNet::with_clients(81, 2);
    let source = Source::audio(1);
    sim.publish(0, source);
    sim.subscribe(1, source);
    sim.run(ms(500));
    sim.clients[0].checking = false;
    sim.move_to(0, ([198, 51, 100, 78], 5000).into());
    let moved = sim.now + ms(21);
    sim.run(ms(500));
    assert!(sim.receiver(1, 0).first_since(moved).is_none());
}

#[test]
fn consent_ends_after_thirty_seconds_and_comes_back() {
    let mut sim = SimNet::with_clients(82, 2);
    let (video, audio) = (Source::video(1), Source::audio(2));
    for source in [video, audio] {
        sim.publish(0, source);
        sim.subscribe(1, source);
    }
    sim.run(ms(1000));
    sim.clients[1].checking = false;
    sim.run(ms(27_000));
    assert!(consents(&sim, 1).is_empty());
    sim.run(ms(4_000));
    assert_eq!(consents(&sim, 1), [false]);
    let silent = sim.now + ms(11);
    sim.run(ms(30_000));
    for index in [0, 1] {
        assert!(sim.receiver(1, index).first_since(silent).is_none());
    }
    let back = sim.now;
    sim.clients[1].checking = true;
    sim.run(ms(1000));
    assert_eq!(consents(&sim, 1), [false, true]);
    sim.settle();
    // What was not sent took no numbers, of which a receiver can only miss so many.
    for index in [0, 1] {
        sim.receiver(1, index).assert_playable();
        let first = sim
            .receiver(1, index)
            .first_since(back)
            .expect("it goes on");
        assert!(first.at < back + ms(200));
    }
}

#[test]
fn a_forged_check_does_not_take_back_an_address() {
    let mut sim = SimNet::with_clients(83, 2);
    let source = Source::audio(1);
    sim.publish(1, source);
    sim.subscribe(0, source);
    sim.run(ms(500));
    // The address of the first client becomes the second's, as behind one router.
    let address = sim.clients[0].address;
    let origin = Endpoint::udp(address);
    sim.clients[0].checking = false;
    sim.move_to(0, ([198, 51, 100, 90], 4000).into());
    sim.run(ms(8_100));
    sim.move_to(1, address);
    let now = sim.now;
    sim.clients[1].check(now);
    sim.send_up(1);
    sim.run(ms(100));
    assert_eq!(sim.shards[0].demux.by_address(origin), Some(1));
    let mut forged = sim.clients[0].server_ice.clone();
    forged.pwd = "not-the-password-of-anybody".into();
    let check = crate::transport::tests::pair::Check::new(&forged, &sim.clients[0].ice);
    sim.inject(address, &check.encode());
    assert_eq!(sim.shards[0].demux.by_address(origin), Some(1));
}

#[test]
fn a_check_under_a_forged_sender_does_not_take_the_address_of_a_peer_that_is_there() {
    let mut sim = SimNet::with_clients(84, 2);
    let source = Source::audio(1);
    sim.publish(0, source);
    sim.subscribe(1, source);
    sim.run(ms(500));
    let address = sim.clients[0].address;
    let thief = &sim.clients[1];
    let check = crate::transport::tests::pair::Check::new(&thief.server_ice, &thief.ice).encode();
    for _ in 0..20 {
        sim.inject(address, &check);
        sim.run(ms(100));
    }
    let origin = Endpoint::udp(address);
    assert_eq!(sim.shards[0].demux.by_address(origin), Some(0));
    sim.settle();
    let frames = sim.publication(0, 0).frame as usize;
    assert_eq!(sim.receiver(1, 0).whole_frames(source.tag()).len(), frames);
}
