//! Publishers that send a track in several layers.

use std::time::Duration;

use crate::support::{Client, Server, Setup, frames, sdp};

const MID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";

#[tokio::test]
async fn a_subscriber_gets_one_layer_at_a_time_as_one_stream() {
    let server = Server::start().await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    let alice = Client::connect(&server, Setup::new("alice").without_video()).await;
    let rids = ["l", "h"];
    let layers = alice.peer.add_simulcast(rids).await;
    alice.offer().await;
    alice.peer.connected().await;
    let own = alice.peer.connection.local_description().await;
    let section = sdp::sections(&own.expect("a description").sdp)
        .into_iter()
        .find(|section| section.kind == "video")
        .expect("the video's m-section");
    let mid_id = section.extension(MID_URI).expect("mid is negotiated");
    let rid_id = section.extension(RID_URI).expect("rid is negotiated");
    let peer = alice.peer.clone();
    let pump = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(33));
        let mut answered = [0; 2];
        let mut first = true;
        loop {
            ticks.tick().await;
            for (number, (rid, layer)) in rids.iter().zip(&layers).enumerate() {
                let asked = peer.keyframe_requests_for(layer.ssrc);
                let key = first || asked > answered[number];
                answered[number] = asked;
                let label = rid.as_bytes()[0];
                layer
                    .write_with(&[(mid_id, &section.mid), (rid_id, rid)], |index| {
                        frames::vp8(label, index, key)
                    })
                    .await;
            }
            first = false;
        }
    });
    let video = bob.track_from(&alice, "video").await;
    let packets = bob.packets(video.ssrc, 60).await;
    let mut before: Option<(u16, frames::Packet)> = None;
    for packet in &packets {
        let sequence = packet.header.sequence_number;
        let frame = frames::parse_vp8(&packet.payload).expect("a frame");
        match &before {
            None => assert!(frame.key, "the first packet is {frame:?}"),
            Some((last, other)) => {
                assert_eq!(sequence, last.wrapping_add(1), "one stream, without gaps");
                // It may go to another layer, at a keyframe; within one no frame is missing.
                let follows = frame.label == other.label && frame.index == other.index + 1;
                assert!(follows || frame.key, "{frame:?} after {other:?}");
            }
        }
        before = Some((sequence, frame));
    }
    pump.abort();
}
