//! Lost packets, on either side of the server, and requests for keyframes.

use rtc::rtcp::transport_feedbacks::transport_layer_nack::{
    TransportLayerNack, nack_pairs_from_sequence_numbers,
};

use crate::support::{Client, Server, Setup, frames};

async fn pair(server: &Server) -> (Client, Client) {
    let alice = Client::join(server, Setup::new("alice")).await;
    let bob = Client::join(server, Setup::new("bob")).await;
    alice.start_media();
    bob.hears(&alice).await;
    (alice, bob)
}

#[tokio::test]
async fn what_a_subscriber_lost_comes_again_as_rtx() {
    let server = Server::start().await;
    let (alice, bob) = pair(&server).await;
    let video = bob.track_from(&alice, "video").await;
    let rtx = video.rtx.expect("an SSRC for retransmissions");
    let (lost_tx, mut lost_rx) = tokio::sync::mpsc::unbounded_channel();
    bob.peer.traffic.update(|traffic| {
        let mut lost = false;
        traffic.loses_in = Some(Box::new(move |packet| {
            let loses = !lost && packet.header.ssrc == video.ssrc;
            if loses {
                lost = true;
                let _ = lost_tx.send(packet.clone());
            }
            loses
        }));
    });
    let lost = lost_rx.recv().await.expect("a packet to lose");
    let sections = bob.described.read(|described| described.sections());
    let again = bob
        .peer
        .traffic
        .until("the retransmission", |traffic| {
            traffic
                .of(rtx)
                .find(|packet| packet.payload.len() > 2)
                .cloned()
        })
        .await;
    assert_eq!(
        again.payload[..2],
        lost.header.sequence_number.to_be_bytes(),
        "original sequence number"
    );
    assert_eq!(again.payload[2..], lost.payload[..], "original payload");
    assert_eq!(again.header.timestamp, lost.header.timestamp);
    assert_eq!(again.header.marker, lost.header.marker);
    let section = sections
        .iter()
        .find(|section| section.mid == video.mid)
        .expect("the m-section");
    assert_eq!(Some(again.header.payload_type), section.payload_type("rtx"));
    bob.peer
        .happenings
        .until("the lost packet in its place", |happenings| {
            happenings
                .remotes
                .iter()
                .flat_map(|remote| &remote.packets)
                .any(|packet| {
                    packet.header.sequence_number == lost.header.sequence_number
                        && packet.payload == lost.payload
                })
                .then_some(())
        })
        .await;
}

#[tokio::test]
async fn every_packet_of_a_nack_comes_again_once() {
    let server = Server::start().await;
    let (alice, bob) = pair(&server).await;
    let video = bob.track_from(&alice, "video").await;
    let rtx = video.rtx.expect("an SSRC for retransmissions");
    let packets = bob.packets(video.ssrc, 8).await;
    let wanted: Vec<u16> = packets[packets.len() - 6..]
        .iter()
        .map(|packet| packet.header.sequence_number)
        .collect();
    let nack = TransportLayerNack {
        sender_ssrc: 1,
        media_ssrc: video.ssrc,
        nacks: nack_pairs_from_sequence_numbers(&wanted),
    };
    bob.send_rtcp(vec![Box::new(nack)]).await;
    let mut came = bob
        .peer
        .traffic
        .until("six retransmissions", |traffic| {
            let came: Vec<_> = traffic
                .of(rtx)
                .filter_map(|packet| Some(u16::from_be_bytes(*packet.payload.first_chunk()?)))
                .collect();
            (came.len() >= wanted.len()).then_some(came)
        })
        .await;
    came.sort_unstable_by_key(|sequence| sequence.wrapping_sub(wanted[0]));
    assert_eq!(came, wanted);
    let rtx_sequences: Vec<u16> = bob.peer.traffic.read(|traffic| {
        traffic
            .of(rtx)
            .map(|packet| packet.header.sequence_number)
            .collect()
    });
    for pair in rtx_sequences.windows(2) {
        assert_eq!(pair[1], pair[0].wrapping_add(1), "RTX has its own sequence");
    }
}

#[tokio::test]
async fn the_server_asks_a_publisher_for_what_was_lost() {
    let server = Server::start().await;
    let (alice, bob) = pair(&server).await;
    let source = alice.peer.video.as_ref().expect("video").ssrc;
    let video = bob.track_from(&alice, "video").await;
    let (lost_tx, mut lost_rx) = tokio::sync::mpsc::unbounded_channel();
    alice.peer.traffic.update(|traffic| {
        let mut lost = false;
        traffic.loses_out = Some(Box::new(move |packet| {
            let loses = !lost && packet.header.ssrc == source;
            if loses {
                lost = true;
                let _ = lost_tx.send(packet.clone());
            }
            loses
        }));
    });
    let lost = lost_rx.recv().await.expect("a packet to lose");
    alice
        .peer
        .traffic
        .until("a NACK", |traffic| {
            traffic
                .rtcp::<TransportLayerNack>()
                .filter(|(_, nack)| nack.media_ssrc == source)
                .flat_map(|(_, nack)| &nack.nacks)
                .any(|pair| pair.packet_list().contains(&lost.header.sequence_number))
                .then_some(())
        })
        .await;
    let index = frames::parse_vp8(&lost.payload).expect("a frame").index;
    bob.peer
        .traffic
        .until("the packet that was lost", |traffic| {
            traffic
                .of(video.ssrc)
                .filter_map(|packet| frames::parse_vp8(&packet.payload))
                .any(|frame| frame.index == index)
                .then_some(())
        })
        .await;
    let packets = bob.further_packets(video.ssrc, 3).await;
    assert!(!packets.is_empty());
    let packets = bob.packets(video.ssrc, 1).await;
    crate::support::client::check(&packets, alice.label(), frames::parse_vp8)
        .expect("the gap is filled where it was");
}

#[tokio::test]
async fn keyframe_requests_of_many_are_merged() {
    let server = Server::start().await;
    let (alice, bob) = pair(&server).await;
    let carol = Client::join(&server, Setup::new("carol")).await;
    carol.hears(&alice).await;
    let subscribers = [
        (&bob, bob.track_from(&alice, "video").await.ssrc),
        (&carol, carol.track_from(&alice, "video").await.ssrc),
    ];
    let source = alice.peer.video.as_ref().expect("video").ssrc;
    // The requests for the joiners are over.
    bob.further_packets(subscribers[0].1, 30).await;
    let asked = alice.peer.keyframe_requests();
    let further = subscribers.map(|(client, ssrc)| client.further_packets(ssrc, 45));
    for _ in 0..5 {
        for (client, ssrc) in &subscribers {
            client.ask_for_keyframe(*ssrc).await;
        }
    }
    for (packets, client) in further.into_iter().zip([&bob, &carol]) {
        let key = packets
            .await
            .iter()
            .any(|packet| frames::parse_vp8(&packet.payload).is_some_and(|frame| frame.key));
        assert!(key, "{} gets a keyframe", client.name);
    }
    let asked = alice.peer.keyframe_requests() - asked;
    assert!(
        (1..=2).contains(&asked),
        "ten requests within an instant became {asked} for SSRC {source:08x}"
    );
}
