//! ICE restarts, and the server's candidates.

use crate::support::sdp;
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
async fn the_server_names_its_candidates_and_is_ice_lite() {
    let server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice")).await;
    let sdp = alice.described.read(|described| described.sdp.clone());
    assert!(sdp.lines().any(|line| line == "a=ice-lite"), "{sdp}");
    assert!(sdp::candidate(&sdp).is_some(), "{sdp}");
}
