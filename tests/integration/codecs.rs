//! Participants that do not have the same codecs.

use serde_json::Value;

use crate::support::{Client, Server, Setup, Video, frames};

#[tokio::test]
async fn who_cannot_decode_is_told_and_the_others_receive() {
    let server = Server::start().await;
    let alice = Client::join(
        &server,
        Setup::new("alice").video(&[Video::Vp9, Video::Vp8]),
    )
    .await;
    let bob = Client::join(&server, Setup::new("bob").video(&[Video::Vp8])).await;
    let carol = Client::join(
        &server,
        Setup::new("carol").video(&[Video::Vp8, Video::Vp9]),
    )
    .await;
    let label = alice.label();
    alice.peer.start_audio(label);
    alice
        .peer
        .start_video_as(move |index, key| frames::vp9(label, index, key));
    let layers = bob
        .signaling
        .expect_where("layers", |layers| layers["reason"] == "codec")
        .await;
    for member in ["rid", "spatial", "temporal"] {
        assert_eq!(layers[member], Value::Null, "{layers}");
    }
    let video = carol.track_from(&alice, "video").await;
    assert_eq!(layers["track"], video.track.as_str());
    let packets = carol.packets(video.ssrc, 10).await;
    assert!(
        frames::parse_vp9(&packets[0].payload).is_some_and(|frame| frame.key),
        "a keyframe first"
    );
    let section = carol
        .described
        .read(|described| described.sections())
        .into_iter()
        .find(|section| section.mid == video.mid)
        .expect("the m-section");
    for packet in &packets {
        assert_eq!(
            Some(packet.header.payload_type),
            section.payload_type("VP9")
        );
        let frame = frames::parse_vp9(&packet.payload).expect("unchanged");
        assert_eq!(frame.label, label);
    }
    bob.hears_audio(&alice).await;
    let received = bob.received();
    for track in received
        .iter()
        .filter(|track| track.kind == "video" && track.participant == alice.id)
    {
        assert_eq!(bob.count(track.ssrc), 0, "bob gets no VP9");
    }
}
