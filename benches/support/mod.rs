//! Shards and clients in one memory: the least that makes packets flow through them, for measurements.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crosspoint::rtp::{
    Codec, Extension, ExtensionMap, ExtensionValues, HeaderFields, MediaKind, own_extensions,
    write_header,
};
use crosspoint::shard::{
    Batch, CallId, CodecParameters, Command, DtlsRole, IceCredentials, ParticipantId, PeerId,
    ReceiveParameters, SctpParameters, SendParameters, Shard, ShardConfig, SsrcPair, TrackId,
    TransportParameters,
};
use crosspoint::transport::{
    ChannelLimits, DatagramKind, Identity, Path, Transport, TransportEvent, classify,
};
use crypto::default_provider;
use stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME};
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{BINDING_REQUEST, Message, Setter, TransactionId};

const LIMITS: ChannelLimits = ChannelLimits {
    max_message_bytes: 65_536,
    max_channels: 8,
    max_buffered_bytes: 262_144,
};
const TRACK: TrackId = TrackId(1);
const SSRC: u32 = 0x1234_5678;

/// Shards and their clients, of which the first, on the first shard, publishes.
pub(crate) struct Memory {
    pub(crate) now: Instant,
    shards: Vec<Shard>,
    pub(crate) batch: Batch,
    /// Whether those who join have data channels.
    pub(crate) data: bool,
    clients: Vec<Client>,
    identity: Identity,
    sequence: u64,
}

struct Client {
    shard: usize,
    peer: PeerId,
    address: SocketAddr,
    ice: IceCredentials,
    server_ice: IceCredentials,
    transport: Transport,
    connected: bool,
}

/// A sealed packet, to be handed to [`Memory::deliver`].
pub(crate) type Datagram = Vec<u8>;

fn credentials(name: &str, client: usize) -> IceCredentials {
    IceCredentials {
        ufrag: format!("{name}{client}"),
        pwd: format!("the-password-of-{name}-{client}"),
    }
}

fn vp8() -> CodecParameters {
    CodecParameters {
        payload_type: 96,
        codec: Codec::Vp8,
        rtx: Some(97),
        nack: true,
        pli: true,
        fir: false,
        transport_cc: true,
    }
}

fn extensions() -> ExtensionMap {
    let mut map = ExtensionMap::default();
    map.insert(1, Extension::Mid);
    map.insert(3, Extension::TransportCc);
    map
}

/// A check as a controlling agent sends it.
fn check(to: &IceCredentials, from: &IceCredentials) -> Vec<u8> {
    let provider = default_provider().expect("a provider");
    let integrity =
        MessageIntegrity::new_short_term_integrity_with_provider(to.pwd.clone(), provider.crypto());
    let mut message = Message::new();
    message.set_type(BINDING_REQUEST);
    message.write_header();
    TransactionId::new().add_to(&mut message).expect("an id");
    let username = format!("{}:{}", to.ufrag, from.ufrag);
    message.add(ATTR_USERNAME, username.as_bytes());
    message.add(ATTR_PRIORITY, &1000u32.to_be_bytes());
    message.add(ATTR_USE_CANDIDATE, &[]);
    message.add(ATTR_ICE_CONTROLLING, &[7; 8]);
    integrity.add_to(&mut message).expect("integrity");
    FINGERPRINT.add_to(&mut message).expect("a fingerprint");
    message.raw
}

fn server_path() -> Path {
    Path {
        remote: ([203, 0, 113, 1], 7880).into(),
        local: None,
    }
}

impl Memory {
    /// A shard without peers.
    pub(crate) fn new() -> Self {
        Self::with_shards(1)
    }

    /// Shards with links between them.
    pub(crate) fn with_shards(shards: usize) -> Self {
        let identity = Identity::generate().expect("an identity");
        Self {
            now: Instant::now(),
            shards: (0..shards)
                .map(|index| {
                    Shard::new(ShardConfig {
                        index,
                        shards,
                        identity: identity.clone(),
                        channels: LIMITS,
                        seed: 1,
                    })
                })
                .collect(),
            batch: Batch::new(),
            data: false,
            clients: Vec::new(),
            identity,
            sequence: 1_000,
        }
    }

    /// Adds a client and connects it. With `subscribe`, it gets the track.
    pub(crate) fn join(&mut self, subscribe: bool) {
        self.join_on(0, subscribe);
    }

