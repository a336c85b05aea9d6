//! Crosspoint: a multi-peer WebRTC media router (SFU).
//!
//! Three layers, arrows downward. Control ([`signaling`], [`room`], [`negotiation`]) speaks JSON and
//! SDP; [`runtime`] owns the sockets and one thread per core; the core ([`shard`] and the rooms below
//! it) is sans-IO: it is told the time, handed datagrams and commands, and names no socket, no clock
//! and no executor. Media never leaves the core as an event.
//!
//! # Embedding
//!
//! ```no_run
//! use crosspoint::config::Config;
//! use crosspoint::server::Server;
//!
//! # async fn embed() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config { udp_port: 0, ..Config::default() };
//! let server = Server::bind(&config).await?;
//! println!("open {:?}", server.urls());
//! // Until the future that it is given resolves: here never.
//! server.run(std::future::pending()).await?;
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

pub mod access;
pub mod config;
pub mod discovery;
pub mod doctor;
pub mod entrance;
pub mod forward;
pub mod http_client;
pub mod load;
pub mod metrics;
pub mod negotiation;
pub mod room;
pub mod rtp;
pub mod runtime;
pub mod server;
pub mod shard;
pub mod signaling;
pub mod telemetry;
pub mod transport;
pub mod turn;
pub mod webhooks;

#[cfg(test)]
#[path = "../tests/network/link.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the user-space link between namespaces uses it too"
)]
mod network;
