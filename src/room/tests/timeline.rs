//! `timeline`, asked by clients.

use super::*;
use crate::shard::{TimelineEntry, TimelineEvent, TrackId};

/// The video of somebody, as others name it.
pub(super) fn camera_of(world: &World, user: User) -> TrackId {
    let id = crate::shard::ParticipantId(user.id);
    let peer = world.rooms.peer(id).expect("a peer");
    let mut published = peer.published.iter();
    let camera = published.find(|track| track.source == crate::negotiation::Source::Camera);
    camera.expect("a camera").track
}

pub(super) fn entry(seconds: u64, count: u16, event: TimelineEvent) -> TimelineEntry {
    TimelineEntry {
        age: Duration::from_secs(seconds),
        count,
        event,
    }
}

#[test]
fn a_client_is_told_what_became_of_a_track() {
    let mut world = World::new();
    let (anna, ben) = (world.v1("Anna"), world.v1("Ben"));
    world.join(anna);
    world.join(ben);
    let peer = world.peer(ben);
    let (track, own) = (camera_of(&world, anna), camera_of(&world, ben));
    world.forget_all();
    for refused in [own, TrackId(999)] {
        world.say(
            ben,
            json!({"type": "timeline", "track": refused.to_string()}),
        );
        assert_eq!(world.error_code(ben), "no-such-track");
    }
    // What is on its way is not asked for again.
    for _ in 0..3 {
        world.say(ben, json!({"type": "timeline", "track": track.to_string()}));
    }
    assert!(
        matches!(world.commands[..], [(_, Command::Timeline { peer: whose, track: which })]
            if (whose, which) == (peer, track))
    );
    let answer = Event::Timeline {
        peer,
        track,
        entries: vec![
            entry(3, 1, TimelineEvent::Subscribed),
            entry(2, 4, TimelineEvent::Loss(0.25)),
        ],
    };
    world.event(answer.clone());
    let expected = json!({"type": "timeline", "track": track.to_string(), "events": [
        {"at": 3000, "event": "subscribed"},
        {"at": 2000, "event": "loss", "count": 4, "loss": 0.25},
    ]});
    assert_eq!(world.heard(ben), [expected]);
    world.event(answer);
    assert_eq!(world.heard(ben), Vec::<Value>::new(), "nobody asked");
    assert_eq!(world.heard(anna), Vec::<Value>::new());
    world.say(ben, json!({"type": "timeline", "track": track.to_string()}));
    assert_eq!(world.commands.len(), 2);
}

#[test]
fn what_a_classic_client_calls_a_timeline_is_its_own() {
    let mut world = World::new();
    let (carl, dora) = (world.classic("Carl"), world.classic("Dora"));
    let anna = world.v1("Anna");
    for user in [carl, dora, anna] {
        world.heard(user);
    }
    world.say(carl, json!({"type": "timeline", "events": "mine"}));
    let expected = json!({"type": "timeline", "events": "mine", "name": "Carl", "id": carl.id});
    assert_eq!(world.heard(dora), [expected]);
    // To others it would be in the server's voice.
    world.say(
        carl,
        json!({"type": "timeline", "target": "Anna", "track": "t1"}),
    );
    assert_eq!(world.heard(anna), Vec::<Value>::new());
    assert_eq!(world.heard(carl), Vec::<Value>::new());
    assert!(world.commands.is_empty());
}
