//! A peer's UDP socket: read in batches, but one datagram for each that was sent.
//!
//! A kernel that joins datagrams on their way to the reader (UDP_GRO) never takes apart what a server sent
//! in segments, so that the server is measured too cheap: clients have no such kernel.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::net::UdpSocket;
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};

/// What the kernel should buffer for one client: a keyframe's burst from everybody in a room.
const KERNEL_BUFFER: usize = 1024 * 1024;
/// No datagram of a media server is longer.
const READ_BUFFER: usize = 2_048;

/// Room for one batch, shared by all sockets of the thread.
pub(super) struct ReadBuffers {
    buffers: Vec<Box<[u8]>>,
    metas: Vec<RecvMeta>,
}

impl Default for ReadBuffers {
    fn default() -> Self {
        Self {
            buffers: (0..BATCH_SIZE)
                .map(|_| vec![0; READ_BUFFER].into_boxed_slice())
                .collect(),
            metas: vec![RecvMeta::default(); BATCH_SIZE],
        }
    }
}

/// A socket that the media thread polls.
pub(super) struct PeerSocket {
    pub(super) socket: UdpSocket,
    state: UdpSocketState,
    /// Whom it is connected with: the kernel need not look for the way each time.
    connected: Option<SocketAddr>,
}

impl PeerSocket {
    /// Takes over a bound socket.
    pub(super) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let state = UdpSocketState::new((&socket).into())?;
        separate(&socket)?;
        // What the kernel refuses, it refuses.
        let _ = state.set_recv_buffer_size((&socket).into(), KERNEL_BUFFER);
        let _ = state.set_send_buffer_size((&socket).into(), KERNEL_BUFFER);
        Ok(Self {
            socket: UdpSocket::from_std(socket),
            state,
            connected: None,
        })
    }

    /// From now on only this address is spoken with.
    pub(super) fn connect(&mut self, remote: SocketAddr) {
        if self.connected.is_none() && self.socket.connect(remote).is_ok() {
            self.connected = Some(remote);
        }
    }

    /// Reads one batch and hands out every datagram, with the time at which the kernel took it where the kernel
    /// says so, else `now`. Returns whether there may be more.
    pub(super) fn read(
        &self,
        now: (Instant, SystemTime),
        room: &mut ReadBuffers,
        mut each: impl FnMut(Instant, SocketAddr, &mut [u8]),
    ) -> bool {
        let ReadBuffers { buffers, metas } = room;
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] = {
            let mut buffers = buffers.iter_mut();
            std::array::from_fn(|_| IoSliceMut::new(buffers.next().map_or(&mut [], |b| &mut b[..])))
        };
        let received = self.socket.try_io(|| {
            self.state
                .recv((&self.socket).into(), &mut slices, &mut metas[..])
        });
        let count = match received {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            // What ICMP says about an earlier send; there may be datagrams behind it.
            Err(error) => return error.kind() == io::ErrorKind::ConnectionRefused,
        };
        for (meta, buffer) in metas.iter().zip(buffers).take(count) {
            let at = arrival(now, meta.timestamp);
            let from = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
            // Where the system joins datagrams all the same, they are taken apart here.
            for datagram in buffer[..meta.len].chunks_mut(meta.stride.max(1)) {
                each(at, from, datagram);
            }
        }
        count == BATCH_SIZE
    }

    /// Sends one datagram, as a browser does: one for each call. Returns false where the kernel's buffer is
    /// full; other errors are the network's.
    pub(super) fn send(&self, to: SocketAddr, datagram: &[u8]) -> bool {
        let sent = match self.connected {
            Some(remote) if remote == to => self.socket.send(datagram),
            Some(_) => return true,
            None => self.socket.send_to(datagram, to),
        };
        match sent {
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
            Ok(_) => true,
        }
    }
}

/// The kernel tells arrivals by the clock of the day, which may be set in between: what is not of the last
/// second is not believed.
fn arrival(now: (Instant, SystemTime), timestamp: Option<Duration>) -> Instant {
    let (now, day) = now;
    timestamp
        .and_then(|timestamp| day.duration_since(UNIX_EPOCH + timestamp).ok())
        .filter(|ago| *ago < Duration::from_secs(1))
        .and_then(|ago| now.checked_sub(ago))
        .unwrap_or(now)
}

/// Switches off again what `quinn-udp` switches on.
#[cfg(target_os = "linux")]
fn separate(socket: &std::net::UdpSocket) -> io::Result<()> {
    use nix::sys::socket::{setsockopt, sockopt};
    match setsockopt(socket, sockopt::UdpGroSegment, &false) {
        // A kernel before 5.0 joins nothing.
        Ok(()) | Err(nix::errno::Errno::ENOPROTOOPT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn separate(_socket: &std::net::UdpSocket) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use quinn_udp::Transmit;

    use super::*;

    fn bound() -> std::net::UdpSocket {
        std::net::UdpSocket::bind("127.0.0.1:0").unwrap()
    }

    #[test]
    fn segments_of_one_send_arrive_one_by_one() {
        use nix::sys::socket::{getsockopt, sockopt};
        let (receiver, sender) = (bound(), bound());
        let to = receiver.local_addr().unwrap();
        let peer = PeerSocket::new(receiver).unwrap();
        assert!(!getsockopt(&peer.socket, sockopt::UdpGroSegment).unwrap());
        let state = UdpSocketState::new((&sender).into()).unwrap();
        let segments = state.max_gso_segments().min(8);
        let contents = vec![7; 1_000 * segments];
        let transmit = Transmit {
            destination: to,
            ecn: None,
            contents: &contents,
            segment_size: Some(1_000),
            src_ip: None,
        };
        state.try_send((&sender).into(), &transmit).unwrap();
        let mut poll = mio::Poll::new().unwrap();
        let mut socket = peer;
        poll.registry()
            .register(&mut socket.socket, mio::Token(0), mio::Interest::READABLE)
            .unwrap();
        let mut events = mio::Events::with_capacity(4);
        let mut room = ReadBuffers::default();
        let mut lengths = Vec::new();
        let mut strides = Vec::new();
        while lengths.len() < segments {
            poll.poll(&mut events, Some(Duration::from_secs(10)))
                .unwrap();
            assert!(!events.is_empty(), "{} of {segments} came", lengths.len());
            let now = (Instant::now(), SystemTime::now());
            while socket.read(now, &mut room, |_, _, datagram| {
                lengths.push(datagram.len());
            }) {}
            strides.extend(room.metas.iter().map(|meta| (meta.len, meta.stride)));
        }
        assert_eq!(lengths, vec![1_000; segments]);
        // Not even the kernel joined them.
        assert!(
            strides.iter().all(|(len, stride)| len == stride),
            "{strides:?}"
        );
    }

    #[test]
    fn arrivals_are_the_kernels_where_they_can_be() {
        let (now, day) = (Instant::now() + Duration::from_secs(10), SystemTime::now());
        let since = day.duration_since(UNIX_EPOCH).unwrap();
        let ms = Duration::from_millis;
        for (timestamp, expected) in [
            (None, now),
            (Some(since - ms(3)), now - ms(3)),
            (Some(since + ms(3)), now),
            (Some(since - ms(3_000)), now),
        ] {
            assert_eq!(arrival((now, day), timestamp), expected);
        }
    }
}
