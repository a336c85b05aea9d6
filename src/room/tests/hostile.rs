//! Nothing that a client sends panics, or changes anything for others.

use proptest::prelude::*;

use super::*;

#[test]
fn three_pieces_of_nonsense_in_ten_seconds_end_a_socket() {
    let mut world = World::new();
    let anna = world.v1("Anna");
    let classic = world.classic("Ben");
    let nonsense = ["{", "[]", "{\"type\": 5}"];
    for (text, code) in nonsense.iter().zip(["bad-json", "bad-json", "bad-message"]) {
        assert!(!world.closed.contains_key(&anna.session));
        world.say_text(anna, text);
        assert_eq!(world.error_code(anna), code);
        world.say_text(classic, text);
    }
    assert_eq!(world.closed[&anna.session], 1008);
    assert_eq!(world.closed[&classic.session], 1008);
    assert_eq!(world.heard_of(classic, "error"), Vec::<Value>::new());
}

#[test]
fn nonsense_now_and_then_is_forgiven() {
    let mut world = World::new();
    let anna = world.v1("Anna");
    for _ in 0..10 {
        world.say_text(anna, "nonsense");
        world.pass(Duration::from_secs(5));
    }
    assert!(!world.closed.contains_key(&anna.session));
}

#[test]
fn each_kind_of_bad_message_is_named() {
    let long = "x".repeat(300 * 1024);
    let cases = [
        (json!({"type": "message", "text": long}), "too-large", ""),
        (
            json!({"type": "x-any", "text": "x".repeat(65 * 1024)}),
            "too-large",
            "x-any",
        ),
        (json!({"type": "message"}), "bad-message", "message"),
        (
            json!({"type": "message", "text": 5}),
            "bad-message",
            "message",
        ),
        (
            json!({"type": "message", "text": "x".repeat(4097)}),
            "bad-message",
            "message",
        ),
        (
            json!({"type": "message", "text": "x", "target": []}),
            "bad-message",
            "message",
        ),
        (
            json!({"type": "message", "text": "x", "target": -1}),
            "bad-message",
            "message",
        ),
        (
            json!({"type": "username", "name": {}}),
            "bad-message",
            "username",
        ),
        (json!({"type": "video-offer"}), "bad-message", "video-offer"),
        (
            json!({"type": "video-offer", "sdp": {"type": "answer", "sdp": ""}}),
            "bad-message",
            "video-offer",
        ),
        (
            json!({"type": "video-offer", "sdp": "v=0", "tracks": [5]}),
            "bad-message",
            "video-offer",
        ),
        (
            json!({"type": "video-offer", "sdp": "v=0", "tracks": [{"mid": "0", "source": "tv"}]}),
            "bad-message",
            "video-offer",
        ),
        (
            json!({"type": "video-offer", "sdp": "nonsense"}),
            "bad-sdp",
            "video-offer",
        ),
        (
            json!({"type": "video-answer", "sdp": "v=0"}),
            "unexpected-answer",
            "video-answer",
        ),
        (
            json!({"type": "new-ice-candidate", "candidate": 5}),
            "bad-message",
            "new-ice-candidate",
        ),
        (
            json!({"type": "hang-up", "target": {}}),
            "bad-message",
            "hang-up",
        ),
        (
            json!({"type": "mute", "muted": true}),
            "bad-message",
            "mute",
        ),
        (
            json!({"type": "mute", "source": "camera"}),
            "bad-message",
            "mute",
        ),
        (
            json!({"type": "mute", "source": "camera", "muted": true}),
            "not-in-call",
            "mute",
        ),
        (
            json!({"type": "receive", "track": "12"}),
            "bad-message",
            "receive",
        ),
        (
            json!({"type": "receive", "track": "t12"}),
            "not-in-call",
            "receive",
        ),
        (json!({"type": "stats"}), "not-in-call", "stats"),
        (json!({"type": "timeline"}), "bad-message", "timeline"),
        (
            json!({"type": "timeline", "track": "t1"}),
            "not-in-call",
            "timeline",
        ),
    ];
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    world.heard(anna);
    for (message, code, request) in cases {
        world.say(anna, message.clone());
        let error = world.heard_one(anna, "error");
        assert_eq!(error["code"], code, "{message}");
        let expected = if request.is_empty() {
            Value::Null
        } else {
            request.into()
        };
        assert_eq!(error["request"], expected, "{message}");
        world.pass(Duration::from_secs(11));
    }
    assert_eq!(world.heard(ben), Vec::<Value>::new());
}

/// JSON of every shape, with the words of the protocol in likely places.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        prop::sample::select(vec![
            "0",
            "camera",
            "t1",
            "Anna",
            "v=0\r\no=- 1 1 IN IP4 0\r\n",
            "offer"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(member(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn member() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "name",
            "text",
            "target",
            "sdp",
            "type",
            "tracks",
            "mid",
            "source",
            "muted",
            "candidate",
            "sdpMid",
            "sdpMLineIndex",
            "track",
            "paused",
            "width",
            "priority",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,8}",
    ]
}

fn any_message() -> impl Strategy<Value = Value> {
    let kinds = vec![
        "username",
        "message",
        "video-offer",
        "video-answer",
        "new-ice-candidate",
        "hang-up",
        "mute",
        "receive",
        "stats",
        "timeline",
        "id",
        "participant",
        "x-other",
    ];
    let members = prop::collection::hash_map(member(), any_json(), 0..8);
    (prop::sample::select(kinds), members).prop_map(|(kind, members)| {
        let mut message: serde_json::Map<String, Value> = members.into_iter().collect();
        message.insert("type".to_owned(), kind.into());
        Value::Object(message)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_input_leaves_others_alone(
        messages in prop::collection::vec(prop_oneof![4 => any_message(), 1 => any_json()], 1..20),
        classic in any::<bool>(),
        in_call in any::<bool>(),
    ) {
        let mut world = World::new();
        let mallory = if classic { world.classic("Mallory") } else { world.v1("Mallory") };
        let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
        let elsewhere = world.user(Dialect::V1, "other", "Dora");
        world.join(anna);
        world.join(ben);
        let peers = [world.peer(anna), world.peer(ben)];
        if in_call {
            world.join(mallory);
        }
        world.forget_all();
        for message in messages {
            world.say(mallory, message);
            world.pass(Duration::from_millis(200));
        }
        prop_assert!(world.heard(elsewhere).is_empty());
        prop_assert!(world.closed.keys().all(|session| *session == mallory.session));
        for (_, command) in &world.commands {
            let ends_call = matches!(command, Command::RemovePeer { peer } if peers.contains(peer));
            prop_assert!(!ends_call, "{command:?}");
        }
        // What Anna hears of Mallory is signed, whatever Mallory wrote into it.
        for message in world.heard(anna) {
            if message["type"] != "video-offer" {
                prop_assert_eq!(message["id"].as_u64(), Some(mallory.id));
            }
        }
        world.forget_all();
        world.say(anna, json!({"type": "message", "text": "still here", "target": ben.id}));
        prop_assert_eq!(world.heard_of(ben, "message").len(), 1);
    }

    #[test]
    fn any_text_is_survived(text in "\\PC{0,200}") {
        let mut world = World::new();
        let anna = world.v1("Anna");
        world.say_text(anna, &text);
    }
}
