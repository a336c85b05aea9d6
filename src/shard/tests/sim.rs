//! [`SimNet`]: shards and their clients on a seeded network in virtual time.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::client::Client;
use super::publication::Publication;
use super::receiver::Receiver;
use crate::forward::DropReason;
use crate::rtp::{Codec, Extension, ExtensionMap, HeaderView, MediaKind, Mid, Rid};
use crate::shard::{
    Batch, CallId, CodecParameters, Command, DtlsRole, Event, Holding, IceCredentials, LinkBatch,
    ParticipantId, PeerId, PeerStats, ReceiveParameters, SctpParameters, SendParameters, Shard,
    ShardConfig, SsrcPair, TimelineEntry, TrackId, TransportParameters, Wish,
};
use crate::transport::tests::pair::LIMITS;
use crate::transport::{DatagramKind, Identity, Path, Protocol, Transport, classify};

/// Rounds at one instant: with more somebody asks for the time again and again.
const MAX_ROUNDS: usize = 1_000;

/// The simulation. Its seed is printed when a test fails with it.
pub(super) struct SimNet {
    pub(super) start: Instant,
    pub(super) now: Instant,
    pub(super) shards: Vec<Shard>,
    pub(super) clients: Vec<Client>,
    pub(super) events: Vec<Event>,
    /// Whether those who join have data channels.
    pub(super) data: bool,
    /// Whether control moves peers, or sleeps.
    pub(super) control_moves: bool,
    /// What may wait on its way out.
    pub(super) holding: Holding,
    /// The transport-cc numbers of each client that reached the shard, and when.
    pub(super) arrived: Vec<BTreeMap<u16, Instant>>,
    seed: u64,
    rng: StdRng,
    batch: Batch,
    identity: Identity,
    flights: BTreeMap<(Instant, u64), Flight>,
    /// How long a batch takes to another shard, at least and at most.
    pub(super) link_delay: (Duration, Duration),
    /// Batches on their way, and when the last of each pair of shards arrives.
    link_flights: BTreeMap<(Instant, u64), LinkFlight>,
    link_latest: BTreeMap<(usize, usize), Instant>,
    /// Calls that the kernel would have been sent with.
    pub(super) sends: usize,
    /// What each client was sent under each SSRC and number.
    protected: HashMap<(usize, u32, u16), Vec<u8>>,
    /// Packets that crossed each pair of shards.
    pub(super) crossed: BTreeMap<(usize, usize), usize>,
    order: u64,
    client_by_address: HashMap<SocketAddr, usize>,
    next_ssrc: u32,
}

/// A datagram on its way.
struct Flight {
    client: usize,
    up: bool,
    address: SocketAddr,
    datagram: Vec<u8>,
}

/// A batch on its way from one shard to another.
struct LinkFlight {
    from: usize,
    to: usize,
    batch: LinkBatch,
}

/// A source that a test publishes.
#[derive(Clone, Copy)]
pub(super) struct Source {
    pub(super) track: TrackId,
    pub(super) kind: MediaKind,
    pub(super) voice: bool,
    pub(super) ssrc: u32,
    pub(super) rtx: bool,
    pub(super) nack: bool,
    /// The shard of its publisher.
    pub(super) home: usize,
}

impl Source {
    pub(super) fn video(track: u64) -> Self {
        Self {
            track: TrackId(track),
            kind: MediaKind::Video,
            voice: false,
            ssrc: 0x1000 + track as u32 * 16,
            rtx: true,
            nack: true,
            home: 0,
        }
    }

    pub(super) fn audio(track: u64) -> Self {
        Self {
            kind: MediaKind::Audio,
            voice: true,
            rtx: false,
            nack: false,
            ..Self::video(track)
        }
    }

    pub(super) fn at(self, home: usize) -> Self {
        Self { home, ..self }
    }

    /// What names its stream in payloads.
    pub(super) fn tag(&self) -> u32 {
        self.track.0 as u32 * 16
    }
}

impl Drop for SimNet {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let at = self.now - self.start;
            eprintln!("failed with seed {} at {at:?}", self.seed);
        }
    }
}

pub(super) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn path_from(remote: SocketAddr) -> Path {
    Path {
        protocol: Protocol::Udp,
        remote,
        local: None,
    }
}

