//! Every limit has its option and its error.

use serde_json::{Value, json};

use crate::support::{Client, Dialect, Server, Setup, Signaling};

async fn named(server: &Server, room: &str, name: &str) -> Signaling {
    let signaling = Signaling::connect(server, room, Dialect::V1).await;
    signaling.expect("id").await;
    signaling.take_name(name).await;
    signaling.settle().await;
    signaling
}

async fn expect_refused(signaling: &Signaling, code: &str, close: u16) {
    let error = signaling.expect_error(code).await;
    assert_eq!(error["fatal"], true, "{error}");
    assert_eq!(
        signaling.expect_closed().await,
        Some(close),
        "after {error}"
    );
}

#[tokio::test]
async fn a_room_can_be_full() {
    let server = Server::with(&["--max-participants", "2"]).await;
    let first = named(&server, "small", "alice").await;
    let _second = named(&server, "small", "bob").await;
    let third = Signaling::connect(&server, "small", Dialect::V1).await;
    third.take_name("carol").await;
    expect_refused(&third, "room-full", 1013).await;
    let _elsewhere = named(&server, "other", "carol").await;
    first.close();
    first.expect_closed().await;
    let _fourth = named_once_free(&server).await;
}

/// A place becomes free a moment after the socket has closed.
async fn named_once_free(server: &Server) -> Signaling {
    loop {
        let signaling = Signaling::connect(server, "small", Dialect::V1).await;
        signaling.take_name("dave").await;
        let first = signaling
            .inbox
            .until("a first message", |inbox| inbox.waiting.first().cloned())
            .await;
        if first["type"] == "id" {
            signaling.settle().await;
            return signaling;
        }
        assert_eq!(first["code"], "room-full");
    }
}

#[tokio::test]
async fn there_can_be_too_many_rooms() {
    let server = Server::with(&["--max-rooms", "1"]).await;
    let _alice = named(&server, "one", "alice").await;
    let second = Signaling::connect(&server, "two", Dialect::V1).await;
    second.take_name("bob").await;
    expect_refused(&second, "too-many-rooms", 1013).await;
    let _bob = named(&server, "one", "bob").await;
}

#[tokio::test]
async fn an_address_can_have_too_many_sockets() {
    let server = Server::with(&["--max-sockets-per-address", "2"]).await;
    let _first = named(&server, "lobby", "alice").await;
    let _second = named(&server, "lobby", "bob").await;
    let third = Signaling::connect(&server, "lobby", Dialect::V1).await;
    expect_refused(&third, "too-many-sockets", 1013).await;
}

#[tokio::test]
async fn messages_can_come_too_fast() {
    let server = Server::with(&["--max-messages-per-second", "5"]).await;
    let alice = named(&server, "lobby", "alice").await;
    for number in 0..40 {
        alice.send(json!({"type": "message", "text": number.to_string()}));
    }
    alice.expect_error("too-fast").await;
    alice.inbox.read(|inbox| {
        let came = inbox
            .all
            .iter()
            .filter(|message| message["type"] == "message")
            .count();
        assert!(came >= 5, "a burst passes: {came}");
    });
}

#[tokio::test]
async fn a_description_can_be_too_large() {
    let server = Server::with(&["--max-sdp-bytes", "2000"]).await;
    let alice = named(&server, "lobby", "alice").await;
    let sdp = format!("v=0\r\n{}", "a=x\r\n".repeat(500));
    alice.send(
        json!({"type": "video-offer", "name": "alice", "sdp": {"type": "offer", "sdp": sdp}}),
    );
    let error = alice.expect("error").await;
    let code = error["code"].as_str().unwrap_or_default();
    assert!(["too-large", "bad-sdp"].contains(&code), "{error}");
    assert_eq!(error["request"], "video-offer");
    alice.settle().await;
}

#[tokio::test]
async fn there_can_be_too_many_tracks() {
    let server = Server::with(&["--max-tracks", "1"]).await;
    let alice = Client::connect(&server, Setup::new("alice")).await;
    alice.offer().await;
    alice.signaling.expect_error("too-many-tracks").await;
    let bob = Client::connect(&server, Setup::new("bob").without_video()).await;
    bob.offer().await;
    bob.peer.connected().await;
}

#[tokio::test]
async fn rooms_have_names_of_a_kind() {
    let server = Server::start().await;
    let long = "x".repeat(65);
    for room in ["a%20b", "a/b", "%C3%A4", "", &long] {
        let path = format!("/ws?room={room}");
        match Signaling::try_open(server.port(), &path, Dialect::V1).await {
            Ok(signaling) if room.is_empty() => {
                // An empty name may be the lobby, or bad.
                let first = signaling
                    .inbox
                    .until("a first message", |inbox| inbox.waiting.first().cloned())
                    .await;
                assert!(
                    first["room"] == "lobby" || first["code"] == "bad-room",
                    "{first}"
                );
            }
            Ok(signaling) => expect_refused(&signaling, "bad-room", 1008).await,
            Err(status) => assert!(status.is_client_error(), "{room}: {status}"),
        }
    }
    let name = "A-z_0.9";
    let signaling = Signaling::connect(&server, name, Dialect::V1).await;
    assert_eq!(signaling.expect("id").await["room"], name);
}

#[tokio::test]
async fn what_needs_a_name_or_a_call_says_so() {
    let server = Server::start().await;
    let signaling = Signaling::connect(&server, "lobby", Dialect::V1).await;
    signaling.expect("id").await;
    signaling.send(json!({"type": "message", "text": "who am I"}));
    signaling.expect_error("no-name").await;
    signaling.take_name("   ").await;
    signaling.expect_error("bad-name").await;
    signaling.close();
    let alice = named(&server, "lobby", "alice").await;
    alice.send(json!({"type": "mute", "source": "microphone", "muted": true}));
    let error = alice.expect_error("not-in-call").await;
    assert_eq!(error["request"], "mute");
    alice.send(json!({"type": "message", "text": "psst", "target": "nobody"}));
    alice.expect_error("no-such-user").await;
    alice.close();
    let bob = Client::join(&server, Setup::new("bob")).await;
    bob.signaling
        .send(json!({"type": "receive", "track": "t999999", "paused": true}));
    bob.signaling.expect_error("no-such-track").await;
}

#[tokio::test]
async fn names_are_trimmed_bounded_and_unique() {
    let server = Server::start().await;
    let alice = named(&server, "lobby", "alice").await;
    let other = Signaling::connect(&server, "lobby", Dialect::V1).await;
    let id = other.expect("id").await["id"].clone();
    other.take_name("  alice ").await;
    let rejected = other.expect("rejectusername").await;
    assert_eq!(rejected["id"], id);
    let name = rejected["name"].as_str().expect("a name");
    assert!(name.starts_with("alice") && name != "alice", "{name}");
    let seen = alice
        .expect_where("participant", |participant| participant["id"] == id)
        .await;
    assert_eq!(seen["name"], name);
    let long: String = "x".repeat(65);
    other.take_name(&long).await;
    other.expect_error("bad-name").await;
    other.take_name("newt").await;
    let renamed = alice
        .expect_where("participant", |participant| participant["name"] == "newt")
        .await;
    assert_eq!(
        (&renamed["id"], &renamed["state"]),
        (&id, &Value::from("updated"))
    );
}
