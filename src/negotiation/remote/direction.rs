//! `a=sendrecv` and its kin.

use std::fmt;

/// Who sends on an m-line, from the view of the side whose description it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Direction {
    /// That side sends.
    pub(crate) send: bool,
    /// That side receives.
    pub(crate) receive: bool,
}

impl Direction {
    /// What an m-line says that says nothing (RFC 8866 section 6.7).
    pub(crate) const SENDRECV: Self = Self {
        send: true,
        receive: true,
    };

    /// The direction with this attribute name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let (send, receive) = match name {
            "sendrecv" => (true, true),
            "sendonly" => (true, false),
            "recvonly" => (false, true),
            "inactive" => (false, false),
            _ => return None,
        };
        Some(Self { send, receive })
    }

    /// The same from the other side's view.
    pub(crate) fn reversed(self) -> Self {
        Self {
            send: self.receive,
            receive: self.send,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.send, self.receive) {
            (true, true) => "sendrecv",
            (true, false) => "sendonly",
            (false, true) => "recvonly",
            (false, false) => "inactive",
        })
    }
}
