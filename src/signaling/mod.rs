//! The front door: HTTP, the page, and one task for each client's WebSocket.
//!
//! Called by the server at its start with a listener and the rooms. `routes` decides what a request gets, `session`
//! carries one socket's frames, `received` counts what they are made of, `operator` answers operators, `control` is the one task that owns [`crate::room::Rooms`] and drives it, `protocol`
//! says what the messages mean. It never sees media, and never decides what a message does.

mod control;
mod files;
mod headers;
mod operator;
pub mod protocol;
mod readiness;
mod received;
mod routes;
mod serve;
mod session;

pub use control::{ControlHandle, Shards, spawn};
pub use operator::OperatorToken;
pub use readiness::{Phase, Readiness};
pub use routes::{MetricsSource, SignalingSettings, router};
pub use serve::{redirect, serve};

#[cfg(test)]
mod tests;
