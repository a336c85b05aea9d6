use super::client::{CAMERA, MICROPHONE, directions};
use super::*;
use crate::shard::{CallId, FailReason, Quality, TrackId, Wish};

#[test]
fn the_first_offer_joins_and_is_answered() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    world.forget_all();
    world.offer(anna, &[MICROPHONE, CAMERA], Value::Null);
    let answer = world.heard_one(anna, "video-answer");
    assert_eq!(
        (&answer["sdp"]["type"], &answer["target"]),
        (&json!("answer"), &json!("Anna"))
    );
    assert_eq!(
        (&answer["name"], &answer["tracks"]),
        (&Value::Null, &json!([]))
    );
    let sdp = answer["sdp"]["sdp"].as_str().unwrap();
    assert!(
        sdp.contains("127.0.0.1 7880"),
        "the loopback candidate:\n{sdp}"
    );
    let participant = world.heard_one(ben, "participant");
    assert_eq!(
        (&participant["state"], &participant["call"]),
        (&json!("updated"), &json!("room"))
    );
    let sources: Vec<&Value> = participant["tracks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|track| &track["source"])
        .collect();
    assert_eq!(sources, ["microphone", "camera"]);
    let commands: Vec<&Command> = world.commands.iter().map(|(_, command)| command).collect();
    assert!(
        matches!(commands[0], Command::AddPeer { participant, .. } if participant.0 == anna.id)
    );
    let receivers = commands.iter().filter(|command| {
        matches!(
            command,
            Command::SetReceiver {
                parameters: Some(_),
                ..
            }
        )
    });
    assert_eq!(receivers.count(), 2);
}

#[test]
fn three_receive_each_other() {
    let mut world = World::new();
    let users = [world.v1("Anna"), world.v1("Ben"), world.v1("Carl")];
    for user in users {
        world.join(user);
    }
    // Each has the two tracks of the two others.
    for user in users {
        let peer = world.peer(user);
        let mut senders = std::collections::BTreeMap::new();
        for (_, command) in &world.commands {
            if let Command::SetSender {
                peer: of,
                mid,
                parameters,
            } = command
                && *of == peer
            {
                senders.insert(*mid, parameters.as_ref().map(|parameters| parameters.track));
            }
        }
        let tracks: std::collections::BTreeSet<TrackId> =
            senders.values().flatten().copied().collect();
        assert_eq!(tracks.len(), 4, "{senders:?}");
    }
}

#[test]
fn a_newcomers_answer_uses_its_own_lines_and_says_who_is_who() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    world.join(anna);
    let answer = world.join(ben);
    assert_eq!(
        directions(answer["sdp"]["sdp"].as_str().unwrap()),
        ["sendrecv", "sendrecv"]
    );
    let lines = answer["tracks"].as_array().unwrap();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        (
            &lines[0]["participant"],
            &lines[0]["name"],
            &lines[0]["kind"],
            &lines[0]["muted"]
        ),
        (
            &json!(anna.id),
            &json!("Anna"),
            &json!("audio"),
            &json!(false)
        )
    );
    let msid = format!("a=msid:{} {}", anna.id, lines[0]["track"].as_str().unwrap());
    assert!(answer["sdp"]["sdp"].as_str().unwrap().contains(&msid));
}

#[test]
fn several_changes_make_one_offer_at_a_time() {
    let mut world = World::new();
    let users = [world.v1("Anna"), world.v1("Ben"), world.v1("Carl")];
    world.join(users[0]);
    world.forget_all();
    // Anna does not answer: only one offer may be outstanding, whatever happens meanwhile.
    world.offer(users[1], &[MICROPHONE, CAMERA], Value::Null);
    world.offer(users[2], &[MICROPHONE, CAMERA], Value::Null);
    let offers = world.heard_of(users[0], "video-offer");
    assert!(offers.len() <= 1, "{offers:#?}");
    world.forget_all();
    if let Some(offer) = offers.first() {
        world.answer(users[0], offer, false);
        assert_eq!(world.heard_of(users[0], "video-offer").len(), 1);
    }
}

