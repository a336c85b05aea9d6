//! Datagrams that the kernel gave to the wrong shard, where all share one port: handed over to the one whose they are.
//!
//! The kernel gives each address that sends to a shared port to one of its sockets, for good. Who is heard first by another
//! shard than the one it began on moves there (`Event::Heard`), so that all that comes from its first address comes to the
//! right one. What it sends from others may not: a check names its shard by its ufrag, or by the list of those that moved.
//! That shard tells, once the check was right, that the address is its own, and from then on all that comes from there is
//! handed over, a copy and a place in a queue for each datagram; what is sent goes from the shard itself, since the port is
//! the same. Until it has told, a few addresses are believed without proof, so that the first datagrams after a check are not
//! lost.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::links::Links;
use super::moved::Moved;
use super::wait::Bell;
use crate::shard::{PeerId, Spares, shard_of_ufrag};
use crate::transport::{DatagramKind, Endpoint, Path, Protocol, classify, stun_username};

/// Bytes that may be on their way to one shard: as much as its socket's own buffer holds. More are dropped.
const MAX_WAITING: usize = 4 * 1024 * 1024;

/// Parcels that keep their memory for the next.
const MAX_SPARE: usize = 64;

/// Addresses that are believed to be another shard's, as long as that does not say so itself.
const MAX_BELIEVED: usize = 1_024;

/// For how long: a check is repeated sooner.
const BELIEF: Duration = Duration::from_secs(2);

/// For so long after its last check an address is nobody else's: as on one shard (`Transport::hears`).
const HOLD: Duration = Duration::from_secs(8);

/// How often a shard looks for addresses that are not its own any more.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(5);

/// What one shard has for another.
#[derive(Debug, Default)]
pub(super) struct Parcel {
    datagrams: Vec<(Path, usize)>,
    bytes: Vec<u8>,
    /// Addresses that are the sender's from now on, or not any more.
    told: Vec<(SocketAddr, bool)>,
}

/// One shard's part in it.
pub(super) struct Handover {
    index: usize,
    links: Links<Parcel>,
    /// Those that are not sent yet, and the bytes that did not come back, of each shard.
    outgoing: Vec<Outgoing>,
    spare: Spares<Parcel>,
    /// Whose the addresses are that send to this shard's socket, and when a check said so last.
    owners: FxHashMap<SocketAddr, (usize, Instant)>,
    believed: FxHashMap<SocketAddr, (usize, Instant)>,
    /// The shards whose sockets hear addresses that are this shard's own.
    heard_by: FxHashMap<SocketAddr, usize>,
    moved: Moved,
    /// The ufrags of each peer here that name another shard.
    moved_here: HashMap<PeerId, Vec<String>>,
    expire_at: Option<Instant>,
    count: u64,
}

#[derive(Debug, Default)]
struct Outgoing {
    filling: Parcel,
    lent: usize,
}

impl Handover {
    /// The parts of the shards that these bells wake.
    pub(super) fn between(bells: Vec<Arc<Bell>>, moved: &Moved) -> Vec<Self> {
        let shards = bells.len();
        let links = Links::between(bells).into_iter().enumerate();
        links
            .map(|(index, links)| Self {
                index,
                links,
                outgoing: (0..shards).map(|_| Outgoing::default()).collect(),
                spare: Spares::default(),
                owners: FxHashMap::default(),
                believed: FxHashMap::default(),
                heard_by: FxHashMap::default(),
                moved: moved.clone(),
                moved_here: HashMap::new(),
                expire_at: None,
                count: 0,
            })
            .collect()
    }

    /// How many datagrams were handed over so far.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Takes a datagram that is none of this shard's, if another one may know it.
    pub(super) fn take(&mut self, now: Instant, path: Path, datagram: &[u8]) -> bool {
        if path.protocol != Protocol::Udp {
            return false;
        }
        let Some(owner) = self.owner(now, path.remote, datagram) else {
            return false;
        };
        let Some(outgoing) = self.outgoing.get_mut(owner) else {
            return false;
        };
        let waiting = outgoing.lent + outgoing.filling.bytes.len();
        if owner == self.index || waiting + datagram.len() > MAX_WAITING {
            return false;
        }
        outgoing.filling.datagrams.push((path, datagram.len()));
        outgoing.filling.bytes.extend_from_slice(datagram);
        self.count += 1;
        true
    }

