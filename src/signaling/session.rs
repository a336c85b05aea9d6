//! One client's WebSocket: frames in, frames out, pings, and its end.

use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};

use super::control::{ControlHandle, Incoming, Input, SessionGuard, ToClient, session_queue};
use super::protocol::{ProtocolError, ServerMessage};
use super::received::Unfinished;
use crate::room::{CloseCode, Connect, Departure};

/// How often the client is pinged.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// A client that says nothing for so long, not even a pong, is gone; and so is one that takes so long to finish a message.
const MAX_SILENCE: Duration = Duration::from_secs(45);
/// A frame that the client does not take for so long is its last.
const SEND_PATIENCE: Duration = Duration::from_secs(10);
/// How long the client may take to answer our close frame.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// Longest reason of a close frame (RFC 6455 section 5.5).
const MAX_REASON_BYTES: usize = 123;

/// Longest frame that is read at all: above this the socket ends. Messages over the protocol's own, lower limit are
/// answered.
pub(super) const MAX_FRAME_BYTES: usize = 512 * 1024;

/// How a session ended.
enum End {
    /// The client closed it.
    ByClient(Departure),
    /// The rooms closed it and know.
    ByServer(CloseCode, String),
    /// The client takes or sends nothing any more, or sends what no WebSocket client sends.
    Broken,
}

/// Carries one socket's frames until its end.
pub(super) async fn run(
    mut socket: WebSocket,
    connect: Connect,
    control: ControlHandle,
    guard: SessionGuard,
    unfinished: Unfinished,
) {
    let session = guard.id;
    let (outgoing, mut incoming) = session_queue();
    let end = match control
        .send(Input::Connect(session, connect, outgoing))
        .await
    {
        Ok(()) => carry(&mut socket, &mut incoming, &control, &guard, unfinished).await,
        Err(_) => going_down(),
    };
    let departure = match &end {
        End::ByClient(departure) => *departure,
        End::ByServer(..) | End::Broken => Departure::Broken,
    };
    // Only an error when the rooms are gone, and then nobody needs to know.
    let _ = control.send(Input::Disconnect { session, departure }).await;
    if let End::ByServer(code, reason) = end {
        close(socket, code, reason).await;
    }
}

/// Tells a client of v1 why it does not come in, and closes its socket: 4401.
pub(super) async fn refuse(mut socket: WebSocket, error: ProtocolError) {
    let text = ServerMessage::error(&error, true).to_text();
    if send(&mut socket, Message::Text(text.into())).await {
        close(socket, CloseCode::Unauthorized, error.message).await;
    }
}

async fn carry(
    socket: &mut WebSocket,
    incoming: &mut Incoming,
    control: &ControlHandle,
    guard: &SessionGuard,
    mut unfinished: Unfinished,
) -> End {
    let session = guard.id;
    let mut pings = interval(PING_INTERVAL);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.reset();
    let mut heard = Instant::now();
    // Since when much of one message has come, and not its end.
    let mut unfinished_since = None;
    loop {
        let to_client = tokio::select! {
            frame = socket.recv() => {
                heard = Instant::now();
                let input = match frame {
                    Some(Ok(Message::Text(text))) => Input::Text(session, text),
                    Some(Ok(Message::Binary(_))) => Input::Binary(session),
                    Some(Ok(Message::Ping(data) | Message::Pong(data))) => {
                        unfinished.control(data.len());
                        continue;
                    }
                    Some(Ok(Message::Close(frame))) => return End::ByClient(departure(frame.as_ref())),
                    Some(Err(_)) | None => return End::Broken,
                };
                unfinished.message();
                unfinished_since = None;
                if control.send(input).await.is_err() {
                    return drain(socket, incoming).await;
                }
                continue;
            }
            message = incoming.recv() => match message {
                Some(ToClient::Text(text)) => Message::Text((&*text).into()),
                Some(ToClient::Close(code, reason)) => return End::ByServer(code, reason),
                None if incoming.is_given_up() => return End::Broken,
                None => return going_down(),
            },
            _ = pings.tick() => {
                let now = Instant::now();
                unfinished_since = unfinished_since.or(Some(now)).filter(|_| unfinished.is_much());
                if unfinished_since.is_some_and(|since| now >= since + MAX_SILENCE) {
                    return End::Broken;
                }
                Message::Ping(Default::default())
            }
            () = sleep_until((heard + MAX_SILENCE).into()) => return End::Broken,
        };
        if !send(socket, to_client).await {
            return End::Broken;
        }
    }
}

/// The rooms are gone: what they said last is still in the queue.
async fn drain(socket: &mut WebSocket, incoming: &mut Incoming) -> End {
    while let Some(message) = incoming.recv().await {
        match message {
            ToClient::Text(text) => {
                if !send(socket, Message::Text((&*text).into())).await {
                    return End::Broken;
                }
            }
            ToClient::Close(code, reason) => return End::ByServer(code, reason),
        }
    }
    going_down()
}

fn going_down() -> End {
    End::ByServer(CloseCode::Restart, "the server is going down".to_owned())
}

async fn send(socket: &mut WebSocket, message: Message) -> bool {
    matches!(
        timeout(SEND_PATIENCE, socket.send(message)).await,
        Ok(Ok(()))
    )
}

/// As much of `text` as `bytes` hold.
fn within(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rfind(|&end| text.is_char_boundary(end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// 1000 and 1001 are a client that leaves, or a page that is closed.
fn departure(frame: Option<&CloseFrame>) -> Departure {
    match frame.map(|frame| frame.code) {
        Some(1000 | 1001) => Departure::Left,
        None => Departure::Unsaid,
        Some(_) => Departure::Broken,
    }
}

/// Says the close code, and lets the client hear it (RFC 6455 section 7.1.1).
async fn close(mut socket: WebSocket, code: CloseCode, reason: String) {
    let frame = CloseFrame {
        code: code.code(),
        reason: within(&reason, MAX_REASON_BYTES).into(),
    };
    if timeout(CLOSE_PATIENCE, socket.send(Message::Close(Some(frame))))
        .await
        .is_ok()
    {
        let answered = async { while let Some(Ok(_)) = socket.recv().await {} };
        let _ = timeout(CLOSE_PATIENCE, answered).await;
    }
}
