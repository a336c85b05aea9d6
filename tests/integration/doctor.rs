//! `crosspoint doctor`: what it finds, and what it says to do about it.

use std::net::{Ipv4Addr, SocketAddr};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::ice_tcp::media_port;
use super::tls::Folder;
use crate::support::Server;
use crate::support::server::{run, run_prepared};
use crate::support::watched::patiently;

/// Free ports of loopback.
const FREE: [&str; 4] = ["--listen", "127.0.0.1:0", "--udp-port", "0"];
const SECRET: &str = "main:0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn on_a_good_machine_all_is_well_and_each_way_carries_a_call() {
    let folder = Folder::new();
    Issued::new(&["localhost", "127.0.0.1"]).put(&folder);
    let (chain, key) = (folder.at("chain"), folder.at("key"));
    let options = ["--turn-port", "0", "--tls-cert", &chain, "--tls-key", &key];
    let report = Report::prepared(&[&FREE[..], &options].concat(), |command| {
        command.env("SSL_CERT_FILE", folder.at("authority"));
    })
    .await;
    report.is_well();
    let ports = report.all("ports");
    assert!(
        ports.len() >= 4 && ports.iter().all(|one| one["outcome"] == "ok"),
        "{ports:?}"
    );
    report.expect("clock", "ok", "it says");
    report.expect("certificate", "ok", "for localhost, 127.0.0.1, good for");
    report.expect("open files", "", "allowed");
    report.expect("buffers", "", "the kernel grants");
    for (check, way) in [
        ("UDP call", "UDP to 127.0.0.1"),
        ("UDP call", "UDP to ::1"),
        ("TCP call", "TCP to 127.0.0.1"),
        ("TURN call", "TURN by UDP to 127.0.0.1"),
        ("TURN call", "TURN by TCP to 127.0.0.1"),
        ("TURN call", "TURN by TLS to 127.0.0.1"),
    ] {
        let found = report.expect(check, "ok", way);
        assert!(found.contains("two heard each other"), "{found}");
    }
}

#[tokio::test]
async fn a_configuration_that_the_server_would_not_take_is_the_first_finding() {
    let report = Report::of(&["--shards", "99"]).await;
    assert_eq!(report.status, Some(1));
    report.expect("options", "failure", "`shards` cannot be `99`");
    let output = run(&["doctor", "--url", "nonsense"]).await;
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("https://call.example.org"), "{error}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_who_has_it() {
    let page = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let page = (page.local_addr().expect("an address").to_string(), page);
    let media = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
    let port = media.local_addr().expect("an address").port().to_string();
    let options = ["--listen", &page.0, "--udp-port", &port, "--shards", "1"];
    let report = Report::of(&options).await;
    assert_eq!(report.status, Some(1));
    let who = if cfg!(target_os = "linux") {
        format!("(process {}) has it", std::process::id())
    } else {
        "another program has it".to_owned()
    };
    let at = page.0.rsplit(':').next().expect("a port");
    for (seen, option) in [
        (format!("TCP {at}: "), "--listen"),
        (format!("UDP {port}: "), "--udp-port"),
    ] {
        let failure = report.find("ports", "failure", &seen);
        assert!(
            failure["seen"].as_str().expect("words").contains(&who),
            "{failure}"
        );
        assert!(
            failure["fix"].as_str().expect("a fix").contains(option),
            "{failure}"
        );
    }
    // The ways are called all the same, on other ports.
    report.expect("UDP call", "ok", "two heard each other");
}

