//! Redundant audio, losses of audio, and large calls in which only the loudest are forwarded.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::publication::Content;
use super::sim::{SimNet, Source, codecs, ms};
use crate::forward::DropReason;
use crate::rtp::payload::RedBlocks;
use crate::rtp::{Codec, MediaKind};
use crate::shard::{CodecParameters, ParticipantId, SendParameters, SsrcPair};

/// RED holds a copy only if it is no longer with it.
const MAX_RED: usize = 1_000;

/// Ticks of a frame.
const FRAME: u16 = 960;

/// A publisher's encoder of RED: each packet has a copy of the one before.
pub(super) struct Redundancy {
    opus: u8,
    last: Vec<u8>,
}

impl Redundancy {
    pub(super) fn wrap(&mut self, payload: Vec<u8>) -> Vec<u8> {
        let mut red = Vec::new();
        let copy = std::mem::replace(&mut self.last, payload.clone());
        if !copy.is_empty() && copy.len() + payload.len() <= MAX_RED {
            let word = u32::from(0x80 | self.opus) << 24 | u32::from(FRAME) << 10;
            red.extend_from_slice(&(word | copy.len() as u32).to_be_bytes());
            red.push(self.opus);
            red.extend_from_slice(&copy);
        } else {
            red.push(self.opus);
        }
        red.extend_from_slice(&payload);
        red
    }
}

/// What a decoder makes of a payload. Panics at RED around another payload type than that of Opus here.
pub(super) fn opened<'a>(
    payload: &'a [u8],
    payload_type: u8,
    codecs: &[CodecParameters],
) -> &'a [u8] {
    let of = |codec| codecs.iter().find(|c| c.codec == codec);
    let is_red = of(Codec::Red).is_some_and(|red| red.payload_type == payload_type);
    // The contents of tests begin with 0: encryption from end to end would look as little like RED.
    match RedBlocks::parse(payload).filter(|_| is_red && payload[0] != 0) {
        Some(mut blocks) => {
            let opus = of(Codec::Opus).unwrap().payload_type;
            assert!(blocks.all(|block| block.payload_type == opus));
            blocks = RedBlocks::parse(payload).unwrap();
            blocks.primary().unwrap().data
        }
        None => payload,
    }
}

fn red_of(client: usize) -> CodecParameters {
    CodecParameters {
        payload_type: 60 + (client % 2) as u8,
        codec: Codec::Red,
        ..codecs(client, MediaKind::Audio, true)[0]
    }
}

/// The frames that a payload has copies of, beside its own.
pub(super) fn copied(payload: &[u8], payload_type: u8, codecs: &[CodecParameters]) -> Vec<u32> {
    let primary = opened(payload, payload_type, codecs);
    if primary.len() == payload.len() {
        return Vec::new();
    }
    let blocks = RedBlocks::parse(payload).expect("RED");
    let count = blocks.count();
    let frame = |data| Content::read(data, MediaKind::Audio).frame;
    let copies = blocks.take(count - 1);
    copies.map(|block| frame(block.data)).collect()
}

/// Returns the index of the publication.
pub(super) fn publish_red(sim: &mut SimNet, client: usize, source: Source) -> usize {
    let index = sim.publish(client, source);
    let pair = SsrcPair {
        ssrc: source.ssrc,
        rtx: None,
    };
    let mut parameters = sim.receive_parameters(client, index, source, vec![pair], Vec::new());
    let opus = parameters.codecs[0];
    let red = CodecParameters {
        payload_type: red_of(client).payload_type,
        codec: Codec::Red,
        ..opus
    };
    parameters.codecs.insert(0, red);
    sim.set_receiver(client, parameters);
    let publication = sim.publication_mut(client, index);
    publication.payload_type = red.payload_type;
    publication.redundancy = Some(Redundancy {
        opus: opus.payload_type,
        last: Vec::new(),
    });
    index
}

