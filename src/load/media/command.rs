//! What a peer's negotiation tells the media thread.

use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use tokio::sync::{oneshot, watch};

use crate::load::measure::Tally;
use crate::load::plan::VideoPlan;
use crate::rtp::{ExtensionMap, MediaKind, Mid, Rid};
use crate::shard::{DtlsRole, Fingerprint, IceCredentials};
use crate::transport::Srtp;

/// One peer connection of the run. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PeerKey(pub(crate) u64);

/// What the media thread does next.
pub(crate) enum MediaCommand {
    /// Adds a peer, which does nothing before its transport is set.
    AddPeer(Box<NewPeer>),
    /// Takes what the remote description says about the transport, each time one was applied.
    SetTransport(PeerKey, Box<TransportSetup>),
    /// Instead of a transport: sends to the address at once, with keys that both sides know.
    ConnectWithoutHandshake(PeerKey, SocketAddr, Box<Srtp>),
    /// A trickled candidate.
    AddCandidate(PeerKey, SocketAddr),
    /// What the peer sends and receives from now on; what is in it already goes on as it was.
    SetMedia(PeerKey, Box<MediaSetup>),
    /// The layers of one m-line that anybody wants; the others pause.
    SetLayers(PeerKey, Mid, Vec<Rid>),
    /// The peer is over, and says so.
    RemovePeer(PeerKey),
    /// The peer is over without a word to the other side.
    ForgetPeer(PeerKey),
    /// Asks how far everybody is.
    Progress(oneshot::Sender<Vec<PeerProgress>>),
    /// Asks for everything that was counted since this was asked last.
    Measure(oneshot::Sender<Box<Measured>>),
    /// Ends the thread.
    Stop,
}

/// How far a peer is.
#[derive(Clone, Debug)]
pub(crate) struct PeerProgress {
    /// The client that it belongs to, as in the plan.
    pub(crate) client: usize,
    /// What became of it.
    pub(crate) state: PeerState,
    /// When it was connected.
    pub(crate) connected: Option<Instant>,
    /// The SRTP profile as IANA names it.
    pub(crate) srtp: Option<&'static str>,
    /// Tracks of which something came: ever, or, in a measurement, since the last one.
    pub(crate) tracks: usize,
}

/// What was counted between two measurements.
pub(crate) struct Measured {
    /// When this one was made.
    pub(crate) at: Instant,
    /// What was counted.
    pub(crate) tally: Tally,
    /// All peers.
    pub(crate) peers: Vec<PeerProgress>,
}

/// A peer as it begins.
pub(crate) struct NewPeer {
    /// Its key.
    pub(crate) key: PeerKey,
    /// The client that it belongs to, as in the plan.
    pub(crate) client: usize,
    /// Its socket, bound.
    pub(crate) socket: UdpSocket,
    /// Its own ICE credentials.
    pub(crate) local_ice: IceCredentials,
    /// Makes its traffic.
    pub(crate) seed: u64,
    /// Told what becomes of it.
    pub(crate) state: watch::Sender<PeerState>,
}

/// What becomes of a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum PeerState {
    /// ICE and DTLS are not done yet.
    #[default]
    Connecting,
    /// Media can flow.
    Connected,
    /// It will never be connected, or is no more.
    Failed(String),
}

/// What the descriptions agreed about the transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TransportSetup {
    /// The remote credentials.
    pub(crate) remote_ice: IceCredentials,
    /// One must match the remote certificate.
    pub(crate) fingerprints: Vec<Fingerprint>,
    /// Our role in the DTLS handshake.
    pub(crate) role: DtlsRole,
    /// Whether we nominate: we offered, or the remote side is ICE-lite (RFC 8445 section 6.1.1).
    pub(crate) controlling: bool,
    /// Where checks go.
    pub(crate) candidates: Vec<SocketAddr>,
}

/// What the descriptions agreed about media.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MediaSetup {
    /// The ids of header extensions.
    pub(crate) extensions: ExtensionMap,
    /// What is sent.
    pub(crate) senders: Vec<SenderSetup>,
    /// What is received.
    pub(crate) receivers: Vec<ReceiverSetup>,
}

/// A track that is sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SenderSetup {
    /// Its m-line.
    pub(crate) mid: Mid,
    /// What it is.
    pub(crate) source: SourcePlan,
    /// The payload type of its codec, Opus or VP8.
    pub(crate) payload_type: u8,
    /// The payload type of retransmissions, where there are any.
    pub(crate) rtx_payload_type: Option<u8>,
    /// Its streams, best first: one, or one for each layer.
    pub(crate) streams: Vec<StreamSetup>,
}

/// What is sent on an m-line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SourcePlan {
    /// Opus.
    Audio,
    /// VP8.
    Video(VideoPlan),
}

/// One stream of a track that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamSetup {
    /// The layer's id, with simulcast.
    pub(crate) rid: Option<Rid>,
    /// The stream.
    pub(crate) ssrc: u32,
    /// Its retransmissions.
    pub(crate) rtx_ssrc: u32,
}

/// A track that is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReceiverSetup {
    /// Its m-line.
    pub(crate) mid: Mid,
    /// Audio or video.
    pub(crate) kind: MediaKind,
    /// The stream that the remote side announced.
    pub(crate) ssrc: u32,
    /// Its retransmissions.
    pub(crate) rtx_ssrc: Option<u32>,
    /// Whether lost packets may be asked for.
    pub(crate) nack: bool,
    /// Whether keyframes may be asked for.
    pub(crate) pli: bool,
}
