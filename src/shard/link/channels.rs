//! Data channels between participants of one call on different shards. Each shard knows which others have peers of the
//! call, and which labels the participants there have open.

use std::time::Instant;

use super::message::LinkMessage;
use crate::shard::channels::Channel;
use crate::shard::{Batch, CallId, Current, ParticipantId, Shard};
use crate::transport::{ChannelReliability, MessageKind};

/// A participant on another shard has a channel of this label.
#[derive(Clone, Debug)]
pub(in crate::shard) struct RemoteChannel {
    pub(in crate::shard) shard: usize,
    pub(in crate::shard) participant: ParticipantId,
    pub(in crate::shard) label: String,
    pub(in crate::shard) reliability: ChannelReliability,
}

impl Shard {
    /// Control says that a call has peers on these shards as well.
    pub(in crate::shard) fn share_call(&mut self, call: usize, shards: &[usize]) {
        for &shard in shards {
            let this = &mut self.calls[call];
            if self.outbox.reaches(shard) && !this.shards.contains(&shard) {
                this.shards.push(shard);
                let call = this.id;
                let answer = false;
                self.outbox
                    .message(shard, LinkMessage::Joined { call, answer });
            }
        }
    }

    /// The last peer of a call is gone from here.
    pub(in crate::shard) fn unshare_call(&mut self, call: usize) {
        let this = &mut self.calls[call];
        this.remote.clear();
        for shard in this.shards.drain(..) {
            let call = this.id;
            self.outbox.message(shard, LinkMessage::Left { call });
        }
    }

    /// Tells the other shards of a peer's call that it has a channel.
    pub(in crate::shard) fn link_channel_opened(&mut self, index: usize, channel: &Channel) {
        self.tell_call(index, |call, participant| LinkMessage::ChannelOpened {
            call,
            participant,
            label: channel.label.clone(),
            reliability: channel.reliability,
        });
    }

    /// Tells them that it has it, or any, no more.
    pub(in crate::shard) fn link_channel_closed(&mut self, index: usize, label: Option<&str>) {
        self.tell_call(index, |call, participant| LinkMessage::ChannelClosed {
            call,
            participant,
            label: label.map(str::to_owned),
        });
    }

    /// Sends a message to the other shards where somebody has its label.
    pub(in crate::shard) fn link_channel_message(
        &mut self,
        index: usize,
        label: &str,
        kind: MessageKind,
        data: &[u8],
    ) {
        let peer = &self.peers[index];
        let call = &self.calls[peer.call];
        for &shard in &call.shards {
            let listens =
                |channel: &RemoteChannel| channel.shard == shard && channel.label == label;
            if !call.remote.iter().any(listens) {
                continue;
            }
            let message = LinkMessage::ChannelMessage {
                call: call.id,
                participant: peer.participant,
                label: label.to_owned(),
                kind,
                data: data.to_vec(),
            };
            if let Err(reason) = self.outbox.data(shard, message) {
                tracing::debug!(
                    parent: &peer.span,
                    shard,
                    reason = reason.name(),
                    "a data channel message was not relayed"
                );
            }
        }
    }

    /// Opens the channels on which a peer gets what participants on other shards send under a label.
    pub(in crate::shard) fn open_remote_relays(&mut self, now: Instant, index: usize, label: &str) {
        let call = self.peers[index].call;
        let remote = self.calls[call].remote.iter();
        let same: Vec<_> = remote.filter(|c| c.label == label).cloned().collect();
        for channel in same {
            let RemoteChannel {
                participant,
                reliability,
                ..
            } = channel;
            self.open_relay(now, participant, index, label, reliability);
        }
    }

