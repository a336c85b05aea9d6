//! What a server tells those who come in, and rooms on as many of its shards as can be found.

use rand::distr::{Alphanumeric, SampleString};
use tokio::sync::watch;

use super::participant::{Entered, enter};
use super::{Caller, Trouble, TurnServer};
use crate::transport::{Endpoint, Protocol};

/// Rooms that are opened to find another shard.
const MAX_ROOMS: usize = 16;
/// Letters and digits of a room's name.
const NAME_LENGTH: usize = 16;

/// Rooms with one participant each, who does nothing, so that they stay where they are.
pub(in crate::doctor) struct Survey {
    pub(in crate::doctor) rooms: Vec<Room>,
    /// As the server says itself.
    pub(in crate::doctor) version: String,
    pub(in crate::doctor) turn: Vec<TurnServer>,
    holders: Vec<Entered>,
    _stay: watch::Sender<bool>,
}

/// A room on one shard.
#[derive(Clone, Debug)]
pub(in crate::doctor) struct Room {
    pub(in crate::doctor) name: String,
    /// Where its media is, as whoever comes in is told.
    pub(in crate::doctor) candidates: Vec<Endpoint>,
}

impl Survey {
    /// Opens rooms until one is on a shard that another is on already.
    pub(in crate::doctor) async fn new(caller: &Caller) -> Result<Self, Trouble> {
        let (stay, leaving) = watch::channel(false);
        let mut survey = Self {
            rooms: Vec::new(),
            version: String::new(),
            turn: Vec::new(),
            holders: Vec::new(),
            _stay: stay,
        };
        for number in 0..MAX_ROOMS {
            let name = room_name();
            let seat = caller.seat(&leaving);
            let entered = match enter(&caller.server, &name, &seat).await {
                Ok(entered) => entered,
                Err(trouble) if number == 0 => return Err(trouble),
                // One room is enough to say what is wrong.
                Err(_) => break,
            };
            let candidates = entered.candidates.clone();
            if number == 0 {
                survey.version = entered.id["server"].as_str().unwrap_or("?").to_owned();
                survey.turn = TurnServer::all_in(&entered.id);
            }
            survey.holders.push(entered);
            let is_known = |room: &Room| ports(&room.candidates) == ports(&candidates);
            if survey.rooms.iter().any(is_known) {
                break;
            }
            survey.rooms.push(Room { name, candidates });
        }
        Ok(survey)
    }

    /// Leaves the rooms.
    pub(in crate::doctor) async fn end(self) {
        let goodbyes = self.holders.into_iter();
        let goodbyes = goodbyes
            .map(|Entered { client, socket, .. }| async move { client.leave(socket).await });
        futures_util::future::join_all(goodbyes).await;
    }
}

/// Of a room that nobody else is in.
pub(super) fn room_name() -> String {
    let word = Alphanumeric.sample_string(&mut rand::rng(), NAME_LENGTH);
    format!("doctor-{word}")
}

/// What tells shards apart.
fn ports(candidates: &[Endpoint]) -> Vec<Endpoint> {
    let of_udp = |candidate: &&Endpoint| candidate.protocol == Protocol::Udp;
    candidates.iter().filter(of_udp).copied().collect()
}
