//! What moderators do to a room and to those in it.

use super::client::{CAMERA, MICROPHONE, offer_sdp};
use super::*;
use crate::room::OperatorRequest;
use crate::shard::Command;
use crate::signaling::protocol::{Moderation, Target};

impl World {
    /// A moderator in the lobby.
    fn moderator(&mut self, name: &str) -> User {
        self.guest(Dialect::V1, name, |access| access.grants.moderate = true)
    }

    fn moderate(&mut self, by: User, mut moderation: Value) {
        moderation["type"] = json!("moderate");
        self.say(by, moderation);
    }

    /// Joins with a camera and a screen.
    fn join_sharing(&mut self, user: User) {
        let lines = [
            ("0".to_owned(), CAMERA),
            ("1".to_owned(), CAMERA),
            ("2".to_owned(), MICROPHONE),
        ];
        let tracks =
            json!([{"mid": "1", "source": "screen"}, {"mid": "2", "source": "screen-audio"}]);
        let sdp = offer_sdp(&lines);
        self.say(
            user,
            json!({"type": "video-offer", "sdp": sdp, "tracks": tracks}),
        );
        self.answer_all();
    }

    /// What a newcomer is told first, and how its socket was closed.
    fn newcomer(
        &mut self,
        change: impl FnOnce(&mut Connect),
    ) -> (SessionId, Vec<Value>, Option<u16>) {
        let mut connect = request(Dialect::V1, "lobby");
        change(&mut connect);
        let (session, told) = self.connect(connect);
        let closed = self.closed.get(&session).copied();
        (session, told, closed)
    }
}

/// The sources of the tracks of somebody's last `participant`, and whether they are muted.
fn shown(world: &World, to: User, of: User) -> Vec<(String, bool)> {
    let told = world.inbox.get(&to.session).into_iter().flatten();
    let mut last = told.filter(|told| told["type"] == "participant" && told["id"] == of.id);
    let last = last.next_back().expect("a participant")["tracks"].clone();
    let tracks = last.as_array().expect("tracks").iter();
    let one = |track: &Value| {
        let source = track["source"].as_str().expect("a source").to_owned();
        (source, track["muted"] == true)
    };
    tracks.map(one).collect()
}

#[test]
fn on_an_open_server_and_without_the_grant_nobody_moderates() {
    let mut world = World::new();
    let (ada, ben) = (world.v1("Ada"), world.v1("Ben"));
    for moderation in [
        json!({"action": "remove", "target": ben.id}),
        json!({"action": "lock", "on": true}),
        json!({"action": "mute"}),
    ] {
        world.moderate(ada, moderation);
        assert_eq!(world.error_code(ada), "not-granted");
    }
    assert_eq!(world.closed.get(&ben.session), None);
    let (_, told, closed) = world.newcomer(|_| {});
    assert_eq!((told[0]["type"].clone(), closed), (json!("id"), None));
}

#[test]
fn a_muted_voice_is_not_forwarded_until_it_unmutes_itself() {
    let mut world = World::new();
    let (eve, ada, ben) = (world.moderator("Eve"), world.v1("Ada"), world.v1("Ben"));
    world.join(ada);
    world.join(ben);
    world.forget_all();
    world.moderate(eve, json!({"action": "mute", "target": "Ada"}));
    let muted = |world: &World| {
        let commands = world.commands.iter();
        let muted = commands.filter_map(|(_, command)| match command {
            Command::SetMuted { muted, .. } => Some(*muted),
            _ => None,
        });
        muted.collect::<Vec<_>>()
    };
    assert_eq!(muted(&world), [true]);
    let expected = [
        ("microphone".to_owned(), true),
        ("camera".to_owned(), false),
    ];
    assert_eq!(shown(&world, ben, ada), expected);
    let told = world.heard_one(ada, "moderated");
    let by = json!({"id": eve.id, "name": "Eve"});
    assert_eq!(
        told,
        json!({"type": "moderated", "action": "mute", "source": "microphone", "by": by})
    );
    world.say(
        ada,
        json!({"type": "mute", "source": "microphone", "muted": false}),
    );
    assert_eq!(muted(&world), [true, false]);
    // Another source, and everybody's at once but moderators'.
    world.moderate(
        eve,
        json!({"action": "mute", "target": ada.id, "source": "camera"}),
    );
    assert_eq!(world.heard_one(ada, "moderated")["source"], "camera");
    world.join(eve);
    world.forget_all();
    world.moderate(eve, json!({"action": "mute"}));
    assert_eq!(muted(&world), [true, true]);
    assert_eq!(world.heard_one(ben, "moderated")["source"], "microphone");
    // Who is muted already is not told again.
    world.moderate(eve, json!({"action": "mute"}));
    assert_eq!(world.heard_of(ben, "moderated").len(), 0);
    assert_eq!(world.heard_of(eve, "moderated").len(), 0);
    // What nobody sends, or nobody is, cannot be muted.
    world.forget_all();
    world.moderate(
        eve,
        json!({"action": "mute", "target": "Ada", "source": "screen"}),
    );
    assert_eq!(world.error_code(eve), "no-such-track");
    world.moderate(eve, json!({"action": "mute", "target": "Zoe"}));
    assert_eq!(world.error_code(eve), "no-such-user");
    world.moderate(eve, json!({"action": "mute", "source": "face"}));
    assert_eq!(world.error_code(eve), "bad-message");
}

