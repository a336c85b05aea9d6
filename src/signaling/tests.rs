//! Real sockets against the front door.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::*;
use crate::access::{KeySource, Keys};
use crate::entrance::{self, HalfOpen};
use crate::negotiation;
use crate::room::{Limits, Rooms, RoomsConfig, ShardAddress};
use crate::shard::{Command, Event, Fingerprint, FingerprintHash};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

#[derive(Clone, Default)]
struct FakeShards(Arc<Mutex<Vec<(usize, Command)>>>);

impl Shards for FakeShards {
    fn send(&self, shard: usize, command: Command) {
        self.0.lock().unwrap().push((shard, command));
    }
}

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
    control: JoinHandle<()>,
    _events: mpsc::Sender<(usize, Event)>,
}

async fn start(settings: SignalingSettings) -> Server {
    let rooms = Rooms::new(RoomsConfig {
        limits: Limits::default(),
        negotiation: negotiation::Limits::default(),
        red: true,
        ring_timeout: Duration::from_secs(60),
        resume_timeout: Duration::from_secs(30),
        fingerprint: Fingerprint {
            hash: FingerprintHash::Sha256,
            bytes: vec![7; 32],
        },
        shards: vec![ShardAddress::default()],
        shared_port: false,
        peers_together: 16,
        ice_servers: crate::turn::IceServers::default(),
        seed: [1; 32],
        started: Instant::now(),
        started_unix_ms: 0,
    });
    let (events, received) = mpsc::channel(8);
    let (handle, control) = spawn(rooms, FakeShards::default(), received, |_, _| {});
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let stopped = async { stopped.await.unwrap_or_default() };
    let doors = entrance::open(listener, None, HalfOpen::default());
    let serving = tokio::spawn(serve(doors.main, handle, Arc::new(settings), stopped));
    Server {
        address,
        stop,
        serving,
        control,
        _events: events,
    }
}

impl Server {
    async fn dial(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<(Socket, Option<String>), Error> {
        let mut request = format!("ws://{}{path}", self.address).into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (socket, response) = connect_async(request).await?;
        let protocol = response.headers().get("sec-websocket-protocol");
        Ok((
            socket,
            protocol.map(|protocol| protocol.to_str().unwrap().to_owned()),
        ))
    }

    async fn v1(&self, path: &str) -> Socket {
        let (socket, protocol) = self
            .dial(path, &[("sec-websocket-protocol", "json, crosspoint.v1")])
            .await
            .unwrap();
        assert_eq!(protocol.as_deref(), Some("crosspoint.v1"));
        socket
    }

    /// The head and the body of a response.
    async fn get(&self, path: &str, headers: &str) -> (String, String) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await.unwrap();
        let response = String::from_utf8(response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.to_lowercase(), body.to_owned())
    }
}

async fn next(socket: &mut Socket) -> Message {
    tokio::time::timeout(Duration::from_secs(5), socket.next())
        .await
        .expect("a frame in time")
        .expect("a frame")
        .expect("a good frame")
}

async fn hear(socket: &mut Socket) -> Value {
    let frame = next(socket).await;
    serde_json::from_str(frame.to_text().unwrap()).unwrap()
}

async fn say(socket: &mut Socket, message: Value) {
    socket
        .send(Message::text(message.to_string()))
        .await
        .unwrap();
}

async fn close_code(socket: &mut Socket) -> u16 {
    loop {
        if let Message::Close(frame) = next(socket).await {
            return frame.map_or(1005, |frame| frame.code.into());
        }
    }
}

