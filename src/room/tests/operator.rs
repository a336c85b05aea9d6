//! What operators ask.

use super::timeline::{camera_of, entry};
use super::*;
use crate::room::{Member, OperatorRequest, RefusalKind, RoomChange, Somebody};
use crate::shard::{ForwardedLayer, LayerReason, TimelineEvent};
use crate::signaling::protocol::Target;
use crate::transport::MessageKind;

fn member(room: &str, participant: &str) -> Member {
    Member {
        room: room.to_owned(),
        participant: participant.to_owned(),
    }
}

fn timelines(room: &str, participant: &str) -> OperatorRequest {
    OperatorRequest::Timelines(member(room, participant))
}

fn rooms(after: Option<&str>, limit: usize) -> OperatorRequest {
    let after = after.map(str::to_owned);
    OperatorRequest::Rooms { after, limit }
}

fn create(name: &str, change: RoomChange) -> OperatorRequest {
    let name = name.to_owned();
    OperatorRequest::CreateRoom { name, change }
}

impl World {
    fn ask(&mut self, id: u64, request: OperatorRequest) {
        self.rooms.handle_operator(self.now, RequestId(id), request);
        self.collect();
    }

    /// Asks what is answered at once.
    fn asked(&mut self, request: OperatorRequest) -> OperatorAnswer {
        self.ask(0, request);
        self.answer_to(0)
    }

    /// What was told outside, in words, since it was asked last.
    fn noticed(&mut self) -> Vec<String> {
        let who = |somebody: Somebody| somebody.name;
        let words = self.notices.drain(..).map(|(room, notice)| match notice {
            Notice::RoomStarted => format!("{room} started"),
            Notice::RoomEnded => format!("{room} ended"),
            Notice::ParticipantJoined(one) => format!("{} joined {room}", who(one)),
            Notice::ParticipantLeft(one) => format!("{} left {room}", who(one)),
            Notice::TrackPublished(one, track) => format!("{}: {:?} on", who(one), track.source),
            Notice::TrackUnpublished(one, track) => format!("{}: {:?} off", who(one), track.source),
        });
        words.collect()
    }

    /// The answer to the one request that has one.
    fn answer_to(&mut self, id: u64) -> OperatorAnswer {
        let (request, answer) = self.answers.remove(0);
        assert_eq!(request, RequestId(id));
        answer
    }
}

fn json_of(answer: OperatorAnswer) -> Value {
    match answer {
        OperatorAnswer::Json(json) | OperatorAnswer::Created(json) => {
            serde_json::from_str(&json).expect("JSON")
        }
        OperatorAnswer::Done | OperatorAnswer::Refused(_) => panic!("{answer:?}"),
    }
}

fn code_of(answer: &OperatorAnswer) -> &str {
    match answer {
        OperatorAnswer::Refused(refusal) => refusal.code,
        _ => panic!("{answer:?}"),
    }
}

#[test]
fn rooms_and_who_is_there_are_told() {
    let mut world = World::new();
    let none = json!({"rooms": [], "next": null});
    assert_eq!(json_of(world.asked(rooms(None, 10))), none);
    let anna = world.guest(Dialect::V1, "Anna", |access| {
        access.identity = Some("anna@example.org".into());
    });
    let carl = world.classic("");
    world.join(anna);
    let lobby = json!({"name": "lobby", "participants": 2, "calls": 1, "maxParticipants": 200, "locked": false, "waitingRoom": false, "emptyTimeout": null});
    let expected = json!({"rooms": [lobby], "next": null});
    assert_eq!(json_of(world.asked(rooms(None, 10))), expected);
    let room = OperatorRequest::Room("lobby".to_owned());
    assert_eq!(json_of(world.asked(room)), lobby);

    let there = world.asked(OperatorRequest::Participants("lobby".to_owned()));
    let there = json_of(there)["participants"].clone();
    let camera = camera_of(&world, anna).to_string();
    assert_eq!(there[0]["id"], anna.id);
    assert_eq!(there[0]["identity"], "anna@example.org");
    assert_eq!(there[0]["call"], "room");
    let track = json!({"track": camera, "kind": "video", "source": "camera", "muted": false});
    assert_eq!(there[0]["tracks"][1], track);
    let expected = json!({"id": carl.id, "name": null, "identity": null, "connected": true, "call": null, "tracks": []});
    assert_eq!(there[1], expected);
    let one = world.asked(OperatorRequest::Participant(member("lobby", "Anna")));
    assert_eq!(json_of(one), there[0]);
    let tracks = json_of(world.asked(OperatorRequest::Tracks("lobby".to_owned())));
    assert_eq!(tracks["tracks"].as_array().map(Vec::len), Some(2));
    assert_eq!(tracks["tracks"][1]["name"], "Anna");
    assert_eq!(tracks["tracks"][1]["track"], camera);
}