    fn owner(&mut self, now: Instant, remote: SocketAddr, datagram: &[u8]) -> Option<usize> {
        let is_stun = classify(datagram) == Some(DatagramKind::Stun);
        // An answer to a check of ours names nobody.
        let ufrag = is_stun.then(|| stun_username(datagram)).flatten();
        if let Some(owner) = ufrag.and_then(|ufrag| self.moved.shard_of(ufrag)) {
            match self.owners.get_mut(&remote) {
                Some((known, checked)) if *known == owner => *checked = now,
                // Who has a password takes nobody's address under a forged sender.
                Some((_, checked)) if now.saturating_duration_since(*checked) <= HOLD => {
                    return None;
                }
                Some(_) | None => self.believe(now, remote, owner),
            }
            return Some(owner);
        }
        let known = self.owners.get(&remote).map(|(owner, _)| *owner);
        known.or_else(|| {
            let (owner, until) = self.believed.get(&remote)?;
            (now < *until).then_some(*owner)
        })
    }

    fn believe(&mut self, now: Instant, remote: SocketAddr, owner: usize) {
        if self.believed.len() >= MAX_BELIEVED {
            self.believed.retain(|_, (_, until)| now < *until);
        }
        if self.believed.len() < MAX_BELIEVED || self.believed.contains_key(&remote) {
            self.believed.insert(remote, (owner, now + BELIEF));
        }
    }

    /// A peer here has this ufrag. One that began elsewhere is put on the list of those that moved.
    pub(super) fn adopt(&mut self, peer: PeerId, ufrag: &str) {
        if shard_of_ufrag(ufrag) == Some(self.index) {
            return;
        }
        let ufrags = self.moved_here.entry(peer).or_default();
        if !ufrags.iter().any(|known| known == ufrag) {
            ufrags.push(ufrag.to_owned());
            self.moved.insert(ufrag, self.index);
        }
    }

    /// A peer is over here, whether it moved here or not.
    pub(super) fn forget(&mut self, peer: PeerId) {
        for ufrag in self.moved_here.remove(&peer).unwrap_or_default() {
            self.moved.remove(&ufrag, self.index);
        }
    }

    /// Reads what others have handed over and told, some parcels of it. Each datagram goes to `each`, with the shard that
    /// handed it over; it says whether its address is this shard's now. Returns whether there may be more.
    pub(super) fn read(
        &mut self,
        now: Instant,
        most: usize,
        mut each: impl FnMut(usize, Path, &mut [u8]) -> bool,
    ) -> bool {
        for _ in 0..most {
            let Some((from, mut parcel)) = self.links.try_recv() else {
                return false;
            };
            for (address, is_theirs) in parcel.told.drain(..) {
                self.learn(now, address, from, is_theirs);
            }
            let mut bytes = parcel.bytes.as_mut_slice();
            for (path, length) in parcel.datagrams.drain(..) {
                let (datagram, rest) = bytes.split_at_mut(length);
                bytes = rest;
                let is_own = each(from, path, datagram);
                if is_own && self.heard_by.get(&path.remote) != Some(&from) {
                    self.heard_by.insert(path.remote, from);
                    self.expire_at.get_or_insert(now + EXPIRY_INTERVAL);
                    self.tell(from, path.remote, true);
                }
            }
            self.links.give_back(from, parcel);
        }
        true
    }

    fn learn(&mut self, now: Instant, address: SocketAddr, owner: usize, is_theirs: bool) {
        self.believed.remove(&address);
        if is_theirs {
            self.owners.insert(address, (owner, now));
        } else if self
            .owners
            .get(&address)
            .is_some_and(|(known, _)| *known == owner)
        {
            self.owners.remove(&address);
        }
    }

    fn tell(&mut self, shard: usize, address: SocketAddr, is_own: bool) {
        if let Some(outgoing) = self.outgoing.get_mut(shard) {
            outgoing.filling.told.push((address, is_own));
        }
    }

