//! Peers that are heard first by another shard than the one they began on, where all share one port.

use super::sim::{SimNet, Source, ms};
use crate::forward::DropReason;
use crate::shard::Event;

/// Clients that began on these shards, and are heard by those.
fn clients_heard(seed: u64, shards: usize, places: &[(usize, usize)]) -> SimNet {
    let mut sim = SimNet::with_shards(seed, shards);
    for &(began, heard_by) in places {
        let client = sim.join_on(began);
        sim.clients[client].heard_by = Some(heard_by);
    }
    sim
}

/// Everybody publishes video and audio, and is sent that of all the others: all of it is said before anybody is heard.
fn everybody_to_everybody(sim: &mut SimNet) {
    let clients = sim.clients.len();
    let sources = |client: usize| {
        [
            Source::video(1 + client as u64),
            Source::audio(50 + client as u64),
        ]
    };
    for client in 0..clients {
        let home = sim.clients[client].shard;
        for source in sources(client) {
            let publication = sim.publish(client, source.at(home));
            sim.publication_mut(client, publication).running = false;
            for other in (0..clients).filter(|other| *other != client) {
                sim.subscribe(other, source.at(home));
            }
        }
    }
}

fn start_all(sim: &mut SimNet) {
    let now = sim.now;
    for client in &mut sim.clients {
        for publication in &mut client.publications {
            (publication.running, publication.next_frame) = (true, now);
        }
    }
}

#[track_caller]
fn assert_everybody_got_everything(sim: &SimNet) {
    for (client, this) in sim.clients.iter().enumerate() {
        for receiver in &this.receivers {
            let publications = sim.clients.iter().flat_map(|other| &other.publications);
            let mut of_track = publications.filter(|p| p.track == receiver.parameters.track);
            let publication = of_track.next().unwrap();
            receiver.assert_playable();
            let whole = receiver.whole_frames(publication.tag);
            assert_eq!(whole.len(), publication.frame as usize, "at {client}");
            assert!(publication.frame > 10);
        }
    }
}

#[test]
fn who_is_heard_first_by_another_shard_moves_there_with_all_that_hangs_on_it() {
    for (seed, delay) in [(500, 0), (501, 9)] {
        // One stays, the others move: to an empty shard, to one where others are, and past each other.
        let places = [(0, 0), (0, 1), (0, 2), (1, 0), (2, 1)];
        let mut sim = clients_heard(seed, 3, &places);
        sim.link_delay = (ms(delay), ms(2 * delay));
        everybody_to_everybody(&mut sim);
        sim.connect();
        for (client, (_, heard_by)) in places.into_iter().enumerate() {
            assert_eq!(sim.clients[client].shard, heard_by);
        }
        let moves = sim.events.iter();
        let moves = moves.filter(|event| matches!(event, Event::Heard { .. }));
        assert_eq!(moves.count(), 4, "each once");
        start_all(&mut sim);
        sim.run(ms(2000));
        sim.settle();
        assert_everybody_got_everything(&sim);
        for client in 0..places.len() {
            sim.leave(client);
        }
        sim.run(ms(500));
        for shard in &sim.shards {
            assert!(shard.tracks.is_empty() && shard.track_by_id.is_empty());
            assert!(shard.subscriptions.is_empty() && shard.waiting_by_track.is_empty());
            assert!(shard.outlets_by_track.is_empty() && shard.calls.is_empty());
            assert!(shard.demux.is_empty());
            assert_eq!(shard.poll_timeout(), None, "no timer is left");
        }
    }
}

#[test]
fn whoever_has_no_password_moves_nobody() {
    let mut sim = clients_heard(502, 2, &[(0, 1)]);
    sim.clients[0].server_ice.pwd.push('x');
    sim.run(ms(500));
    assert!(sim.events.is_empty(), "{:?}", sim.events);
    assert!(sim.drops(DropReason::AuthenticationFailed) > 0);
    assert_eq!(sim.clients[0].shard, 0);
}

#[test]
fn who_was_heard_stays_wherever_its_other_addresses_come_to() {
    let mut sim = clients_heard(503, 2, &[(0, 0), (0, 1)]);
    sim.connect();
    sim.clients[0].heard_by = Some(1);
    sim.clients[1].heard_by = Some(0);
    for client in [0, 1] {
        let address = ([198, 51, 100, 70 + client as u8], 5000);
        sim.move_to(client, address.into());
        let now = sim.now;
        sim.clients[client].check(now);
    }
    // Until media goes to where the checks came from.
    sim.run(ms(200));
    everybody_to_everybody(&mut sim);
    start_all(&mut sim);
    sim.run(ms(2000));
    sim.settle();
    assert_everybody_got_everything(&sim);
    assert_eq!([0, 1].map(|client| sim.clients[client].shard), [0, 1]);
}

#[test]
fn a_peer_that_is_about_to_move_answers_nothing_where_it_was() {
    let mut sim = SimNet::with_shards(504, 2);
    let client = sim.join_on(0);
    sim.clients[client].heard_by = Some(1);
    sim.control_moves = false;
    sim.run(ms(300));
    let told = sim.events.iter();
    let told = told.filter(|event| matches!(event, Event::Heard { .. }));
    assert_eq!(told.count(), 1);
    assert!(sim.drops(DropReason::WrongPath) > 0);
    assert_eq!(sim.sends, 0);
}
