//! Which layer of a track a subscriber gets: what layers there are and cost, what a network's share for video buys of
//! them, and the gate that each packet of a track meets on its way to one subscriber.
//!
//! Called by [`crate::shard`]: the gate per packet, everything else a few times a second. Nothing here knows a peer, a
//! packet's bytes or a clock, and nothing decides when a keyframe is asked for.

mod allocation;
mod ladder;
mod rates;
mod selector;
mod stall;
mod wanted;

pub use allocation::{Allocation, Demand, allocate};
pub use ladder::{Encoding, Rung, ladder};
pub use rates::RateMeter;
pub use selector::{Gate, Selector};
pub use stall::{Progress, Stall};
pub use wanted::{EncodingSet, WantedEncodings};

/// Spatial layers of one encoding that are told apart; what is above counts as the highest.
pub const MAX_SPATIAL: usize = 4;

/// Temporal layers of one encoding that are told apart; what is above counts as the highest.
pub const MAX_TEMPORAL: usize = 4;

/// One layer of a track: everything up to it is needed to decode it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LayerId {
    /// Index of the encoding: that of its rid, 0 without simulcast.
    pub encoding: u8,
    /// The highest spatial layer, 0 without SVC.
    pub spatial: u8,
    /// The highest temporal layer.
    pub temporal: u8,
}