fn credentials(name: &str, client: usize, generation: u32) -> IceCredentials {
    IceCredentials {
        ufrag: format!("{name}{client}g{generation}"),
        pwd: format!("the-password-of-{name}-{client}-{generation}"),
    }
}

/// The payload types of a client: those of even and odd ones differ.
pub(super) fn codecs(client: usize, kind: MediaKind, nack: bool) -> Vec<CodecParameters> {
    let odd = (client % 2) as u8;
    let video = |payload_type, codec| CodecParameters {
        payload_type,
        codec,
        rtx: nack.then_some(payload_type + 1),
        nack,
        pli: true,
        fir: false,
        transport_cc: true,
    };
    let audio = |payload_type, codec| CodecParameters {
        rtx: None,
        pli: false,
        ..video(payload_type, codec)
    };
    match kind {
        MediaKind::Video => vec![video(96 + 4 * odd, Codec::Vp8)],
        MediaKind::Audio => vec![
            audio(109 + 2 * odd, Codec::Opus),
            audio(125 + odd, Codec::TelephoneEvent(48_000)),
        ],
    }
}

fn extensions(client: usize) -> ExtensionMap {
    let mut map = ExtensionMap::default();
    let shift = (client % 2) as u8;
    for (id, extension) in [
        (1, Extension::Mid),
        (3, Extension::TransportCc),
        (5, Extension::AudioLevel),
        (7, Extension::Rid),
        (9, Extension::RepairedRid),
        (11, Extension::LayersAllocation),
    ] {
        assert!(map.insert(id + shift, extension));
    }
    map
}

impl SimNet {
    pub(super) fn new(seed: u64) -> Self {
        Self::with_shards(seed, 1)
    }

    /// A network with so many shards.
    pub(super) fn with_shards(seed: u64, shards: usize) -> Self {
        let identity = Identity::generate().unwrap();
        let start = Instant::now();
        Self {
            start,
            now: start,
            shards: (0..shards)
                .map(|index| {
                    Shard::new(ShardConfig {
                        index,
                        shards,
                        identity: identity.clone(),
                        channels: LIMITS,
                        loudest: crate::forward::LoudestLimits::default(),
                        seed: seed + index as u64,
                    })
                })
                .collect(),
            clients: Vec::new(),
            events: Vec::new(),
            data: false,
            control_moves: true,
            holding: Holding::default(),
            arrived: Vec::new(),
            seed,
            rng: StdRng::seed_from_u64(seed),
            batch: Batch::new(),
            identity,
            flights: BTreeMap::new(),
            link_delay: (Duration::ZERO, Duration::ZERO),
            link_flights: BTreeMap::new(),
            link_latest: BTreeMap::new(),
            sends: 0,
            protected: HashMap::new(),
            crossed: BTreeMap::new(),
            order: 0,
            client_by_address: HashMap::new(),
            next_ssrc: 0x5000_0000,
        }
    }

    /// A network with so many connected clients, of one call.
    pub(super) fn with_clients(seed: u64, clients: usize) -> Self {
        let mut sim = Self::new(seed);
        for _ in 0..clients {
            sim.join();
        }
        sim.connect();
        sim
    }

    /// Adds a client, which begins to connect.
    pub(super) fn join(&mut self) -> usize {
        self.join_on(0)
    }

    /// Adds a client on one of the shards.
    pub(super) fn join_on(&mut self, shard: usize) -> usize {
        let client = self.clients.len();
        let peer = PeerId(100 + client as u64);
        let participant = ParticipantId(client as u64);
        let address: SocketAddr = ([198, 51, 100, client as u8], 4000).into();
        let ice = credentials("client", client, 0);
        let server_ice = credentials("server", client, 0);
        let transport = Transport::new(&self.identity, ice.clone(), LIMITS);
        let extensions = extensions(client);
        let in_call = |shard: &usize| self.clients.iter().any(|c| c.shard == *shard && !c.left);
        let add = Command::AddPeer {
            peer,
            call: CallId(1),
            participant,
            shards: (0..self.shards.len()).filter(in_call).collect(),
            local_ice: server_ice.clone(),
        };
        self.command_to(shard, add.clone());
        let mut new = Client::new(
            self.now, peer, ice, server_ice, address, transport, extensions,
        );
        new.shard = shard;
        new.told.push(add);
        self.clients.push(new);
        self.arrived.push(BTreeMap::new());
        self.client_by_address.insert(address, client);
        self.describe(client);
        self.command(Command::SetExtensions {
            peer,
            extensions: Box::new(extensions),
        });
        client
    }

