//! Relays data channel messages between the peers of a call, and keeps the channels for it open.

use std::time::Instant;

use super::channels::Channel;
use super::{Batch, ParticipantId, Shard};
use crate::transport::{ChannelInfo, MessageKind};

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
        for other in self.others(index) {
            let Some(theirs) = self.peers[other].channels.own(&channel.label).cloned() else {
                continue;
            };
            self.open_relay(now, index, other, &channel);
            self.open_relay(now, other, index, &theirs);
            self.flush_transport(other, batch);
        }
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
        for other in self.others(index) {
            let to = &mut self.peers[other];
            if to.channels.own(&channel.label).is_none() {
                continue;
            }
            if to.channels.relay(participant, &channel.label).is_none() {
                self.open_relay(now, index, other, &channel);
            }
            let to = &mut self.peers[other];
            if let Some(relay) = to.channels.relay(participant, &channel.label)
                && let Err(error) = to.transport.send_message(now, relay, kind, data)
            {
                tracing::debug!(
                    peer = to.id.0,
                    ?error,
                    "a data channel message was not relayed"
                );
            }
            self.flush_transport(other, batch);
        }
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
        self.close_relays(now, index, participant, Some(&channel.label), batch);
    }

    /// Closes what others get from `participant`: one label, or all when it leaves.
    pub(super) fn close_relays(
        &mut self,
        now: Instant,
        index: usize,
        participant: ParticipantId,
        label: Option<&str>,
        batch: &mut Batch,
    ) {
        for other in self.others(index) {
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
    fn open_relay(&mut self, now: Instant, from: usize, to: usize, channel: &Channel) {
        let participant = self.peers[from].participant;
        let to = &mut self.peers[to];
        if to.channels.relay(participant, &channel.label).is_some() {
            return;
        }
        let protocol = format!("from:{participant}");
        let opened = to
            .transport
            .open_channel(now, &channel.label, &protocol, channel.reliability);
        match opened {
            Ok(id) => to.channels.relaying(Channel {
                id,
                from: Some(participant),
                ..channel.clone()
            }),
            Err(error) => {
                tracing::debug!(peer = to.id.0, ?error, "a data channel could not be opened");
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
