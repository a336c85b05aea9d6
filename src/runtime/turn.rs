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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Protocol;

    /// The head of a message without attributes (RFC 8489 section 5).
    fn message(kind: u16) -> [u8; 20] {
        let mut message = [0; 20];
        message[..2].copy_from_slice(&kind.to_be_bytes());
        message[4..8].copy_from_slice(&0x2112_a442_u32.to_be_bytes());
        message
    }

    /// How many of a thousand that one address sends at one moment are handed on.
    fn handed_on(datagram: &[u8]) -> usize {
        let now = Instant::now();
        let (sender, mut receiver) = mpsc::channel(1);
        let mut to_turn = ToTurn::new(now, sender);
        let path = Path {
            protocol: Protocol::Udp,
            remote: "192.0.2.1:5000".parse().unwrap(),
            local: None,
        };
        let sent = 0..1_000;
        sent.filter(|_| {
            assert!(to_turn.takes(now, path, datagram));
            receiver.try_recv().is_ok()
        })
        .count()
    }

    #[test]
    fn questions_are_limited_by_address_and_the_data_of_clients_is_not() {
        let [binding, allocate, send] = [0x0001, 0x0003, 0x0016];
        assert_eq!(handed_on(&message(send)), 1_000);
        let channel_data = [0x40, 0, 0, 4, 1, 2, 3, 4];
        assert_eq!(handed_on(&channel_data), 1_000);
        for question in [binding, allocate] {
            assert!(handed_on(&message(question)) < 1_000, "{question:#06x}");
        }
    }
}
