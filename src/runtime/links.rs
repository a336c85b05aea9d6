//! The queues between shards: batches there, and back when they were read.
//!
//! No queue has a bound of its own, and none is ever waited for: what a shard has lent to another is counted by the
//! shard itself, which drops media beyond a bound.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::shard::LinkBatch;

/// A batch, and the number of the other shard.
type Parcel = (usize, LinkBatch);

/// One shard's ends of the queues.
pub(super) struct Links {
    index: usize,
    inbox: UnboundedReceiver<Parcel>,
    returned: UnboundedReceiver<Parcel>,
    others: Vec<Other>,
}

/// The way to a shard.
#[derive(Clone)]
struct Other {
    inbox: UnboundedSender<Parcel>,
    /// Nobody is woken by what comes back.
    returned: UnboundedSender<Parcel>,
}

impl Links {
    /// The ends of so many shards.
    pub(super) fn between(shards: usize) -> Vec<Self> {
        let (others, ends): (Vec<_>, Vec<_>) = (0..shards)
            .map(|_| {
                let (inbox, inbox_end) = unbounded_channel();
                let (returned, returned_end) = unbounded_channel();
                (Other { inbox, returned }, (inbox_end, returned_end))
            })
            .unzip();
        ends.into_iter()
            .enumerate()
            .map(|(index, (inbox, returned))| Self {
                index,
                inbox,
                returned,
                others: others.clone(),
            })
            .collect()
    }

    /// Waits for the next batch, and says from whom it is. Cancel safe.
    pub(super) async fn recv(&mut self) -> Option<Parcel> {
        self.inbox.recv().await
    }

    /// The next batch if one is there.
    pub(super) fn try_recv(&mut self) -> Option<Parcel> {
        self.inbox.try_recv().ok()
    }

    /// Hands a batch to a shard and wakes it. A shard that is over takes none, which then counts as read.
    pub(super) fn send(&mut self, to: usize, batch: LinkBatch) {
        let Some(other) = self.others.get(to) else {
            return;
        };
        if let (Err(refused), Some(own)) = (
            other.inbox.send((self.index, batch)),
            self.others.get(self.index),
        ) {
            let _ = own.returned.send((to, refused.0.1));
        }
    }

    /// Gives a batch that was read back to the shard that it came from.
    pub(super) fn give_back(&self, from: usize, batch: LinkBatch) {
        if let Some(other) = self.others.get(from) {
            let _ = other.returned.send((self.index, batch));
        }
    }

    /// The next batch that came back, and from whom.
    pub(super) fn returned(&mut self) -> Option<Parcel> {
        self.returned.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn batches_go_to_the_shard_that_is_meant_and_back() {
        let mut links = Links::between(3);
        let mut third = links.pop().unwrap();
        let mut second = links.pop().unwrap();
        let mut first = links.pop().unwrap();
        first.send(2, LinkBatch::default());
        let (from, batch) = third.recv().await.unwrap();
        assert_eq!(from, 0);
        third.give_back(from, batch);
        assert!(second.try_recv().is_none() && second.returned().is_none());
        assert_eq!(first.returned().map(|(to, _)| to), Some(2));
        drop(third);
        first.send(2, LinkBatch::default());
        assert_eq!(first.returned().map(|(to, _)| to), Some(2), "of the dead");
    }
}
