//! How much everybody may have.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::room::network_of;

/// How many allocations there may be at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnLimits {
    /// In all.
    pub allocations: usize,
    /// Of one user name.
    pub per_user: usize,
    /// Of one address; of IPv6 of one network of 64 bits.
    pub per_address: usize,
    /// Bits a second that one allocation carries each way; what is beyond is dropped.
    pub bits_per_second: u64,
}

/// Counts what is held in all, by one user and by one address.
#[derive(Clone, Debug)]
pub(crate) struct Quota {
    limits: TurnLimits,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_user: HashMap<Arc<str>, usize>,
    by_address: HashMap<IpAddr, usize>,
}

/// One that is held, until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    quota: Quota,
    user: Arc<str>,
    address: IpAddr,
}

impl Quota {
    pub(crate) fn new(limits: TurnLimits) -> Self {
        Self {
            limits,
            counts: Arc::default(),
        }
    }

    /// A place, if one is left.
    pub(crate) fn enter(&self, user: &Arc<str>, address: IpAddr) -> Option<Place> {
        let address = network_of(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let held = |count: Option<&usize>| count.copied().unwrap_or(0);
        if counts.all >= self.limits.allocations
            || held(counts.by_user.get(user)) >= self.limits.per_user
            || held(counts.by_address.get(&address)) >= self.limits.per_address
        {
            return None;
        }
        counts.all += 1;
        *counts.by_user.entry(Arc::clone(user)).or_default() += 1;
        *counts.by_address.entry(address).or_default() += 1;
        Some(Place {
            quota: self.clone(),
            user: Arc::clone(user),
            address,
        })
    }

    /// How many are held.
    pub(crate) fn held(&self) -> usize {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let counts = &self.quota.counts;
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all -= 1;
        leave(&mut counts.by_user, &self.user);
        leave(&mut counts.by_address, &self.address);
    }
}

fn leave<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// A token bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    pub(super) fn full(now: Instant, most: f64) -> Self {
        Self {
            tokens: most,
            filled: now,
        }
    }

    /// Takes so many of the tokens that come at `rate` a second, of which at most `most` are kept.
    pub(super) fn take(&mut self, now: Instant, amount: f64, rate: f64, most: f64) -> bool {
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = self.filled.max(now);
        self.tokens = (self.tokens + elapsed * rate).min(most);
        let enough = self.tokens >= amount;
        if enough {
            self.tokens -= amount;
        }
        enough
    }
}

/// Addresses told apart, at most: those of one slot share what is given to one.
const SLOTS: usize = 4_096;
/// Requests of one address a second that are looked at before it is known, and how many at once. A network that has one
/// address for many people needs some.
const RATE: f64 = 100.0;
const BURST: f64 = 300.0;

/// How many strangers' requests are answered, by address. It takes the same memory whoever asks.
#[derive(Debug)]
pub(crate) struct Limiter {
    slots: Box<[Bucket]>,
    hasher: RandomState,
}

impl Limiter {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            slots: vec![Bucket::full(now, BURST); SLOTS].into(),
            // Nobody can know whose slot is whose.
            hasher: RandomState::new(),
        }
    }

    /// Whether one more request of this address is answered.
    pub(crate) fn admits(&mut self, now: Instant, address: IpAddr) -> bool {
        let slot = self.hasher.hash_one(network_of(address)) as usize % SLOTS;
        self.slots
            .get_mut(slot)
            .is_some_and(|bucket| bucket.take(now, 1.0, RATE, BURST))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ip(n: u8) -> IpAddr {
        [192, 0, 2, n].into()
    }

    #[test]
    fn one_user_one_address_and_all_have_their_shares() {
        let quota = Quota::new(TurnLimits {
            allocations: 5,
            per_user: 2,
            per_address: 3,
            bits_per_second: 0,
        });
        let [ada, bob, eve]: [Arc<str>; 3] = ["ada", "bob", "eve"].map(Arc::from);
        let mut places: Vec<Place> = Vec::new();
        let mut enter = |user: &Arc<str>, address| {
            let place = quota.enter(user, address);
            let entered = place.is_some();
            places.extend(place);
            entered
        };
        assert!(enter(&ada, ip(1)) && enter(&ada, ip(2)));
        assert!(!enter(&ada, ip(3)), "a third one of one user");
        assert!(enter(&bob, ip(1)) && enter(&eve, ip(1)));
        assert!(!enter(&eve, ip(1)), "a fourth one of one address");
        assert!(enter(&bob, ip(2)));
        assert!(!enter(&eve, ip(4)), "a sixth one");
        drop(places.remove(0));
        assert!(quota.enter(&ada, ip(1)).is_some());
        places.clear();
        let counts = quota.counts.lock().unwrap();
        assert!(counts.all == 0 && counts.by_user.is_empty() && counts.by_address.is_empty());
    }

    #[test]
    fn strangers_are_answered_a_few_times_a_second_each() {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        let admitted = |limiter: &mut Limiter, now, n| {
            (0..10_000).filter(|_| limiter.admits(now, ip(n))).count()
        };
        assert_eq!(admitted(&mut limiter, start, 1), BURST as usize);
        let later = start + Duration::from_secs(1);
        assert_eq!(admitted(&mut limiter, later, 1), RATE as usize);
        // A clock that seems to go back gives nothing.
        assert_eq!(admitted(&mut limiter, start, 1), 0);
        let others = (2..=255).filter(|&n| limiter.admits(later, ip(n))).count();
        assert!(others > 240, "the others pay for one: {others}");
    }
}
