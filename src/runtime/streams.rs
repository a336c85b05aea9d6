//! TCP connections for media: each carries the datagrams of one path as frames (RFC 4571, for RFC 6544).
//!
//! What a datagram's socket would lose is lost here too: what does not fit into a bounded buffer, because the network does not
//! take it, is dropped, so that senders hear of it as they would of any congestion.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use rustc_hash::FxHashMap;
use slab::Slab;

use super::wait::Wait;
use crate::shard::Lane;
use crate::transport::{Endpoint, Path, Protocol};

/// Connections of one shard. Where there are more, those go first that nobody knows.
const MAX_STREAMS: usize = 4_096;

/// Bytes of the longest frame. Media fits an Ethernet frame, and so does DTLS.
const MAX_FRAME: usize = 4_096;

/// Bytes of the length before each frame.
const HEAD: usize = 2;

/// What may wait for a connection that takes nothing: 0.2 s of 5 Mbit/s.
const MAX_WAITING: usize = 128 * 1024;

/// What the kernel may have that it did not send yet, so that what waits does so here, and is soon told.
const KERNEL_WAITING: u32 = 64 * 1024;

/// Read at once.
const READ_BUFFER: usize = 64 * 1024;

/// Reads of one connection in one tick before others have their turn.
const READS_PER_TICK: usize = 4;

/// How long a connection may exist before a check on it was accepted.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection by which nothing came for so long is over: consent has ended by then (RFC 7675).
const SILENCE: Duration = Duration::from_secs(60);

/// How often is looked for those that are over.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(5);

/// A connection that somebody has opened for media.
#[derive(Debug)]
pub struct MediaStream {
    /// The connection, non-blocking.
    pub stream: std::net::TcpStream,
    /// What was read of it: the first frames, of which the last may be incomplete. Some kilobytes at most.
    pub first: Vec<u8>,
}

/// All connections of a shard.
pub(super) struct Streams {
    streams: Slab<Stream>,
    by_remote: FxHashMap<SocketAddr, usize>,
    buffer: Box<[u8]>,
    expire_at: Option<Instant>,
}

struct Stream {
    stream: TcpStream,
    path: Path,
    /// Whether the shard had heard of its peer when it was asked last.
    is_known: bool,
    opened: Instant,
    heard: Instant,
    /// Of a frame that has not come in full.
    rest: Vec<u8>,
    /// Frames to be sent, from `sent` on.
    waiting: Vec<u8>,
    sent: usize,
}

/// What became of the datagrams of a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) datagrams: u64,
    pub(super) bytes: u64,
    /// Dropped: the connection takes no more, or is gone.
    pub(super) refused: u64,
}

impl Streams {
    pub(super) fn new() -> Self {
        Self {
            streams: Slab::new(),
            by_remote: FxHashMap::default(),
            buffer: vec![0; READ_BUFFER].into_boxed_slice(),
            expire_at: None,
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    /// Takes a connection over. There may be something to read of it at once.
    pub(super) fn add(&mut self, now: Instant, new: MediaStream, wait: &Wait) -> io::Result<usize> {
        if self.streams.len() >= MAX_STREAMS {
            let unknown = self.streams.iter().filter(|(_, stream)| !stream.is_known);
            let oldest = unknown.min_by_key(|(_, stream)| stream.opened);
            let (oldest, _) = oldest.ok_or(ErrorKind::QuotaExceeded)?;
            self.remove(oldest);
        }
        let remote = new.stream.peer_addr()?;
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        let local = new.stream.local_addr()?.ip().to_canonical();
        new.stream.set_nodelay(true)?;
        #[cfg(target_os = "linux")]
        socket2::SockRef::from(&new.stream).set_tcp_notsent_lowat(KERNEL_WAITING)?;
        let entry = self.streams.vacant_entry();
        let index = entry.key();
        let mut stream = TcpStream::from_std(new.stream);
        wait.register_stream(&mut stream, index)?;
        entry.insert(Stream {
            stream,
            path: Path {
                protocol: Protocol::Tcp,
                remote,
                local: Some(local),
            },
            is_known: false,
            opened: now,
            heard: now,
            rest: new.first,
            waiting: Vec::new(),
            sent: 0,
        });
        if let Some(before) = self.by_remote.insert(remote, index) {
            // The same port, to another address of ours: who comes later is right.
            self.streams.try_remove(before);
        }
        self.expire_at.get_or_insert(now + EXPIRY_INTERVAL);
        Ok(index)
    }

    /// The other end of a connection that nobody knew yet.
    pub(super) fn unknown(&self, index: usize) -> Option<Endpoint> {
        let stream = self.streams.get(index)?;
        (!stream.is_known).then(|| stream.path.origin())
    }

    /// The shard knows the peer of a connection.
    pub(super) fn recognize(&mut self, index: usize) {
        if let Some(stream) = self.streams.get_mut(index) {
            stream.is_known = true;
        }
    }

    /// Reads what came by a connection and hands every datagram to `each`. Returns whether there may be more.
    pub(super) fn read(
        &mut self,
        now: Instant,
        index: usize,
        mut each: impl FnMut(Path, &mut [u8]),
    ) -> bool {
        let Some(stream) = self.streams.get_mut(index) else {
            return false;
        };
        for _ in 0..READS_PER_TICK {
            match stream.read(now, &mut self.buffer, &mut each) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) => {
                    tracing::debug!(remote = %stream.path.remote, %error, "a connection for media is over");
                    self.remove(index);
                    return false;
                }
            }
        }
        true
    }