#[test]
fn a_leaver_is_taken_away_from_others() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    world.join(anna);
    world.join(ben);
    let peer = world.peer(ben);
    world.forget_all();
    world.say(ben, json!({"type": "hang-up", "target": null}));
    let left =
        |command: &Command| matches!(command, Command::RemovePeer { peer: of } if *of == peer);
    assert!(world.commands.iter().any(|(_, command)| left(command)));
    let heard = world.heard(anna);
    let participant = heard
        .iter()
        .find(|message| message["type"] == "participant")
        .unwrap();
    assert_eq!(
        (&participant["call"], &participant["tracks"]),
        (&Value::Null, &json!([]))
    );
    assert!(heard.iter().any(|message| message["type"] == "video-offer"));
    // It is still in the room, and may come back.
    world.say(ben, json!({"type": "message", "text": "bye"}));
    assert_eq!(world.heard_one(anna, "message")["text"], "bye");
    world.join(ben);
}

#[test]
fn a_bad_sdp_joins_nothing_and_disturbs_nothing() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    world.join(anna);
    world.forget_all();
    world.say(
        ben,
        json!({"type": "video-offer", "sdp": "v=0\r\nnonsense\r\n"}),
    );
    let error = world.heard_one(ben, "error");
    assert_eq!(
        (&error["code"], &error["request"]),
        (&json!("bad-sdp"), &json!("video-offer"))
    );
    assert!(
        error["message"].as_str().unwrap().contains("line 2"),
        "{error}"
    );
    world.say(
        anna,
        json!({"type": "video-offer", "sdp": "v=0\r\nnonsense\r\n"}),
    );
    assert_eq!(world.error_code(anna), "bad-sdp");
    assert!(world.commands.is_empty(), "{:?}", world.commands);
    world.join(ben);
}

#[test]
fn mutes_are_applied_and_shown() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    world.join(anna);
    world.forget_all();
    world.say(
        anna,
        json!({"type": "mute", "source": "camera", "muted": true}),
    );
    let participant = world.heard_one(ben, "participant");
    let muted: Vec<&Value> = participant["tracks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|track| &track["muted"])
        .collect();
    assert_eq!(muted, [&json!(false), &json!(true)]);
    assert!(matches!(
        world.commands[..],
        [(_, Command::SetMuted { muted: true, .. })]
    ));
    // Said twice, it changes nothing; a newcomer sees it.
    world.say(anna, json!({"type": "mute", "mid": "1", "muted": true}));
    assert_eq!(world.heard(ben), Vec::<Value>::new());
    let answer = world.join(ben);
    let muted: Vec<&Value> = answer["tracks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|track| &track["muted"])
        .collect();
    assert_eq!(muted, [&json!(false), &json!(true)]);
    world.say(
        anna,
        json!({"type": "mute", "source": "screen", "muted": true}),
    );
    assert_eq!(world.error_code(anna), "no-such-track");
}

#[test]
fn what_is_not_needed_is_paused() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    world.join(anna);
    let answer = world.join(ben);
    let track = answer["tracks"][1]["track"].clone();
    world.forget_all();
    world.say(
        ben,
        json!({"type": "receive", "track": track, "paused": true, "width": 320}),
    );
    world.say(
        ben,
        json!({"type": "receive", "track": track, "height": 180}),
    );
    world.say(
        ben,
        json!({"type": "receive", "track": track, "paused": false, "priority": 1}),
    );
    // What does not change is not said again.
    world.say(
        ben,
        json!({"type": "receive", "track": track, "height": 180}),
    );
    let wishes: Vec<Wish> = world
        .commands
        .iter()
        .map(|(_, command)| match command {
            Command::SetWish { wish, .. } => *wish,
            other => panic!("{other:?}"),
        })
        .collect();
    let paused = Wish {
        paused: true,
        width: Some(320),
        ..Wish::default()
    };
    let sized = Wish {
        height: Some(180),
        ..paused
    };
    let shown = Wish {
        paused: false,
        priority: 4,
        ..sized
    };
    assert_eq!(wishes, [paused, sized, shown]);
    // One's own track, or none.
    world.say(
        anna,
        json!({"type": "receive", "track": track, "paused": true}),
    );
    assert_eq!(world.error_code(anna), "no-such-track");
    world.say(
        ben,
        json!({"type": "receive", "track": "t999", "paused": true}),
    );
    assert_eq!(world.error_code(ben), "no-such-track");
}

