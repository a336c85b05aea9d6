//! Who may come in, and do what: tokens, the keys that they are signed with, and what they grant.
//!
//! A token is a JWT (RFC 7519), signed with HS256 or EdDSA (RFC 8037). Its claims:
//!
//! | claim | meaning |
//! | --- | --- |
//! | `exp` | until when it admits, in seconds since 1970; needed. `nbf`, from when on, is heeded |
//! | `room` | the one room that it admits to; without it, to every room |
//! | `sub` | the identity: who it is for, 1 to 128 characters; it is told to operators, and holds a ban |
//! | `name` | the name to be called by until another is said, 1 to 64 characters |
//! | `grants` | what its bearer may do, see [`Grants`]: `{"publish", "subscribe", "chat", "moderate"}` |
//!
//! The header's `kid` names the key; without it every key of the header's `alg` is tried. A token is needed to come in,
//! and no longer: whoever is in stays in when it expires, and comes back with the session's own `resume`.
//!
//! Called by [`crate::signaling`], which has every newcomer's token checked, by [`crate::room`], which holds everybody to
//! what was granted, and by `main` for `crosspoint token`. It reads the clock, and the files of keys at the start. It never
//! logs or keeps a token.

mod claims;
mod command;
mod crypto;
mod error;
mod grants;
mod keys;
mod mint;
#[cfg(test)]
mod tests;

pub use claims::Access;
pub use command::{TokenCommandError, TokenOptions};
pub use error::{KeyError, TokenError};
pub use grants::Grants;
pub use keys::{KeySource, Keys};
pub use mint::{Mint, MintError, SigningKeySource};

/// Longest token that is read, in bytes.
pub const MAX_TOKEN_BYTES: usize = 4096;
/// Longest identity, in characters.
pub const MAX_IDENTITY_CHARACTERS: usize = 128;
/// Most keys at one time. Without a `kid` each of them may have to be tried.
pub const MAX_KEYS: usize = 16;
/// Shortest secret of HS256, in bytes: as long as the hash (RFC 7518 section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;
/// How far clocks may be apart, in seconds.
const LEEWAY: u64 = 30;
