//! The core's root: one `Shard` for each core of the machine, sans-IO.
//!
//! Called by [`crate::runtime`], which tells it the time and hands it datagrams and commands. It never
//! names a socket, a clock or an executor, and never sees SDP.
//!
//! A packet's walk through these files: `mod` (first byte, address table) → `ingress` (SSRC table, replay
//! check, decryption, receive state, history) → `loudest` (in a large call: is it?) → `fanout` (for each subscription: new header straight
//! into the batch, encryption there; for each other shard with subscriptions once into the batch of the `link`). RTCP from peers is read in `feedback`, ours is written in
//! `service`, on timers. What is sent of the past (a keyframe that was kept, packets that are asked for again) is paced in
//! `replay`. Commands are applied in `apply`, data channels relayed in `relay`. Which layer of a track each
//! subscription is sent is decided in `adapt`, a few times a second; `probe` finds out what a peer's network carries beside
//! what it is sent.

mod adapt;
mod apply;
mod batch;
mod channels;
mod command;
mod demux;
mod event;
mod fanout;
mod feedback;
mod ingress;
mod link;
mod loudest;
mod parameters;
mod peer;
mod prefetch;
mod probe;
mod relay;
mod replay;
mod service;
mod spares;
mod stats;
mod subscription;
#[cfg(test)]
pub(crate) mod tests;
mod timeline;
mod timers;
mod track;
mod ufrag;

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use slab::Slab;
use tracing::Span;

pub use batch::{Batch, DueLane, Holding, Lane, LaneSlot};
pub use command::Command;
pub use event::{
    Event, FailReason, ForwardedLayer, InboundStats, KeyframeReason, LayerReason, OutboundStats,
    PeerStats, Quality, TimelineEntry, TimelineEvent,
};
pub use link::LinkBatch;
pub use parameters::{
    CallId, CodecParameters, DtlsRole, Fingerprint, FingerprintHash, IceCredentials, ParticipantId,
    PeerId, ReceiveParameters, SctpParameters, SendParameters, SsrcPair, TrackId,
    TransportParameters, Wish,
};

pub(crate) use spares::Spares;
pub(crate) use ufrag::{shard_letter, shard_of_ufrag};

use crate::forward::{DropCounts, DropReason, Loudest, LoudestLimits, Speakers};
use crate::transport::{
    ChannelLimits, DatagramKind, Endpoint, Identity, Path, TransportEvent, classify, stun_username,
};
use demux::Demux;
use link::{Outbox, Outlet, RemoteChannel};
use peer::{Hearing, Peer};
use subscription::Subscription;
use timers::{Beat, Timer, Timers};
use track::Track;

/// What a shard needs to know at its start.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Its number, from 0 on.
    pub index: usize,
    /// How many there are: those that it may have links to.
    pub shards: usize,
    /// The server's certificate.
    pub identity: Identity,
    /// What one peer's data channels may use.
    pub channels: ChannelLimits,
    /// Which audio of a large call is forwarded.
    pub loudest: LoudestLimits,
    /// Makes SSRCs and initial sequence numbers. Must not be guessable in production.
    pub seed: u64,
}

/// One core's peers, tracks and subscriptions, all owned by `&mut`.
///
/// Eight doors. [`handle_datagram`](Self::handle_datagram), [`handle_handed_over`](Self::handle_handed_over),
/// [`handle_command`](Self::handle_command), [`handle_link`](Self::handle_link) and [`handle_timeout`](Self::handle_timeout) take input and write datagrams into
/// the batch they are given. After any of them, [`poll_event`](Self::poll_event) and [`poll_link`](Self::poll_link)
/// must be called until they are empty, at the latest at the end of a tick, and [`poll_timeout`](Self::poll_timeout)
/// says anew when the next timeout is due.
pub struct Shard {
    config: ShardConfig,
    peers: Slab<Peer>,
    tracks: Slab<Track>,
    subscriptions: Slab<Subscription>,
    calls: Slab<Call>,
    peer_by_id: HashMap<PeerId, usize>,
    track_by_id: HashMap<TrackId, usize>,
    call_by_id: HashMap<CallId, usize>,
    /// Subscriptions to tracks that are not here yet: a callee may accept before its caller is answered.
    waiting_by_track: HashMap<TrackId, Vec<usize>>,
    /// Shards that have subscribed to tracks that are not here yet, or not any more.
    outlets_by_track: HashMap<TrackId, Vec<Outlet>>,
    /// What goes to other shards.
    outbox: Outbox,
    demux: Demux,
    timers: Timers,
    beat: Beat,
    events: VecDeque<Event>,
    drops: DropCounts,
    rng: StdRng,
    /// Names the next source of media.
    next_generation: u32,
    /// Names the next mirror.
    next_epoch: u32,
    /// RTCP is put together here.
    rtcp: Vec<u8>,
    /// What is being worked on, in case of a panic.
    current: Option<Current>,
    #[cfg(test)]
    pub(crate) bugs: tests::bugs::Bugs,
}

