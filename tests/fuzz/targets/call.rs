//! A call of three connected clients, in which each input has a track of its own: the first client publishes, the
//! others are sent it.
//!
//! Everything that is sent to them is opened as a browser would, and must be right.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::net::SocketAddr;
use std::time::Duration;

use crosspoint::rtp::rtcp::RtcpPackets;
use crosspoint::rtp::sequence::extend;
use crosspoint::rtp::{Codec, H264Profile, HeaderView, MediaKind, Mid, Rid};
use crosspoint::shard::{
    CodecParameters, Command, Event, ParticipantId, PeerId, ReceiveParameters, SendParameters,
    SsrcPair, TrackId,
};
use crosspoint::transport::{DatagramKind, classify};

use super::input::Input;
use super::wire::{Wire, codec};

/// The m-line of the publisher.
pub(super) const MID: &str = "0";
/// The encodings, where there are several.
pub(super) const RIDS: [&str; 3] = ["h", "m", "l"];
/// What time passes in one input at most, in milliseconds. One in four may pass more than all that a packet leaves behind;
/// the others are not spent on timers.
const MOST_PASSED: [u64; 4] = [4_000, 800, 800, 800];
/// How many SSRCs each input may use.
const SSRCS: u32 = 64;

/// Payload types of the publisher: media, and its retransmissions.
pub(super) const MEDIA: u8 = 96;
pub(super) const RTX: u8 = 97;
/// Opus, within RED or by itself.
pub(super) const OPUS: u8 = 111;

/// What a track may be encoded with.
const CODECS: [Codec; 9] = [
    Codec::Vp8,
    Codec::Vp9 { profile: 0 },
    Codec::Av1 { profile: 0 },
    Codec::H264 {
        profile: H264Profile::ConstrainedBaseline,
        packetization_mode: 1,
    },
    Codec::H265 {
        profile: 1,
        tier: 0,
    },
    Codec::Opus,
    Codec::Red,
    Codec::TelephoneEvent(48_000),
    Codec::Pcmu,
];

/// The call.
pub(super) struct Call {
    pub(super) wire: Wire,
    /// Counts inputs.
    inputs: u32,
    /// The time that this one may still pass, in milliseconds.
    left: u64,
    /// The track of this input.
    pub(super) track: TrackId,
    pub(super) codec: Codec,
    /// The first SSRC of this input: encoding `n` has this plus `2 n`, and one more for its retransmissions.
    pub(super) ssrc: u32,
    /// The highest index that was sent of each SSRC.
    sent: BTreeMap<u32, u64>,
    receivers: [Receiver; 2],
}

/// What one subscriber is sent.
#[derive(Default)]
struct Receiver {
    ssrc: u32,
    codecs: Vec<CodecParameters>,
    /// The highest index of each SSRC.
    highest: BTreeMap<u32, u64>,
    /// What was protected with each index.
    protected: BTreeMap<(u32, u64), Vec<u8>>,
}

impl Call {
    pub(super) fn new() -> Self {
        Self {
            wire: Wire::connected(3),
            inputs: 0,
            left: 0,
            track: TrackId(0),
            codec: Codec::Vp8,
            ssrc: 0,
            sent: BTreeMap::new(),
            receivers: Default::default(),
        }
    }

