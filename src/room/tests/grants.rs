//! Everybody is held to what a token grants.

use super::client::{CAMERA, Line, MICROPHONE, directions};
use super::*;
use crate::access::Grants;
use crate::negotiation::{Source, Sources};
use crate::shard::Command;

/// A client of v1 in the lobby with these grants.
fn granted(world: &mut World, name: &str, change: impl FnOnce(&mut Grants)) -> User {
    world.guest(Dialect::V1, name, |access| change(&mut access.grants))
}

fn sources(sources: &[Source]) -> Sources {
    sources.iter().copied().collect()
}

/// The commands that have a peer send something to the shard.
fn receivers(world: &World, peer: PeerId) -> usize {
    let commands = world.commands.iter();
    commands
        .filter(|(_, command)| {
            matches!(command, Command::SetReceiver { peer: whose, parameters: Some(_), .. } if *whose == peer)
        })
        .count()
}

#[test]
fn a_client_is_told_its_grants_and_takes_its_tokens_name() {
    let mut world = World::new();
    let ben = world.v1("Ben");
    let connect = Connect {
        access: Access {
            by_token: true,
            identity: Some("7".into()),
            name: Some("Ada".into()),
            grants: Grants {
                publish: sources(&[Source::Screen]),
                ..Grants::default()
            },
        },
        ..request(Dialect::V1, "lobby")
    };
    let (_, told) = world.connect(connect.clone());
    let grants = json!({"publish": ["screen"], "subscribe": true, "chat": true, "moderate": false});
    assert_eq!(
        (&told[0]["grants"], &told[0]["name"]),
        (&grants, &json!("Ada"))
    );
    assert_eq!(world.heard_one(ben, "participant")["name"], "Ada");
    // The second of that name is told another, as whoever asks for one that is taken.
    let (_, told) = world.connect(connect);
    assert_eq!(told.last().unwrap()["type"], "rejectusername");
    assert_eq!(told.last().unwrap()["name"], "Ada1");
    // On an open server nothing is said of grants.
    let (_, told) = world.connect(request(Dialect::V1, "lobby"));
    assert_eq!((told[0].get("grants"), told[0].get("name")), (None, None));
    // And a classic client hears of none of it.
    let access = Access {
        by_token: true,
        ..Access::default()
    };
    let classic = Connect {
        access,
        ..request(Dialect::Classic, "lobby")
    };
    let (_, told) = world.connect(classic);
    assert_eq!(told[0].as_object().unwrap().len(), 2, "{told:?}");
}

#[test]
fn what_may_not_be_sent_is_refused_in_the_answer_and_reaches_nobody() {
    let mut world = World::new();
    let ben = world.v1("Ben");
    world.join(ben);
    let ada = granted(&mut world, "Ada", |grants| {
        grants.publish = sources(&[Source::Microphone]);
    });
    world.forget_all();
    world.offer(ada, &[MICROPHONE, CAMERA], Value::Null);
    let error = world.last_of(ada, "error").expect("an error");
    assert_eq!(
        (&error["code"], &error["request"], &error["fatal"]),
        (&json!("not-granted"), &Value::Null, &json!(false))
    );
    assert!(error["message"].as_str().unwrap().contains("camera"));
    let answer = world.last_of(ada, "video-answer").expect("an answer");
    let said = directions(answer["sdp"]["sdp"].as_str().unwrap());
    assert_eq!(said, ["sendrecv", "sendonly"], "the camera is not received");
    let peer = world.peer(ada);
    assert_eq!(receivers(&world, peer), 1);
    let told = world.last_of(ben, "participant").expect("a participant");
    assert_eq!(told["tracks"].as_array().unwrap().len(), 1);
    assert_eq!(told["tracks"][0]["source"], "microphone");
    // Offered again it is not told again, and still not received.
    world.forget_all();
    world.answer_all();
    world.offer(ada, &[MICROPHONE, CAMERA], Value::Null);
    assert_eq!(world.last_of(ada, "error"), None);
    assert_eq!(receivers(&world, peer), 0);
}

#[test]
fn a_source_that_does_not_fit_its_kind_is_not_believed() {
    let mut world = World::new();
    let ada = granted(&mut world, "Ada", |grants| {
        grants.publish = sources(&[Source::Microphone, Source::Screen]);
    });
    let offer = |world: &mut World, said: Value| {
        let lines = [("0".to_owned(), CAMERA), ("1".to_owned(), MICROPHONE)];
        let sdp = super::client::offer_sdp(&lines);
        world.say(
            ada,
            json!({"type": "video-offer", "sdp": sdp, "tracks": said}),
        );
        let error = world.last_of(ada, "error");
        world.forget_all();
        error.map(|error| error["message"].as_str().unwrap().to_owned())
    };
    // A picture is no microphone: of its kind it is a camera, as it is where nothing is said.
    let said = json!([{"mid": "0", "source": "microphone"}]);
    assert!(offer(&mut world, said).unwrap().contains("camera"));
    // A screen it may show; its sound it may not send.
    let said = json!([{"mid": "0", "source": "screen"}, {"mid": "1", "source": "screen-audio"}]);
    assert!(offer(&mut world, said).unwrap().contains("screen-audio"));
    let screens = world.rooms.peer(crate::shard::ParticipantId(ada.id));
    let published: Vec<Source> = screens
        .unwrap()
        .published
        .iter()
        .map(|one| one.source)
        .collect();
    assert_eq!(published, [Source::Screen]);
    // Who says of a screen that it is a camera now has it taken away.
    let said = json!([{"mid": "0", "source": "camera"}]);
    assert!(offer(&mut world, said).unwrap().contains("camera"));
    let peer = world.rooms.peer(crate::shard::ParticipantId(ada.id));
    assert!(
        peer.unwrap()
            .published
            .iter()
            .all(|one| one.source != Source::Screen)
    );
}

