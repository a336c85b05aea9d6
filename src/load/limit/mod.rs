//! The machine's floor: what forwarding costs where nothing is done but receive, AES-GCM and send.
//!
//! [`serve`] runs the bare forwarder, in a process of its own, so that its processor time is read as a
//! server's is; the generator puts the same load on it as on a server (`crosspoint load --limit`). For
//! each packet that comes it looks up the sender by its address (one hash), extends the sequence number
//! (the nonce needs it) and opens the packet in place with AES-128-GCM; then, for each receiver, it
//! copies the packet behind the others for that receiver and seals the copy with the receiver's own
//! key. When all that the kernel had is read, each receiver's packets leave in runs of equal length, one
//! system call for each (GSO), by the same crate and the same [`Batch`](crate::shard::Batch) as the
//! server's.
//!
//! It never does ICE, DTLS, SRTCP, replay checks, rewriting of headers, retransmission, congestion control
//! or statistics: RTCP is dropped unread. Keys are fixed and known to everybody: this is no server.

mod forwarder;
mod key;
mod registration;
mod serve;

pub(crate) use key::FixedKey;
pub(crate) use registration::Registration;
pub use serve::{ForwarderError, serve};
