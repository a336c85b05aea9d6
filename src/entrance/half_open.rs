//! Connections that are nothing yet: those that have said nothing, or not enough to be taken for more than a visitor's.
//!
//! There is a place for so many of them, in all and from one address. A newcomer always gets one: where there is none left,
//! whoever was silent for longest loses theirs. So thousands that say nothing keep nobody out who has something to say.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::room::network_of;

/// In all.
const MAX: usize = 4_096;
/// From one address, or one network of IPv6. A proxy in front of the server is one address, too.
const MAX_PER_ADDRESS: usize = 256;

/// All places. Clones are the same ones.
#[derive(Clone, Debug, Default)]
pub struct HalfOpen(Arc<Mutex<Line>>);

/// Who stands where: the numbers grow, and who said something gets a new one.
#[derive(Debug, Default)]
struct Line {
    last: u64,
    by_number: BTreeMap<u64, Standing>,
    numbers_by_address: HashMap<IpAddr, BTreeSet<u64>>,
}

#[derive(Debug)]
struct Standing {
    address: IpAddr,
    /// Dropped when the place is another's.
    _holds: oneshot::Sender<Infallible>,
}

/// A connection's place, until this is dropped.
#[derive(Debug)]
pub struct Place {
    all: HalfOpen,
    /// Changed under the lock of the line only.
    number: AtomicU64,
}

/// Tells when a place is another's.
#[derive(Debug)]
pub struct Loss(oneshot::Receiver<Infallible>);

impl HalfOpen {
    /// A place for a connection from this address, in the place of whoever was silent for longest if need be.
    pub(super) fn enter(&self, address: IpAddr) -> (Place, Loss) {
        let address = network_of(address);
        let (holds, loss) = oneshot::channel();
        let mut line = self.line();
        let here = line.numbers_by_address.get(&address);
        let full = here.filter(|numbers| numbers.len() >= MAX_PER_ADDRESS);
        if let Some(oldest) = full.and_then(|numbers| numbers.first().copied()) {
            line.remove(oldest);
        } else if line.by_number.len() >= MAX {
            line.remove_oldest();
        }
        let standing = Standing {
            address,
            _holds: holds,
        };
        let number = AtomicU64::new(line.add(standing));
        let all = self.clone();
        (Place { all, number }, Loss(loss))
    }

    /// Ends a quarter of the connections, the silent ones first; false if there is none.
    pub(super) fn shed(&self) -> bool {
        let mut line = self.line();
        let few = line.by_number.len().div_ceil(4);
        for _ in 0..few {
            line.remove_oldest();
        }
        few > 0
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The connection said something that makes sense: it goes to the end of the line.
    pub fn heard(&self) {
        let mut line = self.all.line();
        if let Some(standing) = line.remove(self.number.load(Ordering::Relaxed)) {
            self.number.store(line.add(standing), Ordering::Relaxed);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let number = self.number.load(Ordering::Relaxed);
        self.all.line().remove(number);
    }
}

impl Loss {
    /// Resolves when the place is another's, or was given back.
    pub async fn happened(&mut self) {
        // Nothing is ever sent.
        let _ = (&mut self.0).await;
    }
}

impl Line {
    fn add(&mut self, standing: Standing) -> u64 {
        self.last += 1;
        let numbers = self.numbers_by_address.entry(standing.address);
        numbers.or_default().insert(self.last);
        self.by_number.insert(self.last, standing);
        self.last
    }

    fn remove(&mut self, number: u64) -> Option<Standing> {
        let standing = self.by_number.remove(&number)?;
        if let Some(numbers) = self.numbers_by_address.get_mut(&standing.address) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.numbers_by_address.remove(&standing.address);
            }
        }
        Some(standing)
    }

    fn remove_oldest(&mut self) {
        if let Some(oldest) = self.by_number.keys().next().copied() {
            self.remove(oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    fn address(n: usize) -> IpAddr {
        [10, (n >> 8) as u8, n as u8, 1].into()
    }

    fn is_lost((_, loss): &mut (Place, Loss)) -> bool {
        loss.0.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn a_newcomer_gets_the_place_of_who_was_silent_for_longest() {
        let all = HalfOpen::default();
        let mut places: Vec<_> = (0..MAX_PER_ADDRESS)
            .map(|_| all.enter(address(0)))
            .collect();
        let mut other = all.enter(address(1));
        assert!(!places.iter_mut().any(is_lost));
        places[0].0.heard();
        let mut newcomer = all.enter(address(0));
        let lost: Vec<bool> = places.iter_mut().map(is_lost).collect();
        assert!(lost[1] && lost.iter().filter(|lost| **lost).count() == 1);
        // Who lost a place says something too late, and frees no other.
        places[1].0.heard();
        places.remove(1);
        assert!(!is_lost(&mut newcomer) && !is_lost(&mut other));
        drop((places, newcomer, other));
        let line = all.line();
        assert!(line.by_number.is_empty() && line.numbers_by_address.is_empty());
    }

    #[test]
    fn all_together_have_so_many_places() {
        let all = HalfOpen::default();
        let mut places: Vec<_> = (0..=MAX).map(|n| all.enter(address(n))).collect();
        let lost: Vec<bool> = places.iter_mut().map(is_lost).collect();
        assert!(lost[0] && !lost[1..].contains(&true));
        assert!(all.shed());
        let kept = places
            .iter_mut()
            .filter_map(|place| (!is_lost(place)).then_some(()));
        assert_eq!(kept.count(), MAX - MAX / 4);
        drop(places);
        assert!(!all.shed());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let all = HalfOpen::default();
        let mut places: Vec<_> = (0..=MAX_PER_ADDRESS as u16)
            .map(|n| all.enter(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, n, n, n, n).into()))
            .collect();
        assert!(is_lost(&mut places[0]) && !is_lost(&mut places[1]));
    }
}
