//! Whose datagram is it? By address for what flows, by ICE user name for the first check from one.

use std::collections::HashMap;

use rustc_hash::FxHashMap;

use crate::transport::Endpoint;

/// Addresses that one peer may have at a time: a phone has a few, an attacker gets no more.
const MAX_ADDRESSES_PER_PEER: usize = 16;

/// The address table of a shard. Only addresses that passed an authenticated STUN check get in, so
/// nobody can fill it, or choose keys that collide, without being in a call.
#[derive(Debug, Default)]
pub(super) struct Demux {
    peer_by_address: FxHashMap<Endpoint, usize>,
    peer_by_ufrag: HashMap<String, usize>,
}

impl Demux {
    /// The peer that sends from this address.
    pub(super) fn by_address(&self, address: Endpoint) -> Option<usize> {
        self.peer_by_address.get(&address).copied()
    }

    /// The peer whose local ICE user name fragment this is.
    pub(super) fn by_ufrag(&self, ufrag: &str) -> Option<usize> {
        self.peer_by_ufrag.get(ufrag).copied()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.peer_by_address.is_empty() && self.peer_by_ufrag.is_empty()
    }

    /// Lets checks for `ufrag` find the peer.
    pub(super) fn insert_ufrag(&mut self, ufrag: &str, peer: usize) {
        self.peer_by_ufrag.insert(ufrag.to_owned(), peer);
    }

    /// Checks for `ufrag` find nobody any more.
    pub(super) fn remove_ufrag(&mut self, ufrag: &str) {
        self.peer_by_ufrag.remove(ufrag);
    }

    /// Binds an address to a peer. `addresses` is the peer's own list, oldest first: it loses its
    /// oldest entry when it is full. An address that was another peer's moves.
    pub(super) fn insert_address(
        &mut self,
        address: Endpoint,
        peer: usize,
        addresses: &mut Vec<Endpoint>,
    ) {
        if self.by_address(address) == Some(peer) {
            return;
        }
        if addresses.len() >= MAX_ADDRESSES_PER_PEER {
            let oldest = addresses.remove(0);
            self.remove_address(oldest, peer);
        }
        addresses.retain(|known| *known != address);
        addresses.push(address);
        self.peer_by_address.insert(address, peer);
    }

    /// Forgets an address, unless another peer has it by now.
    pub(super) fn remove_address(&mut self, address: Endpoint, peer: usize) {
        if self.by_address(address) == Some(peer) {
            self.peer_by_address.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> Endpoint {
        Endpoint::udp(([192, 0, 2, 1], port).into())
    }

    #[test]
    fn a_peer_with_too_many_addresses_loses_its_oldest() {
        let mut demux = Demux::default();
        let mut own = Vec::new();
        for port in 0..=MAX_ADDRESSES_PER_PEER as u16 {
            demux.insert_address(address(port), 7, &mut own);
        }
        assert_eq!(own.len(), MAX_ADDRESSES_PER_PEER);
        assert_eq!(demux.by_address(address(0)), None);
        assert_eq!(demux.by_address(address(1)), Some(7));
    }

    #[test]
    fn an_address_that_moved_stays_with_its_new_peer() {
        let mut demux = Demux::default();
        let (mut old, mut new) = (Vec::new(), Vec::new());
        demux.insert_address(address(1), 1, &mut old);
        demux.insert_address(address(1), 2, &mut new);
        demux.remove_address(address(1), 1);
        assert_eq!(demux.by_address(address(1)), Some(2));
    }
}
