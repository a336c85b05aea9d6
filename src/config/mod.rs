//! Options: from the command line, the environment and a TOML file, checked once at start.
//!
//! Called by `main` and by whoever embeds the server. The three sources set the same options; the
//! command line wins over the environment, and both win over the file. [`Options`] are what was said, a [`Config`] is what
//! it comes to. It reads that file and nothing else: what certificates hold is found out by who uses
//! them.

mod certificate;
mod check;
mod options;
#[cfg(test)]
mod tests;
mod turn;
mod values;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::http::Uri;

pub use check::ConfigError;
pub use options::Options;
pub use turn::TurnConfig;
pub(crate) use values::Hidden;
pub use values::{
    Announced, IceTcp, KeyFile, KeySecret, ListenAddress, LogFormat, PeerNetwork, PortRange,
    Secret, TlsMode, TurnUserOption,
};

use crate::access::KeySource;
use crate::discovery::AddressSource;
use crate::entrance::CertificateSource;
use crate::forward::LoudestLimits;
use crate::signaling::OperatorToken;
use crate::webhooks::WebhookConfig;

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
    /// Whether all shards share it.
    pub share_udp_port: bool,
    /// Where TCP connections for media are let in.
    pub ice_tcp: IceTcp,
    /// Addresses of the media ports that are told to clients; empty means this machine's own.
    pub announce: Vec<IpAddr>,
    /// Who is asked for more of them at the start.
    pub discover: Vec<AddressSource>,
    /// How clients are relayed whose network lets nothing else through; `None` for not at all.
    pub turn: Option<TurnConfig>,
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
    /// Participants of one room that begin on one shard before the room goes on in others.
    pub room_per_shard: usize,
    /// How long a one-to-one call rings.
    pub ring_timeout: Duration,
    /// How long a broken WebSocket can be resumed.
    pub resume_timeout: Duration,
    /// How long calls have to come to their end when the server is told to drain.
    pub drain_timeout: Duration,
    /// How long datagrams may wait for more to the same receiver, 0 to 50 ms.
    pub max_hold: Duration,
    /// What admits operators; `None` for nobody.
    pub operator_token: Option<OperatorToken>,
    /// The keys of tokens, without which nobody comes in; empty for an open server.
    pub token_keys: Vec<KeySource>,
    /// The collector of traces; `None` for none.
    pub otlp_endpoint: Option<Uri>,
    /// Who is told what happens in the rooms; `None` for nobody.
    pub webhooks: Option<WebhookConfig>,
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
    /// WebSockets and calls a second that may come from one address.
    pub max_joins_per_second: u32,
    /// Percent of its core that a shard may work before newcomers are refused; `None` for no bound.
    pub max_cpu: Option<u8>,
    /// Bits a second that may be sent before newcomers are refused; `None` for no bound.
    pub max_bits_per_second: Option<u64>,
    /// Messages a second on one WebSocket.
    pub max_messages_per_second: u32,
    /// Bytes of one SDP.
    pub max_sdp_bytes: usize,
    /// Tracks that one participant may publish.
    pub max_tracks: usize,
    /// Bytes of one data channel message.
    pub max_data_channel_bytes: usize,
}

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
            share_udp_port: false,
            ice_tcp: IceTcp::default(),
            announce: Vec::new(),
            discover: Vec::new(),
            turn: Some(TurnConfig::default()),
            shards: std::thread::available_parallelism().map_or(1, |n| n.get().min(64)),
            log: "info".to_owned(),
            log_format: LogFormat::Text,
            allowed_origins: Vec::new(),
            limits: Limits::default(),
            room_per_shard: 16,
            ring_timeout: Duration::from_secs(60),
            resume_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(60),
            max_hold: Duration::from_millis(5),
            operator_token: None,
            token_keys: Vec::new(),
            otlp_endpoint: None,
            webhooks: None,
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
            max_joins_per_second: 50,
            max_cpu: None,
            max_bits_per_second: None,
            max_messages_per_second: 100,
            max_sdp_bytes: 200_000,
            max_tracks: 16,
            max_data_channel_bytes: 65_536,
        }
    }
}
