//! From options to a configuration: what was not said is filled in, and what was said is checked.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::Uri;

use super::certificate::certificate_source;
use super::turn::turn;
use super::values::{Announced, KeyFile, KeySecret, Secret};
use super::{Config, Limits, Options};
use crate::access::KeySource;
use crate::forward::LoudestLimits;
use crate::signaling::OperatorToken;
use crate::webhooks::{WebhookConfig, WebhookSecret};

/// Shortest operator token: 16 random letters cannot be guessed.
const MIN_TOKEN_BYTES: usize = 16;

/// Options whose values are shown to nobody, not even in errors.
const SECRET_OPTIONS: [&str; 5] = [
    "operator-token",
    "token-secret",
    "turn-secret",
    "turn-user",
    "webhook-secret",
];

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

impl Options {
    /// Reads the file that `config` names, fills in what is still open from it, and checks everything.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let file = match &self.config {
            Some(path) => Self::from_file(path)?,
            None => Self::default(),
        };
        self.or(file).check()
    }

    /// The options that a file says.
    pub(crate) fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let file = |reason: String| ConfigError::File {
            path: path.to_owned(),
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|e| file(e.to_string()))?;
        toml::from_str(&text).map_err(|error| file(describe(&error, &text)))
    }

    /// These options, and for those not set the other's.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            config: self.config,
            listen: self.listen.or(other.listen),
            tls: self.tls.or(other.tls),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            acme_domain: self.acme_domain.or(other.acme_domain),
            acme_email: self.acme_email.or(other.acme_email),
            acme_directory: self.acme_directory.or(other.acme_directory),
            acme_root: self.acme_root.or(other.acme_root),
            state_dir: self.state_dir.or(other.state_dir),
            udp_port: self.udp_port.or(other.udp_port),
            share_udp_port: self.share_udp_port.or(other.share_udp_port),
            ice_tcp: self.ice_tcp.or(other.ice_tcp),
            announce: self.announce.or(other.announce),
            turn: self.turn.or(other.turn),
            turn_port: self.turn_port.or(other.turn_port),
            turn_host: self.turn_host.or(other.turn_host),
            turn_secret: self.turn_secret.or(other.turn_secret),
            turn_lifetime: self.turn_lifetime.or(other.turn_lifetime),
            turn_user: self.turn_user.or(other.turn_user),
            turn_peers: self.turn_peers.or(other.turn_peers),
            turn_relay_ports: self.turn_relay_ports.or(other.turn_relay_ports),
            turn_max_allocations: self.turn_max_allocations.or(other.turn_max_allocations),
            turn_max_per_user: self.turn_max_per_user.or(other.turn_max_per_user),
            turn_max_per_address: self.turn_max_per_address.or(other.turn_max_per_address),
            turn_bandwidth: self.turn_bandwidth.or(other.turn_bandwidth),
            shards: self.shards.or(other.shards),
            log: self.log.or(other.log),
            log_format: self.log_format.or(other.log_format),
            allowed_origins: self.allowed_origins.or(other.allowed_origins),
            max_participants: self.max_participants.or(other.max_participants),
            max_rooms: self.max_rooms.or(other.max_rooms),
            max_sockets_per_address: self
                .max_sockets_per_address
                .or(other.max_sockets_per_address),
            max_joins_per_second: self.max_joins_per_second.or(other.max_joins_per_second),
            max_cpu: self.max_cpu.or(other.max_cpu),
            max_bandwidth: self.max_bandwidth.or(other.max_bandwidth),
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
            drain_timeout: self.drain_timeout.or(other.drain_timeout),
            operator_token: self.operator_token.or(other.operator_token),
            token_secret: self.token_secret.or(other.token_secret),
            token_public_key: self.token_public_key.or(other.token_public_key),
            require_tokens: self.require_tokens.or(other.require_tokens),
            otlp_endpoint: self.otlp_endpoint.or(other.otlp_endpoint),
            webhook_url: self.webhook_url.or(other.webhook_url),
            webhook_secret: self.webhook_secret.or(other.webhook_secret),
            red: self.red.or(other.red),
            loudest: self.loudest.or(other.loudest),
            loudest_above: self.loudest_above.or(other.loudest_above),
        }
    }

    pub(super) fn check(self) -> Result<Config, ConfigError> {
        let default = Config::default();
        let limits = default.limits;
        let turn = turn(&self)?;
        let tls = certificate_source(&self)?;
        let listen_is_default = self.listen.is_none();
        let listen = self.listen.unwrap_or(default.listen);
        if listen.is_empty() {
            return Err(wrong("listen", "nothing", "at least one ADDR:PORT"));
        }
        let shards = ranged("shards", self.shards, default.shards, 1, 64)?;
        let udp_port = self.udp_port.unwrap_or(default.udp_port);
        let share_udp_port = self.share_udp_port.unwrap_or(default.share_udp_port);
        let more = if share_udp_port { 0 } else { shards as u16 - 1 };
        let highest = u16::MAX - more;
        if udp_port > highest {
            return Err(wrong(
                "udp-port",
                udp_port,
                format!("0, or 1 to {highest} with {shards} shards"),
            ));
        }
        let (mut announce, mut discover) = (Vec::new(), Vec::new());
        for one in self.announce.unwrap_or_default() {
            match one {
                Announced::Ip(ip) => announce.push(ip),
                Announced::Found(source) => discover.push(source),
            }
        }
        if let Some(ip) = announce
            .iter()
            .find(|ip| ip.is_unspecified() || ip.is_multicast())
        {
            return Err(wrong("announce", ip, "an address that clients can send to"));
        }
        let log = self.log.unwrap_or(default.log);
        if let Some(reason) = objection_to_filter(&log) {
            return Err(wrong(
                "log",
                &log,
                format!(
                    "off, error, warn, info, debug, trace or a filter such as info,crosspoint::room=debug ({reason})"
                ),
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
            share_udp_port,
            ice_tcp: self.ice_tcp.unwrap_or_default(),
            announce,
            discover,
            turn,
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
                max_joins_per_second: n(
                    "max-joins-per-second",
                    self.max_joins_per_second,
                    limits.max_joins_per_second as usize,
                    1,
                    100_000,
                )? as u32,
                max_cpu: self
                    .max_cpu
                    .map(|percent| n("max-cpu", Some(percent), 0, 1, 100).map(|n| n as u8))
                    .transpose()?,
                max_bits_per_second: self
                    .max_bandwidth
                    .map(|mbit| n("max-bandwidth", Some(mbit), 0, 1, 1_000_000))
                    .transpose()?
                    .map(|mbit| mbit as u64 * 1_000_000),
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
            drain_timeout: Duration::from_secs(ranged(
                "drain-timeout",
                self.drain_timeout,
                default.drain_timeout.as_secs() as usize,
                0,
                86_400,
            )? as u64),
            operator_token: self
                .operator_token
                .as_ref()
                .map(operator_token)
                .transpose()?,
            token_keys: token_keys(
                self.token_secret,
                self.token_public_key,
                self.require_tokens.unwrap_or_default(),
            )?,
            otlp_endpoint: self
                .otlp_endpoint
                .map(|url| {
                    let allowed = "a URL of http or https, such as http://localhost:4318";
                    http_url(&url).ok_or_else(|| wrong("otlp-endpoint", &url, allowed))
                })
                .transpose()?,
            webhooks: webhooks(self.webhook_url, self.webhook_secret)?,
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

/// What is wrong with a file, with the line where it is, unless that is about something secret.
fn describe(error: &toml::de::Error, text: &str) -> String {
    let start = error.span().map_or(0, |span| span.start);
    let end = text[start..]
        .find('\n')
        .map_or(text.len(), |length| start + length);
    let is_key = |word: &&str| {
        word.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    };
    let mut lines = text[..end].lines().rev();
    let key = lines.find_map(|line| {
        line.split_once('=')
            .map(|(key, _)| key.trim().trim_matches(['"', '\'']))
            .filter(is_key)
    });
    let number = text[..start].matches('\n').count() + 1;
    match key.filter(|key| SECRET_OPTIONS.contains(key)) {
        None => error.to_string(),
        Some(option) => {
            // Of a value of another type it says what it is.
            let message = error.message();
            let message = match message.starts_with("invalid") {
                true => "it has another kind of value",
                false => message,
            };
            format!("{option} in line {number}: {message}")
        }
    }
}

/// Why a filter of the log is none. A word that is no level is the name of a part to whoever reads filters, and a slip in a
/// level would silence everything.
fn objection_to_filter(filter: &str) -> Option<String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let parts = filter.split(',').map(str::trim);
    for part in parts.filter(|part| !part.contains(['[', ']', '{', '}'])) {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
        if !LEVELS.contains(&level.to_ascii_lowercase().as_str()) {
            return Some(format!("`{level}` is no level"));
        }
    }
    let parsed = filter.parse::<tracing_subscriber::EnvFilter>();
    parsed.err().map(|error| error.to_string())
}

pub(super) fn wrong(
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

pub(super) fn ranged(
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

fn token_keys(
    secrets: Option<Vec<KeySecret>>,
    files: Option<Vec<KeyFile>>,
    required: bool,
) -> Result<Vec<KeySource>, ConfigError> {
    let secrets = secrets.into_iter().flatten().map(KeySource::from);
    let files = files.into_iter().flatten().map(KeySource::from);
    let keys: Vec<KeySource> = secrets.chain(files).collect();
    if required && keys.is_empty() {
        return Err(wrong(
            "require-tokens",
            "true",
            "false, or a key for tokens: --token-secret or --token-public-key",
        ));
    }
    Ok(keys)
}

/// Neither error repeats what was given: it may be secret.
fn webhooks(
    urls: Option<Vec<String>>,
    secret: Option<Secret>,
) -> Result<Option<WebhookConfig>, ConfigError> {
    let urls = urls.unwrap_or_default();
    let secret = secret.map(|Secret(word)| {
        let allowed = "`whsec_` and base64 of 16 bytes or more, or a word of 16 characters or more";
        WebhookSecret::new(&word).map_err(|_| wrong("webhook-secret", "***", allowed))
    });
    let secret = match (urls.is_empty(), secret.transpose()?) {
        (true, _) => return Ok(None),
        (false, Some(secret)) => secret,
        (false, None) => {
            return Err(wrong("webhook-url", "***", "only with --webhook-secret"));
        }
    };
    let urls = urls.into_iter().map(|url| {
        http_url(&url).ok_or_else(|| wrong("webhook-url", "***", "a URL of http or https"))
    });
    let urls = urls.collect::<Result<_, _>>()?;
    Ok(Some(WebhookConfig { urls, secret }))
}

/// A URL of HTTP or HTTPS with a host.
pub(super) fn http_url(text: &str) -> Option<Uri> {
    let url = text.parse::<Uri>().ok()?;
    let is_http = matches!(url.scheme_str(), Some("http" | "https"));
    (is_http && url.host().is_some()).then_some(url)
}

fn is_origin(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, host)| {
        matches!(scheme, "http" | "https") && !host.is_empty() && !host.contains('/')
    })
}
