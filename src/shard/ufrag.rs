//! Which shard a peer began on, said by the first letter of its ICE user name fragment.
//!
//! So that whoever meets a check that is not its own, a shard on a port that all share or the TCP door, knows whose it is
//! without asking; only of those that moved does the runtime keep a list. Nobody gains by reading it, and what one forges of
//! it is dropped one shard further on.

/// What a ufrag may be made of (RFC 8839 section 5.4), as many as there are shards at most.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The first letter of the ufrags of a shard's peers. Shards from 64 on have none of their own.
pub(crate) fn shard_letter(shard: usize) -> char {
    char::from(ALPHABET[shard % ALPHABET.len()])
}

/// The shard of the peer with this ufrag, if it is one of ours. It may be one that does not exist.
pub(crate) fn shard_of_ufrag(ufrag: &str) -> Option<usize> {
    let first = ufrag.bytes().next()?;
    ALPHABET.iter().position(|letter| *letter == first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_has_its_letter() {
        for shard in 0..64 {
            let ufrag = format!("{}rest", shard_letter(shard));
            assert_eq!(shard_of_ufrag(&ufrag), Some(shard));
        }
        assert_eq!(shard_of_ufrag(""), None);
        assert_eq!(shard_of_ufrag("\u{e9}"), None);
    }
}
