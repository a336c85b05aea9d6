//! What a shard has to send to the others, bounded.

use std::collections::VecDeque;

use super::batch::{LinkBatch, PacketHead, message_weight, packet_weight};
use super::message::LinkMessage;
use crate::forward::{DropReason, Packet};
use crate::shard::Spares;

/// What may be on its way to one shard, in bytes: half a second of 60 Mbit/s. Media beyond it is dropped.
const MAX_WAITING: usize = 4 * 1024 * 1024;

/// Batches that are kept for the next ticks.
const MAX_SPARE: usize = 64;

/// The batches to each of the other shards.
#[derive(Debug, Default)]
pub(in crate::shard) struct Outbox {
    own: usize,
    links: Vec<Outgoing>,
    /// The shards that something waits for.
    waiting: VecDeque<usize>,
}

#[derive(Debug, Default)]
struct Outgoing {
    filling: LinkBatch,
    spare: Spares<LinkBatch>,
    /// Whether a batch was sent since memory was last given back.
    is_used: bool,
    /// The weight of batches that did not come back yet.
    lent: usize,
}

impl Outbox {
    /// That of shard `own`, among so many.
    pub(in crate::shard) fn new(own: usize, shards: usize) -> Self {
        Self {
            own,
            links: (0..shards).map(|_| Outgoing::default()).collect(),
            waiting: VecDeque::new(),
        }
    }

    /// Whether there is a link to this shard.
    pub(in crate::shard) fn reaches(&self, shard: usize) -> bool {
        shard != self.own && shard < self.links.len()
    }

    /// Sends a packet, unless too much is on its way already.
    pub(in crate::shard) fn packet(
        &mut self,
        to: usize,
        head: PacketHead,
        packet: &Packet<'_>,
    ) -> Result<(), DropReason> {
        let link = self.has_room(to, packet_weight(packet))?;
        match link.filling.push_packet(head, packet) {
            true => Ok(()),
            false => Err(DropReason::TooLarge),
        }
    }

    /// Sends what a data channel carries, unless too much is on its way already.
    pub(in crate::shard) fn data(
        &mut self,
        to: usize,
        message: LinkMessage,
    ) -> Result<(), DropReason> {
        let link = self.has_room(to, message_weight(&message))?;
        link.filling.push_message(message);
        Ok(())
    }

    /// Sends a message, always.
    pub(in crate::shard) fn message(&mut self, to: usize, message: LinkMessage) {
        if let Some(link) = self.open(to) {
            link.filling.push_message(message);
        }
    }

    /// The next batch, and the shard it goes to.
    pub(in crate::shard) fn poll(&mut self) -> Option<(usize, LinkBatch)> {
        let to = self.waiting.pop_front()?;
        let link = self.links.get_mut(to)?;
        let fresh = link.spare.pop().unwrap_or_default();
        let batch = std::mem::replace(&mut link.filling, fresh);
        link.lent += batch.weight();
        link.is_used = true;
        Some((to, batch))
    }

    /// Takes back a batch that was sent to this shard.
    pub(in crate::shard) fn recycle(&mut self, to: usize, mut batch: LinkBatch) {
        let Some(link) = self.links.get_mut(to) else {
            return;
        };
        link.lent = link.lent.saturating_sub(batch.weight());
        if link.spare.len() < MAX_SPARE {
            batch.clear();
            link.spare.push(batch);
        }
    }

    /// Gives back the memory of batches that nobody has needed since this was called last. Returns whether there is more, which
    /// may be given back the next time.
    pub(in crate::shard) fn give_back(&mut self) -> bool {
        let mut more = false;
        for link in &mut self.links {
            drop(link.spare.take_unused());
            let was_used = std::mem::take(&mut link.is_used);
            if !was_used && link.filling.is_empty() {
                link.filling = LinkBatch::default();
            }
            more |= was_used || link.lent > 0 || !link.spare.is_empty();
        }
        more
    }

