//! Whatever arrives on a shard's socket, from anybody.
//!
//! Two clients are in a call, a third peer is known but did not connect yet. Nothing from elsewhere, and nothing
//! broken from their own addresses, ends the call, gets into it, or makes the server send anything to an address that
//! has not shown a password.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use crosspoint::rtp::sequence::extend;
use crosspoint::rtp::{Codec, ExtensionBuffer, HeaderFields, HeaderView, MediaKind, write_header};
use crosspoint::shard::{
    Command, Event, ParticipantId, PeerId, ReceiveParameters, SendParameters, SsrcPair, TrackId,
};
use crosspoint::transport::{DatagramKind, classify};

use super::input::Input;
use super::wire::{Wire, check, codec, credentials};

/// Datagrams of one input.
const MAX_STEPS: usize = 24;

/// The stream that the first client sends and the second one is sent.
const SSRC: u32 = 0x1000;
const COPY: u32 = 0x2000;
const OPUS: u8 = 111;

/// A call, and what is known of its stream.
struct World {
    wire: Wire,
    /// The index of the next packet.
    next: u64,
    /// The last one, as it was sent.
    last: Vec<u8>,
    /// What its copy is numbered.
    heard: Option<u64>,
    /// Counts inputs: each has a third peer of its own.
    inputs: u64,
}

