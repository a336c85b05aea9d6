//! Telephone events (RFC 4733) in the audio stream.

use crate::support::peer::TELEPHONE_EVENT;
use crate::support::{Client, Server, Setup, frames};
use webrtc::media_stream::track_local::TrackLocal;

#[tokio::test]
async fn dtmf_passes_between_the_voice() {
    let server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    let audio = alice.peer.audio.clone().expect("audio");
    let track = bob.track_from(&alice, "audio").await;
    let voice = |index| frames::audio(alice.label(), index);
    audio.write(voice).await;
    bob.packets(track.ssrc, 1).await;
    // Digit 5, end of event, volume 10, 800 samples.
    let event = [5, 0x80 | 10, 0x03, 0x20];
    for _ in 0..3 {
        let mut packet = audio.next();
        packet.header.payload_type = TELEPHONE_EVENT;
        packet.payload = event.to_vec().into();
        audio.track.write_rtp(packet).await.expect("written");
    }
    audio.write(voice).await;
    let section = bob
        .described
        .read(|described| described.sections())
        .into_iter()
        .find(|section| section.mid == track.mid)
        .expect("the m-section");
    let expected = section.payload_type("telephone-event");
    assert!(
        expected.is_some(),
        "telephone-event is negotiated: {section:#?}"
    );
    let packets = bob
        .peer
        .traffic
        .until("three telephone events and a voice packet", |traffic| {
            let packets: Vec<_> = traffic.of(track.ssrc).cloned().collect();
            let first = packets
                .iter()
                .position(|packet| Some(packet.header.payload_type) == expected)?;
            (packets.len() >= first + 4).then(|| packets[first - 1..first + 4].to_vec())
        })
        .await;
    for pair in packets.windows(2) {
        let distance = pair[1]
            .header
            .sequence_number
            .wrapping_sub(pair[0].header.sequence_number);
        assert_eq!(distance, 1, "one sequence for voice and events");
    }
    for packet in &packets[1..4] {
        assert_eq!(Some(packet.header.payload_type), expected);
        assert_eq!(packet.payload[..], event);
    }
    assert!(frames::parse_audio(&packets[4].payload).is_some());
}
