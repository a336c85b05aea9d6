//! A client's place in the run.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::distr::{Alphanumeric, SampleString};
use tokio::sync::{mpsc, watch};

use super::{Peer, PeerError, Publishes};
use crate::load::media::{MediaCommand, NewPeer, PeerKey, PeerState};
use crate::load::negotiator::{Local, Negotiator};
use crate::load::plan::ClientPlan;
use crate::shard::{Fingerprint, IceCredentials};

/// The way to the media thread. Cheap to clone.
#[derive(Clone)]
pub(crate) struct MediaHandle {
    commands: mpsc::UnboundedSender<MediaCommand>,
    waker: Arc<mio::Waker>,
    fingerprint: Fingerprint,
    next_peer: Arc<AtomicU64>,
}

impl MediaHandle {
    /// A handle that queues commands and wakes the thread. `fingerprint` is of the certificate that all
    /// peers of the run share.
    pub(crate) fn new(
        commands: mpsc::UnboundedSender<MediaCommand>,
        waker: Arc<mio::Waker>,
        fingerprint: Fingerprint,
    ) -> Self {
        Self {
            commands,
            waker,
            fingerprint,
            next_peer: Arc::new(AtomicU64::new(1)),
        }
    }

    /// Queues a command. A thread that is over ignores it.
    pub(crate) fn send(&self, command: MediaCommand) {
        if self.commands.send(command).is_ok() {
            let _ = self.waker.wake();
        }
    }
}

/// A client's place in the run: what it is to do, and what it needs for it.
pub(crate) struct Seat {
    plan: ClientPlan,
    media: MediaHandle,
    joined: Box<dyn Fn() + Send + Sync>,
    leave: watch::Receiver<bool>,
    farewell: Farewell,
}

/// How a client leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// It hangs up, and closes its connections.
    #[default]
    Goodbye,
    /// Its WebSocket breaks, and its media just ends.
    Cut,
    /// Nothing comes from it any more, and what the server sends is not read: as behind a cable that was pulled.
    Silence,
}

impl Seat {
    /// A seat for a client of the plan. `joined` may be called often; `leave` turns true at the end.
    pub(crate) fn new(
        plan: ClientPlan,
        media: MediaHandle,
        joined: Box<dyn Fn() + Send + Sync>,
        leave: watch::Receiver<bool>,
    ) -> Self {
        Self {
            plan,
            media,
            joined,
            leave,
            farewell: Farewell::default(),
        }
    }

    /// The same for a client that leaves in this way.
    pub(crate) fn leaving_by(self, farewell: Farewell) -> Self {
        Self { farewell, ..self }
    }

    /// How the client leaves.
    pub(crate) fn farewell(&self) -> Farewell {
        self.farewell
    }

    /// What the client does.
    pub(crate) fn plan(&self) -> &ClientPlan {
        &self.plan
    }

    /// Opens a peer connection. `local` is our address on the way to the server, as the signalling's own
    /// socket has it: it becomes the only candidate.
    pub(crate) fn open_peer(&self, local: IpAddr, publishes: Publishes) -> Result<Peer, PeerError> {
        let failed = |error: std::io::Error| {
            PeerError(format!(
                "no UDP socket: {error}; more open files are allowed after: ulimit -n 65536"
            ))
        };
        let socket = UdpSocket::bind(SocketAddr::new(local, 0)).map_err(failed)?;
        let candidate = socket.local_addr().map_err(failed)?;
        let key = PeerKey(self.media.next_peer.fetch_add(1, Ordering::Relaxed));
        let mut random = rand::rng();
        let ice = IceCredentials {
            ufrag: Alphanumeric.sample_string(&mut random, 8),
            pwd: Alphanumeric.sample_string(&mut random, 24),
        };
        let negotiator = Negotiator::new(
            Local {
                ice: ice.clone(),
                fingerprint: self.media.fingerprint.clone(),
                candidate,
                session: key.0,
                // Far from each other, and never 0.
                first_ssrc: 0x1000_0000 + (key.0 as u32 & 0xff_ffff) * 64,
            },
            publishes,
        );
        let (state, watched) = watch::channel(PeerState::default());
        self.media.send(MediaCommand::AddPeer(Box::new(NewPeer {
            key,
            client: self.plan.index,
            socket,
            local_ice: ice,
            seed: self.plan.seed,
            state,
        })));
        Ok(Peer {
            key,
            address: candidate,
            negotiator,
            media: self.media.clone(),
            state: watched,
            only: None,
            farewell: self.farewell,
        })
    }

    /// Says that the server has let the client in: everything that it publishes is accepted, and whatever
    /// comes later, comes by itself.
    pub(crate) fn joined(&self) {
        (self.joined)();
    }

    /// Resolves when the run is over. It may be dropped and asked again.
    pub(crate) async fn leaving(&self) {
        // Without a sender there is no run.
        let _ = self.leave.clone().wait_for(|leave| *leave).await;
    }
}

/// How long a client may take for its goodbye.
pub(crate) const GOODBYE: Duration = Duration::from_secs(2);
