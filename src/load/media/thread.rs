//! The thread itself: waits for datagrams, commands and timers, and gives them to the endpoints.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use mio::{Events, Interest, Poll, Token, Waker};
use rustc_hash::FxHashMap;
use slab::Slab;
use tokio::sync::{mpsc, watch};

use super::link::{Fate, Link};
use super::socket::{PeerSocket, ReadBuffers};
use super::{Measured, MediaCommand, NewPeer, PeerKey, PeerProgress, PeerState};
use crate::load::endpoint::{Endpoint, Outbox, Surroundings};
use crate::load::measure::Tally;
use crate::load::options::Impairment;
use crate::load::peer::MediaHandle;
use crate::transport::{DatagramKind, Identity, classify};

/// Of the waker; sockets have the tokens below it.
const WAKER: Token = Token(usize::MAX);
const EVENTS: usize = 1_024;
/// How long nobody else gets the port of a peer that went without a word. A server may take what comes from there for the
/// one it knows; clients of networks of their own do not meet like that.
const PORT_KEPT: Duration = Duration::from_secs(10);

/// What holds for all peers of a run.
#[derive(Clone, Debug)]
pub(crate) struct MediaSettings {
    /// The certificate that all clients share.
    pub(crate) identity: Identity,
    /// The network that clients are told to have.
    pub(crate) impairment: Impairment,
    /// One of so many packets of a stream is decrypted.
    pub(crate) sample: u32,
}

/// The running thread. It ends when it is dropped.
pub(crate) struct MediaThread {
    handle: MediaHandle,
    thread: Option<JoinHandle<()>>,
}

impl MediaThread {
    /// Starts it.
    pub(crate) fn start(settings: MediaSettings) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (sender, commands) = mpsc::unbounded_channel();
        let handle = MediaHandle::new(sender, waker, settings.identity.fingerprint());
        let media = Media {
            poll,
            commands,
            tally: Tally::new(Instant::now()),
            settings,
            peers: Slab::new(),
            index_by_key: FxHashMap::default(),
            timers: BinaryHeap::new(),
            delayed: BinaryHeap::new(),
            delays: 0,
            left: VecDeque::new(),
            room: ReadBuffers::default(),
            out: Outbox::default(),
        };
        let thread = std::thread::Builder::new()
            .name("load-media".to_owned())
            .spawn(move || media.run())?;
        Ok(Self {
            handle,
            thread: Some(thread),
        })
    }

    /// The way to it.
    pub(crate) fn handle(&self) -> &MediaHandle {
        &self.handle
    }
}

