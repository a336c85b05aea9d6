use super::client::MICROPHONE;
use super::*;
use crate::turn::IceServers;

fn resume(token: &str) -> Connect {
    Connect {
        resume: Some(token.to_owned()),
        ..request(Dialect::V1, "lobby")
    }
}

/// A named v1 user with the token of its session.
fn user_with_token(world: &mut World, name: &str) -> (User, String) {
    let (session, told) = world.connect(request(Dialect::V1, "lobby"));
    let user = User {
        session,
        id: told[0]["id"].as_u64().unwrap(),
    };
    world.say(user, json!({"type": "username", "name": name}));
    (user, told[0]["resume"].as_str().unwrap().to_owned())
}

fn ice_servers(config: &RoomsConfig) -> IceServers {
    let hour = Duration::from_secs(3_600);
    IceServers::of_test(config.started, hour, "turn.example.org")
}

#[test]
fn credentials_of_turn_are_renewed_before_they_run_out() {
    let mut world = World::with(|config| {
        config.ice_servers = ice_servers(config);
    });
    let (anna, token) = user_with_token(&mut world, "Anna");

    world.pass(Duration::from_secs(1_799));
    assert!(world.heard_of(anna, "ice-servers").is_empty());
    world.pass(Duration::from_secs(1));
    let told = world.heard_one(anna, "ice-servers");
    assert_eq!(
        told["iceServers"][1]["username"],
        format!("5400:{}", anna.id)
    );
    // Whoever resumes is told in `id`, and again when that is half through.
    world.pass(Duration::from_secs(900));
    let (session, told) = world.connect(resume(&token));
    let anna = User { session, ..anna };
    assert_eq!(
        told[0]["iceServers"][1]["username"],
        format!("6300:{}", anna.id)
    );
    world.pass(Duration::from_secs(1_799));
    assert!(world.heard_of(anna, "ice-servers").is_empty());
    world.pass(Duration::from_secs(1));
    assert_eq!(world.heard_of(anna, "ice-servers").len(), 1);
}

#[test]
fn who_resumes_is_told_whether_the_call_goes_on() {
    let mut world = World::new();
    let (anna, token) = user_with_token(&mut world, "Anna");
    world.join(anna);
    world.disconnect(anna, false);
    let (session, told) = world.connect(resume(&token));
    assert_eq!(
        (&told[0]["resumed"], &told[0]["inCall"]),
        (&json!(true), &json!(true))
    );
    // The network is gone for so long that the call ends; the socket is not known to be broken before.
    let anna = User { session, ..anna };
    world.say(anna, json!({"type": "hang-up"}));
    let token = told[0]["resume"].as_str().unwrap();
    let (_, told) = world.connect(resume(token));
    assert_eq!(
        (&told[0]["resumed"], &told[0]["inCall"]),
        (&json!(true), &json!(false))
    );
}

#[test]
fn nothing_is_left_to_be_done_for_who_has_left() {
    let mut world = World::with(|config| {
        config.ice_servers = ice_servers(config);
    });
    let (anna, token) = user_with_token(&mut world, "Anna");
    world.pass(Duration::from_secs(10));
    let (session, _) = world.connect(resume(&token));
    world.disconnect(User { session, ..anna }, true);
    // Not even hours later, when the credentials would have been half through.
    assert_eq!(world.rooms.poll_timeout(), None);
}

#[test]
fn the_first_message_says_all_about_the_session() {
    let mut world = World::with(|config| {
        config.ice_servers = ice_servers(config);
    });
    let (_, told) = world.connect(request(Dialect::V1, "demo"));
    let id = &told[0];
    assert_eq!(id["type"], "id");
    assert_eq!(id["room"], "demo");
    let [stun, turn] = &id["iceServers"].as_array().unwrap()[..] else {
        panic!("{id}");
    };
    assert_eq!(stun, &json!({"urls": ["stun:turn.example.org:3478"]}));
    assert_eq!(
        turn["urls"],
        json!(["turn:turn.example.org:3478?transport=udp"])
    );
    let username = format!("3600:{}", id["id"]);
    assert_eq!(turn["username"], username);
    assert!(turn["credential"].is_string());
    assert_eq!(id["server"], env!("CARGO_PKG_VERSION"));
    assert_eq!(id["resumed"], false);
    assert_eq!(id["resume"].as_str().unwrap().len(), 32);
    let (_, told) = world.connect(Connect {
        room: None,
        ..request(Dialect::V1, "")
    });
    assert_eq!(told[0]["room"], "lobby");
}

