//! What operators may ask over HTTP.

use serde_json::{Value, json};

use crate::data::received_from;
use crate::support::contract::Contract;
use crate::support::{Client, Dialect, Server, Setup, Signaling};

const TOKEN: &str = "a-token-for-this-test";

/// An operator's client, which holds every answer against the server's own document.
struct Operator<'a> {
    server: &'a Server,
    contract: Contract,
}

impl<'a> Operator<'a> {
    async fn new(server: &'a Server) -> Self {
        // Whoever wants to write a client may read it without the token.
        let (status, document) = ask(server, "GET", "/api/v1/openapi.json", None, "").await;
        assert_eq!(status, 200);
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        let contract = Contract::new(document);
        Self { server, contract }
    }

    async fn get(&mut self, path: &str) -> Value {
        let (status, body) = self.send("GET", path, &Value::Null).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn send(&mut self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let text = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        self.send_text(method, path, &text).await
    }

    async fn send_text(&mut self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (status, answer) = ask(self.server, method, path, Some(TOKEN), body).await;
        self.contract.check(method, path, status, &answer);
        (status, answer)
    }
}

/// The status of an answer, and its JSON.
async fn ask(
    server: &Server,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &str,
) -> (u16, Value) {
    let header = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
    let header = header.unwrap_or_default();
    let answer = server.request(method, path, &header, body).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let body = serde_json::from_str(body).unwrap_or(Value::Null);
    (status.expect("a status"), body)
}

#[tokio::test]
async fn every_operation_is_served_as_its_document_says() {
    let server = Server::with(&["--operator-token", TOKEN]).await;
    let mut operator = Operator::new(&server).await;
    let wanted = json!({"name": "demo", "maxParticipants": 3, "emptyTimeout": 60});
    let (status, made) = operator.send("POST", "/api/v1/rooms", &wanted).await;
    assert_eq!((status, &made["maxParticipants"]), (201, &3.into()));
    let (status, refused) = operator.send("POST", "/api/v1/rooms", &wanted).await;
    assert_eq!(
        (status, &refused["error"]["code"]),
        (409, &"room-exists".into())
    );

    let alice = Client::join(&server, Setup::new("alice").room("demo").channel("notes")).await;
    let bob = Client::join(&server, Setup::new("bob").room("demo").channel("notes")).await;
    alice.start_media();
    bob.hears(&alice).await;

    let room = operator.get("/api/v1/rooms/demo").await;
    assert_eq!(
        (&room["participants"], &room["calls"]),
        (&2.into(), &1.into())
    );
    let rooms = operator.get("/api/v1/rooms?limit=1").await;
    assert_eq!((&rooms["rooms"][0], &rooms["next"]), (&room, &Value::Null));
    let counts = operator.get("/api/v1/server").await;
    assert_eq!(
        (&counts["participants"], &counts["tracks"]),
        (&2.into(), &4.into())
    );
    let there = operator.get("/api/v1/rooms/demo/participants").await;
    let path = format!("/api/v1/rooms/demo/participants/{}", alice.id);
    assert_eq!(operator.get(&path).await, there["participants"][0]);
    let tracks = operator.get("/api/v1/rooms/demo/tracks").await;
    assert_eq!(tracks["tracks"].as_array().map(Vec::len), Some(4));
    operator.get(&format!("{path}/timelines")).await;
    let stats = operator.get(&format!("{path}/stats")).await;
    let stats = stats["stats"].as_array().expect("entries");
    let inbound = stats.iter().find(|entry| entry["type"] == "inbound-rtp");
    let inbound = inbound.expect("what alice sends");
    assert!(inbound["packetsReceived"].as_u64() > Some(0), "{inbound}");

    let (status, changed) = operator
        .send(
            "PATCH",
            "/api/v1/rooms/demo",
            &json!({"maxParticipants": null}),
        )
        .await;
    assert_eq!((status, &changed["maxParticipants"]), (200, &200.into()));

    let moderation = "/api/v1/rooms/demo/moderation";
    for wanted in [
        json!({"action": "lock", "on": true}),
        json!({"action": "mute", "target": "alice", "source": "camera"}),
    ] {
        let (status, body) = operator.send("POST", moderation, &wanted).await;
        assert_eq!(status, 204, "{body}");
    }
    let moderated = alice.signaling.expect("moderated").await;
    assert_eq!(moderated["action"], "mute");
    let order = operator.get(moderation).await;
    let expected = json!({"locked": true, "waitingRoom": false, "waiting": [], "bans": []});
    assert_eq!(order, expected);
    let late = Signaling::connect(&server, "demo", Dialect::V1).await;
    assert_eq!(late.expect("error").await["code"], "room-locked");

    let said = json!({"text": "five minutes left", "name": "Desk", "target": bob.id});
    let (status, _) = operator
        .send("POST", "/api/v1/rooms/demo/messages", &said)
        .await;
    assert_eq!(status, 204);
    let heard = bob.signaling.expect("message").await;
    assert_eq!(
        (&heard["text"], &heard["name"], &heard["id"]),
        (&"five minutes left".into(), &"Desk".into(), &0.into())
    );

    for client in [&alice, &bob] {
        client.peer.channel_from("notes", "").await;
    }
    for data in [
        json!({"label": "notes", "text": "to all"}),
        json!({"label": "notes", "base64": "AAECAw==", "target": "bob"}),
    ] {
        let (status, _) = operator
            .send("POST", "/api/v1/rooms/demo/data", &data)
            .await;
        assert_eq!(status, 204);
    }
    let channel = received_from(&bob, "notes", "from:0", 2).await;
    assert_eq!(channel.messages[0], (true, "to all".into()));
    assert_eq!(channel.messages[1], (false, vec![0, 1, 2, 3].into()));
    received_from(&alice, "notes", "from:0", 1).await;

    let (status, _) = operator
        .send("DELETE", "/api/v1/rooms/demo", &Value::Null)
        .await;
    assert_eq!(status, 204);
    let told = alice.signaling.expect("error").await;
    assert_eq!(
        (&told["code"], &told["fatal"]),
        (&"room-closed".into(), &true.into())
    );
    assert_eq!(bob.signaling.expect_closed().await, Some(1008));
    let rooms = operator.get("/api/v1/rooms").await;
    assert_eq!(rooms, json!({"rooms": [], "next": null}));

    let contract = &operator.contract;
    assert_eq!(contract.served, contract.operations());
}

#[tokio::test]
async fn what_is_wrong_is_said_in_one_shape() {
    let server = Server::with(&["--operator-token", TOKEN]).await;
    let mut operator = Operator::new(&server).await;
    let (rooms, missing) = ("/api/v1/rooms", "/api/v1/rooms/none");
    let long = json!({"name": "x".repeat(600_000)}).to_string();
    let data = format!("{missing}/data");
    let messages = format!("{missing}/messages");
    let moderation = format!("{missing}/moderation");
    for (method, path, body, status, code) in [
        ("POST", rooms, "{", 400, "bad-json"),
        ("POST", rooms, "", 400, "bad-json"),
        ("POST", rooms, "[]", 400, "bad-message"),
        ("POST", rooms, "{}", 400, "bad-message"),
        ("POST", rooms, r#"{"name": "a/b"}"#, 400, "bad-room"),
        (
            "POST",
            rooms,
            r#"{"name": "a", "colour": 1}"#,
            400,
            "bad-message",
        ),
        (
            "POST",
            rooms,
            r#"{"name": "a", "maxParticipants": -1}"#,
            400,
            "bad-message",
        ),
        ("POST", rooms, &long, 413, "too-large"),
        ("GET", "/api/v1/rooms?limit=0", "", 400, "bad-message"),
        ("GET", "/api/v1/rooms?limit=x", "", 400, "bad-message"),
        ("GET", missing, "", 404, "no-such-room"),
        ("PATCH", missing, "{}", 404, "no-such-room"),
        ("PATCH", missing, "[null, null]", 400, "bad-message"),
        ("PATCH", missing, r#"{"name": "b"}"#, 400, "bad-message"),
        ("DELETE", missing, "", 404, "no-such-room"),
        ("POST", &messages, r#"{"text": "x"}"#, 404, "no-such-room"),
        (
            "POST",
            &messages,
            r#"{"text": "x", "target": {}}"#,
            400,
            "bad-message",
        ),
        (
            "POST",
            &moderation,
            r#"{"action": "lock"}"#,
            400,
            "bad-message",
        ),
        // Without the slip it would be for one.
        (
            "POST",
            &moderation,
            r#"{"action": "mute", "traget": "a"}"#,
            400,
            "bad-message",
        ),
        (
            "POST",
            &moderation,
            r#"{"action": "lock", "on": true}"#,
            404,
            "no-such-room",
        ),
        ("POST", &data, r#"{"label": "x"}"#, 400, "bad-message"),
        (
            "POST",
            &data,
            r#"{"label": "x", "base64": "?"}"#,
            400,
            "bad-message",
        ),
    ] {
        let (given, answer) = operator.send_text(method, path, body).await;
        let shown: String = body.chars().take(60).collect();
        assert_eq!(
            (given, &answer["error"]["code"]),
            (status, &code.into()),
            "{method} {path} {shown}: {answer}"
        );
        let words = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(!words.is_empty());
    }
    let (status, answer) = ask(&server, "PUT", rooms, Some(TOKEN), "").await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (405, &"no-such-method".into())
    );
    let (status, _) = ask(&server, "DELETE", rooms, None, "").await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn operators_read_why_a_picture_is_as_it_is() {
    let server = Server::with(&["--operator-token", TOKEN]).await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    alice.start_media();
    let video = bob.track_from(&alice, "video").await;
    bob.packets(video.ssrc, 20).await;

    let mut operator = Operator::new(&server).await;
    let rooms = operator.get("/api/v1/rooms").await;
    let name = rooms["rooms"][0]["name"].as_str().expect("a name");
    let path = format!("/api/v1/rooms/{name}/participants/bob/timelines");
    let timelines = operator.get(&path).await;
    assert_eq!(timelines["participant"], bob.id);
    let tracks = timelines["tracks"].as_array().expect("tracks");
    let camera = tracks.iter().find(|track| track["source"] == "camera");
    let camera = camera.expect("the camera of the other one");
    assert_eq!(camera["name"], "alice");
    let events = camera["events"].as_array().expect("events");
    let names: Vec<&str> = events
        .iter()
        .filter_map(|event| event["event"].as_str())
        .collect();
    assert_eq!(names[0], "subscribed");
    assert!(names.contains(&"keyframe-forwarded"), "{names:?}");
    for event in events {
        let text = event["text"].as_str().expect("words");
        assert!(text.contains(" ago"), "{text}");
    }

    for token in [None, Some("another-token-of-some-length")] {
        let (status, refused) = ask(&server, "GET", &path, token, "").await;
        assert_eq!(status, 401);
        let words = refused["error"]["message"].as_str().expect("words");
        assert!(words.contains("Authorization: Bearer"), "{words}");
    }
    for (path, code) in [
        (
            format!("/api/v1/rooms/{name}/participants/99/timelines"),
            "no-such-participant",
        ),
        (
            "/api/v1/rooms/nowhere/participants/99/timelines".to_owned(),
            "no-such-room",
        ),
        ("/api/v1/else".to_owned(), "no-such-path"),
        ("/api/v1".to_owned(), "no-such-path"),
        ("/api/v1/".to_owned(), "no-such-path"),
    ] {
        let (status, missing) = ask(&server, "GET", &path, Some(TOKEN), "").await;
        assert_eq!(
            (status, &missing["error"]["code"]),
            (404, &code.into()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn without_a_token_nobody_is_an_operator() {
    let server = Server::start().await;
    for token in [None, Some(""), Some(TOKEN)] {
        let (status, _) = ask(&server, "GET", "/api/v1/rooms", token, "").await;
        assert_eq!(status, 404);
    }
}
