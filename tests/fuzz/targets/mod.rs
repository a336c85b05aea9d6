//! What is fuzzed: one function for each target, which takes the fuzzer's bytes and panics where something is wrong.
//!
//! Called by the fuzzer (`tests/fuzz/bin`), and by `cargo test` with what the fuzzer found worth keeping. They use
//! the library's public doors only, and leave nothing behind that would change what the next input does.

#![allow(
    unreachable_pub,
    reason = "a library for the fuzzer, a module for the test"
)]

mod call;
pub mod demultiplexer;
mod descriptions;
pub mod descriptors;
pub mod extensions;
mod input;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
pub mod signalling;
pub mod stun;
mod wire;