thread_local! {
    // Handshakes take longer than thousands of inputs, and nothing of an input may stay.
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// Puts datagrams of any kind to the shard of a call.
pub fn run(data: &[u8]) {
    WORLD.with_borrow_mut(|world| world.get_or_insert_with(World::new).run(data));
}

impl World {
    fn new() -> Self {
        let mut wire = Wire::connected(2);
        let mid = "0".parse().expect("a mid");
        wire.command(Command::SetReceiver {
            peer: wire.clients[0].peer,
            mid,
            parameters: Some(ReceiveParameters {
                mid,
                track: TrackId(1),
                kind: MediaKind::Audio,
                voice: true,
                codecs: vec![codec(OPUS, Codec::Opus, None)],
                ssrcs: vec![SsrcPair {
                    ssrc: SSRC,
                    rtx: None,
                }],
                rids: Vec::new(),
            }),
        });
        wire.command(Command::SetSender {
            peer: wire.clients[1].peer,
            mid,
            parameters: Some(SendParameters {
                mid,
                track: TrackId(1),
                participant: ParticipantId(0),
                home: 0,
                kind: MediaKind::Audio,
                ssrc: COPY,
                rtx_ssrc: None,
                codecs: vec![codec(OPUS, Codec::Opus, None)],
            }),
        });
        Self {
            wire,
            next: 1,
            last: Vec::new(),
            heard: None,
            inputs: 0,
        }
    }

    fn run(&mut self, data: &[u8]) {
        let mut input = Input::new(data);
        self.wire.keep_alive();
        self.wire.sent.clear();
        self.wire.events.clear();
        self.inputs += 1;
        let third = PeerId(1_000 + self.inputs);
        let local = credentials(&format!("third{}", self.inputs));
        self.wire.add_peer(third, ParticipantId(9), &local);
        let transport = self.wire.remote(&local);
        self.wire.command(Command::SetTransport {
            peer: third,
            transport,
        });
        let mut verified: BTreeSet<SocketAddr> =
            self.wire.clients.iter().map(|c| c.address).collect();
        self.speak();
        for _ in 0..MAX_STEPS {
            if input.is_empty() {
                break;
            }
            let from = self.address(&mut input);
            let kind = input.u8();
            // To its own socket, or to that of another shard.
            let deliver = match kind < 128 {
                true => Wire::deliver,
                false => Wire::hand_over,
            };
            match kind % 8 {
                0 => {
                    let time = Duration::from_millis(u64::from(input.u8()) * 4);
                    self.wire.pass(time);
                    self.wire.keep_alive();
                }
                1 => {
                    verified.insert(from);
                    let right = check(&local, &credentials("remote"));
                    deliver(&mut self.wire, from, &right);
                }
                2 => {
                    // A packet of the call, not quite as it was.
                    let mut packet = self.last.clone();
                    let at = usize::from(input.u8()) % packet.len();
                    packet[at] ^= input.u8();
                    packet.truncate(packet.len() - usize::from(input.u8()) % packet.len());
                    packet.extend(input.bytes());
                    deliver(&mut self.wire, from, &packet);
                }
                3 => {
                    let mut wrong = check(&local, &credentials("remote"));
                    let at = usize::from(input.u8()) % wrong.len();
                    // The second byte makes an indication of it.
                    wrong[at] ^= input.u8().max(1);
                    deliver(&mut self.wire, from, &wrong);
                }
                _ => {
                    let datagram = input.long_bytes();
                    deliver(&mut self.wire, from, datagram);
                }
            }
        }
        // Nobody else was sent anything, and of the call there was one packet.
        let sent = std::mem::take(&mut self.wire.sent);
        for (to, _) in &sent {
            assert!(verified.contains(to), "{to} was sent something");
        }
        assert_eq!(self.heard(&sent), [self.next - 1]);
        self.speak();
        let sent = std::mem::take(&mut self.wire.sent);
        assert_eq!(self.heard(&sent), [self.next - 1], "the call goes on");
        self.wire.command(Command::RemovePeer { peer: third });
        for event in &self.wire.events {
            if let Event::Heard { peer, path, .. } = event {
                assert!(
                    *peer == third && verified.contains(&path.remote),
                    "{event:?}"
                );
            }
            let (Event::Failed { peer, .. } | Event::Consent { peer, .. }) = event else {
                continue;
            };
            assert_eq!(*peer, third, "{event:?}");
        }
    }

    fn address(&self, input: &mut Input<'_>) -> SocketAddr {
        match input.u8() % 8 {
            0 => self.wire.clients[0].address,
            1 => self.wire.clients[1].address,
            other => ([203, 0, 113, other], 5000).into(),
        }
    }

    /// The first client sends a packet that says its number.
    fn speak(&mut self) {
        let index = self.next;
        self.next += 1;
        let fields = HeaderFields {
            marker: false,
            payload_type: OPUS,
            sequence: index as u16,
            timestamp: (index as u32).wrapping_mul(960),
            ssrc: SSRC,
        };
        let mut packet = Vec::new();
        write_header(&mut packet, &fields, &ExtensionBuffer::default());
        let header_len = packet.len();
        packet.extend(index.to_be_bytes());
        let client = &mut self.wire.clients[0];
        let sealed = client.transport.seal_rtp(&mut packet, 0, header_len, index);
        sealed.expect("the client is connected");
        let from = client.address;
        self.wire.deliver(from, &packet);
        self.last = packet;
    }

    /// The numbers that the second client was told.
    fn heard(&mut self, sent: &[(SocketAddr, Vec<u8>)]) -> Vec<u64> {
        let listener = &mut self.wire.clients[1];
        let mut numbers = Vec::new();
        for (to, datagram) in sent {
            if *to != listener.address || classify(datagram) != Some(DatagramKind::Rtp) {
                continue;
            }
            let mut datagram = datagram.clone();
            let view = HeaderView::parse(&datagram).expect("we write RTP");
            assert_eq!(view.ssrc(), COPY);
            let (header_len, sequence) = (view.header_len(), view.sequence());
            let near = |last| extend(last, sequence);
            let index = self.heard.map_or(u64::from(sequence), near);
            self.heard = Some(index);
            let opened = listener
                .transport
                .open_rtp(&mut datagram, header_len, index);
            let len = opened.expect("it opens");
            let payload = &datagram[header_len..len];
            numbers.push(u64::from_be_bytes(payload.try_into().expect("a number")));
        }
        numbers
    }
}
