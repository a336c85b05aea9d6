//! Crosspoint's own signalling: one WebSocket and one peer connection for each client.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Duration;

use rand::distr::{Alphanumeric, SampleString};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::child::ChildServer;
use super::web_socket::{Bytes, JsonSocket};
use super::{Running, Target, TargetError};
use crate::load::LoadConfig;
use crate::load::media::SourcePlan;
use crate::load::peer::{Farewell, GOODBYE, Peer, Publishes, Seat};
use crate::load::plan::{ClientPlan, Plan};
use crate::rtp::{Mid, Rid};

/// How long a silent client's WebSocket is kept open: longer than the server does that.
const SILENCE: Duration = Duration::from_secs(60);

pub(crate) const SUBPROTOCOL: &str = "crosspoint.v1";

/// Letters and digits that tell one run's rooms from another's.
const RUN_LENGTH: usize = 6;

/// A Crosspoint, started for the run or given.
pub(super) struct Crosspoint {
    url: String,
    /// In the names of its rooms, where those of another run may still be on their way out.
    run: String,
    process: Option<u32>,
    child: Mutex<Option<ChildServer>>,
    /// As it says itself.
    version: OnceLock<String>,
}

impl Crosspoint {
    /// Starts one, unless a URL is given.
    pub(super) async fn open(config: &LoadConfig, plan: &Plan) -> Result<Self, TargetError> {
        let (url, process, child) = match &config.url {
            Some(url) => (url.clone(), config.pid, None),
            None => {
                let child = ChildServer::start(config, plan).await?;
                (child.url.clone(), Some(child.pid), Some(child))
            }
        };
        Ok(Self {
            url,
            run: Alphanumeric.sample_string(&mut rand::rng(), RUN_LENGTH),
            process,
            child: Mutex::new(child),
            version: OnceLock::new(),
        })
    }

    async fn client(&self, seat: &Seat) -> Result<(), TargetError> {
        // It may have a query with a token.
        let query = if self.url.contains('?') { '&' } else { '?' };
        let room = format!("load-{}-{}", self.run, seat.plan().room);
        let url = format!("{}{query}room={room}", self.url);
        let mut socket = JsonSocket::connect(&url, SUBPROTOCOL).await?;
        let peer = seat
            .open_peer(socket.local(), publishes(seat.plan()))
            .map_err(|error| TargetError::Connect(error.to_string()))?;
        let failure = peer.failure();
        let mut client = Client {
            name: seat.plan().name.clone(),
            peer,
        };
        let stayed = tokio::select! {
            stayed = client.stay(seat, &mut socket, &self.version) => stayed,
            reason = failure => Err(TargetError::Media(reason)),
            () = seat.leaving() => Ok(()),
        };
        stayed?;
        let is_connected = client.peer.is_connected();
        match seat.farewell() {
            Farewell::Goodbye => client.leave(socket).await,
            Farewell::Cut => {}
            Farewell::Silence => {
                drop(client);
                tokio::time::sleep(SILENCE).await;
            }
        }
        if is_connected {
            Ok(())
        } else {
            let reason = "it was not connected when its time was over";
            Err(TargetError::Media(reason.to_owned()))
        }
    }
}

impl Target for Crosspoint {
    fn description(&self) -> String {
        match self.version.get() {
            Some(version) => format!("Crosspoint {version}"),
            None => "Crosspoint".to_owned(),
        }
    }

    fn process(&self) -> Option<u32> {
        self.process
    }

    fn run<'a>(&'a self, seat: &'a mut Seat) -> Running<'a> {
        Box::pin(self.client(seat))
    }

    fn close(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            if let Some(child) = self.child.lock().await.take() {
                child.end().await;
            }
        })
    }
}

/// What one client publishes, and whether it receives.
fn publishes(plan: &ClientPlan) -> Publishes {
    let audio = plan.audio.then_some(SourcePlan::Audio);
    let video = plan.video.map(SourcePlan::Video);
    Publishes {
        sources: audio.into_iter().chain(video).collect(),
        receives: plan.receives,
    }
}

/// A participant: its name, and the peer connection that its messages are about.
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) peer: Peer,
}

