//! `/api/v1`: what operators may ask, with the operator token. Without one there is no such thing.

use std::fmt;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use serde_json::json;
use tokio::time::timeout;

use super::control::ControlHandle;
use crate::room::{OperatorAnswer, OperatorRequest};

/// A shard that is alive answers within a tick.
const PATIENCE: Duration = Duration::from_secs(5);

/// What admits operators. Only its hash is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct OperatorToken([u8; SHA256_OUTPUT_LEN]);

impl OperatorToken {
    /// The token in plain text.
    pub fn new(token: &str) -> Self {
        Self(hash(token))
    }

    /// Whether this is the token. Takes as long whatever is wrong: what is compared are hashes, all of their bytes.
    fn is(&self, token: &str) -> bool {
        let pairs = self.0.iter().zip(hash(token));
        pairs.fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

impl fmt::Debug for OperatorToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorToken")
    }
}

fn hash(token: &str) -> [u8; SHA256_OUTPUT_LEN] {
    let mut hash = [0; SHA256_OUTPUT_LEN];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

/// All that operators may ask.
pub(super) fn router(control: ControlHandle, token: OperatorToken) -> Router {
    Router::new()
        .route("/api/v1/rooms", get(rooms))
        .route(
            "/api/v1/rooms/{room}/participants/{participant}/timelines",
            get(timelines),
        )
        .route("/api/v1/{*path}", get(nothing))
        .route_layer(from_fn_with_state(token, admit))
        .with_state(control)
}

async fn admit(State(token): State<OperatorToken>, request: Request, next: Next) -> Response {
    if bearer(request.headers()).is_some_and(|given| token.is(given)) {
        let no_store = [(header::CACHE_CONTROL, "no-store")];
        return (no_store, next.run(request).await).into_response();
    }
    let message =
        "send the header `Authorization: Bearer TOKEN` with the server's --operator-token";
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (
        challenge,
        refusal(StatusCode::UNAUTHORIZED, "unauthorized", message),
    )
        .into_response()
}

/// The token of a request (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

async fn rooms(State(control): State<ControlHandle>) -> Response {
    ask(&control, OperatorRequest::Rooms).await
}

async fn timelines(
    State(control): State<ControlHandle>,
    Path((room, participant)): Path<(String, String)>,
) -> Response {
    ask(&control, OperatorRequest::Timelines { room, participant }).await
}

async fn nothing() -> Response {
    let message = "there are /api/v1/rooms and /api/v1/rooms/ROOM/participants/ID/timelines to GET";
    refusal(StatusCode::NOT_FOUND, "no-such-path", message)
}

async fn ask(control: &ControlHandle, request: OperatorRequest) -> Response {
    match timeout(PATIENCE, control.ask(request)).await {
        Ok(Ok(OperatorAnswer::Json(json))) => {
            ([(header::CONTENT_TYPE, "application/json")], json).into_response()
        }
        Ok(Ok(OperatorAnswer::NotFound { code, message })) => {
            refusal(StatusCode::NOT_FOUND, code, &message)
        }
        Ok(Err(_)) => refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "server-busy",
            "the server is going down: ask again once it is back",
        ),
        Err(_) => refusal(
            StatusCode::GATEWAY_TIMEOUT,
            "timeout",
            "no answer came within 5 s: ask again",
        ),
    }
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({"error": {"code": code, "message": message}});
    (status, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_admits_and_nobody_sees_it() {
        let token = OperatorToken::new("0123456789abcdef");
        assert!(token.is("0123456789abcdef"));
        assert!(!token.is("0123456789abcdeg"));
        assert!(!token.is("0123456789abcde"));
        assert!(!token.is(""));
        assert!(!format!("{token:?}").contains("0123"));
    }

    #[test]
    fn the_scheme_of_the_header_has_no_case() {
        let mut headers = HeaderMap::new();
        assert_eq!(bearer(&headers), None);
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc", Some("abc")),
            ("Basic abc", None),
            ("abc", None),
        ] {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            assert_eq!(bearer(&headers), token, "{value}");
        }
    }
}