    /// Both sides learn the other's transport.
    fn describe(&mut self, client: usize) {
        let this = &mut self.clients[client];
        let theirs = TransportParameters {
            local_ice: this.ice.clone(),
            remote_ice: this.server_ice.clone(),
            fingerprints: vec![self.identity.fingerprint()],
            role: DtlsRole::Client,
            sctp: self.data.then_some(SctpParameters {
                remote_port: 5000,
                max_message_size: 65_536,
            }),
        };
        this.transport.set_parameters(self.now, &theirs);
        let transport = TransportParameters {
            local_ice: theirs.remote_ice,
            remote_ice: theirs.local_ice,
            role: DtlsRole::Server,
            ..theirs
        };
        let peer = this.peer;
        self.command(Command::SetTransport { peer, transport });
    }

    /// Other credentials on both sides, as after `restartIce()`.
    pub(super) fn restart_ice(&mut self, client: usize) {
        let this = &mut self.clients[client];
        this.ice = credentials("client", client, 1);
        this.server_ice = credentials("server", client, 1);
        self.describe(client);
    }

    /// The client is in another network now.
    pub(super) fn move_to(&mut self, client: usize, address: SocketAddr) {
        self.clients[client].address = address;
        self.client_by_address.insert(address, client);
    }

    /// Runs until all are connected.
    pub(super) fn connect(&mut self) {
        for _ in 0..50 {
            if self.clients.iter().all(|client| client.connected) {
                // The shard's side may be one flight behind.
                return self.run(ms(50));
            }
            self.run(ms(50));
        }
        panic!("not connected");
    }

    /// Publishes a source from now on, and returns its index.
    pub(super) fn publish(&mut self, client: usize, source: Source) -> usize {
        let index = self.add_publication(client, source, None, 0);
        let publication = &self.clients[client].publications[index];
        let pair = SsrcPair {
            ssrc: publication.ssrc,
            rtx: publication.rtx_ssrc,
        };
        let parameters = self.receive_parameters(client, index, source, vec![pair], Vec::new());
        self.set_receiver(client, parameters);
        index
    }

    /// Publishes layers that only rids tell apart, best first. Returns the first index.
    pub(super) fn publish_layers(&mut self, client: usize, source: Source, rids: &[&str]) -> usize {
        let rids: Vec<Rid> = rids.iter().map(|rid| rid.parse().unwrap()).collect();
        let first = self.clients[client].publications.len();
        for (layer, rid) in rids.iter().enumerate() {
            let index = self.add_publication(client, source, Some(*rid), layer as u32);
            self.clients[client].publications[index].mid = mid_of(first);
        }
        let parameters = self.receive_parameters(client, first, source, Vec::new(), rids);
        self.set_receiver(client, parameters);
        first
    }

    pub(super) fn receive_parameters(
        &self,
        client: usize,
        index: usize,
        source: Source,
        ssrcs: Vec<SsrcPair>,
        rids: Vec<Rid>,
    ) -> ReceiveParameters {
        ReceiveParameters {
            mid: self.clients[client].publications[index].mid,
            track: source.track,
            kind: source.kind,
            voice: source.voice,
            codecs: codecs(client, source.kind, source.nack),
            ssrcs,
            rids,
        }
    }

    pub(super) fn set_receiver(&mut self, client: usize, parameters: ReceiveParameters) {
        self.command(Command::SetReceiver {
            peer: self.clients[client].peer,
            mid: parameters.mid,
            parameters: Some(parameters),
        });
    }

