use super::client::{CAMERA, MICROPHONE, directions, mids};
use super::*;
use crate::shard::FailReason;

const BOTH: [super::client::Line; 2] = [MICROPHONE, CAMERA];

/// Rings; returns the callee's offer.
pub(super) fn ring(world: &mut World, caller: User, callee: User, target: Value) -> Value {
    world.forget_all();
    world.offer(caller, &BOTH, target);
    assert_eq!(
        world.heard_of(caller, "video-answer"),
        Vec::<Value>::new(),
        "answered before the callee accepted"
    );
    world.heard_one(callee, "video-offer")
}

#[test]
fn an_accepted_call_takes_one_offer_and_one_answer_a_side() {
    let mut world = World::new();
    let (anna, ben, carl) = (world.v1("Anna"), world.v1("Ben"), world.v1("Carl"));
    let offer = ring(&mut world, anna, ben, json!(ben.id));
    assert_eq!(
        (&offer["name"], &offer["target"]),
        (&json!("Anna"), &json!("Ben"))
    );
    assert_eq!(offer["tracks"].as_array().unwrap().len(), 2);
    // Nobody sees a call that only rings.
    assert_eq!(
        world
            .heard_of(carl, "participant")
            .iter()
            .filter(|p| p["call"] != Value::Null)
            .count(),
        0
    );

    world.answer(ben, &offer, true);
    let answer = world.heard_one(anna, "video-answer");
    assert_eq!(answer["name"], "Ben");
    assert_eq!(
        directions(answer["sdp"]["sdp"].as_str().unwrap()),
        ["sendrecv", "sendrecv"]
    );
    assert_eq!(answer["tracks"][0]["participant"], ben.id);
    world.pass(Duration::from_secs(120));
    for user in [anna, ben] {
        assert_eq!(world.heard_of(user, "video-offer"), Vec::<Value>::new());
        assert_eq!(world.heard_of(user, "hang-up"), Vec::<Value>::new());
    }
    let seen = world.heard_of(carl, "participant");
    assert!(
        seen.iter()
            .all(|participant| participant["call"] == "direct"),
        "{seen:#?}"
    );
    assert_eq!(seen.len(), 2);

    world.say(ben, json!({"type": "hang-up", "target": "Anna"}));
    assert_eq!(
        world.heard_one(anna, "hang-up"),
        json!({"type": "hang-up", "name": "Ben", "target": "Anna", "reason": "left"})
    );
    assert!(
        world
            .heard_of(carl, "participant")
            .iter()
            .all(|participant| participant["call"] == Value::Null)
    );
}

#[test]
fn a_declined_call_is_over() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    for target in [Value::Null, json!("Anna")] {
        ring(&mut world, anna, ben, json!("Ben"));
        world.say(ben, json!({"type": "hang-up", "target": target}));
        let hang_up = world.heard_one(anna, "hang-up");
        assert_eq!(
            (&hang_up["name"], &hang_up["reason"]),
            (&json!("Ben"), &json!("declined"))
        );
        assert_eq!(world.heard_of(ben, "hang-up"), Vec::<Value>::new());
    }
    // An answer that crossed the end is no harm.
    let offer = ring(&mut world, anna, ben, json!("Ben"));
    world.say(anna, json!({"type": "hang-up"}));
    assert_eq!(world.heard_one(ben, "hang-up")["reason"], "left");
    world.answer(ben, &offer, true);
    assert_eq!(world.error_code(ben), "unexpected-answer");
    assert_eq!(world.heard_of(anna, "video-answer"), Vec::<Value>::new());
}

#[test]
fn nobody_answers_for_a_minute() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.classic("Ben"));
    ring(&mut world, anna, ben, json!("Ben"));
    world.pass(Duration::from_secs(59));
    assert_eq!(world.heard_of(anna, "hang-up"), Vec::<Value>::new());
    world.pass(Duration::from_secs(1));
    assert_eq!(world.heard_one(anna, "hang-up")["reason"], "timeout");
    assert_eq!(world.heard_one(ben, "hang-up")["reason"], "timeout");
    ring(&mut world, ben, anna, json!("Anna"));
}

