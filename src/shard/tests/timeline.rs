//! Why is this tile black? What the timelines say.

use super::sim::{SimNet, Source, ms};
use crate::shard::{Event, KeyframeReason, LayerReason, TimelineEntry, TimelineEvent};

/// The names of what happened, with what matters here.
fn names(entries: &[TimelineEntry]) -> Vec<String> {
    let name = |entry: &TimelineEntry| match entry.event {
        TimelineEvent::Subscribed => "subscribed".to_owned(),
        TimelineEvent::KeyframeAsked(reason) => format!("asked {reason:?}"),
        TimelineEvent::KeyframeReceived(rid) => format!("received{}", of(rid)),
        TimelineEvent::KeyframeForwarded(rid) => format!("forwarded{}", of(rid)),
        TimelineEvent::Layer { layer, reason, .. } => {
            let rid = layer.and_then(|layer| layer.rid);
            let layer = if layer.is_some() { "layer" } else { "nothing" };
            let reason = reason.map(|reason| format!(" {reason:?}"));
            format!("{layer}{}{}", of(rid), reason.unwrap_or_default())
        }
        TimelineEvent::Paused => "paused".to_owned(),
        TimelineEvent::Resumed => "resumed".to_owned(),
        TimelineEvent::Muted => "muted".to_owned(),
        TimelineEvent::Unmuted => "unmuted".to_owned(),
        TimelineEvent::Silent => "silent".to_owned(),
        TimelineEvent::Flowing => "flowing".to_owned(),
        TimelineEvent::Estimate(_) => "estimate".to_owned(),
        TimelineEvent::Loss(_) => "loss".to_owned(),
        TimelineEvent::SenderLimited(layer) => format!("limited{}", of(layer.rid)),
        TimelineEvent::Codec => "codec".to_owned(),
    };
    entries.iter().map(name).collect()
}

fn of(rid: Option<crate::rtp::Rid>) -> String {
    rid.map(|rid| format!(" {rid}")).unwrap_or_default()
}

fn assert_in_order(entries: &[TimelineEntry]) {
    assert!(entries.windows(2).all(|pair| pair[0].age >= pair[1].age));
}

#[test]
fn a_picture_that_comes_is_subscribed_and_forwarded() {
    let mut sim = SimNet::with_clients(90, 2);
    let source = Source::video(1);
    sim.publish(0, source);
    sim.run(ms(400));
    sim.subscribe(1, source);
    sim.run(ms(5000));
    let entries = sim.timeline(1, source);
    assert_eq!(names(&entries), ["subscribed", "forwarded"]);
    assert_eq!(entries[0].age, ms(5000));
    // There is none of what nobody subscribed to.
    assert_eq!(sim.timeline(0, source), []);
}

#[test]
fn without_a_keyframe_it_says_who_was_asked_and_how_often() {
    let mut sim = SimNet::with_clients(91, 2);
    let source = Source::video(1);
    sim.publish(0, source);
    sim.run(ms(3000));
    // Requests do not reach the publisher, but its packets do reach the server.
    sim.clients[0].down.loss = 1.0;
    sim.subscribe(1, source);
    sim.run(ms(4900));
    let entries = sim.timeline(1, source);
    assert_eq!(names(&entries), ["subscribed", "asked Start"]);
    assert!(entries[1].count >= 4, "{entries:?}");
    assert!(entries[1].age < ms(1000));
    sim.clients[0].down.loss = 0.0;
    sim.run(ms(1500));
    let entries = sim.timeline(1, source);
    let expected = ["subscribed", "asked Start", "received", "forwarded"];
    assert_eq!(names(&entries), expected);
    assert_in_order(&entries);
    // A viewer who cannot go on: all three again, and its own request first.
    sim.clients[1].ask_for_keyframe(0);
    sim.send_up(1);
    sim.run(ms(500));
    let entries = sim.timeline(1, source);
    assert_eq!(
        names(&entries[4..]),
        ["asked Viewer", "received", "forwarded"]
    );
    assert_in_order(&entries);
}

