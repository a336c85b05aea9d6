//! What other servers are told of the rooms.

use std::sync::Arc;

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use ring::hmac;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::support::collector::{Answer, Collector, Told};
use crate::support::watched::patiently;
use crate::support::{Client, Dialect, Server, Setup, Signaling};

const SECRET: &str = "a-secret-for-this-test";
const OK: Answer = Answer::Status(StatusCode::OK);

async fn server(urls: &[&str]) -> Server {
    let mut options = vec!["--webhook-secret", SECRET, "--drain-timeout", "0"];
    for url in urls {
        options.extend(["--webhook-url", url]);
    }
    Server::with(&options).await
}

/// The event, if it is signed as it should be.
fn verified(told: &Told) -> Value {
    let (id, at) = (told.header("webhook-id"), told.header("webhook-timestamp"));
    let signature = told.header("webhook-signature");
    let signature = signature.strip_prefix("v1,").expect("version 1");
    let signature = STANDARD.decode(signature).expect("base64");
    let signed = [format!("{id}.{at}.").as_bytes(), &told.body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::verify(&key, &signed, &signature).expect("the signature");
    let event = told.json();
    assert_eq!(event["id"], id);
    event
}

fn in_words(event: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, who) = (word(&event["type"]), word(&event["participant"]["name"]));
    let words = [kind, who, word(&event["track"]["source"])];
    words.join(" ").trim_end().to_owned()
}

#[tokio::test]
async fn the_life_of_a_room_is_told_in_order_signed_and_again_where_it_failed() {
    // The first event is taken at the third time.
    let receiver = Collector::start(|number| match number {
        0 => Answer::Status(StatusCode::INTERNAL_SERVER_ERROR),
        1 => Answer::Status(StatusCode::TOO_MANY_REQUESTS),
        _ => OK,
    })
    .await;
    let server = server(&[&receiver.url("/hook")]).await;
    let alice = Client::join(&server, Setup::new("alice").room("demo")).await;
    let bob = Client::join(&server, Setup::new("bob").room("demo").viewer(1)).await;
    let camera = bob.track_from(&alice, "video").await.track;
    alice.signaling.send(json!({"type": "hang-up"}));
    alice.signaling.close();
    let told = receiver.told(10).await;
    assert_eq!(in_words(&told[9].json()), "participant-left alice");
    bob.signaling.close();

    let told = receiver.told(12).await;
    assert!(told.iter().all(|told| told.path == "/hook"));
    let events: Vec<Value> = told.iter().map(verified).collect();
    assert!(
        events[..3].iter().all(|event| event == &events[0]),
        "{events:#?}"
    );
    let events = &events[2..];
    let words: Vec<String> = events.iter().map(in_words).collect();
    assert_eq!(
        words,
        [
            "room-started",
            "participant-joined alice",
            "track-published alice microphone",
            "track-published alice camera",
            "participant-joined bob",
            "track-unpublished alice microphone",
            "track-unpublished alice camera",
            "participant-left alice",
            "participant-left bob",
            "room-ended",
        ]
    );
    for event in events {
        assert_eq!(event["room"], "demo");
        assert!(event["date"].as_u64() > Some(1_700_000_000_000));
    }
    assert_eq!(
        events[1]["participant"],
        json!({"id": alice.id, "name": "alice"})
    );
    let track = json!({"track": camera, "kind": "video", "source": "camera", "muted": false});
    assert_eq!(events[3]["track"], track);
}

#[tokio::test]
async fn one_receiver_that_is_silent_holds_up_nobody_and_redirects_lead_nowhere() {
    let silent = Collector::start(|_| Answer::Silence).await;
    let elsewhere = Collector::start(|_| Answer::Redirect("/other")).await;
    let quick = Collector::start(|_| OK).await;
    let urls = [silent.url("/a"), elsewhere.url("/b"), quick.url("/c")];
    let server = server(&[&urls[0], &urls[1], &urls[2]]).await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    alice.start_media();
    bob.hears(&alice).await;
    assert_eq!(quick.told(7).await.len(), 7);
    let refused = elsewhere.told(7).await;
    assert!(refused.iter().all(|told| told.path == "/b"), "{refused:?}");
    assert_eq!(silent.told(1).await.len(), 1);
}

/// A receiver with HTTPS and a certificate of this key; the first request that it is sent, or why there is none.
async fn receive_by_tls(
    listener: TcpListener,
    certified: &CertifiedKey<KeyPair>,
) -> std::io::Result<String> {
    let key = certified.signing_key.serialize_der();
    let key = PrivateKeyDer::try_from(key).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .expect("a certificate");
    let (stream, _) = listener.accept().await?;
    let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await?;
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        if stream.read_buf(&mut request).await? == 0 {
            break;
        }
    }
    let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
    stream.write_all(answer).await?;
    Ok(String::from_utf8_lossy(&request).into_owned())
}

#[tokio::test]
async fn https_is_spoken_with_whom_the_system_trusts_and_nobody_else() {
    let name = vec!["localhost".to_owned()];
    let trusted = generate_simple_self_signed(name.clone()).expect("a certificate");
    let other = generate_simple_self_signed(name).expect("a certificate");
    let folder = std::env::temp_dir().join(format!("crosspoint-webhooks-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let authorities = folder.join("authorities.pem");
    std::fs::write(&authorities, trusted.cert.pem()).expect("a file");

    let good = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let bad = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = |listener: &TcpListener| {
        let port = listener.local_addr().expect("an address").port();
        format!("https://localhost:{port}/hook")
    };
    let (good_url, bad_url) = (url(&good), url(&bad));
    let mut options = vec!["--webhook-secret", SECRET];
    options.extend(["--webhook-url", &good_url, "--webhook-url", &bad_url]);
    let trust = |command: &mut Command| {
        command.env("SSL_CERT_FILE", &authorities);
        command.env_remove("SSL_CERT_DIR");
    };
    let server = Server::prepared(&options, trust).await;
    let _alice = Signaling::connect(&server, "demo", Dialect::V1).await;
    let both = async {
        let good = receive_by_tls(good, &trusted);
        tokio::join!(good, receive_by_tls(bad, &other))
    };
    let (received, refused) = patiently("both receivers", both).await;
    let received = received.expect("a request");
    let first = received.lines().next();
    assert_eq!(first, Some("POST /hook HTTP/1.1"), "{received}");
    assert!(received.contains("room-started"), "{received}");
    let refused = refused.expect_err("no request").to_string();
    assert!(refused.contains("alert"), "{refused}");
    let _ = std::fs::remove_dir_all(folder);
}

#[tokio::test]
async fn what_happens_last_is_told_before_the_server_ends() {
    let receiver = Collector::start(|_| OK).await;
    let mut server = server(&[&receiver.url("/")]).await;
    let _alice = Client::join(&server, Setup::new("alice")).await;
    receiver.told(4).await;
    server.terminate();
    assert!(server.exited().await.success());
    let told = receiver.told(8).await;
    let words: Vec<String> = told.iter().map(|told| in_words(&verified(told))).collect();
    let last = [
        "track-unpublished alice microphone",
        "track-unpublished alice camera",
        "participant-left alice",
        "room-ended",
    ];
    assert_eq!(words[4..], last);
}
