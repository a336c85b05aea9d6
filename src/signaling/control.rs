//! The one task that owns the rooms: what sessions and shards tell goes in, what the rooms put out is carried away.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::room::{
    CloseCode, Connect, Departure, Notice, OperatorAnswer, OperatorRequest, Output, RequestId,
    RoomCounts, Rooms, ServerLoad, SessionId,
};
use crate::shard::{Command, Event};

/// Frames of all sockets that wait for the rooms; a socket whose frame finds no place waits.
const MAX_INPUTS: usize = 1024;

/// Frames that wait for one socket. A newcomer to a full room gets one for each participant at once.
const MAX_OUTGOING: usize = 1024;

/// Bytes that wait for one socket.
const MAX_OUTGOING_BYTES: usize = 4 * 1024 * 1024;

/// How often the load is looked at, where it has a bound.
const LOOK_AT_LOAD: Duration = Duration::from_millis(500);

/// The way to the shards' command queues.
pub trait Shards: Send + 'static {
    /// Hands a command over. Must not wait: the rooms stand still meanwhile.
    fn send(&self, shard: usize, command: Command);

    /// What all of them have to do.
    fn load(&self) -> ServerLoad {
        ServerLoad::default()
    }
}

/// The way to the rooms, for sessions and for the server. Clones are the same way.
#[derive(Clone, Debug)]
pub struct ControlHandle {
    inputs: mpsc::Sender<Input>,
    last_session: Arc<AtomicU64>,
    /// How many sessions there are.
    sessions: watch::Sender<usize>,
}

impl ControlHandle {
    /// A new session for a socket.
    pub(super) fn new_session(&self) -> SessionGuard {
        self.sessions.send_modify(|count| *count += 1);
        SessionGuard {
            id: SessionId(self.last_session.fetch_add(1, Ordering::Relaxed)),
            sessions: self.sessions.clone(),
        }
    }

    /// Hands something to the rooms, in order. An error means that the server is going down.
    pub(super) async fn send(&self, input: Input) -> Result<(), Closed> {
        self.inputs.send(input).await.map_err(|_| Closed)
    }

    /// Asks the rooms on behalf of an operator.
    pub(super) async fn ask(&self, request: OperatorRequest) -> Result<OperatorAnswer, Closed> {
        let (answer, answered) = oneshot::channel();
        self.send(Input::Operator(request, answer)).await?;
        answered.await.map_err(|_| Closed)
    }

    /// How much of everything there is.
    pub(super) async fn counts(&self) -> Result<RoomCounts, Closed> {
        let (answer, answered) = oneshot::channel();
        self.send(Input::Counts(answer)).await?;
        answered.await.map_err(|_| Closed)
    }

    /// Lets nobody in any more; returns once there is no call. Gives how many were in one at first.
    pub async fn drain(&self) -> usize {
        let (drained, end) = oneshot::channel();
        let (answer, in_calls) = oneshot::channel();
        if self.send(Input::Drain { answer, drained }).await.is_err() {
            return 0;
        }
        let in_calls = in_calls.await.unwrap_or_default();
        if in_calls > 0 {
            tracing::info!(
                in_calls,
                "draining: nobody new is let in, and calls may come to their end"
            );
        }
        // An error means that the server goes down.
        let _ = end.await;
        in_calls
    }

    /// Tells everybody that the server goes down, and closes all sockets. Returns once they are closed. Saying it
    /// twice does nothing more.
    pub async fn shutdown(&self) {
        if self.send(Input::Shutdown).await.is_ok() {
            self.inputs.closed().await;
        }
        let mut sessions = self.sessions.subscribe();
        // The sender is in `self`, so this only ends with no sessions left.
        let _ = sessions.wait_for(|count| *count == 0).await;
    }
}

/// The rooms are gone: the server is going down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed;

/// Counts a session for as long as it lives.
#[derive(Debug)]
pub(super) struct SessionGuard {
    pub(super) id: SessionId,
    sessions: watch::Sender<usize>,
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        self.sessions.send_modify(|count| *count -= 1);
    }
}