#[test]
fn busy_is_told_and_nobody_is_disturbed() {
    let mut world = World::new();
    let (anna, ben, carl, dora) = (
        world.v1("Anna"),
        world.v1("Ben"),
        world.v1("Carl"),
        world.classic("Dora"),
    );
    ring(&mut world, anna, ben, json!("Ben"));
    for (target, name) in [("Anna", "Anna"), ("Ben", "Ben")] {
        world.forget_all();
        for caller in [carl, dora] {
            world.offer(caller, &BOTH, json!(target));
            let hang_up = world.heard_one(caller, "hang-up");
            assert_eq!(
                (&hang_up["name"], &hang_up["reason"]),
                (&json!(name), &json!("busy"))
            );
        }
        assert_eq!(world.heard(anna), Vec::<Value>::new());
        assert_eq!(world.heard(ben), Vec::<Value>::new());
    }
    // Who is in the room's call is busy, too, and may not ring others.
    world.join(carl);
    world.offer(dora, &BOTH, json!("Carl"));
    assert_eq!(world.heard_one(dora, "hang-up")["reason"], "busy");
    world.heard(carl);
    world.offer(carl, &BOTH, json!("Dora"));
    assert_eq!(world.error_code(carl), "in-call");
}

#[test]
fn oneself_and_nobody_cannot_be_called() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.classic("Ben"));
    world.heard(anna);
    for (target, code) in [
        (json!("Anna"), "self-call"),
        (json!(anna.id), "self-call"),
        (json!("X"), "no-such-user"),
    ] {
        world.offer(anna, &BOTH, target);
        assert_eq!(world.error_code(anna), code);
    }
    for (target, reason) in [("Ben", "busy"), ("X", "gone")] {
        world.offer(ben, &BOTH, json!(target));
        assert_eq!(world.heard_one(ben, "hang-up")["reason"], reason);
    }
    assert!(world.commands.is_empty());
}

#[test]
fn a_bad_offer_rings_nobody() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    world.forget_all();
    world.say(
        anna,
        json!({"type": "video-offer", "sdp": "v=0\r\nnonsense\r\n", "target": "Ben"}),
    );
    assert_eq!(world.error_code(anna), "bad-sdp");
    assert_eq!(world.heard(ben), Vec::<Value>::new());
    assert!(world.commands.is_empty());
    ring(&mut world, ben, anna, json!("Anna"));
}

#[test]
fn who_vanishes_is_gone() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    let offer = ring(&mut world, anna, ben, json!("Ben"));
    world.answer(ben, &offer, true);
    world.forget_all();
    world.disconnect(anna, false);
    world.pass(Duration::from_secs(29));
    assert_eq!(world.heard_of(ben, "hang-up"), Vec::<Value>::new());
    world.pass(Duration::from_secs(1));
    let hang_up = world.heard_one(ben, "hang-up");
    assert_eq!(
        (&hang_up["name"], &hang_up["reason"]),
        (&json!("Anna"), &json!("gone"))
    );

    // While it rings, the caller vanishes; a classic client has nothing to resume.
    let carl = world.classic("Carl");
    ring(&mut world, carl, ben, json!("Ben"));
    world.disconnect(carl, false);
    assert_eq!(world.heard_one(ben, "hang-up")["reason"], "gone");
}

#[test]
fn a_media_failure_ends_the_call_for_both() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    let offer = ring(&mut world, anna, ben, json!("Ben"));
    world.answer(ben, &offer, true);
    let peer = world.peer(anna);
    world.heard(anna);
    world.event(Event::Failed {
        peer,
        reason: FailReason::Handshake,
    });
    assert_eq!(world.heard_one(anna, "hang-up")["reason"], "gone");
    assert_eq!(world.heard_one(ben, "hang-up")["reason"], "gone");
}

