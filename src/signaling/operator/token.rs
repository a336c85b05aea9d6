//! What admits operators.

use std::fmt;

use axum::http::{HeaderMap, header};
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

/// What admits operators. Only its hash is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct OperatorToken([u8; SHA256_OUTPUT_LEN]);

impl OperatorToken {
    /// The token in plain text.
    pub fn new(token: &str) -> Self {
        Self(hash(token))
    }

    /// Whether the headers of a request have the token (RFC 6750 section 2.1).
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        bearer(headers).is_some_and(|given| self.is(given))
    }

    /// Whether this is the token. Takes as long whatever is wrong: what is compared are hashes, all of their bytes.
    fn is(&self, token: &str) -> bool {
        let pairs = self.0.iter().zip(hash(token));
        pairs.fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

impl fmt::Debug for OperatorToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorToken")
    }
}

fn hash(token: &str) -> [u8; SHA256_OUTPUT_LEN] {
    let mut hash = [0; SHA256_OUTPUT_LEN];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_admits_and_nobody_sees_it() {
        let token = OperatorToken::new("0123456789abcdef");
        assert!(token.is("0123456789abcdef"));
        assert!(!token.is("0123456789abcdeg"));
        assert!(!token.is("0123456789abcde"));
        assert!(!token.is(""));
        assert!(!format!("{token:?}").contains("0123"));
    }

    #[test]
    fn the_scheme_of_the_header_has_no_case() {
        let mut headers = HeaderMap::new();
        assert_eq!(bearer(&headers), None);
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc", Some("abc")),
            ("Basic abc", None),
            ("abc", None),
        ] {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            assert_eq!(bearer(&headers), token, "{value}");
        }
    }
}
