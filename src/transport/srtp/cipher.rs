//! One key's transforms: AES-GCM (RFC 7714) and AES-CM with HMAC-SHA1 (RFC 3711).

use ::crypto::{
    AeadAlgorithm, AeadCipher, CryptoError, HmacAlgorithm, Mac, RTCCrypto, StreamCipher,
    StreamCipherAlgorithm, constant_time_eq,
};

use super::key_derivation::{Label, derive};
use super::{SrtpError, SrtpProfile};

const RTP_HEADER_LEN: usize = 12;
/// The part of an RTCP packet that stays in the clear: header and sender SSRC.
const RTCP_HEADER_LEN: usize = 8;
/// E flag and index at the end of an SRTCP packet.
const RTCP_INDEX_LEN: usize = 4;
const GCM_TAG_LEN: usize = 16;
const HMAC_TAG_LEN: usize = 10;
const ENCRYPTED: u32 = 0x8000_0000;

/// Which packets a key is for.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Rtp = 0,
    Rtcp = 3,
}

/// The session keys of one direction and one kind of packet.
pub(super) enum Cipher {
    Gcm(Gcm),
    CmHmac(CmHmac),
}

pub(super) struct Gcm {
    pub(super) key: Box<dyn AeadCipher>,
    pub(super) salt: [u8; 12],
}

pub(super) struct CmHmac {
    key: Box<dyn StreamCipher>,
    mac: Box<dyn Mac>,
    salt: [u8; 14],
}

impl Cipher {
    pub(super) fn new(
        crypto: &dyn RTCCrypto,
        profile: SrtpProfile,
        kind: Kind,
        master_key: &[u8],
        master_salt: &[u8],
    ) -> Result<Self, CryptoError> {
        let derive = |label: Label, out: &mut [u8]| {
            derive(
                crypto,
                master_key,
                master_salt,
                kind as u8 + label as u8,
                out,
            )
        };
        let mut key = [0; 32];
        let key = &mut key[..profile.key_len()];
        derive(Label::Encryption, key)?;
        let aead = match profile {
            SrtpProfile::AeadAes128Gcm => AeadAlgorithm::Aes128Gcm,
            SrtpProfile::AeadAes256Gcm => AeadAlgorithm::Aes256Gcm,
            SrtpProfile::Aes128CmHmacSha1_80 => {
                let (mut salt, mut mac) = ([0; 14], [0; 20]);
                derive(Label::Salt, &mut salt)?;
                derive(Label::Authentication, &mut mac)?;
                return Ok(Self::CmHmac(CmHmac {
                    key: crypto.new_stream_cipher(StreamCipherAlgorithm::Aes128Ctr, key)?,
                    mac: crypto.new_hmac(HmacAlgorithm::Sha1, &mac)?,
                    salt,
                }));
            }
        };
        let mut salt = [0; 12];
        derive(Label::Salt, &mut salt)?;
        let key = crypto.new_aead(aead, key)?;
        Ok(Self::Gcm(Gcm { key, salt }))
    }

    pub(super) fn open_rtp(
        &mut self,
        packet: &mut [u8],
        header_len: usize,
        index: u64,
    ) -> Result<usize, SrtpError> {
        let ssrc = word_at(packet, 8)?;
        let tag_len = self.tag_len();
        let plain_len = packet.len().checked_sub(tag_len);
        let plain_len = plain_len.ok_or(SrtpError::Malformed)?;
        if header_len < RTP_HEADER_LEN || header_len > plain_len {
            return Err(SrtpError::Malformed);
        }
        let (packet, tag) = packet.split_at_mut(plain_len);
        match self {
            Self::Gcm(gcm) => {
                let (header, payload) = packet.split_at_mut(header_len);
                gcm.open(&gcm.nonce(ssrc, index), header, payload, tag)?;
            }
            Self::CmHmac(cm) => {
                let roc = ((index >> 16) as u32).to_be_bytes();
                cm.verify(&[packet, &roc], tag)?;
                cm.apply(ssrc, index, &mut packet[header_len..])?;
            }
        }
        Ok(plain_len)
    }