#[test]
fn who_is_muted_while_away_hears_of_it_when_back() {
    let mut world = World::new();
    let eve = world.moderator("Eve");
    let (session, told) = world.connect(request(Dialect::V1, "lobby"));
    let id = told[0]["id"].as_u64().unwrap();
    let ada = User { session, id };
    world.say(ada, json!({"type": "username", "name": "Ada"}));
    world.join(ada);
    world.disconnect(ada, false);
    world.moderate(eve, json!({"action": "mute", "target": "Ada"}));
    let resume = told[0]["resume"].as_str().map(str::to_owned);
    let (_, told, _) = world.newcomer(|connect| connect.resume = resume);
    assert!(
        told.iter().any(|told| told["type"] == "moderated"),
        "{told:?}"
    );
}

#[test]
fn a_stopped_screen_is_taken_from_all_even_if_its_client_goes_on() {
    let mut world = World::new();
    let (eve, ada, ben) = (world.moderator("Eve"), world.v1("Ada"), world.v1("Ben"));
    world.join(ben);
    world.join_sharing(ada);
    world.forget_all();
    world.moderate(eve, json!({"action": "stop-screen", "target": ada.id}));
    assert_eq!(shown(&world, ben, ada), [("camera".to_owned(), false)]);
    let by = json!({"id": eve.id, "name": "Eve"});
    assert_eq!(
        world.heard_one(ada, "moderated"),
        json!({"type": "moderated", "action": "stop-screen", "by": by})
    );
    let senders = |world: &World| {
        let commands = world.commands.iter();
        let ended = commands.filter(|(_, command)| {
            matches!(
                command,
                Command::SetSender {
                    parameters: None,
                    ..
                }
            )
        });
        ended.count()
    };
    assert_eq!(senders(&world), 2, "the screen and its sound");
    // A client that goes on to send gets nothing of it forwarded.
    world.forget_all();
    let lines = [
        ("0".to_owned(), CAMERA),
        ("1".to_owned(), CAMERA),
        ("2".to_owned(), MICROPHONE),
    ];
    let offer = |world: &mut World, lines: &[(String, super::client::Line)]| {
        let tracks =
            json!([{"mid": "1", "source": "screen"}, {"mid": "2", "source": "screen-audio"}]);
        world.say(
            ada,
            json!({"type": "video-offer", "sdp": offer_sdp(lines), "tracks": tracks}),
        );
        world.answer_all();
    };
    offer(&mut world, &lines);
    assert_eq!(world.last_of(ben, "participant"), None, "nothing changed");
    world.moderate(eve, json!({"action": "stop-screen", "target": ada.id}));
    assert_eq!(world.error_code(eve), "no-such-track");
    // One that ends it may share another.
    let ended = lines.clone().map(|(mid, (kind, way))| {
        (
            mid.clone(),
            (kind, if mid == "0" { way } else { "recvonly" }),
        )
    });
    offer(&mut world, &ended);
    offer(&mut world, &lines);
    let again = shown(&world, ben, ada);
    assert!(
        again.iter().any(|(source, _)| source == "screen"),
        "{again:?}"
    );
}

