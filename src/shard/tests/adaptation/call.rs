//! A call of browsers, as far as its network is concerned.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::player::Player;
use crate::forward::{Bandwidth, BandwidthStats};
use crate::shard::tests::audio::{publish_red, subscribe_red};
use crate::shard::tests::publication::{Publication, Shape};
use crate::shard::tests::receiver::Receiver;
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
    /// The same of voices.
    voices: Vec<(usize, usize, usize)>,
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
            voices: Vec::new(),
        }
    }

    /// A client shows itself in three sizes, and is heard.
    pub(super) fn publish(&mut self, client: usize) {
        self.show(client);
        self.speak(client);
    }

    /// The same with a copy of each packet of the voice in the next, as Chromium sends it.
    pub(super) fn publish_with_red(&mut self, client: usize) {
        self.show(client);
        let heard = publish_red(&mut self.sim, client, voice(client));
        self.sim.publication_mut(client, heard).shape = Some(Shape::new(VOICE, false));
    }

    fn show(&mut self, client: usize) {
        let first = self.sim.publish_layers(client, camera(client), &RIDS);
        for (index, bitrate) in CAMERA.into_iter().enumerate() {
            let publication = self.sim.publication_mut(client, first + index);
            publication.shape = Some(Shape::new(bitrate, true));
            publication.interval = ms(33);
        }
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
        self.watch(viewer, publisher, wish);
        let index = self.sim.subscribe_as(viewer, voice(publisher), false);
        self.voices.push((viewer, publisher, index));
    }

    /// The same where the client takes a voice with copies of what came before.
    pub(super) fn view_with_red(&mut self, viewer: usize, publisher: usize, wish: Wish) {
        self.watch(viewer, publisher, wish);
        let index = subscribe_red(&mut self.sim, viewer, voice(publisher));
        self.voices.push((viewer, publisher, index));
    }

    fn watch(&mut self, viewer: usize, publisher: usize, wish: Wish) {
        let index = self.sim.subscribe(viewer, camera(publisher));
        self.sim.wish(viewer, camera(publisher), wish);
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
        let receiver = self.receiver(&self.views, viewer, publisher);
        Player::play(receiver, camera(publisher).tag())
    }

    fn receiver(&self, of: &[(usize, usize, usize)], viewer: usize, publisher: usize) -> &Receiver {
        let is_it = |view: &&(usize, usize, usize)| (view.0, view.1) == (viewer, publisher);
        let (_, _, index) = of.iter().find(is_it).expect("a view");
        self.sim.receiver(viewer, *index)
    }

    /// The share of a voice that a viewer has to make up, of what was said between two times: what neither came nor is in
    /// the packet after it, where Opus has it too while its sender is told of losses (RFC 7587 section 3.3).
    pub(super) fn made_up(
        &self,
        viewer: usize,
        publisher: usize,
        from: Instant,
        to: Instant,
    ) -> f64 {
        let receiver = self.receiver(&self.voices, viewer, publisher);
        let came: BTreeSet<u32> = receiver.contents().map(|content| content.frame).collect();
        let said = self.voice_of(publisher).captured.iter().enumerate();
        let said = said.filter(|(_, at)| (from..to).contains(*at));
        let (mut all, mut missing) = (0, 0);
        for (frame, _) in said {
            let frame = frame as u32;
            let is_there = [frame, frame + 1].iter().any(|frame| came.contains(frame));
            all += 1;
            missing += u32::from(!is_there && !receiver.copied.contains(&frame));
        }
        f64::from(missing) / f64::from(all)
    }

    /// What a client publishes of its voice.
    pub(super) fn voice_of(&self, client: usize) -> &Publication {
        let voice = voice(client).track;
        let mut publications = self.sim.clients[client].publications.iter();
        let found = publications.find(|publication| publication.track == voice);
        found.expect("a voice")
    }

    /// What the server knows of the network to a client.
    pub(super) fn bandwidth(&self, client: usize) -> BandwidthStats {
        let id = self.sim.clients[client].peer;
        let shard = &self.sim.shards[0];
        let peer = &shard.peers[shard.peer_by_id[&id]];
        peer.bandwidth.as_ref().expect("an estimate").stats()
    }
}