    /// Sends a lane's datagrams, or drops them.
    pub(super) fn send(&mut self, lane: &Lane) -> Sent {
        let mut sent = Sent::default();
        let index = self.by_remote.get(&lane.path().remote).copied();
        let stream = index.and_then(|index| self.streams.get_mut(index));
        let Some(stream) = stream else {
            sent.refused = lane.datagrams().count() as u64;
            return sent;
        };
        for datagram in lane.datagrams() {
            if stream.push(datagram) {
                sent.datagrams += 1;
                sent.bytes += datagram.len() as u64;
            } else {
                sent.refused += 1;
            }
        }
        if let Some(index) = index {
            self.flush(index);
        }
        sent
    }

    /// Sends what waits, as far as the kernel takes it.
    pub(super) fn flush(&mut self, index: usize) {
        let Some(stream) = self.streams.get_mut(index) else {
            return;
        };
        if let Err(error) = stream.flush() {
            tracing::debug!(remote = %stream.path.remote, %error, "a connection for media is over");
            self.remove(index);
        }
    }

    /// When [`expire`](Self::expire) is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.expire_at
    }

    /// Closes the connections of which `knows` has not heard in time, or not any more, and silent ones.
    pub(super) fn expire(&mut self, now: Instant, knows: impl Fn(Endpoint) -> bool) {
        if self.expire_at.is_none_or(|at| now < at) {
            return;
        }
        let over: Vec<usize> = self
            .streams
            .iter_mut()
            .filter_map(|(index, stream)| {
                let since = |at| now.saturating_duration_since(at);
                stream.is_known = knows(stream.path.origin());
                let is_over = !stream.is_known && since(stream.opened) >= PATIENCE
                    || since(stream.heard) >= SILENCE;
                is_over.then_some(index)
            })
            .collect();
        for index in over {
            self.remove(index);
        }
        self.expire_at = (!self.streams.is_empty()).then(|| now + EXPIRY_INTERVAL);
    }

    fn remove(&mut self, index: usize) {
        let Some(stream) = self.streams.try_remove(index) else {
            return;
        };
        let remote = stream.path.remote;
        if self.by_remote.get(&remote) == Some(&index) {
            self.by_remote.remove(&remote);
        }
    }
}

