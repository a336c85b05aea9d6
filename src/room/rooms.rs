//! The doors of [`Rooms`]: everything that comes in or goes out passes here.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tracing::Span;

use super::admission::Admission;
use super::call::Call;
use super::counts::Tally;
use super::membership::Room;
use super::participant::{Link, Participant};
use super::peer::Peer;
use super::timer::{Timer, Timers};
use super::{CloseCode, Notice, Output, RoomsConfig, SessionId};
use crate::negotiation::TrackIds;
use crate::shard::{CallId, Command, Event, ParticipantId, PeerId, TrackId};
use crate::signaling::protocol::{ClientMessage, Dialect, ErrorCode, ProtocolError, ServerMessage};

/// All rooms of a server.
///
/// After each `handle_*`, [`poll_output`](Self::poll_output) is to be called until it returns `None`, and
/// [`handle_timeout`](Self::handle_timeout) once [`poll_timeout`](Self::poll_timeout) is past. Nothing that a client
/// sends is an error here: it is answered.
#[derive(Debug)]
pub struct Rooms {
    pub(super) config: RoomsConfig,
    pub(super) rng: StdRng,
    pub(super) track_ids: TrackIds,
    pub(super) last_id: u64,
    pub(super) room_by_name: BTreeMap<Arc<str>, Room>,
    pub(super) participants: BTreeMap<ParticipantId, Participant>,
    pub(super) calls: BTreeMap<CallId, Call>,
    pub(super) participant_by_session: HashMap<SessionId, ParticipantId>,
    pub(super) participant_by_token: HashMap<Arc<str>, ParticipantId>,
    pub(super) participant_by_peer: HashMap<PeerId, ParticipantId>,
    pub(super) publisher_by_track: HashMap<TrackId, ParticipantId>,
    pub(super) participants_by_address: HashMap<IpAddr, usize>,
    pub(super) admission: Admission,
    /// What each shard has to do: its peers, and the tracks that they receive.
    pub(super) load_by_shard: Vec<usize>,
    pub(super) timers: Timers,
    /// What the clock on the wall said at an instant, in milliseconds since 1970.
    pub(super) clock: (Instant, u64),
    pub(super) tally: Tally,
    /// Whose `participant` `updated` is due.
    pub(super) changed: BTreeSet<ParticipantId>,
    /// Rooms whose moderators are to be told who waits.
    pub(super) waiting_changed: BTreeSet<Arc<str>>,
    /// Whose negotiation may have something to say.
    pub(super) touched: BTreeSet<ParticipantId>,
    /// Rooms in which nobody may be any more.
    pub(super) emptied: Vec<Arc<str>>,
    pub(super) outputs: VecDeque<Output>,
}

impl Rooms {
    /// No rooms yet: each begins with its first participant, and ends with its last.
    pub fn new(config: RoomsConfig) -> Self {
        Self {
            rng: StdRng::from_seed(config.seed),
            load_by_shard: vec![0; config.shards.len().max(1)],
            admission: Admission::new(&config),
            clock: (config.started, config.started_unix_ms),
            config,
            track_ids: TrackIds::default(),
            last_id: 0,
            room_by_name: BTreeMap::new(),
            participants: BTreeMap::new(),
            calls: BTreeMap::new(),
            participant_by_session: HashMap::new(),
            participant_by_token: HashMap::new(),
            participant_by_peer: HashMap::new(),
            publisher_by_track: HashMap::new(),
            participants_by_address: HashMap::new(),
            timers: Timers::default(),
            tally: Tally::default(),
            changed: BTreeSet::new(),
            waiting_changed: BTreeSet::new(),
            touched: BTreeSet::new(),
            emptied: Vec::new(),
            outputs: VecDeque::new(),
        }
    }

    /// A text frame came. Frames of a session that is unknown or closed are ignored.
    pub fn handle_text(&mut self, now: Instant, session: SessionId, text: &str) {
        let Some(&id) = self.participant_by_session.get(&session) else {
            return;
        };
        let _in_span = self.span(id).entered();
        if let Err(error) = self.act(now, id, text) {
            self.refuse(now, id, &error);
        }
        self.settle(now);
    }

    /// A binary frame came, of which the protocol knows none.
    pub fn handle_binary(&mut self, now: Instant, session: SessionId) {
        if let Some(&id) = self.participant_by_session.get(&session) {
            let error = ProtocolError::new(ErrorCode::BadJson, "messages are text frames");
            self.refuse(now, id, &error);
            self.settle(now);
        }
    }

    /// A shard told something. Events about peers that are gone are ignored.
    pub fn handle_shard_event(&mut self, now: Instant, shard: usize, event: Event) {
        self.act_on_event(now, shard, event);
        self.settle(now);
    }

