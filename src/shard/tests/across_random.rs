//! Random lives of a call: on three shards everybody gets what they would get on one, and nothing is left behind.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::sim::{SimNet, Source, ms};
use crate::rtp::MediaKind;

const CLIENTS: usize = 6;
const STEPS: usize = 60;

/// What happens. Frames are captured at 15 ms of each 40; publications begin then and the rest happens at 35. With ways of
/// 7 ms requests for keyframes, which wait for multiples of half a second, come 6 ms before or after that: neither world can
/// be a hair too late for a frame that the other still gets.
#[derive(Clone, Copy, Debug)]
enum Step {
    Publish(usize, u64),
    Unpublish(u64),
    Subscribe(usize, u64),
    Unsubscribe(usize, u64),
    Pause(usize, u64, bool),
    Mute(usize, u64, bool),
    Ask(usize, u64),
    Leave(usize),
    Wait(u64),
}

/// A world, and what is where in it.
struct World {
    sim: SimNet,
    /// The publication and the receivers of each track that is there now.
    publication: BTreeMap<u64, (usize, usize)>,
    receiver: BTreeMap<(usize, u64), usize>,
    ssrc: u32,
}

/// Tracks 1 to 6: video of three clients, and audio of them. Client 5 only looks.
fn source(track: u64) -> (usize, Source) {
    let owner = (track as usize - 1) % 3;
    if track <= 3 {
        (owner, Source::video(track))
    } else {
        (owner, Source::audio(track))
    }
}

fn steps(seed: u64) -> Vec<Step> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut steps: Vec<Step> = (1..=6).map(|t| Step::Publish(source(t).0, t)).collect();
    for _ in 0..STEPS {
        let (client, track) = (rng.random_range(0..CLIENTS), rng.random_range(1..=6));
        let owner = source(track).0;
        steps.push(match rng.random_range(0..22) {
            20 => Step::Pause(client, track, rng.random()),
            21 => Step::Mute(owner, track, rng.random()),
            0..5 => Step::Publish(owner, track),
            5 => Step::Unpublish(track),
            6..12 => Step::Subscribe(client, track),
            12..14 => Step::Unsubscribe(client, track),
            14 => Step::Pause(client, track, rng.random()),
            15 => Step::Mute(owner, track, rng.random()),
            16..18 => Step::Ask(client, track),
            18 if rng.random_bool(0.3) => Step::Leave(client),
            _ => Step::Wait(rng.random_range(1..20)),
        });
    }
    steps
}

impl World {
    fn new(seed: u64, shards: usize) -> Self {
        let mut sim = SimNet::with_shards(seed, shards);
        for client in 0..CLIENTS {
            sim.join_on(client % shards);
            let this = &mut sim.clients[client];
            (this.up.delay, this.down.delay) = (ms(7), ms(7));
        }
        sim.connect();
        let since = (sim.now - sim.start).as_micros() as u64;
        sim.run(std::time::Duration::from_micros(40_000 - since % 40_000));
        Self {
            sim,
            publication: BTreeMap::new(),
            receiver: BTreeMap::new(),
            ssrc: 0x9000,
        }
    }

    fn source(&self, track: u64) -> Source {
        let (owner, source) = source(track);
        source.at(self.sim.clients[owner].shard)
    }

