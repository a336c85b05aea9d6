//! How much one client may say, how often wrongly, and how often somebody may come.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Three strikes within this end a socket.
const STRIKE_WINDOW: Duration = Duration::from_secs(10);

/// A message of less than twice this counts for one.
const BYTES_PER_TOKEN: usize = 16 * 1024;

/// Arrivals at once, in seconds' worth of what is allowed: a school class that opens the page at the bell.
const ARRIVALS_AT_ONCE: u32 = 10;

/// Those that are remembered for how often they came; the older half is forgotten when there are more.
const MAX_REMEMBERED: usize = 131_072;

/// Whose an address is: an IPv4 address is one host's or one household's, and whoever has an IPv6 address has all
/// 2^64 of its network.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// A token bucket: `rate` messages a second in the long run, twice as many at once.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: f64,
    depth: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    pub(super) fn new(now: Instant, rate: u32) -> Self {
        Self::deep(now, rate, 2)
    }

    /// One that holds as much as `seconds` bring.
    pub(super) fn deep(now: Instant, rate: u32, seconds: u32) -> Self {
        let rate = f64::from(rate.max(1));
        let depth = rate * f64::from(seconds);
        Self {
            rate,
            depth,
            tokens: depth,
            filled: now,
        }
    }

    /// Whether one more message of this many bytes is allowed now. A long one counts for several: each of the room may
    /// have to be sent it.
    pub(super) fn take(&mut self, now: Instant, bytes: usize) -> bool {
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.rate).min(self.depth);
        self.filled = now;
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0 + (bytes / BYTES_PER_TOKEN) as f64;
        true
    }
}

/// How often each of many may come: `rate` times a second in the long run, ten times as often at once.
///
/// Who has not come for as long as it takes to be allowed everything again is forgotten.
#[derive(Debug)]
pub(super) struct Arrivals<K> {
    rate: u32,
    recent: HashMap<K, Bucket>,
    /// Those that have not come since `turned`.
    older: HashMap<K, Bucket>,
    turned: Option<Instant>,
}

impl<K: Eq + Hash> Arrivals<K> {
    pub(super) fn new(rate: u32) -> Self {
        Self {
            rate,
            recent: HashMap::new(),
            older: HashMap::new(),
            turned: None,
        }
    }

    /// Whether `who` may come now.
    pub(super) fn take(&mut self, now: Instant, who: K) -> bool {
        let turned = *self.turned.get_or_insert(now);
        let forgets = Duration::from_secs(ARRIVALS_AT_ONCE.into());
        if now.saturating_duration_since(turned) >= forgets
            || self.recent.len() >= MAX_REMEMBERED / 2
        {
            self.older = std::mem::take(&mut self.recent);
            self.turned = Some(now);
        }
        let known = self.older.remove(&who);
        let bucket = self.recent.entry(who).or_insert_with(|| {
            known.unwrap_or_else(|| Bucket::deep(now, self.rate, ARRIVALS_AT_ONCE))
        });
        bucket.take(now, 0)
    }
}

/// The last two times that a client sent what no correct client sends.
#[derive(Debug, Default)]
pub(super) struct Strikes {
    last: [Option<Instant>; 2],
}

impl Strikes {
    /// Counts one more; true for the third within ten seconds.
    pub(super) fn strike(&mut self, now: Instant) -> bool {
        let [older, newer] = self.last;
        self.last = [newer, Some(now)];
        older.is_some_and(|at| now.saturating_duration_since(at) < STRIKE_WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_counts_for_several() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start, 10);
        let at_once = (0..100).filter(|_| bucket.take(start, 64 * 1024)).count();
        assert_eq!(at_once, 4);
    }

    #[test]
    fn a_bucket_gives_twice_its_rate_at_once_and_its_rate_after() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start, 10);
        let at_once = (0..100).filter(|_| bucket.take(start, 100)).count();
        assert_eq!(at_once, 20);
        let later = start + Duration::from_millis(500);
        assert_eq!((0..100).filter(|_| bucket.take(later, 100)).count(), 5);
    }

    #[test]
    fn one_may_come_ten_times_as_often_at_once_and_is_forgotten_when_all_is_allowed_again() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut arrivals = Arrivals::new(3);
        let mut come = |now, who| (0..100).filter(|_| arrivals.take(now, who)).count();
        assert_eq!(come(at(0), 'a'), 30);
        assert_eq!(come(at(0), 'b'), 30);
        assert_eq!(come(at(1), 'a'), 3);
        // Between two turns it is remembered, and the rest forgotten after.
        assert_eq!(come(at(10), 'a'), 27);
        assert_eq!(come(at(20), 'c'), 30);
        assert_eq!(come(at(21), 'a'), 30);
        assert_eq!(arrivals.recent.len() + arrivals.older.len(), 2);
    }

    #[test]
    fn many_that_come_once_are_not_all_remembered() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(1);
        for who in 0..2 * MAX_REMEMBERED {
            assert!(arrivals.take(start, who));
        }
        assert!(arrivals.recent.len() + arrivals.older.len() <= MAX_REMEMBERED);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_an_address_of_ipv4_is_itself() {
        let network = |text: &str| network_of(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:0:1:2:3:4:5"), "2001:db8:0:1::");
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
        assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.7");
    }

    #[test]
    fn only_the_third_strike_within_ten_seconds_counts() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut strikes = Strikes::default();
        assert!(!strikes.strike(at(0)));
        assert!(!strikes.strike(at(9)));
        assert!(!strikes.strike(at(11)));
        assert!(strikes.strike(at(18)));
    }
}