    /// Acts on all timers that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop(now) {
            match timer {
                Timer::Resume(id) => self.expire_session(now, id),
                Timer::Call(call) => self.expire_call(now, call),
                Timer::Speakers(call) => self.tell_speakers(now, call),
                Timer::Peer(id) => self.look_at_peer(now, id),
                Timer::Room(name) => self.expire_room(now, &name),
                Timer::Waiting(id) => self.expire_waiting(now, id),
                Timer::WaitingList(room) => self.tell_moderators(&room),
                Timer::IceServers(id) => self.renew_ice_servers(now, id),
            }
        }
        self.settle(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Tells everybody that the server goes down, closes all sockets (1012) and ends all peers.
    pub fn shutdown(&mut self) {
        let error = ProtocolError::new(ErrorCode::ServerBusy, "the server is going down");
        let ids: Vec<ParticipantId> = self.participants.keys().copied().collect();
        for id in ids {
            if let Some(peer) = self.peer(id) {
                let (shard, peer) = (peer.shard, peer.id);
                self.command(shard, Command::RemovePeer { peer });
            }
            self.send(id, &ServerMessage::error(&error, true));
            self.close(id, CloseCode::Restart, &error.message);
            let tracks = self.peer(id).map(Peer::track_infos).unwrap_or_default();
            for track in tracks {
                self.notice_about(id, |who| Notice::TrackUnpublished(who, track));
            }
            self.notice_about(id, Notice::ParticipantLeft);
        }
        for name in std::mem::take(&mut self.room_by_name).into_keys() {
            self.notice(&name, Notice::RoomEnded);
        }
        *self = Self {
            outputs: std::mem::take(&mut self.outputs),
            last_id: self.last_id,
            track_ids: std::mem::take(&mut self.track_ids),
            ..Self::new(self.config.clone())
        };
    }

    fn act(&mut self, now: Instant, id: ParticipantId, text: &str) -> Result<(), ProtocolError> {
        let allowed = self
            .participants
            .get_mut(&id)
            .is_some_and(|p| p.bucket.take(now, text.len()));
        if !allowed {
            let rate = self.config.limits.max_messages_per_second;
            return Err(ProtocolError::new(
                ErrorCode::TooFast,
                format!("at most {rate} messages a second are allowed"),
            ));
        }
        let message = match ClientMessage::parse(self.dialect(id), text) {
            Ok(message) => message,
            Err(error) => return self.take_bad_name(id, error),
        };
        let request = message.type_name().to_owned();
        match message {
            ClientMessage::Username(username) => {
                self.take_name(id, &username.name);
                Ok(())
            }
            _ if self.is_waiting(id) => Err(ProtocolError::new(
                ErrorCode::NotAdmittedYet,
                "wait until a moderator lets you in",
            )),
            ClientMessage::Message(message) => self.chat(now, id, message),
            ClientMessage::PassThrough(message) => self.pass_through(id, message),
            ClientMessage::VideoOffer(offer) => {
                let mut traced = self.trace_negotiation(id, "client");
                let taken = self.take_offer(now, id, offer);
                traced.end(if taken.is_ok() { "taken" } else { "refused" });
                taken
            }
            ClientMessage::VideoAnswer(answer) => self.take_answer(now, id, &answer),
            ClientMessage::NewIceCandidate(candidate) => self.take_candidate(id, &candidate),
            ClientMessage::HangUp(hang_up) => self.hang_up(id, hang_up.target.as_ref()),
            ClientMessage::Mute(mute) => self.mute(id, mute),
            ClientMessage::Receive(receive) => self.receive(id, receive),
            ClientMessage::Stats => self.ask_stats(id),
            ClientMessage::Timeline(request) => self.ask_timeline(id, request.track),
            ClientMessage::Moderate(moderation) => self.take_moderation(id, &moderation),
        }
        .map_err(|error| error.about(request))
    }

    /// Tells a client that its message was refused. The third piece of nonsense in ten seconds ends its socket.
    fn refuse(&mut self, now: Instant, id: ParticipantId, error: &ProtocolError) {
        self.tally.refused(error);
        tracing::debug!(code = %error.code, why = error.message, "refused");
        let Some(participant) = self.participants.get_mut(&id) else {
            return;
        };
        let fatal = error.is_strike() && participant.strikes.strike(now);
        self.send(id, &ServerMessage::error(error, fatal));
        if fatal {
            self.close(id, CloseCode::Policy, "too much bad input");
            self.leave_room(id);
        }
    }

    /// Says what became due: changes to the room first, then offers, so that several changes make one of each.
    pub(super) fn settle(&mut self, now: Instant) {
        for id in std::mem::take(&mut self.changed) {
            self.announce_change(id);
        }
        self.settle_waiting(now);
        for id in std::mem::take(&mut self.touched) {
            self.drain_commands(id);
            self.offer(now, id);
        }
        self.end_empty_rooms(now);
    }

    /// Sends to a participant what its dialect knows; to one whose socket broke, nothing.
    pub(super) fn send(&mut self, id: ParticipantId, message: &ServerMessage<'_>) {
        let Some(participant) = self.participants.get(&id) else {
            return;
        };
        if let Some(session) = participant.session()
            && is_known_to(participant.dialect, message)
        {
            let text = message.to_text().into();
            self.outputs.push_back(Output::Send { session, text });
        }
    }

    /// Sends text to each of them; with `keep` also to those whose socket broke, for when they are back.
    pub(super) fn send_text(
        &mut self,
        ids: impl IntoIterator<Item = ParticipantId>,
        text: &Arc<str>,
        keep: bool,
    ) {
        for id in ids {
            let Some(participant) = self.participants.get_mut(&id) else {
                continue;
            };
            match participant.session() {
                Some(session) => self.outputs.push_back(Output::Send {
                    session,
                    text: Arc::clone(text),
                }),
                None if keep => participant.keep(Arc::clone(text)),
                None => {}
            }
        }
    }

    /// Closes a participant's socket, if it has one. What becomes of the participant is the caller's business.
    pub(super) fn close(&mut self, id: ParticipantId, code: CloseCode, reason: &str) {
        let session = self.participants.get(&id).and_then(Participant::session);
        if let Some(session) = session {
            self.participant_by_session.remove(&session);
            self.close_session(session, code, reason);
        }
    }

    pub(super) fn close_session(&mut self, session: SessionId, code: CloseCode, reason: &str) {
        self.outputs.push_back(Output::Close {
            session,
            code,
            reason: reason.to_owned(),
        });
    }

    pub(super) fn command(&mut self, shard: usize, command: Command) {
        self.outputs.push_back(Output::Command { shard, command });
    }

    /// The next number: of participants, peers and calls alike.
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn peer(&self, id: ParticipantId) -> Option<&Peer> {
        self.participants.get(&id)?.peer.as_ref()
    }

    pub(super) fn peer_mut(&mut self, id: ParticipantId) -> Option<&mut Peer> {
        self.participants.get_mut(&id)?.peer.as_mut()
    }

    /// What is logged and traced of a participant.
    pub(super) fn span(&self, id: ParticipantId) -> Span {
        let participant = self.participants.get(&id);
        participant.map_or_else(Span::none, |participant| participant.span.clone())
    }

    /// What is logged and traced of the participant of a session.
    pub fn session_span(&self, session: SessionId) -> Span {
        let id = self.participant_by_session.get(&session);
        id.map_or_else(Span::none, |id| self.span(*id))
    }

    pub(super) fn is_connected(&self, id: ParticipantId) -> bool {
        let link = self
            .participants
            .get(&id)
            .map(|participant| &participant.link);
        matches!(link, Some(Link::Connected(_)))
    }

    pub(super) fn dialect(&self, id: ParticipantId) -> Dialect {
        self.participants
            .get(&id)
            .map_or(Dialect::V1, |participant| participant.dialect)
    }

    pub(super) fn name(&self, id: ParticipantId) -> Option<Arc<str>> {
        self.participants.get(&id)?.name.clone()
    }
}

/// A client written for the sample must never see a message it does not know.
fn is_known_to(dialect: Dialect, message: &ServerMessage<'_>) -> bool {
    match message {
        ServerMessage::Id { .. }
        | ServerMessage::RejectUsername { .. }
        | ServerMessage::Message { .. }
        | ServerMessage::VideoOffer { .. }
        | ServerMessage::VideoAnswer { .. }
        | ServerMessage::HangUp { .. } => true,
        ServerMessage::UserList { .. } => dialect == Dialect::Classic,
        ServerMessage::Participant { .. }
        | ServerMessage::Error { .. }
        | ServerMessage::Layers { .. }
        | ServerMessage::IceServers { .. }
        | ServerMessage::Wanted { .. }
        | ServerMessage::Speakers { .. }
        | ServerMessage::Quality { .. }
        | ServerMessage::Stats { .. }
        | ServerMessage::Moderated { .. }
        | ServerMessage::RoomState { .. }
        | ServerMessage::Waiting { .. }
        | ServerMessage::Timeline { .. } => dialect == Dialect::V1,
    }
}
