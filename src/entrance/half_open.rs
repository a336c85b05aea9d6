//! How many connections may be open that have not said enough yet to be let in.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// In all.
const MAX: usize = 4_096;
/// From one address.
const MAX_PER_ADDRESS: usize = 64;

/// Counts connections between being accepted and being let in.
#[derive(Clone, Debug, Default)]
pub(super) struct HalfOpen(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One such connection, which counts until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    all: HalfOpen,
    address: IpAddr,
}

impl HalfOpen {
    /// A place for a connection from this address, if there is one left.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Place> {
        let address = who(address);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = counts.by_address.get(&address).copied().unwrap_or(0);
        if counts.all >= MAX || before >= MAX_PER_ADDRESS {
            return None;
        }
        counts.all += 1;
        counts.by_address.insert(address, before + 1);
        Some(Place {
            all: self.clone(),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all -= 1;
        if let Entry::Occupied(mut count) = counts.by_address.entry(self.address) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Whoever has an IPv6 address has 2^64 of them.
fn who(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_few_places_and_all_together_have_some() {
        let all = HalfOpen::default();
        let address = |n: usize| -> IpAddr { [10, (n >> 8) as u8, n as u8, 1].into() };
        let mut places: Vec<Place> = (0..MAX_PER_ADDRESS)
            .filter_map(|_| all.enter(address(0)))
            .collect();
        assert_eq!(places.len(), MAX_PER_ADDRESS);
        assert!(all.enter(address(0)).is_none());
        places.pop();
        places.extend(all.enter(address(0)));
        assert!(all.enter(address(0)).is_none());
        places.extend((1..MAX).filter_map(|n| all.enter(address(n))));
        assert_eq!(places.len(), MAX);
        assert!(all.enter(address(MAX + 1)).is_none());
        drop(places);
        let counts = all.0.lock().unwrap();
        assert!(counts.all == 0 && counts.by_address.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let all = HalfOpen::default();
        let places: Vec<Option<Place>> = (0..=MAX_PER_ADDRESS as u16)
            .map(|n| all.enter(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, n, n, n, n).into()))
            .collect();
        assert_eq!(places.iter().flatten().count(), MAX_PER_ADDRESS);
    }
}
