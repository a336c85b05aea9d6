//! The whole server: binds what the options say, wires the layers, runs until it is told to end.
//!
//! Called by `main` and by programs that embed Crosspoint. It holds no state of calls or media.

mod turn;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::access::{KeyError, Keys};
use crate::config::{Config, IceTcp, ListenAddress};
use crate::discovery::{self, DiscoveryError};
use crate::entrance::{
    self, CertificateError, CertificateSource, HalfOpen, MediaCaller, MediaCallers, Tls,
};
use crate::metrics::Sources;
use crate::negotiation;
use crate::room::{self, Notice, Rooms, RoomsConfig, ServerLoad};
use crate::runtime::{
    BindError, MediaSocket, MediaStream, Runtime, RuntimeSettings, ShardAddress, ShardPorts,
    shard_addresses,
};
use crate::shard::{Command, Shard, ShardConfig};
use crate::signaling::{self, MetricsSource, Phase, Readiness, Shards, SignalingSettings};
use crate::transport::{ChannelLimits, Identity, IdentityError};
use crate::turn::IceServers;
use crate::webhooks::{WebhookCounts, WebhookQueues, Webhooks};
use turn::{OtherPorts, OwnPorts};

/// Data channels that one peer may have open: its own, and one for each sender of each label.
const MAX_CHANNELS: usize = 1_024;

/// Bytes of data channel messages that wait for a slow peer. More are dropped.
const MAX_BUFFERED_BYTES: usize = 1024 * 1024;

/// A server whose ports are bound: what can go wrong at start has gone right.
#[derive(Debug)]
pub struct Server {
    config: Config,
    listeners: Vec<TcpListener>,
    sockets: Vec<MediaSocket>,
    /// Where media by TCP has a port of its own.
    ice_tcp: Option<TcpListener>,
    tls: Option<Tls>,
    keys: Option<Keys>,
    webhooks: Option<(Webhooks, WebhookQueues)>,
    webhook_counts: Arc<WebhookCounts>,
    turn_ports: Option<OwnPorts>,
}

/// Why the server cannot start, or had to end.
#[derive(Debug)]
pub enum ServerError {
    /// A TCP address cannot be used.
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A media port cannot be used.
    Media(BindError),
    /// An address under which clients reach it is not found.
    Discovery(DiscoveryError),
    /// There is no certificate for HTTPS.
    Tls(CertificateError),
    /// A key for tokens cannot be used.
    TokenKey(KeyError),
    /// The receivers of webhooks cannot be trusted.
    Webhooks(io::Error),
    /// The certificate of media cannot be made.
    Identity(IdentityError),
    /// The system refuses threads or sockets.
    System(io::Error),
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, source } if source.kind() == io::ErrorKind::AddrInUse => {
                write!(
                    f,
                    "{address} is taken by another program: stop it, or choose another address with --listen"
                )
            }
            Self::Listen { address, source } => {
                write!(f, "cannot listen on {address}: {source}")
            }
            Self::Media(error) => error.fmt(f),
            Self::Discovery(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
            Self::TokenKey(error) => error.fmt(f),
            Self::Webhooks(error) => write!(
                f,
                "--webhook-url with https needs the system's certificate authorities: install ca-certificates ({error})"
            ),
            Self::Identity(error) => write!(f, "cannot make a certificate: {error}"),
            Self::System(error) => write!(f, "the system refused: {error}"),
        }
    }
}

impl std::error::Error for ServerError {}

impl From<DiscoveryError> for ServerError {
    fn from(error: DiscoveryError) -> Self {
        Self::Discovery(error)
    }
}

impl ServerError {
    /// Of what kind the system's error is, where it is one.
    pub(crate) fn kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Listen { source, .. } | Self::Webhooks(source) | Self::System(source) => {
                Some(source.kind())
            }
            Self::Media(error) => Some(error.kind()),
            Self::Discovery(_) | Self::Tls(_) | Self::TokenKey(_) | Self::Identity(_) => None,
        }
    }
}

