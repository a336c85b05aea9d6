//! What a shard tells control. Media is never an event.

use std::time::Duration;

use bytes::Bytes;

use crate::rtp::{Codec, Mid, Rid};
use crate::shard::{CallId, ParticipantId, PeerId, TrackId};
use crate::transport::Path;

/// Something control must know.
#[derive(Clone, Debug)]
pub enum Event {
    /// The first check of a peer came to the socket of another shard, on a port that all share. The peer is to move there:
    /// here it answers nothing any more.
    Heard {
        /// The peer.
        peer: PeerId,
        /// The shard that heard it.
        by: usize,
        /// Where the check came from.
        path: Path,
        /// The check, for [`Command::Hear`](crate::shard::Command::Hear).
        check: Bytes,
    },
    /// DTLS is done and the certificate matched: media flows.
    Connected {
        /// The peer.
        peer: PeerId,
    },
    /// The peer's network is gone or came back. While it is gone the peer stays: an ICE restart may save it.
    Consent {
        /// The peer.
        peer: PeerId,
        /// False after 30 s without a valid STUN check (RFC 7675), true at the next one.
        fresh: bool,
    },
    /// The peer is over: it must be removed.
    Failed {
        /// The peer.
        peer: PeerId,
        /// Why.
        reason: FailReason,
    },
    /// What is forwarded of a track to a subscriber changed, or why it is not more.
    Layers {
        /// The subscriber.
        peer: PeerId,
        /// The track.
        track: TrackId,
        /// What is forwarded now.
        layer: Option<ForwardedLayer>,
        /// Why it is not more than that; `None` where it is all that the viewer needs.
        reason: Option<LayerReason>,
    },
    /// Which encodings of a track anybody receives. The publisher may stop sending the others.
    Wanted {
        /// The publisher.
        peer: PeerId,
        /// The m-line of the track.
        mid: Mid,
        /// The encodings that are wanted, as its m-line names them.
        rids: Vec<Rid>,
    },
    /// Who speaks, loudest first; at every change, at most five times a second.
    Speakers {
        /// In which call.
        call: CallId,
        /// Participants with their level, linear 0 to 1.
        speakers: Vec<(ParticipantId, f32)>,
    },
    /// How well a peer's network does, every 2 s.
    Quality {
        /// The peer.
        peer: PeerId,
        /// The figures.
        quality: Quality,
    },
    /// The answer to [`Command::Stats`](crate::shard::Command::Stats).
    Stats {
        /// The peer.
        peer: PeerId,
        /// All its counters.
        stats: Box<PeerStats>,
    },
    /// The answer to [`Command::Timeline`](crate::shard::Command::Timeline).
    Timeline {
        /// The subscriber.
        peer: PeerId,
        /// The track.
        track: TrackId,
        /// What happened lately, oldest first; empty where it has no such subscription.
        entries: Vec<TimelineEntry>,
    },
    /// The answer to [`Command::Timelines`](crate::shard::Command::Timelines).
    Timelines {
        /// The subscriber.
        peer: PeerId,
        /// For each track that it is sent what happened lately, oldest first.
        timelines: Vec<(TrackId, Vec<TimelineEntry>)>,
    },
}

impl Event {
    /// The peer that it is about.
    pub fn peer(&self) -> Option<PeerId> {
        match self {
            Self::Heard { peer, .. }
            | Self::Connected { peer }
            | Self::Consent { peer, .. }
            | Self::Failed { peer, .. }
            | Self::Layers { peer, .. }
            | Self::Wanted { peer, .. }
            | Self::Quality { peer, .. }
            | Self::Stats { peer, .. }
            | Self::Timeline { peer, .. }
            | Self::Timelines { peer, .. } => Some(*peer),
            Self::Speakers { .. } => None,
        }
    }
}

/// A layer that is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardedLayer {
    /// Its encoding, with simulcast.
    pub rid: Option<Rid>,
    /// The highest spatial layer, from 0.
    pub spatial: u8,
    /// The highest temporal layer, from 0.
    pub temporal: u8,
}

/// Why no more of a track is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerReason {
    /// The subscriber's network does not carry more.
    Bandwidth,
    /// The subscriber cannot decode what the track is encoded with.
    Codec,
    /// The publisher sends no more.
    Publisher,
}

/// Something that happened to a subscription.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimelineEntry {
    /// How long ago, the last time.
    pub age: Duration,
    /// How often, without anything else between.
    pub count: u16,
    /// What.
    pub event: TimelineEvent,
}

