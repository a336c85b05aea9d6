//! Shards and clients in one memory: the least that makes packets flow through them, for measurements.

mod client;

use std::time::{Duration, Instant};

use crosspoint::rtp::{ExtensionValues, HeaderFields, own_extensions, write_header};
use crosspoint::shard::{Batch, Command, Shard, ShardConfig};
use crosspoint::transport::{DatagramKind, Identity, Path, Protocol, TransportEvent, classify};

#[allow(unused_imports, reason = "each bench and test uses a part")]
pub(crate) use client::{Client, LIMITS, Source, extensions, publish, subscribe};

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

/// A sealed packet, to be handed to [`Memory::deliver`].
pub(crate) type Datagram = Vec<u8>;

fn server_path() -> Path {
    Path {
        protocol: Protocol::Udp,
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
                        loudest: crosspoint::forward::LoudestLimits::default(),
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

    /// Adds a client and connects it. With `subscribes`, it gets the track.
    pub(crate) fn join(&mut self, subscribes: bool) {
        self.join_on(0, subscribes);
    }

    /// Adds a client on one of the shards.
    pub(crate) fn join_on(&mut self, shard: usize, subscribes: bool) {
        let index = self.clients.len();
        let address = ([198, 51, (index >> 8) as u8, index as u8], 4000).into();
        let (mut client, commands) =
            Client::new(self.now, &self.identity, index, address, self.data);
        client.shard = shard;
        let peer = client.peer;
        self.clients.push(client);
        for command in commands {
            self.command(index, command);
        }
        self.shake_hands(index);
        if subscribes {
            self.command(index, subscribe(peer, 0, &Source::VIDEO));
        }
    }

    /// The first client publishes the track.
    pub(crate) fn publish(&mut self) {
        let command = publish(self.clients[0].peer, &Source::VIDEO);
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
        let mut check = self.clients[index].check(self.now, server_path());
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
            protocol: Protocol::Udp,
            remote: self.clients[client].address,
            local: None,
        };
        let shard = &mut self.shards[self.clients[client].shard];
        let taken = shard.handle_datagram(self.now, path, datagram, &mut self.batch);
        assert!(taken.is_ok(), "the shard knows its clients");
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
        let lanes = self.batch.lanes();
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
            ssrc: Source::VIDEO.ssrc,
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

    /// Encrypts a packet as the publisher does.
    #[allow(dead_code, reason = "one bench does only this")]
    pub(crate) fn seal(&mut self, out: &mut Vec<u8>, header_len: usize, index: u64) -> bool {
        let transport = &mut self.clients[0].transport;
        transport.seal_rtp(out, 0, header_len, index).is_ok()
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

    /// Counts the datagrams in the batch that are media and not RTCP (RFC 5761 section 4), and empties it.
    pub(crate) fn take_copies(&mut self) -> usize {
        let is_media = |datagram: &&[u8]| !matches!(datagram.get(1), Some(192..=223));
        let lanes = self.batch.lanes();
        let copies = lanes
            .map(|lane| lane.datagrams().filter(is_media).count())
            .sum();
        self.batch.clear();
        copies
    }
}
