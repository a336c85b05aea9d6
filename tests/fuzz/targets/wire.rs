//! A shard in virtual time, and clients that are connected to it: what is fuzzed behind DTLS is encrypted with the
//! right keys, so that it reaches what reads it.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crosspoint::forward::LoudestLimits;
use crosspoint::rtp::{Codec, Extension, ExtensionMap};
use crosspoint::shard::{
    Batch, CallId, CodecParameters, Command, DtlsRole, Event, IceCredentials, ParticipantId,
    PeerId, Shard, ShardConfig, TransportParameters,
};
use crosspoint::transport::{
    ChannelLimits, DatagramKind, Identity, Path, Protocol, Transport, TransportEvent, classify,
};
use stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME};
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{BINDING_REQUEST, Message, Setter, TransactionId};

/// The one call.
pub(super) const CALL: CallId = CallId(1);

const LIMITS: ChannelLimits = ChannelLimits {
    max_message_bytes: 65_536,
    max_channels: 8,
    max_buffered_bytes: 262_144,
};

/// As browsers do.
const CHECK_INTERVAL: Duration = Duration::from_millis(2_500);

thread_local! {
    // Making one takes longer than many inputs.
    static IDENTITY: Identity = Identity::generate().expect("an identity");
}

/// A shard, its clients, and what it said.
pub(super) struct Wire {
    pub(super) now: Instant,
    pub(super) shard: Shard,
    pub(super) clients: Vec<Client>,
    /// What was sent since it was taken last, without DTLS to clients, which is delivered.
    pub(super) sent: Vec<(SocketAddr, Vec<u8>)>,
    pub(super) events: Vec<Event>,
    identity: Identity,
    batch: Batch,
    last_check: Instant,
}

/// A client's end.
pub(super) struct Client {
    pub(super) peer: PeerId,
    pub(super) address: SocketAddr,
    pub(super) transport: Transport,
    /// How it numbers header extensions.
    pub(super) extensions: ExtensionMap,
    ice: IceCredentials,
    server_ice: IceCredentials,
}

pub(super) fn path(remote: SocketAddr) -> Path {
    Path {
        protocol: Protocol::Udp,
        remote,
        local: Some(IpAddr::from([192, 0, 2, 1])),
    }
}

/// A connectivity check as a full agent with the credentials `from` sends it to one with the credentials `to`.
pub(super) fn check(to: &IceCredentials, from: &IceCredentials) -> Vec<u8> {
    let provider = crypto::default_provider().expect("a provider");
    let username = format!("{}:{}", to.ufrag, from.ufrag);
    let mut message = Message::new();
    let integrity =
        MessageIntegrity::new_short_term_integrity_with_provider(to.pwd.clone(), provider.crypto());
    message.set_type(BINDING_REQUEST);
    message.write_header();
    TransactionId::new().add_to(&mut message).expect("an id");
    message.add(ATTR_USERNAME, username.as_bytes());
    message.add(ATTR_PRIORITY, &[0, 0, 4, 0]);
    message.add(ATTR_USE_CANDIDATE, &[]);
    message.add(ATTR_ICE_CONTROLLING, &[7; 8]);
    integrity.add_to(&mut message).expect("integrity");
    FINGERPRINT.add_to(&mut message).expect("a fingerprint");
    message.raw
}

pub(super) fn credentials(name: &str) -> IceCredentials {
    IceCredentials {
        ufrag: format!("uf{name}"),
        pwd: format!("the-password-of-{name}-long-enough"),
    }
}

/// One payload type with all feedback.
pub(super) fn codec(payload_type: u8, codec: Codec, rtx: Option<u8>) -> CodecParameters {
    CodecParameters {
        payload_type,
        codec,
        rtx,
        nack: true,
        pli: true,
        fir: true,
        transport_cc: true,
    }
}

impl Wire {
    pub(super) fn new() -> Self {
        let identity = IDENTITY.with(Identity::clone);
        let now = Instant::now();
        Self {
            now,
            shard: Shard::new(ShardConfig {
                index: 0,
                shards: 1,
                identity: identity.clone(),
                channels: LIMITS,
                loudest: LoudestLimits::default(),
                seed: 7,
            }),
            clients: Vec::new(),
            sent: Vec::new(),
            events: Vec::new(),
            identity,
            batch: Batch::new(),
            last_check: now,
        }
    }

