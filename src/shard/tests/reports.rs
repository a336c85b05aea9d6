//! Transport-cc feedback and the figures of statistics.

use super::sim::{SimNet, Source, ms};
use crate::rtp::Codec;
use crate::shard::Event;

#[test]
fn transport_cc_feedback_covers_every_packet_exactly() {
    let mut sim = SimNet::with_clients(50, 2);
    let (video, audio) = (Source::video(1), Source::audio(2));
    let first = sim.clients[0].transport_cc;
    sim.publish(0, video);
    sim.publish(0, audio);
    sim.run(ms(300));
    let up = &mut sim.clients[0].up;
    (up.loss, up.reordering, up.duplication) = (0.1, 0.1, 0.05);
    sim.clients[0].up.jitter = ms(10);
    sim.run(ms(3000));
    sim.settle();
    let client = &sim.clients[0];
    let arrived = &sim.arrived[0];
    // The last lost ones have nothing behind them that would tell.
    let sent = client.transport_cc.wrapping_sub(first);
    let newest = (0..sent)
        .rev()
        .find(|offset| arrived.contains_key(&first.wrapping_add(*offset)))
        .unwrap();
    let begin = arrived[&first];
    let mut lost = 0;
    for offset in 0..=newest {
        let number = first.wrapping_add(offset);
        let told = client.feedback.get(&number).copied();
        let told = told.unwrap_or_else(|| panic!("nothing is told of {number}"));
        match arrived.get(&number) {
            Some(at) => {
                let micros = (*at - begin).as_micros() as i64;
                let told = told.unwrap_or_else(|| panic!("{number} is told lost"));
                assert!((0..250).contains(&(micros - told)), "{micros} and {told}");
            }
            None => {
                assert_eq!(told, None, "{number} never came");
                lost += 1;
            }
        }
    }
    assert!(lost > 10 && client.feedback.len() == usize::from(newest) + 1);
}

#[test]
fn statistics_agree_with_both_ends() {
    let mut sim = SimNet::with_clients(51, 2);
    let (video, audio) = (Source::video(1), Source::audio(2));
    for source in [video, audio] {
        sim.publish(0, source);
        sim.subscribe(1, source);
    }
    sim.run(ms(2500));
    sim.settle();
    let (publisher, subscriber) = (sim.stats(0), sim.stats(1));
    assert!(publisher.connected && publisher.outbound.is_empty());
    assert!(publisher.srtp.is_some_and(|name| name.contains("GCM")));
    assert_eq!(publisher.inbound.len(), 2);
    for (index, codec) in [(0, Codec::Vp8), (1, Codec::Opus)] {
        let publication = sim.publication(0, index);
        let inbound = &publisher.inbound[index];
        assert_eq!(
            (inbound.ssrc, inbound.codec),
            (publication.ssrc, Some(codec))
        );
        assert_eq!(
            (inbound.mid, inbound.track),
            (publication.mid, publication.track)
        );
        assert_eq!(inbound.packets_received, publication.sent.len() as u64);
        assert_eq!(inbound.bytes_received, publication.bytes);
        assert_eq!((inbound.packets_lost, inbound.nack_count), (0, 0));
        assert_eq!(inbound.pli_count, publication.plis.len() as u64);
        assert!(inbound.jitter < 0.001);
        let receiver = sim.receiver(1, index);
        let outbound = &subscriber.outbound[index];
        assert_eq!(outbound.ssrc, receiver.parameters.ssrc);
        assert_eq!(outbound.codec, Some(codec));
        assert_eq!(outbound.packets_sent, receiver.packets.len() as u64);
        assert_eq!(outbound.bytes_sent, publication.bytes);
        assert_eq!(outbound.fraction_lost, 0.0);
    }
    assert!(publisher.bytes_received > publisher.inbound[0].bytes_received);
    assert!(subscriber.bytes_sent > subscriber.outbound[0].bytes_sent);
}

#[test]
fn quality_is_told_every_two_seconds() {
    let mut sim = SimNet::with_clients(52, 2);
    let source = Source::audio(1);
    sim.publish(0, source);
    sim.subscribe(1, source);
    // What is sent again in the same stream would count as received.
    sim.clients[1].receivers[0].asks = false;
    sim.run(ms(4000));
    sim.events.clear();
    sim.clients[1].down.loss = 0.5;
    sim.run(ms(6000));
    let peer = sim.clients[1].peer;
    let told: Vec<_> = sim
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Quality {
                peer: whose,
                quality,
            } if *whose == peer => Some(*quality),
            _ => None,
        })
        .collect();
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|quality| quality.bandwidth > 50_000));
    assert!(told[1..].iter().all(|quality| quality.loss > 0.3));
}
