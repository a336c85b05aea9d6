//! TURN as the options want it: its own ports, whom it relays to, and what clients are told of it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Weak;

use tokio::net::TcpListener;

use super::{ServerError, Started, listen};
use crate::config::{ListenAddress, TurnConfig};
use crate::entrance::TurnCallers;
use crate::room::ShardAddress;
use crate::runtime::MediaSocket;
use crate::transport::{Endpoint, Protocol};
use crate::turn::{IceServers, Turn, TurnPorts, TurnSettings, inside};

/// The ports that TURN has for itself.
#[derive(Debug)]
pub(super) struct OwnPorts {
    pub(super) udp: MediaSocket,
    pub(super) tcp: TcpListener,
}

impl OwnPorts {
    /// Binds them, if there are to be any.
    pub(super) async fn bind(config: Option<&TurnConfig>) -> Result<Option<Self>, ServerError> {
        let Some(port) = config.and_then(|config| config.port) else {
            return Ok(None);
        };
        let udp = MediaSocket::bind(port).map_err(|error| error.of("--turn-port"));
        let udp = udp.map_err(ServerError::Media)?;
        let tcp = listen(ListenAddress::Every(port)).await?;
        Ok(Some(Self { udp, tcp }))
    }
}

/// By which other ports it is reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct OtherPorts {
    /// That of the page.
    pub(super) page: Option<u16>,
    /// Whether TLS is spoken.
    pub(super) tls: bool,
}

/// TURN for these shards, reached by nobody yet.
pub(super) fn new(
    config: &TurnConfig,
    shards: &[ShardAddress],
    started: Started,
) -> Result<Turn, ServerError> {
    // What everybody is told comes first: relayed datagrams seem to come from there.
    let media =
        of_udp(shards, |shard| &shard.others).chain(of_udp(shards, |shard| &shard.loopback));
    let media: Vec<SocketAddr> = media.collect();
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let interfaces = interfaces.iter().map(if_addrs::Interface::ip);
    let secret = match &config.secret {
        Some(secret) => secret.reveal().as_bytes().to_vec(),
        None => rand::random::<[u8; 32]>().to_vec(),
    };
    let settings = TurnSettings {
        peers: config.peers.clone(),
        relay_ports: config.relay_ports.clone(),
        limits: config.limits,
        secret,
        lifetime: config.lifetime,
        users: config.users.clone(),
        machine: media.iter().map(SocketAddr::ip).chain(interfaces).collect(),
        media: inside(media).collect(),
        started: (started.at, started.unix_ms),
    };
    Turn::new(settings).map_err(|error| ServerError::System(io::Error::other(error.to_string())))
}

/// What clients are told of it.
pub(super) fn ice_servers(
    turn: &Turn,
    config: &TurnConfig,
    own: Option<&OwnPorts>,
    others: OtherPorts,
    shards: &[ShardAddress],
) -> IceServers {
    let addresses: [Option<IpAddr>; 2] = [
        of_udp(shards, |shard| &shard.loopback).next(),
        of_udp(shards, |shard| &shard.others).next(),
    ]
    .map(|address| address.map(|address| address.ip()));
    let own_tcp = own.and_then(|own| own.tcp.local_addr().ok());
    let ports = TurnPorts {
        // Never a port of media, which answers too: Chromium takes whatever comes from a port that it has a STUN or TURN
        // server on for an answer of that, media and all (libwebrtc, `TurnPort` and `UDPPort` on a shared socket).
        udp: own.map(|own| own.udp.port()),
        tcp: own_tcp.map(|address| address.port()),
        page: others.page,
        tls: others.tls,
    };
    turn.ice_servers(ports, config.host.clone(), addresses)
}

/// Serves those who come by TCP.
pub(super) async fn serve_callers(turn: Weak<Turn>, mut callers: TurnCallers) {
    while let Some(caller) = callers.recv().await {
        let Some(turn) = turn.upgrade() else {
            return;
        };
        turn.serve_stream(caller);
    }
}

/// The UDP ports of all shards.
fn of_udp(
    shards: &[ShardAddress],
    read: fn(&ShardAddress) -> &[Endpoint],
) -> impl Iterator<Item = SocketAddr> {
    let endpoints = shards.iter().flat_map(read);
    endpoints
        .filter(|endpoint| endpoint.protocol == Protocol::Udp)
        .map(|endpoint| endpoint.address)
}
