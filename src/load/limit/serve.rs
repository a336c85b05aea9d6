//! The forwarder's socket and loop: read all there is, forward it, send it in segments.

use std::fmt;
use std::io::{self, IoSliceMut, Write};
use std::net::{SocketAddr, UdpSocket};

use mio::{Events, Interest, Poll, Token};
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};

use super::forwarder::Forwarder;
use crate::shard::Batch;
use crate::transport::{Path, Protocol};

/// As the server asks for: see [`crate::runtime`].
const KERNEL_BUFFER: usize = 4 * 1024 * 1024;
/// Room for one coalesced read (GRO): the kernel joins at most 64 KiB.
const READ_BUFFER: usize = 65_536;
/// Batches read before what they caused is sent, as in a shard's tick.
const READS_PER_TICK: usize = 8;
const READABLE: Token = Token(0);

/// Why there is no forwarder.
#[derive(Debug)]
pub struct ForwarderError {
    address: SocketAddr,
    source: io::Error,
}

impl fmt::Display for ForwarderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, source } = self;
        write!(f, "the bare forwarder cannot use UDP {address}: {source}")
    }
}

impl std::error::Error for ForwarderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Runs the bare forwarder on `address` in this thread, until the process is ended. The address that it
/// got (port 0 takes a free one) is the first line on standard output.
pub fn serve(address: SocketAddr) -> Result<(), ForwarderError> {
    let fail = |source| ForwarderError { address, source };
    let socket = UdpSocket::bind(address).map_err(fail)?;
    let bound = socket.local_addr().map_err(fail)?;
    let mut out = io::stdout();
    writeln!(out, "{bound}")
        .and_then(|()| out.flush())
        .map_err(fail)?;
    run(socket).map_err(fail)
}

fn run(socket: UdpSocket) -> io::Result<()> {
    let state = UdpSocketState::new((&socket).into())?;
    // Smaller ones make losses, which the report shows.
    let _ = state.set_recv_buffer_size((&socket).into(), KERNEL_BUFFER);
    let _ = state.set_send_buffer_size((&socket).into(), KERNEL_BUFFER);
    let mut registered = mio::net::UdpSocket::from_std(socket.try_clone()?);
    let mut poll = Poll::new()?;
    poll.registry()
        .register(&mut registered, READABLE, Interest::READABLE)?;
    let mut events = Events::with_capacity(8);
    let mut buffers = vec![vec![0u8; READ_BUFFER]; BATCH_SIZE];
    let mut metas = vec![RecvMeta::default(); BATCH_SIZE];
    let mut forwarder = Forwarder::default();
    let mut batch = Batch::new();
    loop {
        let mut more = false;
        for _ in 0..READS_PER_TICK {
            more = read(
                &socket,
                &state,
                &mut buffers,
                &mut metas,
                |path, datagram| {
                    forwarder.handle_datagram(path, datagram, &mut batch);
                },
            )?;
            if !more {
                break;
            }
        }
        flush(&socket, &state, &batch);
        batch.clear();
        // Readiness is told once for each arrival: only an empty socket may be waited for.
        if !more {
            match poll.poll(&mut events, None) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
    }
}

/// Reads one batch. Returns false when there was nothing.
fn read(
    socket: &UdpSocket,
    state: &UdpSocketState,
    buffers: &mut [Vec<u8>],
    metas: &mut [RecvMeta],
    mut each: impl FnMut(Path, &mut [u8]),
) -> io::Result<bool> {
    let count = {
        let mut left = buffers.iter_mut();
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] = std::array::from_fn(|_| {
            IoSliceMut::new(left.next().map_or(&mut [], |buffer| &mut buffer[..]))
        });
        match state.recv(socket.into(), &mut slices, metas) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            // What ICMP says about an earlier send: a receiver that is gone.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(true),
            Err(error) => return Err(error),
        }
    };
    for (meta, buffer) in metas.iter().zip(buffers).take(count) {
        let path = Path {
            protocol: Protocol::Udp,
            remote: meta.addr,
            local: meta.dst_ip,
        };
        for datagram in buffer[..meta.len].chunks_mut(meta.stride.max(1)) {
            each(path, datagram);
        }
    }
    Ok(count > 0)
}

/// Sends everything; what the kernel does not take is lost, as on a network.
fn flush(socket: &UdpSocket, state: &UdpSocketState, batch: &Batch) {
    let max_segments = state.max_gso_segments();
    for lane in batch.lanes() {
        let path = lane.path();
        for (contents, segment) in lane.runs(max_segments) {
            let transmit = Transmit {
                destination: path.remote,
                ecn: None,
                contents,
                segment_size: Some(segment),
                src_ip: path.local,
            };
            let _ = state.try_send(socket.into(), &transmit);
        }
    }
}