#[test]
fn many_rooms_come_in_pages() {
    let mut world = World::new();
    for name in ["b", "a", "c"] {
        world.user(Dialect::V1, name, "Anna");
    }
    let names = |answer: OperatorAnswer| {
        let list = json_of(answer);
        let rooms = list["rooms"].as_array().expect("rooms").iter();
        let names: String = rooms.filter_map(|room| room["name"].as_str()).collect();
        (names, list["next"].clone())
    };
    assert_eq!(
        names(world.asked(rooms(None, 2))),
        ("ab".to_owned(), json!("b"))
    );
    assert_eq!(
        names(world.asked(rooms(Some("b"), 2))),
        ("c".to_owned(), Value::Null)
    );
}

#[test]
fn a_room_that_empties_again_and_again_has_one_timer() {
    let mut world = World::new();
    let change = RoomChange {
        max_participants: None,
        empty_timeout: Some(Some(86_400)),
    };
    world.asked(create("demo", change));
    let before = world.rooms.timers.len();
    for _ in 0..20 {
        let anna = world.user(Dialect::V1, "demo", "Anna");
        world.disconnect(anna, true);
        world.pass(Duration::from_secs(1));
    }
    assert_eq!(world.rooms.timers.len(), before);
}

#[test]
fn a_room_of_an_operators_waits_for_people_and_keeps_its_limit() {
    let mut world = World::new();
    let change = RoomChange {
        max_participants: Some(Some(1)),
        empty_timeout: Some(Some(60)),
    };
    let made = json_of(world.asked(create("demo", change)));
    let expected = json!({"name": "demo", "participants": 0, "calls": 0, "maxParticipants": 1, "locked": false, "waitingRoom": false, "emptyTimeout": 60});
    assert_eq!(made, expected);
    world.pass(Duration::from_secs(59));
    let anna = world.user(Dialect::V1, "demo", "Anna");
    let (_, told) = world.connect(request(Dialect::V1, "demo"));
    assert_eq!(told[0]["code"], "room-full");
    world.pass(Duration::from_secs(120));
    assert_eq!(
        code_of(&world.asked(create("demo", change))),
        "room-exists",
        "somebody is in it"
    );
    world.disconnect(anna, true);
    world.pass(Duration::from_secs(59));
    // Not said is not changed.
    let change = OperatorRequest::ChangeRoom {
        room: "demo".to_owned(),
        change: RoomChange {
            max_participants: Some(None),
            empty_timeout: None,
        },
    };
    let changed = json_of(world.asked(change));
    assert_eq!(
        (&changed["maxParticipants"], &changed["emptyTimeout"]),
        (&json!(200), &json!(60))
    );
    world.pass(Duration::from_secs(61));
    let gone = world.asked(OperatorRequest::Room("demo".to_owned()));
    assert_eq!(code_of(&gone), "no-such-room");
    assert_eq!(
        world.noticed(),
        [
            "demo started",
            "Anna joined demo",
            "Anna left demo",
            "demo ended"
        ]
    );
}

#[test]
fn what_a_room_cannot_be_is_refused() {
    let mut world = World::with(|config| config.limits.max_rooms = 1);
    let none = RoomChange::default();
    let with = |max_participants, empty_timeout| RoomChange {
        max_participants,
        empty_timeout,
    };
    for (name, change, code) in [
        ("a b", none, "bad-room"),
        ("", none, "bad-room"),
        ("a", with(Some(Some(0)), None), "bad-message"),
        ("a", with(Some(Some(201)), None), "bad-message"),
        ("a", with(None, Some(Some(0))), "bad-message"),
        ("a", with(None, Some(Some(604_801))), "bad-message"),
        ("a", with(None, Some(None)), "bad-message"),
    ] {
        let answer = world.asked(create(name, change));
        assert_eq!(code_of(&answer), code, "{name:?} {change:?}");
        assert!(
            matches!(&answer, OperatorAnswer::Refused(refusal) if refusal.kind == RefusalKind::Invalid)
        );
    }
    world.asked(create("a", none));
    assert_eq!(code_of(&world.asked(create("b", none))), "too-many-rooms");
    let (_, told) = world.connect(request(Dialect::V1, "b"));
    assert_eq!(told[0]["code"], "too-many-rooms");
    // One that is empty goes at once when it is not to stay any more.
    let change = OperatorRequest::ChangeRoom {
        room: "a".to_owned(),
        change: with(None, Some(None)),
    };
    json_of(world.asked(change));
    json_of(world.asked(create("b", none)));
}

