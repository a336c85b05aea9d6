//! One thread for each core: a UDP socket, TCP connections for media, a command queue and the [`Shard`](crate::shard::Shard) they drive.
//!
//! Called by [`crate::server`]. It reads batches, tells the shard the time, sends what the shard wrote, and carries
//! what shards have for each other. It never looks into a datagram but to find whose it is: TURN's, or another shard's.

mod addresses;
mod counters;
mod handover;
mod hold;
mod kernel;
mod links;
mod metrics;
mod moved;
mod outlet;
mod socket;
mod streams;
mod thread;
mod turn;
mod wait;

pub use addresses::{ShardAddress, ShardPorts, shard_addresses};
pub use counters::ShardCounters;
pub use metrics::Metrics;
pub use outlet::Outlet;
pub use socket::{BindError, KernelBuffer, MediaSocket};
pub use streams::MediaStream;
pub use thread::{Runtime, RuntimeSettings, ShardEvent};
pub use turn::TurnDatagram;
