//! One call on several shards: what shards send each other.
//!
//! A track is published on one shard, its home. Where another shard has subscriptions to it, that shard has a mirror: a
//! track of its own whose feed is a link instead of a peer, with layers and a history, so that retransmissions,
//! newcomers and pauses are its own business. The home counts each such shard as one subscriber: it writes a packet once
//! into the batch for that shard, whatever the number of subscriptions there. Nothing is encrypted in between.
//!
//! Called by the rest of the shard; the runtime carries the batches ([`Shard::poll_link`], [`Shard::handle_link`]) and
//! gives them back ([`Shard::recycle_link`]). Between two shards batches arrive in order, or the media in them is
//! left out; messages are never lost. Both sides may change their mind at any moment, so each message may meet a state
//! that it was not meant for: mirrors have an epoch, and what is for an older one is dropped.
//!
//! `home` is what the publisher's shard does, `mirror` what the subscribers' does, `channels` relays data channels,
//! `batch` and `message` are what is carried, `outbox` bounds it.

mod batch;
mod channels;
mod home;
mod message;
mod mirror;
mod outbox;

use std::time::Instant;

use super::{Batch, Shard};
pub use batch::LinkBatch;
use batch::LinkItem;
pub(super) use channels::RemoteChannel;
pub(super) use home::Outlet;
use message::LinkMessage;
pub(super) use message::MirrorId;
pub(super) use outbox::Outbox;

impl Shard {
    /// Takes what shard `from` sent. After a panic in it, and [`abandon_current`](Self::abandon_current), it is to be
    /// called again with the same batch, which goes on behind the entry that was met.
    pub fn handle_link(
        &mut self,
        now: Instant,
        from: usize,
        link: &mut LinkBatch,
        batch: &mut Batch,
    ) {
        while let Some(item) = link.read() {
            match item {
                LinkItem::Packet(head, packet) => {
                    if let Err(reason) = self.mirror_packet(now, from, head, &packet, batch) {
                        self.drops.count(reason);
                    }
                }
                LinkItem::Message(message) => self.handle_message(now, from, *message, batch),
            }
            self.current = None;
        }
    }

    /// The next batch for another shard, and its number. To be asked until it is empty after any call, at the latest at
    /// the end of a tick.
    pub fn poll_link(&mut self) -> Option<(usize, LinkBatch)> {
        self.outbox.poll()
    }

    /// Takes back a batch that shard `to` has read, or could not be given.
    pub fn recycle_link(&mut self, to: usize, batch: LinkBatch) {
        self.outbox.recycle(to, batch);
    }

    fn handle_message(
        &mut self,
        now: Instant,
        from: usize,
        message: LinkMessage,
        batch: &mut Batch,
    ) {
        match message {
            LinkMessage::Subscribe { track, mirror } => self.open_outlet(now, from, track, mirror),
            LinkMessage::Unsubscribe { track, mirror } => {
                self.close_outlet(now, from, track, mirror)
            }
            LinkMessage::Follow {
                track,
                mirror,
                encodings,
                wanted,
            } => {
                let outlet = Outlet {
                    shard: from,
                    mirror,
                    encodings,
                    wanted,
                };
                self.change_outlet(now, track, outlet);
            }
            LinkMessage::Keyframe { track, encoding } => {
                self.keyframe_wanted(now, from, track, encoding);
            }
            LinkMessage::Abandon { track } => self.abandon_publisher(now, track, batch),
            LinkMessage::Describe {
                mirror,
                description,
            } => self.describe_mirror(now, from, mirror, *description, batch),
            LinkMessage::Encodings { mirror, encodings } => {
                self.mirror_encodings(now, from, mirror, encodings);
            }
            LinkMessage::CaughtUp { mirror } => self.mirror_caught_up(now, from, mirror, batch),
            LinkMessage::Muted { mirror, muted } => {
                if let Some(track) = self.find_mirror(from, mirror) {
                    self.mute_track(now, track, muted, batch);
                }
            }
            LinkMessage::Clock {
                mirror,
                layer,
                generation,
                clock,
            } => self.mirror_clock(now, from, mirror, layer, generation, clock),
            LinkMessage::SkipTo {
                mirror,
                layer,
                generation,
                first,
            } => self.mirror_skip_to(from, mirror, layer, generation, first),
            LinkMessage::Ended { mirror } => self.mirror_ended(now, from, mirror),
            LinkMessage::Joined { call, answer } => self.shard_joined(from, call, answer),
            LinkMessage::Left { call } => self.shard_left(now, from, call, batch),
            LinkMessage::ChannelOpened {
                call,
                participant,
                label,
                reliability,
            } => {
                let channel = RemoteChannel {
                    shard: from,
                    participant,
                    label,
                    reliability,
                };
                self.remote_channel_opened(now, call, channel, batch);
            }
            LinkMessage::ChannelClosed {
                call,
                participant,
                label,
            } => {
                let label = label.as_deref();
                self.remote_channel_closed(now, from, call, participant, label, batch);
            }
            LinkMessage::ChannelMessage {
                call,
                participant,
                label,
                kind,
                data,
            } => self.remote_channel_message(now, call, participant, &label, kind, &data, batch),
        }
    }
}