#[test]
fn who_is_removed_is_told_by_whom_and_may_come_back() {
    let mut world = World::new();
    let (eve, ada, carl) = (
        world.moderator("Eve"),
        world.v1("Ada"),
        world.classic("Carl"),
    );
    world.join(ada);
    world.join(carl);
    world.forget_all();
    world.moderate(eve, json!({"action": "remove", "target": "Ada"}));
    let told = world.heard(ada);
    let kinds: Vec<&str> = told
        .iter()
        .filter_map(|told| told["type"].as_str())
        .collect();
    assert_eq!(kinds, ["hang-up", "error"]);
    assert_eq!(told[0]["reason"], "kicked");
    assert_eq!(
        (&told[1]["code"], &told[1]["fatal"]),
        (&json!("removed"), &json!(true))
    );
    assert_eq!(told[1]["message"], "Eve removed you from the room");
    assert_eq!(world.closed[&ada.session], 4403);
    let left = world.heard_of(eve, "participant");
    assert!(
        left.iter()
            .any(|told| told["id"] == ada.id && told["state"] == "left")
    );
    // A classic client hears what it knows, and no more.
    world.forget_all();
    world.moderate(eve, json!({"action": "remove", "target": "Carl"}));
    let told = world.heard(carl);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (&told[0]["type"], &told[0]["reason"]),
        (&json!("hang-up"), &json!("kicked"))
    );
    assert_eq!(world.closed[&carl.session], 4403);
    let (_, told, closed) = world.newcomer(|_| {});
    assert_eq!((told[0]["type"].clone(), closed), (json!("id"), None));
    world.moderate(eve, json!({"action": "remove", "target": "Eve"}));
    assert_eq!(world.error_code(eve), "self-target");
}

#[test]
fn a_ban_holds_by_identity_or_else_by_address() {
    let mut world = World::new();
    let eve = world.moderator("Eve");
    let known = |connect: &mut Connect| connect.access.identity = Some("ada".into());
    let from = |last: u8| move |connect: &mut Connect| connect.address = [192, 0, 2, last].into();
    let known_one = world.guest(Dialect::V1, "Ada", |access| {
        access.identity = Some("ada".into())
    });
    let twice = world.guest(Dialect::V1, "Ada too", |access| {
        access.identity = Some("ada".into())
    });
    world.moderate(eve, json!({"action": "ban", "target": known_one.id}));
    assert_eq!(world.closed[&known_one.session], 4403);
    assert_eq!(world.closed[&twice.session], 4403, "all sessions of hers");
    let (_, told, closed) = world.newcomer(|connect| {
        known(connect);
        from(7)(connect);
    });
    assert_eq!((&told[0]["code"], closed), (&json!("banned"), Some(4403)));
    assert_eq!(told.len(), 1);

    let mut connect = request(Dialect::V1, "lobby");
    from(9)(&mut connect);
    let unknown = world.named(connect, "Bob");
    world.moderate(eve, json!({"action": "ban", "target": "Bob"}));
    assert_eq!(world.closed[&unknown.session], 4403);
    assert_eq!(world.newcomer(from(9)).2, Some(4403));
    assert_eq!(world.newcomer(from(10)).2, None, "another address");
    // Others there who are known are not meant, nor are moderators.
    let other = world.newcomer(|connect| {
        from(9)(connect);
        connect.access.identity = Some("carol".into());
    });
    assert_eq!(other.2, None);
    let moderator = world.newcomer(|connect| {
        from(9)(connect);
        connect.access.grants.moderate = true;
    });
    assert_eq!(moderator.2, None);
    // Of IPv6 it is the network.
    let v6 = |last: u16| {
        move |connect: &mut Connect| {
            connect.address = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, last).into();
        }
    };
    let mut connect = request(Dialect::V1, "lobby");
    v6(1)(&mut connect);
    let sixth = world.named(connect, "Six");
    world.moderate(eve, json!({"action": "ban", "target": sixth.id}));
    assert_eq!(world.newcomer(v6(2)).2, Some(4403));
    // The list is told to moderators, and a ban can be lifted.
    let state = world.heard_of(eve, "room-state").pop().expect("a state");
    let bans = json!([{"id": known_one.id, "name": "Ada"}, {"id": unknown.id, "name": "Bob"}, {"id": sixth.id, "name": "Six"}]);
    assert_eq!(state["bans"], bans);
    world.moderate(eve, json!({"action": "unban", "ban": unknown.id}));
    assert_eq!(world.newcomer(from(9)).2, None);
    // It is for this room, and for as long as there is one.
    let (_, _, closed) = world.newcomer(|connect| {
        known(connect);
        connect.room = Some("other".to_owned());
    });
    assert_eq!(closed, None);
}

