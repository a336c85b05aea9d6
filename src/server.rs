//! The whole server: binds what the options say, wires the layers, runs until it is told to end.
//!
//! Called by `main` and by programs that embed Crosspoint. It holds no state of calls or media.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpListener;

use crate::config::{Config, ListenAddress};
use crate::runtime::{BindError, MediaSocket};

/// A server whose ports are bound: what can go wrong at start has gone right.
#[derive(Debug)]
pub struct Server {
    config: Config,
    listeners: Vec<TcpListener>,
    sockets: Vec<MediaSocket>,
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
    /// The certificate cannot be made.
    Identity(String),
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
            Self::Identity(reason) => write!(f, "cannot make a certificate: {reason}"),
            Self::System(error) => write!(f, "the system refused: {error}"),
        }
    }
}

impl std::error::Error for ServerError {}

impl Server {
    /// Binds every port. Nothing is served before [`run`](Self::run).
    pub async fn bind(config: &Config) -> Result<Self, ServerError> {
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
        let sockets = (0..config.shards as u16)
            .map(|index| MediaSocket::bind(if config.udp_port == 0 { 0 } else { config.udp_port + index }))
            .collect::<Result<_, _>>()
            .map_err(ServerError::Media)?;
        Ok(Self {
            config: config.clone(),
            listeners,
            sockets,
        })
    }

    /// The addresses to open in a browser on this machine, each once.
    pub fn urls(&self) -> Vec<String> {
        let mut urls = Vec::new();
        for address in self.addresses() {
            let ip = address.ip();
            let url = if ip.is_loopback() || ip.is_unspecified() {
                format!("http://localhost:{}", address.port())
            } else {
                format!("http://{address}")
            };
            if !urls.contains(&url) {
                urls.push(url);
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

    /// The UDP ports of the shards.
    pub fn media_ports(&self) -> Vec<u16> {
        self.sockets.iter().map(MediaSocket::port).collect()
    }
}

async fn listen(address: ListenAddress) -> Result<TcpListener, ServerError> {
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
