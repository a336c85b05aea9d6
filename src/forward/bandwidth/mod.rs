//! What the network from the server to one receiver can carry.
//!
//! The subscriber's transport calls [`Bandwidth`]: for each packet that leaves, for each feedback that comes, and
//! when its timeout passes. In return it is told a bitrate, and now and then asked to send a short probe. Nothing
//! here sends, chooses layers, reads a clock or logs; time is told, and steady state allocates nothing.
//!
//! The sources of truth, in their order: the arrival times of transport-wide congestion control
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01), its losses, and REMB (draft-alvestrand-rmcat-remb-03) from
//! receivers that send nothing better. The estimate rises only on evidence, that so much was delivered: by the media
//! itself, or by a probe, since a server that forwards whole layers seldom sends all that it could.
//!
//! All rates count what lies on the wire, the headers of IP and UDP included.

mod delay;
mod delivered;
mod estimator;
mod feedback;
mod loss;
mod probe;
mod sent;
#[cfg(test)]
mod tests;

pub use estimator::{Bandwidth, BandwidthState, BandwidthStats};
pub use probe::{Probe, ProbeId};