#[test]
fn who_has_no_name_hears_no_chat_and_is_removed_by_number() {
    let mut world = World::new();
    let (eve, ada) = (world.moderator("Eve"), world.v1("Ada"));
    let (session, told, _) = world.newcomer(|_| {});
    let id = told[0]["id"].as_u64().unwrap();
    let silent = User { session, id };
    world.forget_all();
    world.say(ada, json!({"type": "message", "text": "a secret"}));
    world.say(ada, json!({"type": "wave"}));
    assert_eq!(world.heard_of(eve, "message").len(), 1);
    for message in world.heard(silent) {
        assert_ne!(message["type"], "message");
        assert_ne!(message["type"], "wave");
    }
    world.moderate(eve, json!({"action": "remove", "target": id}));
    assert_eq!(world.closed[&session], 4403);
}

#[test]
fn bans_are_bounded() {
    let mut world = World::with(|config| config.limits.max_joins_per_second = 100_000);
    let eve = world.moderator("Eve");
    let named = |number: usize| format!("user{number}");
    for number in 0..1_001 {
        let user = world.guest(Dialect::V1, "Ada", |access| {
            access.identity = Some(named(number).into())
        });
        world.moderate(eve, json!({"action": "ban", "target": user.id}));
        world.pass(Duration::from_millis(100));
    }
    let comes = |world: &mut World, number: usize| {
        let (session, _, closed) =
            world.newcomer(|connect| connect.access.identity = Some(named(number).into()));
        if closed.is_none() {
            world
                .rooms
                .handle_disconnect(world.now, session, Departure::Left);
        }
        closed.is_none()
    };
    assert!(comes(&mut world, 0), "the oldest went");
    assert!(!comes(&mut world, 1) && !comes(&mut world, 1_000));
}

#[test]
fn a_locked_room_takes_moderators_only_and_those_who_are_back() {
    let mut world = World::new();
    let (eve, ada) = (world.moderator("Eve"), world.v1("Ada"));
    world.forget_all();
    world.moderate(eve, json!({"action": "lock", "on": true}));
    assert_eq!(
        world.heard_one(ada, "room-state"),
        json!({"type": "room-state", "locked": true, "waitingRoom": false})
    );
    let (_, told, closed) = world.newcomer(|_| {});
    assert_eq!(
        (&told[0]["code"], &told[0]["fatal"], closed),
        (&json!("room-locked"), &json!(true), Some(4403))
    );
    let (session, told) = world.connect(request(Dialect::Classic, "lobby"));
    assert_eq!((told.len(), world.closed[&session]), (0, 4403));
    let (_, told, closed) = world.newcomer(|connect| connect.access.grants.moderate = true);
    assert_eq!(
        (&told[1]["type"], &told[1]["locked"], closed),
        (&json!("room-state"), &json!(true), None)
    );
    world.moderate(eve, json!({"action": "lock", "on": false}));
    assert_eq!(world.newcomer(|_| {}).2, None);
    // Who is in comes back with the session's own token.
    let (session, told) = world.connect(request(Dialect::V1, "lobby"));
    world.moderate(eve, json!({"action": "lock", "on": true}));
    world
        .rooms
        .handle_disconnect(world.now, session, Departure::Broken);
    let resume = told[0]["resume"].as_str().map(str::to_owned);
    let (_, told, closed) = world.newcomer(|connect| connect.resume = resume);
    assert_eq!((&told[0]["resumed"], closed), (&json!(true), None));
}