    /// Adds a client on one of the shards.
    pub(crate) fn join_on(&mut self, shard: usize, subscribe: bool) {
        let index = self.clients.len();
        let peer = PeerId(1 + index as u64);
        let ice = credentials("client", index);
        let server_ice = credentials("server", index);
        let mut transport = Transport::new(&self.identity, ice.clone(), LIMITS);
        let add = Command::AddPeer {
            peer,
            call: CallId(1),
            participant: ParticipantId(index as u64),
            shards: Vec::new(),
            local_ice: server_ice.clone(),
        };
        let ours = TransportParameters {
            local_ice: ice.clone(),
            remote_ice: server_ice.clone(),
            fingerprints: vec![self.identity.fingerprint()],
            role: DtlsRole::Client,
            sctp: self.data.then_some(SctpParameters {
                remote_port: 5000,
                max_message_size: 65_536,
            }),
        };
        transport.set_parameters(self.now, &ours);
        let set = Command::SetTransport {
            peer,
            transport: TransportParameters {
                local_ice: server_ice.clone(),
                remote_ice: ice.clone(),
                role: DtlsRole::Server,
                ..ours
            },
        };
        let extend = Command::SetExtensions {
            peer,
            extensions: Box::new(extensions()),
        };
        let address = ([198, 51, (index >> 8) as u8, index as u8], 4000).into();
        self.clients.push(Client {
            shard,
            peer,
            address,
            ice,
            server_ice,
            transport,
            connected: false,
        });
        for command in [add, set, extend] {
            self.command(index, command);
        }
        self.shake_hands(index);
        if subscribe {
            self.subscribe(index);
        }
    }

    fn subscribe(&mut self, client: usize) {
        let mid = "s0".parse().expect("a mid");
        let peer = self.clients[client].peer;
        let command = Command::SetSender {
            peer,
            mid,
            parameters: Some(SendParameters {
                mid,
                track: TRACK,
                home: 0,
                kind: MediaKind::Video,
                ssrc: 0x5000,
                rtx_ssrc: Some(0x5001),
                codecs: vec![vp8()],
            }),
        };
        self.command(client, command);
    }

    /// The first client publishes the track.
    pub(crate) fn publish(&mut self) {
        let mid = "0".parse().expect("a mid");
        let command = Command::SetReceiver {
            peer: self.clients[0].peer,
            mid,
            parameters: Some(ReceiveParameters {
                mid,
                track: TRACK,
                kind: MediaKind::Video,
                codecs: vec![vp8()],
                ssrcs: vec![SsrcPair {
                    ssrc: SSRC,
                    rtx: Some(SSRC + 1),
                }],
                rids: Vec::new(),
            }),
        };
        self.command(0, command);
    }

    /// Tells the shard of a client, and the other shards what that has for them.
    fn command(&mut self, client: usize, command: Command) {
        let shard = &mut self.shards[self.clients[client].shard];
        shard.handle_command(self.now, command, &mut self.batch);
        self.cross();
        self.flush();
    }

    fn shake_hands(&mut self, index: usize) {
        for _ in 0..100 {
            self.now += Duration::from_millis(10);
            self.check(index);
            for _ in 0..10 {
                let client = &mut self.clients[index];
                if client
                    .transport
                    .poll_timeout()
                    .is_some_and(|due| due <= self.now)
                {
                    client.transport.handle_timeout(self.now);
                }
                self.send_up(index);
                self.tick();
            }
            if self.clients[index].connected {
                break;
            }
        }
        assert!(self.clients[index].connected, "not connected");
        // Until data channels could be opened.
        for _ in 0..10 {
            self.send_up(index);
            self.tick();
        }
    }

    /// Checks in both directions.
    fn check(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let mirrored = check(&client.ice, &client.server_ice);
        let mirrored = client
            .transport
            .handle_stun(self.now, server_path(), &mirrored);
        mirrored.expect("a valid check");
        let mut check = check(&client.server_ice, &client.ice);
        self.deliver(index, &mut check);
        self.flush();
    }

    /// All clients check, as they do every few seconds.
    pub(crate) fn check_all(&mut self) {
        for index in 0..self.clients.len() {
            self.check(index);
        }
    }

    fn send_up(&mut self, index: usize) {
        let client = &mut self.clients[index];
        while let Some(event) = client.transport.poll_event() {
            client.connected |= event == TransportEvent::Connected;
        }
        let transmits: Vec<_> = std::iter::from_fn(|| client.transport.poll_transmit()).collect();
        for mut transmit in transmits {
            if classify(&transmit.contents) == Some(DatagramKind::Dtls) {
                self.deliver(index, &mut transmit.contents);
                self.flush();
            }
        }
    }

