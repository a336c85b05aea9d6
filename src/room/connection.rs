//! Sockets come and go.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use rand::Rng;

use super::limits::{Bucket, Strikes};
use super::participant::{Link, Participant};
use super::timer::Timer;
use super::{CloseCode, Rooms, SessionId};
use crate::access::Access;
use crate::shard::ParticipantId;
use crate::signaling::protocol::{
    DEFAULT_ROOM, Dialect, ErrorCode, IceServer, ProtocolError, ServerMessage, is_room_name,
};
use crate::turn::HostPort;

/// What a new socket said in its request.
#[derive(Clone, Debug)]
pub struct Connect {
    /// `room`, as it came; without one it is the lobby.
    pub room: Option<String>,
    /// The subprotocol.
    pub dialect: Dialect,
    /// Where the socket comes from.
    pub address: IpAddr,
    /// `resume`, as it came.
    pub resume: Option<String>,
    /// What the newcomer's token allows; not looked at when a session is resumed.
    pub access: Access,
    /// What the client called this server by, if that is a host.
    pub reached_at: Option<HostPort>,
}

/// How a socket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// The client said that it leaves: close code 1000 or 1001.
    Left,
    /// It closed the socket without a code, as `close()` does. Somebody in a call may do so to start over, and keeps
    /// the call for a while; anybody else has left.
    Unsaid,
    /// The socket broke, or was closed for another reason: it may be resumed.
    Broken,
}

/// How often a second one session may be taken up again in the long run, and how many times at once: on a network that comes and
/// goes it happens some times.
const RESUMES: u32 = 1;
const RESUMES_AT_ONCE: u32 = 10;

impl Rooms {
    /// A new socket. It is answered with `id`; or with an error and [`Output::Close`](super::Output::Close).
    pub fn handle_connect(&mut self, now: Instant, session: SessionId, connect: Connect) {
        if let Err((error, code)) = self.connect(now, session, &connect) {
            self.tally.refused(&error);
            if connect.dialect == Dialect::V1 {
                let text = ServerMessage::error(&error, true).to_text().into();
                self.outputs
                    .push_back(super::Output::Send { session, text });
            }
            self.close_session(session, code, &error.message);
        }
        self.settle(now);
    }

    /// A socket is gone. How, decides whether the participant left or the session may be taken up again.
    pub fn handle_disconnect(&mut self, now: Instant, session: SessionId, departure: Departure) {
        let Some(id) = self.participant_by_session.remove(&session) else {
            return;
        };
        let _in_span = self.span(id).entered();
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        let left = match departure {
            Departure::Left => true,
            Departure::Unsaid => participant.peer.is_none(),
            Departure::Broken => false,
        };
        if left || participant.token.is_none() {
            self.leave_room(id);
        } else {
            tracing::info!(session = session.0, "the socket broke");
            let until = now + self.config.resume_timeout;
            participant.link = Link::Broken {
                until,
                kept: Default::default(),
            };
            self.timers.set(until, Timer::Resume(id));
        }
        self.settle(now);
    }

    /// The time to resume is over.
    pub(super) fn expire_session(&mut self, now: Instant, id: ParticipantId) {
        if let Some(participant) = self.participants.get(&id)
            && let Link::Broken { until, .. } = participant.link
            && until <= now
        {
            self.leave_room(id);
        }
    }

