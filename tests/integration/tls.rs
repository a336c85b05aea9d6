//! HTTPS on the port of the page: with a certificate that is made, and with one out of files.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use tokio_rustls::{TlsConnector, rustls};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use crate::support::Server;
use crate::support::server::run;
use crate::support::trust::Anybody;
use crate::support::watched::patiently;

#[tokio::test]
async fn a_certificate_that_was_made_is_for_this_machine_and_the_whole_server_is_behind_it() {
    let server = Server::with(&["--tls", "self"]).await;
    let shown = certificate_of(&server).await;
    let trusted = trusting(&shown);
    for name in ["localhost", "127.0.0.1", "::1"] {
        let stream = handshake(&server, name, &trusted).await.expect(name);
        let answer = get(stream, "/health").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let elsewhere = handshake(&server, "example.org", &trusted).await;
    assert!(elsewhere.is_err(), "it is for other names too");

    let first = first_message_by_tls(&server).await;
    assert_eq!(first["room"], "safe");
}

#[tokio::test]
async fn who_comes_without_tls_is_sent_to_the_same_place_with_it() {
    let server = Server::with(&["--tls", "self"]).await;
    let answer = server.get_with("/r/demo?a=b", "Host: ignored\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 308"), "{answer}");
    assert!(
        answer.contains("location: https://localhost/r/demo?a=b\r\n"),
        "{answer}"
    );
    assert!(answer.contains("x-frame-options: SAMEORIGIN"), "{answer}");
    assert!(!answer.contains("strict-transport"), "{answer}");
    let line = server
        .first_line("GET / HTTP/1.1\r\nHost: a\"b\r\n\r\n")
        .await;
    assert!(line.starts_with("HTTP/1.1 400"), "{line}");
}

#[tokio::test]
async fn connections_that_say_nothing_keep_nobody_out() {
    let server = Server::with(&["--tls", "self"]).await;
    let shown = certificate_of(&server).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(connect(&server).await);
    }
    handshake(&server, "localhost", &trusting(&shown))
        .await
        .expect("there is room for another");
    // It has the place of who came first.
    let read = patiently("the end of the first", silent[0].read(&mut [0])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    let mut garbled = connect(&server).await;
    garbled.write_all(&[0x16; 100]).await.expect("write");
    let mut answer = Vec::new();
    let ended = patiently(
        "the end of a bad handshake",
        garbled.read_to_end(&mut answer),
    )
    .await;
    drop(ended);
}

#[cfg(unix)]
#[tokio::test]
async fn it_ends_in_time_though_some_have_not_said_all() {
    let mut server = Server::with(&["--tls", "self"]).await;
    let mut begun = Vec::new();
    for first in [&b"G"[..], &[0x16], &[]] {
        let mut stream = connect(&server).await;
        stream.write_all(first).await.expect("write");
        begun.push(stream);
    }
    // Those before it were accepted when this one is.
    certificate_of(&server).await;
    server.terminate();
    assert_eq!(server.exited().await.code(), Some(0));
}

#[tokio::test]
async fn files_are_read_again_when_they_change() {
    let folder = Folder::new();
    let [first, second] = [Folder::made_until(2090), Folder::made_until(2091)];
    folder.put(&first);
    let server = Server::with(&[
        "--tls-cert",
        &folder.at("chain"),
        "--tls-key",
        &folder.at("key"),
    ])
    .await;
    assert_eq!(certificate_of(&server).await, first.certificate);
    assert_eq!(expiry(&server).await, "3786912000");
    // The key of the one with the certificate of the other is no pair, and no reason to stop.
    std::fs::write(folder.at("key"), &second.key).expect("write");
    server.logs("stays in use").await;
    assert_eq!(certificate_of(&server).await, first.certificate);
    folder.put(&second);
    server.logs("was read again").await;
    assert_eq!(certificate_of(&server).await, second.certificate);
    assert_eq!(expiry(&server).await, "3818448000");
}

