//! What participants cost.

#![cfg(target_os = "linux")]

use futures_util::future::join_all;

use crate::support::{Client, Server, Setup};

/// Participants at once.
const PARTICIPANTS: usize = 50;
/// What one may cost, in bytes.
const EACH: usize = 256 * 1024;

#[tokio::test]
async fn an_idle_participant_costs_little() {
    let server = Server::start().await;
    // The first ones pay for what is there once.
    let _first = pairs(&server, 0, 2).await;
    let before = server.resident();
    let rest = pairs(&server, 2, PARTICIPANTS).await;
    let after = server.resident();
    assert_eq!(rest.len(), PARTICIPANTS);
    let each = after.saturating_sub(before) / PARTICIPANTS;
    assert!(
        each < EACH,
        "{} KiB each: {before} bytes before, {after} after",
        each / 1024
    );
}

/// Connects participants, two in each room, a few at a time.
async fn pairs(server: &Server, first: usize, count: usize) -> Vec<Client> {
    let mut clients = Vec::new();
    let numbers: Vec<usize> = (first..first + count).collect();
    for some in numbers.chunks(10) {
        clients.extend(
            join_all(some.iter().map(|number| {
                let room = format!("room{}", number / 2);
                Client::join(server, Setup::new(&format!("guest{number}")).room(&room))
            }))
            .await,
        );
    }
    clients
}