#[test]
fn a_narrow_network_is_named_with_its_estimate() {
    let mut sim = SimNet::with_clients(92, 2);
    let source = Source::video(1);
    sim.publish_layers(0, source, &["f", "h", "q"]);
    // The best layer is much too large.
    for (layer, packets) in [(0, 40), (1, 8), (2, 2)] {
        sim.publication_mut(0, layer).packets_per_frame = packets;
    }
    sim.clients[1].feeds_back = true;
    sim.clients[1].down.rate = Some(700_000);
    sim.subscribe(1, source);
    sim.run(ms(10_000));
    let entries = sim.timeline(1, source);
    let told = names(&entries);
    assert!(told.contains(&"estimate".to_owned()), "{told:?}");
    let limited = entries.iter().any(|entry| {
        let TimelineEvent::Layer { layer, reason, .. } = entry.event else {
            return false;
        };
        layer.is_some_and(|layer| layer.rid.is_some()) && reason == Some(LayerReason::Bandwidth)
    });
    assert!(limited, "{told:?}");
    assert_in_order(&entries);
    // Hardly anything goes through: the picture is given up, and the reason is there.
    sim.clients[1].down.rate = Some(20_000);
    sim.run(ms(15_000));
    let told = names(&sim.timeline(1, source));
    assert!(told.contains(&"nothing Bandwidth".to_owned()), "{told:?}");
    let stats = sim.stats(1);
    let estimate = stats.estimate.expect("the client says when packets come");
    assert!(estimate < 300_000, "{estimate}");
    // It is what the quality tells, and not what flows.
    let peer = sim.clients[1].peer;
    let quality = sim.events.iter().rev().find_map(|event| match event {
        Event::Quality {
            peer: whose,
            quality,
        } if *whose == peer => Some(quality),
        _ => None,
    });
    let told = quality.expect("a quality").bandwidth;
    assert!(told.abs_diff(estimate) < 200_000, "{told} and {estimate}");
}

#[test]
fn a_mute_is_named_and_what_follows_it() {
    let mut sim = SimNet::with_clients(93, 2);
    let source = Source::video(1);
    sim.publish(0, source);
    sim.subscribe(1, source);
    sim.run(ms(1000));
    sim.mute(0, source, true);
    sim.run(ms(5000));
    let told = names(&sim.timeline(1, source));
    assert_eq!(told.last().unwrap(), "muted", "it is not silent: {told:?}");
    let before = told.len();
    sim.mute(0, source, false);
    sim.run(ms(3000));
    let told = names(&sim.timeline(1, source));
    assert_eq!(
        told[before..],
        ["unmuted", "asked Start", "received", "forwarded"]
    );
    // Whoever comes while it is muted sees why there is nothing.
    sim.mute(0, source, true);
    let third = sim.join();
    sim.connect();
    sim.subscribe(third, source);
    sim.run(ms(3000));
    assert_eq!(names(&sim.timeline(third, source)), ["subscribed", "muted"]);
}

#[test]
fn a_publisher_that_sends_nothing_is_named() {
    let mut sim = SimNet::with_clients(94, 2);
    let (video, audio) = (Source::video(1), Source::audio(2));
    for source in [video, audio] {
        sim.publish(0, source);
        sim.subscribe(1, source);
    }
    sim.run(ms(2000));
    for index in [0, 1] {
        sim.publication_mut(0, index).running = false;
    }
    sim.run(ms(4000));
    for (index, source) in [(0, video), (1, audio)] {
        let told = names(&sim.timeline(1, source));
        assert_eq!(told.last().unwrap(), "silent", "{told:?}");
        let now = sim.now;
        let publication = sim.publication_mut(0, index);
        publication.next_frame = now;
        publication.running = true;
    }
    sim.run(ms(2000));
    for source in [video, audio] {
        let told = names(&sim.timeline(1, source));
        assert_eq!(told.last().unwrap(), "flowing", "{told:?}");
    }
    // So is one that never sent anything.
    let never = Source::video(7);
    sim.publish(0, never);
    sim.publication_mut(0, 2).running = false;
    sim.subscribe(1, never);
    sim.run(ms(4000));
    assert_eq!(names(&sim.timeline(1, never)), ["subscribed", "silent"]);
}

