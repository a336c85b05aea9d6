//! A call of browsers, as far as its network is concerned.

use std::time::{Duration, Instant};

use super::player::Player;
use crate::forward::{Bandwidth, BandwidthStats};
use crate::shard::tests::publication::Shape;
use crate::shard::tests::sim::{SimNet, Source, ms};
use crate::shard::{Event, ForwardedLayer, LayerReason, Wish};

/// The encodings of a camera in bits a second, best first.
pub(super) const CAMERA: [u32; 3] = [2_000_000, 500_000, 150_000];
const RIDS: [&str; 3] = ["f", "h", "q"];

/// Bits a second of a voice.
const VOICE: u32 = 32_000;

/// Clients that publish, and that view.
pub(super) struct Call {
    pub(super) sim: SimNet,
    /// What is received of whom: viewer, publisher, index of the receiver.
    views: Vec<(usize, usize, usize)>,
}

/// The camera of a client, and its voice.
pub(super) fn camera(client: usize) -> Source {
    Source::video(1 + client as u64 * 8)
}

fn voice(client: usize) -> Source {
    Source::audio(2 + client as u64 * 8)
}

impl Call {
    /// So many clients, all connected over links without limits and with 20 ms of delay each way.
    pub(super) fn new(seed: u64, clients: usize) -> Self {
        let mut sim = SimNet::with_clients(seed, clients);
        for client in &mut sim.clients {
            (client.feeds_back, client.heeds) = (true, true);
            (client.up.delay, client.down.delay) = (ms(20), ms(20));
        }
        Self {
            sim,
            views: Vec::new(),
        }
    }

    /// A client shows itself in three sizes, and is heard.
    pub(super) fn publish(&mut self, client: usize) {
        let first = self.sim.publish_layers(client, camera(client), &RIDS);
        for (index, bitrate) in CAMERA.into_iter().enumerate() {
            let publication = self.sim.publication_mut(client, first + index);
            publication.shape = Some(Shape::new(bitrate, true));
            publication.interval = ms(33);
        }
        self.speak(client);
    }

    /// A client shows itself in one size of so many bits a second, and is heard.
    pub(super) fn publish_one(&mut self, client: usize, bitrate: u32) {
        let only = self.sim.publish(client, camera(client));
        let publication = self.sim.publication_mut(client, only);
        publication.interval = ms(33);
        publication.shape = Some(Shape::new(bitrate, false));
        self.speak(client);
    }

    fn speak(&mut self, client: usize) {
        let heard = self.sim.publish(client, voice(client));
        self.sim.publication_mut(client, heard).shape = Some(Shape::new(VOICE, false));
    }

    /// What a client was told of the layers that it gets: the encoding, and why it is no more.
    pub(super) fn told(&self, client: usize) -> Vec<(Option<ForwardedLayer>, Option<LayerReason>)> {
        let id = self.sim.clients[client].peer;
        let told = self.sim.events.iter().filter_map(|event| match event {
            Event::Layers {
                peer,
                layer,
                reason,
                ..
            } if *peer == id => Some((*layer, *reason)),
            _ => None,
        });
        told.collect()
    }

    /// Lets what a client publishes depend on what its own network carries.
    pub(super) fn limit_uplink(&mut self, client: usize, rate: u64) {
        let now = self.sim.now;
        let this = &mut self.sim.clients[client];
        this.up.rate = Some(rate);
        this.uplink.get_or_insert_with(|| Bandwidth::new(now));
    }

    /// A client views another, and hears it.
    pub(super) fn view(&mut self, viewer: usize, publisher: usize, wish: Wish) {
        let index = self.sim.subscribe(viewer, camera(publisher));
        self.sim.wish(viewer, camera(publisher), wish);
        self.sim.subscribe_as(viewer, voice(publisher), false);
        self.views.push((viewer, publisher, index));
    }

    /// What a client needs of another's picture.
    pub(super) fn wish(&mut self, viewer: usize, publisher: usize, wish: Wish) {
        self.sim.wish(viewer, camera(publisher), wish);
    }

    pub(super) fn run(&mut self, duration: Duration) -> Instant {
        self.sim.run(duration);
        self.sim.now
    }

    /// What a viewer saw of a publisher.
    pub(super) fn seen(&self, viewer: usize, publisher: usize) -> Player {
        let is_it = |view: &&(usize, usize, usize)| (view.0, view.1) == (viewer, publisher);
        let (_, _, index) = self.views.iter().find(is_it).expect("a view");
        Player::play(self.sim.receiver(viewer, *index), camera(publisher).tag())
    }

    /// What the server knows of the network to a client.
    pub(super) fn bandwidth(&self, client: usize) -> BandwidthStats {
        let id = self.sim.clients[client].peer;
        let shard = &self.sim.shards[0];
        let peer = &shard.peers[shard.peer_by_id[&id]];
        peer.bandwidth.as_ref().expect("an estimate").stats()
    }
}
