//! Sockets that break and sessions that go on.

use std::time::Duration;

use crate::support::{Client, Dialect, Server, Setup, Signaling};

#[tokio::test]
async fn a_broken_socket_does_not_end_the_call() {
    let server = Server::start().await;
    let mut alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    alice.start_media();
    bob.start_media();
    bob.hears(&alice).await;
    bob.signaling.forget();
    let (id, token) = (alice.id, alice.resume.clone());
    alice.signaling.abort();
    alice.signaling.expect_closed().await;
    bob.hears(&alice).await;
    alice.hears(&bob).await;
    let hello = alice.resume(&server).await;
    assert_eq!(hello["resumed"], true);
    assert_eq!(hello["id"], id);
    assert_eq!(hello["room"], "lobby");
    assert_ne!(hello["resume"], token.as_str(), "a token serves once");
    let there = alice.signaling.expect("participant").await;
    assert_eq!(there["name"], "bob");
    assert_eq!(there["state"], "joined");
    alice.signaling.settle().await;
    bob.hears(&alice).await;
    bob.signaling.inbox.read(|inbox| {
        assert!(
            inbox
                .waiting
                .iter()
                .all(|message| message["state"] != "left"),
            "nobody noticed"
        );
    });
    // The negotiation goes on over the new socket.
    let carol = Client::join(&server, Setup::new("carol")).await;
    carol.start_media();
    alice.hears(&carol).await;
    carol.hears(&alice).await;
}

#[tokio::test]
async fn what_was_offered_in_the_meantime_comes_after_the_resume() {
    let server = Server::start().await;
    let mut alice = Client::join(&server, Setup::new("alice")).await;
    alice.signaling.abort();
    alice.signaling.expect_closed().await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    bob.start_media();
    alice.resume(&server).await;
    alice.hears(&bob).await;
}

#[tokio::test]
async fn a_session_that_is_not_resumed_in_time_has_left() {
    let server = Server::with(&["--resume-timeout", "1"]).await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let mut bob = Client::join(&server, Setup::new("bob")).await;
    alice.track_from(&bob, "audio").await;
    bob.signaling.abort();
    let left = alice
        .signaling
        .expect_where("participant", |participant| {
            participant["id"] == bob.id && participant["state"] == "left"
        })
        .await;
    assert_eq!(left["name"], "bob");
    alice.no_track_from(bob.id).await;
    let path = format!("/ws?resume={}", std::mem::take(&mut bob.resume));
    let late = Signaling::open(server.port(), &path, Dialect::V1).await;
    let error = late.expect_error("resume-failed").await;
    assert_eq!(error["fatal"], true);
    assert_eq!(late.expect_closed().await, Some(4404));
}

#[tokio::test]
async fn a_token_that_is_none_resumes_nothing() {
    let server = Server::start().await;
    let signaling = Signaling::open(server.port(), "/ws?resume=nonsense", Dialect::V1).await;
    signaling.expect_error("resume-failed").await;
    assert_eq!(signaling.expect_closed().await, Some(4404));
}

#[tokio::test]
async fn a_token_serves_once() {
    let server = Server::start().await;
    let mut alice = Client::connect(&server, Setup::new("alice")).await;
    let token = alice.resume.clone();
    alice.signaling.abort();
    alice.signaling.expect_closed().await;
    alice.resume(&server).await;
    let path = format!("/ws?resume={token}");
    let thief = Signaling::open(server.port(), &path, Dialect::V1).await;
    thief.expect_error("resume-failed").await;
    assert!(
        !alice
            .signaling
            .hears("error", Duration::from_millis(100))
            .await
    );
    alice.signaling.settle().await;
}