impl Stream {
    /// Reads once. True when something came, after which there may be more.
    fn read(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        each: &mut impl FnMut(Path, &mut [u8]),
    ) -> io::Result<bool> {
        let kept = self.rest.len();
        let (before, free) = buffer
            .split_at_mut_checked(kept)
            .ok_or(ErrorKind::InvalidData)?;
        before.copy_from_slice(&self.rest);
        let read = match self.stream.read(free) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                self.heard = now;
                Some(read)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) if error.kind() == ErrorKind::Interrupted => Some(0),
            Err(error) => return Err(error),
        };
        let end = kept + read.unwrap_or(0);
        let mut came = buffer.get_mut(..end).unwrap_or_default();
        while let Some(length) = came.first_chunk::<HEAD>() {
            let length = usize::from(u16::from_be_bytes(*length));
            if length > MAX_FRAME {
                return Err(ErrorKind::InvalidData.into());
            }
            if came.len() < HEAD + length {
                break;
            }
            let (frame, after) = came.split_at_mut(HEAD + length);
            let datagram = frame.get_mut(HEAD..).unwrap_or_default();
            if !datagram.is_empty() {
                each(self.path, datagram);
            }
            came = after;
        }
        self.rest.clear();
        self.rest.extend_from_slice(came);
        Ok(read.is_some())
    }

    /// Appends a frame, if there is room.
    fn push(&mut self, datagram: &[u8]) -> bool {
        let Ok(length) = u16::try_from(datagram.len()) else {
            return false;
        };
        if self.waiting.len() - self.sent + HEAD + datagram.len() > MAX_WAITING {
            return false;
        }
        if self.sent > MAX_WAITING {
            self.waiting.drain(..self.sent);
            self.sent = 0;
        }
        self.waiting.extend_from_slice(&length.to_be_bytes());
        self.waiting.extend_from_slice(datagram);
        true
    }

    fn flush(&mut self) -> io::Result<()> {
        while let Some(waiting) = self
            .waiting
            .get(self.sent..)
            .filter(|left| !left.is_empty())
        {
            match self.stream.write(waiting) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.waiting.clear();
        self.sent = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::Batch;
    use std::net::{TcpListener, TcpStream as StdStream};

    /// A connection with both its ends: the client's, and ours among the streams.
    fn connected(streams: &mut Streams, wait: &Wait, first: &[u8]) -> (StdStream, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = StdStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let new = MediaStream {
            stream,
            first: first.to_vec(),
        };
        let index = streams.add(Instant::now(), new, wait).unwrap();
        (client, index)
    }

    /// Waits until a connection is ready, and reads it.
    fn read(streams: &mut Streams, wait: &mut Wait, got: &mut Vec<Vec<u8>>) {
        let limit = Instant::now() + Duration::from_secs(5);
        let before = got.len();
        while got.len() == before && Instant::now() < limit {
            wait.sleep(Some(limit)).unwrap();
            for index in wait.take_ready() {
                streams.read(Instant::now(), index, |_, datagram| {
                    got.push(datagram.to_vec())
                });
            }
        }
    }

    #[test]
    fn frames_come_whole_however_they_are_cut() {
        let (mut streams, mut wait) = (Streams::new(), Wait::new().unwrap());
        let (mut client, index) = connected(&mut streams, &wait, &[0, 3, 1]);
        let mut got = Vec::new();
        client.write_all(&[2, 3, 0, 0, 0, 2, 4]).unwrap();
        read(&mut streams, &mut wait, &mut got);
        assert_eq!(got, [vec![1, 2, 3]]);
        client.write_all(&[5, 0, 1, 6]).unwrap();
        read(&mut streams, &mut wait, &mut got);
        assert_eq!(got, [vec![1, 2, 3], vec![4, 5], vec![6]]);
        drop(client);
        assert_eq!(streams.len(), 1);
        wait.sleep(None).unwrap();
        assert_eq!(wait.take_ready(), [index]);
        assert!(!streams.read(Instant::now(), index, |_, _| {}));
        assert_eq!(streams.len(), 0);
    }

    #[test]
    fn a_frame_that_nobody_would_send_ends_the_connection() {
        let (mut streams, wait) = (Streams::new(), Wait::new().unwrap());
        let (_client, index) = connected(&mut streams, &wait, &[0xff, 0xff, 0]);
        streams.read(Instant::now(), index, |_, _| panic!("no frame"));
        assert_eq!(streams.len(), 0);
    }

    #[test]
    fn what_the_network_does_not_take_is_dropped_and_the_rest_comes_whole() {
        let (mut streams, mut wait) = (Streams::new(), Wait::new().unwrap());
        let (mut client, index) = connected(&mut streams, &wait, &[]);
        let path = streams.streams[index].path;
        let mut sent = Sent::default();
        let mut batch = Batch::new();
        for number in 0..20_000_u32 {
            batch.push(path, &[&number.to_be_bytes()[..], &[7; 1_000]].concat());
            while let Some(lane) = batch.next_due(None) {
                let more = streams.send(&lane);
                sent.datagrams += more.datagrams;
                sent.refused += more.refused;
            }
        }
        assert!(sent.refused > 0 && sent.datagrams > 0, "{sent:?}");
        let reader = std::thread::spawn(move || {
            let (mut frame, mut last) = ([0; HEAD + 1_004], None);
            for _ in 0..sent.datagrams {
                client.read_exact(&mut frame).unwrap();
                assert_eq!(frame[..HEAD], 1_004_u16.to_be_bytes());
                let number = u32::from_be_bytes(frame[HEAD..HEAD + 4].try_into().unwrap());
                assert!(last.is_none_or(|last| last < number));
                last = Some(number);
            }
        });
        while !streams.streams[index].waiting.is_empty() {
            wait.sleep(None).unwrap();
            for index in wait.take_ready() {
                streams.flush(index);
            }
        }
        reader.join().unwrap();
    }

    #[test]
    fn who_shows_nothing_or_falls_silent_is_closed() {
        let (mut streams, wait) = (Streams::new(), Wait::new().unwrap());
        let (_first, _) = connected(&mut streams, &wait, &[]);
        let (_second, index) = connected(&mut streams, &wait, &[]);
        let known = streams.streams[index].path.origin();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        streams.expire(at(6), |origin| origin == known);
        assert_eq!(streams.len(), 2);
        assert_eq!(streams.unknown(index), None);
        streams.expire(at(12), |origin| origin == known);
        assert_eq!(streams.len(), 1);
        streams.expire(at(61), |origin| origin == known);
        assert_eq!((streams.len(), streams.due()), (0, None));
    }
}
