//! Options: from the command line, the environment and a TOML file, checked once at start.
//!
//! Called by `main` and by whoever embeds the server. The three sources set the same options; the
//! command line wins over the environment, and both win over the file.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde::Deserialize;

use crate::entrance::CertificateSource;
use crate::signaling::OperatorToken;

/// Shortest operator token: 16 random letters cannot be guessed.
const MIN_TOKEN_BYTES: usize = 16;
use crate::forward::LoudestLimits;

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

    /// Speak HTTPS: `files` with the certificate of --tls-cert, `self` with one that is made at the start and that browsers
    /// ask about; `off` for HTTP [default: files with --tls-cert, else off]
    #[arg(long, env = "CROSSPOINT_TLS", value_name = "MODE")]
    pub tls: Option<TlsMode>,

    /// PEM file with the certificate of HTTPS and those that lead to its root; read again when it changes
    #[arg(long, env = "CROSSPOINT_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// PEM file with the certificate's key
    #[arg(long, env = "CROSSPOINT_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// First UDP port for media; each shard takes one, counting up; 0 takes free ones [default: 7880]
    #[arg(long, env = "CROSSPOINT_UDP_PORT", value_name = "PORT", value_parser = |text: &str| number::<u16>(text, "0 to 65535"))]
    pub udp_port: Option<u16>,

    /// Address under which clients reach the media ports; may be repeated [default: this machine's addresses]
    #[arg(long,
        env = "CROSSPOINT_ANNOUNCE",
        value_name = "IP",
        value_delimiter = ',', value_parser = address)]
    pub announce: Option<Vec<IpAddr>>,

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

    /// Participants of one room that stay on one shard before the room goes on in others, 1 to 10000 [default: 16]
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

    /// Let operators ask under `/api/v1`, with `Authorization: Bearer TOKEN`; at least 16 characters. Better in the
    /// environment or the file: command lines are seen by everybody on the machine [default: nobody may]
    #[arg(
        long,
        env = "CROSSPOINT_OPERATOR_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub operator_token: Option<Secret>,
}

/// A word that must not be shown.
#[derive(Deserialize, Clone, PartialEq, Eq)]
#[serde(transparent)]
pub struct Secret(String);

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Whether HTTPS is spoken, and with which certificate.
#[derive(ValueEnum, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// HTTP.
    Off,
    /// A certificate that is made at the start.
    #[value(name = "self")]
    #[serde(rename = "self")]
    SelfSigned,
    /// One out of files.
    Files,
}

/// How logs are written.
#[derive(ValueEnum, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Where to serve HTTP: `ADDR:PORT`, `localhost:PORT`, or `:PORT` for every address.
#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(try_from = "String")]
pub enum ListenAddress {
    /// One address.
    One(SocketAddr),
    /// This port of every address, IPv4 and IPv6.
    Every(u16),
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = || {
            format!(
                "`{text}` is no ADDR:PORT: expected for example 127.0.0.1:8080, [::1]:8080 or :8080"
            )
        };
        if let Some(port) = text.strip_prefix(':').or_else(|| text.strip_prefix("*:")) {
            return port.parse().map(Self::Every).map_err(|_| allowed());
        }
        if let Some(port) = text.strip_prefix("localhost:") {
            let port = port.parse().map_err(|_| allowed())?;
            return Ok(Self::One(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)));
        }
        text.parse().map(Self::One).map_err(|_| allowed())
    }
}