#[test]
fn a_closed_room_is_over_for_everybody_in_it() {
    let mut world = World::new();
    let (anna, ben, carl) = (world.v1("Anna"), world.v1("Ben"), world.classic("Carl"));
    let dora = world.user(Dialect::V1, "other", "Dora");
    world.join(anna);
    world.offer(ben, &[client::MICROPHONE], json!("Carl"));
    world.noticed();
    world.forget_all();
    let close = || OperatorRequest::CloseRoom("lobby".to_owned());
    assert_eq!(world.asked(close()), OperatorAnswer::Done);
    for user in [anna, ben, carl] {
        assert_eq!(world.closed[&user.session], 1008);
    }
    let told = world.heard(anna);
    let kinds: Vec<&Value> = told.iter().map(|message| &message["type"]).collect();
    assert_eq!(kinds, ["error"], "nothing of the others' leaving");
    assert_eq!(told[0]["code"], "room-closed");
    let removed = world
        .commands
        .iter()
        .filter(|(_, command)| matches!(command, Command::RemovePeer { .. }));
    assert_eq!(removed.count(), 3);
    assert_eq!(
        world.noticed(),
        [
            "Anna: Microphone off",
            "Anna: Camera off",
            "Ben: Microphone off",
            "Anna left lobby",
            "Ben left lobby",
            "Carl left lobby",
            "lobby ended",
        ]
    );
    assert_eq!(code_of(&world.asked(close())), "no-such-room");
    let counts = world.rooms.counts();
    assert_eq!(
        (
            counts.rooms,
            counts.participants,
            counts.peers,
            counts.tracks
        ),
        (1, 1, 0, 0)
    );
    assert!(!world.closed.contains_key(&dora.session));
    world.v1("Anna");
}

#[test]
fn operators_say_something_to_a_room_or_to_one() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    world.forget_all();
    let say = |target: Option<Target>, name: &str, text: &str| OperatorRequest::Say {
        room: "lobby".to_owned(),
        target,
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let done = OperatorAnswer::Done;
    assert_eq!(world.asked(say(None, "Desk", "soon over")), done);
    let expected = json!({
        "type": "message", "text": "soon over", "name": "Desk", "id": 0, "date": STARTED_UNIX_MS,
    });
    for user in [anna, ben] {
        assert_eq!(world.heard_one(user, "message"), expected);
    }
    let to_ben = Some(Target::Id(ben.id));
    assert_eq!(world.asked(say(to_ben, "Desk", "you")), done);
    assert_eq!(world.heard_one(ben, "message")["target"], "Ben");
    assert!(world.heard(anna).is_empty());
    let nobody = Some(Target::Name("Zoe".to_owned()));
    let long = "x".repeat(4097);
    for (request, code) in [
        (say(nobody, "Desk", "x"), "no-such-participant"),
        (say(None, " ", "x"), "bad-name"),
        (say(None, "a\nb", "x"), "bad-name"),
        (say(None, "Desk", ""), "bad-message"),
        (say(None, "Desk", &long), "bad-message"),
    ] {
        assert_eq!(code_of(&world.asked(request)), code);
    }
}

#[test]
fn operators_send_data_to_those_in_a_call() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    world.join(anna);
    let peer = world.peer(anna);
    world.forget_all();
    let send = |target: Option<&str>, label: &str, data: &[u8]| OperatorRequest::SendData {
        room: "lobby".to_owned(),
        target: target.map(|name| Target::Name(name.to_owned())),
        label: label.to_owned(),
        kind: MessageKind::Binary,
        data: data.to_vec().into(),
    };
    assert_eq!(world.asked(send(None, "x", b"abc")), OperatorAnswer::Done);
    assert!(
        matches!(&world.commands[..], [(_, Command::SendData { peer: whose, from, data, .. })]
            if *whose == peer && from.0 == 0 && **data == *b"abc")
    );
    let large = vec![0; 65_537];
    let label = "x".repeat(257);
    for (request, code) in [
        (send(Some("Ben"), "x", b""), "not-in-call"),
        (send(Some("Zoe"), "x", b""), "no-such-participant"),
        (send(None, &label, b""), "bad-message"),
        (send(None, "x", &large), "bad-message"),
    ] {
        assert_eq!(code_of(&world.asked(request)), code);
    }
    assert!(world.heard(ben).is_empty());
}

