//! What forwarding remembers of one stream: statistics, missing packets, history, and the numbers that
//! each subscription puts in the place of the publisher's; and of one receiver, what the network to it can carry.
//!
//! Called by [`crate::shard`], which owns the peers, tracks and subscriptions. Nothing here knows a peer,
//! a socket or SRTP, sends anything, or allocates for each packet; every structure is bounded.

mod bandwidth;
mod budget;
mod drop_reason;
mod gap;
mod history;
mod keyframes;
pub mod layers;
mod loudest;
mod nack;
mod pacer;
mod packet;
mod padding;
mod receive;
mod redundancy;
mod rewrite;
mod sender_report;
mod speakers;
mod transport_cc;

pub use bandwidth::{Bandwidth, BandwidthState, BandwidthStats, Probe, ProbeId};
pub use budget::RepairBudget;
pub use drop_reason::{DropCounts, DropReason};
pub use history::{History, HistoryLimits};
pub use keyframes::KeyframeRequests;
pub use loudest::{Choice, Loudest, LoudestLimits};
pub use nack::NackGenerator;
pub use pacer::Pacer;
pub(crate) use packet::PacketShape;
pub use packet::{Packet, PacketNumbers};
pub use padding::Padding;
pub use receive::{ReceiveStream, Received};
pub use redundancy::{RedForm, Redundancy};
pub use rewrite::{Origin, Rewriter, Rewritten, Source};
pub use sender_report::{SenderClock, SentReports};
pub use speakers::Speakers;
pub use transport_cc::TransportCcRecorder;