impl TryFrom<String> for ListenAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// All options with a value, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where the page and the signalling are served. Never empty.
    pub listen: Vec<ListenAddress>,
    /// Whether `listen` is the default: then one of the two loopback addresses is enough.
    pub listen_is_default: bool,
    /// The certificate of HTTPS; `None` for HTTP.
    pub tls: Option<CertificateSource>,
    /// First UDP port, or 0 for free ones.
    pub udp_port: u16,
    /// Addresses of the media ports that are told to clients; empty means this machine's own.
    pub announce: Vec<IpAddr>,
    /// Number of shards, 1 to 64.
    pub shards: usize,
    /// Log filter, as `tracing_subscriber::EnvFilter` reads it.
    pub log: String,
    /// How logs are written.
    pub log_format: LogFormat,
    /// Origins that may open the WebSocket; empty means any.
    pub allowed_origins: Vec<String>,
    /// What one client, room or server may use.
    pub limits: Limits,
    /// Participants of one room that stay on one shard before the room goes on in others.
    pub room_per_shard: usize,
    /// How long a one-to-one call rings.
    pub ring_timeout: Duration,
    /// How long a broken WebSocket can be resumed.
    pub resume_timeout: Duration,
    /// How long datagrams may wait for more to the same receiver, 0 to 50 ms.
    pub max_hold: Duration,
    /// What admits operators; `None` for nobody.
    pub operator_token: Option<OperatorToken>,
    /// Whether clients that can are asked to send redundant audio.
    pub red: bool,
    /// Which audio of a large call is forwarded.
    pub loudest: LoudestLimits,
}

/// What one client, room or server may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Participants in one room.
    pub max_participants: usize,
    /// Rooms at one time.
    pub max_rooms: usize,
    /// WebSockets from one address.
    pub max_sockets_per_address: usize,
    /// Messages a second on one WebSocket.
    pub max_messages_per_second: u32,
    /// Bytes of one SDP.
    pub max_sdp_bytes: usize,
    /// Tracks that one participant may publish.
    pub max_tracks: usize,
    /// Bytes of one data channel message.
    pub max_data_channel_bytes: usize,
}

/// An option with a value that it cannot have.
#[derive(Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// An option's value is not allowed.
    Value {
        /// The long name.
        option: &'static str,
        /// What was given.
        value: String,
        /// What may be given, in words.
        allowed: String,
    },
    /// The file cannot be read, or is not what it should be.
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value {
                option,
                value,
                allowed,
            } => write!(f, "`{option}` cannot be `{value}`: allowed is {allowed}"),
            Self::File { path, reason } => {
                write!(f, "the file {} cannot be used: {reason}", path.display())
            }
        }
    }
}

impl std::error::Error for ConfigError {}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![
                ListenAddress::One(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 8080)),
                ListenAddress::One(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 8080)),
            ],
            listen_is_default: true,
            tls: None,
            udp_port: 7880,
            announce: Vec::new(),
            shards: std::thread::available_parallelism().map_or(1, |n| n.get().min(64)),
            log: "info".to_owned(),
            log_format: LogFormat::Text,
            allowed_origins: Vec::new(),
            limits: Limits::default(),
            room_per_shard: 16,
            ring_timeout: Duration::from_secs(60),
            resume_timeout: Duration::from_secs(30),
            max_hold: Duration::from_millis(5),
            operator_token: None,
            red: true,
            loudest: LoudestLimits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_participants: 200,
            max_rooms: 1_000,
            max_sockets_per_address: 256,
            max_messages_per_second: 100,
            max_sdp_bytes: 200_000,
            max_tracks: 16,
            max_data_channel_bytes: 65_536,
        }
    }
}