impl Server {
    /// Binds every port, and reads the certificate of HTTPS and the keys of tokens. Nothing is served before [`run`](Self::run). Must be called on
    /// a tokio runtime with I/O and time, as all that follows.
    pub async fn bind(config: &Config) -> Result<Self, ServerError> {
        let keys = Keys::read(&config.token_keys).map_err(ServerError::TokenKey)?;
        let config = &discovery::resolved(config).await?;
        let mut listeners = Vec::new();
        let mut refused = None;
        for &address in &config.listen {
            match listen(address).await {
                Ok(listener) => listeners.push(listener),
                // Of the two default addresses one may be missing: a system without IPv6, say.
                Err(ServerError::Listen { address, source })
                    if config.listen_is_default
                        && source.kind() == io::ErrorKind::AddrNotAvailable =>
                {
                    refused = Some(ServerError::Listen { address, source });
                }
                Err(error) => return Err(error),
            }
        }
        if let (true, Some(error)) = (listeners.is_empty(), refused) {
            return Err(error);
        }
        let sockets = bind_media(config).map_err(ServerError::Media)?;
        let ice_tcp = match config.ice_tcp {
            IceTcp::Own(address) => Some(listen(address).await?),
            IceTcp::Page | IceTcp::Off => None,
        };
        let turn_ports = OwnPorts::bind(config.turn.as_ref()).await?;
        let addresses = reached_by(config);
        let tls = config.tls.as_ref();
        let tls = tls.map(|source| Tls::start(source, &addresses));
        let webhook_counts = Arc::<WebhookCounts>::default();
        let webhooks = config.webhooks.clone();
        let webhooks = webhooks.map(|config| Webhooks::start(config, Arc::clone(&webhook_counts)));
        Ok(Self {
            config: config.clone(),
            listeners,
            sockets,
            ice_tcp,
            tls: tls.transpose().map_err(ServerError::Tls)?,
            keys,
            webhooks: webhooks.transpose().map_err(ServerError::Webhooks)?,
            webhook_counts,
            turn_ports,
        })
    }

