//! What is wrong with a token, or with a key.

use std::fmt;
use std::path::PathBuf;

use super::{MAX_KEYS, MAX_TOKEN_BYTES, MIN_SECRET_BYTES};

/// Why a token does not admit. The words are for whoever brings it; none of them repeats it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// There is none.
    Missing,
    /// It has more than [`MAX_TOKEN_BYTES`].
    TooLong,
    /// It is no JWT, or one that asks for what is not known here.
    Malformed,
    /// Its `kid` names no key.
    UnknownKey,
    /// Its `alg` is not the one of its key.
    Algorithm,
    /// It is signed with another key, or was changed.
    Signature,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    Early,
    /// A claim is not as it must be.
    Claim {
        /// Which.
        claim: &'static str,
        /// What it must be, in words.
        must_be: &'static str,
    },
    /// Its claims are not what they must be; why.
    Claims(String),
    /// It is for another service.
    Audience,
    /// It admits to another room: this one.
    OtherRoom(String),
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("this server admits nobody without a token: ask whoever invited you for a link with one"),
            Self::TooLong => write!(f, "the token has more than {MAX_TOKEN_BYTES} bytes"),
            Self::Malformed => f.write_str("the token is no JWT that can be read here: was it copied whole?"),
            Self::UnknownKey => f.write_str("the token names a key that this server does not have"),
            Self::Algorithm => f.write_str("the token is signed by an algorithm for which this server has no such key"),
            Self::Signature => f.write_str("the token is not signed with a key of this server, or was changed"),
            Self::Expired => f.write_str("the token has expired: ask for a new one"),
            Self::Early => f.write_str("the token is not valid yet"),
            Self::Claim { claim, must_be } => write!(f, "the token's `{claim}` must be {must_be}"),
            Self::Claims(reason) => write!(f, "the token's claims cannot be read: {reason}"),
            Self::Audience => f.write_str("the token is for another service: it has an `aud`"),
            Self::OtherRoom(room) => write!(f, "the token is for the room {room}"),
        }
    }
}

impl std::error::Error for TokenError {}

/// Why there is no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// A secret of HS256 is too short; which key.
    ShortSecret(String),
    /// Two keys have this id.
    TwiceTheId(String),
    /// There are too many.
    TooMany,
    /// A file cannot be read, or has no such key in it.
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShortSecret(id) => write!(
                f,
                "the secret of the key {id} has fewer than {MIN_SECRET_BYTES} bytes: `openssl rand -hex 32` makes one"
            ),
            Self::TwiceTheId(id) => write!(f, "two keys for tokens have the id {id}"),
            Self::TooMany => write!(f, "there may be at most {MAX_KEYS} keys for tokens"),
            Self::File { path, reason } => write!(f, "{} cannot be used: {reason}", path.display()),
        }
    }
}

impl std::error::Error for KeyError {}