    pub(super) fn seal_rtp(
        &mut self,
        out: &mut Vec<u8>,
        start: usize,
        header_len: usize,
        index: u64,
    ) -> Result<(), SrtpError> {
        let packet = out.get_mut(start..).ok_or(SrtpError::Malformed)?;
        let ssrc = word_at(packet, 8)?;
        if header_len < RTP_HEADER_LEN || header_len > packet.len() {
            return Err(SrtpError::Malformed);
        }
        match self {
            Self::Gcm(gcm) => {
                let (header, payload) = packet.split_at_mut(header_len);
                let tag = gcm.seal(&gcm.nonce(ssrc, index), header, payload)?;
                out.extend_from_slice(&tag);
            }
            Self::CmHmac(cm) => {
                cm.apply(ssrc, index, &mut packet[header_len..])?;
                let roc = ((index >> 16) as u32).to_be_bytes();
                let tag = cm.sign(&[packet, &roc])?;
                out.extend_from_slice(&tag[..HMAC_TAG_LEN]);
            }
        }
        Ok(())
    }

    /// The sender and the index of an SRTCP packet, not authenticated yet.
    pub(super) fn rtcp_index(&self, packet: &[u8]) -> Result<(u32, u32), SrtpError> {
        let ssrc = word_at(packet, 4)?;
        let behind = match self {
            Self::Gcm(_) => 0,
            Self::CmHmac(_) => HMAC_TAG_LEN,
        };
        let shortest = RTCP_HEADER_LEN + self.tag_len() + RTCP_INDEX_LEN;
        if packet.len() < shortest {
            return Err(SrtpError::Malformed);
        }
        let word = word_at(packet, packet.len() - behind - RTCP_INDEX_LEN)?;
        // Our profiles encrypt always: a packet in the clear is nobody's.
        if word & ENCRYPTED == 0 {
            return Err(SrtpError::Malformed);
        }
        Ok((ssrc, word & !ENCRYPTED))
    }

    /// Opens a packet that [`rtcp_index`](Self::rtcp_index) found long enough.
    pub(super) fn open_rtcp(&mut self, packet: &mut [u8], index: u32) -> Result<usize, SrtpError> {
        let ssrc = word_at(packet, 4)?;
        let overhead = self.tag_len() + RTCP_INDEX_LEN;
        let plain_len = packet.len().checked_sub(overhead);
        let plain_len = plain_len.filter(|&len| len >= RTCP_HEADER_LEN);
        let plain_len = plain_len.ok_or(SrtpError::Malformed)?;
        match self {
            Self::Gcm(gcm) => {
                let (packet, trailer) = packet.split_at_mut(plain_len);
                let (header, payload) = packet.split_at_mut(RTCP_HEADER_LEN);
                let nonce = gcm.nonce(ssrc, index.into());
                let aad = rtcp_aad(header, index);
                gcm.open(&nonce, &aad, payload, &trailer[..GCM_TAG_LEN])?;
            }
            Self::CmHmac(cm) => {
                let (packet, tag) = packet.split_at_mut(plain_len + RTCP_INDEX_LEN);
                cm.verify(&[packet], tag)?;
                cm.apply(ssrc, index.into(), &mut packet[RTCP_HEADER_LEN..plain_len])?;
            }
        }
        Ok(plain_len)
    }

    pub(super) fn seal_rtcp(
        &mut self,
        out: &mut Vec<u8>,
        start: usize,
        index: u32,
    ) -> Result<(), SrtpError> {
        let packet = out.get_mut(start..).ok_or(SrtpError::Malformed)?;
        if packet.len() < RTCP_HEADER_LEN {
            return Err(SrtpError::Malformed);
        }
        let ssrc = word_at(packet, 4)?;
        let word = (ENCRYPTED | index).to_be_bytes();
        match self {
            Self::Gcm(gcm) => {
                let (header, payload) = packet.split_at_mut(RTCP_HEADER_LEN);
                let aad = rtcp_aad(header, index);
                let tag = gcm.seal(&gcm.nonce(ssrc, index.into()), &aad, payload)?;
                out.extend_from_slice(&tag);
                out.extend_from_slice(&word);
            }
            Self::CmHmac(cm) => {
                cm.apply(ssrc, index.into(), &mut packet[RTCP_HEADER_LEN..])?;
                let tag = cm.sign(&[packet, &word])?;
                out.extend_from_slice(&word);
                out.extend_from_slice(&tag[..HMAC_TAG_LEN]);
            }
        }
        Ok(())
    }