    fn add_publication(
        &mut self,
        client: usize,
        source: Source,
        rid: Option<Rid>,
        layer: u32,
    ) -> usize {
        let index = self.clients[client].publications.len();
        let codec = codecs(client, source.kind, source.nack)[0];
        let ssrc = source.ssrc + layer * 2;
        let publication = Publication {
            mid: mid_of(index),
            rid,
            tag: source.tag() + layer,
            ssrc,
            rtx_ssrc: source.rtx.then_some(ssrc + 1),
            sequence: self.rng.random_range(0..1 << 15),
            rtx_sequence: self.rng.random_range(0..1 << 15),
            timestamp: self.rng.random(),
            picture_id: self.rng.random_range(0..1 << 15),
            tl0_pic_idx: self.rng.random(),
            ..Publication::new(self.now, source, codec)
        };
        self.clients[client].publications.push(publication);
        index
    }

    /// Sends a track to a client from now on. Returns the receiver's index.
    pub(super) fn subscribe(&mut self, client: usize, source: Source) -> usize {
        self.subscribe_as(client, source, true)
    }

    /// The same, saying whether the client may ask for packets again.
    pub(super) fn subscribe_as(&mut self, client: usize, source: Source, nack: bool) -> usize {
        let index = self.clients[client].receivers.len();
        let video = source.kind == MediaKind::Video;
        let ssrc = self.next_ssrc;
        self.next_ssrc += 2;
        let parameters = SendParameters {
            mid: format!("s{index}").parse().unwrap(),
            track: source.track,
            participant: self.publisher_of(source),
            home: source.home,
            kind: source.kind,
            ssrc,
            rtx_ssrc: video.then_some(ssrc + 1),
            codecs: codecs(client, source.kind, nack),
        };
        self.subscribe_with(client, parameters)
    }

    /// Who publishes a source, now or, as far as is known here, later.
    fn publisher_of(&self, source: Source) -> ParticipantId {
        let is_it = |client: &Client| client.publications.iter().any(|p| p.track == source.track);
        let client = self.clients.iter().position(is_it);
        ParticipantId(client.unwrap_or(usize::MAX) as u64)
    }

    pub(super) fn subscribe_with(&mut self, client: usize, parameters: SendParameters) -> usize {
        let peer = self.clients[client].peer;
        let receiver = Receiver::new(parameters.clone());
        self.clients[client].receivers.push(receiver);
        self.command(Command::SetSender {
            peer,
            mid: parameters.mid,
            parameters: Some(parameters),
        });
        self.clients[client].receivers.len() - 1
    }

    pub(super) fn unsubscribe(&mut self, client: usize, receiver: usize) {
        let this = &self.clients[client];
        let (peer, mid) = (this.peer, this.receivers[receiver].parameters.mid);
        self.command(Command::SetSender {
            peer,
            mid,
            parameters: None,
        });
    }

    pub(super) fn pause(&mut self, client: usize, source: Source, paused: bool) {
        let wish = Wish {
            paused,
            ..Wish::default()
        };
        self.wish(client, source, wish);
    }

    /// Says what a client needs of a source.
    pub(super) fn wish(&mut self, client: usize, source: Source, wish: Wish) {
        self.command(Command::SetWish {
            peer: self.clients[client].peer,
            track: source.track,
            wish,
        });
    }

    pub(super) fn mute(&mut self, client: usize, source: Source, muted: bool) {
        self.command(Command::SetMuted {
            peer: self.clients[client].peer,
            track: source.track,
            muted,
        });
    }

    /// Tells the shard of its peer.
    pub(super) fn command(&mut self, command: Command) {
        let Some(peer) = command.peer() else {
            for shard in 0..self.shards.len() {
                self.command_to(shard, command.clone());
            }
            return;
        };
        let mut clients = self.clients.iter_mut();
        let of_peer = clients.find(|client| client.peer == peer);
        let shard = of_peer.map_or(0, |client| {
            if !client.connected {
                client.told.push(command.clone());
            }
            client.shard
        });
        self.command_to(shard, command);
    }

    pub(super) fn command_to(&mut self, shard: usize, command: Command) {
        self.guarded(shard, |shard, now, batch| {
            shard.handle_command(now, command, batch);
        });
        self.flush(shard);
    }

    /// Takes a client out of the call. It sends nothing any more.
    pub(super) fn leave(&mut self, client: usize) {
        let this = &mut self.clients[client];
        (this.left, this.checking) = (true, false);
        for publication in &mut this.publications {
            publication.running = false;
        }
        let peer = this.peer;
        self.command(Command::RemovePeer { peer });
    }