impl Options {
    /// Reads the file that `config` names, fills in what is still open from it, and checks everything.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let file = match &self.config {
            Some(path) => Self::from_file(path)?,
            None => Self::default(),
        };
        self.or(file).check()
    }

    fn from_file(path: &PathBuf) -> Result<Self, ConfigError> {
        let file = |reason: String| ConfigError::File {
            path: path.clone(),
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|e| file(e.to_string()))?;
        toml::from_str(&text).map_err(|e| file(e.to_string()))
    }

    /// These options, and for those not set the other's.
    fn or(self, other: Self) -> Self {
        Self {
            config: self.config,
            listen: self.listen.or(other.listen),
            tls: self.tls.or(other.tls),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            udp_port: self.udp_port.or(other.udp_port),
            announce: self.announce.or(other.announce),
            shards: self.shards.or(other.shards),
            log: self.log.or(other.log),
            log_format: self.log_format.or(other.log_format),
            allowed_origins: self.allowed_origins.or(other.allowed_origins),
            max_participants: self.max_participants.or(other.max_participants),
            max_rooms: self.max_rooms.or(other.max_rooms),
            max_sockets_per_address: self
                .max_sockets_per_address
                .or(other.max_sockets_per_address),
            max_messages_per_second: self
                .max_messages_per_second
                .or(other.max_messages_per_second),
            max_sdp_bytes: self.max_sdp_bytes.or(other.max_sdp_bytes),
            max_tracks: self.max_tracks.or(other.max_tracks),
            max_data_channel_bytes: self.max_data_channel_bytes.or(other.max_data_channel_bytes),
            room_per_shard: self.room_per_shard.or(other.room_per_shard),
            ring_timeout: self.ring_timeout.or(other.ring_timeout),
            resume_timeout: self.resume_timeout.or(other.resume_timeout),
            max_hold: self.max_hold.or(other.max_hold),
            operator_token: self.operator_token.or(other.operator_token),
            red: self.red.or(other.red),
            loudest: self.loudest.or(other.loudest),
            loudest_above: self.loudest_above.or(other.loudest_above),
        }
    }

    fn check(self) -> Result<Config, ConfigError> {
        let default = Config::default();
        let limits = default.limits;
        let listen_is_default = self.listen.is_none();
        let listen = self.listen.unwrap_or(default.listen);
        if listen.is_empty() {
            return Err(wrong("listen", "nothing", "at least one ADDR:PORT"));
        }
        let tls = certificate_source(self.tls, self.tls_cert, self.tls_key)?;
        let shards = ranged("shards", self.shards, default.shards, 1, 64)?;
        let udp_port = self.udp_port.unwrap_or(default.udp_port);
        let highest = u16::MAX - (shards as u16 - 1);
        if udp_port > highest {
            return Err(wrong(
                "udp-port",
                udp_port,
                format!("0, or 1 to {highest} with {shards} shards"),
            ));
        }
        let announce = self.announce.unwrap_or_default();
        if let Some(ip) = announce
            .iter()
            .find(|ip| ip.is_unspecified() || ip.is_multicast())
        {
            return Err(wrong("announce", ip, "an address that clients can send to"));
        }
        let log = self.log.unwrap_or(default.log);
        if let Err(error) = log.parse::<tracing_subscriber::EnvFilter>() {
            return Err(wrong(
                "log",
                &log,
                format!("error, warn, info, debug, trace or a filter ({error})"),
            ));
        }
        let allowed_origins = self.allowed_origins.unwrap_or_default();
        if let Some(origin) = allowed_origins.iter().find(|o| !is_origin(o)) {
            return Err(wrong(
                "allowed-origins",
                origin,
                "scheme and host without a path, such as https://example.org",
            ));
        }
        let n =
            |option, given, default: usize, low, high| ranged(option, given, default, low, high);
        Ok(Config {
            listen,
            listen_is_default,
            tls,
            udp_port,
            announce,
            shards,
            log,
            log_format: self.log_format.unwrap_or_default(),
            allowed_origins,
            limits: Limits {
                max_participants: n(
                    "max-participants",
                    self.max_participants,
                    limits.max_participants,
                    2,
                    1_000,
                )?,
                max_rooms: n("max-rooms", self.max_rooms, limits.max_rooms, 1, 1_000_000)?,
                max_sockets_per_address: n(
                    "max-sockets-per-address",
                    self.max_sockets_per_address,
                    limits.max_sockets_per_address,
                    1,
                    1_000_000,
                )?,
                max_messages_per_second: n(
                    "max-messages-per-second",
                    self.max_messages_per_second,
                    limits.max_messages_per_second as usize,
                    1,
                    100_000,
                )? as u32,
                max_sdp_bytes: n(
                    "max-sdp-bytes",
                    self.max_sdp_bytes,
                    limits.max_sdp_bytes,
                    1_000,
                    262_144,
                )?,
                max_tracks: n("max-tracks", self.max_tracks, limits.max_tracks, 1, 64)?,
                max_data_channel_bytes: n(
                    "max-data-channel-bytes",
                    self.max_data_channel_bytes,
                    limits.max_data_channel_bytes,
                    1,
                    262_144,
                )?,
            },
            room_per_shard: ranged(
                "room-per-shard",
                self.room_per_shard,
                default.room_per_shard,
                1,
                10_000,
            )?,
            ring_timeout: seconds("ring-timeout", self.ring_timeout, default.ring_timeout)?,
            resume_timeout: seconds(
                "resume-timeout",
                self.resume_timeout,
                default.resume_timeout,
            )?,
            max_hold: Duration::from_millis(n("max-hold", self.max_hold, 5, 0, 50)? as u64),
            operator_token: self
                .operator_token
                .as_ref()
                .map(operator_token)
                .transpose()?,
            red: self.red.unwrap_or(default.red),
            loudest: LoudestLimits {
                tracks: n("loudest", self.loudest, default.loudest.tracks, 0, 1_000)?,
                above: n(
                    "loudest-above",
                    self.loudest_above,
                    default.loudest.above,
                    0,
                    10_000,
                )?,
            },
        })
    }
}

