//! Under which addresses this machine is reached, where it does not know that itself: asked of a STUN server or of the cloud that
//! it runs in, and of nobody who was not named.
//!
//! Called by [`crate::server`] at its start and by [`crate::doctor`]. It gives addresses and decides nothing; it never asks
//! again, since what clients were told stays so for the server's run.

mod metadata;
mod stun;

use std::fmt;
use std::net::IpAddr;

use crate::config::Config;
use crate::turn::HostPort;

pub(crate) use stun::{ask as ask_stun, resolve};

/// Who knows an address of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressSource {
    /// A STUN server (RFC 8489).
    Stun(HostPort),
    /// The cloud, by its metadata service.
    Metadata,
}

/// Why there is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscoveryError {
    /// A STUN server is not known, or does not answer.
    Stun {
        /// Which.
        server: String,
        /// Why.
        reason: String,
    },
    /// No metadata service knows a public address.
    Metadata,
}

impl fmt::Display for DiscoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stun { server, reason } => write!(
                f,
                "--announce stun:{server} finds no address: {reason}; ask another STUN server, or say the address itself"
            ),
            Self::Metadata => write!(
                f,
                "--announce metadata finds no address: no cloud answers here that knows a public one; say the address itself"
            ),
        }
    }
}

impl std::error::Error for DiscoveryError {}

/// The configuration with the addresses that were to be found, each once. Takes some seconds at most. On tokio only.
pub(crate) async fn resolved(config: &Config) -> Result<Config, DiscoveryError> {
    let mut config = config.clone();
    for source in std::mem::take(&mut config.discover) {
        let found = match &source {
            AddressSource::Stun(server) => stun::addresses(server).await?,
            AddressSource::Metadata => metadata::addresses(metadata::SERVICE).await?,
        };
        for ip in found {
            tracing::info!(%ip, %source, "an address of this machine was found");
            if !config.announce.contains(&ip) {
                config.announce.push(ip);
            }
        }
    }
    Ok(config)
}

impl fmt::Display for AddressSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stun(server) => write!(f, "stun:{server}"),
            Self::Metadata => f.write_str("metadata"),
        }
    }
}

/// Whether clients can send to it.
fn is_address(ip: &IpAddr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast()
}
