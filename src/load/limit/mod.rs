//! The machine's floor: what forwarding costs where nothing is done but receive, AES-GCM and send.
//!
//! [`serve`] runs the bare forwarder, in a process of its own, so that its processor time is read as a
//! server's is; the generator puts the same load on it as on a server (`crosspoint load --limit`). For
//! each packet that comes it looks up the sender by its address (one hash), extends the sequence number
//! (the nonce needs it) and opens the packet in place with AES-128-GCM; then, for each receiver, it
//! copies the packet behind the others for that receiver and seals the copy with the receiver's own
//! key, by the server's own code. When all that the kernel had is read (as much as in a tick of the
//! server's), each receiver's packets leave in runs of equal length, one system call for each (GSO).
//!
//! It never does ICE, DTLS, SRTCP, replay checks, rewriting of headers, retransmission, congestion control
//! or statistics: RTCP is dropped unread. Keys are fixed and known to everybody: this is no server.

mod forwarder;
mod keys;
mod registration;
mod serve;

pub(crate) use keys::{Side, fixed_keys};
pub(crate) use registration::Registration;
pub use serve::{ForwarderError, serve};