/// How much a shard has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Population {
    /// Peers.
    pub peers: usize,
    /// Tracks, those included whose publisher is on another shard.
    pub tracks: usize,
    /// Subscriptions.
    pub subscriptions: usize,
}

/// Whose business a panic would be.
#[derive(Clone, Copy, Debug)]
enum Current {
    /// The peer of this index.
    Peer(usize),
    /// The track of this index, whose publisher is on another shard.
    Mirror(usize),
}

/// Why a datagram is none of this shard's peers'. It is dropped, unless somebody else knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stray(DropReason);

/// What the peers of one call share.
#[derive(Debug)]
struct Call {
    id: CallId,
    /// Those on this shard; none while only others have some.
    peers: Vec<usize>,
    /// The other shards where it has peers.
    shards: Vec<usize>,
    /// The data channels of the participants there.
    remote: Vec<RemoteChannel>,
    speakers: Speakers,
    /// Who spoke lately, here or on other shards.
    recent_speakers: Vec<ParticipantId>,
    /// Which of the audio tracks that are published here are forwarded.
    loudest: Loudest,
    /// When its timer is set.
    due: Option<Instant>,
}

impl Shard {
    /// A shard without peers.
    pub fn new(config: ShardConfig) -> Self {
        let rng = StdRng::seed_from_u64(config.seed);
        Self {
            outbox: Outbox::new(config.index, config.shards),
            config,
            peers: Slab::new(),
            tracks: Slab::new(),
            subscriptions: Slab::new(),
            calls: Slab::new(),
            peer_by_id: HashMap::new(),
            track_by_id: HashMap::new(),
            call_by_id: HashMap::new(),
            waiting_by_track: HashMap::new(),
            outlets_by_track: HashMap::new(),
            demux: Demux::default(),
            timers: Timers::default(),
            beat: Beat::default(),
            events: VecDeque::new(),
            drops: DropCounts::default(),
            rng,
            next_generation: 1,
            next_epoch: 0,
            rtcp: Vec::new(),
            current: None,
            #[cfg(test)]
            bugs: tests::bugs::Bugs::default(),
        }
    }