#[tokio::test]
async fn files_that_do_not_fit_are_explained_at_the_start() {
    let folder = Folder::new();
    let [first, second] = [Folder::make(), Folder::make()];
    folder.put(&first);
    std::fs::write(folder.at("key"), &second.key).expect("write");
    for (chain, key, words) in [
        ("chain", "key", "belong together"),
        ("none", "key", "expected is a PEM file"),
    ] {
        let (chain, key) = (folder.at(chain), folder.at(key));
        let options = ["--tls-cert", &chain, "--tls-key", &key];
        let output = run(&[
            &["--listen", "127.0.0.1:0", "--udp-port", "0"],
            &options[..],
        ]
        .concat())
        .await;
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(words), "{error}");
    }
}

/// What a server answers.
async fn get(mut stream: TlsStream<TcpStream>, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("write");
    let mut answer = String::new();
    patiently("the answer", stream.read_to_string(&mut answer))
        .await
        .expect("read");
    answer
}

/// What `/metrics` tells of the certificate.
async fn expiry(server: &Server) -> String {
    let trusted = trusting(&certificate_of(server).await);
    let stream = handshake(server, "localhost", &trusted).await;
    let page = get(stream.expect("a handshake"), "/metrics").await;
    let name = "crosspoint_certificate_expiry_timestamp_seconds ";
    let value = page.lines().find_map(|line| line.strip_prefix(name));
    value.expect("the metric").to_owned()
}

/// What a client in the room `safe` is told first.
pub(crate) async fn first_message_by_tls(server: &Server) -> Value {
    let trusted = trusting(&certificate_of(server).await);
    let stream = handshake(server, "localhost", &trusted).await;
    let url = format!("wss://localhost:{}/ws?room=safe", server.port());
    let mut request = url.into_client_request().expect("a request");
    request.headers_mut().insert(
        "sec-websocket-protocol",
        HeaderValue::from_static("crosspoint.v1"),
    );
    let stream = stream.expect("a handshake");
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream)
        .await
        .expect("a WebSocket");
    let first = patiently("the first message", socket.next()).await;
    let first = first.expect("a message").expect("a message");
    serde_json::from_str(first.to_text().expect("text")).expect("JSON")
}

/// What the server shows, whoever signed it.
pub(crate) async fn certificate_of(server: &Server) -> CertificateDer<'static> {
    let config = builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    let stream = handshake(server, "localhost", &Arc::new(config))
        .await
        .expect("a handshake");
    let chain = stream.get_ref().1.peer_certificates();
    chain.expect("a certificate")[0].clone().into_owned()
}

fn builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    let provider = Arc::new(crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
}

pub(crate) fn trusting(certificate: &CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a certificate");
    Arc::new(
        builder()
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(("127.0.0.1", server.port()))
        .await
        .expect("connect")
}

pub(crate) async fn handshake(
    server: &Server,
    name: &str,
    config: &Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let connecting = TlsConnector::from(config.clone()).connect(name, connect(server).await);
    patiently("a handshake", connecting).await
}

struct Pair {
    certificate: CertificateDer<'static>,
    chain: String,
    key: String,
}

/// A folder for one test.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("crosspoint-tls-{}", rand::random::<u64>()));
        std::fs::create_dir(&path).expect("a folder");
        Self(path)
    }

    pub(super) fn at(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").to_owned()
    }

    fn make() -> Pair {
        Self::made_until(2099)
    }

    /// A certificate that is good until that year begins.
    fn made_until(year: i32) -> Pair {
        let names = ["localhost".to_owned()];
        let mut parameters = rcgen::CertificateParams::new(names).expect("names");
        parameters.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        Pair {
            certificate: certificate.der().clone(),
            chain: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    fn put(&self, pair: &Pair) {
        std::fs::write(self.at("chain"), &pair.chain).expect("write");
        std::fs::write(self.at("key"), &pair.key).expect("write");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
