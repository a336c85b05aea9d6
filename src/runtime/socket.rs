//! A shard's UDP socket: read in batches, flushed in segments.

use std::cmp::Reverse;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use mio::net::UdpSocket;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::mpsc;

use super::counters::ShardCounters;
use super::outlet::{Outlet, destination, source};
use super::streams::Sent;
use super::turn::TurnDatagram;
use super::wait::Wait;
use crate::shard::Lane;
use crate::transport::{Path, Protocol as Carrier};

/// What the kernel should buffer in each direction: about 30 ms of 1 Gbit/s.
const KERNEL_BUFFER: usize = 4 * 1024 * 1024;

/// Room for one coalesced read (GRO): the kernel joins at most 64 KiB.
const READ_BUFFER: usize = 65_536;

/// Errors of reads in a row after which a socket is taken for broken.
const MAX_FAILURES: u32 = 1_000;

/// Why a media port cannot be used.
#[derive(Debug)]
pub struct BindError {
    port: u16,
    /// What chooses the port.
    option: &'static str,
    source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            port,
            option,
            source,
        } = self;
        match source.kind() {
            io::ErrorKind::AddrInUse => write!(
                f,
                "UDP port {port} is taken by another program: stop it, or choose another with {option}"
            ),
            io::ErrorKind::PermissionDenied => write!(
                f,
                "UDP port {port} may not be opened by this user: choose one above 1023 with {option}"
            ),
            _ => write!(f, "UDP port {port} cannot be opened: {source}"),
        }
    }
}

impl BindError {
    /// Of what kind it is.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// The same, of a port that another option chooses.
    #[must_use]
    pub fn of(self, option: &'static str) -> Self {
        Self { option, ..self }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// What the kernel buffers in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelBuffer {
    /// `receive` or `send`.
    pub name: &'static str,
    /// Bytes that it grants.
    pub size: usize,
    /// Bytes that the server asks for.
    pub asked: usize,
    /// The setting of Linux that bounds it.
    pub setting: &'static str,
}

/// A bound socket that no thread drives yet.
#[derive(Debug)]
pub struct MediaSocket {
    socket: std::net::UdpSocket,
    port: u16,
    ipv6: bool,
    to_turn: Option<mpsc::Sender<TurnDatagram>>,
}

impl MediaSocket {
    /// Binds `port` (0: a free one) on every address, IPv6 with IPv4 where the system has both.
    pub fn bind(port: u16) -> Result<Self, BindError> {
        let fail = |source| BindError {
            port,
            option: "--udp-port",
            source,
        };
        let (socket, ipv6) = match bind_dual(port) {
            Ok(socket) => (socket, true),
            // A port that is taken is taken; a system without IPv6 is no reason to stop.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(fail(error)),
            Err(_) => (bind_ipv4(port).map_err(fail)?, false),
        };
        let port = socket.local_addr().map_err(fail)?.port();
        Ok(Self {
            socket,
            port,
            ipv6,
            to_turn: None,
        })
    }

    /// Binds so many sockets to one `port` (0: a free one), among which the kernel shares out the addresses that send to it.
    #[cfg(unix)]
    pub fn bind_shared(port: u16, count: usize) -> Result<Vec<Self>, BindError> {
        // Alone first: to a port that is shared by another program of this user it would be let in.
        let alone = Self::bind(port)?;
        let (port, ipv6) = (alone.port, alone.ipv6);
        drop(alone);
        let fail = |source| BindError {
            port,
            option: "--udp-port",
            source,
        };
        let bind = || {
            let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
            let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
            socket.set_reuse_port(true)?;
            let every: std::net::IpAddr = if ipv6 {
                socket.set_only_v6(false)?;
                Ipv6Addr::UNSPECIFIED.into()
            } else {
                Ipv4Addr::UNSPECIFIED.into()
            };
            socket.bind(&SocketAddr::from((every, port)).into())?;
            socket.set_nonblocking(true)?;
            Ok(Self {
                socket: socket.into(),
                port,
                ipv6,
                to_turn: None,
            })
        };
        (0..count).map(|_| bind().map_err(fail)).collect()
    }

    /// Systems other than Unix give all datagrams of a port to one of its sockets, whoever sends them.
    #[cfg(not(unix))]
    pub fn bind_shared(port: u16, _count: usize) -> Result<Vec<Self>, BindError> {
        let source = io::Error::new(
            io::ErrorKind::Unsupported,
            "this system cannot share it among shards: leave out --share-udp-port",
        );
        let option = "--udp-port";
        Err(BindError {
            port,
            option,
            source,
        })
    }

