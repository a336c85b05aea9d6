//! Janus with its `videoroom` plugin, over its WebSocket (subprotocol `janus-protocol`).
//!
//! Opened by the driver for `--target janus`. Every client has a WebSocket and a session of its own. One
//! that publishes attaches a handle, joins as publisher and offers; one that receives waits until Janus
//! said `webrtcup` of the publishers (nobody can subscribe before), and subscribes to all of them with one
//! further handle and peer connection (Janus's multistream), which grows as publishers come. It never
//! looks into media, and knows nothing of how Janus was configured.

mod client;
mod connection;
mod message;

use std::collections::BTreeMap;
use std::pin::Pin;

use serde_json::json;
use tokio::sync::watch;

use self::client::Client;
use self::connection::{AskError, Connection};
use super::{Running, Target, TargetError};
use crate::load::LoadConfig;
use crate::load::peer::Seat;

/// Janus answers this where a room exists.
const ROOM_EXISTS: u64 = 427;

/// A Janus that runs already.
pub(super) struct Janus {
    url: String,
    version: String,
    process: Option<u32>,
    /// The id of the plan's first room; the others follow.
    first_room: u64,
    /// For each room of the plan: whose publisher is up.
    feeds: BTreeMap<usize, watch::Sender<Vec<u64>>>,
}

impl Janus {
    /// Connects, asks for the version and creates the rooms.
    pub(super) async fn open(config: &LoadConfig) -> Result<Self, TargetError> {
        let Some(url) = config.url.clone() else {
            return Err(TargetError::Connect(
                "Janus is not started for the run: start it, and say where its WebSocket is, \
                 such as --url ws://192.0.2.1:8188"
                    .to_owned(),
            ));
        };
        let mut control = Connection::connect(&url).await?;
        let version = control.version().await?;
        control.begin().await?;
        let handle = control.attach().await?;
        // Rooms of another run may still be there.
        let first_room = u64::from(rand::random::<u32>()) << 16;
        for room in 0..config.rooms {
            let created = control
                .ask(handle, new_room(config, first_room + room as u64))
                .await;
            match created {
                Ok(_) => {}
                Err(AskError::Refused { code, .. }) if code == ROOM_EXISTS => {}
                Err(error) => return Err(error.into()),
            }
        }
        control.close().await;
        Ok(Self {
            url,
            version,
            process: config.pid,
            first_room,
            feeds: (0..config.rooms)
                .map(|room| (room, watch::channel(Vec::new()).0))
                .collect(),
        })
    }

    /// Janus's id of a room of the plan.
    fn room(&self, room: usize) -> u64 {
        self.first_room + room as u64
    }

    /// Publishers of a room of the plan to which others can subscribe, as they come.
    fn feeds(&self, room: usize) -> Option<&watch::Sender<Vec<u64>>> {
        self.feeds.get(&room)
    }
}

/// Nothing is capped, and Janus asks for keyframes only when a subscriber does.
fn new_room(config: &LoadConfig, room: u64) -> serde_json::Value {
    json!({
        "request": "create",
        "room": room,
        "publishers": config.publishers + 1,
        "bitrate": 0,
        "fir_freq": 0,
        "audiocodec": "opus",
        "videocodec": "vp8",
        "is_private": true,
        "permanent": false,
    })
}

impl Target for Janus {
    fn description(&self) -> String {
        format!("Janus {}", self.version)
    }

    fn process(&self) -> Option<u32> {
        self.process
    }

    fn run<'a>(&'a self, seat: &'a mut Seat) -> Running<'a> {
        Box::pin(async move {
            let client = Client::open(self, seat.plan().clone()).await?;
            client.run(seat).await
        })
    }

    fn close(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let Ok(mut control) = Connection::open(&self.url).await else {
                return;
            };
            if let Ok(handle) = control.attach().await {
                for &room in self.feeds.keys() {
                    let destroy = json!({ "request": "destroy", "room": self.room(room) });
                    // The run is over: a room that stays is a small thing.
                    let _ = control.ask(handle, destroy).await;
                }
            }
            control.close().await;
        })
    }
}
