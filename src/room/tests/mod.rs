//! Rooms in virtual time, with clients that speak the wire's JSON and real SDP.

mod chat;
mod client;
mod connections;
mod direct_calls;
mod grants;
mod hostile;
mod moderation;
mod moving;
mod operator;
mod room_calls;
mod timeline;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{
    Connect, Departure, Limits, Notice, OperatorAnswer, Output, RequestId, Rooms, RoomsConfig,
    SessionId, ShardAddress,
};
use crate::access::Access;
use crate::negotiation;
use crate::shard::{Command, Event, Fingerprint, FingerprintHash, PeerId};
use crate::signaling::protocol::Dialect;
use crate::transport::Endpoint;

/// A user of the world below: its newest socket and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct User {
    session: SessionId,
    id: u64,
}

/// A server without sockets, and what it said.
struct World {
    rooms: Rooms,
    now: Instant,
    inbox: HashMap<SessionId, Vec<Value>>,
    closed: HashMap<SessionId, u16>,
    commands: Vec<(usize, Command)>,
    answers: Vec<(RequestId, OperatorAnswer)>,
    notices: Vec<(Arc<str>, Notice)>,
    last_session: u64,
    /// The m-lines that each browser sends on.
    sending: HashMap<SessionId, Vec<String>>,
}

const STARTED_UNIX_MS: u64 = 1_700_000_000_000;

fn config(now: Instant) -> RoomsConfig {
    let shard = |port: u16| ShardAddress {
        loopback: vec![Endpoint::udp(([127, 0, 0, 1], port).into())],
        others: vec![Endpoint::udp(([192, 0, 2, 1], port).into())],
    };
    RoomsConfig {
        limits: Limits::default(),
        negotiation: negotiation::Limits::default(),
        red: true,
        ring_timeout: Duration::from_secs(60),
        resume_timeout: Duration::from_secs(30),
        fingerprint: Fingerprint {
            hash: FingerprintHash::Sha256,
            bytes: vec![7; 32],
        },
        shards: vec![shard(7880), shard(7881)],
        shared_port: false,
        peers_together: 3,
        ice_servers: crate::turn::IceServers::default(),
        seed: [42; 32],
        started: now,
        started_unix_ms: STARTED_UNIX_MS,
    }
}

impl World {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut RoomsConfig)) -> Self {
        let now = Instant::now();
        let mut config = config(now);
        change(&mut config);
        Self {
            rooms: Rooms::new(config),
            now,
            inbox: HashMap::new(),
            closed: HashMap::new(),
            commands: Vec::new(),
            answers: Vec::new(),
            notices: Vec::new(),
            last_session: 0,
            sending: HashMap::new(),
        }
    }

    /// A socket, and what it was told first.
    fn connect(&mut self, connect: Connect) -> (SessionId, Vec<Value>) {
        self.last_session += 1;
        let session = SessionId(self.last_session);
        self.rooms.handle_connect(self.now, session, connect);
        self.collect();
        (session, self.inbox.remove(&session).unwrap_or_default())
    }

    fn user(&mut self, dialect: Dialect, room: &str, name: &str) -> User {
        self.named(request(dialect, room), name)
    }

    /// Somebody in the lobby who came with a token.
    fn guest(&mut self, dialect: Dialect, name: &str, change: impl FnOnce(&mut Access)) -> User {
        let mut connect = request(dialect, "lobby");
        connect.access.by_token = true;
        change(&mut connect.access);
        self.named(connect, name)
    }

    pub(super) fn named(&mut self, connect: Connect, name: &str) -> User {
        let (session, told) = self.connect(connect);
        let id = told[0]["id"].as_u64().expect("the first message is `id`");
        let user = User { session, id };
        if !name.is_empty() {
            self.say(
                user,
                json!({"type": "username", "name": name, "id": id, "date": 0}),
            );
        }
        self.inbox.remove(&session);
        user
    }

    /// A `crosspoint.v1` client in the lobby.
    fn v1(&mut self, name: &str) -> User {
        self.user(Dialect::V1, "lobby", name)
    }

    /// A client as MDN's sample in the lobby.
    fn classic(&mut self, name: &str) -> User {
        self.user(Dialect::Classic, "lobby", name)
    }

    fn say(&mut self, user: User, message: Value) {
        self.say_text(user, &message.to_string());
    }

    fn say_text(&mut self, user: User, text: &str) {
        self.rooms.handle_text(self.now, user.session, text);
        self.collect();
    }

    fn disconnect(&mut self, user: User, clean: bool) {
        let departure = if clean {
            Departure::Left
        } else {
            Departure::Broken
        };
        self.rooms
            .handle_disconnect(self.now, user.session, departure);
        self.collect();
    }

    fn event(&mut self, event: Event) {
        self.event_of(0, event);
    }

    fn event_of(&mut self, shard: usize, event: Event) {
        self.rooms.handle_shard_event(self.now, shard, event);
        self.collect();
    }

    /// Lets time pass, acting on every timer on the way.
    fn pass(&mut self, duration: Duration) {
        let until = self.now + duration;
        while let Some(at) = self.rooms.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.rooms.handle_timeout(self.now);
            self.collect();
        }
        self.now = until;
    }

    fn collect(&mut self) {
        while let Some(output) = self.rooms.poll_output() {
            match output {
                Output::Send { session, text } => {
                    assert!(
                        !self.closed.contains_key(&session),
                        "said after close: {text}"
                    );
                    let message = serde_json::from_str(&text).expect("the server speaks JSON");
                    self.inbox.entry(session).or_default().push(message);
                }
                Output::Close { session, code, .. } => {
                    assert_eq!(self.closed.insert(session, code.code()), None);
                }
                Output::Command { shard, command } => self.commands.push((shard, command)),
                Output::Answer { request, answer } => self.answers.push((request, answer)),
                Output::Notice { room, notice } => self.notices.push((room, notice)),
            }
        }
    }

    /// All that a user was told since it was asked last.
    fn heard(&mut self, user: User) -> Vec<Value> {
        self.inbox.remove(&user.session).unwrap_or_default()
    }

    /// What it was told of one type; the rest is forgotten.
    fn heard_of(&mut self, user: User, kind: &str) -> Vec<Value> {
        let mut heard = self.heard(user);
        heard.retain(|message| message["type"] == kind);
        heard
    }

    /// The one message of a type; the rest is forgotten.
    fn heard_one(&mut self, user: User, kind: &str) -> Value {
        let mut heard = self.heard_of(user, kind);
        assert_eq!(heard.len(), 1, "not one `{kind}`: {heard:#?}");
        heard.remove(0)
    }

    fn error_code(&mut self, user: User) -> String {
        self.heard_one(user, "error")["code"]
            .as_str()
            .expect("a code")
            .to_owned()
    }

    fn forget_all(&mut self) {
        self.inbox.clear();
        self.commands.clear();
    }

    /// The peer of a user, by the commands so far.
    fn peer(&self, user: User) -> PeerId {
        let added = self
            .commands
            .iter()
            .rev()
            .find_map(|(_, command)| match command {
                Command::AddPeer {
                    peer, participant, ..
                } if participant.0 == user.id => Some(*peer),
                _ => None,
            });
        added.expect("a peer was added")
    }
}

fn request(dialect: Dialect, room: &str) -> Connect {
    Connect {
        room: Some(room.to_owned()),
        dialect,
        address: [127, 0, 0, 1].into(),
        resume: None,
        access: Access::default(),
        reached_at: None,
    }
}
