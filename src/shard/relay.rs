//! Relays data channel messages between the peers of a call, and keeps the channels for it open.

use std::time::Instant;

use super::channels::Channel;
use super::{Batch, ParticipantId, Shard};
use crate::transport::{ChannelInfo, ChannelReliability, MessageKind};

impl Shard {
    /// A peer opened a channel: it now gets what others send under this label, and they get its.
    pub(super) fn channel_opened(
        &mut self,
        now: Instant,
        index: usize,
        info: ChannelInfo,
        batch: &mut Batch,
    ) {
        let Some(channel) = self.peers[index].channels.opened(info) else {
            return;
        };
        let participant = self.peers[index].participant;
        let (label, reliability) = (channel.label.as_str(), channel.reliability);
        for other in self.others(index) {
            let Some(theirs) = self.peers[other].channels.own(label).cloned() else {
                continue;
            };
            let from = self.peers[other].participant;
            self.open_relay(now, participant, other, label, reliability);
            self.open_relay(now, from, index, label, theirs.reliability);
            self.flush_transport(other, batch);
        }
        self.open_remote_relays(now, index, label);
        self.link_channel_opened(index, &channel);
    }

    /// A message came: it goes to everybody else who has the label.
    pub(super) fn channel_message(
        &mut self,
        now: Instant,
        index: usize,
        id: u16,
        kind: MessageKind,
        data: &[u8],
        batch: &mut Batch,
    ) {
        let peer = &self.peers[index];
        let participant = peer.participant;
        let Some(channel) = peer.channels.by_id(id).cloned() else {
            return;
        };
        let (label, reliability) = (channel.label.as_str(), channel.reliability);
        for other in self.others(index) {
            let message = (kind, data);
            self.relay_to(now, participant, other, label, reliability, message, batch);
        }
        self.link_channel_message(index, label, kind, data);
    }

    /// Gives a peer what a participant sent under a label, if it has the label.
    #[expect(clippy::too_many_arguments, reason = "each is a part of one message")]
    pub(super) fn relay_to(
        &mut self,
        now: Instant,
        from: ParticipantId,
        to: usize,
        label: &str,
        reliability: ChannelReliability,
        (kind, data): (MessageKind, &[u8]),
        batch: &mut Batch,
    ) {
        if self.peers[to].channels.own(label).is_none() {
            return;
        }
        self.open_relay(now, from, to, label, reliability);
        let peer = &mut self.peers[to];
        if let Some(relay) = peer.channels.relay(from, label)
            && let Err(error) = peer.transport.send_message(now, relay, kind, data)
        {
            tracing::debug!(
                parent: &peer.span,
                ?error,
                "a data channel message was not relayed"
            );
        }
        self.flush_transport(to, batch);
    }

    /// A channel was closed: a peer that closes its own leaves the label, one that closes a relay does
    /// not want that sender.
    pub(super) fn channel_closed(
        &mut self,
        now: Instant,
        index: usize,
        id: u16,
        batch: &mut Batch,
    ) {
        let peer = &mut self.peers[index];
        let participant = peer.participant;
        let Some(channel) = peer.channels.closed(id) else {
            return;
        };
        if channel.from.is_some() || peer.channels.own(&channel.label).is_some() {
            return;
        }
        let relays = peer.channels.take_relays_of_label(&channel.label);
        for relay in relays {
            peer.transport.close_channel(now, relay);
        }
        let others = self.others(index);
        self.close_relays(now, &others, participant, Some(&channel.label), batch);
        self.link_channel_closed(index, Some(&channel.label));
    }

    /// Closes what the peers of a participant that leaves get from it.
    pub(super) fn close_all_relays(&mut self, now: Instant, index: usize, batch: &mut Batch) {
        let participant = self.peers[index].participant;
        let others = self.others(index);
        self.close_relays(now, &others, participant, None, batch);
        self.link_channel_closed(index, None);
    }

    /// Closes what `peers` get from `participant`: one label, or all.
    pub(super) fn close_relays(
        &mut self,
        now: Instant,
        peers: &[usize],
        participant: ParticipantId,
        label: Option<&str>,
        batch: &mut Batch,
    ) {
        for &other in peers {
            let peer = &mut self.peers[other];
            let relays = peer.channels.take_relays(participant, label);
            if relays.is_empty() {
                continue;
            }
            for relay in relays {
                peer.transport.close_channel(now, relay);
            }
            self.flush_transport(other, batch);
        }
    }

    /// Opens the channel on which `to` gets what `from` sends, unless it is there.
    pub(super) fn open_relay(
        &mut self,
        now: Instant,
        from: ParticipantId,
        to: usize,
        label: &str,
        reliability: ChannelReliability,
    ) {
        let to = &mut self.peers[to];
        if to.channels.relay(from, label).is_some() {
            return;
        }
        let protocol = format!("from:{from}");
        let opened = to
            .transport
            .open_channel(now, label, &protocol, reliability);
        match opened {
            Ok(id) => to.channels.relaying(Channel {
                id,
                label: label.to_owned(),
                reliability,
                from: Some(from),
            }),
            Err(error) => {
                tracing::debug!(parent: &to.span, ?error, "a data channel could not be opened");
            }
        }
    }

    fn others(&self, index: usize) -> Vec<usize> {
        let call = self.peers[index].call;
        self.calls[call]
            .peers
            .iter()
            .copied()
            .filter(|&other| other != index)
            .collect()
    }
}
