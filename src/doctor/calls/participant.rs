//! One participant of a call: the load generator's client, led by one way.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::Reached;
use super::gate::Gate;
use super::trouble::{Notes, Trouble};
use super::way::Way;
use crate::doctor::reach::words;
use crate::load::media::SourcePlan;
use crate::load::negotiator::all_candidates;
use crate::load::peer::{Publishes, Seat};
use crate::load::target::TargetError;
use crate::load::target::crosspoint::{Client, SUBPROTOCOL, sdp_of};
use crate::load::target::web_socket::{Bytes, JsonSocket};
use crate::transport::Endpoint;

/// How long the server may take for its next word while a participant comes in.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) type Socket = JsonSocket<Box<dyn Bytes>>;

/// What a participant is to do.
pub(super) struct Part {
    pub(super) server: Arc<Reached>,
    pub(super) room: String,
    pub(super) way: Way,
    pub(super) seat: Seat,
    pub(super) notes: Arc<Notes>,
}

/// Who has come in: the server has answered its offer, and nothing was done with the answer yet.
pub(super) struct Entered {
    pub(super) client: Client,
    pub(super) socket: Socket,
    /// The server's first message.
    pub(super) id: Value,
    answer: Value,
    /// Where the server says that it is.
    pub(super) candidates: Vec<Endpoint>,
}

/// Comes in, and stays until the seat is to be left. Resolves with what went wrong, if anything did.
pub(super) async fn take_part(part: Part) -> Trouble {
    let Part {
        server,
        room,
        way,
        seat,
        notes,
    } = part;
    // Who is let in says goodbye, also when it is over by then.
    let mut entered = match enter(&server, &room, &seat).await {
        Ok(entered) => entered,
        Err(trouble) => return trouble,
    };
    let trouble = tokio::select! {
        trouble = entered.stay(&way, &notes) => trouble,
        () = seat.leaving() => Trouble::Silent,
    };
    let Entered { client, socket, .. } = entered;
    client.leave(socket).await;
    trouble
}

/// Comes into a room, up to the answer to its offer.
pub(super) async fn enter(server: &Reached, room: &str, seat: &Seat) -> Result<Entered, Trouble> {
    let url = &server.url;
    let failed = |error: TargetError| match error {
        TargetError::Refused(words) => Trouble::Signalling(words),
        other => Trouble::Signalling(other.to_string()),
    };
    let connection = url.connect(server.address).await;
    let connection = connection.map_err(|error| Trouble::Signalling(words(&error)))?;
    let local = connection.local.ip();
    let web_socket = url.web_socket(room);
    let opening = JsonSocket::over(connection.stream, local, &web_socket, SUBPROTOCOL);
    let late = |_| Trouble::Signalling(format!("no word within {} s", PATIENCE.as_secs()));
    let opened = timeout(PATIENCE, opening).await.map_err(late)?;
    let mut socket = opened.map_err(failed)?;
    // Its datagrams go to the gate.
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let publishes = Publishes {
        sources: vec![SourcePlan::Audio],
        receives: true,
    };
    let peer = seat.open_peer(loopback, publishes);
    let peer = peer.map_err(|error| Trouble::Signalling(error.to_string()))?;
    let mut client = Client {
        name: seat.plan().name.clone(),
        peer,
    };
    client.join(&mut socket).await.map_err(failed)?;
    let mut id = Value::Null;
    loop {
        let message = timeout(PATIENCE, socket.receive()).await.map_err(late)?;
        let message = message.map_err(failed)?;
        match message["type"].as_str() {
            Some("id") => id = message,
            Some("video-answer") => {
                let candidates = all_candidates(sdp_of(&message).map_err(failed)?);
                return Ok(Entered {
                    client,
                    socket,
                    id,
                    answer: message,
                    candidates,
                });
            }
            _ => client.handle(&mut socket, &message).await.map_err(failed)?,
        }
    }
}

impl Entered {
    /// Opens the gate to the way, and answers whatever the server says. Ends only with trouble.
    async fn stay(&mut self, way: &Way, notes: &Arc<Notes>) -> Trouble {
        let Some(to) = way.destination(&self.candidates) else {
            return Trouble::NotTold;
        };
        let gate = match Gate::open(way, to, notes).await {
            Ok(gate) => gate,
            Err(trouble) => return trouble,
        };
        let Self { client, socket, .. } = self;
        client.peer.reach_by(gate.address);
        let mut message = std::mem::take(&mut self.answer);
        loop {
            if let Err(error) = client.handle(socket, &message).await {
                return Trouble::Signalling(error.to_string());
            }
            message = match socket.receive().await {
                Ok(message) => message,
                Err(error) => return Trouble::Signalling(error.to_string()),
            };
        }
    }
}
