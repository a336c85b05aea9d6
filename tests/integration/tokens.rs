//! Who comes in with which token, and what it grants.

use std::path::{Path, PathBuf};

use rcgen::{KeyPair, PKCS_ED25519};
use serde_json::{Value, json};

use crate::support::server::run;
use crate::support::{Client, Dialect, Server, Setup, Signaling};

pub const KEY: &str = "main:0123456789abcdef0123456789abcdef";

/// Makes a token for the lobby with `crosspoint token`, which says that and nothing else.
pub async fn mint(options: &[&str]) -> String {
    let all = [
        &["token", "--room", "lobby", "--token-secret", KEY],
        options,
    ]
    .concat();
    minted(&all).await
}

async fn minted(options: &[&str]) -> String {
    let output = run(options).await;
    assert!(output.status.success(), "{options:?}: {output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    let token = String::from_utf8(output.stdout).expect("text");
    let token = token.strip_suffix('\n').expect("one line");
    assert_eq!(token.split('.').count(), 3, "{token}");
    token.to_owned()
}

/// A folder that is removed when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("crosspoint-tokens-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file");
        shown(&path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn shown(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

#[tokio::test]
async fn tokens_of_both_algorithms_admit_and_are_never_logged() {
    let folder = Folder::new();
    let pair = KeyPair::generate_for(&PKCS_ED25519).expect("a pair");
    let private = format!("ed:{}", folder.write("private.pem", &pair.serialize_pem()));
    let public = format!("ed:{}", folder.write("public.pem", &pair.public_key_pem()));
    let config = folder.write("config.toml", &format!("token-secret = [\"{KEY}\"]\n"));
    let server = Server::with(&[
        "--config",
        &config,
        "--token-public-key",
        &public,
        "--require-tokens",
        "--log",
        "trace",
    ])
    .await;
    let ada = [
        "--identity",
        "ada",
        "--name",
        "Ada",
        "--publish",
        "none",
        "--moderate",
    ];
    let of_file = ["token", "--every-room", "--config", &config];
    let of_pair = [
        "token",
        "--room",
        "demo",
        "--token-private-key",
        &private,
        "--valid-for",
        "5m",
    ];
    for options in [&of_file[..], &of_pair[..]] {
        let token = minted(&[options, &ada].concat()).await;
        let path = format!("/ws?room=demo&token={token}");
        let signaling = Signaling::open(server.port(), &path, Dialect::V1).await;
        let id = signaling.expect("id").await;
        let grants = json!({"publish": [], "subscribe": true, "chat": true, "moderate": true});
        assert_eq!((&id["name"], &id["grants"]), (&json!("Ada"), &grants));
        signaling.settle().await;
        signaling.close();
        signaling.expect_closed().await;
        let log = server.log();
        for part in token.split('.') {
            assert!(!log.contains(part), "the log has {part}");
        }
        // One byte of the signature is another.
        let end = if path.ends_with("AA") { "BB" } else { "AA" };
        let wrong = format!("{}{end}", &path[..path.len() - 2]);
        let refused = Signaling::open(server.port(), &wrong, Dialect::V1).await;
        assert_eq!(refused.expect_error("bad-token").await["fatal"], true);
        assert_eq!(refused.expect_closed().await, Some(4401));
        let refused = Signaling::try_open(server.port(), &wrong, Dialect::Classic).await;
        assert_eq!(refused.err().map(|status| status.as_u16()), Some(401));
    }
    assert!(
        !server.log().contains("0123456789abcdef"),
        "the log has the secret"
    );
}

#[tokio::test]
async fn a_server_without_keys_says_that_it_is_open_or_does_not_start() {
    let server = Server::start().await;
    server.logs("this server is open").await;
    let output = run(&["--require-tokens"]).await;
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("--token-secret"), "{error}");
    let closed = Server::with(&["--token-secret", KEY]).await;
    let refused = Signaling::connect(&closed, "lobby", Dialect::V1).await;
    refused.expect_error("token-required").await;
    assert!(!closed.log().contains("this server is open"));
    for options in [
        &["--token-secret", "main:short"][..],
        &["--token-public-key", "main:/nowhere.pem"],
    ] {
        let output =
            run(&[options, &["--listen", "127.0.0.1:0", "--udp-port", "0"]].concat()).await;
        assert!(!output.status.success(), "{options:?}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            error.contains("main") || error.contains("nowhere"),
            "{error}"
        );
        assert!(!error.contains("main:short"), "{error}");
    }
    let output = run(&["token", "--room", "demo"]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let output = run(&["token", "--token-secret", KEY]).await;
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("--every-room"),
        "a token for all rooms is never a mistake: {error}"
    );
    assert!(output.stdout.is_empty());
}

#[tokio::test]
async fn the_load_generator_comes_in_with_a_token() {
    let server = Server::with(&["--token-secret", KEY]).await;
    let token = minted(&["token", "--every-room", "--token-secret", KEY]).await;
    let url = format!("ws://127.0.0.1:{}/ws?token={token}", server.port());
    let load = [
        "load",
        "--profile",
        "audio",
        "--publishers",
        "1",
        "--subscribers",
        "2",
        "--seconds",
        "1",
        "--warm-up",
        "0",
    ];
    let output = run(&[&load[..], &["--url", &url]].concat()).await;
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains(&token), "{said}");
}

#[tokio::test]
async fn media_goes_only_where_the_grants_allow() {
    let server = Server::with(&["--token-secret", KEY]).await;
    let all = mint(&[]).await;
    let speaker = mint(&["--publish", "microphone", "--no-chat"]).await;
    let silent = mint(&["--no-subscribe"]).await;
    let bob = Client::join(&server, Setup::new("bob").token(&all)).await;
    let alice = Client::join(&server, Setup::new("alice").token(&speaker)).await;
    let carol = Client::join(&server, Setup::new("carol").token(&silent)).await;
    for client in [&alice, &bob, &carol] {
        client.start_media();
    }
    let error = alice.signaling.expect_error("not-granted").await;
    assert_eq!(
        (&error["request"], &error["fatal"]),
        (&Value::Null, &json!(false))
    );
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|words| words.contains("camera"))
    );

    // Carol hears nobody, and everybody hears her.
    bob.hears(&carol).await;
    bob.hears_audio(&alice).await;
    alice.hears(&carol).await;
    alice.hears(&bob).await;
    assert_eq!(carol.received(), []);
    let remotes = carol.peer.happenings.read(|happenings| {
        let packets = happenings.remotes.iter().map(|remote| remote.packets.len());
        packets.sum::<usize>()
    });
    assert_eq!(remotes, 0, "carol was sent media");
    // Of Alice there is a voice, and no picture, though she sends one.
    assert!(
        bob.received()
            .iter()
            .all(|track| track.participant != alice.id || track.kind == "audio")
    );
    let told = bob.signaling.inbox.read(|inbox| {
        let last = inbox
            .all
            .iter()
            .rfind(|told| told["type"] == "participant" && told["id"] == alice.id);
        last.cloned()
    });
    let tracks = told.expect("alice was announced")["tracks"].clone();
    let sources: Vec<&str> = tracks
        .as_array()
        .expect("tracks")
        .iter()
        .filter_map(|track| track["source"].as_str())
        .collect();
    assert_eq!(sources, ["microphone"]);

    alice
        .signaling
        .send(json!({"type": "message", "text": "may I?"}));
    let error = alice.signaling.expect_error("not-granted").await;
    assert_eq!(error["request"], "message");
    bob.signaling.settle().await;
    assert!(
        bob.signaling
            .inbox
            .read(|inbox| inbox.all.iter().all(|told| told["text"] != "may I?"))
    );
}
