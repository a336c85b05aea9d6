//! Subscribers that cannot decode what is published.

use super::sim::{SimNet, Source, codecs, ms};
use crate::rtp::{Codec, H264Profile};
use crate::shard::{CodecParameters, Event, LayerReason};

const H264: Codec = Codec::H264 {
    profile: H264Profile::ConstrainedBaseline,
    packetization_mode: 1,
};

fn told(sim: &SimNet, client: usize) -> Vec<bool> {
    let peer = sim.clients[client].peer;
    let events = sim.events.iter();
    events
        .filter_map(|event| match event {
            Event::Layers {
                peer: whose,
                reason,
                ..
            } if *whose == peer => Some(*reason != Some(LayerReason::Codec)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_subscriber_is_told_once_when_it_cannot_decode_and_when_it_can_again() {
    let mut sim = SimNet::with_clients(90, 3);
    let source = Source::video(1);
    sim.publish(0, source);
    // The publisher may send H.264 as well, which client 1 cannot decode.
    let h264 = CodecParameters {
        payload_type: 120,
        codec: H264,
        rtx: None,
        ..codecs(0, source.kind, true)[0]
    };
    let pair = crate::shard::SsrcPair {
        ssrc: source.ssrc,
        rtx: Some(source.ssrc + 1),
    };
    let mut parameters = sim.receive_parameters(0, 0, source, vec![pair], Vec::new());
    parameters.codecs.push(h264);
    sim.set_receiver(0, parameters);
    sim.subscribe(1, source);
    sim.run(ms(1000));
    assert!(told(&sim, 1).is_empty());
    let vp8 = sim.publication(0, 0).payload_type;
    sim.publication_mut(0, 0).payload_type = 120;
    let changed = sim.now + ms(21);
    sim.run(ms(500));
    assert_eq!(told(&sim, 1), [false]);
    assert!(sim.receiver(1, 0).first_since(changed).is_none());
    sim.publication_mut(0, 0).payload_type = vp8;
    sim.run(ms(500));
    assert_eq!(told(&sim, 1), [false, true]);
    sim.settle();
    assert_eq!(sim.receiver(1, 0).holes(), 0);
}

#[test]
fn another_source_that_cannot_be_decoded_leaves_the_numbers_alone() {
    let mut sim = SimNet::with_clients(91, 2);
    let source = Source::video(1);
    sim.publish(0, source);
    let h264 = CodecParameters {
        payload_type: 120,
        codec: H264,
        rtx: None,
        ..codecs(0, source.kind, true)[0]
    };
    let mut parameters = sim.receive_parameters(0, 0, source, Vec::new(), Vec::new());
    parameters.codecs.push(h264);
    sim.set_receiver(0, parameters);
    sim.subscribe(1, source);
    sim.publication_mut(0, 0).sequence = 100;
    sim.run(ms(500));
    // Another SSRC with much higher numbers, in a codec that nobody knows, with what looks like a
    // keyframe of it; then a third.
    for (ssrc, payload_type, sequence) in [(0x9001, 120, 30_000), (0x9002, 96, 200)] {
        let publication = sim.publication_mut(0, 0);
        publication.ssrc = ssrc;
        publication.rtx_ssrc = None;
        publication.payload_type = payload_type;
        publication.sequence = sequence;
        sim.run(ms(700));
    }
    sim.settle();
    let receiver = sim.receiver(1, 0);
    assert_eq!(told(&sim, 1), [false, true]);
    assert_eq!(receiver.holes(), 0);
    assert!(receiver.last().content.frame > 30);
}

#[test]
fn tones_do_not_tell_whether_a_track_can_be_decoded() {
    let mut sim = SimNet::with_clients(92, 2);
    let source = Source::audio(1);
    sim.publish(0, source);
    let mut parameters = {
        sim.subscribe(1, source);
        sim.receiver(1, 0).parameters.clone()
    };
    sim.unsubscribe(1, 0);
    parameters.codecs.truncate(1);
    parameters.ssrc += 100;
    let receiver = sim.subscribe_with(1, parameters);
    for _ in 0..5 {
        sim.run(ms(200));
        let publication = sim.publication_mut(0, 0);
        let tone = codecs(0, source.kind, false)[1].payload_type;
        let voice = std::mem::replace(&mut publication.payload_type, tone);
        sim.run(ms(40));
        sim.publication_mut(0, 0).payload_type = voice;
    }
    sim.settle();
    assert!(told(&sim, 1).is_empty(), "{:?}", told(&sim, 1));
    sim.receiver(1, receiver).assert_playable();
}
