//! What control may ask of a shard.

use bytes::Bytes;

use crate::rtp::{ExtensionMap, Mid};
use crate::shard::{
    CallId, IceCredentials, ParticipantId, PeerId, ReceiveParameters, SendParameters, TrackId,
    TransportParameters, Wish,
};
use crate::transport::{MessageKind, Path};

/// A request to a shard. Commands about a peer or track that is gone are ignored: they crossed its end.
#[derive(Clone, Debug)]
pub enum Command {
    /// A new peer, which from now on answers STUN for `local_ice`.
    AddPeer {
        /// The new peer.
        peer: PeerId,
        /// The call it belongs to.
        call: CallId,
        /// Whose it is.
        participant: ParticipantId,
        /// The other shards where the call has peers now. Those that get their first peer later tell it themselves.
        shards: Vec<usize>,
        /// The credentials that our SDP carries.
        local_ice: IceCredentials,
    },
    /// The remote side of the transport is known, or changed (ICE restart, a data channel m-line).
    SetTransport {
        /// Whose transport.
        peer: PeerId,
        /// All of it.
        transport: TransportParameters,
    },
    /// The header extension ids of the connection.
    SetExtensions {
        /// Whose connection.
        peer: PeerId,
        /// All of them, one map for both directions.
        extensions: Box<ExtensionMap>,
    },
    /// What the peer sends on an m-line: new, changed, or (with `None`) no more.
    SetReceiver {
        /// The publisher.
        peer: PeerId,
        /// The m-line.
        mid: Mid,
        /// All of it. A changed `track` ends the old track.
        parameters: Option<ReceiveParameters>,
    },
    /// What the peer is sent on an m-line: new, changed, or (with `None`) no more.
    SetSender {
        /// The subscriber.
        peer: PeerId,
        /// The m-line.
        mid: Mid,
        /// All of it. A changed `ssrc` starts a new stream.
        parameters: Option<SendParameters>,
    },
    /// Nothing of a muted track is forwarded.
    SetMuted {
        /// The publisher.
        peer: PeerId,
        /// Its track.
        track: TrackId,
        /// Whether it is muted now.
        muted: bool,
    },
    /// What a subscriber needs of a track. Nothing of a paused one is forwarded; it resumes at a keyframe.
    SetWish {
        /// The subscriber.
        peer: PeerId,
        /// The track.
        track: TrackId,
        /// All that it needs of it now.
        wish: Wish,
    },
    /// Whose picture comes first among those of equal priority, where a network does not carry all.
    SetSpeakers {
        /// The call, which has a peer on this shard.
        call: CallId,
        /// Who spoke lately, on any shard.
        speakers: Vec<ParticipantId>,
    },
    /// Asks for an [`Event::Stats`](crate::shard::Event::Stats).
    Stats {
        /// Whose statistics.
        peer: PeerId,
    },
    /// Asks for an [`Event::Timeline`](crate::shard::Event::Timeline).
    Timeline {
        /// The subscriber.
        peer: PeerId,
        /// The track.
        track: TrackId,
    },
    /// Asks for an [`Event::Timelines`](crate::shard::Event::Timelines).
    Timelines {
        /// The subscriber.
        peer: PeerId,
    },
    /// Gives a peer a data channel message, reliably and in order, if it has a channel of this label.
    SendData {
        /// The receiver.
        peer: PeerId,
        /// Whom it is from: the channel's `protocol` says so.
        from: ParticipantId,
        /// The label.
        label: String,
        /// Text or bytes.
        kind: MessageKind,
        /// The message.
        data: Bytes,
    },
    /// Gives a peer the check for which it moved here, as if it came now.
    Hear {
        /// The peer.
        peer: PeerId,
        /// Where it came from.
        path: Path,
        /// The check.
        check: Bytes,
    },
    /// Ends the peer: close_notify is sent, its tracks and data channels end.
    RemovePeer {
        /// The peer.
        peer: PeerId,
    },
}

impl Command {
    /// The peer that it is about.
    pub(in crate::shard) fn peer(&self) -> Option<PeerId> {
        match self {
            Self::AddPeer { peer, .. }
            | Self::SetTransport { peer, .. }
            | Self::SetExtensions { peer, .. }
            | Self::SetReceiver { peer, .. }
            | Self::SetSender { peer, .. }
            | Self::SetMuted { peer, .. }
            | Self::SetWish { peer, .. }
            | Self::Stats { peer }
            | Self::Timeline { peer, .. }
            | Self::Timelines { peer }
            | Self::SendData { peer, .. }
            | Self::Hear { peer, .. }
            | Self::RemovePeer { peer } => Some(*peer),
            Self::SetSpeakers { .. } => None,
        }
    }
}