    /// The addresses to open in a browser, each once: on this machine, and with HTTPS, without which browsers give no
    /// camera there, on others.
    pub fn urls(&self) -> Vec<String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut urls = Vec::new();
        let mut add = |host: &dyn fmt::Display| {
            let url = format!("{scheme}://{host}");
            if !urls.contains(&url) {
                urls.push(url);
            }
        };
        for address in self.addresses() {
            let (ip, port) = (address.ip(), address.port());
            if !ip.is_loopback() && !ip.is_unspecified() {
                add(&address);
                continue;
            }
            add(&format_args!("localhost:{port}"));
            if ip.is_unspecified() && self.tls.is_some() {
                for other in reached_by(&self.config) {
                    add(&SocketAddr::new(other, port));
                }
            }
        }
        if let (Some(CertificateSource::Acme(acme)), Some(first)) =
            (&self.config.tls, self.addresses().first())
        {
            for domain in &acme.domains {
                match first.port() {
                    443 => add(domain),
                    port => add(&format_args!("{domain}:{port}")),
                }
            }
        }
        urls
    }

    /// Where HTTP is served.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect()
    }

    /// Where connections for media by TCP are let in.
    fn tcp_doors(&self) -> Vec<SocketAddr> {
        match self.config.ice_tcp {
            IceTcp::Page => self.addresses(),
            IceTcp::Off => Vec::new(),
            IceTcp::Own(_) => {
                let own = self.ice_tcp.iter();
                own.filter_map(|listener| listener.local_addr().ok())
                    .collect()
            }
        }
    }

    /// The UDP ports of the shards.
    pub fn media_ports(&self) -> Vec<u16> {
        self.sockets.iter().map(MediaSocket::port).collect()
    }

    /// Serves until `shutdown` resolves; then clients are told, and within 5 s everything is closed.
    /// Must be called on a tokio runtime with I/O and time.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), ServerError> {
        self.run_and_drain(std::future::pending(), shutdown).await
    }

    /// The same; but when `drain` resolves, nobody new is let in any more, and once there is no call left, or the time of
    /// [`Config::drain_timeout`] is over, it ends as if `shutdown` had resolved.
    pub async fn run_and_drain(
        self,
        drain: impl Future<Output = ()> + Send,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServerError> {
        let tcp_doors = self.tcp_doors();
        let page_port = self.addresses().first().map(SocketAddr::port);
        let Self {
            config,
            listeners,
            mut sockets,
            ice_tcp,
            tls,
            keys,
            webhooks,
            webhook_counts,
            turn_ports,
        } = self;
        if keys.is_none() {
            tracing::warn!(
                "this server is open: whoever reaches it may join every room. --token-secret admits only those with a token; \
                 --require-tokens does not start without"
            );
        }
        let identity = Identity::generate().map_err(ServerError::Identity)?;
        let started = Started::now();
        let mut rooms = rooms_config(&config, &identity, &sockets, &tcp_doors, started);
        let turn = config.turn.as_ref();
        let turn = turn.map(|turn| turn::new(turn, &rooms.shards, started));
        let turn = turn.transpose()?.map(Arc::new);
        if let (Some(turn), Some(settings)) = (&turn, &config.turn) {
            let others = OtherPorts {
                page: page_port,
                tls: tls.is_some(),
            };
            let own = turn_ports.as_ref();
            rooms.ice_servers = turn::ice_servers(turn, settings, own, others, &rooms.shards);
            for socket in &mut sockets {
                turn.share_port(socket).map_err(ServerError::System)?;
            }
        }
        let rooms = Rooms::new(rooms);
        let pairs = sockets
            .into_iter()
            .enumerate()
            .map(|(index, socket)| (socket, new_shard(index, &config, &identity)))
            .collect();
        let settings = RuntimeSettings {
            max_hold: config.max_hold,
            segments: true,
            shared_port: config.share_udp_port,
        };
        let (runtime, events) = Runtime::start(pairs, settings).map_err(ServerError::System)?;
        let runtime = Arc::new(runtime);
        let (webhooks, mut queues) = webhooks.unzip();
        let notices = move |room: &str, notice: &Notice| {
            if let Some(queues) = &mut queues {
                queues.tell(room, notice);
            }
        };
        let shards = ToShards(Arc::clone(&runtime));
        let (control, rooms) = signaling::spawn(rooms, shards, events, notices);
        let readiness = Readiness::default();
        let sources = Sources {
            shards: runtime.metrics(),
            webhooks: webhook_counts,
            turn: turn.as_ref().map(|turn| turn.metrics()),
            tls: tls.clone(),
            readiness: readiness.clone(),
            started: SystemTime::now(),
        };
        let settings = Arc::new(SignalingSettings {
            metrics: Some(MetricsSource::new(move |rooms| sources.render(rooms))),
            allowed_origins: (!config.allowed_origins.is_empty())
                .then(|| config.allowed_origins.clone()),
            operator_token: config.operator_token.clone(),
            by_https_only: matches!(&config.tls, Some(source) if !matches!(source, CertificateSource::SelfSigned { .. })),
            readiness: readiness.clone(),
            keys,
        });
        let (stop, stopped) = watch::channel(());
        let mut serving = JoinSet::new();
        let half_open = HalfOpen::default();
        let mut bringing = JoinSet::new();
        if let (Some(turn), Some(OwnPorts { udp, tcp })) = (&turn, turn_ports) {
            turn.serve_port(udp).map_err(ServerError::System)?;
            let callers = entrance::open_for_turn(tcp, tls.clone(), half_open.clone());
            bringing.spawn(turn::serve_callers(Arc::downgrade(turn), callers));
        }
        if let Some(listener) = ice_tcp {
            bringing.spawn(bring_in(
                entrance::open_for_media(listener, half_open.clone()),
                Arc::downgrade(&runtime),
            ));
        }
        for listener in listeners {
            let doors = entrance::open(listener, tls.clone(), half_open.clone());
            let stopped = || {
                let mut stopped = stopped.clone();
                async move {
                    // An error is the end of `stop`, which means the same.
                    let _ = stopped.changed().await;
                }
            };
            let (control, settings) = (control.clone(), Arc::clone(&settings));
            serving.spawn(signaling::serve(doors.main, control, settings, stopped()));
            if config.ice_tcp == IceTcp::Page {
                bringing.spawn(bring_in(doors.media, Arc::downgrade(&runtime)));
            }
            if let Some(turn) = &turn {
                bringing.spawn(turn::serve_callers(Arc::downgrade(turn), doors.turn));
            }
            if let Some(plain) = doors.plain {
                serving.spawn(signaling::redirect(plain, stopped()));
            }
        }
        readiness.set(Phase::Ready);
        let drained = async {
            drain.await;
            readiness.set(Phase::Draining);
            let _ = timeout(config.drain_timeout, control.drain()).await;
        };
        let ended = tokio::select! {
            () = shutdown => Ok(()),
            () = drained => Ok(()),
            Some(ended) = serving.join_next() => ended.unwrap_or_else(|e| Err(io::Error::other(e))),
        };
        drop((stop, control));
        bringing.shutdown().await;
        while serving.join_next().await.is_some() {}
        // The rooms are the last to hold the runtime; their farewells to the peers are queued by now.
        let _ = rooms.await;
        if let Some(webhooks) = webhooks {
            webhooks.finish().await;
        }
        if let Some(runtime) = Arc::into_inner(runtime) {
            let _ = tokio::task::spawn_blocking(|| runtime.stop()).await;
        }
        drop(turn);
        ended.map_err(ServerError::System)
    }
}

/// The sockets of the shards, in their order.
fn bind_media(config: &Config) -> Result<Vec<MediaSocket>, BindError> {
    if config.share_udp_port {
        return MediaSocket::bind_shared(config.udp_port, config.shards);
    }
    let port = |index| match config.udp_port {
        0 => 0,
        first => first + index,
    };
    (0..config.shards as u16)
        .map(|index| MediaSocket::bind(port(index)))
        .collect()
}

