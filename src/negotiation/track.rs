//! Tracks as control sees them: published by a peer, or sent to one.

use crate::negotiation::Source;
use crate::rtp::{Codec, MediaKind, Mid};
use crate::shard::{ParticipantId, TrackId};

/// Hands out track ids. One for a whole server, so that an id is never used twice in its run.
#[derive(Debug, Default)]
pub struct TrackIds {
    last: u64,
}

impl TrackIds {
    /// An id that was never handed out before, from `t1` on.
    #[expect(
        clippy::should_implement_trait,
        reason = "it never ends, which an iterator cannot say"
    )]
    pub fn next(&mut self) -> TrackId {
        self.last += 1;
        TrackId(self.last)
    }
}

/// A track that the peer sends us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedTrack {
    /// Its id. An m-line that stops sending and starts again gets a new one.
    pub track: TrackId,
    /// The m-line that carries it.
    pub mid: Mid,
    /// Audio or video.
    pub kind: MediaKind,
    /// What the client says it is, or what its kind suggests.
    pub source: Source,
    /// What the peer may send it in, in the order of preference. Never empty.
    pub codecs: Vec<Codec>,
}

/// A track of another peer that this peer is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribedTrack {
    /// Its id.
    pub track: TrackId,
    /// Whose it is: the stream of `a=msid`, and the `cname`.
    pub participant: ParticipantId,
    /// The shard of its publisher.
    pub home: usize,
    /// Audio or video.
    pub kind: MediaKind,
    /// What its publisher may send it in: the codecs to offer for it. Empty means any.
    pub codecs: Vec<Codec>,
}
