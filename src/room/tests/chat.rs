use super::*;

#[test]
fn the_date_is_that_of_a_clock_that_was_set() {
    let mut world = World::new();
    let anna = world.v1("Anna");
    world.pass(Duration::from_secs(5));
    world.rooms.set_clock(world.now, 1_000_000);
    world.pass(Duration::from_millis(250));
    world.say(anna, json!({"type": "message", "text": "hi"}));
    assert_eq!(world.heard_of(anna, "message")[0]["date"], 1_000_250);
}

#[test]
fn a_message_reaches_the_room_and_its_sender() {
    let mut world = World::new();
    let (anna, ben, carl) = (world.v1("Anna"), world.classic("Ben"), world.v1("Carl"));
    let elsewhere = world.user(Dialect::V1, "other", "Dora");
    world.forget_all();
    world.now += Duration::from_millis(1500);
    world.say(
        anna,
        json!({"type": "message", "text": "<b>hi</b>", "date": 1, "id": 99, "name": "Eve"}),
    );
    let expected = json!({
        "type": "message", "text": "<b>hi</b>", "name": "Anna", "id": anna.id, "date": STARTED_UNIX_MS + 1500,
    });
    for user in [anna, ben, carl] {
        assert_eq!(world.heard(user), std::slice::from_ref(&expected));
    }
    assert_eq!(world.heard(elsewhere), Vec::<Value>::new());
}

#[test]
fn a_private_message_reaches_its_target_and_its_sender() {
    let mut world = World::new();
    let (anna, ben, carl) = (world.v1("Anna"), world.v1("Ben"), world.v1("Carl"));
    for target in [json!("Ben"), json!(ben.id)] {
        world.forget_all();
        world.say(
            anna,
            json!({"type": "message", "text": "psst", "target": target}),
        );
        assert_eq!(world.heard_one(ben, "message")["target"], "Ben");
        assert_eq!(world.heard_one(anna, "message")["text"], "psst");
        assert_eq!(world.heard(carl), Vec::<Value>::new());
    }
    world.say(
        anna,
        json!({"type": "message", "text": "psst", "target": "Nobody"}),
    );
    assert_eq!(world.error_code(anna), "no-such-user");
}

#[test]
fn unknown_types_pass_through_signed() {
    let mut world = World::new();
    let (anna, ben, carl) = (world.v1("Anna"), world.classic("Ben"), world.v1("Carl"));
    world.forget_all();
    let message = json!({"type": "x-game", "move": [1, {"a": null}], "name": "Eve", "id": 1234});
    world.say(anna, message);
    let expected =
        json!({"type": "x-game", "move": [1, {"a": null}], "name": "Anna", "id": anna.id});
    assert_eq!(world.heard(ben), std::slice::from_ref(&expected));
    assert_eq!(world.heard(carl), [expected]);
    assert_eq!(world.heard(anna), Vec::<Value>::new());

    world.say(ben, json!({"type": "x-game", "target": "Carl"}));
    let expected = json!({"type": "x-game", "target": "Carl", "name": "Ben", "id": ben.id});
    assert_eq!(world.heard(carl), [expected]);
    assert_eq!(world.heard(anna), Vec::<Value>::new());
}

#[test]
fn nobody_speaks_with_the_servers_voice() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    world.forget_all();
    for kind in [
        "id",
        "userlist",
        "participant",
        "error",
        "speakers",
        "quality",
        "ice-servers",
        "layers",
    ] {
        world.now += Duration::from_secs(11);
        world.say(anna, json!({"type": kind, "target": "Ben"}));
        assert_eq!(world.error_code(anna), "bad-message");
    }
    assert_eq!(world.heard(ben), Vec::<Value>::new());
}

#[test]
fn names_are_unique_in_a_room() {
    let mut world = World::new();
    let anna = world.v1("Anna");
    let other = world.user(Dialect::V1, "other", "Anna");
    let second = world.v1("");
    world.forget_all();
    world.say(second, json!({"type": "username", "name": "  Anna "}));
    assert_eq!(
        world.heard_one(second, "rejectusername"),
        json!({"type": "rejectusername", "id": second.id, "name": "Anna1"})
    );
    let third = world.v1("Anna");
    world.say(third, json!({"type": "message", "text": "hi"}));
    assert_eq!(world.heard_one(anna, "message")["name"], "Anna2");

    // A name that was given up is free again, and the longest name leaves room for a number.
    world.say(anna, json!({"type": "username", "name": "x".repeat(64)}));
    world.say(second, json!({"type": "username", "name": "Anna"}));
    assert_eq!(
        world.heard_of(second, "rejectusername"),
        Vec::<Value>::new()
    );
    world.say(third, json!({"type": "username", "name": "x".repeat(64)}));
    assert_eq!(
        world.heard_one(third, "rejectusername")["name"],
        format!("{}1", "x".repeat(63))
    );
    assert_eq!(world.heard_of(other, "participant"), Vec::<Value>::new());
}