/// What sessions and the server tell the rooms.
#[derive(Debug)]
pub(super) enum Input {
    Connect(SessionId, Connect, Outgoing),
    Text(SessionId, axum::extract::ws::Utf8Bytes),
    Binary(SessionId),
    Disconnect {
        session: SessionId,
        departure: Departure,
    },
    Operator(OperatorRequest, oneshot::Sender<OperatorAnswer>),
    Counts(oneshot::Sender<RoomCounts>),
    /// Answered with how many are in calls, and again when nobody is.
    Drain {
        answer: oneshot::Sender<usize>,
        drained: oneshot::Sender<()>,
    },
    Shutdown,
}

/// What the rooms tell a session.
#[derive(Debug)]
pub(super) enum ToClient {
    Text(Arc<str>),
    Close(CloseCode, String),
}

/// The rooms' end of a session's queue.
#[derive(Debug)]
pub(super) struct Outgoing {
    queue: mpsc::Sender<ToClient>,
    queued_bytes: Arc<AtomicUsize>,
    /// Set when the client is too slow: what is queued is not worth sending any more.
    given_up: Arc<AtomicBool>,
}

/// The session's end of its queue.
#[derive(Debug)]
pub(super) struct Incoming {
    queue: mpsc::Receiver<ToClient>,
    queued_bytes: Arc<AtomicUsize>,
    given_up: Arc<AtomicBool>,
}

/// The two ends of a session's queue.
pub(super) fn session_queue() -> (Outgoing, Incoming) {
    let (sender, receiver) = mpsc::channel(MAX_OUTGOING);
    let queued_bytes = Arc::<AtomicUsize>::default();
    let given_up = Arc::<AtomicBool>::default();
    let outgoing = Outgoing {
        queue: sender,
        queued_bytes: Arc::clone(&queued_bytes),
        given_up: Arc::clone(&given_up),
    };
    let incoming = Incoming {
        queue: receiver,
        queued_bytes,
        given_up,
    };
    (outgoing, incoming)
}

impl Outgoing {
    /// Queues a frame; false when the client is too slow to take any more. A session that has ended takes anything: how
    /// it ended is on its way here.
    fn push(&self, message: ToClient) -> bool {
        let bytes = message.len();
        let queued = self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let taken = queued + bytes <= MAX_OUTGOING_BYTES
            && !matches!(self.queue.try_send(message), Err(TrySendError::Full(_)));
        if !taken {
            self.given_up.store(true, Ordering::Relaxed);
        }
        taken
    }
}

impl Incoming {
    /// The next frame, as soon as there is one. `None` when the rooms are gone, or gave the session up.
    pub(super) async fn recv(&mut self) -> Option<ToClient> {
        let message = self.queue.recv().await?;
        self.queued_bytes
            .fetch_sub(message.len(), Ordering::Relaxed);
        (!self.is_given_up()).then_some(message)
    }

    /// Whether the rooms gave the session up, since its client is too slow.
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }
}

impl ToClient {
    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Close(_, reason) => reason.len(),
        }
    }
}

/// Starts the task that owns `rooms`. It ends with [`ControlHandle::shutdown`], or with its last handle.
///
/// `events` are the shards' events with the shard's number. `notices` is told what happens in which room; it must not wait.
pub fn spawn(
    rooms: Rooms,
    shards: impl Shards,
    events: mpsc::Receiver<(usize, Event)>,
    notices: impl FnMut(&str, &Notice) + Send + 'static,
) -> (ControlHandle, JoinHandle<()>) {
    let (sender, inputs) = mpsc::channel(MAX_INPUTS);
    let handle = ControlHandle {
        inputs: sender,
        last_session: Arc::default(),
        sessions: watch::Sender::new(0),
    };
    let control = Control {
        rooms,
        shards,
        notices,
        outgoing_by_session: HashMap::new(),
        span_by_session: HashMap::new(),
        operators: HashMap::new(),
        last_request: 0,
        drained: Vec::new(),
    };
    (handle, tokio::spawn(control.run(inputs, events)))
}

struct Control<S, N> {
    rooms: Rooms,
    shards: S,
    notices: N,
    outgoing_by_session: HashMap<SessionId, Outgoing>,
    /// Of each socket, until it has ended.
    span_by_session: HashMap<SessionId, tracing::Span>,
    /// Who waits for an answer.
    operators: HashMap<RequestId, oneshot::Sender<OperatorAnswer>>,
    last_request: u64,
    /// Who waits for the end of all calls.
    drained: Vec<oneshot::Sender<()>>,
}