#[test]
fn counters_are_asked_of_the_shard_once() {
    let mut world = World::new();
    let anna = world.v1("Anna");
    world.join(anna);
    let peer = world.peer(anna);
    world.forget_all();
    let stats = || OperatorRequest::Stats(member("lobby", "Anna"));
    world.ask(1, stats());
    world.say(anna, json!({"type": "stats"}));
    world.ask(2, stats());
    assert_eq!(world.commands.len(), 1, "{:?}", world.commands);
    let stats = Box::default();
    world.event(Event::Stats { peer, stats });
    let answer = json_of(world.answer_to(1));
    assert_eq!(answer["participant"], anna.id);
    assert_eq!(answer["stats"][0]["dtlsState"], "connecting");
    assert_eq!(json_of(world.answer_to(2)), answer);
    assert_eq!(world.heard_one(anna, "stats")["stats"], answer["stats"]);
}

#[test]
fn timelines_are_told_in_words() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    world.join(anna);
    world.join(ben);
    let (peer, track) = (world.peer(ben), camera_of(&world, anna));
    world.forget_all();
    // By name and by number; the shard is asked once.
    world.ask(1, timelines("lobby", "Ben"));
    world.ask(2, timelines("lobby", &ben.id.to_string()));
    assert!(
        matches!(world.commands[..], [(_, Command::Timelines { peer: whose })] if whose == peer)
    );
    assert!(world.answers.is_empty());
    let layer = |rid: &str| ForwardedLayer {
        rid: Some(rid.parse().unwrap()),
        spatial: 0,
        temporal: 0,
    };
    let entries = vec![
        entry(90, 1, TimelineEvent::Subscribed),
        entry(
            30,
            1,
            TimelineEvent::Layer {
                layer: Some(layer("f")),
                reason: None,
                size: Some((1280, 720)),
            },
        ),
        entry(12, 1, TimelineEvent::Estimate(410_000)),
        entry(
            11,
            1,
            TimelineEvent::Layer {
                layer: Some(layer("q")),
                reason: Some(LayerReason::Bandwidth),
                size: Some((320, 180)),
            },
        ),
        entry(1, 3, TimelineEvent::Loss(0.1)),
    ];
    let timelines = vec![(track, entries)];
    world.event(Event::Timelines { peer, timelines });
    let answer = json_of(world.answer_to(1));
    assert_eq!(json_of(world.answer_to(2)), answer);
    assert_eq!(
        (&answer["participant"], &answer["name"]),
        (&json!(ben.id), &json!("Ben"))
    );
    let shown = &answer["tracks"][0];
    assert_eq!(shown["track"], track.to_string());
    assert_eq!(
        (&shown["participant"], &shown["name"], &shown["source"]),
        (&json!(anna.id), &json!("Anna"), &json!("camera"))
    );
    let expected = json!({
        "at": 11_000, "event": "layer", "rid": "q", "spatial": 0, "temporal": 0, "reason": "bandwidth",
        "text": "11.0 s ago: the picture was lowered to layer q (320x180): the viewer's network is estimated at \
                 410 kbit/s",
    });
    assert_eq!(shown["events"][3], expected);
    let texts: Vec<&str> = shown["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["text"].as_str().unwrap())
        .collect();
    assert_eq!(
        [texts[0], texts[1], texts[4]],
        [
            "1 min 30 s ago: the server was to send this track to the viewer",
            "30.0 s ago: the picture was sent as layer f (1280x720): it is all that the viewer needs",
            "1.0 s ago, 3 times by then: the viewer lost 10 % of the packets",
        ]
    );
}

#[test]
fn what_is_not_there_is_said_and_nobody_waits_for_ever() {
    let mut world = World::new();
    let ben = world.v1("Ben");
    for (id, request, code) in [
        (1, timelines("nowhere", "Ben"), "no-such-room"),
        (2, timelines("lobby", "Zoe"), "no-such-participant"),
        (3, timelines("lobby", "Ben"), "not-in-call"),
    ] {
        world.ask(id, request);
        assert_eq!(code_of(&world.answer_to(id)), code);
    }
    world.join(ben);
    world.ask(4, timelines("lobby", "Ben"));
    assert!(world.answers.is_empty());
    world.say(ben, json!({"type": "hang-up"}));
    assert_eq!(code_of(&world.answer_to(4)), "not-in-call");
}
