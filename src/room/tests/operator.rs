//! What operators ask.

use super::timeline::{camera_of, entry};
use super::*;
use crate::room::OperatorRequest;
use crate::shard::{ForwardedLayer, LayerReason, TimelineEvent};

fn timelines(room: &str, participant: &str) -> OperatorRequest {
    OperatorRequest::Timelines {
        room: room.to_owned(),
        participant: participant.to_owned(),
    }
}

impl World {
    fn ask(&mut self, id: u64, request: OperatorRequest) {
        self.rooms.handle_operator(RequestId(id), request);
        self.collect();
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
        OperatorAnswer::Json(json) => serde_json::from_str(&json).expect("JSON"),
        OperatorAnswer::NotFound { .. } => panic!("{answer:?}"),
    }
}

fn code_of(answer: &OperatorAnswer) -> &str {
    match answer {
        OperatorAnswer::NotFound { code, .. } => code,
        OperatorAnswer::Json(_) => panic!("{answer:?}"),
    }
}

#[test]
fn rooms_are_listed_with_who_is_there() {
    let mut world = World::new();
    world.ask(1, OperatorRequest::Rooms);
    assert_eq!(json_of(world.answer_to(1)), json!({"rooms": []}));
    let (anna, carl) = (world.v1("Anna"), world.classic(""));
    world.join(anna);
    world.ask(2, OperatorRequest::Rooms);
    let expected = json!({"rooms": [{"name": "lobby", "participants": 2, "calls": 1, "members": [
        {"id": anna.id, "name": "Anna", "call": "room"},
        {"id": carl.id, "name": null, "call": null},
    ]}]});
    assert_eq!(json_of(world.answer_to(2)), expected);
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
