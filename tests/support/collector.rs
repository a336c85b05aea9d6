//! A server that is told things: it keeps each request, and answers what it is told to.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::watched::Watched;

/// One request.
#[derive(Clone, Debug)]
pub struct Told {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Told {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_else(|| panic!("no header {name}: {:?}", self.headers))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// What it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Status(StatusCode),
    /// Elsewhere on the same server.
    Redirect(&'static str),
    /// Never.
    Silence,
}

/// A server on a free port of the loopback interface.
pub struct Collector {
    pub port: u16,
    pub told: Arc<Watched<Vec<Told>>>,
    serving: JoinHandle<()>,
}

impl Collector {
    /// Answers the request of each number, from 0 on, so.
    pub async fn start(answer: impl Fn(usize) -> Answer + Clone + Send + Sync + 'static) -> Self {
        let told = Arc::new(Watched::<Vec<Told>>::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let kept = told.clone();
        let serve = move |uri: Uri, headers: HeaderMap, body: Bytes| {
            let path = uri.path().to_owned();
            let one = Told {
                path,
                headers,
                body,
            };
            let mut number = 0;
            kept.update(|told| {
                number = told.len();
                told.push(one);
            });
            let answer = answer(number);
            async move {
                match answer {
                    Answer::Status(status) => status.into_response(),
                    Answer::Redirect(path) => Redirect::temporary(path).into_response(),
                    Answer::Silence => std::future::pending::<Response>().await,
                }
            }
        };
        let routes = Router::new().fallback(serve);
        let serving = tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("serving");
        });
        Self {
            port,
            told,
            serving,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What it was told, once that is so much.
    #[track_caller]
    pub fn told(&self, count: usize) -> impl Future<Output = Vec<Told>> {
        self.told.until(format!("{count} requests"), move |told| {
            (told.len() >= count).then(|| told.clone())
        })
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
