//! Certificates of an ACME authority: gained, kept, renewed, and what is said when there is none.

use std::path::PathBuf;
use std::time::Duration;

use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::support::Server;
use crate::support::acme::{Acme, Terms, handshake as shown};
use crate::support::server::run;
use crate::tls::{handshake, trusting};

const NAME: &str = "call.example.org";
const DAY: Duration = Duration::from_secs(24 * 3600);
const USUAL: Terms = Terms {
    since: Duration::from_secs(3600),
    left: Duration::from_secs(90 * 24 * 3600),
};

#[tokio::test]
async fn a_certificate_is_gained_and_is_there_at_the_next_start() {
    let folder = Folder::new();
    let authority = Acme::start(USUAL).await;
    let server = folder.server(&authority).await;
    // Until then there is one that nobody trusts, and the page all the same.
    let trusted = trusting(authority.root_der());
    assert!(handshake(&server, NAME, &trusted).await.is_err());
    assert!(shown(server.port(), NAME, &[b"http/1.1"]).await.is_ok());
    authority.names_lead_to(server.port());
    server.logs("a new certificate is in use").await;
    handshake(&server, NAME, &trusted).await.expect("trusted");
    assert_eq!(authority.counts(), (1, 1));
    let first = certificate(&server).await;

    // Who looks at names is shown nothing now, and what is no name of ours never was.
    for name in [NAME, "other.example.org"] {
        let looked = shown(server.port(), name, &[b"acme-tls/1"]).await;
        assert!(looked.is_err(), "{name}");
    }

    drop(server);
    let server = folder.server(&authority).await;
    assert_eq!(certificate(&server).await, first);
    assert_eq!(authority.counts(), (1, 1));
    assert!(!server.log().contains("certificate could be had"));
}

#[tokio::test]
async fn it_is_renewed_when_a_third_of_its_time_is_left() {
    let folder = Folder::new();
    // Due within a second or two.
    let soon = Terms {
        since: 60 * DAY,
        left: 30 * DAY + Duration::from_secs(3),
    };
    let authority = Acme::start(soon).await;
    let server = folder.server(&authority).await;
    authority.names_lead_to(server.port());
    server.logs("a new certificate is in use").await;
    let first = certificate(&server).await;
    server.logs_times(2, "a new certificate is in use").await;
    assert_ne!(certificate(&server).await, first);
    // By the account of before.
    let (accounts, certificates) = authority.counts();
    assert!(accounts == 1 && certificates > 1);
}

#[tokio::test]
async fn an_authority_whose_certificates_are_as_good_as_over_is_asked_with_pauses() {
    let folder = Folder::new();
    let over = Terms {
        since: 80 * DAY,
        left: 10 * DAY,
    };
    let authority = Acme::start(over).await;
    let server = folder.server(&authority).await;
    authority.names_lead_to(server.port());
    server.logs("as good as over").await;
    assert!(server.log().contains("Asked again in 1 min"));
    assert_eq!(authority.counts(), (1, 1));
    // It is shown all the same.
    let trusted = trusting(authority.root_der());
    handshake(&server, NAME, &trusted).await.expect("trusted");
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_is_said_and_the_server_goes_on() {
    let folder = Folder::new();
    let authority = Acme::start(USUAL).await;
    let elsewhere = Server::with(&["--tls", "self"]).await;
    let server = folder.server(&authority).await;
    authority.names_lead_to(elsewhere.port());
    server
        .logs("call.example.org is not seen to lead here")
        .await;
    server.logs("asked again in 1 min").await;
    assert!(shown(server.port(), NAME, &[]).await.is_ok());
    assert_eq!(authority.counts(), (1, 0));
}

#[tokio::test]
async fn an_authority_that_is_not_trusted_is_told_nothing() {
    let folder = Folder::new();
    let (authority, other) = (Acme::start(USUAL).await, Acme::start(USUAL).await);
    std::fs::write(folder.at("root"), other.root()).expect("write");
    let server = Server::with(&folder.options(&authority).each_ref().map(String::as_str)).await;
    server.logs("no certificate could be had").await;
    assert_eq!(authority.counts(), (0, 0));
}

#[tokio::test]
async fn what_cannot_be_used_is_explained_at_the_start() {
    let folder = Folder::new();
    let authority = Acme::start(USUAL).await;
    let [root, state] = ["root", "state"].map(|name| folder.at(name));
    let options = folder.options(&authority);
    let options = options.each_ref().map(String::as_str);
    let fails = async |words: &str| {
        let all = [
            &["--listen", "127.0.0.1:0", "--udp-port", "0"],
            &options[..],
        ]
        .concat();
        let output = run(&all).await;
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(words), "{error}");
    };
    fails(&format!("{root} cannot be used")).await;
    std::fs::write(&root, "nothing").expect("write");
    fails("has no certificate").await;
    std::fs::write(&root, authority.root()).expect("write");
    std::fs::write(&state, "no folder").expect("write");
    fails("--state-dir says another one").await;
}

#[tokio::test]
async fn what_was_made_for_this_machine_is_kept_too() {
    let folder = Folder::new();
    let state = folder.at("state");
    let options = ["--tls", "self", "--state-dir", &state];
    let server = Server::with(&options).await;
    let first = certificate(&server).await;
    drop(server);
    let server = Server::with(&options).await;
    assert_eq!(certificate(&server).await, first);
}

async fn certificate(server: &Server) -> CertificateDer<'static> {
    let shown = shown(server.port(), NAME, &[b"http/1.1"]).await;
    shown.expect("a certificate")
}

/// A folder for one test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("crosspoint-acme-{}", rand::random::<u64>()));
        std::fs::create_dir(&path).expect("a folder");
        Self(path)
    }

    fn at(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").to_owned()
    }

    /// Asks this authority, and keeps in this folder what comes of it.
    fn options(&self, authority: &Acme) -> [String; 8] {
        let directory = authority.directory();
        [
            ["--acme-domain", NAME].map(str::to_owned),
            ["--acme-directory".to_owned(), directory],
            ["--acme-root".to_owned(), self.at("root")],
            ["--state-dir".to_owned(), self.at("state")],
        ]
        .concat()
        .try_into()
        .expect("eight")
    }

    /// A server that trusts this authority.
    async fn server(&self, authority: &Acme) -> Server {
        std::fs::write(self.at("root"), authority.root()).expect("write");
        Server::with(&self.options(authority).each_ref().map(String::as_str)).await
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