/// Returns the index of the receiver.
pub(super) fn subscribe_red(sim: &mut SimNet, client: usize, source: Source) -> usize {
    let mut codecs = codecs(client, MediaKind::Audio, true);
    codecs.insert(0, red_of(client));
    let ssrc = 0x6000_0000 + client as u32;
    let parameters = SendParameters {
        mid: "red".parse().unwrap(),
        track: source.track,
        participant: ParticipantId(0),
        home: source.home,
        kind: MediaKind::Audio,
        ssrc,
        rtx_ssrc: None,
        codecs,
    };
    sim.subscribe_with(client, parameters)
}

/// A publisher of RED, two receivers of RED of which the second has the publisher's numbers, and one of Opus; one of
/// each on the second of two shards.
fn call_with_red(seed: u64) -> (SimNet, Source) {
    let mut sim = SimNet::with_shards(seed, 2);
    for shard in [0, 0, 1, 0, 1] {
        sim.join_on(shard);
    }
    sim.connect();
    let source = Source::audio(1);
    subscribe_red(&mut sim, 1, source);
    subscribe_red(&mut sim, 2, source);
    sim.subscribe(3, source);
    sim.subscribe(4, source);
    publish_red(&mut sim, 0, source);
    (sim, source)
}

fn frames(sim: &SimNet, client: usize) -> Vec<u32> {
    let contents = sim.receiver(client, 0).contents();
    contents.map(|content| content.frame).collect()
}

#[test]
fn red_goes_to_those_who_have_it_and_opus_to_the_others() {
    let (mut sim, _) = call_with_red(300);
    sim.run(ms(2000));
    sim.settle();
    let all: Vec<u32> = (0..sim.publication(0, 0).frame).collect();
    for client in 1..5 {
        let receiver = sim.receiver(client, 0);
        receiver.assert_playable();
        assert_eq!(frames(&sim, client), all);
        let codec = if client < 3 { Codec::Red } else { Codec::Opus };
        let codecs = receiver.parameters.codecs.iter();
        let expected = codecs.clone().find(|c| c.codec == codec).unwrap();
        let mut packets = receiver.packets.values();
        assert!(packets.all(|got| got.payload_type == expected.payload_type));
        assert_eq!(sim.stats(client).outbound[0].codec, Some(codec));
    }
    assert_eq!(sim.stats(0).inbound[0].codec, Some(Codec::Red));
}

#[test]
fn what_is_lost_on_the_way_here_is_taken_from_the_next_packet_and_told_as_lost() {
    let (mut sim, _) = call_with_red(301);
    sim.run(ms(110));
    // The first frames are short: each packet has a copy of the one before.
    for _ in 0..5 {
        sim.clients[0].up.loss = 1.0;
        sim.run(ms(20));
        sim.clients[0].up.loss = 0.0;
        sim.run(ms(60));
    }
    sim.run(ms(1500));
    sim.settle();
    let all: Vec<u32> = (0..sim.publication(0, 0).frame).collect();
    for client in 1..5 {
        assert_eq!(frames(&sim, client), all, "client {client}");
        sim.receiver(client, 0).assert_playable();
    }
    let lost = sim.publication(0, 0).reports.last().unwrap();
    assert_eq!(lost.cumulative_lost, 5);
    assert_eq!(sim.stats(0).inbound[0].packets_lost, 5);
    assert_eq!(sim.publication(0, 0).nacks, 0);
}