    /// Publishes a new track as the input says, with both others subscribed.
    pub(super) fn begin(&mut self, input: &mut Input<'_>) {
        self.inputs = self.inputs.wrapping_add(1);
        self.wire.keep_alive();
        self.track = TrackId(1 + u64::from(self.inputs));
        self.codec = input.choose(&CODECS);
        self.ssrc = self.inputs.wrapping_mul(SSRCS);
        self.sent.clear();
        let flags = input.u8();
        self.left = MOST_PASSED[usize::from(flags >> 6)];
        let kind = self.codec.kind();
        let rtx = (kind == MediaKind::Video && flags & 1 == 0).then_some(RTX);
        let mut codecs = vec![codec(MEDIA, self.codec, rtx)];
        if kind == MediaKind::Audio && self.codec != Codec::Opus {
            codecs.push(codec(OPUS, Codec::Opus, None));
        }
        let rids: Vec<Rid> = if kind == MediaKind::Video && flags & 2 != 0 {
            RIDS.map(|rid| rid.parse().expect("a rid")).to_vec()
        } else {
            Vec::new()
        };
        // Announced, or told by their packets.
        let ssrcs = (0..rids.len().max(1) as u32).filter(|_| flags & 4 == 0 && rids.is_empty());
        let ssrcs = ssrcs.map(|layer| SsrcPair {
            ssrc: self.ssrc + 2 * layer,
            rtx: rtx.map(|_| self.ssrc + 2 * layer + 1),
        });
        let mid = MID.parse().expect("a mid");
        let parameters = ReceiveParameters {
            mid,
            track: self.track,
            kind,
            voice: flags & 8 == 0,
            codecs,
            ssrcs: ssrcs.collect(),
            rids,
        };
        self.publish(mid, Some(parameters));
        for index in 0..self.receivers.len() {
            let shift = 1 + index as u8;
            let mut codecs = vec![codec(MEDIA + 2 * shift, self.codec, Some(RTX + 2 * shift))];
            if self.codec.kind() == MediaKind::Audio {
                codecs[0].rtx = None;
                if self.codec != Codec::Opus {
                    codecs.push(codec(OPUS + shift, Codec::Opus, None));
                }
                // One of them cannot take redundant audio apart.
                if index == 1 && codecs.len() > 1 {
                    codecs.remove(0);
                }
            }
            let ssrc = 0x8000_0000 | (self.inputs.wrapping_mul(4) + 2 * index as u32);
            let rtx_ssrc = codecs[0].rtx.map(|_| ssrc + 1);
            self.receivers[index] = Receiver {
                ssrc,
                codecs: codecs.clone(),
                ..Receiver::default()
            };
            let parameters = SendParameters {
                mid,
                track: self.track,
                participant: ParticipantId(0),
                home: 0,
                kind,
                ssrc,
                rtx_ssrc,
                codecs,
            };
            self.subscribe(index, mid, Some(parameters));
        }
    }

    fn publish(&mut self, mid: Mid, parameters: Option<ReceiveParameters>) {
        let peer = self.wire.clients[0].peer;
        self.wire.command(Command::SetReceiver {
            peer,
            mid,
            parameters,
        });
    }

    fn subscribe(&mut self, receiver: usize, mid: Mid, parameters: Option<SendParameters>) {
        let peer = self.subscriber(receiver);
        self.wire.command(Command::SetSender {
            peer,
            mid,
            parameters,
        });
    }

    pub(super) fn subscriber(&self, receiver: usize) -> PeerId {
        self.wire.clients[1 + receiver].peer
    }

    /// The SSRC that a subscriber is sent.
    pub(super) fn copy(&self, receiver: usize) -> u32 {
        self.receivers[receiver].ssrc
    }

    /// Sends a plain packet of the publisher's with the index that its SSRC is at. What is not even a header is sent
    /// as it is.
    pub(super) fn send(&mut self, plain: &[u8]) {
        let Ok(view) = HeaderView::parse(plain) else {
            let from = self.wire.clients[0].address;
            return self.wire.deliver(from, plain);
        };
        let (ssrc, sequence) = (view.ssrc(), view.sequence());
        let index = match self.sent.get(&ssrc) {
            Some(highest) => extend(*highest, sequence),
            None => u64::from(sequence),
        };
        let highest = self.sent.entry(ssrc).or_insert(index);
        *highest = index.max(*highest);
        self.wire.send_rtp(0, plain, view.header_len(), index);
    }

    pub(super) fn pass(&mut self, milliseconds: u64) {
        let milliseconds = milliseconds.min(self.left);
        self.left -= milliseconds;
        self.wire.pass(Duration::from_millis(milliseconds));
        self.wire.keep_alive();
    }

