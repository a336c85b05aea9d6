//! AES-128-GCM with keys that both sides know beforehand, in the form of SRTP (RFC 7714).

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// What a packet grows by when it is sealed, in bytes.
pub(super) const TAG_LEN: usize = 16;

/// The key of one endpoint, for what it sends and for what it is sent.
pub(crate) struct FixedKey(LessSafeKey);

/// The packet is too short, or not sealed with this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotOpened;

impl FixedKey {
    /// The key of the endpoint with this number: each has its own, as each peer of a server has.
    /// `None` if the crypto library refuses it.
    pub(crate) fn new(endpoint: u32) -> Option<Self> {
        let mut bytes = [0x5a; 16];
        bytes[..4].copy_from_slice(&endpoint.to_be_bytes());
        let key = UnboundKey::new(&AES_128_GCM, &bytes).ok()?;
        Some(Self(LessSafeKey::new(key)))
    }

    /// Encrypts `out[start + header_len..]` and appends the tag. Returns false, with `out` in no
    /// particular state, where there is no such range.
    pub(crate) fn seal(
        &self,
        out: &mut Vec<u8>,
        start: usize,
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> bool {
        let Some((header, payload)) = out
            .get_mut(start..)
            .and_then(|packet| packet.split_at_mut_checked(header_len))
        else {
            return false;
        };
        let sealed =
            self.0
                .seal_in_place_separate_tag(nonce(ssrc, index), Aad::from(&*header), payload);
        match sealed {
            Ok(tag) => {
                out.extend_from_slice(tag.as_ref());
                true
            }
            Err(_) => false,
        }
    }

    /// Decrypts `packet[header_len..]` in place and returns the length without the tag.
    pub(crate) fn open(
        &self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, NotOpened> {
        let (header, sealed) = packet
            .split_at_mut_checked(header_len)
            .ok_or(NotOpened)?;
        let plain = self
            .0
            .open_in_place(nonce(ssrc, index), Aad::from(&*header), sealed)
            .map_err(|_| NotOpened)?;
        Ok(header_len + plain.len())
    }
}

/// RFC 7714 section 8.1 with a salt of zeros.
fn nonce(ssrc: u32, index: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
    nonce[6..].copy_from_slice(&index.to_be_bytes()[2..]);
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_the_same_key_alone() {
        let (alice, bob) = (FixedKey::new(1).unwrap(), FixedKey::new(2).unwrap());
        let mut packet = b"before|header|payload".to_vec();
        assert!(alice.seal(&mut packet, 7, 7, 99, 3));
        assert_eq!(packet.len(), 21 + TAG_LEN);
        assert_eq!(&packet[..14], b"before|header|");
        let sealed = packet.split_off(7);
        assert_eq!(bob.open(&mut sealed.clone(), 7, 99, 3), Err(NotOpened));
        assert_eq!(alice.open(&mut sealed.clone(), 7, 99, 4), Err(NotOpened));
        let mut opened = sealed.clone();
        assert_eq!(alice.open(&mut opened, 7, 99, 3), Ok(14));
        assert_eq!(&opened[..14], b"header|payload");
        assert_eq!(alice.open(&mut sealed.clone()[..5], 7, 99, 3), Err(NotOpened));
        assert!(!alice.seal(&mut packet, 0, 8, 99, 3));
    }
}
