//! Leaving a call, and what the others are told.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Client, Server, Setup};

#[tokio::test]
async fn a_closed_socket_leaves_at_once() {
    let server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    alice.track_from(&bob, "video").await;
    bob.signaling.close();
    let left = alice
        .signaling
        .expect_where("participant", |participant| {
            participant["id"] == bob.id && participant["state"] == "left"
        })
        .await;
    assert_eq!(left["tracks"], json!([]));
    alice.no_track_from(bob.id).await;
}

#[tokio::test]
async fn a_socket_closed_without_a_code_leaves_at_once_too() {
    // What `socket.close()` does in a browser.
    let server = Server::start().await;
    let alice = Client::connect(&server, Setup::new("alice")).await;
    let bob = Client::connect(&server, Setup::new("bob")).await;
    bob.signaling.send_raw(Message::Close(None));
    alice
        .signaling
        .expect_where("participant", |participant| {
            participant["id"] == bob.id && participant["state"] == "left"
        })
        .await;
}

#[tokio::test]
async fn a_hang_up_ends_the_call_and_not_the_session() {
    let server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    alice.track_from(&bob, "video").await;
    bob.signaling
        .send(json!({"type": "hang-up", "name": "bob"}));
    alice.no_track_from(bob.id).await;
    let updated = alice
        .signaling
        .expect_where("participant", |participant| {
            participant["id"] == bob.id
                && participant["call"].is_null()
                && participant["state"] == "updated"
        })
        .await;
    assert_eq!(updated["tracks"], json!([]));
    bob.signaling.settle().await;
    alice
        .signaling
        .expect_where("message", |message| message["name"] == "bob")
        .await;
}

#[tokio::test]
async fn m_lines_of_those_who_left_are_used_again() {
    let server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let mut lines = None;
    for round in 0..4 {
        let name = format!("guest{round}");
        let guest = Client::join(&server, Setup::new(&name)).await;
        let second = Client::join(&server, Setup::new(&format!("other{round}"))).await;
        guest.start_media();
        second.start_media();
        alice.hears(&guest).await;
        alice.hears(&second).await;
        let sections = alice.described.read(|described| described.sections());
        let lines = *lines.get_or_insert(sections.len());
        assert_eq!(sections.len(), lines, "in round {round}: {sections:#?}");
        guest.signaling.close();
        second.signaling.close();
        alice.no_track_from(guest.id).await;
        alice.no_track_from(second.id).await;
        guest.close().await;
        second.close().await;
    }
}

#[tokio::test]
async fn who_hung_up_can_join_again() {
    let server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    alice.start_media();
    let mut bob = Client::join(&server, Setup::new("bob")).await;
    bob.hears(&alice).await;
    bob.signaling
        .send(json!({"type": "hang-up", "name": "bob"}));
    alice.no_track_from(bob.id).await;
    bob.renew_peer(&Setup::new("bob")).await;
    bob.offer().await;
    bob.peer.connected().await;
    bob.start_media();
    bob.hears(&alice).await;
    alice.hears(&bob).await;
}
