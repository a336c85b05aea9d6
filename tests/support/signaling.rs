//! The signalling protocol, as a client speaks it: JSON over one WebSocket.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message};

use super::server::Server;
use super::watched::{Watched, patiently};

/// Which subprotocol a client asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// `crosspoint.v1`.
    V1,
    /// `json`, the classic subset.
    Classic,
    /// None, which is the classic subset too.
    Unnamed,
}

/// What has come from the server.
#[derive(Default)]
pub struct Inbox {
    /// Messages that no test has taken yet.
    pub waiting: Vec<Value>,
    /// All messages.
    pub all: Vec<Value>,
    /// How the socket ended, once it has: the close code, or none if it just broke.
    pub closed: Option<Option<u16>>,
}

enum Outgoing {
    Message(Message),
    Abort,
}

/// One WebSocket to the server.
pub struct Signaling {
    outgoing: mpsc::UnboundedSender<Outgoing>,
    pub inbox: Arc<Watched<Inbox>>,
    /// Every message, for a client that acts upon them.
    pub feed: Option<mpsc::UnboundedReceiver<Value>>,
}

impl Signaling {
    /// Connects to a room.
    pub async fn connect(server: &Server, room: &str, dialect: Dialect) -> Self {
        Self::open(server.port(), &format!("/ws?room={room}"), dialect).await
    }

    /// Connects to a path.
    pub async fn open(port: u16, path: &str, dialect: Dialect) -> Self {
        match Self::try_open(port, path, dialect).await {
            Ok(signaling) => signaling,
            Err(error) => panic!("no WebSocket at {path}: {error}"),
        }
    }

    /// Connects to a path, or says with which HTTP status the server refused.
    pub async fn try_open(port: u16, path: &str, dialect: Dialect) -> Result<Self, StatusCode> {
        let mut request = format!("ws://127.0.0.1:{port}{path}")
            .into_client_request()
            .expect("a request");
        let protocol = match dialect {
            Dialect::V1 => Some("crosspoint.v1"),
            Dialect::Classic => Some("json"),
            Dialect::Unnamed => None,
        };
        if let Some(protocol) = protocol {
            request
                .headers_mut()
                .insert("Sec-WebSocket-Protocol", HeaderValue::from_static(protocol));
        }
        let stream = patiently("a connection", TcpStream::connect(("127.0.0.1", port)))
            .await
            .expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        let upgrade = patiently(
            "the upgrade",
            tokio_tungstenite::client_async(request, stream),
        )
        .await;
        match upgrade {
            Ok((socket, _)) => Ok(Self::over(socket)),
            Err(tungstenite::Error::Http(response)) => Err(response.status()),
            Err(error) => panic!("upgrade of {path}: {error}"),
        }
    }

    /// A socket of the v1 dialect that never reads what it is sent.
    pub async fn deaf(server: &Server, room: &str) -> Deaf {
        let url = format!("ws://127.0.0.1:{}/ws?room={room}", server.port());
        let mut request = url.into_client_request().expect("a request");
        let protocol = HeaderValue::from_static("crosspoint.v1");
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", protocol);
        let stream = TcpStream::connect(("127.0.0.1", server.port()));
        let stream = patiently("a connection", stream).await.expect("connect");
        let upgraded = tokio_tungstenite::client_async(request, stream);
        let (socket, _) = patiently("the upgrade", upgraded).await.expect("upgrade");
        Deaf(socket)
    }

    fn over(mut socket: WebSocketStream<TcpStream>) -> Self {
        let inbox = Arc::new(Watched::<Inbox>::default());
        let (outgoing, mut to_send) = mpsc::unbounded_channel();
        let (to_feed, feed) = mpsc::unbounded_channel();
        tokio::spawn({
            let inbox = inbox.clone();
            async move {
                loop {
                    tokio::select! {
                        next = to_send.recv() => match next {
                            Some(Outgoing::Message(message)) => {
                                trace(">>", &message);
                                if socket.send(message).await.is_err() {
                                    // The reason is in what is still to be read.
                                    continue;
                                }
                            }
                            Some(Outgoing::Abort) => {
                                let _ = socket.get_ref().set_zero_linger();
                                break;
                            }
                            None => {
                                let _ = socket.close(None).await;
                                break;
                            }
                        },
                        next = socket.next() => match next {
                            Some(Ok(Message::Text(text))) => {
                                trace("<<", &text);
                                let value: Value = serde_json::from_str(&text)
                                    .unwrap_or_else(|error| json!({"type": "(not JSON)", "text": text.as_str(), "error": error.to_string()}));
                                let _ = to_feed.send(value.clone());
                                inbox.update(|inbox| {
                                    inbox.waiting.push(value.clone());
                                    inbox.all.push(value);
                                });
                            }
                            Some(Ok(Message::Close(frame))) => {
                                let code = frame.map(|frame| frame.code.into());
                                inbox.update(|inbox| inbox.closed = Some(code));
                            }
                            Some(Ok(_)) => {}
                            Some(Err(_)) | None => break,
                        },
                    }
                }
                inbox.update(|inbox| {
                    inbox.closed.get_or_insert(None);
                });
            }
        });
        Self {
            outgoing,
            inbox,
            feed: Some(feed),
        }
    }