    /// One with so many connected clients.
    pub(super) fn connected(clients: u8) -> Self {
        let mut wire = Self::new();
        for client in 0..clients {
            wire.join(client);
        }
        for _ in 0..100 {
            wire.check();
            wire.pass(Duration::from_millis(20));
            let connected = |client: &Client| client.transport.is_connected();
            if wire.clients.iter().all(connected) {
                wire.pass(Duration::from_millis(20));
                wire.events.clear();
                wire.sent.clear();
                return wire;
            }
        }
        panic!("not connected");
    }

    fn join(&mut self, index: u8) {
        let (ice, server_ice) = (
            credentials(&format!("client{index}")),
            credentials(&format!("server{index}")),
        );
        let peer = PeerId(100 + u64::from(index));
        let theirs = TransportParameters {
            local_ice: ice.clone(),
            remote_ice: server_ice.clone(),
            fingerprints: vec![self.identity.fingerprint()],
            role: DtlsRole::Client,
            sctp: None,
        };
        let mut transport = Transport::new(&self.identity, ice.clone(), LIMITS);
        transport.set_parameters(self.now, &theirs);
        let mut extensions = ExtensionMap::default();
        for (id, extension) in (1 + index % 2..).zip(Extension::ALL) {
            assert!(extensions.insert(id, extension));
        }
        self.add_peer(peer, ParticipantId(index.into()), &server_ice);
        self.command(Command::SetTransport {
            peer,
            transport: TransportParameters {
                local_ice: server_ice.clone(),
                remote_ice: ice.clone(),
                role: DtlsRole::Server,
                ..theirs
            },
        });
        self.command(Command::SetExtensions {
            peer,
            extensions: Box::new(extensions),
        });
        self.clients.push(Client {
            peer,
            address: ([198, 51, 100, index], 4000).into(),
            transport,
            extensions,
            ice,
            server_ice,
        });
    }

    /// Adds a peer of which nothing is known but our own credentials.
    pub(super) fn add_peer(
        &mut self,
        peer: PeerId,
        participant: ParticipantId,
        local_ice: &IceCredentials,
    ) {
        self.command(Command::AddPeer {
            peer,
            call: CALL,
            participant,
            shards: Vec::new(),
            local_ice: local_ice.clone(),
        });
    }

    /// What a peer of these credentials is told of its remote side, which has the certificate of all.
    pub(super) fn remote(&self, local: &IceCredentials) -> TransportParameters {
        TransportParameters {
            local_ice: local.clone(),
            remote_ice: credentials("remote"),
            fingerprints: vec![self.identity.fingerprint()],
            role: DtlsRole::Server,
            sctp: None,
        }
    }

    /// All clients check the server, and the transports of clients, which are ICE-lite as well, are checked in turn.
    fn check(&mut self) {
        self.last_check = self.now;
        for index in 0..self.clients.len() {
            let client = &mut self.clients[index];
            let own = check(&client.server_ice, &client.ice);
            let mirrored = check(&client.ice, &client.server_ice);
            let server = path(([203, 0, 113, 1], 7880).into());
            let handled = client.transport.handle_stun(self.now, server, &mirrored);
            handled.expect("the mirrored check is right");
            let address = client.address;
            self.deliver(address, &own);
            self.drain(index);
        }
        self.sent
            .retain(|(_, datagram)| classify(datagram) != Some(DatagramKind::Stun));
    }

    /// Lets clients check where it is time. To be called every few seconds.
    pub(super) fn keep_alive(&mut self) {
        if self.now - self.last_check >= CHECK_INTERVAL {
            self.check();
        }
    }

    pub(super) fn command(&mut self, command: Command) {
        self.shard
            .handle_command(self.now, command, &mut self.batch);
        self.flush();
    }