#[test]
fn a_broken_session_is_taken_up_again() {
    let mut world = World::new();
    let anna = world.v1("Anna");
    let (ben, token) = user_with_token(&mut world, "Ben");
    world.forget_all();
    world.disconnect(ben, false);
    world.say(anna, json!({"type": "message", "text": "are you there?"}));
    world.say(anna, json!({"type": "x-poke", "target": "Ben"}));
    world.pass(Duration::from_secs(29));
    assert_eq!(world.heard_of(anna, "participant"), Vec::<Value>::new());

    let (session, told) = world.connect(resume(&token));
    assert_eq!(
        (&told[0]["id"], &told[0]["resumed"]),
        (&json!(ben.id), &json!(true))
    );
    assert_ne!(told[0]["resume"], token.as_str());
    assert_eq!(
        (&told[1]["state"], &told[1]["name"]),
        (&json!("joined"), &json!("Anna"))
    );
    assert_eq!(told[2]["text"], "are you there?");
    assert_eq!(told[3]["type"], "x-poke");
    let ben = User { session, ..ben };
    world.pass(Duration::from_secs(60));
    world.say(ben, json!({"type": "message", "text": "yes"}));
    assert_eq!(world.heard_one(anna, "message")["name"], "Ben");

    // A token works once.
    let (session, told) = world.connect(resume(&token));
    assert_eq!(
        (&told[0]["code"], &told[0]["fatal"]),
        (&json!("resume-failed"), &json!(true))
    );
    assert_eq!(world.closed[&session], 4404);
}

#[test]
fn a_broken_session_ends_in_time() {
    let mut world = World::new();
    let anna = world.v1("Anna");
    let (ben, token) = user_with_token(&mut world, "Ben");
    world.heard(anna);
    world.disconnect(ben, false);
    world.pass(Duration::from_secs(30));
    assert_eq!(world.heard_one(anna, "participant")["state"], "left");
    let (session, _) = world.connect(resume(&token));
    assert_eq!(world.closed[&session], 4404);
}

#[test]
fn a_session_can_be_taken_from_a_socket_that_still_looks_alive() {
    let mut world = World::new();
    let anna = world.v1("Anna");
    let (ben, token) = user_with_token(&mut world, "Ben");
    world.heard(anna);
    let (session, told) = world.connect(resume(&token));
    assert_eq!(told[0]["resumed"], true);
    assert_eq!(world.closed[&ben.session], 1000);
    // The old socket's end is nobody's.
    world.disconnect(ben, false);
    world.pass(Duration::from_secs(60));
    assert_eq!(world.heard(anna), Vec::<Value>::new());
    world.say(
        User { session, ..ben },
        json!({"type": "message", "text": "hi"}),
    );
    assert_eq!(world.heard_one(anna, "message")["text"], "hi");
}

#[test]
fn what_is_kept_for_a_broken_session_is_bounded() {
    let mut world = World::new();
    let anna = world.v1("Anna");
    let (ben, token) = user_with_token(&mut world, "Ben");
    world.disconnect(ben, false);
    for number in 0..100 {
        world.say(anna, json!({"type": "message", "text": number.to_string()}));
    }
    let (_, told) = world.connect(resume(&token));
    let texts: Vec<&str> = told
        .iter()
        .filter_map(|message| message["text"].as_str())
        .collect();
    let expected: Vec<String> = (36..100).map(|number| number.to_string()).collect();
    assert_eq!(texts, expected);
}

