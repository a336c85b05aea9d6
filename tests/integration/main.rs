//! Crosspoint as its clients see it: the real binary over the loopback interface, with peer connections of the `webrtc`
//! crate. One binary, so that the endpoint is linked once; one module for each behaviour.

#![allow(unreachable_pub, missing_docs)]

#[path = "../support/mod.rs"]
mod support;

mod endpoint;
