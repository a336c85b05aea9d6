//! Crosspoint as its clients see it: the real binary over the loopback interface, with peer connections of the `webrtc`
//! crate. One binary, so that the endpoint is linked once; one module for each behaviour.

#![allow(unreachable_pub, missing_docs)]

#[path = "../support/mod.rs"]
mod support;

mod abuse;
mod acme;
mod classic;
mod codecs;
mod data;
mod deployment;
mod direct_call;
mod doctor;
mod dtmf;
mod endpoint;
mod faults;
mod hostile;
mod ice;
mod ice_tcp;
mod leaving;
mod limits;
mod load;
mod load_limit;
mod loss;
mod memory;
mod moderation;
mod muting;
mod operator;
mod overload;
mod process;
mod reports;
mod resuming;
mod room_call;
mod shards;
mod simulcast;
mod telemetry;
mod tls;
mod tokens;
mod turn;
mod webhooks;
