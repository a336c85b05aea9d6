//! Data channels between the participants of one call: which channel of whom goes where.
//!
//! What a peer sends on a channel goes to every other peer of its call that has a channel of the same
//! label. Each receiver gets it on a channel that the server opens for that sender, with the sender's
//! reliability and `protocol` = `from:<participant id>`.

use crate::shard::ParticipantId;
use crate::transport::{ChannelInfo, ChannelReliability};

/// Longest label that is relayed, in bytes. Others are open, but reach nobody.
const MAX_LABEL: usize = 256;

/// One open data channel of a peer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Channel {
    /// The SCTP stream.
    pub(super) id: u16,
    /// Its label.
    pub(super) label: String,
    /// How it delivers.
    pub(super) reliability: ChannelReliability,
    /// The sender that the server opened it for; `None` if the peer opened it.
    pub(super) from: Option<ParticipantId>,
}

/// The data channels of one peer. Their number is bounded by the transport.
#[derive(Debug, Default)]
pub(super) struct Channels {
    open: Vec<Channel>,
}

impl Channels {
    /// Remembers a channel that the peer opened. Returns it, unless its label cannot be relayed.
    pub(super) fn opened(&mut self, info: ChannelInfo) -> Option<Channel> {
        if info.label.len() > MAX_LABEL {
            return None;
        }
        let channel = Channel {
            id: info.id,
            label: info.label,
            reliability: info.reliability,
            from: None,
        };
        self.open.push(channel.clone());
        Some(channel)
    }

    /// Remembers a channel that the server opened towards the peer.
    pub(super) fn relaying(&mut self, channel: Channel) {
        self.open.push(channel);
    }

    /// Forgets a channel that was closed, and returns it.
    pub(super) fn closed(&mut self, id: u16) -> Option<Channel> {
        let position = self.open.iter().position(|channel| channel.id == id)?;
        Some(self.open.swap_remove(position))
    }

    /// The channel on this SCTP stream.
    pub(super) fn by_id(&self, id: u16) -> Option<&Channel> {
        self.open.iter().find(|channel| channel.id == id)
    }

    /// The peer's own channel of this label: with it, it takes part.
    pub(super) fn own(&self, label: &str) -> Option<&Channel> {
        self.open
            .iter()
            .find(|channel| channel.from.is_none() && channel.label == label)
    }

    /// All channels that the peer opened.
    pub(super) fn owned(&self) -> impl Iterator<Item = &Channel> {
        self.open.iter().filter(|channel| channel.from.is_none())
    }

    /// The channel on which the peer gets what `from` sends under `label`.
    pub(super) fn relay(&self, from: ParticipantId, label: &str) -> Option<u16> {
        self.open
            .iter()
            .find(|channel| channel.from == Some(from) && channel.label == label)
            .map(|channel| channel.id)
    }

    /// Takes out the channels that are open for a sender: one label of it, or all.
    pub(super) fn take_relays(&mut self, from: ParticipantId, label: Option<&str>) -> Vec<u16> {
        let matches = |channel: &Channel| {
            channel.from == Some(from) && label.is_none_or(|label| channel.label == label)
        };
        self.take(matches)
    }

    /// Takes out the channels of this label that are open for any sender.
    pub(super) fn take_relays_of_label(&mut self, label: &str) -> Vec<u16> {
        self.take(|channel| channel.from.is_some() && channel.label == label)
    }

    fn take(&mut self, matches: impl Fn(&Channel) -> bool) -> Vec<u16> {
        let mut ids = Vec::new();
        self.open.retain(|channel| {
            let gone = matches(channel);
            if gone {
                ids.push(channel.id);
            }
            !gone
        });
        ids
    }
}