impl Drop for MediaThread {
    fn drop(&mut self) {
        self.handle.send(MediaCommand::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One peer with its socket and its network.
struct PeerIo {
    key: PeerKey,
    client: usize,
    socket: PeerSocket,
    endpoint: Endpoint,
    up: Link,
    down: Link,
    /// The timer that counts; others in the heap are stale.
    scheduled: Option<Instant>,
    state: watch::Sender<PeerState>,
}

/// A datagram that the network holds.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Delayed {
    due: Instant,
    /// Equal times keep their order.
    order: u64,
    index: usize,
    key: PeerKey,
    /// To the server.
    up: bool,
    remote: SocketAddr,
    datagram: Vec<u8>,
}

/// What the thread owns.
struct Media {
    poll: Poll,
    commands: mpsc::UnboundedReceiver<MediaCommand>,
    tally: Tally,
    settings: MediaSettings,
    peers: Slab<PeerIo>,
    index_by_key: FxHashMap<PeerKey, usize>,
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    delayed: BinaryHeap<Reverse<Delayed>>,
    delays: u64,
    /// Sockets of those that went without a word, and until when they are kept.
    left: VecDeque<(Instant, PeerSocket)>,
    room: ReadBuffers,
    out: Outbox,
}

impl Media {
    fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let next = self.next_due();
            let wait = next.map(|next| next.saturating_duration_since(Instant::now()));
            if let Err(error) = self.poll.poll(&mut events, wait)
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "the media thread cannot wait for its sockets");
                return;
            }
            for event in &events {
                match event.token() {
                    WAKER => {}
                    Token(index) => self.read(index),
                }
            }
            while let Ok(command) = self.commands.try_recv() {
                if matches!(command, MediaCommand::Stop) {
                    return;
                }
                self.handle_command(command);
            }
            self.pass_delayed();
            self.handle_timers();
        }
    }

    /// When there is something to do by itself.
    fn next_due(&self) -> Option<Instant> {
        let timer = self.timers.peek().map(|Reverse((due, _))| *due);
        let delayed = self.delayed.peek().map(|Reverse(delayed)| delayed.due);
        [timer, delayed].into_iter().flatten().min()
    }

    /// Reads a socket until it is empty.
    fn read(&mut self, index: usize) {
        let mut again = true;
        while again {
            let Some(peer) = self.peers.get_mut(index) else {
                return;
            };
            let now = Instant::now();
            let mut around = Surroundings {
                now,
                tally: &mut self.tally,
                out: &mut self.out,
            };
            let (endpoint, down) = (&mut peer.endpoint, &mut peer.down);
            let (delayed, delays) = (&mut self.delayed, &mut self.delays);
            let times = (now, SystemTime::now());
            again = peer
                .socket
                .read(times, &mut self.room, |at, from, datagram| {
                    around.now = at;
                    match down.pass(at) {
                        Fate::Passes => endpoint.handle_datagram(&mut around, from, datagram),
                        Fate::Lost => around.tally.loss.injected += u64::from(is_media(datagram)),
                        Fate::Waits(due) => {
                            *delays += 1;
                            delayed.push(Reverse(Delayed {
                                due,
                                order: *delays,
                                index,
                                key: peer.key,
                                up: false,
                                remote: from,
                                datagram: datagram.to_vec(),
                            }));
                        }
                    }
                });
            self.settle(index);
        }
    }

    /// Lets pass what the network held until now.
    fn pass_delayed(&mut self) {
        while let Some(Reverse(next)) = self.delayed.peek() {
            let now = Instant::now();
            if next.due > now {
                return;
            }
            let Some(Reverse(mut held)) = self.delayed.pop() else {
                return;
            };
            let Some(peer) = self.peers.get_mut(held.index) else {
                continue;
            };
            if peer.key != held.key {
                continue;
            }
            if held.up {
                if !peer.socket.send(held.remote, &held.datagram) {
                    self.tally.loss.unsent += 1;
                }
                continue;
            }
            let mut around = Surroundings {
                now,
                tally: &mut self.tally,
                out: &mut self.out,
            };
            let endpoint = &mut peer.endpoint;
            endpoint.handle_datagram(&mut around, held.remote, &mut held.datagram);
            self.settle(held.index);
        }
    }

    fn handle_timers(&mut self) {
        while let Some(&Reverse((due, index))) = self.timers.peek() {
            let now = Instant::now();
            if due > now {
                return;
            }
            self.timers.pop();
            let Some(peer) = self.peers.get_mut(index) else {
                continue;
            };
            if peer.scheduled != Some(due) {
                continue;
            }
            peer.scheduled = None;
            self.within(index, now, |endpoint, around| {
                endpoint.handle_timeout(around);
            });
        }
    }

    fn handle_command(&mut self, command: MediaCommand) {
        let now = Instant::now();
        match command {
            MediaCommand::AddPeer(peer) => self.add(now, *peer),
            MediaCommand::SetTransport(key, setup) => {
                self.with(key, now, |endpoint, around| {
                    endpoint.set_transport(around, &setup);
                });
            }
            MediaCommand::ConnectWithoutHandshake(key, remote, srtp) => {
                self.with(key, now, |endpoint, around| {
                    endpoint.connect_without_handshake(around.now, remote, srtp);
                });
            }
            MediaCommand::AddCandidate(key, address) => {
                self.with(key, now, |endpoint, around| {
                    endpoint.add_candidate(around.now, address);
                });
            }
            MediaCommand::SetMedia(key, setup) => {
                self.with(key, now, |endpoint, around| {
                    endpoint.set_media(around.now, &setup);
                });
            }
            MediaCommand::SetLayers(key, mid, rids) => {
                self.with(key, now, |endpoint, _| endpoint.set_layers(mid, &rids));
            }
            MediaCommand::RemovePeer(key) => {
                self.with(key, now, |endpoint, around| endpoint.close(around));
                self.remove(key);
            }
            MediaCommand::ForgetPeer(key) => {
                while self.left.front().is_some_and(|(until, _)| *until <= now) {
                    self.left.pop_front();
                }
                if let Some(peer) = self.remove(key) {
                    self.left.push_back((now + PORT_KEPT, peer.socket));
                }
            }
            MediaCommand::Progress(answer) => {
                let peers = self.peers.iter();
                let progress =
                    |(_, peer): (usize, &PeerIo)| peer.progress(peer.endpoint.tracks_with_media());
                let _ = answer.send(peers.map(progress).collect());
            }
            MediaCommand::Measure(answer) => {
                let mut peers = Vec::with_capacity(self.peers.len());
                for (_, peer) in &mut self.peers {
                    let flowing = peer.endpoint.take(&mut self.tally);
                    peers.push(peer.progress(flowing));
                }
                let measured = Measured {
                    at: now,
                    tally: self.tally.take(),
                    peers,
                };
                let _ = answer.send(Box::new(measured));
            }
            MediaCommand::Stop => {}
        }
    }

    fn add(&mut self, now: Instant, new: NewPeer) {
        let socket = PeerSocket::new(new.socket);
        let entry = self.peers.vacant_entry();
        let index = entry.key();
        let registered = socket.and_then(|mut socket| {
            let registry = self.poll.registry();
            registry.register(&mut socket.socket, Token(index), Interest::READABLE)?;
            Ok(socket)
        });
        let socket = match registered {
            Ok(socket) => socket,
            Err(error) => {
                let reason = format!("its UDP socket cannot be used: {error}");
                let _ = new.state.send(PeerState::Failed(reason));
                return;
            }
        };
        let settings = &self.settings;
        let endpoint = Endpoint::new(&settings.identity, new.local_ice, new.seed, settings.sample);
        entry.insert(PeerIo {
            key: new.key,
            client: new.client,
            socket,
            endpoint,
            up: Link::new(settings.impairment, new.seed ^ 1),
            down: Link::new(settings.impairment, new.seed ^ 2),
            scheduled: None,
            state: new.state,
        });
        self.index_by_key.insert(new.key, index);
        self.within(index, now, |_, _| {});
    }

    fn remove(&mut self, key: PeerKey) -> Option<PeerIo> {
        let index = self.index_by_key.remove(&key)?;
        let mut peer = self.peers.remove(index);
        let _ = self.poll.registry().deregister(&mut peer.socket.socket);
        Some(peer)
    }

    /// Does something with the endpoint of a peer, if there still is one.
    fn with(
        &mut self,
        key: PeerKey,
        now: Instant,
        work: impl FnOnce(&mut Endpoint, &mut Surroundings<'_>),
    ) {
        if let Some(&index) = self.index_by_key.get(&key) {
            self.within(index, now, work);
        }
    }

    fn within(
        &mut self,
        index: usize,
        now: Instant,
        work: impl FnOnce(&mut Endpoint, &mut Surroundings<'_>),
    ) {
        if let Some(peer) = self.peers.get_mut(index) {
            let mut around = Surroundings {
                now,
                tally: &mut self.tally,
                out: &mut self.out,
            };
            work(&mut peer.endpoint, &mut around);
            self.settle(index);
        }
    }

    /// After anything was done with an endpoint: sends what it wants to send, tells what became of it, and
    /// sets its timer.
    fn settle(&mut self, index: usize) {
        let Some(peer) = self.peers.get_mut(index) else {
            return;
        };
        for (to, datagram) in self.out.iter() {
            match peer.up.pass(Instant::now()) {
                Fate::Passes => {
                    if !peer.socket.send(to, datagram) {
                        self.tally.loss.unsent += 1;
                    }
                }
                Fate::Lost => self.tally.loss.injected += u64::from(is_media(datagram)),
                Fate::Waits(due) => {
                    self.delays += 1;
                    self.delayed.push(Reverse(Delayed {
                        due,
                        order: self.delays,
                        index,
                        key: peer.key,
                        up: true,
                        remote: to,
                        datagram: datagram.to_vec(),
                    }));
                }
            }
        }
        self.out.clear();
        if *peer.state.borrow() != *peer.endpoint.state() {
            peer.state.send_replace(peer.endpoint.state().clone());
            if let Some(remote) = peer.endpoint.remote() {
                peer.socket.connect(remote);
            }
        }
        let due = peer.endpoint.poll_timeout();
        if let Some(due) = due
            && peer.scheduled.is_none_or(|scheduled| due < scheduled)
        {
            peer.scheduled = Some(due);
            self.timers.push(Reverse((due, index)));
        }
    }
}

impl PeerIo {
    fn progress(&self, tracks: usize) -> PeerProgress {
        PeerProgress {
            client: self.client,
            state: self.endpoint.state().clone(),
            connected: self.endpoint.connected_at(),
            srtp: self.endpoint.srtp_profile(),
            tracks,
        }
    }
}

fn is_media(datagram: &[u8]) -> bool {
    classify(datagram) == Some(DatagramKind::Rtp)
}
