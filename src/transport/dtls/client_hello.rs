//! The first ClientHello, looked into before the supplier sees it: does it offer AES-GCM for SRTP?

use super::record::{ContentType, Fragments, Records};

const CLIENT_HELLO: u8 = 1;
const USE_SRTP: u16 = 14;
/// SRTP_AEAD_AES_128_GCM and SRTP_AEAD_AES_256_GCM (RFC 7714 section 14.2).
const GCM: [u16; 2] = [7, 8];
/// Datagrams that one ClientHello may take.
const MAX_DATAGRAMS: usize = 8;
const MAX_DATAGRAM_LEN: usize = 2048;

/// The datagrams of a ClientHello until it is whole.
#[derive(Default)]
pub(super) struct ClientHello {
    datagrams: Vec<Vec<u8>>,
}

impl ClientHello {
    /// Keeps a datagram. Beyond the limit the oldest goes: the client will send it again.
    pub(super) fn push(&mut self, datagram: &[u8]) {
        if datagram.len() > MAX_DATAGRAM_LEN {
            return;
        }
        if self.datagrams.len() >= MAX_DATAGRAMS {
            self.datagrams.remove(0);
        }
        self.datagrams.push(datagram.to_vec());
    }

    /// Whether the client offers AES-GCM, once the whole message is there.
    pub(super) fn offers_gcm(&self) -> Option<bool> {
        Some(offers_gcm(&self.message()?).unwrap_or(false))
    }

    /// The datagrams, for the supplier to read.
    pub(super) fn take(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.datagrams)
    }

    /// Puts the fragments together.
    fn message(&self) -> Option<Vec<u8>> {
        let mut message = Vec::new();
        // Each pass adds at least one fragment, or is the last.
        loop {
            let next = self.fragments().find(|fragment| {
                let end = fragment.offset + fragment.data.len();
                fragment.offset <= message.len()
                    && (end > message.len() || end == fragment.message_len)
            })?;
            let known = message.len().saturating_sub(next.offset);
            message.extend_from_slice(next.data.get(known..).unwrap_or_default());
            if message.len() >= next.message_len {
                return Some(message);
            }
        }
    }

    fn fragments(&self) -> impl Iterator<Item = super::record::Fragment<'_>> {
        let records = self.datagrams.iter().flat_map(|datagram| Records(datagram));
        let records = records
            .flatten()
            .filter(|record| record.epoch == 0 && record.content == ContentType::Handshake);
        let fragments = records.flat_map(|record| Fragments(record.body)).flatten();
        fragments.filter(|fragment| {
            fragment.message_type == CLIENT_HELLO && fragment.message_sequence == 0
        })
    }
}

/// Walks a ClientHello (RFC 6347 section 4.2.1) to the use_srtp extension (RFC 5764 section 4.1.1).
fn offers_gcm(message: &[u8]) -> Option<bool> {
    // Version and random.
    let mut rest = message.get(34..)?;
    let _session = vector8(&mut rest)?;
    let _cookie = vector8(&mut rest)?;
    let _cipher_suites = vector16(&mut rest)?;
    let _compression_methods = vector8(&mut rest)?;
    let mut extensions = vector16(&mut rest)?;
    while !extensions.is_empty() {
        let kind = word(&mut extensions)?;
        let mut extension = vector16(&mut extensions)?;
        if kind == USE_SRTP {
            let profiles = vector16(&mut extension)?;
            let mut profiles = profiles.chunks_exact(2);
            return Some(profiles.any(|id| GCM.contains(&u16::from_be_bytes([id[0], id[1]]))));
        }
    }
    Some(false)
}

fn word(rest: &mut &[u8]) -> Option<u16> {
    let (word, behind) = rest.split_first_chunk::<2>()?;
    *rest = behind;
    Some(u16::from_be_bytes(*word))
}

fn vector8<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first()?;
    let vector;
    (vector, *rest) = behind.split_at_checked((*length).into())?;
    Some(vector)
}

fn vector16<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = word(rest)?;
    let vector;
    (vector, *rest) = rest.split_at_checked(length.into())?;
    Some(vector)
}
