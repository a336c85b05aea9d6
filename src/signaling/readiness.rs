//! `/ready`: whether new participants may be sent here, for load balancers and service managers.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;

/// How far the server is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Not everything runs yet.
    #[default]
    Starting,
    /// It takes whoever comes.
    Ready,
    /// It keeps whom it has, and takes nobody any more.
    Draining,
}

/// How far the server is, for all who ask. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Readiness(watch::Sender<Phase>);

impl Readiness {
    /// Says how far the server is now.
    pub fn set(&self, phase: Phase) {
        self.0.send_replace(phase);
    }

    /// How far the server is.
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// To wait for a change.
    pub fn subscribe(&self) -> watch::Receiver<Phase> {
        self.0.subscribe()
    }

    /// What `/ready` answers: 200, or 503 with the reason. Nobody is to keep it.
    pub(super) fn respond(&self) -> Response {
        let (status, word) = match self.phase() {
            Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
            Phase::Ready => (StatusCode::OK, "ready"),
            Phase::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        };
        (status, [(header::CACHE_CONTROL, "no-store")], word).into_response()
    }
}
