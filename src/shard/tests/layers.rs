//! Simulcast, and publishers whose SSRCs change.

use super::publication::Shape;
use super::sim::{SimNet, Source, ms};
use crate::rtp::{Extension, ExtensionMap};
use crate::shard::{Command, SsrcPair};

#[test]
fn the_best_layer_that_flows_is_forwarded() {
    let mut sim = SimNet::with_clients(30, 2);
    let source = Source::video(1);
    sim.publish_layers(0, source, &["f", "h", "q"]);
    sim.subscribe(1, source);
    let tag = |sim: &SimNet| sim.receiver(1, 0).last().content.tag - source.tag();
    // One that says nothing about arrivals is taken for unlimited after a second.
    sim.run(ms(2500));
    assert_eq!(tag(&sim), 0);
    // The sender gives up its best layer, and then the next.
    sim.publication_mut(0, 0).running = false;
    sim.run(ms(2500));
    assert_eq!(tag(&sim), 1);
    sim.publication_mut(0, 1).running = false;
    sim.run(ms(2500));
    assert_eq!(tag(&sim), 2);
    // All come back.
    for layer in [0, 1] {
        sim.publication_mut(0, layer).next_frame = sim.now;
        sim.publication_mut(0, layer).running = true;
    }
    sim.run(ms(1500));
    assert_eq!(tag(&sim), 0);
    sim.settle();
    // Sequence, timestamps and picture ids go on, and each switch is at a keyframe.
    sim.receiver(1, 0).assert_playable();
}

/// A datagram with a receiver's own estimate (draft-alvestrand-rmcat-remb-03 section 2.2), below 2^18 bits a second.
fn remb(bitrate: u32) -> Vec<u8> {
    let mut rtcp = vec![0x8f, 206, 0, 4];
    rtcp.extend_from_slice(&1u32.to_be_bytes());
    rtcp.extend_from_slice(&0u32.to_be_bytes());
    rtcp.extend_from_slice(b"REMB");
    rtcp.extend_from_slice(&bitrate.to_be_bytes());
    rtcp
}

#[test]
fn the_receivers_own_estimate_decides_where_there_are_no_transport_wide_numbers() {
    let mut sim = SimNet::with_clients(34, 2);
    let source = Source::video(1);
    let first = sim.publish_layers(0, source, &["f", "q"]);
    for (index, bitrate) in [(first, 1_000_000), (first + 1, 100_000)] {
        sim.publication_mut(0, index).shape = Some(Shape::new(bitrate, false));
    }
    // As its peer negotiates it.
    let mut extensions = ExtensionMap::default();
    assert!(extensions.insert(2, Extension::Mid));
    sim.clients[1].extensions = extensions;
    let peer = sim.clients[1].peer;
    sim.command(Command::SetExtensions {
        peer,
        extensions: Box::new(extensions),
    });
    sim.subscribe(1, source);
    let tag = |sim: &SimNet| sim.receiver(1, 0).last().content.tag - source.tag();
    sim.run(ms(2000));
    assert_eq!(tag(&sim), 0, "nothing limits it");
    for _ in 0..4 {
        sim.clients[1].send_rtcp(&remb(200_000));
        sim.send_up(1);
        sim.run(ms(500));
    }
    assert_eq!(tag(&sim), 1);
    sim.settle();
    sim.receiver(1, 0).assert_playable();
}

#[test]
fn a_switch_of_layers_survives_a_bad_network() {
    let mut sim = SimNet::with_clients(31, 2);
    let source = Source::video(1);
    sim.publish_layers(0, source, &["f", "h"]);
    sim.subscribe(1, source);
    sim.run(ms(500));
    sim.clients[0].up.loss = 0.05;
    sim.clients[0].up.reordering = 0.1;
    sim.clients[1].down.loss = 0.05;
    for _ in 0..2 {
        sim.run(ms(1500));
        let now = sim.now;
        let publication = sim.publication_mut(0, 0);
        publication.running ^= true;
        publication.next_frame = publication.next_frame.max(now);
    }
    sim.run(ms(1500));
    sim.settle();
    let receiver = sim.receiver(1, 0);
    assert_eq!(receiver.holes(), 0);
    let tags: Vec<_> = receiver.contents().map(|content| content.tag).collect();
    assert!(tags.contains(&source.tag()) && tags.contains(&(source.tag() + 1)));
}

#[test]
fn another_ssrc_of_the_publisher_goes_on_in_the_same_stream() {
    let mut sim = SimNet::with_clients(32, 2);
    let source = Source::video(1);
    sim.publish(0, source);
    sim.subscribe(1, source);
    sim.run(ms(1000));
    // Unannounced: the mid tells.
    let publication = sim.publication_mut(0, 0);
    publication.ssrc = 0x7777_0001;
    publication.rtx_ssrc = Some(0x7777_0002);
    publication.sequence = 9_000;
    publication.timestamp = 5;
    publication.keyframe_wanted = true;
    sim.run(ms(1000));
    // Announced.
    let parameters = sim.receive_parameters(
        0,
        0,
        source,
        vec![SsrcPair {
            ssrc: 0x7777_0003,
            rtx: Some(0x7777_0004),
        }],
        Vec::new(),
    );
    sim.set_receiver(0, parameters);
    let publication = sim.publication_mut(0, 0);
    publication.ssrc = 0x7777_0003;
    publication.rtx_ssrc = Some(0x7777_0004);
    sim.clients[0].up.loss = 0.05;
    sim.run(ms(1500));
    sim.settle();
    let receiver = sim.receiver(1, 0);
    receiver.assert_playable();
    assert!(receiver.contents().any(|content| content.frame > 70));
}

#[test]
fn a_stream_that_comes_back_goes_on_with_its_rollover_counter() {
    let mut sim = SimNet::with_clients(33, 2);
    let source = Source::video(1);
    sim.publish(0, source);
    sim.publication_mut(0, 0).sequence = 65_530;
    sim.subscribe(1, source);
    sim.run(ms(1000));
    let before = sim.publication(0, 0).sequence;
    assert!(before > 65_536);
    // The m-line is not wanted for a while, and then with another track from the same SSRC.
    let mid = sim.publication(0, 0).mid;
    let peer = sim.clients[0].peer;
    sim.command(Command::SetReceiver {
        peer,
        mid,
        parameters: None,
    });
    sim.run(ms(500));
    let again = Source {
        track: crate::shard::TrackId(9),
        ..source
    };
    sim.subscribe(1, again);
    let pair = SsrcPair {
        ssrc: source.ssrc,
        rtx: Some(source.ssrc + 1),
    };
    let parameters = sim.receive_parameters(0, 0, again, vec![pair], Vec::new());
    sim.set_receiver(0, parameters);
    sim.run(ms(1000));
    sim.settle();
    sim.receiver(1, 1).assert_playable();
    assert!(sim.receiver(1, 1).packets.len() > 30);
}
