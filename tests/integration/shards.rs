//! One room on several shards: nobody in it can tell.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::ice_tcp::{Caller, is_answered, is_success};
use crate::support::client::join_all;
use crate::support::server::counted;
use crate::support::watched::patiently;
use crate::support::{Client, Server, Setup, frames, sdp};

/// Each participant comes to a shard of its own, until all shards have one.
const APART: [&str; 4] = ["--shards", "3", "--room-per-shard", "1"];

/// So many shards, all on one port, and rooms that would stay together.
const ON_ONE_PORT: [&str; 3] = ["--shards", "8", "--share-udp-port"];

const NAMES: [&str; 8] = [
    "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi",
];

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
    for options in [&APART[..], &ON_ONE_PORT] {
        leaving_and_muting_are_seen(&Server::with(options).await).await;
    }
}

async fn leaving_and_muting_are_seen(server: &Server) {
    let clients = join_all(server, ["alice", "bob", "carol"].map(Setup::new).to_vec()).await;
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
    for options in [&APART[..], &ON_ONE_PORT] {
        data_channels_reach_all(&Server::with(options).await).await;
    }
}

async fn data_channels_reach_all(server: &Server) {
    let setups = ["alice", "bob", "carol"].map(|name| Setup::new(name).channel("chat"));
    let clients = join_all(server, setups.to_vec()).await;
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

/// The peers of each shard, once there are as many as there should be.
async fn peers(server: &Server, all: usize) -> Vec<usize> {
    let counted = async {
        loop {
            let metrics = server.get("/metrics").await;
            let of_shards = metrics.lines().filter_map(|line| {
                let (_, peers) = line
                    .strip_prefix("crosspoint_shard_peers{shard=")?
                    .split_once(' ')?;
                peers.parse().ok()
            });
            let peers: Vec<usize> = of_shards.collect();
            if peers.iter().sum::<usize>() == all {
                return peers;
            }
        }
    };
    patiently("all peers", counted).await
}

/// The answer to a check, which is sent again as long as there is none, as clients do.
async fn answer(socket: &UdpSocket, check: &[u8], to: SocketAddr) -> Vec<u8> {
    loop {
        socket.send_to(check, to).await.expect("it is sent");
        let mut answer = vec![0; 200];
        let receiving = timeout(Duration::from_millis(250), socket.recv(&mut answer));
        if let Ok(length) = receiving.await {
            answer.truncate(length.expect("a datagram"));
            return answer;
        }
    }
}

async fn metric(server: &Server, name: &str) -> f64 {
    counted(&server.get("/metrics").await, name)
}

#[tokio::test]
async fn on_one_port_for_all_shards_the_one_that_first_hears_a_peer_owns_it() {
    let server = Server::with(&ON_ONE_PORT).await;
    let clients = join_all(&server, NAMES.map(Setup::new).to_vec()).await;
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
    // The kernel knows nothing of rooms: of eight addresses it gives some to others of the eight sockets than the first.
    let peers = peers(&server, clients.len()).await;
    let in_use = peers.iter().filter(|peers| **peers > 0).count();
    assert!(in_use > 1, "{peers:?}");
    // Whoever hears is the owner, so that nothing has to be handed over but what came by a client's other addresses.
    let handed_over = metric(&server, "crosspoint_handed_over_datagrams_total").await;
    assert!(handed_over > 0.0, "the checks for which they moved");
    let came = metric(&server, "crosspoint_received_datagrams_total").await;
    let more = async {
        while metric(&server, "crosspoint_received_datagrams_total").await < came + 3_000.0 {}
    };
    patiently("media", more).await;
    let more = metric(&server, "crosspoint_handed_over_datagrams_total").await - handed_over;
    assert!(more < 100.0, "{more} of 3,000 handed over");
    let lost = metric(&server, "crosspoint_dropped_packets_total").await;
    assert!(lost < came / 20.0, "{lost} of {came} dropped");
}

#[tokio::test]
async fn a_peer_is_found_by_every_address_and_by_tcp_wherever_it_was_heard_first() {
    let server = Server::with(&ON_ONE_PORT).await;
    let mut callers = Vec::new();
    let mut sockets = Vec::new();
    for name in NAMES {
        let caller = Caller::new(&server, name).await;
        let password = caller.value("a=ice-pwd:").to_owned();
        // The first is heard by its peer's owner; of the others most come to somebody else.
        for _ in 0..5 {
            let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
            let check = caller.datagram(&password);
            let answer = patiently("an answer", answer(&socket, &check, caller.udp()));
            assert!(is_success(&answer.await));
            sockets.push(socket);
        }
        let mut stream = TcpStream::connect(caller.candidates()[0])
            .await
            .expect("a connection");
        stream
            .write_all(&caller.check(&password))
            .await
            .expect("it is sent");
        assert!(is_answered(&mut stream).await, "{name} by TCP");
        callers.push(caller);
    }
    let peers = peers(&server, callers.len()).await;
    let in_use = peers.iter().filter(|peers| **peers > 0).count();
    assert!(in_use > 1, "{peers:?}");
}
