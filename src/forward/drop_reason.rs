//! Why packets are not forwarded, and how many.

/// Why a packet from a peer, or a copy of it for a subscriber, went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// No valid packet of any protocol.
    Malformed,
    /// Longer than a datagram of media may be.
    TooLarge,
    /// It came over a path that is not the peer's chosen one.
    WrongPath,
    /// Keys are not there yet, or the peer is over.
    NotConnected,
    /// Neither SSRC nor mid and rid belong to a track.
    UnknownSsrc,
    /// The m-line did not negotiate this payload type.
    UnknownPayloadType,
    /// Its SRTP index was used before, or is too old to know.
    Replayed,
    /// The authentication tag is wrong.
    AuthenticationFailed,
    /// A copy of a packet that came before, such as a retransmission that was not needed.
    Duplicate,
    /// It carries padding only: a probe of the sender's bandwidth.
    PaddingOnly,
    /// Retransmission (RFC 4588) of something unknown.
    UnknownRetransmission,
    /// The publisher muted the track.
    Muted,
    /// The subscriber paused the track.
    Paused,
    /// The subscription starts at the next keyframe.
    WaitingForKeyframe,
    /// The subscriber cannot decode this codec.
    NoCodec,
    /// The subscription is at another layer.
    OtherLayer,
    /// It is older than the point at which the subscription took up this source.
    Stale,
    /// It was asked for again, but the history no longer has it.
    HistoryMiss,
    /// The sender exceeds a limit.
    RateLimited,
    /// The output is full.
    QueueFull,
    /// It could not be encrypted.
    EncryptionFailed,
    /// Too much is on its way to another shard already.
    LinkFull,
    /// It came from another shard for a subscription that ended meanwhile.
    Unsubscribed,
    /// Audio of a large call in which others are louder.
    NotLoudest,
}

impl DropReason {
    /// Every reason, in the order of their discriminants.
    pub const ALL: [Self; 24] = [
        Self::Malformed,
        Self::TooLarge,
        Self::WrongPath,
        Self::NotConnected,
        Self::UnknownSsrc,
        Self::UnknownPayloadType,
        Self::Replayed,
        Self::AuthenticationFailed,
        Self::Duplicate,
        Self::PaddingOnly,
        Self::UnknownRetransmission,
        Self::Muted,
        Self::Paused,
        Self::WaitingForKeyframe,
        Self::NoCodec,
        Self::OtherLayer,
        Self::Stale,
        Self::HistoryMiss,
        Self::RateLimited,
        Self::QueueFull,
        Self::EncryptionFailed,
        Self::LinkFull,
        Self::Unsubscribed,
        Self::NotLoudest,
    ];

    /// The reason in words of a log or a metric.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too-large",
            Self::WrongPath => "wrong-path",
            Self::NotConnected => "not-connected",
            Self::UnknownSsrc => "unknown-ssrc",
            Self::UnknownPayloadType => "unknown-payload-type",
            Self::Replayed => "replayed",
            Self::AuthenticationFailed => "authentication-failed",
            Self::Duplicate => "duplicate",
            Self::PaddingOnly => "padding-only",
            Self::UnknownRetransmission => "unknown-retransmission",
            Self::Muted => "muted",
            Self::Paused => "paused",
            Self::WaitingForKeyframe => "waiting-for-keyframe",
            Self::NoCodec => "no-codec",
            Self::OtherLayer => "other-layer",
            Self::Stale => "stale",
            Self::HistoryMiss => "history-miss",
            Self::RateLimited => "rate-limited",
            Self::QueueFull => "queue-full",
            Self::EncryptionFailed => "encryption-failed",
            Self::LinkFull => "link-full",
            Self::Unsubscribed => "unsubscribed",
            Self::NotLoudest => "not-loudest",
        }
    }
}

/// A counter for each [`DropReason`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DropCounts([u64; DropReason::ALL.len()]);

impl DropCounts {
    /// Counts one more.
    pub fn count(&mut self, reason: DropReason) {
        self.add(reason, 1);
    }

    /// Counts `n` more.
    pub fn add(&mut self, reason: DropReason, n: u64) {
        let counter = &mut self.0[reason as usize];
        *counter = counter.saturating_add(n);
    }

    /// How many were dropped for this reason.
    pub fn of(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// How many were dropped for any reason.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The reasons that happened, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL
            .into_iter()
            .zip(self.0)
            .filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_lists_each_reason_at_its_own_place_and_name() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
        let names: BTreeSet<_> = DropReason::ALL.into_iter().map(DropReason::name).collect();
        assert_eq!(names.len(), DropReason::ALL.len());
    }

    #[test]
    fn counts_are_kept_apart() {
        let mut counts = DropCounts::default();
        counts.count(DropReason::Muted);
        counts.add(DropReason::Stale, 2);
        counts.count(DropReason::EncryptionFailed);
        assert_eq!(counts.of(DropReason::Stale), 2);
        assert_eq!(counts.total(), 4);
        assert_eq!(
            counts.iter().collect::<Vec<_>>(),
            [
                (DropReason::Muted, 1),
                (DropReason::Stale, 2),
                (DropReason::EncryptionFailed, 1)
            ]
        );
    }
}
