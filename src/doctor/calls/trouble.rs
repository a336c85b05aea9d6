//! Why a call did not come about, as far as it can be told from this side.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::doctor::reach;

/// How far a call came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) enum Trouble {
    /// The server did not let a participant in, or sent it away: its own words.
    Signalling(String),
    /// It told no address by which the way goes.
    NotTold,
    /// No connection to this address.
    NoConnection {
        /// Which.
        to: SocketAddr,
        /// Why not.
        why: String,
        /// Whether this machine has no way to such addresses, as one without IPv6: nothing was sent.
        no_route: bool,
    },
    /// The TURN server did not do what it was asked for.
    Turn(String),
    /// The connection broke.
    Broken(String),
    /// The machine there says that nobody has the port.
    Refused,
    /// Nothing ever came back.
    Silent,
    /// Something came back, but no secure connection came about.
    NoHandshake,
    /// All is connected, and no media arrived.
    NoMedia,
}

impl Trouble {
    /// There is no connection to this address.
    pub(super) fn no_connection(to: SocketAddr, error: &io::Error) -> Self {
        Self::NoConnection {
            to,
            why: reach::words(error),
            no_route: matches!(
                error.kind(),
                io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable
            ),
        }
    }
}

/// What the gates of a call saw.
#[derive(Debug, Default)]
pub(super) struct Notes {
    received: AtomicU64,
    refused: AtomicBool,
    broken: Mutex<Option<String>>,
    objection: Mutex<Option<String>>,
}

impl Notes {
    pub(super) fn received(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether an error is about one datagram, which is noted.
    pub(super) fn is_passing(&self, error: &io::Error) -> bool {
        let refused = error.kind() == io::ErrorKind::ConnectionRefused;
        self.refused.fetch_or(refused, Ordering::Relaxed);
        refused
            || matches!(
                error.kind(),
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable
            )
    }

    pub(super) fn broken(&self, error: &io::Error) {
        let words = match error.kind() {
            io::ErrorKind::UnexpectedEof => "the other side closed it".to_owned(),
            _ => reach::words(error),
        };
        put(&self.broken, words);
    }

    /// Browsers would not have gone on.
    pub(super) fn object(&self, why: String) {
        put(&self.objection, why);
    }

    pub(super) fn objection(&self) -> Option<String> {
        let objection = self.objection.lock();
        objection.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it comes to when time is over.
    pub(super) fn trouble(&self, connected: bool) -> Trouble {
        let broken = self.broken.lock();
        let broken = broken.unwrap_or_else(PoisonError::into_inner).clone();
        match broken {
            Some(why) => Trouble::Broken(why),
            None if connected => Trouble::NoMedia,
            None if self.received.load(Ordering::Relaxed) > 0 => Trouble::NoHandshake,
            None if self.refused.load(Ordering::Relaxed) => Trouble::Refused,
            None => Trouble::Silent,
        }
    }
}

fn put(place: &Mutex<Option<String>>, words: String) {
    let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
    place.get_or_insert(words);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_call_came_says_what_is_wrong() {
        let notes = Notes::default();
        assert_eq!(notes.trouble(false), Trouble::Silent);
        assert!(notes.is_passing(&io::ErrorKind::ConnectionRefused.into()));
        assert!(!notes.is_passing(&io::ErrorKind::UnexpectedEof.into()));
        assert_eq!(notes.trouble(false), Trouble::Refused);
        notes.received();
        assert_eq!(notes.trouble(false), Trouble::NoHandshake);
        assert_eq!(notes.trouble(true), Trouble::NoMedia);
        notes.broken(&io::ErrorKind::UnexpectedEof.into());
        let broken = Trouble::Broken("the other side closed it".to_owned());
        assert_eq!(notes.trouble(false), broken);
    }
}
