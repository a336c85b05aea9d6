//! Bugs of ours: a panic ends the peer that met it, and nobody else.

use std::cell::Cell;

use super::sim::{SimNet, Source, ms};
use crate::shard::{Command, Event, FailReason};

/// Where a bug may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Datagram,
    Command,
    Timeout,
    PollTimeout,
    PollEvent,
}

/// The bug that a shard has, which is met once, by one of its peers.
#[derive(Debug, Default)]
pub(crate) struct Bugs(Cell<Option<(Place, usize)>>);

impl Bugs {
    /// The peer of this index is to meet one here. What is nobody's business counts as the first's.
    pub(crate) fn put(&self, place: Place, peer: usize) {
        self.0.set(Some((place, peer)));
    }

    /// Whether it is still there.
    pub(crate) fn is_there(&self) -> bool {
        self.0.get().is_some()
    }

    pub(in crate::shard) fn meet(&self, place: Place, peer: usize) {
        if self.0.get() == Some((place, peer)) {
            self.0.set(None);
            panic!("a bug that a test has put here: {place:?}");
        }
    }
}

#[test]
fn a_bug_met_for_one_peer_ends_that_peer_and_the_media_of_others_goes_on() {
    for place in [Place::Datagram, Place::Timeout, Place::Command] {
        let mut sim = SimNet::with_clients(240, 3);
        let (bad, good) = (Source::video(1), Source::video(2));
        sim.publish(0, bad);
        sim.publish(1, good);
        for source in [bad, good] {
            sim.subscribe(2, source);
        }
        sim.run(ms(1000));
        sim.shards[0].bugs.put(place, 0);
        let peer = sim.clients[0].peer;
        while sim.shards[0].bugs.is_there() {
            match place {
                Place::Command => sim.command(Command::Stats { peer }),
                _ => sim.run(ms(10)),
            }
        }
        let met = sim.now;
        sim.run(ms(1000));
        let failed = sim.events.iter().filter_map(|event| match event {
            Event::Failed { peer, reason } => Some((*peer, *reason)),
            _ => None,
        });
        assert!(failed.eq([(peer, FailReason::Internal)]), "{place:?}");
        assert!(sim.receiver(2, 0).first_since(met + ms(50)).is_none());
        sim.settle();
        sim.receiver(2, 1).assert_playable();
        let frames = sim.publication(1, 0).frame as usize;
        assert_eq!(sim.receiver(2, 1).whole_frames(good.tag()).len(), frames);
    }
}