#[test]
fn an_answer_publishes_no_more_than_an_offer() {
    let mut world = World::new();
    let ben = world.v1("Ben");
    let ada = granted(&mut world, "Ada", |grants| {
        grants.publish = sources(&[Source::Screen]);
    });
    world.offer(ada, &[("audio", "recvonly")], Value::Null);
    let peer = world.peer(ada);
    world.join(ben);
    world.forget_all();
    // Ben's cameras came on m-lines of the server's: Ada answers that she sends there, and does not say what.
    let more: [Line; 3] = [MICROPHONE, CAMERA, CAMERA];
    world.offer(ben, &more, Value::Null);
    let offer = world.last_of(ada, "video-offer").expect("an offer");
    let said = directions(offer["sdp"]["sdp"].as_str().unwrap());
    assert_eq!(
        said.first().map(String::as_str),
        Some("sendonly"),
        "no voice is invited"
    );
    assert!(
        said.iter().any(|way| way == "sendrecv"),
        "a screen is: {said:?}"
    );
    world.answer(ada, &offer, true);
    assert_eq!(world.error_code(ada), "not-granted");
    assert_eq!(receivers(&world, peer), 0);
    let told = world.heard_of(ben, "participant");
    assert!(
        told.iter().all(|told| told["tracks"] == json!([])),
        "{told:?}"
    );
}

#[test]
fn nothing_is_forwarded_to_who_may_not_subscribe() {
    let mut world = World::new();
    let ben = world.v1("Ben");
    world.join(ben);
    let ada = granted(&mut world, "Ada", |grants| grants.subscribe = false);
    world.forget_all();
    world.join(ada);
    world.offer(ben, &[MICROPHONE, CAMERA, CAMERA], Value::Null);
    world.answer_all();
    let peer = world.peer(ada);
    let senders = |world: &World, whose: PeerId| {
        let commands = world.commands.iter();
        commands
            .filter(|(_, command)| {
                matches!(command, Command::SetSender { peer, parameters: Some(_), .. } if *peer == whose)
            })
            .count()
    };
    assert_eq!(senders(&world, peer), 0);
    assert_eq!(world.last_of(ada, "video-offer"), None);
    // It is heard itself, and rung all the same.
    let told = world.heard_of(ben, "participant");
    assert!(
        told.iter()
            .any(|told| told["id"] == ada.id && told["call"] == "room")
    );
    world.say(ada, json!({"type": "hang-up"}));
    world.say(ben, json!({"type": "hang-up"}));
    world.offer(ben, &[MICROPHONE], json!("Ada"));
    assert!(world.last_of(ada, "video-offer").is_some());
}

#[test]
fn who_may_not_chat_says_nothing_to_others_and_hears_them() {
    let mut world = World::new();
    let ben = world.v1("Ben");
    let ada = granted(&mut world, "Ada", |grants| grants.chat = false);
    world.forget_all();
    for message in [
        json!({"type": "message", "text": "hello"}),
        json!({"type": "message", "text": "hello", "target": "Ben"}),
        json!({"type": "wave"}),
    ] {
        world.say(ada, message.clone());
        let error = world.heard_one(ada, "error");
        assert_eq!(
            (&error["code"], &error["request"]),
            (&json!("not-granted"), &message["type"])
        );
        assert_eq!(world.heard(ben), [] as [Value; 0]);
    }
    world.say(ben, json!({"type": "message", "text": "hello"}));
    assert_eq!(world.heard_one(ada, "message")["text"], "hello");
}

#[test]
fn data_channels_take_both_chat_and_subscribe() {
    let changes: [fn(&mut Grants); 3] = [
        |_| {},
        |grants| grants.chat = false,
        |grants| grants.subscribe = false,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut world = World::new();
        let ada = granted(&mut world, "Ada", change);
        let lines = [
            ("0".to_owned(), MICROPHONE),
            ("data".to_owned(), ("application", "")),
        ];
        let sdp = super::client::offer_sdp(&lines);
        world.say(ada, json!({"type": "video-offer", "sdp": sdp}));
        let answer = world.last_of(ada, "video-answer").expect("an answer");
        let answer = answer["sdp"]["sdp"].as_str().unwrap().to_owned();
        let refused = answer.contains("m=application 0 ");
        assert_eq!(refused, number > 0, "{answer}");
    }
}
