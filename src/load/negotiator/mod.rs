//! Offers and answers of a client: a synchronous state machine that turns SDP into what the media thread
//! is told, and writes the client's own SDP.
//!
//! Called by [`super::peer`]. It does no I/O and knows no server. It speaks what every browser speaks:
//! unified plan, BUNDLE, rtcp-mux, Opus and VP8 with RTX; whatever else a server offers is declined.

mod candidate;
mod describe;
mod local;
mod machine;
#[cfg(test)]
mod tests;

pub(crate) use candidate::{all as all_candidates, parse_udp as parse_candidate};
pub(crate) use local::{Local, Publishes};
pub(crate) use machine::{Agreed, Negotiator, NegotiatorError};