fn certificate_source(
    mode: Option<TlsMode>,
    chain: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<CertificateSource>, ConfigError> {
    let files = "both --tls-cert and --tls-key";
    match (mode, chain, key) {
        (None | Some(TlsMode::Files), Some(chain), Some(key)) => {
            Ok(Some(CertificateSource::Files { chain, key }))
        }
        (None | Some(TlsMode::Off), None, None) => Ok(None),
        (Some(TlsMode::SelfSigned), None, None) => Ok(Some(CertificateSource::SelfSigned)),
        (Some(TlsMode::Files), None, None) => Err(wrong("tls", "files", files)),
        (Some(TlsMode::Off), ..) => Err(wrong(
            "tls",
            "off",
            "files, or no --tls-cert and no --tls-key",
        )),
        (Some(TlsMode::SelfSigned), ..) => Err(wrong(
            "tls",
            "self",
            "files, or no --tls-cert and no --tls-key",
        )),
        (_, Some(chain), None) => Err(wrong("tls-cert", chain.display(), files)),
        (_, None, Some(key)) => Err(wrong("tls-key", key.display(), files)),
    }
}

/// A number on the command line or in the environment; its range is checked with the file's.
fn number<T: FromStr>(text: &str, allowed: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("allowed is a whole number, {allowed}"))
}

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_| "allowed is an IP address, such as 203.0.113.5 or 2001:db8::5".to_owned())
}

fn wrong(
    option: &'static str,
    value: impl fmt::Display,
    allowed: impl Into<String>,
) -> ConfigError {
    ConfigError::Value {
        option,
        value: value.to_string(),
        allowed: allowed.into(),
    }
}

fn ranged(
    option: &'static str,
    given: Option<u64>,
    default: usize,
    low: u64,
    high: u64,
) -> Result<usize, ConfigError> {
    match given {
        None => Ok(default),
        Some(value) if (low..=high).contains(&value) => Ok(value as usize),
        Some(value) => Err(wrong(option, value, format!("{low} to {high}"))),
    }
}

fn seconds(
    option: &'static str,
    given: Option<u64>,
    default: Duration,
) -> Result<Duration, ConfigError> {
    let seconds = ranged(option, given, default.as_secs() as usize, 1, 3_600)?;
    Ok(Duration::from_secs(seconds as u64))
}

/// The error does not repeat the word: it may be most of a token.
fn operator_token(secret: &Secret) -> Result<OperatorToken, ConfigError> {
    let Secret(word) = secret;
    if word.len() < MIN_TOKEN_BYTES || !word.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong(
            "operator-token",
            "***",
            format!("at least {MIN_TOKEN_BYTES} ASCII characters without spaces"),
        ));
    }
    Ok(OperatorToken::new(word))
}