    /// When [`expire`](Self::expire) is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.expire_at
    }

    /// Tells the others which addresses are not this shard's any more, those that `knows` denies.
    pub(super) fn expire(&mut self, now: Instant, knows: impl Fn(Endpoint) -> bool) {
        if self.expire_at.is_none_or(|at| now < at) {
            return;
        }
        let outgoing = &mut self.outgoing;
        self.heard_by.retain(|address, shard| {
            let is_own = knows(Endpoint::udp(*address));
            if let (false, Some(outgoing)) = (is_own, outgoing.get_mut(*shard)) {
                outgoing.filling.told.push((*address, false));
            }
            is_own
        });
        self.expire_at = (!self.heard_by.is_empty()).then(|| now + EXPIRY_INTERVAL);
    }

    /// Gives back the memory of parcels that nobody has needed since this was called last. Returns whether there is more, which
    /// may be given back the next time.
    pub(super) fn give_back(&mut self) -> bool {
        drop(self.spare.take_unused());
        !self.spare.is_empty() || self.outgoing.iter().any(|outgoing| outgoing.lent > 0)
    }

    /// Sends the others what there is for them.
    pub(super) fn post(&mut self) {
        while let Some((shard, mut parcel)) = self.links.returned() {
            if let Some(outgoing) = self.outgoing.get_mut(shard) {
                outgoing.lent = outgoing.lent.saturating_sub(parcel.bytes.len());
            }
            if self.spare.len() < MAX_SPARE {
                parcel.clear();
                self.spare.push(parcel);
            }
        }
        for (shard, outgoing) in self.outgoing.iter_mut().enumerate() {
            if !outgoing.filling.is_empty() {
                let next = self.spare.pop().unwrap_or_default();
                let parcel = std::mem::replace(&mut outgoing.filling, next);
                outgoing.lent += parcel.bytes.len();
                self.links.send(shard, parcel);
            }
        }
    }
}

impl Parcel {
    fn is_empty(&self) -> bool {
        self.datagrams.is_empty() && self.told.is_empty()
    }