    /// Another shard has peers of this call. Its record here may be the first: the command that makes it is perhaps
    /// still on its way, and if not, the shard says when it leaves.
    pub(super) fn shard_joined(&mut self, from: usize, id: CallId, answer: bool) {
        let call = match self.call_by_id.get(&id) {
            Some(&call) => call,
            None if answer => return,
            None => self.call(id),
        };
        let this = &mut self.calls[call];
        if !this.shards.contains(&from) {
            this.shards.push(from);
            if !answer {
                let joined = LinkMessage::Joined {
                    call: id,
                    answer: true,
                };
                self.outbox.message(from, joined);
            }
        }
        for &peer in &self.calls[call].peers {
            let peer = &self.peers[peer];
            for channel in peer.channels.owned() {
                let opened = LinkMessage::ChannelOpened {
                    call: id,
                    participant: peer.participant,
                    label: channel.label.clone(),
                    reliability: channel.reliability,
                };
                self.outbox.message(from, opened);
            }
        }
    }

    /// Another shard has no peers of this call any more.
    pub(super) fn shard_left(&mut self, now: Instant, from: usize, id: CallId, batch: &mut Batch) {
        let Some(&call) = self.call_by_id.get(&id) else {
            return;
        };
        self.calls[call].shards.retain(|shard| *shard != from);
        let remote = self.calls[call].remote.iter();
        let gone: Vec<_> = remote.filter(|c| c.shard == from).cloned().collect();
        for channel in gone {
            let label = Some(channel.label.as_str());
            self.remote_channel_closed(now, from, id, channel.participant, label, batch);
        }
        self.forget_call_if_over(call);
    }

    pub(super) fn remote_channel_opened(
        &mut self,
        now: Instant,
        call: CallId,
        channel: RemoteChannel,
        batch: &mut Batch,
    ) {
        let Some(&call) = self.call_by_id.get(&call) else {
            return;
        };
        let this = &mut self.calls[call];
        let is_same = |known: &RemoteChannel| {
            known.participant == channel.participant && known.label == channel.label
        };
        if this.remote.iter().any(is_same) || !this.shards.contains(&channel.shard) {
            return;
        }
        this.remote.push(channel.clone());
        for peer in self.calls[call].peers.clone() {
            if self.peers[peer].channels.own(&channel.label).is_some() {
                self.current = Some(Current::Peer(peer));
                let RemoteChannel {
                    participant,
                    label,
                    reliability,
                    ..
                } = &channel;
                self.open_relay(now, *participant, peer, label, *reliability);
                self.flush_transport(peer, batch);
            }
        }
    }

    pub(super) fn remote_channel_closed(
        &mut self,
        now: Instant,
        from: usize,
        call: CallId,
        participant: ParticipantId,
        label: Option<&str>,
        batch: &mut Batch,
    ) {
        let Some(&call) = self.call_by_id.get(&call) else {
            return;
        };
        let this = &mut self.calls[call];
        let before = this.remote.len();
        this.remote.retain(|channel| {
            channel.shard != from
                || channel.participant != participant
                || label.is_some_and(|label| channel.label != label)
        });
        // It may have opened them again on another shard before its last one says so.
        if this.remote.len() < before {
            let peers = this.peers.clone();
            self.close_relays(now, &peers, participant, label, batch);
        }
    }

    #[expect(clippy::too_many_arguments)]
    pub(super) fn remote_channel_message(
        &mut self,
        now: Instant,
        call: CallId,
        participant: ParticipantId,
        label: &str,
        kind: MessageKind,
        data: &[u8],
        batch: &mut Batch,
    ) {
        let Some(&call) = self.call_by_id.get(&call) else {
            return;
        };
        let mut remote = self.calls[call].remote.iter();
        let known = remote.find(|c| c.participant == participant && c.label == label);
        let Some(reliability) = known.map(|channel| channel.reliability) else {
            return;
        };
        for peer in self.calls[call].peers.clone() {
            self.current = Some(Current::Peer(peer));
            let message = (kind, data);
            self.relay_to(now, participant, peer, label, reliability, message, batch);
        }
    }

    fn tell_call(&mut self, index: usize, message: impl Fn(CallId, ParticipantId) -> LinkMessage) {
        let peer = &self.peers[index];
        let call = &self.calls[peer.call];
        for &shard in &call.shards {
            let message = message(call.id, peer.participant);
            self.outbox.message(shard, message);
        }
    }
}
