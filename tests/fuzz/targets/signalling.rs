//! What clients say to rooms: JSON of every shape, in any order, from several of them, with sockets that come, break
//! and are taken up again, and what operators and shards say meanwhile.
//!
//! Whatever is said, nobody hears what is not for them, sockets that are closed stay so, shards are told what makes
//! sense in an order that makes sense, and when all are gone nothing is left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crosspoint::access::{Access, Grants};
use crosspoint::negotiation;
use crosspoint::room::{
    Connect, Departure, Limits, Member, Notice, OperatorRequest, Output, RequestId, RoomChange,
    Rooms, RoomsConfig, SessionId, ShardAddress,
};
use crosspoint::shard::{
    CallId, Command, Event, FailReason, Fingerprint, FingerprintHash, ParticipantId, PeerId,
    Quality, TrackId,
};
use crosspoint::signaling::protocol::{Dialect, Moderation, Target};
use crosspoint::transport::{Endpoint, Path, Protocol};
use crosspoint::turn::IceServers;
use serde_json::{Map, Value, json};

use super::descriptions::{answer, describe, offer};
use super::input::Input;

/// Steps of one input.
const MAX_STEPS: usize = 16;
/// Sockets of one input.
const MAX_SOCKETS: u64 = 8;
/// What a classic client never sees. Other words of ours it may use for something of its own.
const OF_V1: [&str; 7] = [
    "participant",
    "error",
    "layers",
    "wanted",
    "speakers",
    "quality",
    "stats",
];
/// The rooms. Of the last one nothing may reach the others.
const ROOMS: [&str; 2] = ["lobby", "elsewhere"];
const ACTIONS: [&str; 9] = [
    "mute",
    "stop-screen",
    "remove",
    "ban",
    "unban",
    "lock",
    "waiting-room",
    "admit",
    "refuse",
];
const NAMES: [&str; 4] = ["Anna", "Ben", "Cleo", "Dora"];

/// A socket.
struct Socket {
    room: &'static str,
    dialect: Dialect,
    is_open: bool,
    /// The participant.
    id: u64,
    resume: Option<String>,
    /// The last description that the server sent here.
    heard: String,
}

/// A peer, as a shard knows it.
struct Peer {
    shard: usize,
    call: CallId,
    is_removed: bool,
    /// What it publishes.
    tracks: BTreeSet<TrackId>,
}

/// Rooms, and all that was said.
struct World {
    rooms: Rooms,
    now: Instant,
    sockets: BTreeMap<SessionId, Socket>,
    /// The order in which sockets came.
    order: Vec<SessionId>,
    peers: BTreeMap<PeerId, Peer>,
    /// Whose each track was.
    publisher: BTreeMap<TrackId, PeerId>,
    /// The room of each participant.
    room_of: BTreeMap<u64, &'static str>,
    /// What those outside were told of, and not yet that it is over.
    told: BTreeSet<String>,
}

/// Takes the steps that the input says.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut world = World::new();
    // A crowd, so that each step can mean something.
    for (dialect, name) in [
        (Dialect::V1, "Anna"),
        (Dialect::Classic, "Ben"),
        (Dialect::V1, "Cleo"),
    ] {
        world.connect(dialect, "lobby", None, name == "Anna");
        let session = world.order[world.order.len() - 1];
        world.say(
            session,
            &json!({"type": "username", "name": name}).to_string(),
        );
    }
    world.connect(Dialect::V1, "elsewhere", None, false);
    for _ in 0..MAX_STEPS {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
    }
    world.end();
}