/// Brings those who send media by TCP to the shards of their peers, which their first checks name.
async fn bring_in(mut callers: MediaCallers, runtime: Weak<Runtime>) {
    while let Some(MediaCaller { stream, first }) = callers.recv().await {
        let Some(runtime) = runtime.upgrade() else {
            return;
        };
        if let Ok(stream) = stream.into_std() {
            runtime.take_stream(MediaStream { stream, first });
        }
    }
}

/// Lets this process have as many sockets as the system grants it without asking anybody: a WebSocket takes one, and each
/// allocation of TURN.
pub fn allow_open_files() {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
        }
    }
}

/// An instant, and what the clock on the wall said then.
#[derive(Clone, Copy)]
struct Started {
    at: Instant,
    unix_ms: u64,
}

impl Started {
    fn now() -> Self {
        Self {
            at: Instant::now(),
            unix_ms: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_millis() as u64),
        }
    }
}

/// The addresses under which others reach this machine.
fn reached_by(config: &Config) -> Vec<IpAddr> {
    let ports = ShardPorts {
        udp: 0,
        ipv6: true,
        tcp: &[],
    };
    let candidates = shard_addresses(ports, &config.announce).candidates;
    let addresses = candidates.iter().map(|candidate| candidate.address.ip());
    addresses.filter(|ip| !ip.is_loopback()).collect()
}

/// Control's way to the shards.
struct ToShards(Arc<Runtime>);

impl Shards for ToShards {
    fn send(&self, shard: usize, command: Command) {
        self.0.send(shard, command);
    }

    fn load(&self) -> ServerLoad {
        let counters = self.0.counters();
        ServerLoad {
            busy: counters.iter().map(|shard| shard.busy).collect(),
            bytes_out: counters.iter().map(|shard| shard.bytes_out).sum(),
        }
    }
}

fn new_shard(index: usize, config: &Config, identity: &Identity) -> Shard {
    Shard::new(ShardConfig {
        index,
        shards: config.shards,
        identity: identity.clone(),
        channels: ChannelLimits {
            max_message_bytes: config.limits.max_data_channel_bytes,
            max_channels: MAX_CHANNELS,
            max_buffered_bytes: MAX_BUFFERED_BYTES,
        },
        loudest: config.loudest,
        seed: rand::random(),
    })
}

fn rooms_config(
    config: &Config,
    identity: &Identity,
    sockets: &[MediaSocket],
    tcp: &[SocketAddr],
    started: Started,
) -> RoomsConfig {
    let limits = &config.limits;
    let shards = sockets
        .iter()
        .map(|socket| ShardPorts {
            udp: socket.port(),
            ipv6: socket.ipv6(),
            tcp,
        })
        .map(|ports| shard_addresses(ports, &config.announce))
        .map(
            |ShardAddress {
                 local_candidates,
                 candidates,
             }| room::ShardAddress {
                loopback: local_candidates,
                others: candidates,
            },
        )
        .collect();
    RoomsConfig {
        limits: room::Limits {
            max_participants: limits.max_participants,
            max_rooms: limits.max_rooms,
            max_sockets_per_address: limits.max_sockets_per_address,
            max_joins_per_second: limits.max_joins_per_second,
            max_cpu: limits.max_cpu,
            max_bits_per_second: limits.max_bits_per_second,
            max_messages_per_second: limits.max_messages_per_second,
        },
        negotiation: negotiation::Limits {
            max_sdp_bytes: limits.max_sdp_bytes,
            max_tracks: limits.max_tracks,
            // A camera and a microphone of everybody else in a full room.
            max_media_lines: limits.max_tracks + 2 * limits.max_participants,
            max_message_bytes: limits.max_data_channel_bytes,
        },
        red: config.red,
        ring_timeout: config.ring_timeout,
        resume_timeout: config.resume_timeout,
        fingerprint: identity.fingerprint(),
        shards,
        shared_port: config.share_udp_port,
        peers_together: config.room_per_shard,
        ice_servers: IceServers::default(),
        seed: rand::random(),
        started: started.at,
        started_unix_ms: started.unix_ms,
    }
}

pub(crate) async fn listen(address: ListenAddress) -> Result<TcpListener, ServerError> {
    let (first, second) = match address {
        ListenAddress::One(address) => (address, None),
        ListenAddress::Every(port) => (
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
            Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
        ),
    };
    let error = match TcpListener::bind(first).await {
        Ok(listener) => return Ok(listener),
        Err(error) => error,
    };
    match second {
        // Without IPv6 the IPv4 address alone will do.
        Some(second) if error.kind() != io::ErrorKind::AddrInUse => TcpListener::bind(second)
            .await
            .map_err(|source| ServerError::Listen {
                address: second,
                source,
            }),
        _ => Err(ServerError::Listen {
            address: first,
            source: error,
        }),
    }
}
