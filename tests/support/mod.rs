//! What the integration tests share: the real server as a child process, its signalling protocol, and a client that this
//! project did not write (the `webrtc` crate). Nothing here sleeps: everything waits for what it wants to see, with a
//! deadline.

// Each test uses a part of it.
#![allow(dead_code)]

pub mod acme;
pub mod client;
pub mod collector;
pub mod contract;
pub mod frames;
pub mod peer;
pub mod sdp;
pub mod server;
pub mod signaling;
pub mod trust;
pub mod watched;
pub mod wire;

pub use client::{Client, Setup};
pub use peer::{Peer, Video};
pub use server::Server;
pub use signaling::{Dialect, Signaling};
