//! Calls of a whole room.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::support::client::join_all;
use crate::support::{Client, Server, Setup, frames};

#[tokio::test]
async fn three_clients_receive_each_others_media_unchanged() {
    let server = Server::start().await;
    let clients = join_all(
        &server,
        vec![Setup::new("alice"), Setup::new("bob"), Setup::new("carol")],
    )
    .await;
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
async fn every_description_says_whose_each_track_is() {
    let server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    bob.start_media();
    for (kind, source) in [("audio", "microphone"), ("video", "camera")] {
        let track = alice.track_from(&bob, kind).await;
        assert_eq!(track.name, "bob");
        assert_eq!(track.source, source);
        assert!(!track.muted);
        let section = alice
            .described
            .read(|described| described.sections())
            .into_iter()
            .find(|section| section.mid == track.mid)
            .expect("the m-section of the track");
        assert_eq!(
            section.msid,
            Some(format!("{} {}", bob.id, track.track)),
            "msid is participant and track"
        );
        assert_eq!(section.kind, kind);
        let remote = alice
            .peer
            .happenings
            .until(format!("ontrack of {track:?}"), |happenings| {
                happenings
                    .remotes
                    .iter()
                    .find(|remote| remote.track == track.track && !remote.packets.is_empty())
                    .cloned()
            })
            .await;
        assert_eq!(remote.stream, bob.id.to_string());
    }
}

#[tokio::test]
async fn the_source_that_a_client_names_is_told_to_the_others() {
    let server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::connect(&server, Setup::new("bob")).await;
    bob.offer_with_sources(&[("audio", "screen-audio"), ("video", "screen")])
        .await;
    bob.peer.connected().await;
    assert_eq!(alice.track_from(&bob, "audio").await.source, "screen-audio");
    assert_eq!(alice.track_from(&bob, "video").await.source, "screen");
}

#[tokio::test]
async fn participants_are_announced_with_call_and_tracks() {
    let server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::connect(&server, Setup::new("bob")).await;
    let seen = bob
        .signaling
        .expect_where("participant", |participant| participant["name"] == "alice")
        .await;
    assert_eq!(seen["id"], alice.id);
    assert_eq!(seen["state"], "joined");
    assert_eq!(seen["call"], "room");
    let kinds: BTreeSet<&str> = seen["tracks"]
        .as_array()
        .expect("tracks")
        .iter()
        .filter_map(|track| track["kind"].as_str())
        .collect();
    assert_eq!(kinds, BTreeSet::from(["audio", "video"]));
    let joined = alice
        .signaling
        .expect_where("participant", |participant| participant["name"] == "bob")
        .await;
    assert_eq!(joined["state"], "joined");
    assert_eq!(joined["call"], serde_json::Value::Null);
    assert_eq!(joined["tracks"], json!([]));
    bob.offer().await;
    let updated = alice
        .signaling
        .expect_where("participant", |participant| {
            participant["id"] == bob.id
                && participant["tracks"]
                    .as_array()
                    .is_some_and(|tracks| tracks.len() == 2)
        })
        .await;
    assert_eq!(updated["state"], "updated");
    assert_eq!(updated["call"], "room");
    let announced: BTreeSet<String> = updated["tracks"]
        .as_array()
        .expect("tracks")
        .iter()
        .filter_map(|track| track["track"].as_str().map(str::to_owned))
        .collect();
    let described: BTreeSet<String> = [
        alice.track_from(&bob, "audio").await.track,
        alice.track_from(&bob, "video").await.track,
    ]
    .into();
    assert_eq!(announced, described, "the same track ids everywhere");
    bob.signaling.inbox.read(|inbox| {
        assert!(
            inbox
                .all
                .iter()
                .all(|message| message["type"] != "participant" || message["id"] != bob.id),
            "nobody is announced to themselves"
        );
    });
}

#[tokio::test]
async fn a_late_joiner_starts_with_a_keyframe() {
    let server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    alice.start_media();
    let bob = Client::join(&server, Setup::new("bob")).await;
    let video = bob.track_from(&alice, "video").await;
    bob.packets(video.ssrc, 10).await;
    // By now every frame is an interframe, unless somebody asks.
    let carol = Client::join(&server, Setup::new("carol")).await;
    let video = carol.track_from(&alice, "video").await;
    let first = carol.packets(video.ssrc, 1).await;
    if frames::parse_vp8(&first[0].payload).is_none_or(|frame| !frame.key) {
        // The crate loses what is read together with the end of the DTLS handshake, so it may have lost the keyframe. Then
        // it does as a decoder does.
        carol.ask_for_keyframe(video.ssrc).await;
    }
    let packets = carol
        .peer
        .traffic
        .within(Duration::from_secs(1), |traffic| {
            let key = |packet: &&rtc::rtp::Packet| {
                frames::parse_vp8(&packet.payload).is_some_and(|frame| frame.key)
            };
            let packets: Vec<_> = traffic
                .of(video.ssrc)
                .skip_while(|packet| !key(packet))
                .cloned()
                .collect();
            (packets.len() >= 5).then_some(packets)
        })
        .await
        .expect("a picture within a second");
    let first = frames::parse_vp8(&packets[0].payload).expect("a frame");
    assert!(first.index > 1, "not one of the frames for bob: {first:?}");
    crate::support::client::check(&packets, alice.label(), frames::parse_vp8).expect("no gap");
}

#[tokio::test]
async fn a_viewer_without_tracks_receives_everything() {
    let server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    alice.start_media();
    let viewer = Client::join(&server, Setup::new("viewer").viewer(1)).await;
    viewer.hears(&alice).await;
    let sections = viewer.described.read(|described| described.sections());
    assert_eq!(
        sections.len(),
        2,
        "the offered m-lines are enough: {sections:#?}"
    );
}

#[tokio::test]
async fn a_track_added_later_reaches_the_others() {
    let server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    let first = alice.track_from(&bob, "audio").await;
    let second = bob.add_audio_track().await;
    let track = alice
        .described
        .until("the second audio track", |described| {
            described.received().into_iter().find(|track| {
                track.participant == bob.id && track.kind == "audio" && track.track != first.track
            })
        })
        .await;
    // What is written before the answer has come is lost, so go on.
    let pump = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            second.write(|index| frames::audio(b'x', index)).await;
        }
    });
    let packets = alice.packets(track.ssrc, 5).await;
    crate::support::client::check(&packets, b'x', frames::parse_audio).expect("unchanged");
    pump.abort();
}