#[test]
fn who_waits_hears_and_does_nothing_until_admitted() {
    let mut world = World::new();
    let (eve, ada) = (world.moderator("Eve"), world.v1("Ada"));
    world.moderate(eve, json!({"action": "waiting-room", "on": true}));
    world.forget_all();
    let (session, told, closed) = world.newcomer(|_| {});
    assert_eq!(closed, None);
    let bob = User {
        session,
        id: told[0]["id"].as_u64().unwrap(),
    };
    assert_eq!((told.len(), &told[0]["waiting"]), (2, &json!(true)));
    assert_eq!(
        told[1],
        json!({"type": "waiting", "state": "waiting", "moderator": true})
    );
    world.say(bob, json!({"type": "username", "name": "Ada"}));
    assert_eq!(
        world.heard(bob),
        [] as [Value; 0],
        "the name is nobody's yet"
    );
    world.pass(Duration::from_secs(1));
    let waiting = world.heard_of(eve, "room-state").pop().unwrap()["waiting"].clone();
    assert_eq!(waiting, json!([{"id": bob.id, "name": "Ada"}]));
    assert_eq!(world.heard(ada), [] as [Value; 0], "nobody else is told");
    for message in [
        json!({"type": "message", "text": "hello?"}),
        json!({"type": "wave"}),
        json!({"type": "video-offer", "sdp": offer_sdp(&[("0".to_owned(), MICROPHONE)])}),
        json!({"type": "moderate", "action": "admit"}),
    ] {
        world.say(bob, message);
        assert_eq!(world.error_code(bob), "not-admitted-yet");
    }
    world.say(
        ada,
        json!({"type": "message", "text": "psst", "target": bob.id}),
    );
    assert_eq!(world.error_code(ada), "no-such-user");
    assert_eq!(world.heard(bob), [] as [Value; 0]);
    // A broken socket does not lose the place.
    let resume = told[0]["resume"].as_str().map(str::to_owned);
    world.disconnect(bob, false);
    let (session, told, _) = world.newcomer(|connect| connect.resume = resume);
    let bob = User {
        session,
        id: bob.id,
    };
    assert_eq!(
        (&told[0]["resumed"], &told[0]["waiting"], told.len()),
        (&json!(true), &json!(true), 2)
    );

    world.forget_all();
    world.moderate(eve, json!({"action": "admit", "target": bob.id}));
    let told = world.heard(bob);
    assert_eq!(told[0], json!({"type": "waiting", "state": "admitted"}));
    let kinds: Vec<&str> = told
        .iter()
        .filter_map(|told| told["type"].as_str())
        .collect();
    assert_eq!(
        kinds,
        [
            "waiting",
            "room-state",
            "participant",
            "participant",
            "rejectusername"
        ]
    );
    assert_eq!(told.last().unwrap()["name"], "Ada1");
    let came = world.heard_one(ada, "participant");
    assert_eq!(
        (&came["name"], &came["state"]),
        (&json!("Ada1"), &json!("joined"))
    );
    world.join(bob);
    world.pass(Duration::from_secs(1));
    assert_eq!(
        world.heard_of(eve, "room-state").pop().unwrap()["waiting"],
        json!([])
    );
}

#[test]
fn those_who_wait_are_refused_expire_or_all_come_in() {
    let mut world = World::new();
    let eve = world.moderator("Eve");
    world.moderate(eve, json!({"action": "waiting-room", "on": true}));
    let wait = |world: &mut World| {
        let (session, told, _) = world.newcomer(|_| {});
        User {
            session,
            id: told[0]["id"].as_u64().unwrap(),
        }
    };
    let refused = wait(&mut world);
    world.moderate(eve, json!({"action": "refuse", "target": refused.id}));
    let error = world.heard_one(refused, "error");
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!("not-admitted"), &json!("Eve did not let you in"))
    );
    assert_eq!(world.closed[&refused.session], 4403);
    // Without a moderator, one waits for one to come; and not for ever.
    let late = wait(&mut world);
    world.disconnect(eve, true);
    assert_eq!(world.heard_one(late, "waiting")["moderator"], false);
    let eve = world.moderator("Eve");
    assert_eq!(world.heard_one(late, "waiting")["moderator"], true);
    world.pass(Duration::from_secs(599));
    assert!(!world.closed.contains_key(&late.session));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.heard_one(late, "error")["code"], "not-admitted");
    assert_eq!(world.closed[&late.session], 4403);
    // Switched off, all are in; classic clients cannot wait, and the line is short.
    let (session, told) = world.connect(request(Dialect::Classic, "lobby"));
    assert_eq!((told.len(), world.closed[&session]), (0, 4403));
    let all: Vec<User> = (0..64).map(|_| wait(&mut world)).collect();
    let (_, told, closed) = world.newcomer(|_| {});
    assert_eq!(
        (&told[0]["code"], closed),
        (&json!("waiting-room-full"), Some(4403))
    );
    world.moderate(eve, json!({"action": "waiting-room", "on": false}));
    for user in all {
        assert_eq!(world.heard_one(user, "waiting")["state"], "admitted");
    }
    // One who is banned while waiting does not come back.
    world.moderate(eve, json!({"action": "waiting-room", "on": true}));
    let banned = wait(&mut world);
    world.moderate(eve, json!({"action": "ban", "target": banned.id}));
    assert_eq!(world.heard_one(banned, "error")["code"], "banned");
    assert_eq!(world.newcomer(|_| {}).2, Some(4403));
    world.moderate(eve, json!({"action": "admit", "target": 999}));
    assert_eq!(world.error_code(eve), "no-such-user");
}

