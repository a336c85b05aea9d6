//! The gate between a participant and a way: a UDP socket on loopback on one side, the way on the other.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

use super::pipe::{Framing, Pipe};
use super::trouble::{Notes, Trouble};
use super::turn::Relay;
use super::way::Way;
use crate::doctor::reach;
use crate::transport::Protocol;

/// No datagram of a participant is longer.
const MAX_DATAGRAM: usize = 2_048;

/// An open gate. It closes when it is dropped.
pub(super) struct Gate {
    /// Where the participant's datagrams are to be sent.
    pub(super) address: SocketAddr,
    task: AbortHandle,
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is behind a gate.
enum Behind {
    Pipe(Pipe),
    Relay(Box<Relay>),
}

impl Gate {
    /// Goes the way to this address of the server's, and opens a gate to it.
    pub(super) async fn open(
        way: &Way,
        to: SocketAddr,
        notes: &Arc<Notes>,
    ) -> Result<Self, Trouble> {
        let failed = |error: io::Error| Trouble::no_connection(to, &error);
        let behind = match way {
            Way::Direct(Protocol::Udp, _) => {
                let (pipe, _) = Pipe::datagrams(to).await.map_err(failed)?;
                Behind::Pipe(pipe)
            }
            Way::Direct(Protocol::Tcp, _) => {
                let connection = reach::connect(to).await.map_err(failed)?;
                Behind::Pipe(Pipe::stream(connection.stream, Framing::Length))
            }
            Way::Relayed(server) => Behind::Relay(Box::new(server.open(to, notes).await?)),
        };
        let open = async {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let address = socket.local_addr()?;
            Ok((socket, address))
        };
        let (socket, address) = open.await.map_err(failed)?;
        let notes = Arc::clone(notes);
        let task = tokio::spawn(async move {
            match behind {
                Behind::Pipe(pipe) => carry(pipe, socket, &notes).await,
                Behind::Relay(relay) => carry(*relay, socket, &notes).await,
            }
        });
        Ok(Self {
            address,
            task: task.abort_handle(),
        })
    }
}

/// What a gate leads to.
pub(super) trait Carries {
    /// Sends a datagram of the participant's.
    async fn send(&mut self, datagram: &[u8]) -> io::Result<()>;

    /// The next one for it; nothing where something else happened. It may be dropped while it waits, and nothing gets lost.
    async fn receive(&mut self) -> io::Result<Option<bytes::BytesMut>>;
}

impl Carries for Pipe {
    async fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        Self::send(self, datagram).await
    }

    async fn receive(&mut self) -> io::Result<Option<bytes::BytesMut>> {
        Self::receive(self).await.map(Some)
    }
}

/// Carries datagrams both ways until the way breaks.
async fn carry(mut way: impl Carries, socket: UdpSocket, notes: &Notes) {
    let mut buffer = vec![0; MAX_DATAGRAM];
    let mut participant = None;
    loop {
        let result = tokio::select! {
            from = socket.recv_from(&mut buffer) => match from {
                Ok((length, from)) => {
                    participant = Some(from);
                    way.send(&buffer[..length]).await
                }
                Err(_) => Ok(()),
            },
            received = way.receive() => match received {
                Ok(Some(datagram)) => {
                    notes.received();
                    if let Some(to) = participant {
                        let _ = socket.send_to(&datagram, to).await;
                    }
                    Ok(())
                }
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            },
        };
        match result {
            Ok(()) => {}
            // What ICMP said about one datagram; later ones may pass.
            Err(error) if notes.is_passing(&error) => {}
            Err(error) => return notes.broken(&error),
        }
    }
}
