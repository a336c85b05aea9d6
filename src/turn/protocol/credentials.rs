//! Who may have something relayed: user names that say until when they are good, and users that are configured.
//!
//! The former are the field's "REST" convention: the name is the time of its end in Unix seconds, a colon and an identity; the
//! password is the Base64 of the HMAC-SHA1 of the name, under a secret that all servers of an installation may share.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::crypto::{HashAlgorithm, RTCCryptoProvider};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// The realm of all credentials (RFC 8489 section 9.2). Short, since it goes out before anybody is known.
pub(super) const REALM: &str = "crosspoint";

/// Longest user name. Ours are far shorter.
const MAX_USERNAME: usize = 256;

/// A user with a password that does not change.
#[derive(Clone, PartialEq, Eq)]
pub struct TurnUser {
    /// The user name.
    pub name: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for TurnUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnUser")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A user name, and the password that goes with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Credential {
    pub(crate) username: String,
    pub(crate) password: String,
}

/// Makes credentials, and knows them again.
pub(crate) struct Credentials {
    secret: hmac::Key,
    lifetime: Duration,
    users: HashMap<String, String>,
    /// Of a password that nobody has: who names no user is not told sooner than who errs in the password.
    nobody: String,
    started: Instant,
    started_unix_ms: u64,
    crypto: Arc<dyn RTCCryptoProvider>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl Credentials {
    /// `lifetime` is how long those are good that are made. `started` is the instant that `started_unix_ms` is about.
    /// Fails where the system has no cryptography.
    pub(crate) fn new(
        secret: &[u8],
        lifetime: Duration,
        users: &[TurnUser],
        (started, started_unix_ms): (Instant, u64),
    ) -> Result<Self, ::crypto::CryptoError> {
        let secret = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
        let users = users.iter().cloned();
        Ok(Self {
            nobody: password_of(&secret, ""),
            secret,
            lifetime,
            users: users.map(|user| (user.name, user.password)).collect(),
            started,
            started_unix_ms,
            crypto: ::crypto::default_provider()?,
        })
    }

    /// One that is good from now on.
    pub(crate) fn make(&self, now: Instant, identity: &str) -> Credential {
        let until = self.unix_seconds(now) + self.lifetime.as_secs();
        let username = format!("{until}:{identity}");
        let password = password_of(&self.secret, &username);
        Credential { username, password }
    }

    /// How long those are good that are made.
    pub(crate) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// The key of a user's messages (RFC 8489 section 9.2.2), and whether it is one that counts: to who asks with another, all
    /// are the same.
    pub(crate) fn key_of(&self, now: Instant, username: &[u8]) -> (hmac::Key, bool) {
        let username = std::str::from_utf8(username)
            .ok()
            .filter(|name| name.len() <= MAX_USERNAME)
            .unwrap_or_default();
        let made = password_of(&self.secret, username);
        let (password, is_known) = match self.users.get(username) {
            Some(password) => (password, true),
            None if self.is_in_time(now, username) => (&made, true),
            None => (&self.nobody, false),
        };
        let text = format!("{username}:{REALM}:{password}");
        let hash = self
            .crypto
            .crypto()
            .hash(HashAlgorithm::Md5, text.as_bytes());
        let is_known = is_known && hash.is_ok();
        let key = hash.unwrap_or_default();
        (
            hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key),
            is_known,
        )
    }

    fn is_in_time(&self, now: Instant, username: &str) -> bool {
        let until = username
            .split_once(':')
            .map_or(username, |(until, _)| until);
        let until = until.parse::<u64>();
        until.is_ok_and(|until| self.unix_seconds(now) < until)
    }

    fn unix_seconds(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.started);
        Duration::from_millis(self.started_unix_ms)
            .saturating_add(since)
            .as_secs()
    }
}

/// Who a user name means: that of credentials that were made says when they end, too.
pub(super) fn user_of(username: &str) -> &str {
    match username.split_once(':') {
        Some((until, identity)) if until.parse::<u64>().is_ok() => identity,
        _ => username,
    }
}

fn password_of(secret: &hmac::Key, username: &str) -> String {
    STANDARD.encode(hmac::sign(secret, username.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(start: Instant, secret: &str) -> Credentials {
        let users = [TurnUser {
            name: "ada".to_owned(),
            password: "lovelace".to_owned(),
        }];
        let lifetime = Duration::from_secs(600);
        Credentials::new(secret.as_bytes(), lifetime, &users, (start, 1_000_000_000)).unwrap()
    }

    #[test]
    fn a_made_one_is_as_other_servers_make_it() {
        let start = Instant::now();
        let made = credentials(start, "north").make(start, "7");
        // printf 1000600:7 | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(made.username, "1000600:7");
        assert_eq!(made.password, "seUVsl9cwjaqnoZzXDFFsF5kMb0=");
    }

    #[test]
    fn it_is_good_until_its_time() {
        let start = Instant::now();
        let credentials = credentials(start, "north");
        let made = credentials.make(start, "7");
        let knows = |after, name: &str| {
            let now = start + Duration::from_secs(after);
            credentials.key_of(now, name.as_bytes()).1
        };
        assert!(knows(0, &made.username) && knows(599, &made.username));
        assert!(!knows(600, &made.username));
        assert!(knows(600, "ada") && !knows(0, "bob"));
        assert!(!knows(0, "") && !knows(0, &"1".repeat(300)));
        assert!(!credentials.key_of(start, &[0xff]).1);
    }

    #[test]
    fn a_key_is_that_of_the_password() {
        let start = Instant::now();
        let tag = |key: &hmac::Key| hmac::sign(key, b"text").as_ref().to_vec();
        let (key, _) = credentials(start, "north").key_of(start, b"ada");
        let crypto = ::crypto::default_provider().unwrap();
        let long_term = |password: &str| {
            ::stun::integrity::MessageIntegrity::long_term_integrity_key(
                "ada".to_owned(),
                REALM.to_owned(),
                password.to_owned(),
                crypto.crypto(),
            )
            .unwrap()
        };
        let other = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &long_term("lovelace"));
        assert_eq!(tag(&key), tag(&other));
        // Another secret makes no other password of a user that is configured, but of the others.
        let name = credentials(start, "north").make(start, "7").username;
        let [one, two] = ["north", "south"]
            .map(|secret| tag(&credentials(start, secret).key_of(start, name.as_bytes()).0));
        assert_ne!(one, two);
    }
}