    /// Ends what a client publishes on an m-line.
    pub(super) fn unpublish(&mut self, client: usize, publication: usize) {
        let this = &mut self.clients[client];
        this.publications[publication].running = false;
        let (peer, mid) = (this.peer, this.publications[publication].mid);
        self.command(Command::SetReceiver {
            peer,
            mid,
            parameters: None,
        });
    }

    pub(super) fn receiver(&self, client: usize, index: usize) -> &Receiver {
        &self.clients[client].receivers[index]
    }

    pub(super) fn publication(&self, client: usize, index: usize) -> &Publication {
        &self.clients[client].publications[index]
    }

    pub(super) fn publication_mut(&mut self, client: usize, index: usize) -> &mut Publication {
        &mut self.clients[client].publications[index]
    }

    pub(super) fn stats(&mut self, client: usize) -> PeerStats {
        let peer = self.clients[client].peer;
        self.command(Command::Stats { peer });
        match self.events.pop() {
            Some(Event::Stats { peer: whose, stats }) if whose == peer => *stats,
            other => panic!("no statistics but {other:?}"),
        }
    }

    /// What happened to a subscription so far.
    pub(super) fn timeline(&mut self, client: usize, source: Source) -> Vec<TimelineEntry> {
        let peer = self.clients[client].peer;
        let track = source.track;
        self.command(Command::Timeline { peer, track });
        match self.events.pop() {
            Some(Event::Timeline { entries, .. }) => entries,
            other => panic!("no timeline but {other:?}"),
        }
    }

    pub(super) fn drops(&self, reason: DropReason) -> u64 {
        self.shards.iter().map(|s| s.drops().of(reason)).sum()
    }

    /// Puts a datagram into the shard's way, as if `address` had sent it.
    pub(super) fn inject(&mut self, address: SocketAddr, datagram: &[u8]) {
        self.inject_to(0, address, datagram);
    }

    pub(super) fn inject_to(&mut self, shard: usize, address: SocketAddr, datagram: &[u8]) {
        let (path, mut datagram) = (path_from(address), datagram.to_vec());
        self.guarded(shard, |shard, now, batch| {
            if let Err(stray) = shard.handle_datagram(now, path, &mut datagram, batch) {
                shard.drop_stray(stray);
            }
        });
        self.flush(shard);
    }

    /// Puts a datagram into a shard's way that came to the socket of another.
    pub(super) fn hand_over(
        &mut self,
        by: usize,
        shard: usize,
        address: SocketAddr,
        datagram: &[u8],
    ) {
        let (path, mut datagram) = (path_from(address), datagram.to_vec());
        self.guarded(shard, |shard, now, batch| {
            if let Err(stray) = shard.handle_handed_over(now, by, path, &mut datagram, batch) {
                shard.drop_stray(stray);
            }
        });
        self.flush(shard);
    }

    /// Does what control does when another shard hears a peer first.
    fn move_peer(&mut self, peer: PeerId, by: usize, path: Path, check: &Bytes) {
        let mover = self.clients.iter().position(|client| client.peer == peer);
        let mover = mover.expect("a client's peer");
        let from = std::mem::replace(&mut self.clients[mover].shard, by);
        self.command_to(from, Command::RemovePeer { peer });
        let in_call = |shard: &usize| {
            let is_there = |client: &Client| client.shard == *shard && !client.left;
            *shard != by && self.clients.iter().any(is_there)
        };
        let in_call: Vec<usize> = (0..self.shards.len()).filter(in_call).collect();
        for mut command in self.clients[mover].told.clone() {
            if let Command::AddPeer { shards, .. } = &mut command {
                shards.clone_from(&in_call);
            }
            self.command_to(by, command);
        }
        let check = check.clone();
        self.command_to(by, Command::Hear { peer, path, check });
        let publications = self.clients[mover].publications.iter();
        let tracks: Vec<TrackId> = publications.map(|p| p.track).collect();
        let mut followers = Vec::new();
        for client in self.clients.iter_mut().filter(|client| !client.left) {
            for receiver in &mut client.receivers {
                if tracks.contains(&receiver.parameters.track) {
                    receiver.parameters.home = by;
                    followers.push((client.peer, receiver.parameters.clone()));
                }
            }
        }
        for (peer, parameters) in followers {
            self.command(Command::SetSender {
                peer,
                mid: parameters.mid,
                parameters: Some(parameters),
            });
        }
    }

