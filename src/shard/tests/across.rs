//! Calls on several shards: what crosses, what does not, and in which order things may happen.

use super::sim::{SimNet, Source, ms};

/// A network with a connected client on each of these shards.
fn clients_on(seed: u64, shards: usize, places: &[usize]) -> SimNet {
    let mut sim = SimNet::with_shards(seed, shards);
    for &shard in places {
        sim.join_on(shard);
    }
    sim.connect();
    sim
}

#[track_caller]
fn assert_all_frames_came(sim: &SimNet, client: usize, receiver: usize, publication: usize) {
    let publication = sim.publication(0, publication);
    let receiver = sim.receiver(client, receiver);
    receiver.assert_playable();
    let whole = receiver.whole_frames(publication.tag);
    assert_eq!(whole.len(), publication.frame as usize);
}

#[test]
fn media_reaches_subscribers_on_another_shard_once_per_shard() {
    let mut sim = clients_on(200, 2, &[0, 1, 1, 0]);
    let (video, audio) = (Source::video(1), Source::audio(2));
    for source in [video, audio] {
        for subscriber in [1, 2, 3] {
            sim.subscribe(subscriber, source);
        }
        sim.publish(0, source);
    }
    sim.run(ms(2000));
    sim.settle();
    for subscriber in [1, 2, 3] {
        for index in [0, 1] {
            assert_all_frames_came(&sim, subscriber, index, index);
        }
    }
    let sent: usize = (0..2).map(|p| sim.publication(0, p).sent.len()).sum();
    assert_eq!(sim.crossed[&(0, 1)], sent, "once for both subscribers");
    assert_eq!(sim.crossed[&(1, 0)], 0);
}
