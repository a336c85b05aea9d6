//! Peers that another shard hears first.

use bytes::Bytes;

use super::timeline::camera_of;
use super::*;
use crate::shard::{FailReason, ParticipantId};
use crate::transport::{Path, Protocol};

fn heard(peer: PeerId, by: usize) -> Event {
    Event::Heard {
        peer,
        by,
        path: Path {
            protocol: Protocol::Udp,
            remote: ([192, 0, 2, 9], 4_000).into(),
            local: None,
        },
        check: Bytes::from_static(b"a check"),
    }
}

/// The commands about one peer, in words, with their shards.
fn about(world: &World, peer: PeerId) -> Vec<(usize, String)> {
    let commands = world.commands.iter();
    commands
        .filter_map(|(shard, command)| {
            let word = match command {
                Command::AddPeer { peer: of, .. } if *of == peer => "add",
                Command::SetTransport { peer: of, .. } if *of == peer => "transport",
                Command::SetExtensions { peer: of, .. } if *of == peer => "extensions",
                Command::SetReceiver { peer: of, .. } if *of == peer => "receiver",
                Command::SetMuted { peer: of, .. } if *of == peer => "muted",
                Command::SetSender { peer: of, .. } if *of == peer => "sender",
                Command::SetWish { peer: of, .. } if *of == peer => "wish",
                Command::Stats { peer: of } if *of == peer => "stats",
                Command::Timeline { peer: of, .. } if *of == peer => "timeline",
                Command::Hear { peer: of, .. } if *of == peer => "hear",
                Command::RemovePeer { peer: of } if *of == peer => "remove",
                _ => return None,
            };
            Some((*shard, word.to_owned()))
        })
        .collect()
}

#[test]
fn a_peer_moves_with_all_that_was_said_of_it_and_the_others_follow_its_tracks() {
    let mut world = World::new();
    let (anna, ben, carl) = (world.v1("Anna"), world.v1("Ben"), world.v1("Carl"));
    for user in [anna, ben, carl] {
        world.join(user);
    }
    let [of_anna, of_ben] = [anna, ben].map(|user| world.peer(user));
    let credentials = |world: &World| {
        let mut added = world
            .commands
            .iter()
            .filter_map(|(_, command)| match command {
                Command::AddPeer {
                    peer, local_ice, ..
                } if *peer == of_ben => Some(local_ice.clone()),
                _ => None,
            });
        added.next().expect("it was added")
    };
    let before = credentials(&world);
    let camera = camera_of(&world, anna).to_string();
    world.say(
        ben,
        json!({"type": "mute", "source": "camera", "muted": true}),
    );
    world.say(
        ben,
        json!({"type": "receive", "track": camera, "paused": true}),
    );
    world.say(ben, json!({"type": "stats"}));
    world.say(ben, json!({"type": "timeline", "track": camera}));
    world.forget_all();

    world.event(heard(of_ben, 1));
    let told = about(&world, of_ben);
    assert_eq!(
        told[0],
        (0, "remove".to_owned()),
        "first, or it would wait there"
    );
    assert_eq!(told[1], (1, "add".to_owned()));
    assert_eq!(
        told.last(),
        Some(&(1, "hear".to_owned())),
        "once all is known"
    );
    let count = |word: &str| {
        told.iter()
            .filter(|(shard, w)| (*shard, w.as_str()) == (1, word))
            .count()
    };
    for (word, times) in [
        ("add", 1),
        ("transport", 1),
        ("extensions", 1),
        ("receiver", 2),
        ("muted", 1),
        ("sender", 4),
        ("wish", 1),
        ("stats", 1),
        ("timeline", 1),
        ("hear", 1),
    ] {
        assert_eq!(count(word), times, "{word}");
    }
    assert_eq!(credentials(&world), before);
    let shards = world
        .commands
        .iter()
        .find_map(|(_, command)| match command {
            Command::AddPeer { shards, .. } => Some(shards.clone()),
            _ => None,
        });
    assert_eq!(shards, Some(vec![0]));
    // Both others are told where its tracks come from now, and nobody of anything else.
    let followed = world.commands.iter().filter(|(shard, command)| {
        matches!(command, Command::SetSender { parameters: Some(parameters), .. }
            if *shard == 0 && parameters.participant == ParticipantId(ben.id) && parameters.home == 1)
    });
    assert_eq!(followed.count(), 4);
    assert_eq!(about(&world, of_anna), vec![(0, "sender".to_owned()); 2]);
    assert!(world.inbox.is_empty(), "{:?}", world.inbox);

    // What it says from now on goes there, and so does its end. What comes late from where it was ends nothing.
    world.forget_all();
    world.event_of(
        0,
        Event::Failed {
            peer: of_ben,
            reason: FailReason::Internal,
        },
    );
    assert!(world.commands.is_empty(), "{:?}", world.commands);
    world.say(
        ben,
        json!({"type": "mute", "source": "camera", "muted": false}),
    );
    world.disconnect(ben, true);
    let last = [(1, "muted".to_owned()), (1, "remove".to_owned())];
    assert_eq!(about(&world, of_ben), last);
}

