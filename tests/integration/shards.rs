//! One room on several shards: nobody in it can tell.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::client::join_all;
use crate::support::server::counted;
use crate::support::watched::patiently;
use crate::support::{Client, Server, Setup, frames, sdp};

/// Each participant comes to a shard of its own, until all shards have one.
const APART: [&str; 4] = ["--shards", "3", "--room-per-shard", "1"];

/// The media port that a client was told, which is its shard's.
fn port(client: &Client) -> u16 {
    let sdp = client.described.read(|described| described.sdp.clone());
    sdp::candidate(&sdp).expect("a candidate").port()
}

#[tokio::test]
async fn participants_on_different_shards_hear_and_see_each_other() {
    let server = Server::with(&APART).await;
    let clients = join_all(
        &server,
        ["alice", "bob", "carol", "dave"].map(Setup::new).to_vec(),
    )
    .await;
    let ports: BTreeSet<u16> = clients.iter().map(port).collect();
    assert_eq!(ports.len(), 3, "all shards are in use");
    for client in &clients {
        client.start_media();
    }
    for receiver in &clients {
        for sender in clients.iter().filter(|sender| sender.id != receiver.id) {
            receiver.hears(sender).await;
        }
    }
}

#[tokio::test]
async fn who_comes_late_to_another_shard_is_served_and_may_ask_for_a_keyframe() {
    let server = Server::with(&APART).await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    alice.start_media();
    let bob = Client::join(&server, Setup::new("bob")).await;
    assert_ne!(port(&alice), port(&bob));
    let video = bob.track_from(&alice, "video").await;
    bob.hears(&alice).await;
    let further = bob.further_packets(video.ssrc, 45);
    bob.ask_for_keyframe(video.ssrc).await;
    let mut packets = further.await.into_iter();
    let key = packets.any(|packet| frames::parse_vp8(&packet.payload).is_some_and(|f| f.key));
    assert!(key, "the publisher was asked");
    bob.hears(&alice).await;
}

#[tokio::test]
async fn leaving_and_muting_are_seen_across() {
    let server = Server::with(&APART).await;
    let clients = join_all(&server, ["alice", "bob", "carol"].map(Setup::new).to_vec()).await;
    let [alice, bob, carol] = &clients[..] else {
        unreachable!()
    };
    for client in &clients {
        client.start_media();
    }
    bob.hears(alice).await;
    let (audio, video) = (
        bob.track_from(alice, "audio").await,
        bob.track_from(alice, "video").await,
    );
    let mute = |muted| json!({"type": "mute", "source": "microphone", "muted": muted});
    alice.signaling.send(mute(true));
    bob.signaling
        .expect_where("participant", |participant| {
            let tracks = participant["tracks"].as_array();
            participant["id"] == alice.id
                && tracks.is_some_and(|tracks| tracks.iter().any(|track| track["muted"] == true))
        })
        .await;
    // What was under way may still come.
    bob.further_packets(video.ssrc, 3).await;
    let before = bob.count(audio.ssrc);
    bob.further_packets(video.ssrc, 12).await;
    assert_eq!(bob.count(audio.ssrc), before, "muted");
    alice.signaling.send(mute(false));
    bob.further_packets(audio.ssrc, 10).await;
    carol.signaling.close();
    for other in [alice, bob] {
        other.no_track_from(carol.id).await;
    }
    bob.hears(alice).await;
}

#[tokio::test]
async fn data_channels_reach_other_shards() {
    let server = Server::with(&APART).await;
    let setups = ["alice", "bob", "carol"].map(|name| Setup::new(name).channel("chat"));
    let clients = join_all(&server, setups.to_vec()).await;
    for client in &clients {
        client.peer.channel_from("chat", "").await;
    }
    for receiver in &clients {
        for sender in clients.iter().filter(|sender| sender.id != receiver.id) {
            let protocol = format!("from:{}", sender.id);
            receiver.peer.channel_from("chat", &protocol).await;
        }
    }
    let chat = clients[0].peer.channel_from("chat", "").await;
    chat.channel.send_text("hello").await.expect("sent");
    let protocol = format!("from:{}", clients[0].id);
    for receiver in &clients[1..] {
        let name = format!("the message at {}", receiver.name);
        let came = receiver.peer.happenings.until(name, |happenings| {
            let mut channels = happenings.channels.iter();
            let from = channels.find(|c| c.label == "chat" && c.protocol == protocol)?;
            from.messages.first().cloned()
        });
        assert_eq!(came.await, (true, "hello".into()));
    }
}

#[tokio::test]
async fn on_one_port_for_all_shards_each_datagram_comes_to_its_own() {
    let server = Server::with(&[&APART[..], &["--share-udp-port"]].concat()).await;
    let names = [
        "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi",
    ];
    let clients = join_all(&server, names.map(Setup::new).to_vec()).await;
    let ports: BTreeSet<u16> = clients.iter().map(port).collect();
    assert_eq!(ports.len(), 1);
    for client in &clients {
        client.start_media();
    }
    for receiver in &clients {
        for sender in clients.iter().filter(|sender| sender.id != receiver.id) {
            receiver.hears(sender).await;
        }
    }
    // The kernel knows nothing of who belongs where: of eight addresses some came to the wrong one of three sockets.
    let handed_over = async {
        while counted(
            &server.get("/metrics").await,
            "crosspoint_handed_over_datagrams_total",
        ) < 100.0
        {}
    };
    patiently("datagrams that are handed over", handed_over).await;
    let lost = counted(
        &server.get("/metrics").await,
        "crosspoint_dropped_packets_total",
    );
    let came = counted(
        &server.get("/metrics").await,
        "crosspoint_received_datagrams_total",
    );
    assert!(lost < came / 20.0, "{lost} of {came} dropped");
}
