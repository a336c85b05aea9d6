//! What may wait for more to the same destination: nobody sees a picture later for it, and nothing is lost.

use std::time::Duration;

use super::sim::{SimNet, Source, codecs, ms};
use crate::shard::{Holding, ParticipantId, SendParameters};

/// What the network takes both ways, and what it may add on the way up.
const WAY: u64 = 20;
const JITTER: u64 = 4;
const LONGEST: u64 = 5;

fn holding(busy: bool) -> Holding {
    Holding {
        longest: ms(LONGEST),
        busy,
    }
}

/// A call of a publisher and some who see and hear it.
fn audience(seed: u64, subscribers: usize, holding: Holding) -> SimNet {
    let mut sim = SimNet::with_clients(seed, 1 + subscribers);
    sim.holding = holding;
    sim.clients[0].up.jitter = ms(JITTER);
    for subscriber in 1..=subscribers {
        sim.subscribe(subscriber, Source::video(1));
        sim.subscribe(subscriber, Source::audio(2));
    }
    sim.publish(0, Source::video(1));
    sim.publish(0, Source::audio(2));
    sim
}

/// How long after its capture each packet of a subscription came, the last of a picture apart.
fn delays(sim: &SimNet, subscriber: usize, index: usize) -> (Vec<Duration>, Vec<Duration>) {
    let captured = &sim.publication(0, index).captured;
    let packets = sim.receiver(subscriber, index).packets.values();
    let (last, others): (Vec<_>, Vec<_>) = packets
        .map(|got| (got.marker, got.at - captured[got.content.frame as usize]))
        .partition(|(marker, _)| *marker);
    let times =
        |delays: Vec<(bool, Duration)>| delays.into_iter().map(|(_, delay)| delay).collect();
    (times(last), times(others))
}

#[test]
fn on_a_busy_shard_packets_wait_but_no_picture_does() {
    let mut sim = audience(1, 2, holding(true));
    sim.run(ms(2_000));
    sim.settle();
    for subscriber in [1, 2] {
        for index in 0..2 {
            sim.receiver(subscriber, index).assert_playable();
        }
        let (last, others) = delays(&sim, subscriber, 0);
        assert!(
            last.iter().all(|delay| *delay <= ms(WAY + JITTER)),
            "{last:?}"
        );
        assert!(
            others
                .iter()
                .all(|delay| *delay <= ms(WAY + JITTER + LONGEST))
        );
        let (_, voice) = delays(&sim, subscriber, 1);
        let waited = |delay: &Duration| *delay >= ms(WAY + LONGEST);
        assert!(voice.iter().all(waited), "{voice:?}");
        assert!(
            voice
                .iter()
                .all(|delay| *delay <= ms(WAY + JITTER + LONGEST))
        );
    }
}

#[test]
fn on_a_quiet_shard_only_large_audiences_wait() {
    for (subscribers, waits) in [(2, false), (33, true)] {
        let mut sim = audience(2, subscribers, holding(false));
        sim.run(ms(500));
        sim.settle();
        let (_, voice) = delays(&sim, 1, 1);
        let late = voice.iter().filter(|delay| **delay > ms(WAY + JITTER));
        // Its clock decides whether one that came late just did not wait.
        assert_eq!(late.count() > voice.len() / 4, waits, "{voice:?}");
    }
}

#[test]
fn what_waits_is_repaired_as_well() {
    for seed in 10..20 {
        let mut sim = audience(seed, 3, holding(true));
        sim.run(ms(200));
        for client in &mut sim.clients {
            client.down.loss = 0.05;
        }
        sim.run(ms(2_000));
        sim.settle();
        for subscriber in 1..=3 {
            sim.receiver(subscriber, 0).assert_playable();
        }
    }
}

#[test]
fn pictures_of_several_to_one_receiver_leave_together() {
    // Without RTX a packet that is sent again has to be the same to the byte, whatever lies before it then.
    let sends = |rtx: bool| {
        let mut sim = SimNet::with_clients(3, 4);
        sim.holding = holding(true);
        for publisher in 0..3_usize {
            let source = Source::video(1 + publisher as u64);
            let ssrc = 0x9000 + 2 * publisher as u32;
            let parameters = SendParameters {
                mid: format!("s{publisher}").parse().unwrap(),
                track: source.track,
                participant: ParticipantId(publisher as u64),
                home: 0,
                kind: source.kind,
                ssrc,
                rtx_ssrc: rtx.then_some(ssrc + 1),
                codecs: codecs(3, source.kind, true),
            };
            sim.subscribe_with(3, parameters);
            sim.publish(publisher, source);
            sim.clients[publisher].up.jitter = ms(JITTER);
        }
        sim.run(ms(1_000));
        let before = sim.sends;
        sim.clients[3].down.loss = 0.05;
        sim.run(ms(2_000));
        let sends = sim.sends - before;
        sim.settle();
        for index in 0..3 {
            sim.receiver(3, index).assert_playable();
        }
        sends
    };
    let (apart, together) = (sends(false), sends(true));
    assert!(together < apart * 9 / 10, "{together} of {apart}");
}