    /// Does something with a shard, and after a bug that a test has put there what the shard's thread does then.
    fn guarded(&mut self, shard: usize, work: impl FnOnce(&mut Shard, Instant, &mut Batch)) {
        let Self {
            shards, now, batch, ..
        } = self;
        let shard = &mut shards[shard];
        let had_bug = shard.bugs.is_there();
        let done = catch_unwind(AssertUnwindSafe(|| work(shard, *now, batch)));
        match done {
            Ok(()) => {}
            Err(_) if had_bug => shard.abandon_current(*now, batch),
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Stops all publications and lets repairs come to their end.
    pub(super) fn settle(&mut self) {
        for client in &mut self.clients {
            for publication in &mut client.publications {
                publication.running = false;
            }
            for link in [&mut client.up, &mut client.down] {
                (link.loss, link.duplication, link.reordering) = (0.0, 0.0, 0.0);
            }
        }
        self.run(ms(700));
        assert!(self.clients.iter().all(|client| client.strange == 0));
    }

    /// After everybody has left.
    pub(super) fn assert_nothing_left(&self) {
        for shard in &self.shards {
            assert!(shard.peers.is_empty() && shard.peer_by_id.is_empty());
            assert!(shard.tracks.is_empty() && shard.track_by_id.is_empty());
            assert!(shard.subscriptions.is_empty() && shard.waiting_by_track.is_empty());
            assert!(shard.outlets_by_track.is_empty() && shard.demux.is_empty());
            assert!(shard.calls.is_empty() && shard.call_by_id.is_empty());
            assert_eq!(shard.poll_timeout(), None, "no timer is left");
        }
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        let mut rounds = 0;
        loop {
            self.exchange();
            let flight = self.flights.first_key_value().map(|((due, _), _)| *due);
            let link = self.link_flights.first_key_value();
            let shards = self.shards.iter().filter_map(Shard::poll_timeout);
            let clients = self.clients.iter().filter_map(Client::poll_timeout);
            let next = clients
                .chain(flight)
                .chain(link.map(|((due, _), _)| *due))
                .chain(shards)
                .chain(self.batch.due())
                .min()
                .filter(|next| *next <= end);
            let Some(next) = next else {
                self.now = end;
                return;
            };
            rounds = if next > self.now { 0 } else { rounds + 1 };
            assert!(rounds < MAX_ROUNDS, "somebody spins");
            self.now = self.now.max(next);
        }
    }

    /// Does all that is due.
    fn exchange(&mut self) {
        self.batch.begin(self.now, self.holding);
        for client in 0..self.clients.len() {
            if self.clients[client]
                .poll_timeout()
                .is_some_and(|due| due <= self.now)
            {
                self.clients[client].handle_timeout(self.start, self.now);
            }
            self.send_up(client);
        }
        for shard in 0..self.shards.len() {
            let this = &mut self.shards[shard];
            if this.poll_timeout().is_some_and(|due| due <= self.now) {
                self.guarded(shard, |shard, now, batch| {
                    shard.handle_timeout(now, batch);
                });
                self.flush(shard);
            }
        }
        self.send_due();
        while let Some(entry) = self.link_flights.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let LinkFlight {
                from,
                to,
                mut batch,
            } = entry.remove();
            self.shards[to].handle_link(self.now, from, &mut batch, &mut self.batch);
            assert!(batch.is_read());
            self.shards[from].recycle_link(to, batch);
            self.flush(to);
        }
        while let Some(entry) = self.flights.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let flight = entry.remove();
            self.deliver(flight);
        }
    }

    fn deliver(&mut self, flight: Flight) {
        let Flight {
            client,
            up,
            address,
            mut datagram,
        } = flight;
        if up {
            self.note_arrival(client, &datagram);
            let shard = self.clients[client].shard;
            match self.clients[client].heard_by {
                Some(by) if by != shard => self.hand_over(by, shard, address, &datagram),
                _ => self.inject_to(shard, address, &datagram),
            }
        } else if self.clients[client].address == address {
            self.clients[client].handle_datagram(self.now, &mut datagram);
            self.send_up(client);
        }
    }

