//! What control tells the core about a peer: ORTC-like parameters, with no SDP left in them.

use std::fmt;

use crate::rtp::{Codec, MediaKind, Mid, Rid};

/// One peer connection. Unique in the server's run, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub u64);

/// One call, of a room or of two people. Tracks and data channels stay inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// A participant's number on the wire, as in the `id` message and in `a=msid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParticipantId(pub u64);

/// One published source. Written `t12` on the wire. Unique in the server's run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackId(pub u64);

impl fmt::Display for ParticipantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

/// `a=ice-ufrag` and `a=ice-pwd` of one side (RFC 8839 section 5.4).
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// 4 to 256 ice-chars.
    pub ufrag: String,
    /// 22 to 256 ice-chars. A secret: never logged.
    pub pwd: String,
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceCredentials")
            .field("ufrag", &self.ufrag)
            .finish_non_exhaustive()
    }
}

/// Hash functions of `a=fingerprint` (RFC 8122) that are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FingerprintHash {
    /// `sha-256`, what every browser sends.
    Sha256,
    /// `sha-384`
    Sha384,
    /// `sha-512`
    Sha512,
}

/// The hash of a certificate, as in `a=fingerprint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// How `bytes` was made.
    pub hash: FingerprintHash,
    /// The digest.
    pub bytes: Vec<u8>,
}

/// Our side's role in the DTLS handshake, from `a=setup` (RFC 8842).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtlsRole {
    /// We are `active`: we send the ClientHello.
    Client,
    /// We are `passive`.
    Server,
}

/// The data channel m-line (RFC 8841).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SctpParameters {
    /// The remote `a=sctp-port`.
    pub remote_port: u16,
    /// The remote `a=max-message-size` in bytes; 0 means any.
    pub max_message_size: u32,
}

/// What the remote side said about the one transport of its bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportParameters {
    /// Our own credentials, which change with an ICE restart.
    pub local_ice: IceCredentials,
    /// The remote credentials.
    pub remote_ice: IceCredentials,
    /// Fingerprints of which one must match the remote certificate.
    pub fingerprints: Vec<Fingerprint>,
    /// Our DTLS role.
    pub role: DtlsRole,
    /// The data channel m-line, where there is one.
    pub sctp: Option<SctpParameters>,
}

/// One payload type of an m-line, with what goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodecParameters {
    /// 0 to 127.
    pub payload_type: u8,
    /// What it carries.
    pub codec: Codec,
    /// The payload type of its retransmissions (RFC 4588).
    pub rtx: Option<u8>,
    /// `a=rtcp-fb … nack` was agreed.
    pub nack: bool,
    /// `a=rtcp-fb … nack pli` was agreed.
    pub pli: bool,
    /// `a=rtcp-fb … ccm fir` was agreed.
    pub fir: bool,
    /// `a=rtcp-fb … transport-cc` was agreed.
    pub transport_cc: bool,
}

/// The SSRCs of one encoding, from `a=ssrc` and `a=ssrc-group:FID` (RFC 5576).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SsrcPair {
    /// The media stream.
    pub ssrc: u32,
    /// Its retransmissions.
    pub rtx: Option<u32>,
}

/// What a peer sends on one m-line: one track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveParameters {
    /// The m-line.
    pub mid: Mid,
    /// The track that it publishes.
    pub track: TrackId,
    /// Audio or video.
    pub kind: MediaKind,
    /// Somebody's voice, which may speak and be left out for louder ones; not what a shared screen sounds like.
    pub voice: bool,
    /// What the peer may send, in the order of preference. Never empty.
    pub codecs: Vec<CodecParameters>,
    /// Announced SSRCs; empty when only mid and rid tell (simulcast, RFC 8853).
    pub ssrcs: Vec<SsrcPair>,
    /// Simulcast layers, best first as the offer lists them; empty without simulcast.
    pub rids: Vec<Rid>,
}

/// What a peer is sent on one m-line: its copy of one track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendParameters {
    /// The m-line.
    pub mid: Mid,
    /// The track that is sent. It belongs to another peer of the same call.
    pub track: TrackId,
    /// Whose it is.
    pub participant: ParticipantId,
    /// The number of the shard where its publisher is. It may become another one before anything of the track came.
    pub home: usize,
    /// Audio or video.
    pub kind: MediaKind,
    /// The SSRC that our SDP announces, unique in the peer connection.
    pub ssrc: u32,
    /// The SSRC of retransmissions, where a codec has them.
    pub rtx_ssrc: Option<u32>,
    /// What the peer can decode, by its own payload types. Never empty.
    pub codecs: Vec<CodecParameters>,
}

/// What a viewer needs of a track: nothing above that is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Nothing at all.
    pub paused: bool,
    /// Pixels of the place where it is shown; `None` for the best there is.
    pub width: Option<u16>,
    /// The same for its lines.
    pub height: Option<u16>,
    /// The higher, the earlier it gets its share of a narrow network. Of equals who spoke lately comes first; the others
    /// share alike.
    pub priority: u32,
}
