//! POST requests to other servers, over HTTP or HTTPS.
//!
//! Called by [`crate::webhooks`] and [`crate::telemetry`]. It follows no redirect, reads no more of an answer than it must,
//! and trusts the certificate authorities that the system trusts. It decides nothing about what an answer means.

use std::io;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A connection that nobody uses for so long is closed.
const IDLE: Duration = Duration::from_secs(30);

/// Longest answer that is read, in bytes; a longer one ends its connection.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Sends POST requests. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Poster {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    patience: Duration,
}

impl Poster {
    /// One that waits for `patience` for each answer. An error where one of `uris` is HTTPS and the system trusts nobody.
    pub fn new<'a>(
        uris: impl IntoIterator<Item = &'a Uri>,
        patience: Duration,
    ) -> io::Result<Self> {
        let provider = ring::default_provider();
        let needs_tls = uris
            .into_iter()
            .any(|uri| uri.scheme_str() == Some("https"));
        let connector = HttpsConnectorBuilder::new();
        let connector = if needs_tls {
            connector.with_provider_and_native_roots(provider)?
        } else {
            let config = ClientConfig::builder_with_provider(provider.into())
                .with_safe_default_protocol_versions()
                .map_err(io::Error::other)?
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth();
            connector.with_tls_config(config)
        };
        let connector = connector.https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self { client, patience })
    }

    /// Sends one, and gives the answer with as much of its body as fits. An error says why there is none. On tokio only.
    pub async fn post(
        &self,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Bytes>, String> {
        let mut request = Request::post(uri)
            .body(Full::new(body))
            .map_err(|error| error.to_string())?;
        *request.headers_mut() = headers;
        let answered = async {
            let response = self
                .client
                .request(request)
                .await
                .map_err(|error| cause(&error))?;
            let (head, body) = response.into_parts();
            // The status is what counts.
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
            let body = body.map(|body| body.to_bytes()).unwrap_or_default();
            Ok(Response::from_parts(head, body))
        };
        let late = |_| format!("no answer within {} s", self.patience.as_secs());
        timeout(self.patience, answered).await.map_err(late)?
    }
}

/// An error and what is behind it: the client's own words say only "connect error".
fn cause(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut behind = error.source();
    while let Some(error) = behind {
        words = format!("{words}: {error}");
        behind = error.source();
    }
    words
}