/// What may happen to a subscription.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TimelineEvent {
    /// It began.
    Subscribed,
    /// A keyframe was asked for.
    KeyframeAsked(KeyframeReason),
    /// The publisher sent one of the encoding that was waited for.
    KeyframeReceived(Option<Rid>),
    /// The picture begins, or goes on, with one of this encoding.
    KeyframeForwarded(Option<Rid>),
    /// What is forwarded, or why it is not more, is another now.
    Layer {
        /// What is forwarded; `None` for nothing.
        layer: Option<ForwardedLayer>,
        /// Why it is not more; `None` where it is all that the viewer needs.
        reason: Option<LayerReason>,
        /// Its width and height, where they are known.
        size: Option<(u16, u16)>,
    },
    /// The viewer wants nothing of it.
    Paused,
    /// The viewer wants it again.
    Resumed,
    /// The publisher muted it.
    Muted,
    /// The publisher shows it again.
    Unmuted,
    /// Nothing comes from the publisher.
    Silent,
    /// Something comes again.
    Flowing,
    /// What the viewer's network is estimated to carry, in bits a second.
    Estimate(u64),
    /// The share of packets that the viewer lost, 0 to 1; the worst where it is of several reports.
    Loss(f32),
    /// The publisher does not send this layer, which the viewer would be sent.
    SenderLimited(ForwardedLayer),
    /// The viewer cannot decode what the publisher sends.
    Codec,
}

/// Why a keyframe was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyframeReason {
    /// The viewer asked: it cannot go on decoding.
    Viewer,
    /// The picture can begin at nothing else.
    Start,
    /// Another layer can be taken up at nothing else.
    Switch,
    /// Packets were lost between the publisher and the server.
    Loss,
}

/// Why a peer is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailReason {
    /// The DTLS handshake failed, or took more than 30 s.
    Handshake,
    /// The certificate did not match any fingerprint of the SDP.
    Fingerprint,
    /// The remote side closed DTLS.
    Closed,
    /// A bug of ours, caught before it reached another peer.
    Internal,
}

/// The network between one peer and the server, over the last 2 s.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quality {
    /// Packets lost of those that it sent or was sent, the worse direction, 0 to 1.
    pub loss: f32,
    /// Round trip time, where it is known.
    pub rtt: Option<Duration>,
    /// What its network is estimated to carry towards it, in bits a second; where nothing is known of that, what it
    /// receives and sends now.
    pub bandwidth: u64,
}

/// One peer's counters, as the server sees them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerStats {
    /// Whether DTLS is done.
    pub connected: bool,
    /// Bytes of all datagrams from the peer.
    pub bytes_received: u64,
    /// Bytes of all datagrams to the peer.
    pub bytes_sent: u64,
    /// Datagrams from the peer.
    pub packets_received: u64,
    /// Datagrams to the peer.
    pub packets_sent: u64,
    /// Round trip time, where it is known.
    pub rtt: Option<Duration>,
    /// The SRTP profile, as IANA names it.
    pub srtp: Option<&'static str>,
    /// What the network is estimated to carry to the peer, in bits a second, where something is known of that.
    pub estimate: Option<u64>,
    /// What the peer publishes, a line for each SSRC.
    pub inbound: Vec<InboundStats>,
    /// What the peer is sent, a line for each m-line.
    pub outbound: Vec<OutboundStats>,
}

/// One stream from a peer.
#[derive(Clone, Debug, PartialEq)]
pub struct InboundStats {
    /// Its m-line.
    pub mid: Mid,
    /// Its track.
    pub track: TrackId,
    /// Its SSRC.
    pub ssrc: u32,
    /// Its codec, once a packet came.
    pub codec: Option<Codec>,
    /// Packets, retransmissions excluded.
    pub packets_received: u64,
    /// Payload bytes.
    pub bytes_received: u64,
    /// Packets that never came (RFC 3550 section 6.4.1); duplicates make it negative.
    pub packets_lost: i64,
    /// Interarrival jitter in seconds.
    pub jitter: f64,
    /// NACKs sent to the peer.
    pub nack_count: u64,
    /// PLIs sent to the peer.
    pub pli_count: u64,
    /// Keyframes seen.
    pub key_frames: u64,
}

/// One stream to a peer.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboundStats {
    /// Its m-line.
    pub mid: Mid,
    /// Its track.
    pub track: TrackId,
    /// Its SSRC.
    pub ssrc: u32,
    /// Its codec, once a packet was forwarded.
    pub codec: Option<Codec>,
    /// Packets, retransmissions excluded.
    pub packets_sent: u64,
    /// Payload bytes.
    pub bytes_sent: u64,
    /// Retransmitted packets.
    pub retransmitted_packets_sent: u64,
    /// NACKs from the peer.
    pub nack_count: u64,
    /// PLIs and FIRs from the peer.
    pub pli_count: u64,
    /// The share of packets that the peer lost in its last report, 0 to 1.
    pub fraction_lost: f32,
    /// What of the track is forwarded now, if there are layers to choose from.
    pub layer: Option<ForwardedLayer>,
}
