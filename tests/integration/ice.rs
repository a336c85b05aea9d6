//! ICE restarts, and the server's candidates.

use tokio::net::UdpSocket;

use crate::support::sdp;
use crate::support::server::run;
use crate::support::{Client, Server, Setup};

fn ufrag(sdp: &str) -> &str {
    sdp.lines()
        .find_map(|line| line.strip_prefix("a=ice-ufrag:"))
        .expect("a ufrag")
}

#[tokio::test]
async fn media_goes_on_over_an_ice_restart() {
    let server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let bob = Client::join(&server, Setup::new("bob")).await;
    alice.start_media();
    bob.start_media();
    bob.hears(&alice).await;
    alice.hears(&bob).await;
    let before = alice.described.read(Clone::clone);
    alice.restart_ice().await;
    let after = alice.described_after(&before).await;
    assert_ne!(ufrag(&before.sdp), ufrag(&after.sdp), "new credentials");
    for _ in 0..3 {
        bob.hears(&alice).await;
        alice.hears(&bob).await;
    }
    // And the next negotiation is not a restart.
    let carol = Client::join(&server, Setup::new("carol")).await;
    alice.track_from(&carol, "audio").await;
    let later = alice.described.read(|described| described.sdp.clone());
    assert_eq!(ufrag(&later), ufrag(&after.sdp));
}

#[tokio::test]
async fn an_address_that_a_stun_server_sees_is_told_to_clients() {
    let stun = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let source = format!("stun:{}", stun.local_addr().expect("an address"));
    let answering = tokio::spawn(async move {
        let mut request = [0; 100];
        while let Ok((_, from)) = stun.recv_from(&mut request).await {
            // A binding's success (RFC 8489): 203.0.113.9 at port 1, as XOR-MAPPED-ADDRESS.
            let mut answer = vec![1, 1, 0, 12];
            answer.extend(&request[4..20]);
            answer.extend([0, 0x20, 0, 8, 0, 1, 0x21, 0x13]);
            answer.extend([203 ^ 0x21, 0x12, 113 ^ 0xa4, 9 ^ 0x42]);
            stun.send_to(&answer, from).await.expect("an answer");
        }
    });
    let server = Server::with(&["--announce", &source, "--announce", "2001:db8::5"]).await;
    server.logs("a router on the way changes ports").await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let sdp = alice.described.read(|described| described.sdp.clone());
    for address in [" 203.0.113.9 ", " 2001:db8::5 "] {
        assert!(sdp.contains(address), "{sdp}");
    }
    answering.abort();
}

#[tokio::test]
async fn a_server_that_finds_no_address_says_so_and_does_not_start() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let source = format!("stun:{}", silent.local_addr().expect("an address"));
    drop(silent);
    let options = ["--listen", "127.0.0.1:0", "--udp-port", "0"];
    let output = run(&[&options[..], &["--announce", &source]].concat()).await;
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("say the address itself"), "{error}");
    let output = run(&[&options[..], &["--announce", "stun:"]].concat()).await;
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test]
async fn the_server_names_its_candidates_and_is_ice_lite() {
    let server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let sdp = alice.described.read(|described| described.sdp.clone());
    assert!(sdp.lines().any(|line| line == "a=ice-lite"), "{sdp}");
    assert!(sdp::candidate(&sdp).is_some(), "{sdp}");
}
