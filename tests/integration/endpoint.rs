//! The test's own endpoint, against itself: what fails here is no fault of the server's.

use std::sync::Arc;

use webrtc::peer_connection::{PeerConnection, RTCSessionDescription};

use crate::support::peer::{Abilities, Wish};
use crate::support::{Peer, Video, frames};

fn abilities() -> Abilities {
    Abilities {
        video: vec![Video::Vp8, Video::Vp9],
        sends_audio: true,
        sends_video: true,
        spare_receivers: 0,
        channels: vec!["chat".to_owned()],
        passive: false,
    }
}

async fn described(connection: &Arc<dyn PeerConnection>) -> String {
    connection
        .local_description()
        .await
        .expect("a description")
        .sdp
}

#[tokio::test]
async fn two_peers_exchange_media_and_data() {
    let (alice, mut alice_wishes) = Peer::new(&abilities()).await;
    let (bob, mut bob_wishes) = Peer::new(&abilities()).await;
    let offer = alice.connection.create_offer(None).await.expect("offer");
    alice
        .connection
        .set_local_description(offer)
        .await
        .expect("local offer");
    let offer = RTCSessionDescription::offer(described(&alice.connection).await).expect("parse");
    bob.connection
        .set_remote_description(offer)
        .await
        .expect("remote offer");
    let answer = bob.connection.create_answer(None).await.expect("answer");
    bob.connection
        .set_local_description(answer)
        .await
        .expect("local answer");
    let answer = RTCSessionDescription::answer(described(&bob.connection).await).expect("parse");
    alice
        .connection
        .set_remote_description(answer)
        .await
        .expect("remote answer");
    let (to_bob, to_alice) = (bob.connection.clone(), alice.connection.clone());
    tokio::spawn(async move {
        while let Some(wish) = alice_wishes.recv().await {
            if let Wish::Candidate(candidate) = wish {
                to_bob
                    .add_ice_candidate(candidate)
                    .await
                    .expect("candidate");
            }
        }
    });
    tokio::spawn(async move {
        while let Some(wish) = bob_wishes.recv().await {
            if let Wish::Candidate(candidate) = wish {
                to_alice
                    .add_ice_candidate(candidate)
                    .await
                    .expect("candidate");
            }
        }
    });
    alice.connected().await;
    bob.connected().await;
    alice.start_media(b'a');
    let ssrc = alice.video.as_ref().expect("video").ssrc;
    let packets = bob
        .traffic
        .until("video", |traffic| {
            let packets: Vec<_> = traffic.of(ssrc).cloned().collect();
            (packets.len() >= 5).then_some(packets)
        })
        .await;
    crate::support::client::check(&packets, b'a', frames::parse_vp8).expect("unchanged");
    let channel = alice.channel_from("chat", "").await;
    channel.channel.send_text("hello").await.expect("sent");
    bob.happenings
        .until("the text", |happenings| {
            happenings
                .channels
                .iter()
                .any(|channel| {
                    channel
                        .messages
                        .iter()
                        .any(|(text, data)| *text && &data[..] == b"hello")
                })
                .then_some(())
        })
        .await;
}
