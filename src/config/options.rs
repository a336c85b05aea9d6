//! What the command line, the environment and the file may say.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Parser;
use serde::Deserialize;

use super::values::{
    Announced, Hidden, IceTcp, KeyFile, KeySecret, ListenAddress, LogFormat, PeerNetwork,
    PortRange, Secret, TlsMode, TurnUserOption,
};

/// Hosts group calls in the browser: serves the page, carries the signalling and forwards the media.
#[derive(Parser, Deserialize, Clone, Debug, Default)]
#[command(name = "crosspoint", version, about, max_term_width = 100)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Options {
    /// Read options from this TOML file; its keys are the long names below
    #[arg(long, env = "CROSSPOINT_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Serve the page and the signalling here; may be repeated; `:PORT` means every address
    /// [default: 127.0.0.1:8080 and [::1]:8080]
    #[arg(
        long,
        env = "CROSSPOINT_LISTEN",
        value_name = "ADDR:PORT",
        value_delimiter = ','
    )]
    pub listen: Option<Vec<ListenAddress>>,

    /// Speak HTTPS: `files` with the certificate of --tls-cert; `acme` with one that is asked of Let's Encrypt for
    /// --acme-domain; `self` with one that is made here and that browsers ask about; `off` for HTTP [default: what the options
    /// below tell, else off]
    #[arg(long, env = "CROSSPOINT_TLS", value_name = "MODE")]
    pub tls: Option<TlsMode>,

    /// PEM file with the certificate of HTTPS and those that lead to its root; read again when it changes
    #[arg(long, env = "CROSSPOINT_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// PEM file with the certificate's key
    #[arg(long, env = "CROSSPOINT_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// Ask for a certificate for this name, by which port 443 of this machine is reached, and renew it in time; may be
    /// repeated. By this you agree to the terms of the authority
    #[arg(
        long,
        env = "CROSSPOINT_ACME_DOMAIN",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub acme_domain: Option<Vec<String>>,

    /// Whom the authority may write to about its certificates [default: nobody]
    #[arg(long, env = "CROSSPOINT_ACME_EMAIL", value_name = "ADDRESS")]
    pub acme_email: Option<String>,

    /// The authority's directory [default: https://acme-v02.api.letsencrypt.org/directory]
    #[arg(long, env = "CROSSPOINT_ACME_DIRECTORY", value_name = "URL")]
    pub acme_directory: Option<String>,

    /// PEM file with the root of the authority's own certificate, where the system does not trust it
    #[arg(long, env = "CROSSPOINT_ACME_ROOT", value_name = "FILE")]
    pub acme_root: Option<PathBuf>,

    /// Folder for what outlives the server: the certificates that it made or was given, and their keys; made where it is not
    /// there [default: that of the service manager, else $XDG_STATE_HOME/crosspoint or ~/.local/state/crosspoint]
    #[arg(long, env = "CROSSPOINT_STATE_DIR", value_name = "FOLDER")]
    pub state_dir: Option<PathBuf>,

    /// First UDP port for media; each shard takes one, counting up; 0 takes free ones [default: 7880]
    #[arg(long, env = "CROSSPOINT_UDP_PORT", value_name = "PORT", value_parser = |text: &str| number::<u16>(text, "0 to 65535"))]
    pub udp_port: Option<u16>,

    /// Let all shards share the one UDP port, so that a firewall needs to let no other through; who is heard first by a
    /// shard belongs to it [default: false]
    #[arg(long, env = "CROSSPOINT_SHARE_UDP_PORT", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub share_udp_port: Option<bool>,

    /// Where clients that UDP is blocked for may send media by TCP: `page`, by the ports of --listen; ADDR:PORT, by one of
    /// its own; or `off` [default: page]
    #[arg(long, env = "CROSSPOINT_ICE_TCP", value_name = "WHERE")]
    pub ice_tcp: Option<IceTcp>,

    /// Address under which clients reach the media ports; or who is asked for it at the start: `stun:HOST[:PORT]`, a STUN
    /// server on the Internet, or `metadata`, the cloud that this machine runs in; may be repeated [default: this machine's
    /// addresses]
    #[arg(
        long,
        env = "CROSSPOINT_ANNOUNCE",
        value_name = "IP",
        value_delimiter = ','
    )]
    pub announce: Option<Vec<Announced>>,

    /// Relay clients whose network lets nothing else through to the media ports (TURN), by the ports of the page and of media;
    /// `false` for not [default: true]
    #[arg(long, env = "CROSSPOINT_TURN", value_name = "BOOL")]
    pub turn: Option<bool>,

    /// A port of its own for TURN and STUN, by UDP and TCP, such as 3478; 0 takes a free one [default: none]
    #[arg(long, env = "CROSSPOINT_TURN_PORT", value_name = "PORT", value_parser = |text: &str| number::<u16>(text, "0 to 65535"))]
    pub turn_port: Option<u16>,

    /// By which name, and by which port of TCP, clients are told to reach TURN; over TLS the certificate has to have the name
    /// [default: what they reached the page by]
    #[arg(long, env = "CROSSPOINT_TURN_HOST", value_name = "HOST[:PORT]")]
    pub turn_host: Option<String>,

    /// What credentials of TURN are made of, at least 16 characters; servers that have the same know each other's. Better in
    /// the environment or the file [default: something random]
    #[arg(
        long,
        env = "CROSSPOINT_TURN_SECRET",
        value_name = "SECRET",
        hide_env_values = true
    )]
    pub turn_secret: Option<Secret>,

    /// Seconds that credentials of TURN are good for a new allocation, 60 to 604800; clients are told others after half of
    /// that [default: 43200]
    #[arg(long, env = "CROSSPOINT_TURN_LIFETIME", value_name = "SECONDS", value_parser = |text: &str| number::<u64>(text, "60 to 604800"))]
    pub turn_lifetime: Option<u64>,

    /// A user of TURN with a password that does not change; may be repeated. Better in the environment or the file
    #[arg(
        long,
        env = "CROSSPOINT_TURN_USER",
        value_name = "NAME:PASSWORD",
        value_parser = Hidden::<TurnUserOption>::new(),
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub turn_user: Option<Vec<TurnUserOption>>,

    /// Whom clients of TURN may reach beside this server's media ports: a network such as 10.1.0.0/16, or `public` for the
    /// Internet without addresses that are private, local or this machine's; may be repeated [default: nobody]
    #[arg(
        long,
        env = "CROSSPOINT_TURN_PEERS",
        value_name = "NETWORK",
        value_delimiter = ','
    )]
    pub turn_peers: Option<Vec<PeerNetwork>>,

    /// UDP ports from which --turn-peers are reached, such as 49152-65535 [default: any]
    #[arg(long, env = "CROSSPOINT_TURN_RELAY_PORTS", value_name = "LOW-HIGH")]
    pub turn_relay_ports: Option<PortRange>,

    /// Allocations of TURN at one time, 1 to 1000000 [default: 4096]
    #[arg(long, env = "CROSSPOINT_TURN_MAX_ALLOCATIONS", value_name = "N", value_parser = |text: &str| number::<u64>(text, "1 to 1000000"))]
    pub turn_max_allocations: Option<u64>,

    /// Allocations of TURN of one user, 1 to 1000000: browsers make one for each network and each way [default: 32]
    #[arg(long, env = "CROSSPOINT_TURN_MAX_PER_USER", value_name = "N", value_parser = |text: &str| number::<u64>(text, "1 to 1000000"))]
    pub turn_max_per_user: Option<u64>,

    /// Allocations of TURN from one address, 1 to 1000000 [default: 512]
    #[arg(long, env = "CROSSPOINT_TURN_MAX_PER_ADDRESS", value_name = "N", value_parser = |text: &str| number::<u64>(text, "1 to 1000000"))]
    pub turn_max_per_address: Option<u64>,

    /// Kilobits a second that one allocation carries each way, 1 to 10000000 [default: 20000]
    #[arg(long, env = "CROSSPOINT_TURN_BANDWIDTH", value_name = "KBIT", value_parser = |text: &str| number::<u64>(text, "1 to 10000000"))]
    pub turn_bandwidth: Option<u64>,

    /// Threads that forward media, 1 to 64 [default: one for each core]
    #[arg(long, env = "CROSSPOINT_SHARDS", value_name = "N", value_parser = |text: &str| number::<u64>(text, "1 to 64"))]
    pub shards: Option<u64>,

    /// What to log: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `crosspoint::room=debug` [default: info]
    #[arg(long, env = "CROSSPOINT_LOG", value_name = "FILTER")]
    pub log: Option<String>,

    /// How to write logs [default: text]
    #[arg(long, env = "CROSSPOINT_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,

    /// Web origin that may open the WebSocket, such as `https://example.org`; may be repeated [default: any]
    #[arg(
        long,
        env = "CROSSPOINT_ALLOWED_ORIGINS",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    pub allowed_origins: Option<Vec<String>>,

    /// Participants in one room, 2 to 1000 [default: 200]
    #[arg(long, env = "CROSSPOINT_MAX_PARTICIPANTS", value_name = "N", value_parser = |text: &str| number::<u64>(text, "2 to 1000"))]
    pub max_participants: Option<u64>,

    /// Rooms at one time, 1 to 1000000 [default: 1000]
    #[arg(long, env = "CROSSPOINT_MAX_ROOMS", value_name = "N", value_parser = |text: &str| number::<u64>(text, "1 to 1000000"))]
    pub max_rooms: Option<u64>,

    /// WebSockets from one address, 1 to 1000000 [default: 256]
    #[arg(long, env = "CROSSPOINT_MAX_SOCKETS_PER_ADDRESS", value_name = "N", value_parser = |text: &str| number::<u64>(text, "1 to 1000000"))]
    pub max_sockets_per_address: Option<u64>,

    /// WebSockets and calls a second that may come from one address, 1 to 100000; ten times as many at once [default: 50]
    #[arg(long, env = "CROSSPOINT_MAX_JOINS_PER_SECOND", value_name = "N", value_parser = |text: &str| number::<u64>(text, "1 to 100000"))]
    pub max_joins_per_second: Option<u64>,

    /// Percent of its core that a shard may work, 1 to 100: beyond it newcomers to it are refused, and calls go on; where
    /// all shards share a port, newcomers to any [default: no bound]
    #[arg(long, env = "CROSSPOINT_MAX_CPU", value_name = "PERCENT", value_parser = |text: &str| number::<u64>(text, "1 to 100"))]
    pub max_cpu: Option<u64>,

    /// Mbit/s that the server may send, 1 to 1000000: beyond it newcomers are refused, and calls go on [default: no bound]
    #[arg(long, env = "CROSSPOINT_MAX_BANDWIDTH", value_name = "MBIT", value_parser = |text: &str| number::<u64>(text, "1 to 1000000"))]
    pub max_bandwidth: Option<u64>,

    /// Messages a second on one WebSocket, 1 to 100000; twice as many in a burst [default: 100]
    #[arg(long, env = "CROSSPOINT_MAX_MESSAGES_PER_SECOND", value_name = "N", value_parser = |text: &str| number::<u64>(text, "1 to 100000"))]
    pub max_messages_per_second: Option<u64>,

    /// Bytes of one SDP, 1000 to 262144 [default: 200000]
    #[arg(long, env = "CROSSPOINT_MAX_SDP_BYTES", value_name = "BYTES", value_parser = |text: &str| number::<u64>(text, "1000 to 262144"))]
    pub max_sdp_bytes: Option<u64>,

    /// Tracks that one participant may publish, 1 to 64 [default: 16]
    #[arg(long, env = "CROSSPOINT_MAX_TRACKS", value_name = "N", value_parser = |text: &str| number::<u64>(text, "1 to 64"))]
    pub max_tracks: Option<u64>,

    /// Bytes of one data channel message, 1 to 262144 [default: 65536]
    #[arg(long, env = "CROSSPOINT_MAX_DATA_CHANNEL_BYTES", value_name = "BYTES", value_parser = |text: &str| number::<u64>(text, "1 to 262144"))]
    pub max_data_channel_bytes: Option<u64>,

    /// Seconds that a one-to-one call rings, 1 to 3600 [default: 60]
    #[arg(long, env = "CROSSPOINT_RING_TIMEOUT", value_name = "SECONDS", value_parser = |text: &str| number::<u64>(text, "1 to 3600"))]
    pub ring_timeout: Option<u64>,

    /// Participants of one room that stay on one shard before the room goes on in others, 1 to 10000; on a port that all
    /// shards share, whoever UDP is not blocked for goes to the shard that hears it [default: 16]
    #[arg(long, env = "CROSSPOINT_ROOM_PER_SHARD", value_name = "N", value_parser = |text: &str| number::<u64>(text, "1 to 10000"))]
    pub room_per_shard: Option<u64>,

    /// Milliseconds that datagrams may wait for more to the same receiver, 0 to 50; 0 for never. They do where a track
    /// has 32 receivers or more, or a shard is busy; the last packet of a picture never does [default: 5]
    #[arg(long, env = "CROSSPOINT_MAX_HOLD", value_name = "MS", value_parser = |text: &str| number::<u64>(text, "0 to 50"))]
    pub max_hold: Option<u64>,

    /// Ask for redundant audio (RED) of clients that can send it; `false` leaves the choice to them [default: true]
    #[arg(long, env = "CROSSPOINT_RED", value_name = "BOOL")]
    pub red: Option<bool>,

    /// Audio tracks that are forwarded in a large call: the loudest so many of each shard, 0 to 1000; 0 for all [default: 6]
    #[arg(long, env = "CROSSPOINT_LOUDEST", value_name = "N", value_parser = |text: &str| number::<u64>(text, "0 to 1000"))]
    pub loudest: Option<u64>,

    /// A call is large when it has more audio tracks than this on a shard, 0 to 10000 [default: 12]
    #[arg(long, env = "CROSSPOINT_LOUDEST_ABOVE", value_name = "N", value_parser = |text: &str| number::<u64>(text, "0 to 10000"))]
    pub loudest_above: Option<u64>,

    /// Seconds in which a broken WebSocket can be resumed, 1 to 3600 [default: 30]
    #[arg(long, env = "CROSSPOINT_RESUME_TIMEOUT", value_name = "SECONDS", value_parser = |text: &str| number::<u64>(text, "1 to 3600"))]
    pub resume_timeout: Option<u64>,

    /// Seconds that calls have to come to their end after SIGTERM, 0 to 86400; a second signal, or Ctrl-C, ends them at once
    /// [default: 60]
    #[arg(long, env = "CROSSPOINT_DRAIN_TIMEOUT", value_name = "SECONDS", value_parser = |text: &str| number::<u64>(text, "0 to 86400"))]
    pub drain_timeout: Option<u64>,

    /// Let operators ask and act under `/api/v1`, with `Authorization: Bearer TOKEN`; at least 16 characters. Better in the
    /// environment or the file: command lines are seen by everybody on the machine [default: nobody may]
    #[arg(
        long,
        env = "CROSSPOINT_OPERATOR_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub operator_token: Option<Secret>,

    /// Admit those with a token (JWT) that is signed with HS256 and this secret, of at least 32 characters, and nobody without
    /// a token; may be repeated; better in the environment or the file [default: everybody is admitted]
    #[arg(
        long,
        env = "CROSSPOINT_TOKEN_SECRET",
        value_name = "ID:SECRET",
        value_parser = Hidden::<KeySecret>::new(),
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub token_secret: Option<Vec<KeySecret>>,

    /// The same for tokens that are signed with EdDSA: the PEM file with the Ed25519 public key; may be repeated
    #[arg(
        long,
        env = "CROSSPOINT_TOKEN_PUBLIC_KEY",
        value_name = "ID:FILE",
        value_delimiter = ','
    )]
    pub token_public_key: Option<Vec<KeyFile>>,

    /// Do not start without a key for tokens: never be an open server by mistake [default: false]
    #[arg(
        long,
        env = "CROSSPOINT_REQUIRE_TOKENS",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub require_tokens: Option<bool>,

    /// Send traces to this collector, by OTLP over HTTP, such as `http://localhost:4318` [default: to none]
    #[arg(long, env = "CROSSPOINT_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,

    /// Tell this URL what happens in the rooms (who comes and goes, what is published); may be repeated; needs --webhook-secret
    #[arg(
        long,
        env = "CROSSPOINT_WEBHOOK_URL",
        value_name = "URL",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub webhook_url: Option<Vec<String>>,

    /// Sign webhooks with this: `whsec_` and base64, or any word of at least 16 characters; better in the environment or the
    /// file
    #[arg(
        long,
        env = "CROSSPOINT_WEBHOOK_SECRET",
        value_name = "SECRET",
        hide_env_values = true
    )]
    pub webhook_secret: Option<Secret>,
}

/// A number on the command line or in the environment; its range is checked with the file's.
fn number<T: FromStr>(text: &str, allowed: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("allowed is a whole number, {allowed}"))
}
