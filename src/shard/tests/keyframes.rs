//! Where a stream begins, and who is asked for that.

use super::sim::{SimNet, Source, ms};

#[test]
fn a_newcomer_is_served_from_the_history_while_the_keyframe_is_fresh() {
    let mut sim = SimNet::with_clients(20, 2);
    let source = Source::video(1);
    sim.publish(0, source);
    sim.run(ms(400));
    let (joined, asked) = (sim.now, sim.publication(0, 0).plis.len());
    sim.subscribe(1, source);
    sim.run(ms(500));
    sim.settle();
    let receiver = sim.receiver(1, 0);
    receiver.assert_playable();
    let first = receiver.packets.first_key_value().unwrap().1;
    assert_eq!(first.content.frame, 0);
    assert!(first.at <= joined + ms(10));
    let frames = sim.publication(0, 0).frame as usize;
    assert_eq!(receiver.whole_frames(source.tag()).len(), frames);
    assert_eq!(sim.publication(0, 0).plis.len(), asked, "nobody was asked");
}

#[test]
fn a_newcomer_after_that_waits_for_the_one_keyframe_that_is_asked_for() {
    let mut sim = SimNet::with_clients(21, 2);
    let source = Source::video(1);
    sim.publish(0, source);
    sim.run(ms(2000));
    let (joined, asked) = (sim.now, sim.publication(0, 0).plis.len());
    sim.subscribe(1, source);
    sim.run(ms(1500));
    sim.settle();
    let receiver = sim.receiver(1, 0);
    receiver.assert_playable();
    assert_eq!(sim.publication(0, 0).plis.len(), asked + 1);
    let first = receiver.packets.first_key_value().unwrap().1;
    assert!(first.content.keyframe && first.at <= joined + ms(100));
}

#[test]
fn many_requests_are_merged_into_one_each_half_second() {
    let mut sim = SimNet::with_clients(22, 4);
    let source = Source::video(1);
    sim.publish(0, source);
    for subscriber in 1..4 {
        sim.subscribe(subscriber, source);
    }
    sim.run(ms(1000));
    let begun = sim.publication(0, 0).plis.len();
    for _ in 0..60 {
        for subscriber in 1..4 {
            sim.clients[subscriber].ask_for_keyframe(0);
            sim.send_up(subscriber);
        }
        sim.run(ms(50));
    }
    let plis = &sim.publication(0, 0).plis[begun..];
    assert!((4..=7).contains(&plis.len()), "{}", plis.len());
    assert!(plis.windows(2).all(|pair| pair[1] - pair[0] >= ms(499)));
    for subscriber in 1..4 {
        assert!(sim.stats(subscriber).outbound[0].pli_count >= 59);
    }
    sim.settle();
    for subscriber in 1..4 {
        sim.receiver(subscriber, 0).assert_playable();
    }
}

#[test]
fn mute_and_unmute_go_on_at_a_keyframe() {
    let mut sim = SimNet::with_clients(23, 2);
    let (video, audio) = (Source::video(1), Source::audio(2));
    for source in [video, audio] {
        sim.publish(0, source);
        sim.subscribe(1, source);
    }
    sim.run(ms(500));
    for source in [video, audio] {
        sim.mute(0, source, true);
    }
    sim.run(ms(100));
    let before: Vec<_> = (0..2).map(|r| sim.receiver(1, r).packets.len()).collect();
    sim.run(ms(1000));
    let muted: Vec<_> = (0..2).map(|r| sim.receiver(1, r).packets.len()).collect();
    assert_eq!(before, muted, "nothing comes from a muted track");
    let unmuted = sim.now;
    for source in [video, audio] {
        sim.mute(0, source, false);
    }
    sim.run(ms(500));
    sim.settle();
    for (index, rate) in [(0, 90), (1, 48)] {
        let receiver = sim.receiver(1, index);
        receiver.assert_playable();
        let first = receiver.first_since(unmuted).expect("it goes on");
        assert!(first.at < unmuted + ms(150));
        // Time went on as well.
        let last = receiver
            .packets
            .values()
            .rfind(|got| got.at < unmuted)
            .unwrap();
        let passed = first.timestamp.wrapping_sub(last.timestamp) / rate;
        let real = (first.at - last.at).as_millis() as u32;
        assert!(passed.abs_diff(real) <= 25, "{passed} ms instead of {real}");
    }
}

#[test]
fn nobody_is_asked_for_keyframes_of_a_muted_or_unwatched_track() {
    let mut sim = SimNet::with_clients(24, 2);
    let source = Source::video(1);
    sim.publish(0, source);
    let receiver = sim.subscribe(1, source);
    sim.run(ms(1500));
    // The request is on its way when the track is muted: it must not be repeated for ever.
    sim.clients[1].ask_for_keyframe(receiver);
    sim.send_up(1);
    sim.run(ms(11));
    sim.mute(0, source, true);
    sim.run(ms(50));
    let asked = sim.publication(0, 0).plis.len();
    sim.clients[0].up.loss = 0.2;
    sim.run(ms(3000));
    assert_eq!(sim.publication(0, 0).plis.len(), asked);
    sim.clients[0].up.loss = 0.0;
    sim.mute(0, source, false);
    sim.run(ms(1000));
    sim.publication_mut(0, 0).running = false;
    sim.clients[1].ask_for_keyframe(receiver);
    sim.send_up(1);
    sim.run(ms(11));
    sim.unsubscribe(1, receiver);
    sim.run(ms(50));
    let asked = sim.publication(0, 0).plis.len();
    sim.run(ms(3000));
    assert_eq!(sim.publication(0, 0).plis.len(), asked);
}

#[test]
fn pause_and_resume_go_on_at_a_keyframe_for_that_subscriber_only() {
    let mut sim = SimNet::with_clients(25, 3);
    let (video, audio) = (Source::video(1), Source::audio(2));
    for source in [video, audio] {
        sim.publish(0, source);
        for subscriber in [1, 2] {
            sim.subscribe(subscriber, source);
        }
    }
    sim.run(ms(1200));
    for source in [video, audio] {
        sim.pause(1, source, true);
    }
    sim.run(ms(50));
    let paused = sim.now;
    sim.run(ms(1500));
    for index in [0, 1] {
        assert!(sim.receiver(1, index).first_since(paused).is_none());
    }
    let resumed = sim.now;
    for source in [video, audio] {
        sim.pause(1, source, false);
    }
    sim.run(ms(500));
    sim.settle();
    for index in [0, 1] {
        let receiver = sim.receiver(1, index);
        receiver.assert_playable();
        let first = receiver.first_since(resumed).expect("it goes on");
        assert!(first.content.keyframe && first.at < resumed + ms(150));
        sim.receiver(2, index).assert_playable();
        let frames = sim.publication(0, index).frame as usize;
        let tag = [video, audio][index].tag();
        assert_eq!(sim.receiver(2, index).whole_frames(tag).len(), frames);
    }
}