#[test]
fn limits_close_with_1013_and_bad_rooms_with_1008() {
    let mut world = World::with(|config| {
        config.limits.max_participants = 2;
        config.limits.max_rooms = 2;
        config.limits.max_sockets_per_address = 3;
    });
    let refused = |world: &mut World, connect: Connect| {
        let (session, told) = world.connect(connect);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0]["fatal"], true);
        (
            told[0]["code"].as_str().unwrap().to_owned(),
            world.closed[&session],
        )
    };
    for room in ["a b", "ü", &"x".repeat(65), "a/b"] {
        let expected = ("bad-room".to_owned(), 1008);
        assert_eq!(refused(&mut world, request(Dialect::V1, room)), expected);
    }
    world.connect(request(Dialect::V1, "one"));
    let leaver = world.user(Dialect::V1, "one", "");
    let from_elsewhere = |room| Connect {
        address: [192, 0, 2, 9].into(),
        ..request(Dialect::V1, room)
    };
    assert_eq!(
        refused(&mut world, from_elsewhere("one")),
        ("room-full".to_owned(), 1013)
    );
    world.connect(request(Dialect::V1, "two"));
    assert_eq!(
        refused(&mut world, from_elsewhere("three")),
        ("too-many-rooms".to_owned(), 1013)
    );
    assert_eq!(
        refused(&mut world, request(Dialect::V1, "two")),
        ("too-many-sockets".to_owned(), 1013)
    );
    world.disconnect(leaver, true);
    let (session, _) = world.connect(request(Dialect::V1, "two"));
    assert!(!world.closed.contains_key(&session));
}

#[test]
fn who_says_too_much_is_slowed_and_then_closed() {
    let mut world = World::with(|config| config.limits.max_messages_per_second = 10);
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    for _ in 0..20 {
        world.say(anna, json!({"type": "message", "text": "spam"}));
    }
    let errors = world.heard_of(anna, "error");
    // The name was a message, too.
    assert_eq!(errors.len(), 1);
    assert_eq!(
        (&errors[0]["code"], &errors[0]["fatal"]),
        (&json!("too-fast"), &json!(false))
    );
    assert_eq!(world.heard_of(ben, "message").len(), 19);
    for _ in 0..2 {
        world.say(anna, json!({"type": "message", "text": "spam"}));
    }
    assert_eq!(world.heard_of(anna, "error")[1]["fatal"], true);
    assert_eq!(world.closed[&anna.session], 1008);
    assert_eq!(world.heard_one(ben, "participant")["state"], "left");
}

#[test]
fn going_down_tells_everybody() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.classic("Ben"));
    world.forget_all();
    world.rooms.shutdown();
    world.collect();
    assert_eq!(world.heard_one(anna, "error")["fatal"], true);
    assert_eq!(world.heard(ben), Vec::<Value>::new());
    assert_eq!(
        (world.closed[&anna.session], world.closed[&ben.session]),
        (1012, 1012)
    );
    assert_eq!(world.rooms.poll_timeout(), None);
}

#[test]
fn only_so_many_may_come_from_one_address_at_once() {
    let mut world = World::with(|config| config.limits.max_joins_per_second = 1);
    let from = |last: u16| Connect {
        address: std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, last).into(),
        ..request(Dialect::V1, "lobby")
    };
    let (ben, token) = user_with_token(&mut world, "Ben");
    let (anna, _) = world.connect(from(0));
    for last in 1..10 {
        let (session, _) = world.connect(from(last));
        assert!(!world.closed.contains_key(&session));
    }
    let refused = |world: &mut World, connect: Connect| {
        let (session, told) = world.connect(connect);
        assert_eq!(told[0]["code"], "too-many-joins");
        assert_eq!(world.closed[&session], 1013);
    };
    refused(&mut world, from(99));
    // Nor may one that is there begin a call; that is no offence.
    world.heard(User {
        session: anna,
        id: 0,
    });
    let anna = User {
        session: anna,
        id: 0,
    };
    for _ in 0..4 {
        world.say(anna, json!({"type": "username", "name": "Anna"}));
        world.say(anna, json!({"type": "video-offer", "sdp": "v=0"}));
    }
    let errors = world.heard_of(anna, "error");
    assert_eq!(errors.len(), 4);
    let first = (&errors[0]["code"], &errors[0]["fatal"]);
    assert_eq!(first, (&json!("too-many-joins"), &json!(false)));
    // Others may, and so may who comes back; who guesses at sessions is somebody that comes.
    world.disconnect(ben, false);
    let (_, told) = world.connect(resume(&token));
    assert_eq!(told[0]["resumed"], true);
    for _ in 0..9 {
        let (session, _) = world.connect(resume("0123"));
        assert_eq!(world.closed[&session], 4404);
    }
    let (session, told) = world.connect(resume("0123"));
    assert_eq!(told[0]["code"], "too-many-joins");
    assert_eq!(world.closed[&session], 4404);
    world.pass(Duration::from_secs(2));
    world.connect(from(1));
    let (session, _) = world.connect(from(2));
    assert!(!world.closed.contains_key(&session));
}

