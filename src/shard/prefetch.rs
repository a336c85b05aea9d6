//! Memory of many subscribers, asked for before it is needed.
//!
//! The copies of a packet touch the state of each of its subscribers, which is in no cache of the processor when there
//! are many: asked for one after the other, each line is waited for; asked for side by side, they come together.
//! Called by [`super::fanout`], for a few subscribers at a time. It reads a word of each line and changes nothing.

use slab::Slab;

use super::Batch;
use super::peer::Peer;
use super::subscription::Subscription;
use crate::rtp::{Extension, MediaKind};

/// How many subscribers are asked for at once: their lines must still be there when it is their turn.
pub(super) const AT_ONCE: usize = 8;

/// Reads a word of each line that the copies for these subscriptions will touch. What is behind a pointer comes after
/// that, so that the loads of one loop do not wait for each other.
pub(super) fn prefetch<'a>(
    next: impl Iterator<Item = &'a usize> + Clone,
    subscriptions: &Slab<Subscription>,
    peers: &Slab<Peer>,
    batch: &Batch,
) {
    let mut words = 0;
    let next = next.map(|&index| &subscriptions[index]);
    for subscription in next.clone() {
        words ^= subscription.touch();
    }
    for subscription in next.clone() {
        words ^= peers[subscription.peer].touch();
    }
    for subscription in next.clone() {
        let peer = &peers[subscription.peer];
        words ^= peer.transport.rtp_overhead();
        words ^= peer.bandwidth.as_ref().map_or(0, |b| b.touch());
        words ^= batch.touch(match subscription.parameters.kind {
            MediaKind::Audio => peer.lane,
            MediaKind::Video => subscription.lane,
        });
    }
    for subscription in next {
        let bandwidth = &peers[subscription.peer].bandwidth;
        words ^= bandwidth.as_ref().map_or(0, |b| b.touch_newest());
    }
    // Otherwise nothing of this would be done.
    std::hint::black_box(words);
}

impl Subscription {
    fn touch(&self) -> usize {
        let flags = [
            self.selector.needs_keyframe(),
            self.replay.is_some(),
            self.numbered,
        ];
        let words = [
            self.peer,
            self.rewriter.next_sequence() as usize,
            self.counts.packets as usize,
            self.parameters.ssrc as usize,
            self.given_up as usize,
        ];
        flags.iter().fold(0, |sum, flag| sum ^ usize::from(*flag))
            ^ words.iter().fold(0, |sum, word| sum ^ word)
    }
}

impl Peer {
    fn touch(&self) -> usize {
        let flags = [
            self.can_receive(),
            self.extensions.id(Extension::TransportCc).is_some(),
            self.media_since.is_some(),
            self.bandwidth.is_some(),
            self.rtt.is_some(),
        ];
        let flags = flags.iter().fold(0, |sum, flag| sum ^ usize::from(*flag));
        flags ^ self.counts.packets_sent as usize
    }
}