fn config(now: Instant) -> RoomsConfig {
    let shard = |port: u16| ShardAddress {
        loopback: vec![Endpoint::udp(([127, 0, 0, 1], port).into())],
        others: vec![Endpoint::udp(([192, 0, 2, 1], port).into())],
    };
    RoomsConfig {
        limits: Limits {
            max_participants: 6,
            ..Limits::default()
        },
        negotiation: negotiation::Limits {
            max_media_lines: 40,
            ..negotiation::Limits::default()
        },
        red: true,
        ring_timeout: Duration::from_secs(60),
        resume_timeout: Duration::from_secs(30),
        fingerprint: Fingerprint {
            hash: FingerprintHash::Sha256,
            bytes: vec![7; 32],
        },
        shards: vec![shard(7880), shard(7881)],
        shared_port: false,
        peers_together: 2,
        ice_servers: IceServers::default(),
        seed: [42; 32],
        started: now,
        started_unix_ms: 1_700_000_000_000,
    }
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            rooms: Rooms::new(config(now)),
            now,
            sockets: BTreeMap::new(),
            order: Vec::new(),
            peers: BTreeMap::new(),
            publisher: BTreeMap::new(),
            room_of: BTreeMap::new(),
            told: BTreeSet::new(),
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let who = input.choose(&self.order);
        let text = match input.u8() % 21 {
            0 => String::from_utf8_lossy(input.long_bytes()).into_owned(),
            1 => {
                let name = self.name(input);
                json!({"type": "username", "name": name}).to_string()
            }
            2 => {
                let (text, target) = (lossy(input.bytes()), self.target(input));
                json!({"type": "message", "text": text, "target": target}).to_string()
            }
            3 | 4 => {
                let heard = self.sockets[&who].heard.clone();
                let sdp = if input.u8() & 3 == 0 {
                    describe(input, &heard)
                } else {
                    offer(input)
                };
                let target = self.target(input);
                json!({"type": "video-offer", "sdp": sdp, "target": target}).to_string()
            }
            5 | 6 => {
                let heard = self.sockets[&who].heard.clone();
                let sdp = if input.u8() & 7 == 0 {
                    describe(input, &heard)
                } else {
                    answer(input, &heard)
                };
                let target = self.target(input);
                json!({"type": "video-answer", "sdp": sdp, "target": target}).to_string()
            }
            7 => {
                let candidate = lossy(input.bytes());
                let init = json!({"candidate": candidate, "sdpMid": "0", "sdpMLineIndex": 0});
                let init = input
                    .choose(&[&init, &Value::Null, &json!(candidate)])
                    .clone();
                json!({"type": "new-ice-candidate", "candidate": init}).to_string()
            }
            8 => json!({"type": "hang-up", "target": self.target(input)}).to_string(),
            9 => {
                let source = input.choose(&["microphone", "camera", "screen", "screen-audio"]);
                let muted = input.u8() & 1 == 0;
                json!({"type": "mute", "source": source, "muted": muted}).to_string()
            }
            10 => {
                let track = format!("t{}", input.u8() % 16);
                let (width, priority) = (input.u16(), input.u8());
                let paused = input.u8() & 1 == 0;
                json!({"type": "receive", "track": track, "paused": paused, "width": width, "priority": priority})
                    .to_string()
            }
            11 => input
                .choose(&[r#"{"type":"stats"}"#, r#"{"type":"timeline","track":"t1"}"#])
                .to_owned(),
            12 => {
                let departure =
                    input.choose(&[Departure::Left, Departure::Unsaid, Departure::Broken]);
                self.disconnect(who, departure);
                return;
            }
            13 => {
                let dialect = input.choose(&[Dialect::V1, Dialect::Classic]);
                let room = input.choose(&ROOMS);
                let resume = match input.u8() % 4 {
                    0 => Some(lossy(input.bytes())),
                    1 => None,
                    _ => self.sockets[&who].resume.clone(),
                };
                if self.sockets.len() < MAX_SOCKETS as usize {
                    let moderates = input.u8() & 3 == 0;
                    self.connect(dialect, room, resume, moderates);
                }
                return;
            }
            14 => return self.pass(Duration::from_millis(u64::from(input.u16()) * 2)),
            15 => {
                self.rooms.handle_binary(self.now, who);
                return self.collect();
            }
            16 => return self.shard_event(input),
            17 => return self.operate(input),
            18 => {
                let action = input.choose(&ACTIONS);
                let (target, on) = (self.target(input), input.u8() & 1 == 0);
                json!({"type": "moderate", "action": action, "target": target, "on": on, "ban": 1})
                    .to_string()
            }
            _ => any_message(input).to_string(),
        };
        self.say(who, &text);
    }

    /// An operator asks for something.
    fn operate(&mut self, input: &mut Input<'_>) {
        let (room, participant) = (input.choose(&ROOMS).to_owned(), self.name(input));
        let target = Target::Name(participant.clone());
        let change = RoomChange {
            max_participants: Some(Some(u64::from(input.u8()))),
            empty_timeout: Some(Some(u64::from(input.u8()))),
        };
        let member = || Member {
            room: room.clone(),
            participant: participant.clone(),
        };
        let request = match input.u8() % 12 {
            0 => OperatorRequest::Rooms {
                after: None,
                limit: 10,
            },
            1 => OperatorRequest::Room(room),
            2 => OperatorRequest::CreateRoom { name: room, change },
            3 => OperatorRequest::ChangeRoom { room, change },
            4 => OperatorRequest::CloseRoom(room),
            5 => OperatorRequest::Participants(room),
            6 => OperatorRequest::Participant(member()),
            7 => OperatorRequest::Tracks(room),
            8 => OperatorRequest::Stats(member()),
            9 => OperatorRequest::Timelines(member()),
            10 => OperatorRequest::Say {
                room,
                target: Some(target),
                name: participant,
                text: "hello".to_owned(),
            },
            _ => OperatorRequest::Moderate {
                room,
                moderation: input
                    .choose(&[
                        &Moderation::Remove(target.clone()),
                        &Moderation::Ban(target),
                        &Moderation::Lock(true),
                        &Moderation::WaitingRoom(true),
                        &Moderation::Admit(None),
                    ])
                    .clone(),
            },
        };
        self.rooms.handle_operator(self.now, RequestId(1), request);
        self.collect();
    }

    fn name(&self, input: &mut Input<'_>) -> String {
        match input.u8() % 8 {
            0 => lossy(input.bytes()),
            other => NAMES[usize::from(other) % NAMES.len()].to_owned(),
        }
    }

    fn target(&self, input: &mut Input<'_>) -> Value {
        match input.u8() % 6 {
            0 => json!(self.name(input)),
            1 => json!(input.u8()),
            2 => json!(NAMES[usize::from(input.u8()) % NAMES.len()]),
            _ => Value::Null,
        }
    }

    fn connect(
        &mut self,
        dialect: Dialect,
        room: &'static str,
        resume: Option<String>,
        moderates: bool,
    ) {
        let session = SessionId(1 + self.order.len() as u64);
        self.order.push(session);
        let socket = Socket {
            room,
            dialect,
            is_open: true,
            id: 0,
            resume: None,
            heard: String::new(),
        };
        self.sockets.insert(session, socket);
        let connect = Connect {
            room: Some(room.to_owned()),
            dialect,
            address: [127, 0, 0, 1].into(),
            resume,
            access: Access {
                grants: Grants {
                    moderate: moderates,
                    ..Grants::default()
                },
                ..Access::default()
            },
            reached_at: None,
        };
        self.rooms.handle_connect(self.now, session, connect);
        self.collect();
    }

    fn disconnect(&mut self, session: SessionId, departure: Departure) {
        self.rooms.handle_disconnect(self.now, session, departure);
        if let Some(socket) = self.sockets.get_mut(&session) {
            socket.is_open = false;
        }
        self.collect();
    }

    fn say(&mut self, session: SessionId, text: &str) {
        self.rooms.handle_text(self.now, session, text);
        self.collect();
    }

    /// A shard tells something of a peer, which may be gone by now.
    fn shard_event(&mut self, input: &mut Input<'_>) {
        let choice = usize::from(input.u8());
        let peer = self.peers.iter().nth(choice % self.peers.len().max(1));
        let Some((&id, peer)) = peer else {
            return;
        };
        let (shard, call) = (peer.shard, peer.call);
        let track = TrackId(u64::from(input.u8() % 16));
        let event = match input.u8() % 8 {
            0 => Event::Connected { peer: id },
            1 => Event::Heard {
                peer: id,
                by: usize::from(input.u8() % 3),
                path: Path {
                    protocol: Protocol::Udp,
                    remote: ([192, 0, 2, 1], 4_000).into(),
                    local: None,
                },
                check: Bytes::new(),
            },
            2 => Event::Failed {
                peer: id,
                reason: input.choose(&[
                    FailReason::Handshake,
                    FailReason::Fingerprint,
                    FailReason::Closed,
                    FailReason::Internal,
                ]),
            },
            3 => Event::Consent {
                peer: id,
                fresh: input.u8() & 1 == 0,
            },
            4 => Event::Layers {
                peer: id,
                track,
                layer: None,
                reason: None,
            },
            5 => Event::Speakers {
                call,
                speakers: vec![(ParticipantId(u64::from(input.u8() % 8)), 0.5)],
            },
            6 => Event::Quality {
                peer: id,
                quality: Quality::default(),
            },
            _ => Event::Timeline {
                peer: id,
                track,
                entries: Vec::new(),
            },
        };
        self.rooms.handle_shard_event(self.now, shard, event);
        self.collect();
    }

    fn pass(&mut self, duration: Duration) {
        let until = self.now + duration;
        let mut rounds = 0;
        while let Some(at) = self.rooms.poll_timeout().filter(|at| *at <= until) {
            rounds = if at > self.now { 0 } else { rounds + 1 };
            assert!(rounds < 100, "the rooms spin");
            self.now = self.now.max(at);
            self.rooms.handle_timeout(self.now);
            self.collect();
        }
        self.now = until;
    }

    /// Everybody goes, and nothing is left.
    fn end(&mut self) {
        for session in self.order.clone() {
            self.disconnect(session, Departure::Left);
        }
        self.pass(Duration::from_secs(600));
        assert!(self.told.is_empty(), "not over: {:?}", self.told);
        assert_eq!(self.rooms.poll_timeout(), None, "timers of nobody");
        for (id, peer) in &self.peers {
            assert!(peer.is_removed, "{id:?} was left behind");
        }
    }

    fn collect(&mut self) {
        while let Some(output) = self.rooms.poll_output() {
            match output {
                Output::Send { session, text } => self.hear(session, &text),
                Output::Close {
                    session, reason, ..
                } => {
                    let socket = self.sockets.get_mut(&session).expect("a socket of ours");
                    assert!(std::mem::take(&mut socket.is_open), "closed twice");
                    // A name of 64 characters, and words around it. The socket says as much as fits.
                    assert!(reason.len() <= 64 * 4 + 60, "{reason}");
                }
                Output::Command { shard, command } => self.carry_out(shard, command),
                Output::Answer { .. } => {}
                Output::Notice { room, notice } => self.note(&room, notice),
            }
        }
    }

    /// Checks what those outside are told: each thing begins once, and ends once.
    fn note(&mut self, room: &str, notice: Notice) {
        let (thing, begins) = match notice {
            Notice::RoomStarted => (room.to_owned(), true),
            Notice::RoomEnded => (room.to_owned(), false),
            Notice::ParticipantJoined(who) => (format!("{room} {}", who.id), true),
            Notice::ParticipantLeft(who) => (format!("{room} {}", who.id), false),
            Notice::TrackPublished(who, track) => {
                (format!("{room} {} {}", who.id, track.track), true)
            }
            Notice::TrackUnpublished(who, track) => {
                (format!("{room} {} {}", who.id, track.track), false)
            }
        };
        let is_new = if begins {
            self.told.insert(thing.clone())
        } else {
            self.told.remove(&thing)
        };
        assert!(is_new, "{thing} twice");
    }

    /// Checks what a socket is sent.
    fn hear(&mut self, session: SessionId, text: &str) {
        let message: Value = serde_json::from_str(text).expect("the server speaks JSON");
        let kind = message["type"].as_str().expect("a type").to_owned();
        let socket = self.sockets.get_mut(&session).expect("a socket of ours");
        assert!(socket.is_open, "said after the end: {text}");
        if socket.dialect == Dialect::Classic {
            assert!(!OF_V1.contains(&kind.as_str()), "{text}");
        } else {
            assert_ne!(kind, "userlist");
        }
        match kind.as_str() {
            "id" => {
                socket.id = message["id"].as_u64().expect("a number");
                let room = message["room"].as_str().unwrap_or(socket.room);
                // A session that is resumed is in the room where it was.
                socket.room = ROOMS
                    .into_iter()
                    .find(|known| *known == room)
                    .expect("a room");
                let known = self.room_of.insert(socket.id, socket.room);
                assert!(known.is_none_or(|known| known == socket.room));
                if let Some(token) = message["resume"].as_str() {
                    socket.resume = Some(token.to_owned());
                }
                return;
            }
            "video-offer" | "video-answer" => {
                let sdp = message["sdp"]["sdp"].as_str().or(message["sdp"].as_str());
                socket.heard = sdp.expect("a description").to_owned();
            }
            _ => {}
        }
        // Nothing crosses rooms.
        let room = socket.room;
        let from = message["id"].as_u64().and_then(|id| self.room_of.get(&id));
        assert!(
            from.is_none_or(|from| *from == room),
            "from another room: {text}"
        );
    }

    /// Checks what a shard is told.
    fn carry_out(&mut self, shard: usize, command: Command) {
        match command {
            Command::AddPeer {
                peer, call, shards, ..
            } => {
                assert!(!shards.contains(&shard));
                let new = Peer {
                    shard,
                    call,
                    is_removed: false,
                    tracks: BTreeSet::new(),
                };
                let before = self.peers.insert(peer, new);
                // It may have moved.
                let is_new = before.is_none_or(|old| old.is_removed && old.shard != shard);
                assert!(is_new, "{peer:?} again");
            }
            Command::RemovePeer { peer } => self.peer(shard, peer).is_removed = true,
            Command::SetTransport { peer, .. }
            | Command::SetExtensions { peer, .. }
            | Command::SetMuted { peer, .. }
            | Command::SetWish { peer, .. }
            | Command::Stats { peer }
            | Command::Timeline { peer, .. }
            | Command::SendData { peer, .. }
            | Command::Hear { peer, .. }
            | Command::Timelines { peer } => {
                self.peer(shard, peer);
            }
            Command::SetReceiver {
                peer, parameters, ..
            } => {
                let known = self.peer(shard, peer);
                if let Some(parameters) = parameters {
                    let track = parameters.track;
                    known.tracks.insert(track);
                    let other = self.publisher.insert(track, peer);
                    assert!(other.is_none_or(|other| other == peer), "a track of two");
                }
            }
            Command::SetSender {
                peer, parameters, ..
            } => {
                let call = self.peer(shard, peer).call;
                let Some(parameters) = parameters else {
                    return;
                };
                if let Some(publisher) = self.publisher.get(&parameters.track) {
                    assert_ne!(*publisher, peer, "its own track");
                    let publisher = &self.peers[publisher];
                    assert_eq!(publisher.call, call, "of another call");
                    assert_eq!(publisher.shard, parameters.home);
                }
            }
            Command::SetSpeakers { call, .. } => {
                let mut peers = self.peers.values();
                let is_in = |peer: &Peer| peer.call == call && peer.shard == shard;
                assert!(peers.any(is_in), "a call that is nowhere");
            }
        }
    }

    /// A peer that is there, and on that shard.
    fn peer(&mut self, shard: usize, peer: PeerId) -> &mut Peer {
        let known = self.peers.get_mut(&peer).expect("a peer that was added");
        assert_eq!(known.shard, shard);
        assert!(!known.is_removed, "{peer:?} is gone");
        known
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An object with the protocol's words in likely places.
fn any_message(input: &mut Input<'_>) -> Value {
    const TYPES: [&str; 17] = [
        "username",
        "message",
        "video-offer",
        "video-answer",
        "new-ice-candidate",
        "hang-up",
        "mute",
        "receive",
        "stats",
        "timeline",
        "moderate",
        "id",
        "participant",
        "userlist",
        "error",
        "x-other",
        "",
    ];
    let mut message = any_object(input, 2);
    message.insert("type".to_owned(), input.choose(&TYPES).into());
    Value::Object(message)
}

fn any_object(input: &mut Input<'_>, depth: u8) -> Map<String, Value> {
    const MEMBERS: [&str; 27] = [
        "name",
        "text",
        "target",
        "sdp",
        "type",
        "tracks",
        "mid",
        "source",
        "muted",
        "candidate",
        "sdpMid",
        "sdpMLineIndex",
        "usernameFragment",
        "track",
        "paused",
        "width",
        "height",
        "priority",
        "id",
        "date",
        "reason",
        "rid",
        "token",
        "room",
        "action",
        "on",
        "ban",
    ];
    (0..input.u8() % 6)
        .map(|_| (input.choose(&MEMBERS).to_owned(), any_value(input, depth)))
        .collect()
}

fn any_value(input: &mut Input<'_>, depth: u8) -> Value {
    const TEXTS: [&str; 8] = [
        "0",
        "camera",
        "screen",
        "t1",
        "Anna",
        "Ben",
        "v=0\r\no=- 1 1 IN IP4 0\r\n",
        "offer",
    ];
    match input.u8() % 12 {
        0 => Value::Null,
        1 => json!(input.u8() & 1 == 0),
        2 => json!(input.u8()),
        3 => json!(i64::from_be_bytes(input.array())),
        4 => json!(f64::from_be_bytes(input.array())),
        5 => json!(lossy(input.bytes())),
        6 => json!("x".repeat(usize::from(input.u16()))),
        7 | 8 => json!(input.choose(&TEXTS)),
        9 if depth > 0 => (0..input.u8() % 5)
            .map(|_| any_value(input, depth - 1))
            .collect(),
        10 if depth > 0 => Value::Object(any_object(input, depth - 1)),
        _ => json!(format!("t{}", input.u8() % 16)),
    }
}
