//! Signatures of [Standard Webhooks](https://www.standardwebhooks.com).

use std::fmt;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// What a key in base64 begins with.
const PREFIX: &str = "whsec_";

/// Shortest key, in bytes.
const MIN_KEY_BYTES: usize = 16;

/// The key of all signatures.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Vec<u8>);

/// A word that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretError;

impl WebhookSecret {
    /// Reads `whsec_` and base64, or any other word as it is; of at least 16 bytes.
    pub fn new(word: &str) -> Result<Self, SecretError> {
        let key = match word.strip_prefix(PREFIX) {
            Some(base64) => STANDARD.decode(base64).map_err(|_| SecretError)?,
            None => word.as_bytes().to_vec(),
        };
        if key.len() < MIN_KEY_BYTES {
            return Err(SecretError);
        }
        Ok(Self(key))
    }

    /// The headers of a request; `timestamp` in seconds since 1970.
    pub(super) fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> HeaderMap {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let mut context = hmac::Context::with_key(&key);
        context.update(format!("{id}.{timestamp}.").as_bytes());
        context.update(body);
        let signature = format!("v1,{}", STANDARD.encode(context.sign()));
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        for (name, value) in [
            ("webhook-id", id),
            ("webhook-timestamp", &timestamp.to_string()),
            ("webhook-signature", &signature),
        ] {
            if let Ok(value) = value.parse() {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        headers
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_standards_own_example() {
        let secret = WebhookSecret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let headers = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(
            headers["webhook-signature"],
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        assert_eq!(headers["webhook-id"], "msg_p5jXN8AQM9LWM0D4loKWxJek");
        assert_eq!(headers["webhook-timestamp"], "1614265330");
    }

    #[test]
    fn a_key_is_long_and_never_shown() {
        for word in [
            "",
            "0123456789abcde",
            "whsec_MTIz",
            "whsec_no base64 at all, though long",
        ] {
            assert_eq!(WebhookSecret::new(word), Err(SecretError), "{word}");
        }
        let secret = WebhookSecret::new("0123456789abcdef").unwrap();
        assert!(!format!("{secret:?}").contains("0123"));
    }
}
