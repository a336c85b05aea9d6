//! What nobody sends who means well.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::publication::Plain;
use super::sim::{SimNet, Source, ms};
use crate::forward::DropReason;

#[test]
fn forged_replayed_and_broken_packets_change_nothing_for_others() {
    let seed = 60;
    let mut sim = SimNet::with_clients(seed, 3);
    let mut rng = StdRng::seed_from_u64(seed);
    let source = Source::video(1);
    sim.publish(0, source);
    sim.subscribe(1, source);
    sim.clients[0].record = Some(Vec::new());
    sim.run(ms(1600));
    for _ in 0..100 {
        sim.run(ms(20));
        let (publisher, other) = (sim.clients[0].address, sim.clients[2].address);
        let sent = sim.clients[0].record.as_ref().unwrap();
        // Of those that arrived.
        let genuine = sent[rng.random_range(0..sent.len() - 4)].clone();
        // Again, from its own address and from another peer's.
        sim.inject(publisher, &genuine);
        sim.inject(other, &genuine);
        // With a changed byte, cut off, and with a number from far ahead.
        let mut forged = genuine.clone();
        let at = rng.random_range(1..forged.len());
        forged[at] ^= rng.random_range(1..=255u8);
        sim.inject(publisher, &forged);
        let len = rng.random_range(0..genuine.len());
        sim.inject(publisher, &genuine[..len]);
        let mut ahead = genuine.clone();
        ahead[2] ^= 0x80;
        sim.inject(publisher, &ahead);
        // Noise of every kind, from known and unknown addresses.
        let mut noise: Vec<u8> = (0..rng.random_range(0..200))
            .map(|_| rng.random())
            .collect();
        for first in [0, 22, 0x80, 0x90] {
            if let Some(byte) = noise.first_mut() {
                *byte = first;
            }
            sim.inject(publisher, &noise);
            sim.inject(([192, 0, 2, 99], 99).into(), &noise);
        }
    }
    sim.settle();
    let receiver = sim.receiver(1, 0);
    receiver.assert_playable();
    let frames = sim.publication(0, 0).frame as usize;
    assert_eq!(receiver.whole_frames(source.tag()).len(), frames);
    assert!(sim.drops(DropReason::Replayed) >= 100);
    assert!(sim.drops(DropReason::AuthenticationFailed) >= 100);
    assert!(sim.drops(DropReason::WrongPath) > 0);
    assert!(sim.drops(DropReason::Malformed) > 0);
    assert_eq!(sim.publication(0, 0).nacks, 0);
}

#[test]
fn a_replayed_report_is_refused() {
    let mut sim = SimNet::with_clients(61, 2);
    let source = Source::video(1);
    sim.publish(0, source);
    sim.subscribe(1, source);
    sim.run(ms(1000));
    sim.clients[1].ask_for_keyframe(0);
    let datagram = sim.clients[1].out.back().unwrap().clone();
    let address = sim.clients[1].address;
    sim.send_up(1);
    sim.run(ms(100));
    let before = sim.stats(1).outbound[0].pli_count;
    for _ in 0..3 {
        sim.inject(address, &datagram);
    }
    assert_eq!(sim.stats(1).outbound[0].pli_count, before);
}

#[test]
fn a_retransmission_from_far_ahead_does_not_break_the_stream() {
    let mut sim = SimNet::with_clients(62, 2);
    let source = Source::video(1);
    sim.publish(0, source);
    sim.publication_mut(0, 0).sequence = 10;
    sim.subscribe(1, source);
    sim.run(ms(500));
    let plain = Plain {
        marker: false,
        timestamp: 1,
        payload: vec![0; 50],
    };
    for original in [65_530u16, 20_000] {
        let publication = sim.publication_mut(0, 0);
        let (ssrc, payload_type) = (publication.ssrc + 1, publication.rtx_payload_type);
        let sequence = publication.rtx_sequence;
        publication.rtx_sequence += 1;
        let before = original.to_be_bytes();
        sim.clients[0].send(0, ssrc, payload_type, sequence, &plain, &before);
        sim.send_up(0);
    }
    sim.run(ms(500));
    sim.settle();
    assert_eq!(sim.drops(DropReason::UnknownRetransmission), 2);
    sim.receiver(1, 0).assert_playable();
    let frames = sim.publication(0, 0).frame as usize;
    assert_eq!(sim.receiver(1, 0).whole_frames(source.tag()).len(), frames);
}

#[test]
fn padding_leaves_no_hole() {
    let mut sim = SimNet::with_clients(63, 2);
    let source = Source::video(1);
    sim.publish(0, source);
    sim.subscribe(1, source);
    for _ in 0..20 {
        sim.run(ms(50));
        let publication = sim.publication_mut(0, 0);
        let (ssrc, payload_type) = (publication.ssrc, publication.payload_type);
        let sequence = publication.sequence;
        publication.sequence += 1;
        let empty = Plain {
            marker: false,
            timestamp: publication.timestamp,
            payload: Vec::new(),
        };
        sim.clients[0].send(0, ssrc, payload_type, sequence, &empty, &[]);
        sim.send_up(0);
    }
    sim.settle();
    sim.receiver(1, 0).assert_playable();
    assert_eq!(sim.drops(DropReason::PaddingOnly), 20);
    assert_eq!(sim.publication(0, 0).nacks, 0);
}

#[test]
fn an_unknown_ssrc_belongs_to_nobody() {
    let mut sim = SimNet::with_clients(64, 2);
    let source = Source::audio(1);
    sim.publish(0, source);
    sim.subscribe(1, source);
    sim.run(ms(300));
    let plain = sim.publication(0, 0).sent.values().next().unwrap().clone();
    // A payload type that no m-line has.
    for number in 0..10 {
        sim.clients[0].send(0, 0xdead_0000 + number, 77, 5, &plain, &[]);
        sim.send_up(0);
    }
    sim.run(ms(300));
    sim.settle();
    assert_eq!(sim.drops(DropReason::UnknownSsrc), 10);
    sim.receiver(1, 0).assert_playable();
    assert_eq!(sim.stats(0).inbound.len(), 1);
}