    /// The port that was bound.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it speaks IPv6 too.
    pub fn ipv6(&self) -> bool {
        self.ipv6
    }

    /// What the kernel grants for it, asked for as much as each shard asks for; nothing where it cannot be asked.
    pub fn kernel_buffers(&self) -> Vec<KernelBuffer> {
        let state = UdpSocketState::new((&self.socket).into());
        state.map_or_else(
            |_| Vec::new(),
            |state| ask_for_buffers(&state, &self.socket).to_vec(),
        )
    }

    /// A way to send from it, whoever reads it.
    pub fn outlet(&self) -> io::Result<Outlet> {
        Outlet::new(&self.socket, self.ipv6)
    }

    /// Hands on what comes to it for TURN and STUN, once it is a shard's.
    pub fn share_with_turn(&mut self, sender: mpsc::Sender<TurnDatagram>) {
        self.to_turn = Some(sender);
    }

    /// What it was told so.
    pub(super) fn take_to_turn(&mut self) -> Option<mpsc::Sender<TurnDatagram>> {
        self.to_turn.take()
    }

    /// The socket itself, which never waits.
    pub fn into_std(self) -> std::net::UdpSocket {
        self.socket
    }
}

fn bind_dual(port: u16) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_only_v6(false)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn bind_ipv4(port: u16) -> io::Result<std::net::UdpSocket> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The socket as its shard's thread uses it.
pub(super) struct ShardSocket {
    socket: UdpSocket,
    state: UdpSocketState,
    ipv6: bool,
    buffers: Vec<Box<[u8]>>,
    metas: Vec<RecvMeta>,
    /// Errors of reads since the last that went well.
    failures: u32,
    /// Whether datagrams may leave as segments of one call.
    segments: bool,
    /// What went in and out.
    counters: ShardCounters,
}

impl ShardSocket {
    /// Takes the socket over, whose readiness ends `wait` from now on.
    pub(super) fn new(socket: MediaSocket, segments: bool, wait: &Wait) -> io::Result<Self> {
        let MediaSocket {
            socket, port, ipv6, ..
        } = socket;
        let state = UdpSocketState::new((&socket).into())?;
        size_buffers(&state, &socket, port);
        let mut socket = UdpSocket::from_std(socket);
        wait.register(&mut socket)?;
        Ok(Self {
            socket,
            state,
            ipv6,
            buffers: (0..BATCH_SIZE)
                .map(|_| vec![0; READ_BUFFER].into_boxed_slice())
                .collect(),
            metas: vec![RecvMeta::default(); BATCH_SIZE],
            failures: 0,
            segments,
            counters: ShardCounters::default(),
        })
    }

    /// What went in and out so far.
    pub(super) fn counters(&self) -> ShardCounters {
        self.counters
    }

    /// Reads one batch and hands every datagram to `each`. Returns false when there is nothing more.
    pub(super) fn read(&mut self, mut each: impl FnMut(Path, &mut [u8])) -> io::Result<bool> {
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] = {
            let mut buffers = self.buffers.iter_mut();
            std::array::from_fn(|_| IoSliceMut::new(buffers.next().map_or(&mut [], |b| &mut b[..])))
        };
        let (socket, state, metas) = (&self.socket, &self.state, &mut self.metas);
        let result = socket.try_io(|| state.recv(socket.into(), &mut slices, metas));
        let count = match result {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            // What ICMP says about an earlier send is no fault of the socket, and may be said of each.
            Err(error) if self.failures < MAX_FAILURES => {
                tracing::trace!(%error, "not read");
                self.failures += 1;
                return Ok(true);
            }
            Err(error) => return Err(error),
        };
        self.failures = 0;
        for index in largest_first(&self.metas[..count]) {
            let (meta, buffer) = (&self.metas[index], &mut self.buffers[index]);
            let path = Path {
                protocol: Carrier::Udp,
                remote: canonical(meta.addr),
                local: meta.dst_ip.map(|ip| ip.to_canonical()),
            };
            self.counters.bytes_in += meta.len as u64;
            for datagram in buffer[..meta.len].chunks_mut(meta.stride.max(1)) {
                self.counters.datagrams_in += 1;
                each(path, datagram);
            }
        }
        // Less than a whole batch has emptied it, and what comes later is told anew.
        Ok(count == BATCH_SIZE)
    }

