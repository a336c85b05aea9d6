//! One-to-one calls.

use serde_json::json;

use crate::support::{Client, Server, Setup};

async fn two(server: &Server) -> (Client, Client) {
    let alice = Client::connect(server, Setup::new("alice")).await;
    let bob = Client::connect(server, Setup::new("bob")).await;
    (alice, bob)
}

async fn connected(server: &Server) -> (Client, Client) {
    let (alice, bob) = two(server).await;
    alice.call("bob").await;
    let ring = bob.signaling.expect("video-offer").await;
    bob.accept(&ring).await;
    alice.peer.connected().await;
    bob.peer.connected().await;
    (alice, bob)
}

#[tokio::test]
async fn an_accepted_call_connects_both() {
    let server = Server::start().await;
    let (alice, bob) = two(&server).await;
    let carol = Client::connect(&server, Setup::new("carol")).await;
    alice.call("bob").await;
    let ring = bob.signaling.expect("video-offer").await;
    assert_eq!(ring["name"], "alice");
    alice.signaling.settle().await;
    alice.described.read(|described| {
        assert_eq!(described.answers, 0, "no answer before the callee accepts");
    });
    bob.accept(&ring).await;
    alice.peer.connected().await;
    bob.peer.connected().await;
    alice.start_media();
    bob.start_media();
    alice.hears(&bob).await;
    bob.hears(&alice).await;
    carol.signaling.settle().await;
    carol.signaling.inbox.read(|inbox| {
        assert!(
            inbox
                .all
                .iter()
                .all(|message| message["type"] != "video-offer"),
            "the call is theirs alone"
        );
    });
    let called = carol
        .signaling
        .expect_where("participant", |participant| {
            participant["id"] == alice.id && participant["call"] == "direct"
        })
        .await;
    assert_eq!(called["state"], "updated");
}

#[tokio::test]
async fn a_call_takes_one_offer_and_one_answer_a_side() {
    let server = Server::start().await;
    let (alice, bob) = connected(&server).await;
    alice.start_media();
    bob.start_media();
    alice.hears(&bob).await;
    bob.hears(&alice).await;
    alice.signaling.settle().await;
    bob.signaling.settle().await;
    let alice = alice.described.read(Clone::clone);
    let bob = bob.described.read(Clone::clone);
    assert_eq!((alice.offers, alice.answers), (0, 1), "{}", alice.sdp);
    assert_eq!((bob.offers, bob.answers), (1, 0), "{}", bob.sdp);
    assert_eq!(alice.sections().len(), 2);
    assert_eq!(bob.sections().len(), 2);
}

#[tokio::test]
async fn a_callee_may_answer_as_dtls_server() {
    let server = Server::start().await;
    let alice = Client::connect(&server, Setup::new("alice")).await;
    let bob = Client::connect(&server, Setup::new("bob").passive()).await;
    alice.call("bob").await;
    let ring = bob.signaling.expect("video-offer").await;
    bob.accept(&ring).await;
    bob.peer.connected().await;
    let answer = bob.peer.connection.local_description().await;
    let answer = answer.expect("a description").sdp;
    assert!(answer.contains("a=setup:passive"), "{answer}");
    alice.start_media();
    bob.hears(&alice).await;
}

#[tokio::test]
async fn a_declined_call_says_so() {
    let server = Server::start().await;
    let (alice, bob) = two(&server).await;
    alice.call("bob").await;
    bob.signaling.expect("video-offer").await;
    bob.signaling
        .send(json!({"type": "hang-up", "name": "bob", "target": "alice"}));
    let hang_up = alice.signaling.expect("hang-up").await;
    assert_eq!(hang_up["reason"], "declined");
    assert_eq!(hang_up["name"], "bob");
}

#[tokio::test]
async fn who_is_in_a_call_is_busy() {
    let server = Server::start().await;
    let (_alice, _bob) = connected(&server).await;
    let carol = Client::connect(&server, Setup::new("carol")).await;
    carol.call("bob").await;
    let hang_up = carol.signaling.expect("hang-up").await;
    assert_eq!(hang_up["reason"], "busy");
    assert_eq!(hang_up["name"], "bob");
}

#[tokio::test]
async fn nobody_can_call_oneself_or_nobody() {
    let server = Server::start().await;
    let (alice, _bob) = two(&server).await;
    alice.call("alice").await;
    let error = alice.signaling.expect_error("self-call").await;
    assert_eq!(error["request"], "video-offer");
    assert_eq!(error["fatal"], false);
    alice.signaling.send(json!({
        "type": "video-offer", "target": "zoe", "name": "alice", "sdp": {"type": "offer", "sdp": "v=0\r\n"},
    }));
    alice.signaling.expect_error("no-such-user").await;
}

#[tokio::test]
async fn who_hangs_up_ends_the_call_of_both() {
    let server = Server::start().await;
    let (alice, bob) = connected(&server).await;
    bob.signaling
        .send(json!({"type": "hang-up", "name": "bob"}));
    let hang_up = alice.signaling.expect("hang-up").await;
    assert_eq!(hang_up["reason"], "left");
    assert_eq!(hang_up["name"], "bob");
    // Both are free again.
    let carol = Client::connect(&server, Setup::new("carol")).await;
    carol.call("bob").await;
    let ring = bob.signaling.expect("video-offer").await;
    assert_eq!(ring["name"], "carol");
}

#[tokio::test]
async fn a_caller_can_give_up() {
    let server = Server::start().await;
    let (alice, bob) = two(&server).await;
    alice.call("bob").await;
    bob.signaling.expect("video-offer").await;
    alice
        .signaling
        .send(json!({"type": "hang-up", "name": "alice"}));
    let hang_up = bob.signaling.expect("hang-up").await;
    assert_eq!(hang_up["reason"], "left");
    assert_eq!(hang_up["name"], "alice");
}

#[tokio::test]
async fn ringing_ends_by_itself() {
    let server = Server::with(&["--ring-timeout", "1"]).await;
    let (alice, bob) = two(&server).await;
    alice.call("bob").await;
    bob.signaling.expect("video-offer").await;
    for (client, other) in [(&alice, "bob"), (&bob, "alice")] {
        let hang_up = client.signaling.expect("hang-up").await;
        assert_eq!(hang_up["reason"], "timeout");
        assert_eq!(hang_up["name"], other);
    }
}

#[tokio::test]
async fn who_vanishes_is_gone() {
    let server = Server::with(&["--resume-timeout", "1"]).await;
    let (alice, bob) = connected(&server).await;
    bob.signaling.abort();
    let hang_up = alice.signaling.expect("hang-up").await;
    assert_eq!(hang_up["reason"], "gone");
    assert_eq!(hang_up["name"], "bob");
}
