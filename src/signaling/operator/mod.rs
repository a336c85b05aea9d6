//! `/api/v1`: what operators may ask and do over HTTP, with the operator token. Without one there is no such thing.
//!
//! Called by `routes`. `requests` reads what came, [`crate::room`] does it, `answer` says how it went; `openapi.json` is the
//! contract, which tests hold against the routes and against what they answer. It never decides what a request does.

mod answer;
mod requests;
mod token;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, delete, get, patch, post};

use super::control::ControlHandle;
use answer::Problem;

pub use token::OperatorToken;

/// The contract, with a place for the version.
const OPENAPI: &str = include_str!("openapi.json");

/// Longest body that is read, in bytes: a data channel message of the largest allowed size in base64, and what is around it.
const MAX_BODY_BYTES: usize = 512 * 1024;

/// Every route: its method and path as the contract has them, and who serves it.
fn routes() -> Vec<(&'static str, &'static str, MethodRouter<ControlHandle>)> {
    let room = "/api/v1/rooms/{room}";
    let participant = "/api/v1/rooms/{room}/participants/{participant}";
    vec![
        ("get", "/api/v1/server", get(requests::server)),
        ("get", "/api/v1/rooms", get(requests::rooms)),
        ("post", "/api/v1/rooms", post(requests::create_room)),
        ("get", room, get(requests::room)),
        ("patch", room, patch(requests::change_room)),
        ("delete", room, delete(requests::close_room)),
        (
            "get",
            "/api/v1/rooms/{room}/participants",
            get(requests::participants),
        ),
        ("get", participant, get(requests::participant)),
        (
            "get",
            "/api/v1/rooms/{room}/participants/{participant}/stats",
            get(requests::stats),
        ),
        (
            "get",
            "/api/v1/rooms/{room}/participants/{participant}/timelines",
            get(requests::timelines),
        ),
        ("get", "/api/v1/rooms/{room}/tracks", get(requests::tracks)),
        (
            "get",
            "/api/v1/rooms/{room}/moderation",
            get(requests::order),
        ),
        (
            "post",
            "/api/v1/rooms/{room}/moderation",
            post(requests::moderate),
        ),
        ("post", "/api/v1/rooms/{room}/messages", post(requests::say)),
        (
            "post",
            "/api/v1/rooms/{room}/data",
            post(requests::send_data),
        ),
    ]
}

/// All that operators may ask.
pub(super) fn router(control: ControlHandle, token: OperatorToken) -> Router {
    let router = routes()
        .into_iter()
        .fold(Router::new(), |router, (_, path, serve)| {
            router.route(path, serve)
        });
    router
        .route("/api/v1", any(nothing))
        .route("/api/v1/", any(nothing))
        .route("/api/v1/{*path}", any(nothing))
        .method_not_allowed_fallback(other_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn_with_state(token, admit))
        // The contract is no secret.
        .route("/api/v1/openapi.json", get(contract))
        .with_state(control)
}

async fn admit(State(token): State<OperatorToken>, request: Request, next: Next) -> Response {
    if token.admits(request.headers()) {
        let no_store = [(header::CACHE_CONTROL, "no-store")];
        return (no_store, next.run(request).await).into_response();
    }
    let message =
        "send the header `Authorization: Bearer TOKEN` with the server's --operator-token";
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", message);
    (challenge, problem).into_response()
}

async fn contract() -> Response {
    let text = OPENAPI.replace("{version}", env!("CARGO_PKG_VERSION"));
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn nothing() -> Problem {
    let message = "there is nothing of this path: GET /api/v1/openapi.json lists what there is";
    Problem::new(StatusCode::NOT_FOUND, "no-such-path", message)
}

async fn other_method() -> Problem {
    let message = "this path has no such method: GET /api/v1/openapi.json lists those it has";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "no-such-method", message)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_contract_has_the_routes_that_there_are_and_no_others() {
        let contract: Value = serde_json::from_str(OPENAPI).unwrap();
        let paths = contract["paths"].as_object().unwrap().iter();
        let documented: BTreeSet<(String, String)> = paths
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().unwrap().keys();
                let methods = methods.filter(|method| *method != "parameters");
                methods.map(move |method| (method.clone(), path.clone()))
            })
            .collect();
        let served = routes()
            .into_iter()
            .map(|(method, path, _)| (method.to_owned(), path.to_owned()));
        assert_eq!(served.collect::<BTreeSet<_>>(), documented);
    }
}