    /// Hands the shard a datagram of a client. What it sends stays in the batch.
    pub(crate) fn deliver(&mut self, client: usize, datagram: &mut [u8]) {
        let path = Path {
            remote: self.clients[client].address,
            local: None,
        };
        let shard = &mut self.shards[self.clients[client].shard];
        shard.handle_datagram(self.now, path, datagram, &mut self.batch);
    }

    /// Carries what shards have for each other, until they have nothing more.
    pub(crate) fn cross(&mut self) {
        while let Some((from, (to, mut link))) = self
            .shards
            .iter_mut()
            .enumerate()
            .find_map(|(from, shard)| Some((from, shard.poll_link()?)))
        {
            self.shards[to].handle_link(self.now, from, &mut link, &mut self.batch);
            self.shards[from].recycle_link(to, link);
        }
    }

    /// Does what is due in the shards. What they send stays in the batch.
    pub(crate) fn tick_shard(&mut self) {
        for shard in &mut self.shards {
            if shard.poll_timeout().is_some_and(|due| due <= self.now) {
                shard.handle_timeout(self.now, &mut self.batch);
            }
            while shard.poll_event().is_some() {}
        }
        self.cross();
    }

    fn tick(&mut self) {
        self.tick_shard();
        self.flush();
    }

    /// Hands clients what they need to connect, and forgets the rest.
    fn flush(&mut self) {
        let lanes = self.batch.lanes().iter();
        let dtls: Vec<_> = lanes
            .flat_map(|lane| {
                lane.datagrams()
                    .map(move |d| (lane.path().remote, d.to_vec()))
            })
            .filter(|(_, datagram)| classify(datagram) == Some(DatagramKind::Dtls))
            .collect();
        self.batch.clear();
        for (address, datagram) in dtls {
            let to = self.clients.iter_mut().find(|c| c.address == address);
            if let Some(client) = to {
                let _ = client
                    .transport
                    .handle_dtls(self.now, server_path(), &datagram);
            }
        }
        for shard in &mut self.shards {
            while shard.poll_event().is_some() {}
        }
    }

    /// The publisher's next packets of 1,200 bytes, sealed: a keyframe and what follows it.
    pub(crate) fn packets(&mut self, count: usize) -> Vec<Datagram> {
        (0..count).map(|_| self.packet()).collect()
    }

    fn packet(&mut self) -> Datagram {
        let number = self.sequence;
        self.sequence += 1;
        let values = ExtensionValues {
            mid: Some("0".parse().expect("a mid")),
            transport_cc: Some(number as u16),
            abs_send_time: None,
        };
        let fields = HeaderFields {
            marker: number % 10 == 9,
            payload_type: 96,
            sequence: number as u16,
            timestamp: (number / 10) as u32 * 3_000,
            ssrc: SSRC,
        };
        let mut out = Vec::with_capacity(1_300);
        write_header(&mut out, &fields, &own_extensions(&extensions(), &values));
        let header_len = out.len();
        let start = if number.is_multiple_of(10) {
            0x90
        } else {
            0x80
        };
        let [high, low] = (0x8000 | (number / 10) as u16).to_be_bytes();
        let inter = u8::from(number >= 1_010);
        out.extend_from_slice(&[start, 0xe0, high, low, (number / 10) as u8, 0, inter]);
        out.resize(1_184, number as u8);
        let transport = &mut self.clients[0].transport;
        let sealed = transport.seal_rtp(&mut out, 0, header_len, number);
        sealed.expect("keys");
        out
    }

    /// Lets packets pass one by one, at 1,000 a second, and returns how many copies left.
    pub(crate) fn run(&mut self, packets: &mut [Datagram]) -> usize {
        let mut copies = 0;
        for packet in packets {
            self.now += Duration::from_millis(1);
            self.deliver(0, packet);
            self.cross();
            copies += self.take_copies();
            self.tick_shard();
            self.batch.clear();
        }
        copies
    }

    /// Counts the datagrams in the batch, and empties it.
    pub(crate) fn take_copies(&mut self) -> usize {
        let lanes = self.batch.lanes().iter();
        let copies = lanes.map(|lane| lane.datagrams().count()).sum();
        self.batch.clear();
        copies
    }
}
