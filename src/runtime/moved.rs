//! Which peers are not on the shard that their ufrag names, and where they are instead: those that moved to who heard them first.
//!
//! Shared by the threads of the shards and by the door for connections. Asked only about checks that nobody knows where they
//! came, never about media.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::shard::shard_of_ufrag;

/// Clones are the same list.
#[derive(Clone, Debug, Default)]
pub(super) struct Moved {
    shard_by_ufrag: Arc<RwLock<HashMap<String, usize>>>,
}

impl Moved {
    /// The shard of the peer with this ufrag, if it is one of ours. It may be one that does not exist.
    pub(super) fn shard_of(&self, ufrag: &str) -> Option<usize> {
        let moved = self.shard_by_ufrag.read();
        let moved = moved.unwrap_or_else(PoisonError::into_inner);
        let there = moved.get(ufrag).copied();
        there.or_else(|| shard_of_ufrag(ufrag))
    }

    /// The peer with this ufrag is on this shard.
    pub(super) fn insert(&self, ufrag: &str, shard: usize) {
        let moved = self.shard_by_ufrag.write();
        let mut moved = moved.unwrap_or_else(PoisonError::into_inner);
        moved.insert(ufrag.to_owned(), shard);
    }

    /// The peer with this ufrag is not on this shard any more. It may have moved on before this is said.
    pub(super) fn remove(&self, ufrag: &str, shard: usize) {
        let moved = self.shard_by_ufrag.write();
        let mut moved = moved.unwrap_or_else(PoisonError::into_inner);
        if moved.get(ufrag) == Some(&shard) {
            moved.remove(ufrag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::shard_letter;

    #[test]
    fn the_letter_counts_for_those_that_did_not_move() {
        let moved = Moved::default();
        let ufrag = format!("{}abc", shard_letter(3));
        assert_eq!(moved.shard_of(&ufrag), Some(3));
        moved.insert(&ufrag, 5);
        assert_eq!(moved.clone().shard_of(&ufrag), Some(5));
        moved.insert(&ufrag, 6);
        moved.remove(&ufrag, 5);
        assert_eq!(moved.shard_of(&ufrag), Some(6), "it moved on before");
        moved.remove(&ufrag, 6);
        assert_eq!(moved.shard_of(&ufrag), Some(3));
        assert_eq!(moved.shard_of("\u{e9}"), None);
    }
}
