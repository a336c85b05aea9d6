//! Those who come to keep others out.

use tokio::net::TcpStream;

use crate::support::{Client, Dialect, Server, Setup, Signaling};

/// As many sockets as may be open here, and more than the server would want.
const SILENT: usize = 10_000;

#[cfg(target_os = "linux")]
#[tokio::test]
async fn ten_thousand_sockets_that_say_nothing_keep_nobody_out() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit of open files");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("as many files as allowed");
    let server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    alice.start_media();
    bob.start_media();
    alice.hears(&bob).await;
    let mut silent = Vec::with_capacity(SILENT);
    for _ in 0..SILENT {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).await;
        silent.push(stream.expect("a socket"));
    }
    let health = server.get("/health").await;
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    let carol = Client::join(&server, Setup::new("carol")).await;
    carol.hears(&alice).await;
    alice.hears(&bob).await;
    bob.hears(&alice).await;
    // The server holds few of them.
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid()));
    let open = open.expect("the server's files").count();
    assert!(open < 400, "{open} are open");
    drop(silent);
}

#[tokio::test]
async fn who_comes_too_often_from_one_address_is_told_so() {
    let server = Server::with(&["--max-joins-per-second", "1"]).await;
    let mut all = Vec::new();
    for _ in 0..10 {
        let signaling = Signaling::connect(&server, "lobby", Dialect::V1).await;
        signaling.expect("id").await;
        all.push(signaling);
    }
    // A second may have passed meanwhile, but not ten.
    loop {
        let signaling = Signaling::connect(&server, "lobby", Dialect::V1).await;
        let first = signaling
            .inbox
            .until("a first message", |inbox| inbox.waiting.first().cloned());
        let first = first.await;
        if first["type"] == "error" {
            assert_eq!(first["code"], "too-many-joins");
            assert_eq!(signaling.expect_closed().await, Some(1013));
            return;
        }
        all.push(signaling);
    }
}
