//! What is published arrives, in numbers of the subscription's own.

use super::sim::{SimNet, Source, ms};
use crate::rtp::AudioLevel;

#[test]
fn payloads_arrive_unchanged_with_numbers_of_their_own() {
    let mut sim = SimNet::with_clients(1, 3);
    let (video, audio) = (Source::video(1), Source::audio(2));
    for client in &mut sim.clients {
        client.up.jitter = ms(5);
        client.down.jitter = ms(5);
        client.audio_level = Some(30);
    }
    for subscriber in [1, 2] {
        sim.subscribe(subscriber, video);
        sim.subscribe(subscriber, audio);
    }
    sim.publish(0, video);
    sim.publish(0, audio);
    sim.run(ms(2000));
    sim.settle();
    for subscriber in [1, 2] {
        for (index, source) in [video, audio].into_iter().enumerate() {
            let receiver = sim.receiver(subscriber, index);
            receiver.assert_playable();
            let publication = sim.publication(0, index);
            let frames: Vec<u32> = (0..publication.frame).collect();
            assert_eq!(receiver.whole_frames(source.tag()), frames);
            // The distances of the publisher's timestamps are kept, and so are the markers.
            let first = receiver.packets.first_key_value().unwrap();
            let (sent_from, sent) = publication.sent.first_key_value().unwrap();
            for (number, got) in &receiver.packets {
                let plain = &publication.sent[&(sent_from + number - first.0)];
                assert_eq!(
                    got.timestamp.wrapping_sub(first.1.timestamp),
                    plain.timestamp.wrapping_sub(sent.timestamp)
                );
                assert_eq!(got.marker, plain.marker);
            }
            assert_ne!(first.0, sent_from, "the numbers are not the publisher's");
        }
        let level = AudioLevel {
            voice: true,
            level: 30,
        };
        assert_eq!(sim.receiver(subscriber, 1).last().audio_level, Some(level));
        assert_eq!(sim.receiver(subscriber, 0).last().audio_level, None);
    }
    assert_eq!(sim.publication(0, 0).nacks, 0);
}

#[test]
fn two_peers_with_the_same_ssrc_do_not_collide() {
    let mut sim = SimNet::with_clients(2, 3);
    let ours = Source::video(1);
    let theirs = Source {
        ssrc: ours.ssrc,
        ..Source::video(2)
    };
    sim.publish(0, ours);
    sim.publish(1, theirs);
    for source in [ours, theirs] {
        sim.subscribe(2, source);
    }
    sim.subscribe(1, ours);
    sim.run(ms(1000));
    sim.settle();
    for (client, index, source) in [(2, 0, ours), (2, 1, theirs), (1, 0, ours)] {
        let receiver = sim.receiver(client, index);
        receiver.assert_playable();
        assert!(
            receiver
                .contents()
                .all(|content| content.tag == source.tag())
        );
        assert!(receiver.whole_frames(source.tag()).len() > 20);
    }
}

#[test]
fn numbers_wrap_without_a_break() {
    let mut sim = SimNet::with_clients(3, 2);
    let (video, audio) = (Source::video(1), Source::audio(2));
    sim.publish(0, video);
    sim.publish(0, audio);
    for index in [0, 1] {
        let publication = sim.publication_mut(0, index);
        publication.sequence = 65_500;
        publication.picture_id = 0x7ff0;
        publication.timestamp = u32::MAX - 1_000;
    }
    sim.subscribe(1, video);
    sim.subscribe(1, audio);
    sim.run(ms(3000));
    sim.settle();
    for index in [0, 1] {
        assert!(sim.publication(0, index).sequence > 65_600);
        sim.receiver(1, index).assert_playable();
        let frames = sim.publication(0, index).frame as usize;
        assert_eq!(
            sim.receiver(1, index)
                .whole_frames(16 * (index as u32 + 1))
                .len(),
            frames
        );
    }
}