#[test]
fn a_session_is_taken_up_again_so_often_at_once() {
    let mut world = World::new();
    let (_, mut token) = user_with_token(&mut world, "Anna");
    for _ in 0..10 {
        let (_, told) = world.connect(resume(&token));
        assert_eq!(told[0]["resumed"], true);
        token = told[0]["resume"].as_str().unwrap().to_owned();
    }
    let (session, told) = world.connect(resume(&token));
    assert_eq!(told[0]["code"], "too-many-joins");
    assert_eq!(world.closed[&session], 1013);
    world.pass(Duration::from_secs(2));
    let (_, told) = world.connect(resume(&token));
    assert_eq!(told[0]["resumed"], true);
}

#[test]
fn a_server_with_too_much_to_do_lets_back_in_who_was_in_a_call_and_nobody_new() {
    use crate::room::ServerLoad;
    let mut world = World::with(|config| config.limits.max_cpu = Some(50));
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    world.join(anna);
    let measure = |world: &mut World, busy: [f64; 2]| {
        for _ in 0..20 {
            world.pass(Duration::from_millis(500));
            let (busy, bytes_out) = (busy.to_vec(), 0);
            let load = ServerLoad { busy, bytes_out };
            world.rooms.handle_load(world.now, &load);
        }
    };
    let told = |world: &mut World, room| {
        let (_, told) = world.connect(request(Dialect::V1, room));
        let code = told[0]["code"].as_str();
        code.map(str::to_owned)
    };
    // The room's call is on one shard, a new one would be on the other.
    measure(&mut world, [0.9, 0.1]);
    assert_eq!(told(&mut world, "lobby").as_deref(), Some("overloaded"));
    assert_eq!(told(&mut world, "elsewhere"), None);
    measure(&mut world, [0.9, 0.9]);
    assert_eq!(told(&mut world, "elsewhere").as_deref(), Some("overloaded"));
    world.forget_all();
    world.offer(ben, &[MICROPHONE], Value::Null);
    assert_eq!(world.error_code(ben), "overloaded");
    world.say(anna, json!({"type": "hang-up"}));
    world.join(anna);
    // Not while the server is about to end, unless others are still there.
    world.rooms.drain();
    world.say(anna, json!({"type": "hang-up"}));
    assert_eq!(world.rooms.in_calls(), 0);
    world.forget_all();
    world.offer(anna, &[MICROPHONE], Value::Null);
    assert_eq!(world.error_code(anna), "draining");
    assert_eq!(told(&mut world, "lobby").as_deref(), Some("draining"));
}

#[test]
fn where_nobody_knows_which_shard_hears_a_newcomer_each_has_to_have_room() {
    use crate::room::ServerLoad;
    for (shared_port, refused) in [(false, false), (true, true)] {
        let mut world = World::with(|config| {
            config.limits.max_cpu = Some(50);
            config.shared_port = shared_port;
        });
        for _ in 0..20 {
            world.pass(Duration::from_millis(500));
            let (busy, bytes_out) = (vec![0.1, 0.9], 0);
            let load = ServerLoad { busy, bytes_out };
            world.rooms.handle_load(world.now, &load);
        }
        let (_, told) = world.connect(request(Dialect::V1, "lobby"));
        assert_eq!(told[0]["code"] == "overloaded", refused, "{told:?}");
    }
}

#[test]
fn one_identity_may_come_only_so_often_from_wherever() {
    let mut world = World::with(|config| config.limits.max_joins_per_second = 1);
    let mut come = |who: &str, from: u8| {
        let mut connect = request(Dialect::V1, "lobby");
        connect.address = [192, 0, 2, from].into();
        connect.access.identity = Some(who.into());
        let (session, _) = world.connect(connect);
        world.closed.get(&session).copied()
    };
    for from in 0..10 {
        assert_eq!(come("anna", from), None);
    }
    assert_eq!(come("anna", 10), Some(1013));
    assert_eq!(come("ben", 11), None);
}