#[test]
fn red_that_is_lost_doubled_overtaken_and_asked_for_again_is_never_sent_in_two_forms() {
    for seed in 302..306 {
        let overtaken = seed % 2 == 1;
        let (mut sim, _) = call_with_red(seed);
        for client in &mut sim.clients {
            for link in [&mut client.up, &mut client.down] {
                (link.loss, link.duplication) = (0.1, 0.05);
                link.reordering = if overtaken { 0.1 } else { 0.0 };
                link.jitter = ms(if overtaken { 15 } else { 0 });
            }
        }
        sim.run(ms(3000));
        sim.settle();
        let publication = sim.publication(0, 0);
        // The frames that came as RED themselves, and of these the ones with a copy of the one before.
        let red = sim.receiver(1, 0).packets.values();
        let red = red.filter(|got| got.payload_type == red_of(1).payload_type);
        let copied: BTreeSet<u32> = red
            .map(|got| got.content.frame)
            .filter(|frame| {
                let plain = publication.sent.values().nth(*frame as usize).unwrap();
                RedBlocks::parse(&plain.payload).unwrap().count() > 1
            })
            .map(|frame| frame - 1)
            .collect();
        for client in 1..5 {
            let came: BTreeSet<u32> = frames(&sim, client).into_iter().collect();
            let first = *came.first().unwrap();
            let avoidable = copied.iter().filter(|f| **f >= first && !came.contains(f));
            let avoidable: Vec<_> = avoidable.collect();
            assert!(overtaken || avoidable.is_empty(), "{client} {avoidable:?}");
            assert!(sim.clients[client].strange == 0 && came.len() > 100);
        }
        assert!(copied.len() > 60);
    }
}

#[test]
fn what_does_not_look_like_red_goes_to_those_who_have_it_only() {
    let (mut sim, _) = call_with_red(306);
    // As if it were encrypted from end to end.
    sim.publication_mut(0, 0).redundancy = None;
    sim.run(ms(500));
    let encrypted = sim.drops(DropReason::NoCodec) as u32 / 2;
    assert!(encrypted >= 24);
    let opus = codecs(0, MediaKind::Audio, false)[0].payload_type;
    for client in [1, 2] {
        assert_eq!(frames(&sim, client).len(), encrypted as usize);
    }
    for client in [3, 4] {
        assert!(frames(&sim, client).is_empty());
    }
    sim.publication_mut(0, 0).redundancy = Some(Redundancy {
        opus,
        last: Vec::new(),
    });
    sim.run(ms(300));
    sim.publication_mut(0, 0).redundancy = None;
    sim.run(ms(300));
    sim.publication_mut(0, 0).redundancy = Some(Redundancy {
        opus,
        last: Vec::new(),
    });
    sim.run(ms(300));
    sim.settle();
    for client in 1..5 {
        sim.receiver(client, 0).assert_playable();
    }
    assert!(frames(&sim, 3).len() > 25);
}

#[test]
fn a_publisher_of_audio_is_told_the_losses_of_its_own_way_only() {
    let mut sim = SimNet::with_clients(310, 3);
    let source = Source::audio(1);
    sim.publish(0, source);
    sim.subscribe(1, source);
    sim.subscribe(2, source);
    sim.clients[1].down.loss = 0.4;
    sim.clients[2].down.loss = 0.2;
    sim.run(ms(5000));
    let reports = &sim.publication(0, 0).reports;
    assert!(reports.len() >= 4);
    assert!(reports.iter().all(|report| report.fraction_lost == 0));
    sim.clients[0].up.loss = 0.2;
    sim.run(ms(10_000));
    let publication = sim.publication(0, 0);
    let reports = &publication.reports;
    let told: f64 = reports[reports.len() - 9..]
        .iter()
        .map(|report| f64::from(report.fraction_lost) / 256.0 / 9.0)
        .sum();
    assert!((0.14..0.26).contains(&told), "{told}");
    let (sent, last) = (publication.frame, *reports.last().unwrap());
    let lost = u64::from(sent) - sim.stats(0).inbound[0].packets_received;
    assert!(lost.abs_diff(last.cumulative_lost as u64) <= 20);
}

#[test]
fn audio_is_asked_for_again_and_sent_again_where_that_was_agreed() {
    let mut sim = SimNet::with_clients(311, 2);
    let source = Source {
        nack: true,
        ..Source::audio(1)
    };
    sim.subscribe(1, source);
    sim.publish(0, source);
    sim.run(ms(1600));
    sim.clients[0].up.loss = 0.1;
    sim.clients[1].down.loss = 0.1;
    sim.run(ms(3000));
    sim.settle();
    let publication = sim.publication(0, 0);
    assert!(publication.nacks > 5 && publication.retransmitted > 5);
    assert!(sim.stats(1).outbound[0].retransmitted_packets_sent > 5);
    let all: Vec<u32> = (0..sim.publication(0, 0).frame).collect();
    assert_eq!(frames(&sim, 1), all);
}