    fn connect(
        &mut self,
        now: Instant,
        session: SessionId,
        connect: &Connect,
    ) -> Result<(), (ProtocolError, CloseCode)> {
        if let Some(token) = &connect.resume {
            return self.resume(now, session, connect, token);
        }
        let name = connect
            .room
            .as_deref()
            .filter(|name| !name.is_empty())
            .unwrap_or(DEFAULT_ROOM);
        if !is_room_name(name) {
            let error = ProtocolError::new(
                ErrorCode::BadRoom,
                "a room's name has 1 to 64 of letters, digits, `-`, `_`, `.`",
            );
            return Err((error, CloseCode::Policy));
        }
        self.admit_session(now, name, connect)
            .map_err(|error| (error, CloseCode::TryAgainLater))?;
        let waits = match self.room_by_name.get(name) {
            Some(room) => self
                .check_order(room, connect)
                .map_err(|error| (error, CloseCode::Forbidden))?,
            None => false,
        };

        self.tally.sessions += 1;
        let id = ParticipantId(self.next_id());
        // Of this level, so that it stands in every line, whatever is filtered out. Traces know only numbers with a sign.
        let span = tracing::error_span!("session", participant = id.0 as i64, room = name);
        let room = self.room(name);
        match waits {
            true => room.waiting.insert(id),
            false => room.participants.insert(id),
        };
        let participant = Participant {
            room: Arc::clone(&room.name),
            dialect: connect.dialect,
            address: connect.address,
            access: connect.access.clone(),
            reached_at: connect.reached_at.clone(),
            ice_servers_due: None,
            link: Link::Connected(session),
            waits_until: None,
            token: None,
            name: None,
            peer: None,
            was_in_call: false,
            bucket: Bucket::new(now, self.config.limits.max_messages_per_second),
            resumes: Bucket::deep(now, RESUMES, RESUMES_AT_ONCE),
            strikes: Strikes::default(),
            span: span.clone(),
        };
        let _in_span = span.entered();
        tracing::info!(session = session.0, "came");
        self.participants.insert(id, participant);
        self.participant_by_session.insert(session, id);
        self.count_address(connect.address);
        if waits {
            self.start_waiting(now, id);
        }
        self.welcome(now, id, false);
        if let Some(name) = &connect.access.name {
            self.take_name(id, name);
        }
        Ok(())
    }

    /// `id`, and who is there.
    pub(super) fn welcome(&mut self, now: Instant, id: ParticipantId, resumed: bool) {
        if self.dialect(id) == Dialect::Classic {
            let message = ServerMessage::Id {
                id: id.0,
                room: None,
                ice_servers: None,
                resume: None,
                server: None,
                resumed: None,
                in_call: None,
                name: None,
                grants: None,
                waiting: None,
            };
            self.send(id, &message);
            return;
        }
        let token = self.new_token(id);
        let ice_servers = self.make_ice_servers(now, id);
        let Some(participant) = self.participants.get(&id) else {
            return;
        };
        let room = Arc::clone(&participant.room);
        let Access {
            by_token,
            name,
            grants,
            ..
        } = participant.access.clone();
        let message = ServerMessage::Id {
            id: id.0,
            room: Some(&room),
            ice_servers: Some(&ice_servers),
            resume: Some(&token),
            server: Some(env!("CARGO_PKG_VERSION")),
            resumed: Some(resumed),
            in_call: resumed.then(|| self.peer(id).is_some()),
            name: name.as_deref(),
            grants: by_token.then_some(grants),
            waiting: self.is_waiting(id).then_some(true),
        };
        self.send(id, &message);
        if self.is_waiting(id) {
            self.tell_waiting(id);
            self.tell_moderators(&room);
            return;
        }
        self.tell_unusual_room_state(id);
        self.tell_who_is_there(id);
        self.tell_waiting_of_moderator(id);
    }

    /// What a participant is told of TURN and STUN now. Before its credentials run out it is told others.
    fn make_ice_servers(&mut self, now: Instant, id: ParticipantId) -> Vec<IceServer> {
        let servers = &self.config.ice_servers;
        let Some(participant) = self.participants.get_mut(&id) else {
            return Vec::new();
        };
        if let Some(after) = servers.renew_after() {
            if let Some(due) = participant.ice_servers_due.replace(now + after) {
                self.timers.clear(due, Timer::IceServers(id));
            }
            self.timers.set(now + after, Timer::IceServers(id));
        }
        let (reached_at, address) = (participant.reached_at.as_ref(), participant.address);
        servers.for_client(now, &id.0.to_string(), reached_at, address)
    }

    /// The credentials of a participant are half through.
    pub(super) fn renew_ice_servers(&mut self, now: Instant, id: ParticipantId) {
        let Some(participant) = self.participants.get(&id) else {
            return;
        };
        if participant.ice_servers_due.is_some_and(|due| due <= now) {
            let ice_servers = self.make_ice_servers(now, id);
            self.send(id, &ServerMessage::IceServers { ice_servers });
        }
    }

    /// Gives a participant a new token, in place of the one it had.
    fn new_token(&mut self, id: ParticipantId) -> Arc<str> {
        let token: Arc<str> = format!("{:032x}", self.rng.random::<u128>()).into();
        if let Some(participant) = self.participants.get_mut(&id) {
            if let Some(old) = participant.token.replace(Arc::clone(&token)) {
                self.participant_by_token.remove(&old);
            }
            self.participant_by_token.insert(Arc::clone(&token), id);
        }
        token
    }
}