    /// Takes one datagram, which is decrypted in place. One that is a stray is as it was, and nothing was done with it:
    /// who finds nobody else to take it says so to [`drop_stray`](Self::drop_stray).
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &mut [u8],
        batch: &mut Batch,
    ) -> Result<(), Stray> {
        let result = match classify(datagram) {
            Some(DatagramKind::Stun) => self.handle_stun(now, path, datagram, batch),
            Some(DatagramKind::Dtls) => self.handle_dtls(now, path, datagram, batch),
            Some(DatagramKind::Rtp) => self
                .accept(path, datagram)
                .and_then(|peer| self.handle_rtp(now, peer, datagram, batch)),
            Some(DatagramKind::Rtcp) => self
                .accept(path, datagram)
                .and_then(|peer| self.handle_rtcp(now, peer, datagram, batch)),
            None => Err(DropReason::Malformed),
        };
        // Whoever's it is was noted before anything was done with it.
        let current = self.current.take();
        let Err(reason) = result else {
            return Ok(());
        };
        let Some(current) = current else {
            return Err(Stray(reason));
        };
        self.drops.count(reason);
        let peer = match current {
            Current::Peer(index) => self.peers.get(index),
            Current::Mirror(_) => None,
        };
        tracing::trace!(
            parent: peer.map_or(&Span::none(), |peer| &peer.span),
            from = %path.remote,
            reason = reason.name(),
            "dropped"
        );
        Ok(())
    }

    /// Takes one datagram that came to the socket of another shard, on a port that all share: as
    /// [`handle_datagram`](Self::handle_datagram), but for the first check of a peer. Who hears that first is to own the peer,
    /// and [`Event::Heard`] says so.
    pub fn handle_handed_over(
        &mut self,
        now: Instant,
        heard_by: usize,
        path: Path,
        datagram: &mut [u8],
        batch: &mut Batch,
    ) -> Result<(), Stray> {
        let Some(index) = self.first_heard(now, path, datagram) else {
            return self.handle_datagram(now, path, datagram, batch);
        };
        let peer = &mut self.peers[index];
        tracing::debug!(parent: &peer.span, by = heard_by, "heard first by another shard");
        peer.hearing = Hearing::Elsewhere;
        self.events.push_back(Event::Heard {
            peer: peer.id,
            by: heard_by,
            path,
            check: Bytes::copy_from_slice(datagram),
        });
        Ok(())
    }

    /// The peer whose first valid check this is.
    fn first_heard(&self, now: Instant, path: Path, datagram: &[u8]) -> Option<usize> {
        let ufrag = match classify(datagram) {
            Some(DatagramKind::Stun) => stun_username(datagram)?,
            Some(DatagramKind::Dtls | DatagramKind::Rtp | DatagramKind::Rtcp) | None => {
                return None;
            }
        };
        let index = self.demux.by_ufrag(ufrag)?;
        let peer = self.peers.get(index)?;
        let is_first = peer.hearing == Hearing::Nothing
            && peer.transport.verifies(datagram)
            && !self.is_held_by_another(now, path, index);
        is_first.then_some(index)
    }

    /// Counts a stray that nobody took.
    pub fn drop_stray(&mut self, stray: Stray) {
        self.drops.count(stray.0);
    }

    /// Whether one of the peers sends from this address.
    pub fn knows(&self, origin: Endpoint) -> bool {
        self.demux.by_address(origin).is_some()
    }

    /// Carries out one command.
    pub fn handle_command(&mut self, now: Instant, command: Command, batch: &mut Batch) {
        // Whose business it is, in case of a panic.
        command.peer().and_then(|peer| self.find(peer));
        self.apply(now, command, batch);
        self.current = None;
    }

    /// Does what is due by `now`.
    pub fn handle_timeout(&mut self, now: Instant, batch: &mut Batch) {
        while let Some(timer) = self.timers.pop(now) {
            match timer {
                Timer::Peer(index) => self.serve_peer(now, index, batch),
                Timer::Call(index) => self.serve_call(now, index),
                Timer::Mirror(index) => self.serve_mirror(now, index),
            }
        }
        self.current = None;
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        #[cfg(test)]
        self.bugs.meet(tests::bugs::Place::PollTimeout, 0);
        self.timers.next()
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        #[cfg(test)]
        self.bugs.meet(tests::bugs::Place::PollEvent, 0);
        self.events.pop_front()
    }

    /// Gives memory back that nobody has needed since this was called last. Returns whether there is more, which may be given
    /// back the next time.
    pub fn give_back(&mut self) -> bool {
        self.outbox.give_back()
    }

    /// How much it has to do.
    pub fn population(&self) -> Population {
        Population {
            peers: self.peers.len(),
            tracks: self.tracks.len(),
            subscriptions: self.subscriptions.len(),
        }
    }

    /// How many packets were dropped, by reason.
    pub fn drops(&self) -> &DropCounts {
        &self.drops
    }

    /// After a panic in one of the doors: ends the peer that was being worked on, here or on the shard where its
    /// packets came from, so that nobody else meets what it left behind.
    pub fn abandon_current(&mut self, now: Instant, batch: &mut Batch) {
        batch.mend();
        match self.current.take() {
            Some(Current::Peer(index)) if self.peers.contains(index) => {
                let peer = self.peers[index].id;
                let span = &self.peers[index].span;
                tracing::error!(parent: span, "a bug ended this peer");
                self.events.push_back(Event::Failed {
                    peer,
                    reason: FailReason::Internal,
                });
                self.remove_peer(now, peer, batch);
            }
            Some(Current::Mirror(index)) if self.tracks.contains(index) => {
                let track = self.tracks[index].id;
                tracing::error!(%track, "a bug ended the publisher of this track, which is on another shard");
                self.abandon_mirror(now, index);
            }
            Some(Current::Peer(_) | Current::Mirror(_)) | None => {}
        }
    }

    /// The peer that sends from this address, which is now the one being worked on.
    fn accept(&mut self, path: Path, datagram: &[u8]) -> Result<usize, DropReason> {
        let index = self
            .demux
            .by_address(path.origin())
            .ok_or(DropReason::WrongPath)?;
        self.current = Some(Current::Peer(index));
        #[cfg(test)]
        self.bugs.meet(tests::bugs::Place::Datagram, index);
        let peer = self.peers.get_mut(index).ok_or(DropReason::WrongPath)?;
        peer.count_received(datagram);
        if peer.connected {
            Ok(index)
        } else {
            Err(DropReason::NotConnected)
        }
    }

    fn handle_stun(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &[u8],
        batch: &mut Batch,
    ) -> Result<(), DropReason> {
        // An answer to a check of ours names nobody, and comes from where that went to.
        let index = match stun_username(datagram) {
            Some(ufrag) => self.demux.by_ufrag(ufrag),
            None => self.demux.by_address(path.origin()),
        };
        let index = index.ok_or(DropReason::Malformed)?;
        self.current = Some(Current::Peer(index));
        if self.is_held_by_another(now, path, index) {
            return Err(DropReason::WrongPath);
        }
        let peer = self.peers.get_mut(index).ok_or(DropReason::Malformed)?;
        if peer.hearing == Hearing::Elsewhere {
            return Err(DropReason::WrongPath);
        }
        peer.count_received(datagram);
        let _in_span = peer.span.clone().entered();
        let result = peer.transport.handle_stun(now, path, datagram);
        // Whoever forges a check for a peer that left an address does not get it back there.
        if result.is_ok() && peer.transport.accepts(path.origin()) {
            peer.hearing = Hearing::Here;
            self.demux
                .insert_address(path.origin(), index, &mut peer.addresses);
        }
        self.pump(now, index, batch);
        result.map_err(|_| DropReason::AuthenticationFailed)
    }

    /// Whether another peer is there where this comes from: who has a password takes nobody's address under a forged sender,
    /// nor sends there what is for itself.
    fn is_held_by_another(&self, now: Instant, path: Path, index: usize) -> bool {
        let holder = self.demux.by_address(path.origin());
        let holder = holder.filter(|holder| *holder != index);
        let holder = holder.and_then(|holder| self.peers.get(holder));
        holder.is_some_and(|holder| holder.transport.hears(now, path.origin()))
    }

    fn handle_dtls(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &[u8],
        batch: &mut Batch,
    ) -> Result<(), DropReason> {
        let index = self
            .demux
            .by_address(path.origin())
            .ok_or(DropReason::WrongPath)?;
        self.current = Some(Current::Peer(index));
        let peer = self.peers.get_mut(index).ok_or(DropReason::WrongPath)?;
        peer.count_received(datagram);
        let _in_span = peer.span.clone().entered();
        let result = peer.transport.handle_dtls(now, path, datagram);
        self.pump(now, index, batch);
        result.map_err(|_| DropReason::Malformed)
    }

    /// Sends what the peer's transport wants to send, and acts on what it tells.
    fn pump(&mut self, now: Instant, index: usize, batch: &mut Batch) {
        loop {
            let Some(peer) = self.peers.get_mut(index) else {
                return;
            };
            peer.path = peer.transport.selected_path();
            while let Some(transmit) = peer.transport.poll_transmit() {
                peer.counts.packets_sent += 1;
                peer.counts.bytes_sent += transmit.contents.len() as u64;
                batch.push(transmit.path, &transmit.contents);
            }
            match peer.transport.poll_event() {
                Some(event) => self.handle_transport_event(now, index, event, batch),
                None => break,
            }
        }
        self.schedule_transport(index);
    }

    fn handle_transport_event(
        &mut self,
        now: Instant,
        index: usize,
        event: TransportEvent,
        batch: &mut Batch,
    ) {
        let peer = &mut self.peers[index];
        match event {
            TransportEvent::Connected => {
                peer.connected = true;
                tracing::debug!(parent: &peer.span, "its keys are agreed");
                let id = peer.id;
                self.events.push_back(Event::Connected { peer: id });
                self.start_media(now, index, batch);
            }
            TransportEvent::Failed(reason) => {
                let id = peer.id;
                self.events.push_back(Event::Failed { peer: id, reason });
                self.remove_peer(now, id, batch);
            }
            TransportEvent::PathChanged => {}
            TransportEvent::Consent { fresh } => {
                let id = peer.id;
                self.events.push_back(Event::Consent { peer: id, fresh });
                if fresh {
                    self.start_media(now, index, batch);
                }
            }
            TransportEvent::ChannelOpened(info) => self.channel_opened(now, index, info, batch),
            TransportEvent::ChannelMessage { id, kind, data } => {
                self.channel_message(now, index, id, kind, &data, batch);
            }
            TransportEvent::ChannelClosed { id } => self.channel_closed(now, index, id, batch),
        }
    }
}
