//! Lost, doubled and overtaken packets.

use std::collections::BTreeSet;

use super::sim::{SimNet, Source, ms};
use crate::forward::Packet;
use crate::rtp::Codec;
use crate::rtp::rtcp::write_nack;

fn video_of_two(seed: u64) -> (SimNet, Source) {
    let mut sim = SimNet::with_clients(seed, 2);
    let source = Source::video(1);
    sim.subscribe(1, source);
    sim.publish(0, source);
    // Until the round trip is known.
    sim.run(ms(1600));
    (sim, source)
}

fn assert_all_frames_came(sim: &SimNet, source: Source) {
    let receiver = sim.receiver(1, 0);
    receiver.assert_playable();
    let frames = sim.publication(0, 0).frame as usize;
    assert_eq!(receiver.whole_frames(source.tag()).len(), frames);
}

#[test]
fn loss_on_the_way_here_is_repaired_by_the_publisher() {
    let (mut sim, source) = video_of_two(10);
    sim.clients[0].up.loss = 0.1;
    sim.run(ms(3000));
    sim.settle();
    let publication = sim.publication(0, 0);
    assert!(publication.nacks > 10 && publication.retransmitted > 10);
    assert_all_frames_came(&sim, source);
}

#[test]
fn loss_is_repaired_without_a_stream_for_retransmissions() {
    let mut sim = SimNet::with_clients(11, 2);
    let source = Source {
        rtx: false,
        ..Source::video(1)
    };
    sim.subscribe(1, source);
    sim.publish(0, source);
    sim.run(ms(1600));
    sim.clients[0].up.loss = 0.1;
    sim.run(ms(2000));
    sim.settle();
    assert!(sim.publication(0, 0).retransmitted > 5);
    assert_all_frames_came(&sim, source);
}

#[test]
fn loss_on_the_way_to_a_subscriber_is_repaired_from_the_history() {
    let (mut sim, source) = video_of_two(12);
    sim.clients[1].down.loss = 0.1;
    sim.run(ms(3000));
    sim.settle();
    assert!(sim.receiver(1, 0).repaired > 10);
    assert_eq!(sim.publication(0, 0).nacks, 0, "the publisher is not asked");
    assert_all_frames_came(&sim, source);
    let stats = sim.stats(1);
    let outbound = &stats.outbound[0];
    assert!(outbound.retransmitted_packets_sent >= sim.receiver(1, 0).repaired as u64);
    assert!(outbound.nack_count > 0);
}

#[test]
fn doubled_and_overtaken_packets_are_not_forwarded_twice() {
    let (mut sim, source) = video_of_two(13);
    sim.clients[0].up.duplication = 0.3;
    sim.clients[0].up.reordering = 0.2;
    sim.run(ms(3000));
    sim.settle();
    assert_all_frames_came(&sim, source);
    assert_eq!(
        sim.receiver(1, 0).repaired,
        0,
        "what was late came by itself"
    );
}

#[test]
fn a_bad_network_in_both_directions_is_repaired() {
    for seed in 14..17 {
        let (mut sim, source) = video_of_two(seed);
        for client in &mut sim.clients {
            for link in [&mut client.up, &mut client.down] {
                (link.loss, link.duplication, link.reordering) = (0.05, 0.05, 0.05);
                link.jitter = ms(10);
            }
        }
        sim.run(ms(2000));
        sim.settle();
        let receiver = sim.receiver(1, 0);
        let came: BTreeSet<u32> = receiver.whole_frames(source.tag()).into_iter().collect();
        assert_eq!(receiver.holes(), 0);
        assert_eq!(came.len(), sim.publication(0, 0).frame as usize);
    }
}

#[test]
fn a_packet_is_sent_again_once_in_a_round_trip() {
    let (mut sim, _) = video_of_two(17);
    sim.run(ms(1500));
    let missing = *sim.receiver(1, 0).packets.last_key_value().unwrap().0 as u16;
    let ssrc = sim.receiver(1, 0).parameters.ssrc;
    let mut rtcp = Vec::new();
    write_nack(&mut rtcp, 1, ssrc, [missing]);
    for _ in 0..5 {
        sim.clients[1].send_rtcp(&rtcp);
        sim.send_up(1);
    }
    sim.run(ms(100));
    assert_eq!(sim.stats(1).outbound[0].retransmitted_packets_sent, 1);
}

#[test]
fn what_is_missing_of_a_layer_that_was_left_is_sent_again_where_there_is_room() {
    for congested in [false, true] {
        let (mut sim, _) = video_of_two(19);
        let missing = *sim.receiver(1, 0).packets.last_key_value().unwrap().0 as u16;
        let next = Packet::nothing(sim.publication(0, 0).sequence);
        let (now, shard) = (sim.now, &mut sim.shards[0]);
        let subscription = shard.subscriptions.iter_mut().next().unwrap().1;
        let generation = subscription.rewriter.source().unwrap().generation;
        subscription.take_up(now, generation, Codec::Vp8, &next, congested);
        let mut rtcp = Vec::new();
        let ssrc = sim.receiver(1, 0).parameters.ssrc;
        write_nack(&mut rtcp, 1, ssrc, [missing]);
        sim.clients[1].send_rtcp(&rtcp);
        sim.send_up(1);
        sim.run(ms(100));
        let again = sim.stats(1).outbound[0].retransmitted_packets_sent;
        assert_eq!(again, u64::from(!congested));
    }
}

#[test]
fn an_outage_too_long_to_be_repaired_ends_with_a_keyframe() {
    let (mut sim, source) = video_of_two(18);
    sim.publication_mut(0, 0).packets_per_frame = 20;
    sim.run(ms(500));
    sim.clients[0].up.loss = 1.0;
    sim.run(ms(1500));
    sim.clients[0].up.loss = 0.0;
    let plis = sim.publication(0, 0).plis.len();
    sim.run(ms(1500));
    assert!(sim.publication(0, 0).plis.len() > plis);
    let keyframe = |content: &&super::publication::Content| content.keyframe;
    let last = sim.receiver(1, 0).contents().rev().find(keyframe).unwrap();
    assert!(last.frame > 50 && last.tag == source.tag());
}