#[test]
fn a_closed_connection_is_a_hang_up() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    let offer = ring(&mut world, anna, ben, json!("Ben"));
    world.answer(ben, &offer, true);
    let peer = world.peer(anna);
    world.heard(anna);
    world.event(Event::Failed {
        peer,
        reason: FailReason::Closed,
    });
    assert!(world.heard(anna).iter().all(|m| m["type"] != "hang-up"));
    assert_eq!(world.heard_one(ben, "hang-up")["reason"], "left");
}

/// What two windows of MDN's sample do.
#[test]
fn the_samples_client_calls_itself() {
    let mut world = World::new();
    let (anna, ben) = (world.classic("Anna"), world.classic("Ben"));
    let offer = ring(&mut world, anna, ben, json!("Ben"));
    assert_eq!(
        (&offer["name"], &offer["tracks"]),
        (&json!("Anna"), &Value::Null)
    );
    // It answers `recvonly`, and offers its own tracks on m-lines of its own at once.
    world.answer(ben, &offer, false);
    world.pass(Duration::from_millis(200));
    assert_eq!(
        world.heard(anna),
        Vec::<Value>::new(),
        "answered before the callee's tracks are known"
    );
    let mids = mids(offer["sdp"]["sdp"].as_str().unwrap());
    let lines = [
        (mids[0].clone(), ("audio", "recvonly")),
        (mids[1].clone(), ("video", "recvonly")),
        ("own1".to_owned(), MICROPHONE),
        ("own2".to_owned(), CAMERA),
    ];
    world.offer_lines(ben, &lines, json!("Anna"));
    world.heard_one(ben, "video-answer");
    let heard = world.heard(anna);
    let kinds: Vec<&Value> = heard.iter().map(|message| &message["type"]).collect();
    assert_eq!(kinds, ["video-answer"], "one answer, and no offer");
    assert_eq!(
        (&heard[0]["name"], &heard[0]["tracks"]),
        (&json!("Ben"), &Value::Null)
    );
    assert_eq!(
        directions(heard[0]["sdp"]["sdp"].as_str().unwrap()),
        ["sendrecv", "sendrecv"]
    );
    world.pass(Duration::from_secs(60));
    for user in [anna, ben] {
        assert_eq!(world.heard(user), Vec::<Value>::new());
    }
    world.say(
        anna,
        json!({"type": "hang-up", "name": "Anna", "target": null}),
    );
    assert_eq!(
        world.heard_one(ben, "hang-up"),
        json!({"type": "hang-up", "name": "Anna", "target": "Ben", "reason": "left"})
    );
}

#[test]
fn a_callee_that_only_listens_is_waited_for_no_longer_than_a_second() {
    let mut world = World::new();
    let (anna, ben) = (world.classic("Anna"), world.classic("Ben"));
    let offer = ring(&mut world, anna, ben, json!("Ben"));
    world.answer(ben, &offer, false);
    world.pass(Duration::from_secs(1));
    world.heard_one(anna, "video-answer");
    // Between two v1 clients nobody waits: the caller takes an offer whenever it comes.
    let (carl, dora) = (world.v1("Carl"), world.v1("Dora"));
    let offer = ring(&mut world, carl, dora, json!("Dora"));
    world.answer(dora, &offer, false);
    world.heard_one(carl, "video-answer");
}

#[test]
fn a_late_decline_ends_no_other_call() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    ring(&mut world, anna, ben, json!("Ben"));
    world.say(anna, json!({"type": "hang-up"}));
    world.join(ben);
    world.heard(ben);
    world.say(ben, json!({"type": "hang-up", "target": "Anna"}));
    assert_eq!(world.error_code(ben), "not-in-call");
    world.offer(anna, &BOTH, json!("Ben"));
    assert_eq!(world.heard_one(anna, "hang-up")["reason"], "busy");
}