/// A call of `talkers` on the first shard, all silent, and a listener on the last.
struct LargeCall {
    sim: SimNet,
    talkers: usize,
}

impl LargeCall {
    fn new(seed: u64, shards: usize, talkers: usize) -> Self {
        let mut sim = SimNet::with_shards(seed, shards);
        for _ in 0..talkers {
            sim.join_on(0);
        }
        sim.join_on(shards - 1);
        sim.connect();
        let mut call = Self { sim, talkers };
        for talker in 0..talkers {
            call.sim.clients[talker].audio_level = Some(127);
            let source = Source::audio(1 + talker as u64);
            call.sim.subscribe(talkers, source);
            call.sim.publish(talker, source);
        }
        call
    }

    fn speak(&mut self, talkers: &[usize], level: u8) {
        for &talker in talkers {
            self.sim.clients[talker].audio_level = Some(level);
        }
    }

    fn run(&mut self, time: u64) {
        self.sim.run(ms(time));
    }

    /// Whose packets came in the last while.
    fn heard(&self, within: Duration) -> Vec<usize> {
        let since: Instant = self.sim.now - within;
        let heard = |talker: &usize| {
            let receiver = self.sim.receiver(self.talkers, *talker);
            receiver.first_since(since).is_some()
        };
        (0..self.talkers).filter(heard).collect()
    }

    fn frame(&self, talker: usize) -> u32 {
        self.sim.publication(talker, 0).frame
    }

    /// All frames of a talker came from this one on, but for the last, which may be on its way.
    #[track_caller]
    fn assert_heard_since(&self, receiver: usize, talker: usize, first: u32) {
        let contents = self.sim.receiver(self.talkers, receiver).contents();
        let frames = contents.map(|content| content.frame);
        let came: Vec<u32> = frames.filter(|frame| *frame >= first).collect();
        let end = first + came.len() as u32;
        assert_eq!(came, (first..end).collect::<Vec<_>>());
        assert!(
            end > first + 10 && end + 1 >= self.frame(talker),
            "{came:?}"
        );
    }

    /// Every stream is without gaps, and its timestamps tell when the frames were recorded.
    #[track_caller]
    fn assert_whole(&self) {
        for talker in 0..self.talkers {
            let receiver = self.sim.receiver(self.talkers, talker);
            let Some((_, first)) = receiver.packets.first_key_value() else {
                continue;
            };
            receiver.assert_playable();
            for got in receiver.packets.values() {
                let ticks = got.timestamp.wrapping_sub(first.timestamp);
                let frames = got.content.frame - first.content.frame;
                assert_eq!(ticks, frames * u32::from(FRAME));
            }
        }
    }
}

#[test]
fn of_a_large_call_the_loudest_are_forwarded_from_their_first_sound_on() {
    for shards in [1, 2] {
        let mut call = LargeCall::new(320, shards, 15);
        call.speak(&[0, 1, 2, 3], 30);
        call.run(3000);
        let heard = call.heard(ms(1000));
        assert_eq!(heard.len(), 6, "{heard:?}");
        assert!((0..4).all(|talker| heard.contains(&talker)));
        // Noise changes nothing, however it rises and falls.
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..50 {
            for talker in 4..15 {
                call.sim.clients[talker].audio_level = Some(rng.random_range(60..127));
            }
            call.run(100);
        }
        assert_eq!(call.heard(ms(5000)), heard);
        // One who was not heard says something.
        call.speak(&[4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14], 110);
        call.run(1000);
        let quiet = (4..15).find(|talker| !heard.contains(talker)).unwrap();
        let first = call.frame(quiet);
        call.speak(&[quiet], 30);
        call.run(400);
        call.assert_heard_since(quiet, quiet, first);
        let heard = call.heard(ms(200));
        assert!(heard.len() == 6 && heard.contains(&quiet), "{heard:?}");
        // It stays after its last word, and all keep their places.
        call.speak(&[quiet], 127);
        call.run(3000);
        assert_eq!(call.heard(ms(2800)), heard);
        call.run(500);
        assert!(call.sim.drops(DropReason::NotLoudest) > 9 * 200);
        call.sim.settle();
        call.assert_whole();
    }
}

