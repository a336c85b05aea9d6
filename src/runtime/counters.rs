//! What a shard's thread has done, for whoever watches the server.

use std::sync::{Arc, Mutex, PoisonError};

use crate::forward::DropCounts;
use crate::shard::Population;

/// The counters of one shard since its start, as its thread last published them: at most a fraction of a
/// second ago.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ShardCounters {
    /// Datagrams that were read.
    pub datagrams_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Datagrams that were given to the kernel.
    pub datagrams_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Calls that gave them to the kernel, each with one or more datagrams of one length.
    pub sends: u64,
    /// Datagrams that the kernel refused: no route, say.
    pub refused: u64,
    /// Datagrams that were another shard's, and were handed over to it.
    pub handed_over: u64,
    /// Packets that came and were not forwarded, by reason.
    pub drops: DropCounts,
    /// The share of its time that the thread works, 0 to 1, over the last tenth of a second.
    pub busy: f64,
    /// What it has to do.
    pub population: Population,
}

/// Where a thread publishes its counters. Clones are the same place.
#[derive(Clone, Debug, Default)]
pub(super) struct CounterCell(Arc<Mutex<ShardCounters>>);

impl CounterCell {
    pub(super) fn publish(&self, counters: ShardCounters) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = counters;
    }

    pub(super) fn read(&self) -> ShardCounters {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