    fn note_arrival(&mut self, client: usize, datagram: &[u8]) {
        if classify(datagram) != Some(DatagramKind::Rtp) {
            return;
        }
        let view = HeaderView::parse(datagram).unwrap();
        let number = view
            .extensions(&self.clients[client].extensions)
            .transport_cc;
        if let Some(number) = number {
            self.arrived[client].entry(number).or_insert(self.now);
        }
    }

    /// Sends what a client has to send.
    pub(super) fn send_up(&mut self, client: usize) {
        while let Some(datagram) = self.clients[client].out.pop_front() {
            self.send(client, true, self.clients[client].address, &datagram);
        }
    }

    /// Takes what a shard sends and tells.
    fn flush(&mut self, shard: usize) {
        self.send_due();
        let events: Vec<Event> = std::iter::from_fn(|| self.shards[shard].poll_event()).collect();
        for event in &events {
            self.heed(event);
        }
        self.events.extend(events);
        while let Some((to, batch)) = self.shards[shard].poll_link() {
            let (least, most) = self.link_delay;
            let latest = self.link_latest.entry((shard, to)).or_insert(self.now);
            let due = self.now + self.rng.random_range(least..=most);
            *latest = due.max(*latest);
            self.order += 1;
            *self.crossed.entry((shard, to)).or_default() += batch.packets();
            let flight = LinkFlight {
                from: shard,
                to,
                batch,
            };
            self.link_flights.insert((*latest, self.order), flight);
        }
    }

    /// Control moves peers, and publishers do as they are told, where a test wants that.
    fn heed(&mut self, event: &Event) {
        if let Event::Heard {
            peer,
            by,
            path,
            check,
        } = event
        {
            if self.control_moves {
                self.move_peer(*peer, *by, *path, check);
            }
            return;
        }
        let Event::Wanted { peer, mid, rids } = event else {
            return;
        };
        let client = self.clients.iter_mut().find(|client| client.peer == *peer);
        let Some(client) = client.filter(|client| client.heeds) else {
            return;
        };
        let publications = client.publications.iter_mut();
        for publication in publications.filter(|publication| publication.mid == *mid) {
            let wanted = publication.rid.is_some_and(|rid| rids.contains(&rid));
            publication.want(self.now, wanted);
        }
    }

    /// Sends the lanes whose time has come.
    fn send_due(&mut self) {
        let mut batch = std::mem::take(&mut self.batch);
        while let Some(lane) = batch.next_due(Some(self.now)) {
            let remote = lane.path().remote;
            let client = self.client_by_address.get(&remote).copied();
            self.sends += lane.runs(64).count();
            for datagram in lane.datagrams() {
                assert!(datagram.len() <= 1_300, "{} bytes", datagram.len());
                let client = client.expect("only clients are sent to");
                self.assert_protected_once(client, datagram);
                self.send(client, false, remote, datagram);
            }
        }
        self.batch = batch;
    }

    /// One number and key never protect two different packets (RFC 7714 section 8.1).
    fn assert_protected_once(&mut self, client: usize, datagram: &[u8]) {
        if classify(datagram) != Some(DatagramKind::Rtp) {
            return;
        }
        let view = HeaderView::parse(datagram).unwrap();
        let key = (client, view.fields().ssrc, view.sequence());
        let first = self.protected.entry(key);
        let first = first.or_insert_with(|| datagram.to_vec());
        assert!(first == datagram, "{key:x?} protects two packets");
    }

    fn send(&mut self, client: usize, up: bool, address: SocketAddr, datagram: &[u8]) {
        let this = &mut self.clients[client];
        let link = if up { &mut this.up } else { &mut this.down };
        for due in link
            .send(self.now, &mut self.rng, datagram)
            .into_iter()
            .flatten()
        {
            self.order += 1;
            let flight = Flight {
                client,
                up,
                address,
                datagram: datagram.to_vec(),
            };
            self.flights.insert((due, self.order), flight);
        }
    }
}

pub(super) fn mid_of(publication: usize) -> Mid {
    format!("{publication}").parse().unwrap()
}
