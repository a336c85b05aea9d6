//! What breaks around the server: its log, the clock, a client that reads no more.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Client, Server, Setup, Signaling};

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_log_that_cannot_be_written_ends_nothing() {
    let server = Server::prepared(&["--log", "debug"], |command| {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        command.stderr(full.expect("a device that is always full"));
    })
    .await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    alice.start_media();
    bob.start_media();
    alice.hears(&bob).await;
    bob.hears(&alice).await;
    let health = server.get("/health").await;
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
}

/// The clock is another one for the server alone, by libfaketime.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_clock_that_jumps_disturbs_nobody() {
    let library = libfaketime();
    let told = std::env::temp_dir().join(format!("crosspoint-clock-{}", std::process::id()));
    std::fs::write(&told, "+0").expect("write");
    let server = Server::prepared(&[], |command| {
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME_TIMESTAMP_FILE", &told)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    })
    .await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    alice.start_media();
    bob.start_media();
    alice.hears(&bob).await;
    for jump in ["+7d", "-400d", "+20y"] {
        std::fs::write(&told, jump).expect("write");
        alice.hears(&bob).await;
        bob.hears(&alice).await;
        let carol = Client::join(&server, Setup::new("carol")).await;
        carol.start_media();
        alice.hears(&carol).await;
        carol.hears(&bob).await;
        carol.signaling.close();
        carol.signaling.expect_closed().await;
        alice.no_track_from(carol.id).await;
    }
    std::fs::remove_file(&told).expect("remove");
}

/// The library that gives a process another clock.
#[cfg(target_os = "linux")]
pub(super) fn libfaketime() -> PathBuf {
    let libraries = std::fs::read_dir("/usr/lib").expect("libraries").flatten();
    let mut libraries = libraries.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    let library = libraries.find(|library| library.exists());
    library.expect("libfaketime: tests/install installs it")
}

#[tokio::test]
async fn who_stops_reading_is_let_go_and_the_others_do_not_notice() {
    let options = [
        "--max-messages-per-second",
        "100000",
        "--resume-timeout",
        "1",
    ];
    let server = Server::with(&options).await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    alice.start_media();
    bob.start_media();
    alice.hears(&bob).await;
    let mut deaf = Signaling::deaf(&server, "lobby").await;
    deaf.say(json!({"type": "username", "name": "deaf"})).await;
    let came = |message: &serde_json::Value| message["name"] == "deaf";
    bob.signaling.expect_where("participant", came).await;
    // More than any buffer on the way holds.
    let text = "x".repeat(60_000);
    let left = async {
        bob.signaling
            .expect_where("participant", |message| {
                message["name"] == "deaf" && message["state"] == "left"
            })
            .await
    };
    let floods = async {
        loop {
            let flood = json!({"type": "x-flood", "target": "deaf", "text": text});
            alice.signaling.send_raw(Message::text(flood.to_string()));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = left => {}
        () = floods => {}
    }
    alice.hears(&bob).await;
    bob.hears(&alice).await;
    #[cfg(target_os = "linux")]
    assert!(server.resident() < 300 * 1024 * 1024);
    drop(deaf);
}
