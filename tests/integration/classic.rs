//! Clients written for the sample: they must never see a message that they do not know.

use serde_json::{Value, json};

use crate::support::{Client, Dialect, Server, Setup, Signaling};

/// The types that the sample's client handles.
const KNOWN: &[&str] = &[
    "id",
    "username",
    "rejectusername",
    "userlist",
    "message",
    "video-offer",
    "video-answer",
    "new-ice-candidate",
    "hang-up",
];

fn assert_known(signaling: &Signaling) {
    signaling.inbox.read(|inbox| {
        for message in &inbox.all {
            let kind = message["type"].as_str().unwrap_or_default();
            assert!(KNOWN.contains(&kind), "an unknown message: {message}");
        }
    });
}

async fn classic(server: &Server, dialect: Dialect, name: &str) -> (Signaling, Value) {
    let signaling = Signaling::connect(server, "lobby", dialect).await;
    let id = signaling.expect("id").await["id"].clone();
    signaling.send(json!({"type": "username", "name": name, "id": id, "date": 1}));
    let own = name.to_owned();
    signaling
        .expect_where("userlist", |list| {
            list["users"]
                .as_array()
                .is_some_and(|users| users.iter().any(|user| user == own.as_str()))
        })
        .await;
    (signaling, id)
}

#[tokio::test]
async fn classic_clients_chat_with_everyone() {
    let server = Server::start().await;
    for dialect in [Dialect::Classic, Dialect::Unnamed] {
        let (alice, id) = classic(&server, dialect, "alice").await;
        assert!(id.is_number());
        let bob = Client::connect(&server, Setup::new("bob")).await;
        alice
            .expect_where("userlist", |list| list["users"] == json!(["alice", "bob"]))
            .await;
        alice.send(json!({"type": "message", "text": "<b>hi</b>", "id": id, "date": 1}));
        for (who, signaling) in [("alice", &alice), ("bob", &*bob.signaling)] {
            let message = signaling
                .expect_where("message", |message| message["name"] == "alice")
                .await;
            assert_eq!(message["text"], "<b>hi</b>", "to {who}");
            assert_eq!(message["id"], id);
            assert!(
                message["date"]
                    .as_u64()
                    .is_some_and(|date| date > 1_500_000_000_000),
                "{message}"
            );
        }
        bob.signaling
            .send(json!({"type": "message", "text": "psst", "target": "alice"}));
        let message = alice
            .expect_where("message", |message| message["text"] == "psst")
            .await;
        assert_eq!(message["name"], "bob");
        assert_known(&alice);
        alice.close();
        bob.signaling.close();
        bob.signaling.expect_closed().await;
        alice.expect_closed().await;
        // The names are free a moment later; the next round's lists tell.
        free(&server).await;
    }
}

/// Waits until the lobby is empty.
async fn free(server: &Server) {
    let signaling = Signaling::connect(server, "lobby", Dialect::Classic).await;
    let id = signaling.expect("id").await["id"].clone();
    signaling.send(json!({"type": "username", "name": "waiter", "id": id, "date": 1}));
    signaling
        .expect_where("userlist", |list| list["users"] == json!(["waiter"]))
        .await;
    signaling.close();
    signaling.expect_closed().await;
}

#[tokio::test]
async fn a_call_around_them_shows_them_nothing_new() {
    let server = Server::start().await;
    let (classic, _) = classic(&server, Dialect::Unnamed, "classic").await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    alice.start_media();
    bob.hears(&alice).await;
    alice
        .signaling
        .send(json!({"type": "mute", "source": "camera", "muted": true}));
    alice.signaling.settle().await;
    classic
        .expect_where("message", |message| message["name"] == "alice")
        .await;
    assert_known(&classic);
    classic.inbox.read(|inbox| {
        assert!(
            inbox
                .all
                .iter()
                .all(|message| message["type"] != "video-offer"),
            "who has not joined is not called"
        );
    });
}

#[tokio::test]
async fn a_classic_client_calls_one_of_v1() {
    let server = Server::start().await;
    let mut setup = Setup::new("alice");
    setup.dialect = Dialect::Classic;
    let alice = Client::connect(&server, setup).await;
    let bob = Client::connect(&server, Setup::new("bob")).await;
    alice
        .signaling
        .expect_where("userlist", |list| list["users"] == json!(["alice", "bob"]))
        .await;
    alice.call("bob").await;
    let ring = bob.signaling.expect("video-offer").await;
    assert_eq!(ring["name"], "alice");
    bob.accept(&ring).await;
    alice.peer.connected().await;
    bob.peer.connected().await;
    alice.start_media();
    bob.start_media();
    bob.hears(&alice).await;
    alice
        .peer
        .happenings
        .until("media of bob", |happenings| {
            (happenings
                .remotes
                .iter()
                .filter(|remote| remote.packets.len() >= 5)
                .count()
                >= 2)
                .then_some(())
        })
        .await;
    alice
        .signaling
        .send(json!({"type": "hang-up", "name": "alice"}));
    assert_eq!(bob.signaling.expect("hang-up").await["reason"], "left");
    assert_known(&alice.signaling);
}

#[tokio::test]
async fn unknown_types_are_passed_on_unread() {
    let server = Server::start().await;
    let (alice, _) = classic(&server, Dialect::Classic, "alice").await;
    let (bob, _) = classic(&server, Dialect::Classic, "bob").await;
    let (carol, _) = classic(&server, Dialect::Classic, "carol").await;
    alice.send(json!({"type": "x-game-move", "to": [1, 2], "name": "forged", "target": "bob"}));
    let seen = bob.expect("x-game-move").await;
    assert_eq!(seen["to"], json!([1, 2]));
    assert_eq!(seen["name"], "alice", "the server says who it was");
    alice.send(json!({"type": "x-all", "n": 1}));
    for signaling in [&bob, &carol] {
        assert_eq!(signaling.expect("x-all").await["n"], 1);
    }
    carol.inbox.read(|inbox| {
        assert!(
            inbox
                .all
                .iter()
                .all(|message| message["type"] != "x-game-move")
        );
    });
}

#[tokio::test]
async fn errors_that_end_the_socket_are_close_codes() {
    let server = Server::with(&["--max-participants", "2"]).await;
    let (_alice, _) = classic(&server, Dialect::Classic, "alice").await;
    let (_bob, _) = classic(&server, Dialect::Classic, "bob").await;
    let third = Signaling::connect(&server, "lobby", Dialect::Classic).await;
    third.send(json!({"type": "username", "name": "carol", "id": 0, "date": 1}));
    assert_eq!(third.expect_closed().await, Some(1013));
    assert_known(&third);
}
