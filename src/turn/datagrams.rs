//! Clients that come by UDP: those with an allocation have a task each.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::Shared;
use super::carrier::Carrier;
use crate::runtime::Outlet;
use crate::transport::Path;

/// Datagrams of one client that wait for its task. More are dropped, as the network would.
const WAITING: usize = 256;

/// What comes by one UDP socket for TURN and STUN.
#[derive(Debug)]
pub(super) struct Datagrams {
    outlet: Arc<Outlet>,
    shared: Arc<Shared>,
    /// Clients with an allocation. Some may have lost it since.
    clients: HashMap<Path, mpsc::Sender<Box<[u8]>>>,
}

impl Datagrams {
    /// Answers go out by `outlet`.
    pub(super) fn new(outlet: Arc<Outlet>, shared: Arc<Shared>) -> Self {
        Self {
            outlet,
            shared,
            clients: HashMap::new(),
        }
    }

    /// Does what a client's datagram asks for. Who has no allocation leaves nothing behind.
    pub(super) fn handle(&mut self, path: Path, datagram: &[u8]) {
        if let Some(client) = self.clients.get(&path) {
            match client.try_send(datagram.into()) {
                Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => return,
                Err(mpsc::error::TrySendError::Closed(_)) => {
                    self.clients.remove(&path);
                }
            }
        }
        let mut carrier = Carrier::new(path.remote, false, Arc::clone(&self.shared));
        if let Some(answer) = carrier.handle_client(datagram) {
            self.outlet.send(path, &answer);
        }
        if carrier.is_allocated() {
            let (sender, datagrams) = mpsc::channel(WAITING);
            // Their number is limited with that of allocations.
            self.clients.retain(|_, client| !client.is_closed());
            self.clients.insert(path, sender);
            tokio::spawn(carry(carrier, path, Arc::clone(&self.outlet), datagrams));
        }
    }
}

/// Serves one client for as long as it has an allocation.
async fn carry(
    mut carrier: Carrier,
    path: Path,
    outlet: Arc<Outlet>,
    mut datagrams: mpsc::Receiver<Box<[u8]>>,
) {
    while let Some(expires) = carrier.expires() {
        tokio::select! {
            // The sender is gone when the server ends.
            datagram = datagrams.recv() => match datagram {
                Some(datagram) => if let Some(answer) = carrier.handle_client(&datagram) {
                    outlet.send(path, &answer);
                },
                None => return,
            },
            () = carrier.readable() => carrier.read_peers(|message| outlet.send(path, message)),
            () = sleep_until(Instant::from(expires)) => carrier.handle_timeout(),
        }
    }
}