#[test]
fn a_classic_client_that_answers_nothing_is_asked_again_and_then_left_alone() {
    let mut world = World::new();
    let (anna, ben) = (world.classic("Anna"), world.v1("Ben"));
    world.join(anna);
    world.forget_all();
    world.offer(ben, &[MICROPHONE, CAMERA, CAMERA], Value::Null);
    assert_eq!(world.heard_of(anna, "video-offer").len(), 1);
    world.pass(Duration::from_secs(300));
    assert_eq!(world.heard_of(anna, "video-offer").len(), 2);
    // Its own offer is served whatever became of ours.
    world.offer(anna, &BOTH, Value::Null);
    assert_eq!(world.heard_of(anna, "video-answer").len(), 1);
}

#[test]
fn a_ring_reaches_a_callee_whose_socket_was_broken() {
    let mut world = World::new();
    let anna = world.v1("Anna");
    let (session, told) = world.connect(request(Dialect::V1, "lobby"));
    let ben = User {
        session,
        id: told[0]["id"].as_u64().unwrap(),
    };
    world.say(ben, json!({"type": "username", "name": "Ben"}));
    world.disconnect(ben, false);
    world.offer(anna, &BOTH, json!("Ben"));
    let resume = |told: &[Value]| Connect {
        resume: told[0]["resume"].as_str().map(str::to_owned),
        ..request(Dialect::V1, "lobby")
    };
    let (session, told) = world.connect(resume(&told));
    let offer = told
        .iter()
        .find(|message| message["type"] == "video-offer")
        .expect("it rings");
    assert_eq!(offer["name"], "Anna");
    // The caller gives up while the socket is broken again: that is told later.
    world.disconnect(User { session, ..ben }, false);
    world.say(anna, json!({"type": "hang-up"}));
    let (_, told) = world.connect(resume(&told));
    let hang_up = told
        .iter()
        .find(|message| message["type"] == "hang-up")
        .expect("it is over");
    assert_eq!(hang_up["reason"], "left");
    assert!(!told.iter().any(|message| message["type"] == "video-offer"));
}

#[test]
fn a_caller_without_devices_still_rings_and_hears() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    world.forget_all();
    world.offer(
        anna,
        &[("audio", "recvonly"), ("video", "recvonly")],
        json!("Ben"),
    );
    let offer = world.heard_one(ben, "video-offer");
    assert_eq!(offer["name"], "Anna");
    world.answer(ben, &offer, true);
    let answer = world.heard_one(anna, "video-answer");
    let sdp = answer["sdp"]["sdp"].as_str().unwrap();
    assert_eq!(directions(sdp), ["sendonly", "sendonly"]);
    // What was only there to ring goes, and no shard hears of it.
    let again = world.heard_one(ben, "video-offer");
    world.answer(ben, &again, false);
    assert_eq!(world.heard_of(ben, "video-offer"), Vec::<Value>::new());
    assert_eq!(world.heard_of(anna, "video-offer"), Vec::<Value>::new());
    let to_ben = world.peer(ben);
    assert!(!world.commands.iter().any(|(_, command)| {
        matches!(command, Command::SetSender { peer, parameters: Some(_), .. } if *peer == to_ben)
    }));
}

#[test]
fn who_is_rung_may_join_the_room_instead() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    ring(&mut world, anna, ben, json!("Ben"));
    world.offer(ben, &BOTH, Value::Null);
    assert_eq!(world.heard_one(anna, "hang-up")["reason"], "busy");
    let heard = world.heard(ben);
    let kinds: Vec<_> = heard.iter().map(|m| m["type"].as_str().unwrap()).collect();
    assert!(
        kinds.contains(&"hang-up") && kinds.contains(&"video-answer"),
        "{kinds:?}"
    );
}

#[test]
fn a_name_that_changed_in_a_call_still_means_the_other() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    let offer = ring(&mut world, anna, ben, json!("Ben"));
    world.say(anna, json!({"type": "username", "name": "Ann"}));
    world.heard(ben);
    world.answer(ben, &offer, true);
    assert!(!world.heard_one(anna, "video-answer").is_null());
    world.say(ben, json!({"type": "hang-up", "target": "Anna"}));
    assert_eq!(world.heard_one(anna, "hang-up")["reason"], "left");
}
