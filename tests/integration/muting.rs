//! What is not forwarded: muted tracks, and those that a viewer paused.

use serde_json::json;

use crate::support::client::Received;
use crate::support::{Client, Server, Setup, frames};

/// How many packets of another track must come before silence counts as silence.
const MEANWHILE: usize = 12;

/// Waits for packets of `other`, and asserts that none of `silent` comes in the meantime, after the first few.
async fn assert_silent(client: &Client, silent: &Received, other: &Received) {
    // What was under way when the message was sent may still come.
    client.further_packets(other.ssrc, 3).await;
    let before = client.count(silent.ssrc);
    client.further_packets(other.ssrc, MEANWHILE).await;
    assert_eq!(client.count(silent.ssrc), before, "{silent:?} goes on");
}

#[tokio::test]
async fn a_muted_track_is_not_forwarded() {
    let server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    alice.start_media();
    bob.hears(&alice).await;
    let audio = bob.track_from(&alice, "audio").await;
    let video = bob.track_from(&alice, "video").await;
    alice
        .signaling
        .send(json!({"type": "mute", "source": "microphone", "muted": true}));
    let muted = |participant: &serde_json::Value, muted: bool| {
        participant["id"] == alice.id
            && participant["tracks"].as_array().is_some_and(|tracks| {
                tracks
                    .iter()
                    .any(|track| track["track"] == audio.track.as_str() && track["muted"] == muted)
            })
    };
    let updated = bob
        .signaling
        .expect_where("participant", |participant| muted(participant, true))
        .await;
    assert_eq!(updated["state"], "updated");
    assert_silent(&bob, &audio, &video).await;
    let last = bob.packets(audio.ssrc, 1).await.pop().expect("a packet");
    bob.signaling.forget();
    alice
        .signaling
        .send(json!({"type": "mute", "source": "microphone", "muted": false}));
    let packets = bob.further_packets(audio.ssrc, 5).await;
    assert_eq!(
        packets[0].header.sequence_number,
        last.header.sequence_number.wrapping_add(1),
        "a mute leaves no gap that looks like loss"
    );
    bob.signaling
        .expect_where("participant", |participant| muted(participant, false))
        .await;
}

#[tokio::test]
async fn a_muted_video_comes_back_with_a_keyframe() {
    let server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    alice.start_media();
    bob.hears(&alice).await;
    let audio = bob.track_from(&alice, "audio").await;
    let video = bob.track_from(&alice, "video").await;
    let mid = alice.local_mid("video").await;
    alice
        .signaling
        .send(json!({"type": "mute", "mid": mid, "muted": true}));
    alice.signaling.settle().await;
    assert_silent(&bob, &video, &audio).await;
    alice
        .signaling
        .send(json!({"type": "mute", "mid": mid, "muted": false}));
    let packets = bob.further_packets(video.ssrc, 3).await;
    let first = frames::parse_vp8(&packets[0].payload).expect("a frame");
    assert!(first.key, "the first packet is {first:?}");
}

#[tokio::test]
async fn a_paused_track_is_not_forwarded_to_who_paused_it() {
    let server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    let carol = Client::join(&server, Setup::new("carol")).await;
    alice.start_media();
    bob.hears(&alice).await;
    carol.hears(&alice).await;
    let audio = bob.track_from(&alice, "audio").await;
    let video = bob.track_from(&alice, "video").await;
    bob.signaling
        .send(json!({"type": "receive", "track": video.track, "paused": true}));
    bob.signaling.settle().await;
    assert_silent(&bob, &video, &audio).await;
    carol.hears(&alice).await;
    bob.signaling
        .send(json!({"type": "receive", "track": video.track, "paused": false}));
    let packets = bob.further_packets(video.ssrc, 3).await;
    let first = frames::parse_vp8(&packets[0].payload).expect("a frame");
    assert!(first.key, "the first packet is {first:?}");
}
