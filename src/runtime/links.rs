//! The queues between shards: batches of a kind there, and back when they were read.
//!
//! No queue has a bound of its own, and none is ever waited for: what a shard has lent to another is counted by whoever
//! fills the batches, and drops media beyond a bound.

use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::wait::Bell;

/// A batch, and the number of the other shard.
type Parcel<T> = (usize, T);

/// One shard's ends of the queues.
pub(super) struct Links<T> {
    index: usize,
    inbox: UnboundedReceiver<Parcel<T>>,
    returned: UnboundedReceiver<Parcel<T>>,
    others: Vec<Other<T>>,
}

/// The way to a shard.
struct Other<T> {
    inbox: UnboundedSender<Parcel<T>>,
    bell: Arc<Bell>,
    /// Nobody is woken by what comes back.
    returned: UnboundedSender<Parcel<T>>,
}

impl<T> Clone for Other<T> {
    fn clone(&self) -> Self {
        Self {
            inbox: self.inbox.clone(),
            bell: Arc::clone(&self.bell),
            returned: self.returned.clone(),
        }
    }
}

impl<T> Links<T> {
    /// The ends of the shards that these bells wake.
    pub(super) fn between(bells: Vec<Arc<Bell>>) -> Vec<Self> {
        let (others, ends): (Vec<_>, Vec<_>) = bells
            .into_iter()
            .map(|bell| {
                let (inbox, inbox_end) = unbounded_channel();
                let (returned, returned_end) = unbounded_channel();
                let other = Other {
                    inbox,
                    bell,
                    returned,
                };
                (other, (inbox_end, returned_end))
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

    /// The next batch, and from whom it is.
    pub(super) fn try_recv(&mut self) -> Option<Parcel<T>> {
        self.inbox.try_recv().ok()
    }

    /// Hands a batch to a shard and wakes it. A shard that is over takes none, which then counts as read.
    pub(super) fn send(&mut self, to: usize, batch: T) {
        let Some(other) = self.others.get(to) else {
            return;
        };
        match other.inbox.send((self.index, batch)) {
            Ok(()) => {
                other.bell.ring();
            }
            Err(refused) => {
                if let Some(own) = self.others.get(self.index) {
                    let _ = own.returned.send((to, refused.0.1));
                }
            }
        }
    }

    /// Gives a batch that was read back to the shard that it came from.
    pub(super) fn give_back(&self, from: usize, batch: T) {
        if let Some(other) = self.others.get(from) {
            let _ = other.returned.send((self.index, batch));
        }
    }

    /// The next batch that came back, and from whom.
    pub(super) fn returned(&mut self) -> Option<Parcel<T>> {
        self.returned.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::wait::Wait;

    #[test]
    fn batches_go_to_the_shard_that_is_meant_and_back() {
        let waits = [(); 3].map(|()| Wait::new().unwrap());
        let mut links = Links::between(waits.iter().map(Wait::bell).collect());
        let mut third = links.pop().unwrap();
        let mut second = links.pop().unwrap();
        let mut first = links.pop().unwrap();
        first.send(2, vec![1]);
        let (from, batch) = third.try_recv().unwrap();
        assert_eq!(from, 0);
        third.give_back(from, batch);
        assert!(second.try_recv().is_none() && second.returned().is_none());
        assert_eq!(first.returned().map(|(to, _)| to), Some(2));
        drop(third);
        first.send(2, vec![1]);
        assert_eq!(first.returned().map(|(to, _)| to), Some(2), "of the dead");
    }
}
