//! Identifiers of m-lines and layers that travel in header extensions.

use std::fmt;
use std::str::FromStr;

/// Longest identifier that is stored. RFC 8843 section 15 leaves mids open, but a one-byte header
/// extension (RFC 8285) carries at most 16 bytes, and no browser makes longer ones.
const MAX_LEN: usize = 16;

/// A short ASCII identifier, stored inline so that it is `Copy` and compares without a pointer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShortId {
    len: u8,
    bytes: [u8; MAX_LEN],
}

/// The identifier of an m-line: `a=mid` and the `sdes:mid` header extension (RFC 8843).
pub type Mid = ShortId;

/// The identifier of a simulcast layer: `a=rid` and the `sdes:rtp-stream-id` extension (RFC 8852).
pub type Rid = ShortId;

/// An identifier that is empty, longer than 16 bytes, or not made of SDP token characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidId;

impl ShortId {
    /// Takes an identifier from the bytes of a header extension.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidId> {
        // Some stacks pad the extension with zeros; they are no part of the identifier.
        let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
        let bytes = &bytes[..end];
        let token = |b: &u8| b.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]".contains(b);
        if bytes.is_empty() || bytes.len() > MAX_LEN || !bytes.iter().all(token) {
            return Err(InvalidId);
        }
        let mut id = Self {
            len: bytes.len() as u8,
            bytes: [0; MAX_LEN],
        };
        id.bytes[..bytes.len()].copy_from_slice(bytes);
        Ok(id)
    }

    /// The identifier as it is written in SDP.
    pub fn as_str(&self) -> &str {
        // Only ASCII gets in, so this never falls back.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The identifier as it is written in a header extension.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl FromStr for ShortId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::from_bytes(text.as_bytes())
    }
}

impl fmt::Display for ShortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ShortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an identifier must be 1 to {MAX_LEN} token characters")
    }
}

impl std::error::Error for InvalidId {}