#[test]
fn what_the_publisher_does_not_send_is_named() {
    let mut sim = SimNet::with_clients(95, 2);
    let source = Source::video(1);
    sim.publish_layers(0, source, &["f", "h"]);
    sim.subscribe(1, source);
    sim.run(ms(3000));
    let stats = sim.stats(1);
    let layer = stats.outbound[0].layer.expect("there are layers");
    assert_eq!(layer.rid, Some("f".parse().unwrap()));
    assert_eq!(stats.estimate, None, "it says nothing about arrivals");
    let before = sim.timeline(1, source).len();
    sim.publication_mut(0, 0).running = false;
    sim.run(ms(3000));
    let entries = sim.timeline(1, source);
    let told = names(&entries[before..]);
    assert_eq!(told[0], "limited f");
    assert!(told.contains(&"forwarded h".to_owned()), "{told:?}");
    assert_eq!(told.last().unwrap(), "layer h Publisher", "{told:?}");
    let asked = TimelineEvent::KeyframeAsked(KeyframeReason::Switch);
    assert!(entries.iter().any(|entry| entry.event == asked), "{told:?}");
}

#[test]
fn loss_and_pauses_are_noted_and_the_list_stays_short() {
    let mut sim = SimNet::with_clients(96, 2);
    let source = Source::video(1);
    sim.publish(0, source);
    sim.subscribe(1, source);
    sim.run(ms(1000));
    sim.clients[1].down.loss = 0.2;
    sim.run(ms(8000));
    sim.clients[1].down.loss = 0.0;
    let entries = sim.timeline(1, source);
    let is_loss = |entry: &&TimelineEntry| matches!(entry.event, TimelineEvent::Loss(_));
    let losses: Vec<_> = entries.iter().filter(is_loss).collect();
    let count: u16 = losses.iter().map(|entry| entry.count).sum();
    assert!((2..=5).contains(&count), "{entries:?}");
    for round in 0..40 {
        sim.pause(1, source, round % 2 == 0);
        sim.run(ms(700));
    }
    let entries = sim.timeline(1, source);
    assert_eq!(entries.len(), 32);
    assert_in_order(&entries);
    let told = names(&entries);
    let paused = told.iter().rposition(|name| name == "paused").unwrap();
    let after = told[paused..].iter().map(String::as_str);
    let expected = ["paused", "resumed", "asked Start", "received", "forwarded"];
    assert_eq!(after.collect::<Vec<_>>(), expected);
}

#[test]
fn a_track_of_another_shard_has_the_same_story() {
    let mut sim = SimNet::with_shards(97, 2);
    for shard in [0, 1] {
        sim.join_on(shard);
    }
    sim.connect();
    let source = Source::video(1);
    sim.publish(0, source);
    sim.run(ms(3000));
    sim.subscribe(1, source);
    sim.run(ms(2000));
    sim.mute(0, source, true);
    sim.run(ms(1500));
    sim.mute(0, source, false);
    sim.run(ms(1500));
    sim.publication_mut(0, 0).running = false;
    sim.run(ms(4000));
    let entries = sim.timeline(1, source);
    let told = names(&entries);
    assert_eq!(told[0], "subscribed");
    let mut rest = told.iter();
    for expected in ["forwarded", "muted", "unmuted", "forwarded", "silent"] {
        assert!(rest.any(|name| name == expected), "{expected} in {told:?}");
    }
    assert_in_order(&entries);
}