#[test]
fn those_who_wait_cannot_bury_a_moderator() {
    let mut world = World::new();
    let eve = world.moderator("Eve");
    world.moderate(eve, json!({"action": "waiting-room", "on": true}));
    world.pass(Duration::from_secs(1));
    let (session, told, _) = world.newcomer(|_| {});
    let bob = User {
        session,
        id: told[0]["id"].as_u64().unwrap(),
    };
    world.forget_all();
    for number in 0..100 {
        world.say(
            bob,
            json!({"type": "username", "name": format!("Bob {number}")}),
        );
    }
    assert_eq!(world.heard_of(eve, "room-state").len(), 0, "just told");
    world.pass(Duration::from_secs(5));
    let told = world.heard_one(eve, "room-state");
    assert_eq!(told["waiting"][0]["name"], "Bob 99");
}

#[test]
fn a_room_lives_as_long_as_somebody_waits_for_it() {
    let mut world = World::new();
    let eve = world.moderator("Eve");
    world.moderate(eve, json!({"action": "waiting-room", "on": true}));
    let (session, _, _) = world.newcomer(|_| {});
    world.disconnect(eve, true);
    let (_, told, _) = world.newcomer(|_| {});
    assert_eq!(told[0]["waiting"], true, "it is the same room");
    world
        .rooms
        .handle_disconnect(world.now, session, Departure::Left);
    world.pass(Duration::from_secs(601));
    let (_, told, _) = world.newcomer(|_| {});
    assert_eq!(told[0].get("waiting"), None, "it is a new one");
}

#[test]
fn operators_moderate_without_being_there() {
    let mut world = World::new();
    let (ada, ben) = (world.v1("Ada"), world.v1("Ben"));
    world.join(ada);
    world.forget_all();
    let ask = |world: &mut World, room: &str, moderation: Moderation| {
        let room = room.to_owned();
        let request = OperatorRequest::Moderate { room, moderation };
        world
            .rooms
            .handle_operator(world.now, RequestId(1), request);
        world.collect();
        world.answers.remove(0).1
    };
    let target = Target::Name("Ada".to_owned());
    let mute = Moderation::Mute {
        target: Some(target.clone()),
        source: crate::negotiation::Source::Microphone,
    };
    assert_eq!(ask(&mut world, "lobby", mute.clone()), OperatorAnswer::Done);
    assert_eq!(world.heard_one(ada, "moderated")["by"], Value::Null);
    assert_eq!(
        ask(&mut world, "lobby", Moderation::Remove(target)),
        OperatorAnswer::Done
    );
    assert!(
        world.heard_one(ada, "error")["message"]
            .as_str()
            .unwrap()
            .contains("operator")
    );
    for (room, moderation, code) in [
        ("lobby", mute, "no-such-participant"),
        ("nowhere", Moderation::Lock(true), "no-such-room"),
        (
            "lobby",
            Moderation::StopScreen(Target::Id(ben.id)),
            "no-such-track",
        ),
    ] {
        match ask(&mut world, room, moderation) {
            OperatorAnswer::Refused(refusal) => assert_eq!(refusal.code, code),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        ask(&mut world, "lobby", Moderation::Lock(true)),
        OperatorAnswer::Done
    );
    assert_eq!(world.newcomer(|_| {}).2, Some(4403));
}

#[test]
fn classic_clients_hear_nothing_of_moderation_and_may_use_its_words() {
    let mut world = World::new();
    let (eve, carl) = (world.moderator("Eve"), world.classic("Carl"));
    let dora = world.classic("Dora");
    world.join(carl);
    world.forget_all();
    world.moderate(eve, json!({"action": "lock", "on": true}));
    world.moderate(eve, json!({"action": "mute", "target": "Carl"}));
    assert_eq!(world.heard(carl), [] as [Value; 0]);
    for word in ["moderate", "moderated", "room-state", "waiting"] {
        world.forget_all();
        world.say(carl, json!({"type": word}));
        assert_eq!(world.heard_one(dora, word)["name"], "Carl");
        let to_v1 = world.heard_of(eve, word).len();
        assert_eq!(
            to_v1,
            usize::from(word == "moderate"),
            "{word} is the server's"
        );
        if word != "moderate" {
            world.say(eve, json!({"type": word}));
            assert_eq!(world.error_code(eve), "bad-message");
            world.pass(Duration::from_secs(11));
        }
    }
}