#[tokio::test]
async fn two_ports_of_one_configuration_that_are_the_same_are_found() {
    let free = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
    let port = free.local_addr().expect("an address").port().to_string();
    drop(free);
    let options = ["--udp-port", &port, "--turn-port", &port, "--shards", "1"];
    let report = Report::of(&[&FREE[..2], &options].concat()).await;
    let failure = report.find("ports", "failure", &format!("UDP {port}"));
    assert!(
        failure["fix"]
            .as_str()
            .expect("a fix")
            .contains("--turn-port"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_server_that_runs_here_already_is_the_one_that_is_called() {
    let options = [
        "--token-secret",
        SECRET,
        "--shards",
        "1",
        "--turn-port",
        "0",
    ];
    let server = Server::with(&options).await;
    let page = format!("127.0.0.1:{}", server.port());
    let media = media_port_with_token(&server).await.to_string();
    let options = [
        "--listen",
        &page,
        "--udp-port",
        &media,
        "--token-secret",
        SECRET,
        "--shards",
        "1",
    ];
    let report = Report::of(&options).await;
    report.is_well();
    report.expect("ports", "ok", "a Crosspoint answers there");
    let udp = report.expect("UDP call", "ok", "UDP to 127.0.0.1");
    assert!(udp.contains(&format!("port {media}")), "{udp}");
    nobody_is_left(&server).await;
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_said() {
    let folder = Folder::new();
    let (chain, key) = (folder.at("chain"), folder.at("key"));
    let options = ["--tls-cert", &chain, "--tls-key", &key];
    let check = async |more: &[&str]| {
        let line = [&FREE[..], &options, more].concat();
        let report = Report::prepared(&line, |command| {
            command.env("SSL_CERT_FILE", folder.at("authority"));
        })
        .await;
        assert_eq!(report.status, Some(1));
        report
    };
    let mut expired = Issued::new(&["call.example.org"]);
    expired.parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
    expired.put(&folder);
    let report = check(&[]).await;
    report.expect("certificate", "failure", "it expired");
    Issued::new(&["call.example.org"]).put(&folder);
    let report = check(&["--turn-host", "turn.example.org"]).await;
    report.expect(
        "certificate",
        "failure",
        "it is for call.example.org, and not for turn.example.org",
    );
    std::fs::write(
        folder.at("key"),
        KeyPair::generate().expect("a key").serialize_pem(),
    )
    .expect("write");
    let report = check(&[]).await;
    report.expect("certificate", "failure", "belong together");
    // The others are looked at all the same.
    report.expect("UDP call", "ok", "two heard each other");
    let alone = Issued::new(&["call.example.org"]);
    alone.put(&folder);
    Issued::new(&["other.example.org"]).put_authority(&folder);
    let report = check(&[]).await;
    let failure = report.find("certificate", "failure", "no authority");
    assert!(
        failure["fix"]
            .as_str()
            .expect("a fix")
            .contains("fullchain.pem"),
        "{failure}"
    );
}

#[tokio::test]
async fn an_authority_is_not_asked_and_nothing_is_kept() {
    let folder = Folder::new();
    let state = folder.at("state");
    let options = [
        "--acme-domain",
        "localhost",
        "--acme-directory",
        "https://127.0.0.1:1/directory",
        "--state-dir",
        &state,
    ];
    let report = Report::of(&[&FREE[..], &options].concat()).await;
    report.is_well();
    report.expect(
        "certificate",
        "not-checked",
        "the authority gave none until now",
    );
    report.expect("certificate", "ok", "localhost leads here");
    report.expect("TURN call", "ok", "TURN by TLS");
    assert!(!std::path::Path::new(&state).exists());
}

#[tokio::test]
async fn from_outside_every_way_that_a_server_tells_is_called() {
    let folder = Folder::new();
    Issued::new(&["localhost"]).put(&folder);
    let (chain, key) = (folder.at("chain"), folder.at("key"));
    let options = [
        "--tls-cert",
        &chain,
        "--tls-key",
        &key,
        "--turn-port",
        "0",
        "--shards",
        "3",
    ];
    let server = Server::with(&options).await;
    let authority = folder.at("authority");
    let ask = async |url: &str| {
        Report::prepared(&["--url", url], |command| {
            command.env("SSL_CERT_FILE", &authority);
        })
        .await
    };
    let report = ask(&format!("https://localhost:{}/r/demo", server.port())).await;
    report.is_well();
    for (check, words) in [
        ("certificate", "it is for localhost"),
        ("clock", "agree"),
        ("signalling", env!("CARGO_PKG_VERSION")),
        ("TCP call", "TCP to 127.0.0.1"),
        ("TURN call", "TURN by UDP"),
        ("TURN call", "TURN by TCP"),
        ("TURN call", "TURN by TLS"),
    ] {
        report.expect(check, "ok", words);
    }
    // One room on each shard.
    let udp = report.expect("UDP call", "ok", "UDP to 127.0.0.1, ports ");
    assert!(
        udp.matches(", ").count() == 3 || udp.contains(" to "),
        "{udp}"
    );

    let report = ask(&format!("https://127.0.0.1:{}", server.port())).await;
    assert_eq!(report.status, Some(1));
    report.expect(
        "certificate",
        "failure",
        "for localhost, and not for 127.0.0.1",
    );
    let plain = ask(&format!("http://localhost:{}", server.port())).await;
    let failure = plain.find("page", "failure", "308");
    assert!(
        failure["fix"].as_str().expect("a fix").contains("https://"),
        "{failure}"
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_address_that_does_not_lead_to_the_server_is_named() {
    let server = Server::with(&[
        "--share-udp-port",
        "--shards",
        "1",
        "--announce",
        "127.0.0.9",
    ])
    .await;
    let port = media_port(&server).await;
    // What is sent there comes here, and is not answered.
    let silent = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
    silent.set_reuse_port(true).expect("an option");
    let address = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 9), port));
    silent
        .bind(&address.into())
        .expect("the server shares its port");
    let report = Report::at(&server, &[]).await;
    assert_eq!(report.status, Some(1));
    let failure = report.find("UDP call", "failure", "UDP to 127.0.0.9");
    let port = port.to_string();
    assert!(
        failure["seen"].as_str().expect("words").contains(&port),
        "{failure}"
    );
    report.expect("UDP call", "ok", "UDP to 127.0.0.1");
    assert_eq!(report.all_that("failure").len(), 1, "{}", report.json);
}

#[tokio::test]
async fn ways_that_a_server_does_not_have_are_not_called() {
    // Nor does it take more than two in one room.
    let options = [
        "--turn",
        "false",
        "--ice-tcp",
        "off",
        "--max-participants",
        "2",
    ];
    let server = Server::with(&options).await;
    let report = Report::at(&server, &[]).await;
    report.is_well();
    report.expect("TCP call", "not-checked", "--ice-tcp off");
    report.expect("TURN call", "not-checked", "--turn false");
    report.expect("UDP call", "ok", "two heard each other");
    nobody_is_left(&server).await;
}

#[tokio::test]
async fn a_server_that_asks_for_tokens_is_given_one_for_every_room() {
    let server = Server::with(&["--token-secret", SECRET]).await;
    let report = Report::at(&server, &[]).await;
    assert_eq!(report.status, Some(1));
    let failure = report.find("signalling", "failure", "token");
    assert!(
        failure["fix"]
            .as_str()
            .expect("a fix")
            .contains("crosspoint token --every-room"),
        "{failure}"
    );
    let token = async |scope: &[&str]| {
        let output = run(&[&["token", "--token-secret", SECRET], scope].concat()).await;
        String::from_utf8(output.stdout)
            .expect("text")
            .trim()
            .to_owned()
    };
    let report = Report::at(&server, &["--token", &token(&["--every-room"]).await]).await;
    report.is_well();
    let report = Report::at(&server, &["--token", &token(&["--room", "demo"]).await]).await;
    let failure = report.find("signalling", "failure", "demo");
    assert!(
        failure["fix"]
            .as_str()
            .expect("a fix")
            .contains("--every-room"),
        "{failure}"
    );
}

#[tokio::test]
async fn where_no_server_is_that_is_said() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let report = Report::of(&["--url", &format!("http://{address}")]).await;
    assert_eq!(report.status, Some(1));
    report.expect("name", "failure", "nothing listens there");

    // Somebody else's, and one that says nothing.
    let other = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a listener");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let url =
        |address: std::io::Result<SocketAddr>| format!("http://{}", address.expect("an address"));
    let urls = [url(other.local_addr()), url(silent.local_addr())];
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = other.accept().await {
            let _ = stream.read(&mut [0; 1_000]).await;
            let _ = stream
                .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                .await;
        }
    });
    let [first, second] = [["--url", &urls[0]], ["--url", &urls[1]]];
    let (report, waited) = tokio::join!(Report::of(&first), Report::of(&second));
    report.expect("page", "failure", "something else than Crosspoint");
    waited.expect("page", "failure", "no answer within");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_clock_that_is_wrong_is_found() {
    let server = Server::start().await;
    let at = |time: &'static str| {
        move |command: &mut Command| {
            command
                .env("LD_PRELOAD", super::faults::libfaketime())
                .env("FAKETIME", time)
                .env("NO_FAKE_STAT", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
    };
    let report = Report::prepared(&FREE, at("-20y")).await;
    assert_eq!(report.status, Some(1));
    let failure = report.find("clock", "failure", "before this program was made");
    assert!(
        failure["fix"]
            .as_str()
            .expect("a fix")
            .contains("timedatectl"),
        "{failure}"
    );
    report.expect("UDP call", "ok", "two heard each other");
    let url = format!("http://localhost:{}", server.port());
    let report = Report::prepared(&["--url", &url], at("+2h")).await;
    report.expect("clock", "failure", "s behind this machine's");
}

/// What people read is what programs read.
#[tokio::test]
async fn the_report_is_for_people_too() {
    let output = run(&[&["doctor"], &FREE[..]].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.starts_with("Crosspoint "), "{text}");
    assert!(text.contains("looks at this machine\n"), "{text}");
    assert!(
        text.contains("      ok  UDP call     UDP to 127.0.0.1, port"),
        "{text}"
    );
    assert!(text.contains("no failures, "), "{text}");
    assert!(output.stderr.is_empty(), "{:?}", output.stderr);
}

/// What `--json` said.
struct Report {
    status: Option<i32>,
    json: Value,
}

impl Report {
    async fn of(options: &[&str]) -> Self {
        Self::prepared(options, |_| {}).await
    }

    /// Of a server without TLS, from outside.
    async fn at(server: &Server, options: &[&str]) -> Self {
        let url = format!("http://127.0.0.1:{}", server.port());
        Self::of(&[&["--url", &url], options].concat()).await
    }

    async fn prepared(options: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        let line = [&["doctor", "--json"], options].concat();
        let output = run_prepared(&line, prepare).await;
        let error = String::from_utf8_lossy(&output.stderr);
        let json = serde_json::from_slice(&output.stdout);
        Self {
            status: output.status.code(),
            json: json.unwrap_or_else(|_| panic!("{line:?}: {error}")),
        }
    }

    fn is_well(&self) {
        assert_eq!(self.status, Some(0), "{:#}", self.json);
        assert_eq!(self.json["well"], true);
        assert!(self.all_that("failure").is_empty());
    }

    fn findings(&self) -> impl Iterator<Item = &Value> {
        self.json["findings"].as_array().expect("findings").iter()
    }

    fn all(&self, check: &str) -> Vec<&Value> {
        self.findings()
            .filter(|one| one["check"] == check)
            .collect()
    }

    fn all_that(&self, outcome: &str) -> Vec<&Value> {
        self.findings()
            .filter(|one| one["outcome"] == outcome)
            .collect()
    }

    /// The finding of a check that has these words, with this outcome, or any.
    fn find(&self, check: &str, outcome: &str, words: &str) -> &Value {
        let has = |one: &&&Value| {
            let seen = one["seen"]
                .as_str()
                .is_some_and(|seen| seen.contains(words));
            seen && (outcome.is_empty() || one["outcome"] == outcome)
        };
        let all = self.all(check);
        let found = all.iter().find(has);
        let found =
            found.unwrap_or_else(|| panic!("no {outcome} {check} {words:?}: {:#}", self.json));
        let needs_fix = found["outcome"] == "failure" || found["outcome"] == "warning";
        assert_eq!(needs_fix, found["fix"].is_string(), "{found:#}");
        found
    }

    fn expect(&self, check: &str, outcome: &str, words: &str) -> &str {
        self.find(check, outcome, words)["seen"]
            .as_str()
            .expect("words")
    }
}

/// The doctor's participants leave, and their rooms end.
async fn nobody_is_left(server: &Server) {
    let is_empty = |metrics: &str| metrics.lines().any(|line| line == "crosspoint_rooms 0");
    let emptied = async {
        while !is_empty(&server.get("/metrics").await) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    patiently("the end of the doctor's rooms", emptied).await;
}

/// The first shard's UDP port, of a server that asks for tokens.
async fn media_port_with_token(server: &Server) -> u16 {
    let output = run(&["token", "--token-secret", SECRET, "--every-room"]).await;
    let token = String::from_utf8(output.stdout).expect("text");
    let report = Report::at(server, &["--token", token.trim()]).await;
    let seen = report.expect("UDP call", "ok", "UDP to 127.0.0.1, port ");
    let port = seen
        .split("port ")
        .nth(1)
        .and_then(|rest| rest.split(':').next());
    port.and_then(|port| port.parse().ok()).expect("a port")
}

/// A certificate, and the authority that it is from.
struct Issued {
    parameters: CertificateParams,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Issued {
    fn new(names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = format!("Authority {}", rand::random::<u64>());
        authority.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        Self {
            parameters: CertificateParams::new(names).expect("names"),
            authority: CertifiedIssuer::self_signed(authority, key).expect("an authority"),
        }
    }

    fn put(&self, folder: &Folder) {
        let key = KeyPair::generate().expect("a key");
        let made = self
            .parameters
            .signed_by(&key, &self.authority)
            .expect("a certificate");
        std::fs::write(folder.at("chain"), made.pem()).expect("write");
        std::fs::write(folder.at("key"), key.serialize_pem()).expect("write");
        self.put_authority(folder);
    }

    fn put_authority(&self, folder: &Folder) {
        std::fs::write(folder.at("authority"), self.authority.pem()).expect("write");
    }
}