impl<S: Shards, N: FnMut(&str, &Notice)> Control<S, N> {
    async fn run(
        mut self,
        mut inputs: mpsc::Receiver<Input>,
        mut events: mpsc::Receiver<(usize, Event)>,
    ) {
        let mut looks = tokio::time::interval(LOOK_AT_LOAD);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let wants_load = self.rooms.wants_load();
        loop {
            let deadline = self.rooms.poll_timeout();
            let timeout = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                input = inputs.recv() => match input {
                    Some(Input::Shutdown) | None => break,
                    Some(input) => self.handle_input(input),
                },
                Some((shard, event)) = events.recv() => {
                    self.rooms.handle_shard_event(Instant::now(), shard, event);
                }
                () = timeout => {}
                _ = looks.tick(), if wants_load => {
                    self.rooms.handle_load(Instant::now(), &self.shards.load());
                }
            }
            let now = Instant::now();
            if self
                .rooms
                .poll_timeout()
                .is_some_and(|deadline| deadline <= now)
            {
                self.rooms.handle_timeout(now);
            }
            self.carry_away(now);
            if self.rooms.in_calls() == 0 {
                // Dropped is told.
                self.drained.clear();
            }
        }
        inputs.close();
        self.rooms.shutdown();
        self.carry_away(Instant::now());
        // The queues are dropped with `self`: each session sends what is in its queue, and ends.
    }

    fn handle_input(&mut self, input: Input) {
        let now = Instant::now();
        let unix = SystemTime::now().duration_since(UNIX_EPOCH);
        let unix_ms = unix.map_or(0, |since| since.as_millis() as u64);
        self.rooms.set_clock(now, unix_ms);
        match input {
            Input::Connect(session, connect, outgoing) => {
                self.outgoing_by_session.insert(session, outgoing);
                self.rooms.handle_connect(now, session, connect);
                let span = self.rooms.session_span(session);
                tracing::debug!(parent: &span, session = session.0, "a socket opened");
                self.span_by_session.insert(session, span);
            }
            Input::Text(session, text) => self.rooms.handle_text(now, session, &text),
            Input::Binary(session) => self.rooms.handle_binary(now, session),
            Input::Disconnect { session, departure } => {
                // Its participant may have been removed before.
                let span = self.span_by_session.remove(&session);
                let span = span.unwrap_or_else(tracing::Span::none);
                tracing::debug!(parent: &span, session = session.0, ?departure, "a socket ended");
                self.outgoing_by_session.remove(&session);
                self.rooms.handle_disconnect(now, session, departure);
            }
            Input::Operator(request, answer) => {
                // Whoever is gone waits for nothing.
                self.operators.retain(|_, answer| !answer.is_closed());
                self.last_request += 1;
                let id = RequestId(self.last_request);
                self.operators.insert(id, answer);
                self.rooms.handle_operator(now, id, request);
            }
            // An error means that it does not wait any more.
            Input::Counts(answer) => drop(answer.send(self.rooms.counts())),
            Input::Drain { answer, drained } => {
                self.rooms.drain();
                // Whoever is gone waits for nothing.
                let _ = answer.send(self.rooms.in_calls());
                self.drained.push(drained);
            }
            Input::Shutdown => {}
        }
    }

    fn carry_away(&mut self, now: Instant) {
        while let Some(output) = self.rooms.poll_output() {
            match output {
                Output::Send { session, text } => self.push(now, session, ToClient::Text(text)),
                Output::Close {
                    session,
                    code,
                    reason,
                } => {
                    self.push(now, session, ToClient::Close(code, reason));
                    self.outgoing_by_session.remove(&session);
                }
                Output::Command { shard, command } => self.shards.send(shard, command),
                Output::Notice { room, notice } => (self.notices)(&room, &notice),
                Output::Answer { request, answer } => {
                    if let Some(operator) = self.operators.remove(&request) {
                        // An error means that it does not wait any more.
                        let _ = operator.send(answer);
                    }
                }
            }
        }
    }

    fn push(&mut self, now: Instant, session: SessionId, message: ToClient) {
        let Some(outgoing) = self.outgoing_by_session.get(&session) else {
            return;
        };
        if !outgoing.push(message) {
            tracing::debug!(
                parent: self.rooms.session_span(session),
                session = session.0,
                "the client is too slow to read"
            );
            self.outgoing_by_session.remove(&session);
            self.rooms
                .handle_disconnect(now, session, Departure::Broken);
        }
    }
}