    /// Gives the shard a datagram of whatever address.
    pub(super) fn deliver(&mut self, from: SocketAddr, datagram: &[u8]) {
        let mut datagram = datagram.to_vec();
        // There is no other shard that a stray one could be for.
        let _ = self
            .shard
            .handle_datagram(self.now, path(from), &mut datagram, &mut self.batch);
        self.flush();
    }

    /// The same for one that came to the socket of another shard.
    pub(super) fn hand_over(&mut self, from: SocketAddr, datagram: &[u8]) {
        let mut datagram = datagram.to_vec();
        let _ =
            self.shard
                .handle_handed_over(self.now, 1, path(from), &mut datagram, &mut self.batch);
        self.flush();
    }

    /// Encrypts a plain packet of a client's and delivers it. `index` is the 48-bit one of its SSRC.
    pub(super) fn send_rtp(&mut self, client: usize, plain: &[u8], header_len: usize, index: u64) {
        let client = &mut self.clients[client];
        let (mut sealed, from) = (plain.to_vec(), client.address);
        let done = client.transport.seal_rtp(&mut sealed, 0, header_len, index);
        if done.is_ok() {
            self.deliver(from, &sealed);
        }
    }

    /// The same for RTCP.
    pub(super) fn send_rtcp(&mut self, client: usize, plain: &[u8]) {
        let client = &mut self.clients[client];
        let (mut sealed, from) = (plain.to_vec(), client.address);
        if client.transport.seal_rtcp(&mut sealed, 0).is_ok() {
            self.deliver(from, &sealed);
        }
    }

    /// Lets time pass. What is asked for at one instant again and again is a fault.
    pub(super) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        let mut rounds = 0;
        loop {
            let clients = self.clients.iter();
            let clients = clients.filter_map(|client| client.transport.poll_timeout());
            let own = self.shard.poll_timeout();
            let Some(due) = clients.chain(own).min().filter(|due| *due <= end) else {
                self.now = end;
                return;
            };
            rounds = if due > self.now { 0 } else { rounds + 1 };
            assert!(rounds < 1000, "somebody spins");
            self.now = self.now.max(due);
            for index in 0..self.clients.len() {
                self.clients[index].transport.handle_timeout(self.now);
                self.drain(index);
            }
            if own.is_some_and(|due| due <= self.now) {
                self.shard.handle_timeout(self.now, &mut self.batch);
                self.flush();
            }
        }
    }

    /// Takes what the shard sends and tells, and gives clients their DTLS.
    fn flush(&mut self) {
        let mut handshakes = Vec::new();
        while let Some(lane) = self.batch.next_due(Some(self.now)) {
            let remote = lane.path().remote;
            for datagram in lane.datagrams() {
                assert!(datagram.len() <= 1_500, "{} bytes", datagram.len());
                let client = self.clients.iter().position(|c| c.address == remote);
                match client {
                    Some(client) if classify(datagram) == Some(DatagramKind::Dtls) => {
                        handshakes.push((client, datagram.to_vec()));
                    }
                    _ => self.sent.push((remote, datagram.to_vec())),
                }
            }
        }
        self.events
            .extend(std::iter::from_fn(|| self.shard.poll_event()));
        assert!(self.shard.poll_link().is_none(), "there is no other shard");
        for (client, datagram) in handshakes {
            let server = path(([203, 0, 113, 1], 7880).into());
            let transport = &mut self.clients[client].transport;
            // It may overtake the check that makes its path valid.
            let _ = transport.handle_dtls(self.now, server, &datagram);
            self.drain(client);
        }
    }

    /// Sends what a client's transport has to send.
    fn drain(&mut self, client: usize) {
        let client = &mut self.clients[client];
        let address = client.address;
        while let Some(event) = client.transport.poll_event() {
            let failed = matches!(event, TransportEvent::Failed(_));
            assert!(!failed, "{event:?}");
        }
        // Answers to the mirrored checks are nobody's.
        let out: Vec<Vec<u8>> = std::iter::from_fn(|| client.transport.poll_transmit())
            .map(|transmit| transmit.contents)
            .filter(|contents| classify(contents) != Some(DatagramKind::Stun))
            .collect();
        for datagram in out {
            self.deliver(address, &datagram);
        }
    }
}