#[tokio::test]
async fn session_versions_that_do_not_count_up_are_borne() {
    // The `webrtc` crate draws its own by lot, against RFC 9429 section 5.2.2; here they surely go down.
    let server = Server::start().await;
    let mut setup = Setup::new("alice");
    setup.counts_down = true;
    let alice = Client::join(&server, setup).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    let carol = Client::join(&server, Setup::new("carol")).await;
    for client in [&bob, &carol] {
        client.start_media();
        alice.hears(client).await;
    }
}

#[tokio::test]
async fn both_offering_at_once_ends_well() {
    let server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    alice.start_media();
    // A joiner makes the server offer to the first while the first offers too, several times.
    for round in 0..3 {
        let name = format!("guest{round}");
        let (guest, _) = tokio::join!(
            Client::join(&server, Setup::new(&name)),
            alice.add_audio_track()
        );
        guest.start_media();
        alice.hears(&guest).await;
        guest.hears_audio(&alice).await;
    }
}

#[tokio::test]
async fn picture_ids_stay_continuous() {
    let server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let label = alice.label();
    alice.peer.start_video_as(move |index, key| {
        // The id wraps within the test.
        frames::vp8_with_picture_id(label, index, key, (index as u16).wrapping_add(0x7ff0))
    });
    let bob = Client::join(&server, Setup::new("bob")).await;
    let video = bob.track_from(&alice, "video").await;
    let packets = bob.packets(video.ssrc, 40).await;
    crate::support::client::check(&packets, label, frames::parse_vp8).expect("unchanged");
    let mut pictures: Vec<(u16, u16)> = packets
        .iter()
        .filter_map(|packet| {
            Some((
                packet.header.sequence_number,
                frames::picture_id(&packet.payload)?,
            ))
        })
        .collect();
    let first = pictures[0].0;
    pictures.sort_by_key(|(sequence, _)| sequence.wrapping_sub(first) as i16);
    for pair in pictures.windows(2) {
        assert_eq!(pair[1].1, (pair[0].1 + 1) & 0x7fff, "{pair:?}");
    }
}

#[tokio::test]
async fn several_shards_make_one_server() {
    let server = Server::with(&["--shards", "2"]).await;
    for room in ["one", "two", "three"] {
        let clients = join_all(
            &server,
            vec![Setup::new("alice").room(room), Setup::new("bob").room(room)],
        )
        .await;
        for client in &clients {
            client.start_media();
        }
        clients[0].hears(&clients[1]).await;
        clients[1].hears(&clients[0]).await;
    }
}