fn is_origin(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, host)| {
        matches!(scheme, "http" | "https") && !host.is_empty() && !host.contains('/')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: &[&str]) -> Result<Config, ConfigError> {
        let args = std::iter::once("crosspoint").chain(args.iter().copied());
        Options::try_parse_from(args).unwrap().resolve()
    }

    #[test]
    fn nothing_given_is_the_default() {
        assert_eq!(options(&[]).unwrap(), Config::default());
    }

    #[test]
    fn a_bare_port_listens_on_every_address() {
        let config = options(&["--listen", ":6503", "--listen", "[::1]:80"]).unwrap();
        assert_eq!(
            config.listen,
            [
                ListenAddress::Every(6503),
                ListenAddress::One("[::1]:80".parse().unwrap())
            ]
        );
    }

    #[test]
    fn a_wrong_value_names_the_option_and_what_is_allowed() {
        for (args, words) in [
            (
                ["--shards", "0"],
                "`shards` cannot be `0`: allowed is 1 to 64",
            ),
            (["--max-participants", "1"], "allowed is 2 to 1000"),
            (["--announce", "0.0.0.0"], "clients can send to"),
            (["--log", "a=b=c"], "error, warn, info"),
            (["--allowed-origins", "example.org"], "https://example.org"),
        ] {
            let error = options(&args).unwrap_err().to_string();
            assert!(error.contains(words), "{args:?}: {error}");
        }
        let error = options(&["--udp-port", "65535", "--shards", "2"]).unwrap_err();
        assert!(error.to_string().contains("1 to 65534 with 2 shards"));
    }

    #[test]
    fn what_is_no_value_at_all_is_refused_with_what_is_allowed() {
        for (args, words) in [
            (["--udp-port", "abc"], "a whole number, 0 to 65535"),
            (["--shards", "many"], "a whole number, 1 to 64"),
            (["--announce", "here"], "an IP address"),
            (["--listen", "80"], "127.0.0.1:8080, [::1]:8080 or :8080"),
            (["--log-format", "xml"], "text, json"),
        ] {
            let args = std::iter::once("crosspoint").chain(args);
            let error = Options::try_parse_from(args).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn an_operator_token_is_long_and_never_shown() {
        for token in ["0123456789abcde", "0123456789 abcdef", "0123456789abcdé"] {
            let error = options(&["--operator-token", token])
                .unwrap_err()
                .to_string();
            assert!(error.contains("at least 16"), "{error}");
            assert!(!error.contains(token), "{error}");
        }
        let token = "0123456789abcdef";
        let config = options(&["--operator-token", token]).unwrap();
        assert_eq!(config.operator_token, Some(OperatorToken::new(token)));
        let secret = token.parse::<Secret>().unwrap();
        assert!(!format!("{config:?}{secret:?}").contains(token));
    }

    #[test]
    fn a_certificate_is_made_or_read_from_two_files() {
        let source = |args: &[&str]| options(args).map(|config| config.tls);
        assert_eq!(source(&["--tls", "off"]), Ok(None));
        assert_eq!(
            source(&["--tls", "self"]),
            Ok(Some(CertificateSource::SelfSigned))
        );
        let pair = ["--tls-cert", "a", "--tls-key", "b"];
        let files = CertificateSource::Files {
            chain: "a".into(),
            key: "b".into(),
        };
        assert_eq!(source(&pair), Ok(Some(files)));
        for args in [
            &["--tls-cert", "a"][..],
            &["--tls-key", "b"],
            &["--tls", "files"],
            &["--tls", "files", "--tls-key", "b"],
        ] {
            let error = source(args).unwrap_err().to_string();
            assert!(error.contains("both --tls-cert and --tls-key"), "{error}");
        }
        for mode in ["self", "off"] {
            let error = source(&["--tls", mode, "--tls-cert", "a"]).unwrap_err();
            assert!(error.to_string().contains("no --tls-cert"), "{error}");
        }
        let file: Options = toml::from_str("tls = \"self\"").unwrap();
        assert_eq!(file.tls, Some(TlsMode::SelfSigned));
    }

    #[test]
    fn what_is_done_with_audio_can_be_switched_off() {
        let config = options(&["--red", "false", "--loudest", "0"]).unwrap();
        assert!(!config.red && config.loudest.tracks == 0);
        assert!(toml::from_str::<Options>("red = false").unwrap().red == Some(false));
        let error = options(&["--loudest", "1001"]).unwrap_err().to_string();
        assert!(error.contains("0 to 1000"), "{error}");
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let file: Options = toml::from_str("udp-port = 1\nring-timeout = 5").unwrap();
        let line = Options {
            udp_port: Some(2),
            ..Options::default()
        };
        let config = line.or(file).check().unwrap();
        assert_eq!(config.udp_port, 2);
        assert_eq!(config.ring_timeout, Duration::from_secs(5));
    }

    #[test]
    fn a_file_with_an_unknown_key_is_refused() {
        let error = toml::from_str::<Options>("udp_port = 1").unwrap_err();
        assert!(error.to_string().contains("udp_port"), "{error}");
    }
}
