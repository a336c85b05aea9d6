//! How a request went: a JSON document, nothing, or the one shape that every error has.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::time::timeout;

use crate::room::{OperatorAnswer, OperatorRequest, Refusal, RefusalKind};
use crate::signaling::control::ControlHandle;

/// A shard that is alive answers within a tick.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no answer: `{"error": {"code", "message"}}`.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// A body or query that is not what it should be.
    pub(super) fn bad_message(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-message", message)
    }

    fn going_down() -> Self {
        let message = "the server is going down: ask again once it is back";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server-busy", message)
    }

    fn too_late() -> Self {
        let message = "no answer came within 5 s: ask again";
        Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout", message)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({"error": {"code": self.code, "message": self.message}});
        (self.status, Json(body)).into_response()
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.kind {
            RefusalKind::Invalid => StatusCode::BAD_REQUEST,
            RefusalKind::NotFound => StatusCode::NOT_FOUND,
            RefusalKind::Conflict => StatusCode::CONFLICT,
        };
        Self::new(status, refusal.code, refusal.message)
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status(), "bad-path", rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_message(rejection.body_text())
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        let code = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => "too-large",
            _ => "bad-json",
        };
        Self::new(rejection.status(), code, rejection.body_text())
    }
}

/// Has the rooms do it.
pub(super) async fn ask(
    control: &ControlHandle,
    request: OperatorRequest,
) -> Result<Response, Problem> {
    let answer = timeout(PATIENCE, control.ask(request)).await;
    let answer = answer.map_err(|_| Problem::too_late())?;
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok(match answer.map_err(|_| Problem::going_down())? {
        OperatorAnswer::Json(text) => (json, text).into_response(),
        OperatorAnswer::Created(text) => (StatusCode::CREATED, json, text).into_response(),
        OperatorAnswer::Done => StatusCode::NO_CONTENT.into_response(),
        OperatorAnswer::Refused(refusal) => return Err(refusal.into()),
    })
}

/// How much of everything there is.
pub(super) async fn counts(control: &ControlHandle) -> Result<crate::room::RoomCounts, Problem> {
    let counts = timeout(PATIENCE, control.counts()).await;
    let counts = counts.map_err(|_| Problem::too_late())?;
    counts.map_err(|_| Problem::going_down())
}
