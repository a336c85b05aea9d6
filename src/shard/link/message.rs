//! What shards tell each other about tracks and data channels: rare, in order, and never dropped.

use crate::forward::SenderClock;
use crate::forward::layers::EncodingSet;
use crate::rtp::ExtensionMap;
use crate::shard::track::EncodingState;
use crate::shard::{CallId, ParticipantId, ReceiveParameters, TrackId};
use crate::transport::{ChannelReliability, MessageKind};

/// A mirror, as its own shard names it. Its home says the name back, so that a packet finds its mirror without a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) struct MirrorId {
    /// Index in the tracks of the mirror's shard.
    pub(in crate::shard) index: usize,
    /// Tells it from mirrors that had the index before.
    pub(in crate::shard) epoch: u32,
}

/// One message over a link. `Home` is the shard of the publisher.
#[derive(Debug)]
pub(in crate::shard) enum LinkMessage {
    /// To the home: somebody here wants the track, which may be there only later.
    Subscribe { track: TrackId, mirror: MirrorId },
    /// To the home: nobody here wants it any more.
    Unsubscribe { track: TrackId, mirror: MirrorId },
    /// To the home: these encodings are to be sent here, and those are wanted of the publisher.
    Follow {
        track: TrackId,
        mirror: MirrorId,
        encodings: EncodingSet,
        wanted: EncodingSet,
    },
    /// To the home: somebody here cannot go on without a keyframe of this encoding.
    Keyframe { track: TrackId, encoding: usize },
    /// To the home: a bug was met with what came of this track. Its publisher is over.
    Abandon { track: TrackId },
    /// From the home: what the track is, at first and after each change.
    Describe {
        mirror: MirrorId,
        description: Box<Description>,
    },
    /// From the home: what its encodings are like now, at first, once a second, and when one begins.
    Encodings {
        mirror: MirrorId,
        encodings: Vec<Option<EncodingState>>,
    },
    /// From the home: all packets of an encoding since its last keyframe were repeated before this.
    CaughtUp { mirror: MirrorId },
    /// From the home: nothing of it is forwarded, or now is again.
    Muted { mirror: MirrorId, muted: bool },
    /// From the home: the publisher's clock of one layer.
    Clock {
        mirror: MirrorId,
        layer: usize,
        generation: u32,
        clock: SenderClock,
    },
    /// From the home: what was not sent of a layer before this number is no gap.
    SkipTo {
        mirror: MirrorId,
        layer: usize,
        generation: u32,
        first: u64,
    },
    /// From the home: the track is gone. It may come again under the same name.
    Ended { mirror: MirrorId },
    /// The sender has peers of this call. With `answer` it says so because it was told the same.
    Joined { call: CallId, answer: bool },
    /// The sender has no peers of this call any more.
    Left { call: CallId },
    /// A participant on the sending shard has a data channel of this label now.
    ChannelOpened {
        call: CallId,
        participant: ParticipantId,
        label: String,
        reliability: ChannelReliability,
    },
    /// It has none of this label, or (without one) none at all any more.
    ChannelClosed {
        call: CallId,
        participant: ParticipantId,
        label: Option<String>,
    },
    /// What it sent on its channel of this label.
    ChannelMessage {
        call: CallId,
        participant: ParticipantId,
        label: String,
        kind: MessageKind,
        data: Vec<u8>,
    },
}

/// What a mirror must know of its track.
#[derive(Debug)]
pub(in crate::shard) struct Description {
    /// What the publisher's m-line negotiated.
    pub(in crate::shard) parameters: ReceiveParameters,
    /// The publisher's header extension ids.
    pub(in crate::shard) extensions: ExtensionMap,
    /// Nothing of it is forwarded.
    pub(in crate::shard) muted: bool,
    /// Its layers begin anew.
    pub(in crate::shard) restart: bool,
}
