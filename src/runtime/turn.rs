//! Datagrams on a shard's port that are for TURN and STUN, and for no peer.

use std::time::Instant;

use tokio::sync::mpsc;

use crate::transport::Path;
use crate::turn::{Limiter, is_channel_data, is_for_turn, is_send_indication};

/// A datagram that is for TURN or STUN, and the way it came.
pub type TurnDatagram = (Path, Box<[u8]>);

/// Hands them on.
#[derive(Debug)]
pub(super) struct ToTurn {
    sender: mpsc::Sender<TurnDatagram>,
    limiter: Limiter,
}

impl ToTurn {
    pub(super) fn new(now: Instant, sender: mpsc::Sender<TurnDatagram>) -> Self {
        Self {
            sender,
            limiter: Limiter::new(now),
        }
    }

    /// Hands a datagram on if it is for TURN or STUN. Then it is nobody else's, though it be dropped because its sender asks
    /// too often, or too much is waiting.
    pub(super) fn takes(&mut self, now: Instant, path: Path, datagram: &[u8]) -> bool {
        let is_data = is_channel_data(datagram) || is_send_indication(datagram);
        if !is_data && !is_for_turn(datagram) {
            return false;
        }
        if is_data || self.limiter.admits(now, path.remote.ip()) {
            // Full, or TURN is over.
            let _ = self.sender.try_send((path, datagram.into()));
        }
        true
    }
}
