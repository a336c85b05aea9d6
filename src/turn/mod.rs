//! TURN (RFC 8656) and STUN (RFC 8489): clients whose network lets no other datagrams through have theirs relayed to this
//! server's own media addresses, or to others where that is wanted.
//!
//! Called by [`crate::server`], which hands it byte streams, datagrams and ports, and tells clients where it is. A task for
//! each client with an allocation owns a sans-IO session of [`protocol`]. It never looks into what it relays.
//!
//! The server is this project's own: of the crates that there are, `rtc-turn` has a client only, `turn` keeps a nonce for each
//! stranger and knows neither quotas nor a filter of peers nor TCP, `turn-server` is a whole program that relays between its own
//! clients, and `turn-server-proto` wants all users beforehand, lets each reach everybody, and searches all for each packet.

mod carrier;
mod datagrams;
mod inside;
mod port;
mod protocol;
mod relay;
mod stream;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use crate::entrance::TurnCaller;
use crate::runtime::{MediaSocket, TurnDatagram};
use datagrams::Datagrams;
pub(crate) use inside::inside;
use port::Port;
use protocol::{Authority, Credentials, Peers, RelayAddresses, Relays};
pub use protocol::{HostPort, IceServers, TurnLimits, TurnPeers, TurnUser};
pub(crate) use protocol::{
    Limiter, TurnCounters, TurnPorts, frame_len, is_channel_data, is_for_turn, is_send_indication,
};
use relay::RelayPlace;

/// Datagrams of one shard's port that wait. More are dropped, as the network would.
const WAITING: usize = 1_024;

/// What TURN is told at its start.
#[derive(Clone, Debug)]
pub(crate) struct TurnSettings {
    /// Who else may be reached than this server.
    pub(crate) peers: TurnPeers,
    /// The ports of allocations, where others may be reached; `None` for any.
    pub(crate) relay_ports: Option<RangeInclusive<u16>>,
    /// How much there may be.
    pub(crate) limits: TurnLimits,
    /// What credentials are made of.
    pub(crate) secret: Vec<u8>,
    /// How long they are good.
    pub(crate) lifetime: Duration,
    /// Users with a password that does not change.
    pub(crate) users: Vec<TurnUser>,
    /// This server's media addresses as clients know them, and as this machine does.
    pub(crate) media: Vec<(SocketAddr, SocketAddr)>,
    /// All addresses of this machine, and those it is announced by.
    pub(crate) machine: Vec<IpAddr>,
    /// An instant, and the milliseconds since 1970 then.
    pub(crate) started: (Instant, u64),
}

/// What all tasks of this room share.
#[derive(Debug)]
struct Shared {
    authority: Authority,
    relay_place: RelayPlace,
    /// Ends with the server.
    stopped: watch::Receiver<()>,
}

/// The TURN and STUN server. Dropping it ends what it serves.
pub(crate) struct Turn {
    shared: Arc<Shared>,
    credentials: Arc<Credentials>,
    _stop: watch::Sender<()>,
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turn")
    }
}

/// Reads what TURN counts.
#[derive(Clone, Debug)]
pub struct TurnMetrics(Arc<Shared>);

impl TurnMetrics {
    /// What was done so far.
    pub(crate) fn read(&self) -> TurnCounters {
        self.0.authority.counters()
    }
}

impl Turn {
    /// A server that nobody reaches yet. Fails where the system has no cryptography.
    pub(crate) fn new(settings: TurnSettings) -> Result<Self, ::crypto::CryptoError> {
        let TurnSettings {
            peers,
            relay_ports,
            limits,
            secret,
            lifetime,
            users,
            media,
            machine,
            started,
        } = settings;
        let credentials = Credentials::new(&secret, lifetime, &users, started)?;
        let credentials = Arc::new(credentials);
        let is_open = peers.is_open();
        let relay_place = if is_open {
            RelayPlace::Outside(relay_ports)
        } else {
            RelayPlace::Inside
        };
        let relays = if is_open {
            let announced = RelayAddresses::first_of(media.iter().map(|(address, _)| address.ip()));
            Relays {
                loopback: announced,
                others: announced,
            }
        } else {
            relays_inside(&media, &machine)
        };
        let (stop, stopped) = watch::channel(());
        let shared = Shared {
            authority: Authority::new(
                started.0,
                &rand::random(),
                Arc::clone(&credentials),
                Peers::new(media, machine, &peers),
                limits,
                relays,
            ),
            relay_place,
            stopped,
        };
        Ok(Self {
            shared: Arc::new(shared),
            credentials,
            _stop: stop,
        })
    }

    /// What clients are told, who may come by these ports. See [`IceServers`] for the name and the addresses.
    pub(crate) fn ice_servers(
        &self,
        ports: TurnPorts,
        name: Option<HostPort>,
        addresses: [Option<IpAddr>; 2],
    ) -> IceServers {
        IceServers::new(Arc::clone(&self.credentials), ports, name, addresses)
    }

    /// A reader of what it counts.
    pub(crate) fn metrics(&self) -> TurnMetrics {
        TurnMetrics(Arc::clone(&self.shared))
    }

    /// Serves a client that came by TCP, in TLS or not, until its end.
    pub(crate) fn serve_stream(&self, caller: TurnCaller) {
        tokio::spawn(stream::serve(caller, Arc::clone(&self.shared)));
    }

    /// Serves a UDP port of its own. Must be called on a tokio runtime.
    pub(crate) fn serve_port(&self, socket: MediaSocket) -> io::Result<()> {
        let port = Port::new(socket, Arc::clone(&self.shared))?;
        let mut stopped = self.shared.stopped.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = port.serve() => {}
                _ = stopped.changed() => {}
            }
        });
        Ok(())
    }

    /// Serves what comes for TURN and STUN by a shard's port, and answers from there.
    pub(crate) fn share_port(&self, socket: &mut MediaSocket) -> io::Result<()> {
        let (sender, mut received) = mpsc::channel::<TurnDatagram>(WAITING);
        let outlet = Arc::new(socket.outlet()?);
        socket.share_with_turn(sender);
        let mut datagrams = Datagrams::new(outlet, Arc::clone(&self.shared));
        let mut stopped = self.shared.stopped.clone();
        tokio::spawn(async move {
            loop {
                let next = tokio::select! {
                    next = received.recv() => next,
                    _ = stopped.changed() => None,
                };
                // The shard, or the server, is over.
                let Some((path, datagram)) = next else { return };
                datagrams.handle(path, &datagram);
            }
        });
        Ok(())
    }
}

/// Where sockets are that relay to this machine only: each is told as what it is, so that checks are seen to come from there.
fn relays_inside(media: &[(SocketAddr, SocketAddr)], machine: &[IpAddr]) -> Relays {
    let loopback = media.iter().map(|(_, inner)| match inner.ip() {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        ip @ IpAddr::V6(_) => ip,
    });
    let loopback = RelayAddresses::first_of(loopback);
    // An announced address may be that of a machine before this one.
    let is_own = |ip: &IpAddr| !ip.is_loopback() && UdpSocket::bind((*ip, 0)).is_ok();
    let is_local = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.is_unspecified(),
    };
    let own = machine.iter().filter(|ip| !is_local(ip) && is_own(ip));
    let own = RelayAddresses::first_of(own.copied());
    Relays {
        loopback,
        others: RelayAddresses {
            v4: loopback.v4.and(own.v4.or(loopback.v4)),
            v6: loopback.v6.and(own.v6.or(loopback.v6)),
        },
    }
}