#[test]
fn what_shards_tell_is_relayed() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    let classic = world.classic("Carl");
    world.join(anna);
    world.join(ben);
    let peer = world.peer(ben);
    let call = world
        .commands
        .iter()
        .find_map(|(_, command)| match command {
            Command::AddPeer { call, .. } => Some(*call),
            _ => None,
        });
    world.forget_all();
    let speakers = vec![(crate::shard::ParticipantId(ben.id), 0.5)];
    world.event(Event::Speakers {
        call: call.unwrap(),
        speakers: speakers.clone(),
    });
    let expected = json!({"type": "speakers", "ids": [ben.id], "levels": [0.5]});
    assert_eq!(world.heard(anna), std::slice::from_ref(&expected));
    assert_eq!(world.heard(ben), [expected]);
    world.event(Event::Speakers {
        call: CallId(999),
        speakers,
    });

    let quality = Quality {
        loss: 0.0,
        rtt: Some(Duration::from_millis(20)),
        bandwidth: 1_000_000,
    };
    world.event(Event::Quality { peer, quality });
    assert_eq!(
        (
            &world.heard_one(anna, "quality")["score"],
            &world.heard_one(ben, "quality")["rtt"]
        ),
        (&json!(5), &json!(20.0))
    );
    world.event(Event::Quality { peer, quality });
    assert_eq!(world.heard(anna), Vec::<Value>::new());
    assert_eq!(world.heard(ben).len(), 1);
    world.event(Event::Quality {
        peer,
        quality: Quality {
            loss: 0.5,
            ..quality
        },
    });
    assert_eq!(world.heard_one(anna, "quality")["score"], 1);

    world.say(ben, json!({"type": "stats"}));
    assert!(matches!(world.commands[..], [(_, Command::Stats { .. })]));
    world.heard(ben);
    world.event(Event::Stats {
        peer,
        stats: Box::default(),
    });
    assert_eq!(
        world.heard_one(ben, "stats")["stats"][0]["type"],
        "transport"
    );
    assert_eq!(world.heard(classic), Vec::<Value>::new());
}

#[test]
fn a_failed_peer_is_told_and_leaves_the_call() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    world.join(anna);
    world.join(ben);
    let peer = world.peer(ben);
    world.forget_all();
    world.event(Event::Failed {
        peer,
        reason: FailReason::Handshake,
    });
    assert_eq!(world.heard_one(ben, "hang-up")["reason"], "gone");
    assert_eq!(world.heard_one(anna, "participant")["call"], Value::Null);
    world.event(Event::Failed {
        peer,
        reason: FailReason::Closed,
    });
    world.join(ben);
}

#[test]
fn a_network_that_is_gone_is_given_time() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    world.join(anna);
    world.join(ben);
    let peer = world.peer(ben);
    world.forget_all();
    world.event(Event::Consent { peer, fresh: false });
    world.pass(Duration::from_secs(29));
    world.event(Event::Consent { peer, fresh: true });
    world.pass(Duration::from_secs(60));
    assert_eq!(world.heard_of(ben, "hang-up"), Vec::<Value>::new());
    world.event(Event::Consent { peer, fresh: false });
    world.pass(Duration::from_secs(30));
    assert_eq!(world.heard_one(ben, "hang-up")["reason"], "timeout");
    assert_eq!(world.heard_one(anna, "participant")["call"], Value::Null);
}

