//! What moderators do, with media that flows.

use serde_json::{Value, json};

use super::tokens::{KEY, mint};
use crate::support::client::Received;
use crate::support::{Client, Dialect, Server, Setup, Signaling};

/// Waits for packets of `other`, and asserts that none of `silent` comes in the meantime, after the first few.
async fn assert_silent(client: &Client, silent: &Received, other: &Received) {
    // What was under way when the message was sent may still come.
    client.further_packets(other.ssrc, 3).await;
    let before = client.count(silent.ssrc);
    client.further_packets(other.ssrc, 12).await;
    assert_eq!(client.count(silent.ssrc), before, "{silent:?} goes on");
}

fn moderate(client: &Client, mut moderation: Value) {
    moderation["type"] = json!("moderate");
    client.signaling.send(moderation);
}

#[tokio::test]
async fn a_moderator_mutes_stops_a_screen_removes_and_bans() {
    let server = Server::with(&["--token-secret", KEY]).await;
    let moderator = mint(&["--moderate"]).await;
    let ada = mint(&["--identity", "ada"]).await;
    let eve = Client::connect(&server, Setup::new("eve").token(&moderator)).await;
    let bob = Client::join(&server, Setup::new("bob").token(&mint(&[]).await)).await;
    let ada_setup = Setup::new("ada").token(&ada);
    let alice = Client::connect(&server, ada_setup).await;
    alice.offer_with_sources(&[("video", "screen")]).await;
    alice.peer.connected().await;
    alice.start_media();
    bob.hears(&alice).await;
    let audio = bob.track_from(&alice, "audio").await;
    let screen = bob.track_from(&alice, "video").await;
    assert_eq!(screen.source, "screen");

    moderate(&eve, json!({"action": "mute", "target": "ada"}));
    let told = alice.signaling.expect("moderated").await;
    assert_eq!(
        (&told["action"], &told["source"]),
        (&json!("mute"), &json!("microphone"))
    );
    assert_eq!(told["by"], json!({"id": eve.id, "name": "eve"}));
    assert_silent(&bob, &audio, &screen).await;
    alice
        .signaling
        .send(json!({"type": "mute", "source": "microphone", "muted": false}));
    bob.further_packets(audio.ssrc, 5).await;

    // A client that takes no notice gets nothing of its screen through all the same.
    moderate(&eve, json!({"action": "stop-screen", "target": alice.id}));
    assert_eq!(
        alice.signaling.expect("moderated").await["action"],
        "stop-screen"
    );
    let gone = |told: &Value| {
        told["id"] == alice.id
            && told["tracks"]
                .as_array()
                .is_some_and(|tracks| tracks.len() == 1)
    };
    bob.signaling.expect_where("participant", gone).await;
    assert_silent(&bob, &screen, &audio).await;

    bob.signaling.forget();
    moderate(&eve, json!({"action": "ban", "target": "ada"}));
    assert_eq!(alice.signaling.expect("hang-up").await["reason"], "kicked");
    let error = alice.signaling.expect_error("banned").await;
    assert_eq!(error["message"], "eve banned you from the room");
    assert_eq!(alice.signaling.expect_closed().await, Some(4403));
    let left = |told: &Value| told["id"] == alice.id && told["state"] == "left";
    bob.signaling.expect_where("participant", left).await;
    let path = format!("/ws?room=lobby&token={ada}");
    let again = Signaling::open(server.port(), &path, Dialect::V1).await;
    again.expect_error("banned").await;
    assert_eq!(again.expect_closed().await, Some(4403));
}

#[tokio::test]
async fn newcomers_wait_and_classic_clients_see_no_word_they_do_not_know() {
    let server = Server::with(&["--token-secret", KEY]).await;
    let moderator = mint(&["--moderate"]).await;
    let guest = mint(&[]).await;
    let eve = Client::join(&server, Setup::new("eve").token(&moderator)).await;
    eve.start_media();
    let path = format!("/ws?room=lobby&token={guest}");
    let classic = Signaling::open(server.port(), &path, Dialect::Classic).await;
    classic.take_name("carl").await;
    classic.expect("userlist").await;
    moderate(&eve, json!({"action": "waiting-room", "on": true}));
    eve.signaling.settle().await;

    let bob = Signaling::open(server.port(), &path, Dialect::V1).await;
    assert_eq!(bob.expect("id").await["waiting"], true);
    assert_eq!(bob.expect("waiting").await["moderator"], true);
    bob.send(json!({"type": "username", "name": "bob"}));
    let named = |told: &Value| told["waiting"][0]["name"] == "bob";
    let state = eve.signaling.expect_where("room-state", named).await;
    bob.send(json!({"type": "message", "text": "let me in"}));
    bob.expect_error("not-admitted-yet").await;
    moderate(
        &eve,
        json!({"action": "admit", "target": state["waiting"][0]["id"]}),
    );
    bob.expect_where("waiting", |told| told["state"] == "admitted")
        .await;
    bob.expect_where("participant", |told| told["name"] == "eve")
        .await;
    bob.settle().await;
    moderate(&eve, json!({"action": "waiting-room", "on": false}));
    let alice = Client::join(&server, Setup::new("alice").token(&guest)).await;
    alice.hears(&eve).await;

    // The classic client is removed, and a second one does not come in: by words and codes that it knows.
    moderate(&eve, json!({"action": "lock", "on": true}));
    moderate(&eve, json!({"action": "remove", "target": "carl"}));
    assert_eq!(classic.expect_closed().await, Some(4403));
    let known = ["id", "userlist", "message", "hang-up"];
    let strange = classic.inbox.read(|inbox| {
        let strange = inbox
            .all
            .iter()
            .find(|told| !known.contains(&told["type"].as_str().unwrap_or_default()));
        strange.cloned()
    });
    assert_eq!(strange, None);
    let late = Signaling::open(server.port(), &path, Dialect::Classic).await;
    assert_eq!(late.expect_closed().await, Some(4403));
    assert!(late.inbox.read(|inbox| inbox.all.is_empty()));
    let late = Signaling::open(server.port(), &path, Dialect::V1).await;
    late.expect_error("room-locked").await;
}
