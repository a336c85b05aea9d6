//! What the options about TURN come to.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::Options;
use super::check::{ConfigError, ranged, wrong};
use super::values::{PeerNetwork, PortRange, Secret, TurnUserOption};
use crate::turn::{HostPort, TurnLimits, TurnPeers, TurnUser};

/// Shortest secret, as for operator tokens.
const MIN_SECRET_BYTES: usize = 16;

/// How clients are relayed whose network lets nothing else through.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnConfig {
    /// A port of its own for UDP and TCP, beside those of the page and of media; 0 for free ones.
    pub port: Option<u16>,
    /// What clients are told to reach it by, with the port of TCP; `None` for what they reached the page by.
    pub host: Option<HostPort>,
    /// What credentials are made of; `None` for something random.
    pub secret: Option<Secret>,
    /// How long credentials are good.
    pub lifetime: Duration,
    /// Users with a password that does not change.
    pub users: Vec<TurnUser>,
    /// Who may be reached, beside this server's media addresses.
    pub peers: TurnPeers,
    /// The ports that others are reached from; `None` for any.
    pub relay_ports: Option<RangeInclusive<u16>>,
    /// How much there may be.
    pub limits: TurnLimits,
}

impl Default for TurnConfig {
    fn default() -> Self {
        Self {
            port: None,
            host: None,
            secret: None,
            lifetime: Duration::from_secs(12 * 3_600),
            users: Vec::new(),
            peers: TurnPeers::default(),
            relay_ports: None,
            limits: TurnLimits {
                allocations: 4_096,
                per_user: 32,
                per_address: 512,
                bits_per_second: 20_000_000,
            },
        }
    }
}

/// `None` where TURN is switched off.
pub(super) fn turn(options: &Options) -> Result<Option<TurnConfig>, ConfigError> {
    let default = TurnConfig::default();
    if options.turn == Some(false) {
        return Ok(None);
    }
    let host = match options.turn_host.as_deref() {
        None => None,
        Some(text) => Some(HostPort::parse(text).ok_or_else(|| {
            wrong(
                "turn-host",
                text,
                "a host with or without a port, such as turn.example.org:443",
            )
        })?),
    };
    if let Some(Secret(word)) = &options.turn_secret
        && word.len() < MIN_SECRET_BYTES
    {
        let allowed = format!("at least {MIN_SECRET_BYTES} characters");
        return Err(wrong("turn-secret", "***", allowed));
    }
    let seconds = default.lifetime.as_secs() as usize;
    let lifetime = ranged("turn-lifetime", options.turn_lifetime, seconds, 60, 604_800)?;
    let mut peers = TurnPeers::default();
    for network in options.turn_peers.iter().flatten() {
        match network {
            PeerNetwork::Public => peers.public = true,
            PeerNetwork::Network(network) => peers.networks.push(*network),
        }
    }
    let relay_ports = options
        .turn_relay_ports
        .map(|PortRange(low, high)| low..=high);
    if let (Some(ports), false) = (&relay_ports, peers.is_open()) {
        return Err(wrong(
            "turn-relay-ports",
            format_args!("{}-{}", ports.start(), ports.end()),
            "a range where --turn-peers lets clients reach others",
        ));
    }
    let users = options.turn_user.iter().flatten();
    let limits = default.limits;
    let kbits = (limits.bits_per_second / 1_000) as usize;
    let n = |option, given, default, high| ranged(option, given, default, 1, high);
    Ok(Some(TurnConfig {
        port: options.turn_port,
        host,
        secret: options.turn_secret.clone(),
        lifetime: Duration::from_secs(lifetime as u64),
        users: users.map(|TurnUserOption(user)| user.clone()).collect(),
        peers,
        relay_ports,
        limits: TurnLimits {
            allocations: n(
                "turn-max-allocations",
                options.turn_max_allocations,
                limits.allocations,
                1_000_000,
            )?,
            per_user: n(
                "turn-max-per-user",
                options.turn_max_per_user,
                limits.per_user,
                1_000_000,
            )?,
            per_address: n(
                "turn-max-per-address",
                options.turn_max_per_address,
                limits.per_address,
                1_000_000,
            )?,
            bits_per_second: 1_000
                * n("turn-bandwidth", options.turn_bandwidth, kbits, 10_000_000)? as u64,
        },
    }))
}
