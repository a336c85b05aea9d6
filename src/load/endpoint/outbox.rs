//! Datagrams that an endpoint wants to send, in one buffer that is used again and again.

use std::net::SocketAddr;
use std::ops::Range;

/// What is to be sent, in order.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// The datagrams, one after the other. Whoever appends one says so with [`finish`](Self::finish).
    pub(super) bytes: Vec<u8>,
    datagrams: Vec<(SocketAddr, Range<usize>)>,
}

impl Outbox {
    /// Appends a whole datagram.
    pub(super) fn push(&mut self, to: SocketAddr, datagram: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(datagram);
        self.finish(start, to);
    }

    /// What was appended to `bytes` from `start` on is a datagram.
    pub(super) fn finish(&mut self, start: usize, to: SocketAddr) {
        self.datagrams.push((to, start..self.bytes.len()));
    }

    /// All datagrams.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let datagrams = self.datagrams.iter();
        datagrams.filter_map(|(to, range)| Some((*to, self.bytes.get(range.clone())?)))
    }

    /// Forgets them.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.datagrams.clear();
    }
}
