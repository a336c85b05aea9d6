//! The program: its options, its pages, its end.

use std::time::{Duration, Instant};

use crate::support::server::{counted, run};
use crate::support::{Client, Dialect, Server, Setup, Signaling};

#[cfg(unix)]
#[tokio::test]
async fn it_ends_when_asked_and_says_goodbye() {
    let mut server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    alice.start_media();
    bob.hears(&alice).await;
    let classic = Signaling::connect(&server, "lobby", Dialect::Classic).await;
    classic.expect("id").await;
    let asked = Instant::now();
    server.signal("INT");
    for client in [&alice, &bob] {
        let error = client.signaling.expect("error").await;
        assert_eq!(error["fatal"], true, "{error}");
        assert_eq!(client.signaling.expect_closed().await, Some(1012));
    }
    assert_eq!(classic.expect_closed().await, Some(1012));
    let status = server.exited().await;
    assert_eq!(status.code(), Some(0));
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(5), "it took {took:?}");
}

#[tokio::test]
async fn a_wrong_option_is_explained() {
    let output = run(&["--log-format", "xml"]).await;
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("text") && error.contains("json"), "{error}");
    let output = run(&["--no-such-option"]).await;
    assert_eq!(output.status.code(), Some(2));
    let output = run(&["--max-rooms", "many"]).await;
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("max-rooms"), "{error}");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
    let port = socket.local_addr().expect("an address").port().to_string();
    let output = run(&["--listen", "127.0.0.1:0", "--udp-port", &port]).await;
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains(&port), "{error}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address").to_string();
    let output = run(&["--listen", &address, "--udp-port", "0"]).await;
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains(&address), "{error}");
}

#[tokio::test]
async fn it_says_its_version() {
    let output = run(&["--version"]).await;
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(env!("CARGO_PKG_VERSION")), "{text}");
}

#[tokio::test]
async fn it_serves_the_page_and_its_health() {
    let server = Server::start().await;
    let health = server.get("/health").await;
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    assert!(
        health.ends_with("\r\n\r\nok") || health.contains("\nok"),
        "{health}"
    );
    for path in ["/", "/r/some-room"] {
        let page = server.get(path).await;
        assert!(page.starts_with("HTTP/1.1 200"), "{path}: {page}");
        let head = page.to_ascii_lowercase();
        assert!(head.contains("content-type: text/html"), "{path}: {page}");
        assert!(
            head.contains("content-security-policy: ") && head.contains("script-src 'self'"),
            "{path}: {page}"
        );
    }
    let missing = server.get("/no/such/page").await;
    assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
}

#[tokio::test]
async fn other_origins_are_refused_where_a_list_says_so() {
    let server = Server::with(&["--allowed-origins", "https://good.example"]).await;
    let request = |origin: &str| {
        format!(
            "GET /ws?room=lobby HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    };
    let good = server.first_line(&request("https://good.example")).await;
    assert!(good.starts_with("HTTP/1.1 101"), "{good}");
    let bad = server.first_line(&request("https://evil.example")).await;
    assert!(bad.starts_with("HTTP/1.1 403"), "{bad}");
}

#[tokio::test]
async fn metrics_count_what_passes() {
    let server = Server::start().await;
    let sent = |metrics: &str| counted(metrics, "crosspoint_sent_datagrams_total");
    let before = server.get("/metrics").await;
    assert_eq!(sent(&before), 0.0, "{before}");
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    alice.start_media();
    bob.hears(&alice).await;
    // They are published a few times a second.
    let metrics = loop {
        let metrics = server.get("/metrics").await;
        if sent(&metrics) >= 10.0 {
            break metrics;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let calls = counted(&metrics, "crosspoint_sends_total");
    assert!(calls >= 1.0 && calls <= sent(&metrics), "{metrics}");
    assert!(
        counted(&metrics, "crosspoint_received_bytes_total") > 1_000.0,
        "{metrics}"
    );
    assert_eq!(
        counted(&metrics, "crosspoint_refused_datagrams_total"),
        0.0,
        "{metrics}"
    );
    #[cfg(target_os = "linux")]
    assert!(
        metrics.contains("\ncrosspoint_kernel_dropped_datagrams_total{shard=\"0\"} "),
        "{metrics}"
    );
}
