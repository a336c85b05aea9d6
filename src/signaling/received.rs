//! How much of a connection is what no message was made of yet.
//!
//! Written by the door, read by the session that the connection became. A client that sends a long message piece by piece, and
//! never its end, holds that memory, and its pongs say that it is alive.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of a control frame of a client without its payload (RFC 6455 section 5.2).
const CONTROL_HEAD: u64 = 6;

/// So much may be unfinished for as long as it likes.
const SLACK: u64 = 16 * 1024;

/// Bytes that a client has sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Received(Arc<AtomicU64>);

/// A connection of which is counted what it brings.
pub(super) struct Counted<S> {
    stream: S,
    received: Received,
}

/// What a client has sent of a message that is not whole.
#[derive(Debug)]
pub(super) struct Unfinished {
    received: Received,
    /// What was taken as messages, or as control frames after the last of them.
    taken: u64,
}

impl Received {
    fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl<S> Counted<S> {
    pub(super) fn new(stream: S, received: Received) -> Self {
        Self { stream, received }
    }
}

impl Unfinished {
    /// Everything until now was whole.
    pub(super) fn new(received: Received) -> Self {
        let taken = received.bytes();
        Self { received, taken }
    }

    /// A message was whole. What follows it may have come already: that is not counted.
    pub(super) fn message(&mut self) {
        self.taken = self.received.bytes();
    }

    /// A control frame with so many bytes came, which may be in the middle of a message.
    pub(super) fn control(&mut self, payload: usize) {
        self.taken += CONTROL_HEAD + payload as u64;
    }

    /// Whether much waits for its end.
    pub(super) fn is_much(&self) -> bool {
        self.received.bytes().saturating_sub(self.taken) > SLACK
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        self.received.0.fetch_add(read as u64, Ordering::Relaxed);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn pongs_do_not_hide_what_has_no_end_and_are_none_of_it() {
        let (mut client, server) = duplex(1 << 20);
        let received = Received::default();
        let mut stream = Counted::new(server, received.clone());
        let mut unfinished = Unfinished::new(received);
        let mut bring = async |bytes: usize| {
            client.write_all(&vec![0; bytes]).await.unwrap();
            stream.read_exact(&mut vec![0; bytes]).await.unwrap();
        };
        for _ in 0..10_000 {
            bring(6 + 4).await;
            unfinished.control(4);
        }
        assert!(!unfinished.is_much());
        bring(40_000).await;
        bring(6).await;
        unfinished.control(0);
        assert!(unfinished.is_much());
        unfinished.message();
        assert!(!unfinished.is_much());
    }
}
