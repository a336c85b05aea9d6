//! Sender reports, receiver reports, round trips.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::publication::{Publication, ntp};
use super::receiver::Receiver;
use super::sim::{SimNet, Source, ms};

/// When a receiver thinks that a packet was captured, by the last report that came before or with it.
fn captured(receiver: &Receiver, timestamp: u32, at: Instant, rate: i64) -> Option<i128> {
    let reports = receiver.reports.iter();
    let (_, info) = reports.rev().find(|(came, _)| *came <= at)?;
    let ticks = i64::from(timestamp.wrapping_sub(info.rtp_timestamp) as i32);
    Some(i128::from(info.ntp) + (i128::from(ticks) << 32) / i128::from(rate))
}

/// The error of that for each frame that came within `span`, in microseconds.
fn errors(
    start: Instant,
    receiver: &Receiver,
    publication: &Publication,
    span: Range<Instant>,
) -> Vec<i64> {
    let rate = i64::from(publication.clock_rate());
    receiver
        .packets
        .values()
        .filter(|got| span.contains(&got.at) && got.content.index == 0)
        .map(|got| {
            let thought = captured(receiver, got.timestamp, got.at, rate).expect("a report");
            let frame = publication.captured[got.content.frame as usize];
            let real = i128::from(ntp(frame - start));
            (((thought - real) * 1_000_000) >> 32) as i64
        })
        .collect()
}

#[test]
fn sound_and_picture_keep_the_publishers_skew_within_a_millisecond() {
    let mut sim = SimNet::with_clients(40, 3);
    let (video, audio) = (Source::video(1), Source::audio(2));
    for source in [video, audio] {
        sim.publish(0, source);
        sim.subscribe(1, source);
    }
    sim.clients[0].up.jitter = ms(15);
    sim.clients[1].down.jitter = ms(15);
    sim.run(ms(3000));
    // A pause of one and a mute of the other change the numbers, but not the clocks.
    sim.pause(1, video, true);
    sim.mute(0, audio, true);
    sim.run(ms(1000));
    sim.pause(1, video, false);
    sim.mute(0, audio, false);
    let resumed = sim.now;
    sim.run(ms(2000));
    // A newcomer learns the clocks at once.
    let joined = sim.now;
    for source in [video, audio] {
        sim.subscribe(2, source);
    }
    sim.run(ms(1500));
    sim.settle();
    let spans = [
        (1, sim.start + ms(1500), resumed),
        (1, resumed + ms(200), joined),
        (2, joined + ms(200), sim.now),
    ];
    for (client, from, to) in spans {
        let mut all = Vec::new();
        for index in [0, 1] {
            let publication = sim.publication(0, index);
            let receiver = sim.receiver(client, index);
            let errors = errors(sim.start, receiver, publication, from..to);
            assert!(errors.len() > 10);
            all.extend(errors);
        }
        let (least, most) = (all.iter().min().unwrap(), all.iter().max().unwrap());
        assert!(most - least <= 1_000, "{least} to {most} µs for {client}");
    }
}

#[test]
fn sender_reports_count_what_the_subscription_was_sent() {
    let mut sim = SimNet::with_clients(41, 2);
    let source = Source::video(1);
    sim.publish(0, source);
    sim.run(ms(2000));
    sim.subscribe(1, source);
    sim.run(ms(3000));
    let receiver = sim.receiver(1, 0);
    let (at, info) = *receiver.reports.last().unwrap();
    let before = receiver.packets.values().filter(|got| got.at < at).count();
    let with = receiver.packets.values().filter(|got| got.at <= at).count();
    assert!((before..=with).contains(&(info.packet_count as usize)));
    assert!(receiver.reports.len() >= 3);
}

#[test]
fn the_round_trip_is_measured() {
    let mut sim = SimNet::with_clients(42, 2);
    let source = Source::audio(1);
    sim.clients[1].up.delay = ms(40);
    sim.clients[1].down.delay = ms(30);
    sim.publish(0, source);
    sim.subscribe(1, source);
    assert_eq!(sim.stats(1).rtt, None);
    sim.run(ms(4000));
    let rtt = sim.stats(1).rtt.expect("a round trip");
    assert!(rtt.abs_diff(ms(70)) < ms(2), "{rtt:?}");
    let quality = sim.events.iter().rev().find_map(|event| match event {
        crate::shard::Event::Quality { peer, quality } if *peer == sim.clients[1].peer => {
            Some(*quality)
        }
        _ => None,
    });
    let told = quality
        .and_then(|quality| quality.rtt)
        .expect("told as well");
    assert!(told.abs_diff(ms(70)) < ms(2));
}

#[test]
fn receiver_reports_tell_the_share_that_was_lost() {
    let mut sim = SimNet::with_clients(43, 2);
    // Without retransmissions, as most audio is.
    let source = Source::audio(1);
    sim.publish(0, source);
    sim.run(ms(1100));
    let mut number = 0;
    let ssrc = source.ssrc.to_be_bytes();
    sim.clients[0].up.loses = Some(Box::new(move |datagram| {
        let media = datagram.get(8..12) == Some(&ssrc) && datagram[1] & 0x7f < 64 + 60;
        number += i32::from(media);
        media && number % 4 == 0
    }));
    sim.run(ms(4000));
    let report = sim.publication(0, 0).reports.last().copied().unwrap();
    assert!((54..=74).contains(&report.fraction_lost), "{report:?}");
    let publication = sim.publication(0, 0);
    let sent = publication.sequence - publication.sent.first_key_value().unwrap().0;
    let lost = (sent as i64 - 55) / 4;
    assert!(
        (i64::from(report.cumulative_lost) - lost).abs() < 20,
        "{report:?}"
    );
    assert!(report.highest_sequence as u16 <= publication.sequence as u16);
    assert_ne!(report.last_sender_report, 0);
    let delay = Duration::from_micros((u64::from(report.delay) * 1_000_000) >> 16);
    assert!(delay <= ms(500), "{delay:?}");
    let inbound = sim.stats(0).inbound[0].clone();
    assert!(inbound.packets_lost >= i64::from(report.cumulative_lost));
}