#[test]
fn the_sound_of_a_shared_screen_is_forwarded_however_many_speak() {
    let mut call = LargeCall::new(331, 2, 13);
    call.speak(&[0, 1, 2, 3, 4, 5], 20);
    // One that does not speak shares a screen with soft music.
    let sharer = 12;
    call.speak(&[sharer], 80);
    let screen = Source {
        voice: false,
        ..Source::audio(99).at(call.sim.clients[sharer].shard)
    };
    call.sim.publish(sharer, screen);
    let here = call.sim.subscribe(0, screen);
    let there = call.sim.subscribe(1, screen);
    call.run(3000);
    assert_eq!(call.heard(ms(1000)), [0, 1, 2, 3, 4, 5]);
    let frames = call.sim.publication(sharer, 1).frame as usize;
    for (client, receiver) in [(0, here), (1, there)] {
        let heard = call.sim.receiver(client, receiver).packets.len();
        assert!(heard + 5 > frames, "{heard} of {frames}");
    }
    // Only where the client calls it a voice it has to be loud.
    let voice = Source {
        voice: true,
        ..screen
    };
    let ssrcs = vec![SsrcPair {
        ssrc: screen.ssrc,
        rtx: None,
    }];
    let parameters = call
        .sim
        .receive_parameters(sharer, 1, voice, ssrcs, Vec::new());
    call.sim.set_receiver(sharer, parameters.clone());
    call.run(500);
    let before = call.sim.receiver(0, here).packets.len();
    call.run(1000);
    assert_eq!(call.sim.receiver(0, here).packets.len(), before);
    // And it may be told of late.
    let parameters = crate::shard::ReceiveParameters {
        voice: false,
        ..parameters
    };
    call.sim.set_receiver(sharer, parameters);
    call.run(1000);
    assert!(call.sim.receiver(0, here).packets.len() > before + 40);
}

#[test]
fn where_all_speak_a_louder_one_is_heard_from_its_first_sound_on() {
    for shards in [1, 2] {
        let mut call = LargeCall::new(321, shards, 13);
        call.speak(&[0, 1, 2, 3, 4], 20);
        call.speak(&[5], 45);
        call.run(3000);
        assert_eq!(call.heard(ms(1000)), [0, 1, 2, 3, 4, 5]);
        let first = call.frame(9);
        call.speak(&[9], 15);
        call.run(500);
        call.assert_heard_since(9, 9, first);
        // Once more for one that was heard before.
        call.run(2000);
        call.speak(&[9], 127);
        call.run(1000);
        let first = call.frame(5);
        call.speak(&[5], 10);
        call.run(500);
        call.assert_heard_since(5, 5, first);
        call.sim.settle();
        call.assert_whole();
    }
}

#[test]
fn a_track_that_goes_on_after_a_moment_is_sent_what_it_missed_and_nothing_twice() {
    for shards in [1, 2] {
        let mut call = LargeCall::new(329, shards, 13);
        call.speak(&[0, 1, 2, 3], 20);
        call.speak(&[4, 5], 45);
        call.run(3000);
        // One of the soft ones gives way, and a moment later is louder than the other.
        let frame = call.frame(4);
        call.speak(&[9], 15);
        call.run(160);
        let heard = call.heard(ms(50));
        let (left, other) = if heard.contains(&4) { (5, 4) } else { (4, 5) };
        assert!(heard.contains(&9) && !heard.contains(&left), "{heard:?}");
        call.speak(&[left], 5);
        call.run(500);
        call.assert_heard_since(left, left, frame);
        let heard = call.heard(ms(200));
        assert!(heard.contains(&9) && !heard.contains(&other), "{heard:?}");
        call.sim.settle();
        call.assert_whole();
    }
}