impl Client {
    /// Joins, and answers whatever the server says. Ends only with an error.
    async fn stay(
        &mut self,
        seat: &Seat,
        socket: &mut JsonSocket,
        version: &OnceLock<String>,
    ) -> Result<(), TargetError> {
        self.join(socket).await?;
        loop {
            let message = socket.receive().await?;
            match message["type"].as_str() {
                Some("id") => {
                    if let Some(server) = message["server"].as_str() {
                        version.get_or_init(|| server.to_owned());
                    }
                }
                Some("video-answer") => {
                    self.handle(socket, &message).await?;
                    seat.joined();
                }
                _ => self.handle(socket, &message).await?,
            }
        }
    }

    /// Says its name and makes its offer.
    pub(crate) async fn join(
        &mut self,
        socket: &mut JsonSocket<impl Bytes>,
    ) -> Result<(), TargetError> {
        let hello = json!({"type": "username", "name": self.name, "id": 0, "date": 0});
        socket.send(&hello).await?;
        self.offer(socket).await
    }

    /// Does what one message asks for. An error is the end of the call.
    pub(crate) async fn handle(
        &mut self,
        socket: &mut JsonSocket<impl Bytes>,
        message: &Value,
    ) -> Result<(), TargetError> {
        match message["type"].as_str() {
            Some("video-answer") => {
                let applied = self.peer.accept_answer(sdp_of(message)?);
                applied.map_err(|error| TargetError::Protocol(error.to_string()))?;
            }
            Some("video-offer") => {
                let answer = self.peer.answer(sdp_of(message)?);
                let answer = answer.map_err(|error| TargetError::Protocol(error.to_string()))?;
                self.describe(socket, "video-answer", "answer", answer)
                    .await?;
                if self.peer.needs_offer() {
                    self.offer(socket).await?;
                }
            }
            Some("new-ice-candidate") => {
                if let Some(candidate) = message["candidate"]["candidate"].as_str() {
                    self.peer.add_candidate(candidate);
                }
            }
            Some("wanted") => self.take_wanted(message),
            Some("error") => {
                let code = message["code"].as_str().unwrap_or_default();
                let words = message["message"].as_str().unwrap_or_default();
                return Err(TargetError::Refused(format!("{code}: {words}")));
            }
            Some("hang-up") => {
                let reason = message["reason"].as_str().unwrap_or("no reason given");
                return Err(TargetError::Closed(format!("it hung up: {reason}")));
            }
            _ => {}
        }
        Ok(())
    }

    /// Leaves the call, and closes the socket.
    pub(crate) async fn leave(&self, mut socket: JsonSocket<impl Bytes>) {
        let goodbye = async {
            let hang_up = json!({"type": "hang-up", "name": self.name});
            let _ = socket.send(&hang_up).await;
            socket.close().await;
        };
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    }

    async fn offer(&mut self, socket: &mut JsonSocket<impl Bytes>) -> Result<(), TargetError> {
        let offer = self.peer.offer();
        self.describe(socket, "video-offer", "offer", offer).await
    }

    async fn describe(
        &self,
        socket: &mut JsonSocket<impl Bytes>,
        message: &str,
        kind: &str,
        sdp: String,
    ) -> Result<(), TargetError> {
        let description = json!({"type": kind, "sdp": sdp});
        let message = json!({"type": message, "name": self.name, "sdp": description});
        socket.send(&message).await
    }

    /// The layers of ours that anybody receives.
    fn take_wanted(&self, message: &Value) {
        let Some(mid) = message["mid"]
            .as_str()
            .and_then(|mid| mid.parse::<Mid>().ok())
        else {
            return;
        };
        let rids = message["rids"].as_array().into_iter().flatten();
        let rids = rids.filter_map(|rid| rid.as_str()?.parse::<Rid>().ok());
        self.peer.set_layers(mid, rids.collect());
    }
}

/// The SDP of an offer or an answer.
pub(crate) fn sdp_of(message: &Value) -> Result<&str, TargetError> {
    let sdp = message["sdp"]["sdp"].as_str();
    sdp.ok_or_else(|| TargetError::Protocol("a description without SDP".to_owned()))
}