    /// Does a step, from a multiple of 40 ms to another.
    fn take(&mut self, step: Step) {
        let publishes = matches!(step, Step::Publish(..));
        let before = if publishes { 15 } else { 35 };
        self.sim.run(ms(before));
        let sim = &mut self.sim;
        let is_here = |client: usize| !sim.clients[client].left;
        match step {
            Step::Publish(owner, track)
                if is_here(owner) && !self.publication.contains_key(&track) =>
            {
                let source = Source {
                    ssrc: self.ssrc,
                    ..self.source(track)
                };
                self.ssrc += 2;
                let index = self.sim.publish(owner, source);
                self.publication.insert(track, (owner, index));
            }
            Step::Unpublish(track) => {
                if let Some((owner, index)) = self.publication.remove(&track) {
                    self.sim.unpublish(owner, index);
                }
            }
            Step::Subscribe(client, track)
                if is_here(client)
                    && source(track).0 != client
                    && !self.receiver.contains_key(&(client, track)) =>
            {
                let source = self.source(track);
                let index = self.sim.subscribe(client, source);
                self.receiver.insert((client, track), index);
            }
            Step::Unsubscribe(client, track) => {
                if let Some(index) = self.receiver.remove(&(client, track)) {
                    self.sim.unsubscribe(client, index);
                }
            }
            Step::Pause(client, track, paused) if is_here(client) => {
                let source = self.source(track);
                self.sim.pause(client, source, paused);
            }
            Step::Mute(owner, track, muted) if is_here(owner) => {
                let source = self.source(track);
                self.sim.mute(owner, source, muted);
            }
            Step::Ask(client, track) => {
                if let Some(&index) = self.receiver.get(&(client, track)) {
                    self.sim.clients[client].ask_for_keyframe(index);
                    self.sim.send_up(client);
                }
            }
            Step::Leave(client) if is_here(client) => {
                self.sim.leave(client);
                self.publication.retain(|_, (owner, _)| *owner != client);
                self.receiver.retain(|(of, _), _| *of != client);
            }
            Step::Wait(frames) => self.sim.run(ms(40 * frames)),
            _ => {}
        }
        self.sim.run(ms(40 - before));
    }

    /// Everybody leaves, and nothing is left.
    fn end(&mut self) {
        for client in 0..CLIENTS {
            if !self.sim.clients[client].left {
                self.sim.leave(client);
            }
        }
        self.sim.run(ms(500));
        self.sim.assert_nothing_left();
    }
}

#[test]
fn three_shards_give_everybody_what_one_gives() {
    for seed in 400..420 {
        let steps = steps(seed);
        let mut worlds = [World::new(seed, 1), World::new(seed, 3)];
        for step in &steps {
            for world in &mut worlds {
                world.take(*step);
            }
        }
        let [one, three] = &mut worlds;
        for world in [&mut *one, &mut *three] {
            world.sim.run(ms(200));
        }
        for client in 0..CLIENTS {
            let receivers = one.sim.clients[client].receivers.len();
            assert_eq!(receivers, three.sim.clients[client].receivers.len());
            for index in 0..receivers {
                let of = |world: &World| -> Vec<_> {
                    let contents = world.sim.receiver(client, index).contents();
                    contents
                        .map(|c| (c.tag, c.frame, c.index, c.keyframe))
                        .collect()
                };
                assert_eq!(
                    of(one),
                    of(three),
                    "seed {seed}, {client}, {index}: {steps:?}"
                );
            }
        }
        one.end();
        three.end();
    }
}

#[test]
fn whatever_crosses_what_streams_stay_whole_and_go_on() {
    for seed in 430..450 {
        let mut world = World::new(seed, 3);
        world.sim.link_delay = (ms(0), ms(60));
        for step in steps(seed) {
            world.take(step);
        }
        for track in 1..=6 {
            let (owner, _) = source(track);
            if !world.sim.clients[owner].left {
                let source = world.source(track);
                world.sim.mute(owner, source, false);
                for client in (0..CLIENTS).filter(|c| world.receiver.contains_key(&(*c, track))) {
                    world.sim.pause(client, source, false);
                }
            }
        }
        world.sim.run(ms(2500));
        let receivers = world.receiver.iter();
        for (&(client, track), &index) in receivers {
            let Some(&(owner, publication)) = world.publication.get(&track) else {
                continue;
            };
            let frames = world.sim.publication(owner, publication).frame;
            let receiver = world.sim.receiver(client, index);
            let last = receiver.last().content.frame;
            assert!(
                last + 8 >= frames,
                "seed {seed}: {client} got {track} until {last} of {frames}"
            );
        }
        for client in &world.sim.clients {
            for receiver in client.receivers.iter().filter(|r| !r.packets.is_empty()) {
                if receiver.parameters.kind == MediaKind::Video {
                    receiver.assert_playable();
                }
            }
        }
        world.end();
    }
}
