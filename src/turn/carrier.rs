//! A session with the socket of its allocation: what each task of this room owns.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::Shared;
use super::protocol::{Reaction, Session};
use super::relay::RelaySocket;

/// A session with the socket of its allocation.
#[derive(Debug)]
pub(super) struct Carrier {
    session: Session,
    socket: Option<RelaySocket>,
    shared: Arc<Shared>,
    /// What is sent to the client, one message at a time.
    message: Vec<u8>,
}

impl Carrier {
    pub(super) fn new(client: SocketAddr, is_stream: bool, shared: Arc<Shared>) -> Self {
        Self {
            session: Session::new(client, is_stream),
            socket: None,
            shared,
            message: Vec::new(),
        }
    }

    pub(super) fn is_allocated(&self) -> bool {
        self.session.is_allocated()
    }

    /// When the allocation ends.
    pub(super) fn expires(&self) -> Option<Instant> {
        self.session.poll_timeout()
    }

    /// Ends the allocation if its time has come.
    pub(super) fn handle_timeout(&mut self) {
        self.session.handle_timeout(Instant::now());
        self.close_unused();
    }

    /// Does what a whole message of the client asks for. Gives the answer.
    pub(super) fn handle_client(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let now = Instant::now();
        let Shared {
            authority,
            relay_place,
            ..
        } = &*self.shared;
        let answer = match self.session.handle_client(now, message, authority) {
            Reaction::Ignored => None,
            Reaction::Answer(answer) => Some(answer),
            Reaction::Relay { to, data } => {
                if let Some(socket) = &self.socket {
                    socket.send(to, data);
                }
                return None;
            }
            Reaction::Allocate(wanted) => {
                let opened = RelaySocket::open(relay_place, wanted.ip)
                    .and_then(|socket| Ok((socket.port()?, socket)));
                let port = match opened {
                    Ok((port, socket)) => {
                        self.socket = Some(socket);
                        Some(port)
                    }
                    Err(error) => {
                        tracing::warn!(%error, "no socket for a TURN allocation; is the limit of open files too low (ulimit -n)?");
                        None
                    }
                };
                Some(self.session.allocated(now, wanted, port, authority))
            }
        };
        self.close_unused();
        answer
    }

    /// Resolves when peers may have sent something.
    pub(super) async fn readable(&self) {
        match &self.socket {
            Some(socket) => socket.readable().await,
            None => pending().await,
        }
    }

    /// Hands on what peers have sent, as messages to the client.
    pub(super) fn read_peers(&mut self, mut to_client: impl FnMut(&[u8])) {
        let Some(socket) = &self.socket else {
            return;
        };
        let now = Instant::now();
        let (session, message) = (&mut self.session, &mut self.message);
        socket.read(|from, data| {
            message.clear();
            session.handle_peer(now, from, data, &self.shared.authority, message);
            if !message.is_empty() {
                to_client(message);
            }
        });
    }

    fn close_unused(&mut self) {
        if !self.session.is_allocated() {
            self.socket = None;
        }
    }
}