#[tokio::test]
async fn two_clients_chat_and_both_are_told_when_the_server_goes_down() {
    let server = start(SignalingSettings::default()).await;
    let mut anna = server.v1("/ws?room=demo").await;
    assert_eq!(hear(&mut anna).await["room"], "demo");
    say(&mut anna, json!({"type": "username", "name": "Anna"})).await;

    // As MDN's sample does: at the root, with `json`.
    let (mut ben, protocol) = server
        .dial("/?room=demo", &[("sec-websocket-protocol", "json")])
        .await
        .unwrap();
    assert_eq!(protocol.as_deref(), Some("json"));
    let id = hear(&mut ben).await;
    assert_eq!(id.as_object().unwrap().len(), 2);
    say(
        &mut ben,
        json!({"type": "username", "name": "Ben", "date": 1, "id": id["id"]}),
    )
    .await;
    assert_eq!(
        hear(&mut ben).await,
        json!({"type": "userlist", "users": ["Anna", "Ben"]})
    );
    assert_eq!(hear(&mut anna).await["name"], "Ben");
    say(
        &mut ben,
        json!({"type": "message", "text": "hi", "date": 1, "id": id["id"]}),
    )
    .await;
    assert_eq!(hear(&mut anna).await["text"], "hi");
    assert_eq!(hear(&mut ben).await["text"], "hi");

    let began = Instant::now();
    server.stop.send(()).unwrap();
    assert_eq!(hear(&mut anna).await["fatal"], true);
    assert_eq!(close_code(&mut anna).await, 1012);
    assert_eq!(close_code(&mut ben).await, 1012);
    server.serving.await.unwrap().unwrap();
    server.control.await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn readiness_is_told_to_whoever_asks() {
    let readiness = Readiness::default();
    let server = start(SignalingSettings {
        readiness: readiness.clone(),
        ..SignalingSettings::default()
    })
    .await;
    for (phase, status, word) in [
        (Phase::Starting, "503", "starting"),
        (Phase::Ready, "200", "ready"),
        (Phase::Draining, "503", "draining"),
    ] {
        readiness.set(phase);
        let (head, body) = server.get("/ready", "").await;
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
        assert!(head.contains("cache-control: no-store"), "{head}");
        assert_eq!(body, word);
    }
}

#[tokio::test]
async fn a_cut_socket_is_resumed_and_a_closed_one_has_left() {
    let server = start(SignalingSettings::default()).await;
    let mut anna = server.v1("/ws").await;
    hear(&mut anna).await;
    say(&mut anna, json!({"type": "username", "name": "Anna"})).await;
    let mut ben = server.v1("/ws").await;
    let token = hear(&mut ben).await["resume"].as_str().unwrap().to_owned();
    assert_eq!(hear(&mut ben).await["name"], "Anna");
    say(&mut ben, json!({"type": "username", "name": "Ben"})).await;
    assert_eq!(hear(&mut anna).await["state"], "joined");
    drop(ben);

    let mut ben = server.v1(&format!("/ws?resume={token}")).await;
    assert_eq!(hear(&mut ben).await["resumed"], true);
    say(&mut ben, json!({"type": "message", "text": "back"})).await;
    assert_eq!(hear(&mut anna).await["text"], "back");

    let going_away = tokio_tungstenite::tungstenite::protocol::CloseFrame {
        code: 1001.into(),
        reason: "".into(),
    };
    ben.close(Some(going_away)).await.unwrap();
    assert_eq!(hear(&mut anna).await["state"], "left");

    let mut late = server.v1("/ws?resume=nonsense").await;
    assert_eq!(hear(&mut late).await["code"], "resume-failed");
    assert_eq!(close_code(&mut late).await, 4404);
}

#[tokio::test]
async fn large_messages_are_answered_and_huge_ones_end_the_socket() {
    let server = start(SignalingSettings::default()).await;
    let mut anna = server.v1("/ws").await;
    hear(&mut anna).await;
    say(
        &mut anna,
        json!({"type": "message", "text": "x".repeat(300 * 1024)}),
    )
    .await;
    assert_eq!(hear(&mut anna).await["code"], "too-large");
    anna.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(hear(&mut anna).await["code"], "bad-json");
    // The server may stop reading before all of it is sent.
    let _ = anna.send(Message::text("x".repeat(2 * 1024 * 1024))).await;
    let ended = tokio::time::timeout(Duration::from_secs(5), async {
        while let Some(Ok(_)) = anna.next().await {}
    });
    ended.await.expect("the socket ends");
}

#[tokio::test]
async fn only_listed_origins_open_sockets_when_there_is_a_list() {
    let server = start(SignalingSettings {
        allowed_origins: Some(vec!["https://example.org".to_owned()]),
        ..SignalingSettings::default()
    })
    .await;
    let refused = server
        .dial("/ws", &[("origin", "https://evil.example")])
        .await;
    match refused {
        Err(Error::Http(response)) => assert_eq!(response.status(), 403),
        other => panic!("not refused: {other:?}"),
    }
    server
        .dial("/ws", &[("origin", "https://example.org")])
        .await
        .unwrap();
    server.dial("/ws", &[]).await.unwrap();
}

#[tokio::test]
async fn metrics_are_written_anew_for_each_request() {
    let server = start(SignalingSettings::default()).await;
    let (head, _) = server.get("/metrics", "").await;
    assert!(head.starts_with("http/1.1 404"), "{head}");

    let requests = std::sync::atomic::AtomicUsize::new(0);
    let source = MetricsSource::new(move |rooms| {
        let before = requests.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(rooms.map(|rooms| rooms.rooms), Some(0));
        format!("requests {before}\n")
    });
    let server = start(SignalingSettings {
        metrics: Some(source),
        ..SignalingSettings::default()
    })
    .await;
    for expected in ["requests 0\n", "requests 1\n"] {
        let (head, body) = server.get("/metrics", "").await;
        assert!(
            head.contains("content-type: text/plain; version=0.0.4"),
            "{head}"
        );
        assert_eq!(body, expected);
    }
}

#[tokio::test]
async fn http_is_answered_with_strict_headers() {
    let server = start(SignalingSettings::default()).await;
    let (head, body) = server.get("/health", "").await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(
        head.contains("connect-src 'self' ws://x wss://x\r\n"),
        "{head}"
    );
    assert!(!head.contains("strict-transport-security"), "{head}");
    assert_eq!(body, "ok");
    for path in ["/nothing/here.js", "/../Cargo.toml", "/r/a%20b", "/r/"] {
        let (head, body) = server.get(path, "").await;
        assert!(head.starts_with("http/1.1 404"), "{path}: {head}");
        assert!(
            body.contains("/r/NAME") || body.contains("no room"),
            "{path}: {body}"
        );
    }
    let (head, _) = server.get("/ws", "").await;
    assert!(head.starts_with("http/1.1 4"), "{head}");
}

#[tokio::test]
async fn operators_need_the_token() {
    let server = start(SignalingSettings::default()).await;
    let given = "Authorization: Bearer 0123456789abcdef\r\n";
    let (head, _) = server.get("/api/v1/rooms", given).await;
    assert!(head.starts_with("http/1.1 404"), "{head}");

    let server = start(SignalingSettings {
        operator_token: Some(OperatorToken::new("0123456789abcdef")),
        ..SignalingSettings::default()
    })
    .await;
    for wrong in ["", "Authorization: Bearer 0123456789abcdeg\r\n"] {
        for path in ["/api/v1/rooms", "/api/v1/else"] {
            let (head, body) = server.get(path, wrong).await;
            assert!(head.starts_with("http/1.1 401"), "{head}");
            assert!(head.contains("www-authenticate: bearer"), "{head}");
            assert!(body.contains("--operator-token"), "{body}");
        }
    }
    let mut anna = server.v1("/ws?room=demo").await;
    hear(&mut anna).await;
    let (head, body) = server.get("/api/v1/rooms", given).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(head.contains("cache-control: no-store"), "{head}");
    let rooms: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(rooms["rooms"][0]["name"], "demo");
    let missing = "/api/v1/rooms/demo/participants/77/timelines";
    for (path, code) in [
        (missing, "no-such-participant"),
        ("/api/v1/x", "no-such-path"),
    ] {
        let (head, body) = server.get(path, given).await;
        assert!(head.starts_with("http/1.1 404"), "{head}");
        let error: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(error["error"]["code"], code);
    }
}

#[tokio::test]
async fn every_answer_says_what_browsers_must_not_do() {
    let settings = SignalingSettings {
        by_https_only: true,
        operator_token: Some(OperatorToken::new("0123456789abcdef")),
        ..SignalingSettings::default()
    };
    let server = start(settings).await;
    for path in [
        "/",
        "/r/a",
        "/check",
        "/health",
        "/none",
        "/ws",
        "/api/v1/rooms",
        "/app/main.js",
    ] {
        let (head, _) = server.get(path, "").await;
        for words in [
            "content-security-policy: default-src 'none'; script-src 'self';",
            "frame-ancestors 'self'",
            "x-frame-options: sameorigin",
            "x-content-type-options: nosniff",
            "referrer-policy: same-origin",
            "permissions-policy: camera=(self)",
            "cross-origin-resource-policy: same-origin",
            "strict-transport-security: max-age=31536000",
        ] {
            assert!(head.contains(words), "{path}: {words} in {head}");
        }
        assert!(!head.contains("unsafe-"), "{path}: {head}");
    }
}

/// Reads to the end of a connection; gives what came.
async fn rest(stream: &mut TcpStream) -> String {
    use tokio::io::AsyncReadExt;
    let mut bytes = Vec::new();
    // However it ends.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The clock runs as soon as everybody waits: what waits for ever is never over.
#[tokio::test(start_paused = true)]
async fn who_does_not_finish_a_request_or_says_nothing_is_not_waited_for() {
    use tokio::io::AsyncWriteExt;
    let server = start(SignalingSettings::default()).await;
    let connect = || TcpStream::connect(server.address);
    let began = tokio::time::Instant::now();
    for said in ["", "GET / HT", "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let mut stream = connect().await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        let is_whole = said.ends_with("\r\n\r\n");
        assert_eq!(
            answer.starts_with("HTTP/1.1 200"),
            is_whole,
            "{said:?}: {answer}"
        );
    }
    // And one that asks again and again, to stay.
    let mut stream = connect().await.unwrap();
    let (mut read, mut write) = stream.split();
    let asks = async {
        let ask = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n".as_bytes();
        while write.write_all(ask).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    };
    let mut sink = tokio::io::sink();
    tokio::select! {
        () = asks => {}
        _ = tokio::io::copy(&mut read, &mut sink) => {}
    }
    let took = began.elapsed();
    assert!(took > Duration::from_secs(60), "{took:?}");
    assert!(took < Duration::from_secs(200), "{took:?}");
}

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn token(claims: &Value) -> String {
    use jsonwebtoken::{EncodingKey, Header, encode};
    encode(
        &Header::default(),
        claims,
        &EncodingKey::from_secret(SECRET),
    )
    .unwrap()
}

#[tokio::test]
async fn without_a_good_token_nobody_comes_in_and_each_is_told_why() {
    let source = KeySource::Secret {
        id: "main".to_owned(),
        secret: SECRET.to_vec(),
    };
    let server = start(SignalingSettings {
        keys: Keys::read(&[source]).unwrap(),
        ..SignalingSettings::default()
    })
    .await;
    let exp = |seconds: i64| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.unwrap().as_secs() as i64 + seconds
    };
    let good = token(&json!({"exp": exp(60), "room": "demo", "name": "Anna"}));
    let late = token(&json!({"exp": exp(-60)}));
    let long = "x".repeat(5_000);
    for (query, code, words, status) in [
        ("room=demo".to_owned(), "token-required", "invited", 401),
        (
            "room=demo&token=".to_owned(),
            "token-required",
            "invited",
            401,
        ),
        (
            "room=demo&token=nonsense".to_owned(),
            "bad-token",
            "copied",
            401,
        ),
        (format!("room=demo&token={long}"), "bad-token", "4096", 401),
        (
            format!("room=demo&token={late}"),
            "token-expired",
            "new one",
            401,
        ),
        (
            format!("room=other&token={good}"),
            "wrong-room",
            "demo",
            403,
        ),
        // Without a room it is the lobby, for tokens too.
        (format!("token={good}"), "wrong-room", "demo", 403),
    ] {
        let path = format!("/ws?{query}");
        let mut socket = server.v1(&path).await;
        let error = hear(&mut socket).await;
        assert_eq!(
            (&error["type"], &error["code"], &error["fatal"]),
            (&json!("error"), &json!(code), &json!(true))
        );
        assert!(
            error["message"].as_str().unwrap().contains(words),
            "{error}"
        );
        assert_eq!(close_code(&mut socket).await, 4401, "{code}");
        match server.dial(&path, &[]).await {
            Err(Error::Http(response)) => {
                assert_eq!(response.status(), status);
                assert_eq!(response.headers()["www-authenticate"], "Bearer");
            }
            other => panic!("not refused: {other:?}"),
        }
    }
    let mut anna = server.v1(&format!("/ws?room=demo&token={good}")).await;
    let id = hear(&mut anna).await;
    assert_eq!(
        (&id["name"], &id["grants"]["chat"]),
        (&json!("Anna"), &json!(true))
    );
    say(&mut anna, json!({"type": "message", "text": "hi"})).await;
    assert_eq!(hear(&mut anna).await["name"], "Anna");
    // A session is taken up again with its own secret, and no token.
    drop(anna);
    let resume = format!("/ws?resume={}", id["resume"].as_str().unwrap());
    assert_eq!(hear(&mut server.v1(&resume).await).await["resumed"], true);
    // At the root too, where a classic client comes.
    let (mut ben, _) = server
        .dial(&format!("/?room=demo&token={good}"), &[])
        .await
        .unwrap();
    assert_eq!(hear(&mut ben).await["type"], "id");
    assert!(server.dial("/?room=demo", &[]).await.is_err());
}
