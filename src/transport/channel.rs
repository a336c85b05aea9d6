//! What a data channel is (RFC 8831), whoever opened it.

use std::time::Duration;

/// How many data channels, messages and bytes one peer may take up here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelLimits {
    /// The longest message, either way, in bytes.
    pub max_message_bytes: usize,
    /// How many channels may be open at once.
    pub max_channels: usize,
    /// How much may wait to be sent or acknowledged, over all channels, in bytes.
    pub max_buffered_bytes: usize,
}

/// How hard the messages of a channel are tried (RFC 8832 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelReliability {
    /// Whether messages arrive in the order in which they were sent.
    pub ordered: bool,
    /// When a message is given up.
    pub limit: Option<ReliabilityLimit>,
}

/// When a message is given up (RFC 3758).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReliabilityLimit {
    /// After so many retransmissions.
    Retransmits(u32),
    /// After so long, in milliseconds' precision.
    Lifetime(Duration),
}

/// A data channel that the remote side opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelInfo {
    /// The SCTP stream, 0 to 65534.
    pub id: u16,
    /// What the remote application calls it; not unique, may be empty.
    pub label: String,
    /// The subprotocol; may be empty.
    pub protocol: String,
    /// How its messages travel, both ways.
    pub reliability: ChannelReliability,
    /// 128 below normal, 256 normal, 512 high, 1024 extra high (RFC 8831 section 6.4).
    pub priority: u16,
}

/// What a message is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// UTF-8 text, which nobody here has checked.
    Text,
    /// Anything.
    Binary,
}

/// Why a channel was not opened, or a message not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelError {
    /// There is no SCTP association: no data channel m-line, or DTLS or SCTP is not done.
    NotConnected,
    /// No open channel has this id.
    NoSuchChannel,
    /// There are as many channels as may be.
    TooMany,
    /// The message, label or protocol is longer than this or the remote side takes.
    TooLarge,
    /// So much waits already that nothing more is taken.
    Full,
}

impl Default for ChannelReliability {
    /// Ordered and reliable, as in the W3C interface.
    fn default() -> Self {
        Self {
            ordered: true,
            limit: None,
        }
    }
}