#[test]
fn a_name_is_needed_and_checked() {
    let mut world = World::new();
    let (anna, ben) = (world.v1(""), world.v1("Ben"));
    world.say(anna, json!({"type": "message", "text": "hi"}));
    assert_eq!(world.error_code(anna), "no-name");
    world.say(anna, json!({"type": "video-offer", "sdp": "v=0"}));
    assert_eq!(world.error_code(anna), "no-name");
    for name in ["", "   ", &"x".repeat(65), "a\u{7}b"] {
        world.say(anna, json!({"type": "username", "name": name}));
        let error = world.heard_one(anna, "error");
        assert_eq!(
            (&error["code"], &error["request"]),
            (&json!("bad-name"), &json!("username"))
        );
    }
    // Nobody heard of somebody without a name, nor can it be reached.
    assert_eq!(world.heard(ben), Vec::<Value>::new());
    world.say(
        ben,
        json!({"type": "message", "text": "hi", "target": anna.id}),
    );
    assert_eq!(world.error_code(ben), "no-such-user");
}

#[test]
fn classic_clients_hear_user_lists_and_nothing_new() {
    let mut world = World::new();
    let (session, told) = world.connect(request(Dialect::Classic, "lobby"));
    let id = told[0]["id"].as_u64().unwrap();
    assert_eq!(told, [json!({"type": "id", "id": id})]);
    let ben = User { session, id };
    let anna = world.v1("Anna");
    assert_eq!(
        world.heard(ben),
        [json!({"type": "userlist", "users": ["Anna"]})]
    );
    world.say(
        ben,
        json!({"type": "username", "name": "Ben", "date": 1, "id": id}),
    );
    assert_eq!(
        world.heard(ben),
        [json!({"type": "userlist", "users": ["Ben", "Anna"]})]
    );
    assert_eq!(world.heard_of(anna, "userlist"), Vec::<Value>::new());
    world.say(anna, json!({"type": "username", "name": "Anne"}));
    assert_eq!(
        world.heard(ben),
        [json!({"type": "userlist", "users": ["Ben", "Anne"]})]
    );
    world.disconnect(anna, true);
    assert_eq!(
        world.heard(ben),
        [json!({"type": "userlist", "users": ["Ben"]})]
    );
    // An error that ends nothing is not for it.
    world.say(ben, json!({"type": "message"}));
    assert_eq!(world.heard(ben), Vec::<Value>::new());
}

#[test]
fn a_classic_client_without_a_name_gets_one() {
    let mut world = World::new();
    let (first, second) = (world.classic(""), world.classic(""));
    world.say(
        first,
        json!({"type": "message", "text": "hi", "target": null}),
    );
    let heard = world.heard(first);
    assert_eq!(heard[0], json!({"type": "userlist", "users": ["Guest"]}));
    assert_eq!(
        heard[1],
        json!({"type": "rejectusername", "id": first.id, "name": "Guest"})
    );
    assert_eq!(heard[2]["name"], "Guest");
    world.heard(second);
    world.say(second, json!({"type": "username", "name": ""}));
    assert_eq!(world.heard_one(second, "rejectusername")["name"], "Guest1");
}

#[test]
fn participants_are_announced_once_they_have_a_name() {
    let mut world = World::new();
    let anna = world.v1("Anna");
    let ben = world.v1("");
    assert_eq!(world.heard(anna), Vec::<Value>::new());
    world.say(ben, json!({"type": "username", "name": "Ben"}));
    let participant = |id: u64, name: &str, state: &str| json!({"type": "participant", "id": id, "name": name, "state": state, "call": null, "tracks": []});
    assert_eq!(world.heard(anna), [participant(ben.id, "Ben", "joined")]);
    assert_eq!(world.heard(ben), Vec::<Value>::new());
    world.say(ben, json!({"type": "username", "name": "Bob"}));
    assert_eq!(world.heard(anna), [participant(ben.id, "Bob", "updated")]);
    world.say(ben, json!({"type": "username", "name": "Bob"}));
    assert_eq!(world.heard(anna), Vec::<Value>::new());

    let (_, told) = world.connect(request(Dialect::V1, "lobby"));
    assert_eq!(
        told[1..],
        [
            participant(anna.id, "Anna", "joined"),
            participant(ben.id, "Bob", "joined")
        ]
    );
    world.disconnect(ben, true);
    assert_eq!(world.heard(anna), [participant(ben.id, "Bob", "left")]);
}