    pub(super) fn tag_len(&self) -> usize {
        match self {
            Self::Gcm(_) => GCM_TAG_LEN,
            Self::CmHmac(_) => HMAC_TAG_LEN,
        }
    }
}

impl Gcm {
    /// RFC 7714 section 8.1: two zeros, the SSRC and the 48-bit index, XORed with the salt. That of
    /// section 9.1 for SRTCP is the same, since its index has 31 bits.
    fn nonce(&self, ssrc: u32, index: u64) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
        nonce[6..].copy_from_slice(&index.to_be_bytes()[2..]);
        for (byte, salt) in nonce.iter_mut().zip(self.salt) {
            *byte ^= salt;
        }
        nonce
    }

    fn open(
        &mut self,
        nonce: &[u8; 12],
        aad: &[u8],
        payload: &mut [u8],
        tag: &[u8],
    ) -> Result<(), SrtpError> {
        let opened = self.key.open_in_place(nonce, aad, payload, tag);
        opened.map_err(|_| SrtpError::Authentication)
    }

    fn seal(
        &mut self,
        nonce: &[u8; 12],
        aad: &[u8],
        payload: &mut [u8],
    ) -> Result<[u8; GCM_TAG_LEN], SrtpError> {
        let mut tag = [0; GCM_TAG_LEN];
        let sealed = self.key.seal_in_place(nonce, aad, payload, &mut tag);
        // It fails only for lengths that no datagram has.
        sealed.map_err(|_| SrtpError::Malformed)?;
        Ok(tag)
    }
}

impl CmHmac {
    /// RFC 3711 section 4.1.1: the counter starts at salt * 2^16 XOR SSRC * 2^64 XOR index * 2^16.
    fn apply(&mut self, ssrc: u32, index: u64, payload: &mut [u8]) -> Result<(), SrtpError> {
        let mut iv = [0; 16];
        iv[4..8].copy_from_slice(&ssrc.to_be_bytes());
        iv[8..14].copy_from_slice(&index.to_be_bytes()[2..]);
        for (byte, salt) in iv.iter_mut().zip(self.salt) {
            *byte ^= salt;
        }
        let applied = self.key.apply_keystream(&iv, payload);
        applied.map_err(|_| SrtpError::Malformed)
    }

    fn sign(&mut self, input: &[&[u8]]) -> Result<[u8; 20], SrtpError> {
        let mut tag = [0; 20];
        let signed = self.mac.sign(input, &mut tag);
        signed.map_err(|_| SrtpError::Malformed)?;
        Ok(tag)
    }

    fn verify(&mut self, input: &[&[u8]], tag: &[u8]) -> Result<(), SrtpError> {
        let expected = self.sign(input)?;
        if constant_time_eq(&expected[..HMAC_TAG_LEN], tag) {
            Ok(())
        } else {
            Err(SrtpError::Authentication)
        }
    }
}

/// RFC 7714 section 9.2: the header and the word with E flag and index, which follows the tag.
fn rtcp_aad(header: &[u8], index: u32) -> [u8; RTCP_HEADER_LEN + RTCP_INDEX_LEN] {
    let mut aad = [0; RTCP_HEADER_LEN + RTCP_INDEX_LEN];
    aad[..RTCP_HEADER_LEN].copy_from_slice(header);
    aad[RTCP_HEADER_LEN..].copy_from_slice(&(ENCRYPTED | index).to_be_bytes());
    aad
}

/// The big-endian word at `offset`.
fn word_at(packet: &[u8], offset: usize) -> Result<u32, SrtpError> {
    let word = packet.get(offset..offset + 4);
    let word = word.and_then(|word| word.try_into().ok());
    word.map(u32::from_be_bytes).ok_or(SrtpError::Malformed)
}
