//! A WebSocket to Janus with one session on it: requests, their answers, and what comes in between.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use super::message::{Event, Message, parse, plugin_error};
use crate::load::target::TargetError;
use crate::load::target::web_socket::JsonSocket;

/// How long Janus may take to answer a request: a loaded one is slow, a dead one says nothing.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Messages that may come before an answer.
const MAX_WAITING: usize = 4_096;
const PLUGIN: &str = "janus.plugin.videoroom";

/// A handle of the session: one user of the plugin, with at most one peer connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handle(pub(super) u64);

/// One WebSocket with its session.
pub(super) struct Connection {
    socket: JsonSocket,
    session: u64,
    transactions: u64,
    /// What came while an answer was waited for.
    waiting: VecDeque<Message>,
}

/// Why a request gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AskError {
    /// Janus or its plugin said no.
    Refused { code: u64, reason: String },
    /// Everything else.
    Broken(TargetError),
}

impl From<TargetError> for AskError {
    fn from(error: TargetError) -> Self {
        Self::Broken(error)
    }
}

impl From<AskError> for TargetError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Refused { code, reason } => Self::Refused(format!("{reason} ({code})")),
            AskError::Broken(error) => error,
        }
    }
}

impl Connection {
    /// Connects and makes a session.
    pub(super) async fn open(url: &str) -> Result<Self, TargetError> {
        let mut connection = Self::connect(url).await?;
        connection.begin().await?;
        Ok(connection)
    }

    /// Connects without a session.
    pub(super) async fn connect(url: &str) -> Result<Self, TargetError> {
        Ok(Self {
            socket: JsonSocket::connect(url, "janus-protocol").await?,
            session: 0,
            transactions: 0,
            waiting: VecDeque::new(),
        })
    }

    /// Makes the session.
    pub(super) async fn begin(&mut self) -> Result<(), TargetError> {
        self.session = self.made(json!({ "janus": "create" })).await?;
        Ok(())
    }

    /// Our address on the way to Janus.
    pub(super) fn local(&self) -> IpAddr {
        self.socket.local()
    }

    /// The version that Janus says it has. It knows the request outside of sessions only.
    pub(super) async fn version(&mut self) -> Result<String, TargetError> {
        let transaction = self.request(json!({ "janus": "info" })).await?;
        match self.answer(&transaction).await? {
            Message::Success { version, .. } => Ok(version.unwrap_or_default()),
            other => Err(unexpected(&other)),
        }
    }

    /// Makes a handle of the plugin.
    pub(super) async fn attach(&mut self) -> Result<Handle, TargetError> {
        let attach = json!({ "janus": "attach", "plugin": PLUGIN });
        Ok(Handle(self.made(attach).await?))
    }

    /// Asks the plugin something that it answers at once.
    pub(super) async fn ask(&mut self, handle: Handle, body: Value) -> Result<Value, AskError> {
        let transaction = self.message(handle, body, None).await?;
        match self.answer(&transaction).await? {
            Message::Success { plugin, .. } => match plugin_error(&plugin) {
                Some((code, reason)) => Err(AskError::Refused { code, reason }),
                None => Ok(plugin),
            },
            other => Err(unexpected(&other).into()),
        }
    }

    /// Asks the plugin something that it answers with an event; `description` is an offer or an answer to
    /// go with it.
    pub(super) async fn ask_event(
        &mut self,
        handle: Handle,
        body: Value,
        description: Option<Value>,
    ) -> Result<Event, AskError> {
        let transaction = self.message(handle, body, description).await?;
        match self.answer(&transaction).await? {
            Message::Event(event) => match plugin_error(&event.data) {
                Some((code, reason)) => Err(AskError::Refused { code, reason }),
                None => Ok(event),
            },
            other => Err(unexpected(&other).into()),
        }
    }

    /// Tells Janus that the session is alive.
    pub(super) async fn keep_alive(&mut self) -> Result<(), TargetError> {
        self.request(json!({ "janus": "keepalive" })).await?;
        Ok(())
    }

    /// The next message that answers nothing. It may be dropped while it waits, and nothing gets lost.
    pub(super) async fn next(&mut self) -> Result<Message, TargetError> {
        match self.waiting.pop_front() {
            Some(message) => Ok(message),
            None => self.receive().await,
        }
    }

    /// Ends the session and the WebSocket.
    pub(super) async fn close(mut self) {
        if self.request(json!({ "janus": "destroy" })).await.is_ok() {
            self.socket.close().await;
        }
    }

    async fn message(
        &mut self,
        handle: Handle,
        body: Value,
        description: Option<Value>,
    ) -> Result<String, TargetError> {
        let mut message = json!({ "janus": "message", "handle_id": handle.0, "body": body });
        if let Some(description) = description {
            message["jsep"] = description;
        }
        self.request(message).await
    }

    async fn made(&mut self, request: Value) -> Result<u64, TargetError> {
        let transaction = self.request(request).await?;
        match self.answer(&transaction).await? {
            Message::Success { id: Some(id), .. } => Ok(id),
            other => Err(unexpected(&other)),
        }
    }

    /// Sends a request, and returns its transaction.
    async fn request(&mut self, mut request: Value) -> Result<String, TargetError> {
        self.transactions += 1;
        let transaction = self.transactions.to_string();
        request["transaction"] = json!(transaction);
        if self.session != 0 {
            request["session_id"] = json!(self.session);
        }
        self.socket.send(&request).await?;
        Ok(transaction)
    }

    /// Waits for what answers a request: its acknowledgement is none.
    async fn answer(&mut self, wanted: &str) -> Result<Message, AskError> {
        let waited = timeout(ANSWER_TIMEOUT, async {
            loop {
                let message = self.receive().await?;
                match &message {
                    Message::Success { transaction, .. } if transaction == wanted => {
                        return Ok(message);
                    }
                    Message::Event(event) if event.transaction.as_deref() == Some(wanted) => {
                        return Ok(message);
                    }
                    Message::Error {
                        transaction,
                        code,
                        reason,
                    } if transaction.as_deref() == Some(wanted) => {
                        return Err(AskError::Refused {
                            code: *code,
                            reason: reason.clone(),
                        });
                    }
                    Message::Ack | Message::Other => {}
                    _ if self.waiting.len() < MAX_WAITING => self.waiting.push_back(message),
                    _ => {
                        let reason = "it says much and answers nothing".to_owned();
                        return Err(TargetError::Protocol(reason).into());
                    }
                }
            }
        });
        waited.await.unwrap_or_else(|_| {
            let seconds = ANSWER_TIMEOUT.as_secs();
            Err(TargetError::Closed(format!("no answer in {seconds} s")).into())
        })
    }

    async fn receive(&mut self) -> Result<Message, TargetError> {
        let message = self.socket.receive().await?;
        parse(message).map_err(TargetError::Protocol)
    }
}

fn unexpected(message: &Message) -> TargetError {
    TargetError::Protocol(format!("it answers with {message:?}"))
}