#[test]
fn a_call_grows_and_ends_by_where_its_peers_are_now() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    world.join(anna);
    world.join(ben);
    for user in [anna, ben] {
        let peer = world.peer(user);
        world.event(heard(peer, 1));
    }
    assert_eq!(world.rooms.load_by_shard[0], 0);
    assert_eq!(
        world.rooms.load_by_shard[1], 6,
        "two peers, and two tracks for each"
    );
    world.forget_all();
    let carl = world.v1("Carl");
    world.join(carl);
    let of_carl = world.peer(carl);
    let added = world
        .commands
        .iter()
        .find_map(|(_, command)| match command {
            Command::AddPeer { shards, .. } => Some(shards.clone()),
            _ => None,
        });
    assert_eq!(added, Some(vec![1]), "wherever it begins");
    world.event(heard(of_carl, 1));
    for user in [anna, ben, carl] {
        world.disconnect(user, true);
    }
    assert!(world.rooms.calls.is_empty());
    assert_eq!(world.rooms.load_by_shard, [0, 0]);
}

#[test]
fn what_is_late_or_makes_no_sense_moves_nobody() {
    let mut world = World::new();
    let anna = world.v1("Anna");
    world.join(anna);
    let peer = world.peer(anna);
    world.forget_all();
    // Of a shard that does not have it, to itself, to one that is not there, and of a peer that is gone.
    world.event_of(1, heard(peer, 0));
    world.event(heard(peer, 0));
    world.event(heard(peer, 2));
    world.event(heard(PeerId(999), 1));
    assert!(world.commands.is_empty(), "{:?}", world.commands);
    world.event(heard(peer, 1));
    world.forget_all();
    world.event(heard(peer, 1));
    assert!(world.commands.is_empty(), "it is there already");
}

#[test]
fn both_of_a_one_to_one_call_move_where_they_are_heard() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    let offer = super::direct_calls::ring(&mut world, anna, ben, json!("Ben"));
    world.answer(ben, &offer, true);
    let [of_anna, of_ben] = [anna, ben].map(|user| world.peer(user));
    world.forget_all();
    world.event(heard(of_ben, 1));
    let told = about(&world, of_ben);
    assert_eq!(told.last(), Some(&(1, "hear".to_owned())));
    assert_eq!(about(&world, of_anna), vec![(0, "sender".to_owned()); 2]);
    world.say(anna, json!({"type": "hang-up", "target": "Ben"}));
    assert_eq!(
        about(&world, of_ben).last(),
        Some(&(1, "remove".to_owned()))
    );
    assert_eq!(
        about(&world, of_anna).last(),
        Some(&(0, "remove".to_owned()))
    );
}
