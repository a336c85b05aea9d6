//! A UDP port of its own.

use std::io::{self, IoSliceMut};
use std::sync::Arc;

use quinn_udp::{RecvMeta, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::Shared;
use super::datagrams::Datagrams;
use crate::runtime::MediaSocket;
use crate::transport::{Path, Protocol};

/// Room for one coalesced read (GRO): the kernel joins at most 64 KiB.
const READ_BUFFER: usize = 65_536;

/// A UDP port that brings STUN and TURN, and nothing else.
pub(super) struct Port {
    socket: UdpSocket,
    state: UdpSocketState,
    datagrams: Datagrams,
}

impl Port {
    /// Must be called on a tokio runtime.
    pub(super) fn new(socket: MediaSocket, shared: Arc<Shared>) -> io::Result<Self> {
        let outlet = Arc::new(socket.outlet()?);
        let socket = socket.into_std();
        Ok(Self {
            state: UdpSocketState::new((&socket).into())?,
            socket: UdpSocket::from_std(socket)?,
            datagrams: Datagrams::new(outlet, shared),
        })
    }

    /// Serves it. What goes wrong with a read concerns one datagram.
    pub(super) async fn serve(mut self) {
        let mut buffer = vec![0; READ_BUFFER];
        loop {
            let mut meta = [RecvMeta::default()];
            let read = self.socket.async_io(Interest::READABLE, || {
                let mut slices = [IoSliceMut::new(&mut buffer)];
                self.state
                    .recv((&self.socket).into(), &mut slices, &mut meta)
            });
            if let Err(error) = read.await {
                tracing::trace!(%error, "not read");
                // Others of the thread get their turn if this goes on.
                tokio::task::yield_now().await;
                continue;
            }
            let [meta] = meta;
            let path = Path {
                protocol: Protocol::Udp,
                remote: (meta.addr.ip().to_canonical(), meta.addr.port()).into(),
                local: meta.dst_ip.map(|ip| ip.to_canonical()),
            };
            let read = buffer.get(..meta.len).unwrap_or_default();
            for datagram in read.chunks(meta.stride.max(1)) {
                self.datagrams.handle(path, datagram);
            }
        }
    }
}