    fn clear(&mut self) {
        self.datagrams.clear();
        self.bytes.clear();
        self.told.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::wait::Wait;
    use crate::shard::shard_letter;

    /// A STUN request of nothing but a user name, for a peer of this shard.
    fn check(shard: usize) -> Vec<u8> {
        let username = format!("{}abc:efgh", shard_letter(shard));
        let padded = username.len().next_multiple_of(4);
        let mut message = vec![0, 1, 0, 4 + padded as u8, 0x21, 0x12, 0xa4, 0x42];
        message.extend([7; 12]);
        message.extend([0, 6, 0, username.len() as u8]);
        message.extend(username.as_bytes());
        message.resize(24 + padded, 0);
        message
    }

    fn path(port: u16) -> Path {
        Path {
            protocol: Protocol::Udp,
            remote: ([192, 0, 2, 1], port).into(),
            local: None,
        }
    }

    fn pair() -> (Handover, Handover) {
        let waits = [(); 2].map(|()| Wait::new().unwrap());
        let bells = waits.iter().map(Wait::bell).collect();
        let mut parts = Handover::between(bells, &Moved::default());
        let second = parts.pop().unwrap();
        (parts.pop().unwrap(), second)
    }

    /// Everything that waits for a shard, which calls these ports its own.
    fn read(now: Instant, shard: &mut Handover, own: &[u16]) -> Vec<(u16, Vec<u8>)> {
        let mut got = Vec::new();
        shard.read(now, 10, |_, path, datagram| {
            got.push((path.remote.port(), datagram.to_vec()));
            own.contains(&path.remote.port())
        });
        shard.post();
        got
    }

    const MEDIA: [u8; 20] = [0x80; 20];
    /// The head of a STUN answer.
    const ANSWER: [u8; 20] = [
        1, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    ];

    #[test]
    fn a_check_finds_its_shard_and_what_follows_it_does_too_until_the_peer_is_gone() {
        let (mut near, mut far) = pair();
        let now = Instant::now();
        assert!(!near.take(now, path(1), &MEDIA), "nobody knows it");
        assert!(near.take(now, path(1), &check(1)));
        assert!(near.take(now, path(1), &MEDIA), "believed");
        assert!(near.take(now, path(1), &ANSWER), "it names nobody");
        near.post();
        let got = read(now, &mut far, &[1]);
        assert_eq!(
            got,
            [(1, check(1)), (1, MEDIA.to_vec()), (1, ANSWER.to_vec())]
        );
        read(now, &mut near, &[]);
        let later = now + Duration::from_secs(60);
        assert!(near.take(later, path(1), &MEDIA), "known");
        assert!(!near.take(later, path(2), &MEDIA));
        near.post();
        assert_eq!(read(later, &mut far, &[1]).len(), 1);
        far.expire(later, |_| false);
        far.post();
        read(later, &mut near, &[]);
        assert!(!near.take(later, path(1), &MEDIA), "gone");
        assert_eq!((near.count(), far.due()), (4, None));
        assert!(near.owners.is_empty() && far.heard_by.is_empty());
    }

    #[test]
    fn who_moved_is_found_where_it_is_whatever_its_ufrag_says() {
        let (mut near, mut far) = pair();
        let now = Instant::now();
        let peer = PeerId(7);
        // It began on the near one, and was heard by the far one.
        assert!(far.take(now, path(1), &check(0)));
        let ufrag = format!("{}abc", shard_letter(0));
        for ufrag in [&ufrag, &ufrag, &format!("{}abc", shard_letter(1))] {
            far.adopt(peer, ufrag);
        }
        assert!(!far.take(now, path(1), &check(0)), "its own");
        assert!(near.take(now, path(2), &check(0)), "another address of it");
        near.post();
        assert_eq!(read(now, &mut far, &[2]), [(2, check(0))]);
        far.forget(PeerId(8));
        assert!(near.take(now, path(3), &check(0)));
        far.forget(peer);
        assert!(!near.take(now, path(4), &check(0)));
        assert!(far.moved_here.is_empty());
    }

    #[test]
    fn an_address_stays_with_whom_it_is_as_long_as_that_checks() {
        let waits = [(); 3].map(|()| Wait::new().unwrap());
        let bells = waits.iter().map(Wait::bell).collect();
        let mut parts = Handover::between(bells, &Moved::default());
        let mut now = Instant::now();
        let exchange = |parts: &mut [Handover], now, own: [&[u16]; 3]| {
            parts[0].post();
            let got = [1, 2].map(|shard| read(now, &mut parts[shard], own[shard]).len());
            read(now, &mut parts[0], own[0]);
            got
        };
        assert!(parts[0].take(now, path(1), &check(1)));
        assert_eq!(exchange(&mut parts, now, [&[], &[1], &[]]), [1, 0]);
        // Under a forged sender, again and again.
        for second in 1..=20 {
            now += Duration::from_secs(1);
            assert!(!parts[0].take(now, path(1), &check(2)), "{second}");
            if second % 5 == 0 {
                assert!(parts[0].take(now, path(1), &check(1)));
            }
            assert!(parts[0].take(now, path(1), &MEDIA));
        }
        assert_eq!(exchange(&mut parts, now, [&[], &[1], &[]]), [24, 0]);
        // It fell silent: a router gave its port to somebody else.
        now += HOLD + Duration::from_millis(1);
        assert!(parts[0].take(now, path(1), &check(2)));
        assert_eq!(exchange(&mut parts, now, [&[], &[1], &[1]]), [0, 1]);
        assert!(parts[0].take(now, path(1), &MEDIA));
        assert_eq!(exchange(&mut parts, now, [&[], &[], &[1]]), [0, 1]);
    }

    #[test]
    fn strangers_are_believed_for_a_moment_and_few_at_a_time() {
        let (mut near, mut far) = pair();
        let now = Instant::now();
        for port in 0..3_000 {
            assert!(near.take(now, path(port), &check(1)));
        }
        near.post();
        assert_eq!(read(now, &mut far, &[]).len(), 3_000);
        assert_eq!(near.believed.len(), MAX_BELIEVED);
        assert!(near.take(now, path(0), &MEDIA));
        assert!(!near.take(now + BELIEF, path(0), &MEDIA));
        // One's own shard, one that is not there, no ufrag, and no UDP.
        assert!(!near.take(now, path(1), &check(0)));
        assert!(!near.take(now, path(1), &check(63)));
        assert!(!near.take(now, path(2_000), &check(1)[..20]));
        let protocol = Protocol::Tcp;
        let tcp = Path {
            protocol,
            ..path(1)
        };
        assert!(!near.take(now, tcp, &check(1)));
    }

    #[test]
    fn a_shard_that_does_not_read_is_handed_no_more_than_it_may_have() {
        let (mut near, mut far) = pair();
        let now = Instant::now();
        near.take(now, path(1), &check(1));
        let mut taken = 0;
        while near.take(now, path(1), &[0x80; 1_000]) {
            taken += 1;
            near.post();
        }
        assert!((4_000..4_300).contains(&taken), "{taken}");
        while far.read(now, 100, |_, _, _| true) {}
        near.post();
        assert!(near.take(now, path(1), &[0x80; 1_000]));
    }
}
