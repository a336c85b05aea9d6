//! What a shard's thread sleeps on: its socket, its timers, and whoever has something for it.
//!
//! Made for the thread, and not tokio's executor: that would also wake for each datagram that has left, since it asks
//! for both directions of a socket, and once more for each timer that is due before the last.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::net::{TcpStream, UdpSocket};
use mio::{Events, Interest, Poll, Token, Waker};

const SOCKET: Token = Token(0);
const BELL: Token = Token(1);
/// From here on tokens are those of connections.
const FIRST_STREAM: usize = 2;

/// How long a full socket is waited for at a time.
const WRITABLE_TIMEOUT: Duration = Duration::from_millis(100);

/// What others wake the thread with, after they put something into a queue of its.
#[derive(Debug)]
pub(super) struct Bell {
    waker: Waker,
    /// It was rung and not heard yet: whoever rings again need not call the kernel.
    rung: AtomicBool,
}

impl Bell {
    /// Ends the thread's sleep, or keeps it from the next.
    pub(super) fn ring(&self) {
        // Acquire and release here and in `hear`: either the thread sees what is in the queue, or it is woken again.
        if !self.rung.swap(true, Ordering::AcqRel) {
            let _ = self.waker.wake();
        }
    }

    fn hear(&self) {
        self.rung.swap(false, Ordering::AcqRel);
    }
}

/// The thread's end.
pub(super) struct Wait {
    poll: Poll,
    events: Events,
    bell: Arc<Bell>,
    /// The socket may have more to read than was read.
    unread: bool,
    /// Somebody has woken the thread while it waited for something else.
    woken: bool,
    /// Connections that can be read or written, each once for each time that the kernel says so.
    ready: Vec<usize>,
}

impl Wait {
    pub(super) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), BELL)?;
        let rung = AtomicBool::new(false);
        Ok(Self {
            poll,
            events: Events::with_capacity(8),
            bell: Arc::new(Bell { waker, rung }),
            unread: false,
            woken: false,
            ready: Vec::new(),
        })
    }

    /// What others wake the thread with.
    pub(super) fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.bell)
    }

    /// From now on datagrams end the sleep.
    pub(super) fn register(&self, socket: &mut UdpSocket) -> io::Result<()> {
        let registry = self.poll.registry();
        registry.register(socket, SOCKET, Interest::READABLE)
    }

    /// From now on the connection of this index ends the sleep: when there is something to read, and when one that was
    /// full takes more.
    pub(super) fn register_stream(&self, stream: &mut TcpStream, index: usize) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        let token = Token(FIRST_STREAM + index);
        self.poll.registry().register(stream, token, both)
    }

    /// The connections that can be read or written.
    pub(super) fn take_ready(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.ready)
    }

    /// These connections were not read to their end: the next sleep is none.
    pub(super) fn put_back_ready(&mut self, unread: Vec<usize>) {
        self.woken |= !unread.is_empty();
        self.ready = unread;
    }

    /// Sleeps until there is something to read, the bell rings, or `timeout` has come, and says whether there may be
    /// something to read. What is in the queues has to be looked at after it.
    pub(super) fn sleep(&mut self, timeout: Option<Instant>) -> io::Result<bool> {
        let now = self.unread || std::mem::take(&mut self.woken);
        let timeout = match timeout {
            _ if now => Some(Duration::ZERO),
            timeout => timeout.map(|at| at.saturating_duration_since(Instant::now())),
        };
        self.poll(timeout)?;
        self.woken = false;
        self.bell.hear();
        Ok(std::mem::take(&mut self.unread))
    }

    /// The socket was not emptied: the next sleep is none.
    pub(super) fn has_more(&mut self) {
        self.unread = true;
    }

    /// There is more to do than the socket knows: the next sleep is none.
    pub(super) fn hurry(&mut self) {
        self.woken = true;
    }

    /// Sleeps until the socket's buffer has room, or for a while.
    pub(super) fn until_writable(&mut self, socket: &mut UdpSocket) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().reregister(socket, SOCKET, both)?;
        let polled = self.poll(Some(WRITABLE_TIMEOUT));
        // What came meanwhile is looked at after the flush.
        (self.unread, self.woken) = (true, true);
        let registry = self.poll.registry();
        registry.reregister(socket, SOCKET, Interest::READABLE)?;
        polled
    }

    fn poll(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &self.events {
            match event.token() {
                SOCKET => self.unread = true,
                BELL => self.woken = true,
                Token(stream) => self.ready.push(stream - FIRST_STREAM),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_the_bell_and_time_end_the_sleep() {
        let mut wait = Wait::new().unwrap();
        let mut socket = UdpSocket::bind(([127, 0, 0, 1], 0).into()).unwrap();
        wait.register(&mut socket).unwrap();
        let soon = || Some(Instant::now() + Duration::from_millis(1));
        assert!(!wait.sleep(soon()).unwrap());
        for _ in 0..3 {
            let bell = wait.bell();
            let ringing = std::thread::spawn(move || bell.ring());
            assert!(!wait.sleep(None).unwrap());
            ringing.join().unwrap();
        }
        wait.bell().ring();
        wait.bell().ring();
        assert!(!wait.sleep(None).unwrap());
        let other = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        other.send_to(&[1], socket.local_addr().unwrap()).unwrap();
        assert!(wait.sleep(None).unwrap());
        wait.has_more();
        assert!(wait.sleep(None).unwrap());
        wait.hurry();
        assert!(!wait.sleep(None).unwrap());
        wait.until_writable(&mut socket).unwrap();
        assert!(wait.sleep(None).unwrap());
    }
}
