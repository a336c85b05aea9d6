//! The shard under a seeded network in virtual time: what clients get, and what they are told.

mod across;
mod across_data;
mod across_random;
mod adaptation;
mod audio;
pub(crate) mod bugs;
mod client;
mod clocks;
mod codecs;
mod forwarding;
mod holding;
mod hostile;
mod keyframes;
mod layers;
mod lifecycle;
mod moving;
mod paths;
mod publication;
mod receiver;
mod repair;
mod replay;
mod reports;
mod sim;
mod timeline;
