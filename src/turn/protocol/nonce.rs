//! Nonces that nobody has to remember: the time, and a signature over it and the client's address.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

/// How long a nonce is good. Then the client is given another (438), and repeats its request.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// Bytes of the time, and of the signature. Short, since it goes out before anybody is known.
const TIME_LEN: usize = 4;
const TAG_LEN: usize = 8;

/// Makes and knows nonces.
#[derive(Debug)]
pub(super) struct Nonces {
    key: hmac::Key,
    started: Instant,
}

impl Nonces {
    /// `seed` is a secret.
    pub(super) fn new(started: Instant, seed: &[u8; 32]) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, seed),
            started,
        }
    }

    /// One for this client, good from now on.
    pub(super) fn make(&self, now: Instant, client: SocketAddr) -> String {
        let time = self.seconds(now).to_be_bytes();
        let mut bytes = [0; TIME_LEN + TAG_LEN];
        bytes[..TIME_LEN].copy_from_slice(&time);
        bytes[TIME_LEN..].copy_from_slice(&self.tag(time, client));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whether it was made here, for this client, and not long ago.
    pub(super) fn is_fresh(&self, now: Instant, client: SocketAddr, nonce: &[u8]) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(nonce) else {
            return false;
        };
        let Some((&time, tag)) = bytes.split_first_chunk::<TIME_LEN>() else {
            return false;
        };
        let age = self
            .seconds(now)
            .checked_sub(u32::from_be_bytes(time))
            .map(|seconds| Duration::from_secs(seconds.into()));
        ::crypto::constant_time_eq(tag, &self.tag(time, client))
            && age.is_some_and(|age| age < LIFETIME)
    }

    fn seconds(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.started).as_secs() as u32
    }

    fn tag(&self, time: [u8; TIME_LEN], client: SocketAddr) -> [u8; TAG_LEN] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&time);
        match client.ip() {
            IpAddr::V4(ip) => context.update(&ip.octets()),
            IpAddr::V6(ip) => context.update(&ip.octets()),
        }
        context.update(&client.port().to_be_bytes());
        let mut tag = [0; TAG_LEN];
        tag.copy_from_slice(&context.sign().as_ref()[..TAG_LEN]);
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_for_one_client_and_for_a_while() {
        let start = Instant::now();
        let nonces = Nonces::new(start, &[7; 32]);
        let [here, there] = ["192.0.2.1:1", "192.0.2.1:2"].map(|text| text.parse().unwrap());
        let made = start + Duration::from_secs(5);
        let nonce = nonces.make(made, here);
        assert_eq!(nonce.len(), 16);
        assert!(nonces.is_fresh(made, here, nonce.as_bytes()));
        assert!(nonces.is_fresh(made + LIFETIME / 2, here, nonce.as_bytes()));
        assert!(!nonces.is_fresh(made, there, nonce.as_bytes()));
        assert!(!nonces.is_fresh(made + LIFETIME, here, nonce.as_bytes()));
        // The clock is never behind what made it: somebody else did.
        assert!(!nonces.is_fresh(start, here, nonce.as_bytes()));
        let others = Nonces::new(start, &[8; 32]).make(made, here);
        assert!(!nonces.is_fresh(made, here, others.as_bytes()));
        for wrong in [&b""[..], b"AAAA", b"not base64!", &nonce.as_bytes()[1..]] {
            assert!(!nonces.is_fresh(made, here, wrong));
        }
    }
}