    fn has_room(&mut self, to: usize, weight: usize) -> Result<&mut Outgoing, DropReason> {
        let link = self.links.get(to).ok_or(DropReason::LinkFull)?;
        if link.lent + link.filling.weight() + weight > MAX_WAITING {
            return Err(DropReason::LinkFull);
        }
        self.open(to).ok_or(DropReason::LinkFull)
    }

    /// The link to a shard, to which something is about to be added.
    fn open(&mut self, to: usize) -> Option<&mut Outgoing> {
        if !self.reaches(to) {
            return None;
        }
        let link = self.links.get_mut(to)?;
        if link.filling.is_empty() {
            self.waiting.push_back(to);
        }
        Some(link)
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::MirrorId;
    use super::*;
    use crate::forward::PacketNumbers;
    use crate::rtp::Elements;
    use crate::rtp::payload::FrameTag;
    use crate::shard::TrackId;

    const KEYFRAME: LinkMessage = LinkMessage::Keyframe {
        track: TrackId(1),
        encoding: 0,
    };

    fn send(outbox: &mut Outbox, to: usize) -> Result<(), DropReason> {
        let head = PacketHead {
            mirror: MirrorId { index: 0, epoch: 0 },
            layer: 0,
            generation: 1,
            age: None,
        };
        let packet = Packet {
            numbers: PacketNumbers::default(),
            marker: false,
            payload_type: 96,
            keyframe_start: false,
            tag: FrameTag::default(),
            extensions: Elements::default(),
            payload: &[7; 1_000],
            padding: 0,
        };
        outbox.packet(to, head, &packet)
    }

    #[test]
    fn each_shard_gets_one_batch_and_nobody_sends_to_itself_or_beyond() {
        let mut outbox = Outbox::new(1, 3);
        for to in [2, 0, 2, 1, 9] {
            outbox.message(to, KEYFRAME);
        }
        assert_eq!(send(&mut outbox, 9), Err(DropReason::LinkFull));
        let batches: Vec<_> = std::iter::from_fn(|| outbox.poll()).collect();
        let to: Vec<_> = batches.iter().map(|(to, _)| *to).collect();
        assert_eq!(to, [2, 0]);
        assert!(outbox.poll().is_none());
    }

    #[test]
    fn memory_that_nobody_needed_meanwhile_is_given_back() {
        let mut outbox = Outbox::new(0, 2);
        let tick = |outbox: &mut Outbox, batches: usize| {
            let sent: Vec<_> = (0..batches)
                .filter_map(|_| {
                    send(outbox, 1).expect("room");
                    outbox.poll()
                })
                .collect();
            for (to, batch) in sent {
                outbox.recycle(to, batch);
            }
            (outbox.give_back(), outbox.links[1].spare.len())
        };
        assert_eq!(tick(&mut outbox, 10), (true, 10));
        assert_eq!(tick(&mut outbox, 2), (true, 2));
        assert_eq!(tick(&mut outbox, 2), (true, 2));
        assert_eq!(tick(&mut outbox, 0), (false, 0));
        send(&mut outbox, 1).expect("room");
        let (to, batch) = outbox.poll().expect("a batch");
        assert!(outbox.give_back(), "it will come back");
        assert!(outbox.give_back());
        outbox.recycle(to, batch);
        outbox.give_back();
        assert!(!outbox.give_back());
    }

    #[test]
    fn what_is_not_taken_fills_the_link_for_media_but_not_for_messages() {
        let mut outbox = Outbox::new(0, 2);
        let mut lent = Vec::new();
        let mut sent = 0;
        while send(&mut outbox, 1).is_ok() {
            sent += 1;
            if sent % 10 == 0 {
                lent.extend(outbox.poll());
            }
        }
        assert!((3_000..5_000).contains(&sent), "{sent}");
        assert_eq!(send(&mut outbox, 1), Err(DropReason::LinkFull));
        outbox.message(1, KEYFRAME);
        lent.extend(outbox.poll());
        for (to, batch) in lent.drain(..) {
            outbox.recycle(to, batch);
        }
        assert_eq!(send(&mut outbox, 1), Ok(()), "there is room again");
        assert_eq!(outbox.links[1].lent, 0);
        assert_eq!(outbox.links[1].spare.len(), MAX_SPARE);
    }
}