#[test]
fn a_call_goes_on_without_the_socket() {
    let mut world = World::new();
    let anna = world.v1("Anna");
    let (session, told) = world.connect(request(Dialect::V1, "lobby"));
    let ben = User {
        session,
        id: told[0]["id"].as_u64().unwrap(),
    };
    world.say(ben, json!({"type": "username", "name": "Ben"}));
    let carl = world.v1("Carl");
    world.join(anna);
    world.join(ben);
    world.forget_all();
    world.disconnect(ben, false);
    world.join(carl);
    assert_eq!(world.heard_of(anna, "hang-up"), Vec::<Value>::new());
    assert!(
        !world
            .commands
            .iter()
            .any(|(_, command)| matches!(command, Command::RemovePeer { .. }))
    );
    let (session, told) = world.connect(Connect {
        resume: told[0]["resume"].as_str().map(str::to_owned),
        ..request(Dialect::V1, "lobby")
    });
    // Carl's tracks are offered now.
    let offer = told
        .iter()
        .find(|message| message["type"] == "video-offer")
        .expect("an offer");
    let carls = offer["tracks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["name"] == "Carl");
    assert_eq!(carls.count(), 2);

    // An offer that was lost is said again, unchanged.
    let ben = User { session, ..ben };
    world.disconnect(ben, false);
    let (_, again) = world.connect(Connect {
        resume: told[0]["resume"].as_str().map(str::to_owned),
        ..request(Dialect::V1, "lobby")
    });
    assert_eq!(
        again
            .iter()
            .find(|message| message["type"] == "video-offer"),
        Some(offer)
    );
}

#[test]
fn calls_share_the_shards() {
    let mut world = World::new();
    let users = [
        world.v1("Anna"),
        world.user(Dialect::V1, "other", "Ben"),
        world.v1("Carl"),
    ];
    for user in users {
        world.join(user);
    }
    let shards: Vec<usize> = world
        .commands
        .iter()
        .filter(|(_, command)| matches!(command, Command::AddPeer { .. }))
        .map(|(shard, _)| *shard)
        .collect();
    assert_eq!(shards, [0, 1, 0]);
}

#[test]
fn a_room_that_outgrows_a_shard_goes_on_in_another() {
    let mut world = World::new();
    let names = ["Anna", "Ben", "Carl", "Dora", "Emil"];
    let users = names.map(|name| world.v1(name));
    for user in users {
        world.join(user);
    }
    let added: Vec<(usize, Vec<usize>)> = world
        .commands
        .iter()
        .filter_map(|(shard, command)| match command {
            Command::AddPeer { shards, .. } => Some((*shard, shards.clone())),
            _ => None,
        })
        .collect();
    let alone = (0, vec![]);
    let there = (1, vec![0]);
    assert_eq!(
        added,
        [alone.clone(), alone.clone(), alone, there.clone(), there]
    );
    // Everybody's copies say where the others are.
    let homes = |user: super::User| {
        let peer = world.peer(user);
        let mut homes: Vec<usize> = world
            .commands
            .iter()
            .filter_map(|(_, command)| match command {
                Command::SetSender {
                    peer: of,
                    parameters: Some(parameters),
                    ..
                } if *of == peer => Some(parameters.home),
                _ => None,
            })
            .collect();
        homes.sort_unstable();
        homes.dedup();
        homes
    };
    for user in users {
        assert_eq!(homes(user), [0, 1]);
    }
    world.disconnect(users[3], true);
    world.disconnect(users[4], true);
    world.commands.clear();
    let late = world.v1("Fritz");
    world.join(late);
    let again = world
        .commands
        .iter()
        .find_map(|(shard, command)| match command {
            Command::AddPeer { shards, .. } => Some((*shard, shards.clone())),
            _ => None,
        });
    assert_eq!(again, Some((1, vec![0])));
}

#[test]
fn speakers_on_all_shards_are_told_as_one_list() {
    let mut world = World::new();
    let users = ["Anna", "Ben", "Carl", "Dora"].map(|name| world.v1(name));
    for user in users {
        world.join(user);
    }
    let call = *world.rooms.calls.keys().next().unwrap();
    let speakers = |list: &[(super::User, f32)]| Event::Speakers {
        call,
        speakers: list
            .iter()
            .map(|(user, level)| (crate::shard::ParticipantId(user.id), *level))
            .collect(),
    };
    world.forget_all();
    world.event_of(0, speakers(&[(users[0], 0.25)]));
    world.event_of(1, speakers(&[(users[3], 0.5)]));
    let one = |ids: Value, levels: Value| json!({"type": "speakers", "ids": ids, "levels": levels});
    let first = one(json!([users[0].id]), json!([0.25]));
    assert_eq!(world.heard(users[1]), std::slice::from_ref(&first));
    world.pass(Duration::from_millis(200));
    let both = one(json!([users[3].id, users[0].id]), json!([0.5, 0.25]));
    assert_eq!(world.heard(users[1]), std::slice::from_ref(&both));
    // Nobody of the call is on the second shard any more, which tells nothing of it.
    world.disconnect(users[3], true);
    world.pass(Duration::from_millis(200));
    assert_eq!(world.heard_of(users[1], "speakers"), [first]);
}

#[test]
fn all_shards_of_a_call_know_who_spoke_lately() {
    let mut world = World::new();
    let users = ["Anna", "Ben", "Carl", "Dora"].map(|name| world.v1(name));
    for user in users {
        world.join(user);
    }
    let call = *world.rooms.calls.keys().next().unwrap();
    let speaks = |user: Option<super::User>| Event::Speakers {
        call,
        speakers: user
            .map(|user| (crate::shard::ParticipantId(user.id), 0.25))
            .into_iter()
            .collect(),
    };
    let told = |world: &mut World| -> Vec<(usize, Vec<u64>)> {
        let told = world.commands.iter().filter_map(|(shard, command)| {
            let Command::SetSpeakers { speakers, .. } = command else {
                return None;
            };
            Some((*shard, speakers.iter().map(|id| id.0).collect()))
        });
        let told = told.collect();
        world.forget_all();
        told
    };
    world.forget_all();
    let dora = users[3];
    world.event_of(1, speaks(Some(dora)));
    world.pass(Duration::from_millis(1_400));
    assert!(told(&mut world).is_empty(), "it may be a cough");
    world.pass(Duration::from_millis(100));
    let both = [(0, vec![dora.id]), (1, vec![dora.id])];
    assert_eq!(told(&mut world), both);
    world.event_of(1, speaks(None));
    world.pass(Duration::from_secs(9));
    assert!(told(&mut world).is_empty());
    world.pass(Duration::from_secs(2));
    assert_eq!(told(&mut world), [(0, vec![]), (1, vec![])]);

    // Who comes to a shard where nobody of the call was finds there what the others know.
    world.event_of(0, speaks(Some(users[0])));
    world.pass(Duration::from_secs(2));
    world.disconnect(dora, true);
    world.forget_all();
    let late = world.v1("Fritz");
    world.join(late);
    assert_eq!(told(&mut world), [(1, vec![users[0].id])]);
}

#[test]
fn nothing_is_left_when_all_are_gone() {
    let mut world = World::new();
    let users = [world.v1("Anna"), world.v1("Ben"), world.classic("Carl")];
    for user in users {
        world.join(user);
    }
    for user in users {
        world.disconnect(user, true);
    }
    let rooms = &world.rooms;
    assert!(
        rooms.participants.is_empty() && rooms.room_by_name.is_empty() && rooms.calls.is_empty()
    );
    assert!(rooms.participant_by_peer.is_empty() && rooms.publisher_by_track.is_empty());
    assert!(rooms.participant_by_token.is_empty() && rooms.participant_by_session.is_empty());
    assert!(rooms.participants_by_address.is_empty());
    assert_eq!(rooms.load_by_shard, [0, 0]);
}

#[test]
fn after_an_answer_that_cannot_be_taken_the_offer_is_made_again() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    world.join(anna);
    world.offer(ben, &[MICROPHONE, CAMERA], Value::Null);
    let offer = world.heard_one(anna, "video-offer");
    let sdp = json!({"type": "answer", "sdp": "v=0\r\nnonsense\r\n"});
    world.say(anna, json!({"type": "video-answer", "sdp": sdp}));
    assert_eq!(world.error_code(anna), "bad-sdp");
    world.pass(Duration::from_secs(11));
    let again = world.heard_one(anna, "video-offer");
    assert_eq!(offer["tracks"], again["tracks"]);
}
