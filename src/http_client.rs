//! Requests to other servers, over HTTP or HTTPS.
//!
//! Called by [`crate::webhooks`], [`crate::telemetry`] and [`crate::entrance`], which asks for certificates. It follows no
//! redirect, reads no more of an answer than it must, and trusts the certificate authorities that the system trusts, or the
//! one that it is told. It decides nothing about what an answer means.

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

/// Sends requests. Clones share their connections.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    patience: Duration,
}

impl HttpClient {
    /// One that waits for `patience` for each answer. An error where one of `uris` is HTTPS and the system trusts nobody.
    pub fn new<'a>(
        uris: impl IntoIterator<Item = &'a Uri>,
        patience: Duration,
    ) -> io::Result<Self> {
        let needs_tls = uris
            .into_iter()
            .any(|uri| uri.scheme_str() == Some("https"));
        if !needs_tls {
            return Self::trusting(RootCertStore::empty(), patience);
        }
        let connector = HttpsConnectorBuilder::new();
        let connector = connector.with_provider_and_native_roots(ring::default_provider())?;
        let connector = connector.https_or_http().enable_http1().build();
        Ok(Self::with_connector(connector, patience))
    }

    /// One that trusts these authorities and no others.
    pub fn trusting(roots: RootCertStore, patience: Duration) -> io::Result<Self> {
        let config = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(config);
        let connector = connector.https_or_http().enable_http1().build();
        Ok(Self::with_connector(connector, patience))
    }

    fn with_connector(connector: HttpsConnector<HttpConnector>, patience: Duration) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self { client, patience }
    }

    /// Sends a POST request. Else as [`Self::send`].
    pub async fn post(
        &self,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Bytes>, String> {
        let mut request = Request::post(uri)
            .body(body)
            .map_err(|error| error.to_string())?;
        *request.headers_mut() = headers;
        self.send(request).await
    }

    /// Sends a request, and gives the answer; a body that is too long is as good as none. An error says why there is no
    /// answer. On tokio only.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        let answered = async {
            let response = self
                .client
                .request(request.map(Full::new))
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