    /// Opens what was sent, and looks at it.
    pub(super) fn check(&mut self) {
        for (to, mut datagram) in std::mem::take(&mut self.wire.sent) {
            match classify(&datagram) {
                Some(DatagramKind::Stun) => {}
                Some(DatagramKind::Rtp) => self.check_rtp(to, datagram),
                Some(DatagramKind::Rtcp) => {
                    let client = self.client(to);
                    let transport = &mut self.wire.clients[client].transport;
                    let len = transport.open_rtcp(&mut datagram).expect("it opens");
                    let plain = &datagram[..len];
                    assert!(RtcpPackets::new(plain).count() > 0 || plain.len() >= 8);
                    let read = rtcp::packet::unmarshal(&mut Cursor::new(plain));
                    assert!(read.is_ok(), "{:?} of {plain:x?}", read.err());
                }
                other => panic!("{other:?} was sent to {to}"),
            }
        }
        for event in std::mem::take(&mut self.wire.events) {
            let is_end = matches!(event, Event::Failed { .. } | Event::Consent { .. });
            assert!(!is_end, "{event:?}");
        }
    }

    fn client(&self, address: SocketAddr) -> usize {
        let mut clients = self.wire.clients.iter();
        let client = clients.position(|client| client.address == address);
        client.expect("only clients are sent to")
    }

    fn check_rtp(&mut self, to: SocketAddr, mut datagram: Vec<u8>) {
        let client = self.client(to);
        let receiver = client
            .checked_sub(1)
            .expect("the publisher is sent nothing");
        let receiver = &mut self.receivers[receiver];
        let client = &mut self.wire.clients[client];
        let view = HeaderView::parse(&datagram).expect("we write RTP");
        let (ssrc, header_len) = (view.ssrc(), view.header_len());
        assert!(
            ssrc == receiver.ssrc || ssrc == receiver.ssrc + 1,
            "{ssrc:x}"
        );
        let index = match receiver.highest.get(&ssrc) {
            Some(highest) => extend(*highest, view.sequence()),
            None => u64::from(view.sequence()),
        };
        let highest = receiver.highest.entry(ssrc).or_insert(index);
        *highest = index.max(*highest);
        // One key and index never protect two packets (RFC 7714 section 8.1).
        let first = receiver.protected.entry((ssrc, index));
        let first = first.or_insert_with(|| datagram.clone());
        assert!(*first == datagram, "{ssrc:x} {index} protects two packets");
        let opened = client.transport.open_rtp(&mut datagram, header_len, index);
        let plain = &datagram[..opened.expect("it opens")];
        let view = HeaderView::parse(plain).expect("a plain packet");
        let payload = view.payload().expect("a payload");
        let is_rtx = ssrc != receiver.ssrc;
        let mut codecs = receiver.codecs.iter();
        let payload_type = view.payload_type();
        let known = codecs.any(|codec| match is_rtx {
            true => codec.rtx == Some(payload_type),
            false => codec.payload_type == payload_type,
        });
        assert!(known, "payload type {payload_type}");
        // Padding that probes for bandwidth has no packet in it.
        assert!(is_rtx || !payload.is_empty(), "nothing to play");
        let extensions = view.extensions(&client.extensions);
        assert_eq!(
            extensions.mid.map(|mid| mid.to_string()).as_deref(),
            Some(MID)
        );
        assert!(extensions.rid.is_none() && extensions.layers_allocation.is_none());
        let negotiated = |id: u8| client.extensions.extension(id).is_some();
        assert!(view.elements().all(|element| negotiated(element.id)));
    }

    /// Ends the track: nothing of it may stay.
    pub(super) fn end(&mut self) {
        self.check();
        let mid = MID.parse().expect("a mid");
        for receiver in 0..self.receivers.len() {
            self.subscribe(receiver, mid, None);
        }
        self.publish(mid, None);
        for client in 0..self.wire.clients.len() {
            let peer = self.wire.clients[client].peer;
            self.wire.command(Command::Stats { peer });
            let Some(Event::Stats { stats, .. }) = self.wire.events.pop() else {
                panic!("no statistics");
            };
            assert!(stats.connected);
            assert!(stats.inbound.is_empty() && stats.outbound.is_empty());
        }
        self.check();
    }
}
