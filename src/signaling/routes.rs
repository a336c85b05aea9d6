//! What each request gets.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use serde::Deserialize;
use tokio::time::timeout;

use super::control::ControlHandle;
use super::files::{Files, not_found};
use super::headers;
use super::operator::{self, OperatorToken};
use super::protocol::{
    DEFAULT_ROOM, Dialect, ErrorCode, ProtocolError, SUBPROTOCOL_CLASSIC, SUBPROTOCOL_V1,
    is_room_name,
};
use super::readiness::Readiness;
use super::received::{Received, Unfinished};
use super::session::{self, MAX_FRAME_BYTES};
use crate::access::{Access, Keys, TokenError};
use crate::room::{Connect, RoomCounts};
use crate::turn::HostPort;

/// What the front door is told at its start.
#[derive(Clone, Debug, Default)]
pub struct SignalingSettings {
    /// Pages that may open a WebSocket, such as `https://example.org`; `None` is any. A client that sends no
    /// `Origin` is no browser, and always may.
    pub allowed_origins: Option<Vec<String>>,
    /// What `/metrics` answers, in Prometheus' text format; without it there is no such page.
    pub metrics: Option<MetricsSource>,
    /// What admits operators to `/api/v1`; without it there is no such thing.
    pub operator_token: Option<OperatorToken>,
    /// Whether browsers that were here by HTTPS are told to come by nothing else. Only for certificates that they trust.
    pub by_https_only: bool,
    /// What `/ready` answers.
    pub readiness: Readiness,
    /// The keys of tokens, without which nobody may open a WebSocket; `None` admits everybody.
    pub keys: Option<Keys>,
}

/// Writes the metrics anew each time they are asked for.
#[derive(Clone)]
pub struct MetricsSource(Arc<Render>);

impl MetricsSource {
    /// Asks `render` for the text, telling it what the rooms count if they did so in time. It must not wait.
    pub fn new(render: impl Fn(Option<&RoomCounts>) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(render))
    }
}

impl fmt::Debug for MetricsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MetricsSource")
    }
}

/// How long `/metrics` waits for the rooms.
const ROOMS_PATIENCE: Duration = Duration::from_secs(2);

/// Writes the metrics, from what the rooms count.
type Render = dyn Fn(Option<&RoomCounts>) -> String + Send + Sync;

struct Door {
    control: ControlHandle,
    settings: Arc<SignalingSettings>,
    files: Files,
}

type SharedDoor = State<Arc<Door>>;

/// All routes. Requests must have `ConnectInfo<SocketAddr>` among their extensions, as those of [`super::serve`] have.
pub fn router(control: ControlHandle, settings: Arc<SignalingSettings>) -> Router {
    let operators = settings
        .operator_token
        .clone()
        .map(|token| operator::router(control.clone(), token));
    let by_https_only = settings.by_https_only;
    let door = Arc::new(Door {
        control,
        settings,
        files: Files::embedded(),
    });
    let router = Router::new()
        .route("/", get(root))
        .route("/ws", get(socket))
        .route("/r/{room}", get(room_page))
        .route("/check", get(check_page))
        .route("/health", get(async || "ok"))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/{*path}", get(file))
        .fallback(async || not_found())
        .with_state(door);
    let router = router.merge(operators.unwrap_or_default());
    headers::on_all(router, by_https_only)
}

/// Read at once from a WebSocket, in bytes. The library clears as much for each read, and keeps it for each socket.
const READ_BUFFER: usize = 4 * 1024;

/// The query of a WebSocket's request. It holds secrets, and is never shown.
#[derive(Deserialize)]
struct SocketQuery {
    room: Option<String>,
    resume: Option<String>,
    token: Option<String>,
}

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;
type SocketQueryResult = Result<Query<SocketQuery>, QueryRejection>;