    /// Sends one message.
    pub fn send(&self, message: Value) {
        self.send_raw(Message::text(message.to_string()));
    }

    /// Sends one frame, whatever is in it.
    pub fn send_raw(&self, message: Message) {
        let _ = self.outgoing.send(Outgoing::Message(message));
    }

    /// Breaks the connection, as a network does: no close frame, a TCP reset.
    pub fn abort(&self) {
        let _ = self.outgoing.send(Outgoing::Abort);
    }

    /// Closes it as a client that leaves, with 1000.
    pub fn close(&self) {
        self.send_raw(Message::Close(Some(CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        })));
    }

    /// A handle that only sends.
    pub fn sender(&self) -> Sender {
        Sender(self.outgoing.clone())
    }

    /// The next message of a type that no test has taken yet; others stay.
    #[track_caller]
    pub fn expect(&self, kind: &str) -> impl Future<Output = Value> {
        self.expect_where(kind, |_| true)
    }

    /// The next message of a type that `wanted` accepts and no test has taken yet; others stay.
    #[track_caller]
    pub fn expect_where(
        &self,
        kind: &str,
        mut wanted: impl FnMut(&Value) -> bool,
    ) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        async move {
            let found = self
                .inbox
                .within(super::watched::PATIENCE, |inbox| {
                    let position = inbox
                        .waiting
                        .iter()
                        .position(|message| message["type"] == kind && wanted(message));
                    match position {
                        Some(position) => Some(Ok(inbox.waiting.remove(position))),
                        None => inbox.closed.map(Err),
                    }
                })
                .await;
            match found {
                Some(Ok(message)) => message,
                Some(Err(code)) => panic!(
                    "{caller}: the socket closed ({code:?}) before a fitting {kind:?} came; {}",
                    self.summary()
                ),
                None => panic!("{caller}: no fitting {kind:?} came; {}", self.summary()),
            }
        }
    }

    /// An `error` with this code.
    #[track_caller]
    pub fn expect_error(&self, code: &str) -> impl Future<Output = Value> {
        let code = code.to_owned();
        let caller = std::panic::Location::caller();
        async move {
            let error = self.expect("error").await;
            assert_eq!(
                error["code"], code,
                "{caller}: another error than expected: {error}"
            );
            assert!(
                error["message"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{caller}: an error without a message: {error}"
            );
            error
        }
    }

    /// The close code of the socket's end.
    #[track_caller]
    pub fn expect_closed(&self) -> impl Future<Output = Option<u16>> {
        self.inbox.until("the socket's end", |inbox| inbox.closed)
    }

    /// Whether a message of this type comes within `time`; it stays.
    pub async fn hears(&self, kind: &str, time: Duration) -> bool {
        self.inbox
            .within(time, |inbox| {
                inbox
                    .waiting
                    .iter()
                    .any(|message| message["type"] == kind)
                    .then_some(())
            })
            .await
            .is_some()
    }

    /// A round trip: everything sent before has been acted upon when this returns. Works in v1 once a name is taken.
    pub async fn settle(&self) {
        let text = format!("settle {}", rand_tag());
        self.send(json!({"type": "message", "text": text}));
        self.expect_where("message", |message| message["text"] == text.as_str())
            .await;
    }

    /// Takes a name, and gives what the server made of it.
    pub async fn take_name(&self, name: &str) {
        self.send(json!({"type": "username", "name": name, "id": 0, "date": 0}));
    }

    /// Forgets every message that has come so far.
    pub fn forget(&self) {
        self.inbox.update(|inbox| inbox.waiting.clear());
    }

    fn summary(&self) -> String {
        self.inbox.read(|inbox| {
            let tail: Vec<String> = inbox
                .all
                .iter()
                .rev()
                .take(12)
                .rev()
                .map(|message| message.to_string().chars().take(300).collect())
                .collect();
            format!("the last messages were\n  {}", tail.join("\n  "))
        })
    }
}

/// Sends on a [`Signaling`] that something else owns.
#[derive(Clone)]
pub struct Sender(mpsc::UnboundedSender<Outgoing>);

impl Sender {
    pub fn send(&self, message: Value) {
        let _ = self
            .0
            .send(Outgoing::Message(Message::text(message.to_string())));
    }
}

/// A client that does not read.
pub struct Deaf(WebSocketStream<TcpStream>);

impl Deaf {
    pub async fn say(&mut self, message: Value) {
        let message = Message::text(message.to_string());
        self.0.send(message).await.expect("send");
    }
}

/// Shows messages as they pass where the environment's `TEST_TRACE` asks for it.
fn trace(way: &str, message: &impl std::fmt::Display) {
    if std::env::var_os("TEST_TRACE").is_some() {
        eprintln!("{way} {}", message.to_string().replace("\\r\\n", "\n   "));
    }
}

fn rand_tag() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}