    /// Sends a lane, waiting when the kernel's buffer is full. What a single destination refuses is dropped,
    /// as the network would.
    pub(super) fn send(&mut self, lane: &Lane, wait: &mut Wait) {
        let max_segments = if self.segments {
            self.state.max_gso_segments()
        } else {
            1
        };
        let path = lane.path();
        let destination = destination(path.remote, self.ipv6);
        let src_ip = path.local.map(|ip| source(ip, self.ipv6));
        for (contents, segment) in lane.runs(max_segments) {
            let transmit = Transmit {
                destination,
                ecn: None,
                contents,
                segment_size: Some(segment),
                src_ip,
            };
            let datagrams = contents.len().div_ceil(segment) as u64;
            match self.transmit(&transmit, wait) {
                Ok(()) => {
                    self.counters.sends += 1;
                    self.counters.datagrams_out += datagrams;
                    self.counters.bytes_out += contents.len() as u64;
                }
                Err(error) => {
                    tracing::trace!(%destination, %error, "not sent");
                    self.counters.refused += datagrams;
                }
            }
        }
    }

    /// Counts what left by connections instead.
    pub(super) fn count(&mut self, sent: Sent) {
        self.counters.sends += 1;
        self.counters.datagrams_out += sent.datagrams;
        self.counters.bytes_out += sent.bytes;
        self.counters.refused += sent.refused;
    }

    fn transmit(&mut self, transmit: &Transmit<'_>, wait: &mut Wait) -> io::Result<()> {
        loop {
            let (socket, state) = (&self.socket, &self.state);
            match socket.try_io(|| state.try_send(socket.into(), transmit)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait.until_writable(&mut self.socket)?;
                }
                result => return result,
            }
        }
    }
}

/// The order in which to take what came at once: the sender of the largest datagrams first, each sender's in their
/// order. So the copies of the next one's fit behind them in one run, padded a little: the other way round they would not.
fn largest_first(metas: &[RecvMeta]) -> impl Iterator<Item = usize> {
    let mut order = [(Reverse(0), usize::MAX); BATCH_SIZE];
    for (place, (index, meta)) in order.iter_mut().zip(metas.iter().enumerate()) {
        let of_sender = metas.iter().filter(|other| other.addr == meta.addr);
        let largest = of_sender.map(|other| other.stride).max();
        *place = (Reverse(largest.unwrap_or(0)), index);
    }
    // What no datagram has stays at the end.
    order.sort_unstable();
    order.into_iter().take(metas.len()).map(|(_, index)| index)
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Asks for large kernel buffers, and says once what the kernel refused and how to raise it.
fn size_buffers(state: &UdpSocketState, socket: &std::net::UdpSocket, port: u16) {
    for buffer in ask_for_buffers(state, socket) {
        let KernelBuffer {
            name,
            size,
            asked,
            setting,
        } = buffer;
        if size < asked {
            tracing::info!(
                port,
                "the kernel gave {size} bytes of UDP {name} buffer, of {asked} asked for; \
                 a busy server drops fewer packets after: sysctl -w {setting}={asked}"
            );
        }
    }
}

fn ask_for_buffers(state: &UdpSocketState, socket: &std::net::UdpSocket) -> [KernelBuffer; 2] {
    let _ = state.set_recv_buffer_size(socket.into(), KERNEL_BUFFER);
    let _ = state.set_send_buffer_size(socket.into(), KERNEL_BUFFER);
    let [receive, send] = [
        state.recv_buffer_size(socket.into()),
        state.send_buffer_size(socket.into()),
    ]
    .map(|size| size.unwrap_or(0));
    let granted = |name, size, setting| KernelBuffer {
        name,
        size,
        asked: KERNEL_BUFFER,
        setting,
    };
    [
        granted("receive", receive, "net.core.rmem_max"),
        granted("send", send, "net.core.wmem_max"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_of_the_largest_datagrams_is_first_and_each_keeps_its_order() {
        let meta = |port: u16, size: usize| {
            let mut meta = RecvMeta::default();
            (meta.addr, meta.stride) = (([127, 0, 0, 1], port).into(), size);
            meta
        };
        let metas = [
            (1, 80),
            (2, 900),
            (1, 1_100),
            (3, 1_000),
            (2, 905),
            (1, 1_090),
        ];
        let metas = metas.map(|(port, size)| meta(port, size));
        let order: Vec<usize> = largest_first(&metas).collect();
        assert_eq!(order, [0, 2, 5, 3, 1, 4]);
        assert_eq!(largest_first(&[]).count(), 0);
        let many: Vec<RecvMeta> = (0..BATCH_SIZE).map(|_| meta(1, 1)).collect();
        assert!(largest_first(&many).eq(0..BATCH_SIZE));
    }
}