/// The page; or a WebSocket, as MDN's sample opens it here.
async fn root(
    door: SharedDoor,
    address: ConnectInfo<SocketAddr>,
    received: Extension<Received>,
    query: SocketQueryResult,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Response {
    if headers.contains_key(header::UPGRADE) {
        socket(door, address, received, query, headers, upgrade).await
    } else {
        door.files.respond("index.html", &headers)
    }
}

async fn room_page(
    State(door): SharedDoor,
    Path(room): Path<String>,
    headers: HeaderMap,
) -> Response {
    if !is_room_name(&room) {
        let words =
            "This is no room. A room's name has 1 to 64 of letters, digits, `-`, `_`, `.`.\n";
        return (StatusCode::NOT_FOUND, words).into_response();
    }
    door.files.respond("index.html", &headers)
}

/// The page that checks the visitor's side.
async fn check_page(State(door): SharedDoor, headers: HeaderMap) -> Response {
    door.files.respond("check.html", &headers)
}

async fn ready(State(door): SharedDoor) -> Response {
    door.settings.readiness.respond()
}

async fn metrics(State(door): SharedDoor) -> Response {
    let Some(MetricsSource(render)) = &door.settings.metrics else {
        return not_found();
    };
    let text_format = (
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    );
    // Rooms that are too busy to tell are one more reason to look at the rest.
    let rooms = timeout(ROOMS_PATIENCE, door.control.counts()).await;
    let rooms = rooms.ok().and_then(Result::ok);
    ([text_format], render(rooms.as_ref())).into_response()
}

async fn file(State(door): SharedDoor, Path(path): Path<String>, headers: HeaderMap) -> Response {
    door.files.respond(&path, &headers)
}

async fn socket(
    State(door): SharedDoor,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    Extension(received): Extension<Received>,
    query: SocketQueryResult,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Response {
    if !is_allowed_origin(&door.settings, &headers) {
        return (
            StatusCode::FORBIDDEN,
            "This page may not open a WebSocket here.\n",
        )
            .into_response();
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let Ok(Query(query)) = query else {
        return (StatusCode::BAD_REQUEST, "The query is no query.\n").into_response();
    };
    let upgrade = upgrade
        .protocols([SUBPROTOCOL_V1, SUBPROTOCOL_CLASSIC])
        .read_buffer_size(READ_BUFFER)
        .max_message_size(MAX_FRAME_BYTES)
        .max_frame_size(MAX_FRAME_BYTES);
    let is_v1 = upgrade
        .selected_protocol()
        .is_some_and(|protocol| protocol == SUBPROTOCOL_V1);
    let access = match admit(&door.settings, &query) {
        Ok(access) => access,
        // A browser does not tell its page why an upgrade was refused, so that this is said on the socket.
        Err(error) if is_v1 => {
            return upgrade.on_upgrade(move |socket| session::refuse(socket, refusal(&error)));
        }
        Err(error) => return unauthorized(&error),
    };
    let connect = Connect {
        room: query.room,
        dialect: if is_v1 { Dialect::V1 } else { Dialect::Classic },
        address: address.ip().to_canonical(),
        resume: query.resume,
        access,
        reached_at: reached_at(&headers),
    };
    let control = door.control.clone();
    upgrade.on_upgrade(move |socket| {
        let guard = control.new_session();
        session::run(socket, connect, control, guard, Unfinished::new(received))
    })
}

/// What a newcomer may do. Whoever resumes a session has been let in before.
fn admit(settings: &SignalingSettings, query: &SocketQuery) -> Result<Access, TokenError> {
    match &settings.keys {
        Some(keys) if query.resume.is_none() => {
            let room = query.room.as_deref().filter(|room| !room.is_empty());
            keys.admit(query.token.as_deref(), room.unwrap_or(DEFAULT_ROOM))
        }
        Some(_) | None => Ok(Access::default()),
    }
}

/// What a client is told whose token does not admit it.
fn refusal(error: &TokenError) -> ProtocolError {
    let code = match error {
        TokenError::Missing => ErrorCode::TokenRequired,
        TokenError::Expired => ErrorCode::TokenExpired,
        TokenError::OtherRoom(_) => ErrorCode::WrongRoom,
        TokenError::TooLong
        | TokenError::Malformed
        | TokenError::UnknownKey
        | TokenError::Algorithm
        | TokenError::Signature
        | TokenError::Early
        | TokenError::Claim { .. }
        | TokenError::Claims(_)
        | TokenError::Audience => ErrorCode::BadToken,
    };
    ProtocolError::new(code, error.to_string())
}

/// The same for who reads no messages.
fn unauthorized(error: &TokenError) -> Response {
    let status = match error {
        TokenError::OtherRoom(_) => StatusCode::FORBIDDEN,
        _ => StatusCode::UNAUTHORIZED,
    };
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (status, challenge, format!("{error}\n")).into_response()
}

/// What the client called this server by.
fn reached_at(headers: &HeaderMap) -> Option<HostPort> {
    HostPort::parse(headers.get(header::HOST)?.to_str().ok()?)
}

fn is_allowed_origin(settings: &SignalingSettings, headers: &HeaderMap) -> bool {
    match (&settings.allowed_origins, headers.get(header::ORIGIN)) {
        (None, _) | (Some(_), None) => true,
        (Some(allowed), Some(origin)) => {
            let origin = origin.to_str().unwrap_or_default();
            allowed
                .iter()
                .any(|allowed| allowed.trim_end_matches('/').eq_ignore_ascii_case(origin))
        }
    }
}
