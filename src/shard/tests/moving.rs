//! Peers that are heard first by another shard than the one they began on, where all share one port.

use super::sim::{SimNet, Source, ms};
use crate::forward::DropReason;
use crate::shard::Event;
use crate::transport::tests::pair::Check;

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

/// How often a peer was heard first elsewhere.
fn moves(sim: &SimNet) -> usize {
    let events = sim.events.iter();
    events
        .filter(|event| matches!(event, Event::Heard { .. }))
        .count()
}

/// A check of a client that has sent none so far.
fn check_of(sim: &SimNet, client: usize) -> Vec<u8> {
    let client = &sim.clients[client];
    Check::new(&client.server_ice, &client.ice).encode()
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
        assert_eq!(moves(&sim), 4, "each once");
        start_all(&mut sim);
        sim.run(ms(2000));
        sim.settle();
        assert_everybody_got_everything(&sim);
        for client in 0..places.len() {
            sim.leave(client);
        }
        sim.run(ms(500));
        sim.assert_nothing_left();
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
    assert_eq!(moves(&sim), 1);
    assert!(sim.drops(DropReason::WrongPath) > 0);
    assert_eq!(sim.sends, 0);
}

#[test]
fn nobody_moves_twice_whatever_comes_of_the_check() {
    let mut sim = clients_heard(505, 3, &[(1, 1), (2, 2)]);
    sim.connect();
    let client = sim.join_on(0);
    sim.clients[client].checking = false;
    let check = check_of(&sim, client);
    // From addresses of others who are there, which refuse it: the new one, too.
    for (by, address) in [(1, 0), (2, 1), (1, 0), (2, 1)] {
        let (shard, address) = (sim.clients[client].shard, sim.clients[address].address);
        match by == shard {
            true => sim.inject_to(shard, address, &check),
            false => sim.hand_over(by, shard, address, &check),
        }
    }
    assert_eq!((moves(&sim), sim.clients[client].shard), (1, 1));
    // It is there all the same.
    sim.clients[client].heard_by = Some(1);
    sim.clients[client].checking = true;
    sim.connect();
}

#[test]
fn nobody_moves_by_an_address_at_which_another_is() {
    let mut sim = clients_heard(506, 2, &[(0, 0)]);
    sim.connect();
    let client = sim.join_on(0);
    sim.clients[client].checking = false;
    let (check, address) = (check_of(&sim, client), sim.clients[0].address);
    let refused = sim.drops(DropReason::WrongPath);
    sim.hand_over(1, 0, address, &check);
    assert_eq!(moves(&sim), 0);
    assert_eq!(sim.drops(DropReason::WrongPath), refused + 1);
}

#[test]
fn a_publisher_that_was_not_heard_is_not_told_that_nobody_wants_it() {
    let mut sim = clients_heard(507, 2, &[(0, 0)]);
    sim.connect();
    let client = sim.join_on(0);
    sim.clients[client].checking = false;
    let source = Source::video(1);
    sim.publish_layers(client, source, &["h", "l"]);
    sim.subscribe(0, source);
    sim.pause(0, source, true);
    let wanted = |sim: &SimNet| {
        let events = sim.events.iter();
        events
            .filter(|event| matches!(event, Event::Wanted { .. }))
            .count()
    };
    sim.run(ms(5_000));
    assert_eq!(wanted(&sim), 0, "its next shard would not know of it");
    sim.clients[client].checking = true;
    sim.clients[client].heard_by = Some(1);
    sim.connect();
    sim.run(ms(5_000));
    assert_eq!(wanted(&sim), 1);
}
