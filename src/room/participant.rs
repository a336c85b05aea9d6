//! Somebody in a room.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use tracing::Span;

use super::SessionId;
use super::limits::{Bucket, Strikes};
use super::peer::Peer;
use crate::access::Access;
use crate::signaling::protocol::Dialect;
use crate::turn::HostPort;

/// Most messages that are kept for a session whose socket broke; the oldest go first.
const MAX_KEPT: usize = 64;

/// Most bytes of them.
const MAX_KEPT_BYTES: usize = 256 * 1024;

/// Somebody in a room, from its socket's first moment until it left.
#[derive(Debug)]
pub(super) struct Participant {
    pub(super) room: Arc<str>,
    pub(super) dialect: Dialect,
    pub(super) address: IpAddr,
    /// Who it is, and what it may do.
    pub(super) access: Access,
    /// What its client called this server by.
    pub(super) reached_at: Option<HostPort>,
    /// When it is told of TURN and STUN again.
    pub(super) ice_servers_due: Option<Instant>,
    pub(super) link: Link,
    /// Until when it waits to be let into its room; `None` for those who are in it.
    pub(super) waits_until: Option<Instant>,
    /// What resumes the session; only in v1.
    pub(super) token: Option<Arc<str>>,
    /// Nobody is announced, called or heard before it has one.
    pub(super) name: Option<Arc<str>>,
    /// Its peer connection, while it is in a call or one rings.
    pub(super) peer: Option<Peer>,
    /// It is in a call, or was in one.
    pub(super) was_in_call: bool,
    pub(super) bucket: Bucket,
    /// How often it may take up its session again: everything is said anew to it.
    pub(super) resumes: Bucket,
    pub(super) strikes: Strikes,
    /// What is logged and traced of it.
    pub(super) span: Span,
}

/// The way to a participant's client.
#[derive(Debug)]
pub(super) enum Link {
    /// A socket.
    Connected(SessionId),
    /// The socket broke; media may go on.
    Broken {
        /// Until when it may be taken up again.
        until: Instant,
        /// What must not be lost.
        kept: VecDeque<Arc<str>>,
    },
}

impl Participant {
    pub(super) fn session(&self) -> Option<SessionId> {
        match self.link {
            Link::Connected(session) => Some(session),
            Link::Broken { .. } => None,
        }
    }

    /// Keeps a message for a resume.
    pub(super) fn keep(&mut self, text: Arc<str>) {
        if let Link::Broken { kept, .. } = &mut self.link {
            kept.push_back(text);
            let mut bytes: usize = kept.iter().map(|text| text.len()).sum();
            while kept.len() > MAX_KEPT || bytes > MAX_KEPT_BYTES {
                let Some(oldest) = kept.pop_front() else {
                    break;
                };
                bytes -= oldest.len();
            }
        }
    }

    /// The name, or nothing for somebody without.
    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
}
