//! Calls through each way that a server offers: two participants, who hear each other by that way and no other.
//!
//! A participant is one of the load generator's: its signalling, its negotiation, its ICE, DTLS and SRTP. Its datagrams go to a
//! [`gate`] on loopback, which carries them by the way that is to be checked: as they are, in frames of a TCP connection
//! (RFC 4571), or by TURN. So what is seen is what a browser on that way would see.
//!
//! A server of several shards has several UDP ports. [`Survey`] keeps rooms on as many of them as it finds.

mod gate;
mod participant;
mod pipe;
mod survey;
mod trouble;
mod turn;
mod way;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;

use super::reach::ServerUrl;
use crate::load::media::{MediaCommand, MediaSettings, MediaThread, PeerProgress, PeerState};
use crate::load::options::Impairment;
use crate::load::peer::{GOODBYE, MediaHandle, Seat};
use crate::load::plan::ClientPlan;
use crate::transport::Identity;

pub(super) use survey::Survey;
pub(super) use trouble::Trouble;
pub(super) use turn::{Carrier, TurnServer};
pub(super) use way::Way;

use participant::{Part, take_part};
use trouble::Notes;

/// How long a call may take until both hear each other.
const CALL_PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether they do.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Calls at one time: a server admits so many from one address at once without any doubt.
const AT_ONCE: usize = 12;

/// Makes calls on one server. Clones make them together.
#[derive(Clone)]
pub(super) struct Caller {
    server: Arc<Reached>,
    media: Arc<MediaThread>,
    next: Arc<AtomicUsize>,
    turns: Arc<Semaphore>,
}

/// A server, and which of its addresses answers.
pub(super) struct Reached {
    pub(super) url: ServerUrl,
    pub(super) address: std::net::SocketAddr,
}

/// Two heard each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// How long it took, from the first word of the signalling on.
    pub(super) took: Duration,
    /// What browsers would object to.
    pub(super) objection: Option<String>,
}

impl Caller {
    /// Starts what carries the media of its calls.
    pub(super) fn new(server: Reached) -> Result<Self, String> {
        let identity = Identity::preferring_gcm().map_err(|error| error.to_string())?;
        let settings = MediaSettings {
            identity,
            impairment: Impairment::default(),
            sample: 1,
        };
        let media = MediaThread::start(settings).map_err(|error| error.to_string())?;
        Ok(Self {
            server: Arc::new(server),
            media: Arc::new(media),
            next: Arc::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Makes one call by this way, in this room where there is a place for two more, else in one of its own. Nobody else may
    /// say anything in the room meanwhile.
    pub(super) async fn call(&self, room: Option<&str>, way: &Way) -> Result<Heard, Trouble> {
        if let Some(room) = room {
            match self.call_in(room, way).await {
                Err(Trouble::Signalling(why)) if why.starts_with("room-full") => {}
                result => return result,
            }
        }
        self.call_in(&survey::room_name(), way).await
    }

    async fn call_in(&self, room: &str, way: &Way) -> Result<Heard, Trouble> {
        let _turn = self.turns.acquire().await;
        let started = Instant::now();
        let (leave, leaving) = watch::channel(false);
        let notes = Arc::new(Notes::default());
        let mut parts = JoinSet::new();
        let mut clients = Vec::new();
        for _ in 0..2 {
            let seat = self.seat(&leaving);
            clients.push(seat.plan().index);
            let part = Part {
                server: Arc::clone(&self.server),
                room: room.to_owned(),
                way: way.clone(),
                seat,
                notes: Arc::clone(&notes),
            };
            parts.spawn(take_part(part));
        }
        let heard = tokio::select! {
            Some(ended) = parts.join_next() => Err(match ended {
                Ok(trouble) => trouble,
                Err(_) => Trouble::Signalling("a participant of the check panicked".to_owned()),
            }),
            () = self.heard(&clients) => Ok(started.elapsed()),
            () = tokio::time::sleep(CALL_PATIENCE) => Err(self.found_out(&clients, &notes).await),
        };
        leave.send_replace(true);
        let all_left = async { while parts.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GOODBYE, all_left).await;
        let objection = notes.objection();
        heard.map(|took| Heard { took, objection })
    }

    /// A place for a participant, who sends sound and hears what the others send.
    fn seat(&self, leaving: &watch::Receiver<bool>) -> Seat {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        let plan = ClientPlan {
            index,
            room: 0,
            name: format!("doctor-{index}"),
            audio: true,
            video: None,
            receives: true,
            expected: (1, 0),
            seed: rand::random(),
        };
        let joined = Box::new(|| {});
        Seat::new(plan, self.handle().clone(), joined, leaving.clone())
    }

    fn handle(&self) -> &MediaHandle {
        self.media.handle()
    }

    /// Resolves when each of them hears somebody.
    async fn heard(&self, clients: &[usize]) {
        loop {
            let peers = self.progress(clients).await;
            let hears = |peer: &PeerProgress| peer.state == PeerState::Connected && peer.tracks > 0;
            if peers.len() == clients.len() && peers.iter().all(hears) {
                return;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// How far they came.
    async fn found_out(&self, clients: &[usize], notes: &Notes) -> Trouble {
        let peers = self.progress(clients).await;
        let is_connected = |peer: &PeerProgress| peer.state == PeerState::Connected;
        let connected = peers.len() == clients.len() && peers.iter().all(is_connected);
        notes.trouble(connected)
    }

    async fn progress(&self, clients: &[usize]) -> Vec<PeerProgress> {
        let (answer, answered) = oneshot::channel();
        self.handle().send(MediaCommand::Progress(answer));
        let mut peers = answered.await.unwrap_or_default();
        peers.retain(|peer| clients.contains(&peer.client));
        peers
    }
}
