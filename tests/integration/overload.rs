//! More than the server was told to take, and its end while there are calls.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::sdp;
use crate::support::{Client, Dialect, Server, Setup, Signaling};

/// Tries to come in until that is answered as expected: with an error of this code, or with none.
async fn until_told(server: &Server, code: Option<&str>) {
    loop {
        let signaling = Signaling::connect(server, "lobby", Dialect::V1).await;
        let first = signaling
            .inbox
            .until("a first message", |inbox| inbox.waiting.first().cloned());
        let first = first.await;
        let told = (first["type"] == "error").then(|| first["code"].clone());
        if let Some(told) = &told {
            assert_eq!(first["fatal"], true, "{first}");
            assert_eq!(signaling.expect_closed().await, Some(1013), "{told}");
        }
        if told == code.map(Value::from) {
            return;
        }
        signaling.close();
        signaling.expect_closed().await;
    }
}

/// Keeps a shard busy with what belongs to nobody, until it is dropped.
struct Noise(Arc<AtomicBool>);

impl Noise {
    fn to(port: u16) -> Self {
        let goes_on = Arc::new(AtomicBool::new(true));
        for _ in 0..2 {
            let goes_on = goes_on.clone();
            std::thread::spawn(move || {
                let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
                while goes_on.load(Ordering::Relaxed) {
                    // Few enough that none is lost, nor anything of the call.
                    for _ in 0..20 {
                        let _ = socket.send_to(&[0x80; 40], ("127.0.0.1", port));
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
        }
        Self(goes_on)
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_server_with_too_much_to_do_takes_nobody_more_and_keeps_whom_it_has() {
    let options = ["--max-cpu", "10", "--shards", "1"];
    let server = Server::with(&[&options[..], &["--max-joins-per-second", "10000"]].concat()).await;
    let guest = Signaling::connect(&server, "lobby", Dialect::V1).await;
    guest.take_name("guest").await;
    guest.settle().await;
    let mut alice = Client::join(&server, Setup::new("alice").room("busy")).await;
    let bob = Client::join(&server, Setup::new("bob").room("busy")).await;
    alice.start_media();
    bob.start_media();
    bob.hears(&alice).await;
    let sdp = bob.described.read(|described| described.sdp.clone());
    let noise = Noise::to(sdp::candidate(&sdp).expect("a candidate").port());
    until_told(&server, Some("overloaded")).await;
    // Who is there and was in no call may stay, but not begin one.
    guest.send(json!({"type": "video-offer", "sdp": "v=0"}));
    let error = guest.expect_error("overloaded").await;
    assert_eq!(error["fatal"], false);
    // The others go on, and so does one whose socket broke.
    bob.hears(&alice).await;
    alice.signaling.abort();
    alice.signaling.expect_closed().await;
    let hello = alice.resume(&server).await;
    assert_eq!(hello["resumed"], true);
    alice.hears(&bob).await;
    drop(noise);
    until_told(&server, None).await;
}

#[cfg(unix)]
#[tokio::test]
async fn sigterm_lets_calls_come_to_their_end_and_nobody_new_in() {
    let mut server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    alice.start_media();
    bob.hears(&alice).await;
    server.terminate();
    until_told(&server, Some("draining")).await;
    let ready = server.get("/ready").await;
    assert!(
        ready.contains("503") && ready.ends_with("draining"),
        "{ready}"
    );
    bob.hears(&alice).await;
    for client in [&alice, &bob] {
        client.signaling.send(json!({"type": "hang-up"}));
    }
    for client in [&alice, &bob] {
        assert_eq!(client.signaling.expect_closed().await, Some(1012));
    }
    assert_eq!(server.exited().await.code(), Some(0));
}

#[cfg(unix)]
#[tokio::test]
async fn draining_ends_after_its_time_and_with_another_signal() {
    for (timeout, more) in [("0", None), ("3600", Some("TERM")), ("3600", Some("INT"))] {
        let mut server = Server::with(&["--drain-timeout", timeout]).await;
        let alice = Client::join(&server, Setup::new("alice")).await;
        server.terminate();
        if let Some(signal) = more {
            server.logs("draining").await;
            server.signal(signal);
        }
        assert_eq!(alice.signaling.expect_closed().await, Some(1012));
        assert_eq!(server.exited().await.code(), Some(0));
    }
}