#[test]
fn a_packet_that_comes_after_its_track_gave_way_but_belongs_before_is_forwarded() {
    for shards in [1, 2] {
        let mut call = LargeCall::new(330, shards, 13);
        call.speak(&[0, 1, 2, 3, 4], 20);
        call.speak(&[5], 45);
        call.run(3000);
        // One packet takes a detour.
        call.sim.clients[5].up.loss = 1.0;
        call.run(20);
        call.sim.clients[5].up.loss = 0.0;
        let late = call.sim.publication(5, 0).sequence - 1;
        call.speak(&[9], 15);
        call.run(200);
        assert!(!call.heard(ms(60)).contains(&5));
        call.sim.clients[5].send_media(0, late);
        call.run(100);
        // Nothing would be missed before there is something behind it.
        call.run(3000);
        call.speak(&[5], 5);
        call.run(500);
        call.sim.settle();
        call.assert_whole();
    }
}

#[test]
fn a_call_of_the_configured_size_is_forwarded_whole_also_after_it_was_larger() {
    let mut call = LargeCall::new(322, 1, 13);
    call.run(1000);
    assert_eq!(call.heard(ms(500)).len(), 6);
    call.sim.leave(12);
    call.run(500);
    assert_eq!(call.heard(ms(300)), (0..12).collect::<Vec<_>>());
    let dropped = call.sim.drops(DropReason::NotLoudest);
    call.run(500);
    assert_eq!(call.sim.drops(DropReason::NotLoudest), dropped);
    call.sim.settle();
    call.assert_whole();
}

#[test]
fn who_tells_no_level_is_always_forwarded() {
    let mut call = LargeCall::new(323, 1, 14);
    for talker in [12, 13] {
        call.sim.clients[talker].audio_level = None;
    }
    call.speak(&[0, 1, 2, 3, 4, 5], 30);
    call.run(2000);
    let heard = call.heard(ms(500));
    assert_eq!(heard, [0, 1, 2, 3, 4, 5, 12, 13]);
    call.sim.settle();
    call.assert_whole();
}

#[test]
fn who_joins_later_hears_a_track_that_was_left_out_when_it_begins() {
    for shards in [1, 2] {
        let mut call = LargeCall::new(324, shards, 13);
        call.speak(&[0, 1, 2, 3, 4], 30);
        call.run(1000);
        let source = Source::audio(12);
        assert!(!call.heard(ms(500)).contains(&11));
        call.sim.unsubscribe(13, 11);
        call.run(100);
        let again = call.sim.subscribe(13, source);
        call.run(1000);
        assert!(call.sim.receiver(13, again).packets.is_empty());
        let first = call.frame(11);
        call.speak(&[11], 30);
        call.run(300);
        call.assert_heard_since(again, 11, first);
        call.sim.receiver(13, again).assert_playable();
    }
}

#[test]
fn changing_talkers_on_a_bad_network_leave_no_gaps() {
    for (seed, shards) in [(325, 1), (326, 2), (327, 1), (328, 2)] {
        let mut call = LargeCall::new(seed, shards, 14);
        let mut rng = StdRng::seed_from_u64(seed);
        call.run(500);
        for client in &mut call.sim.clients {
            for link in [&mut client.up, &mut client.down] {
                (link.duplication, link.reordering) = (0.03, 0.05);
                link.jitter = ms(10);
            }
        }
        // What is lost last before a pause is missed only after it.
        let losses = if seed > 326 { 0.05 } else { 0.0 };
        call.sim.clients[14].down.loss = losses;
        for _ in 0..40 {
            let talker = rng.random_range(0..14);
            let level = [20, 30, 45, 60, 90, 127][rng.random_range(0..6)];
            call.speak(&[talker], level);
            call.run(rng.random_range(20..400));
        }
        call.sim.settle();
        for talker in 0..14 {
            let holes = call.sim.receiver(14, talker).holes();
            assert!(holes <= if losses > 0.0 { 2 } else { 0 }, "{seed} {talker}");
        }
    }
}
