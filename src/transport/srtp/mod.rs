//! SRTP and SRTCP (RFC 3711, RFC 7714) in place, without an allocation per packet.
//!
//! Called by [`super::Transport`] with whole packets. It keeps no state about RTP streams: the caller
//! extends sequence numbers and guards against replay; only SRTCP indices are kept here.

mod cipher;
mod key_derivation;
mod profile;
mod rtcp;
#[cfg(test)]
mod tests;

use ::crypto::{CryptoError, RTCCrypto};

use self::cipher::{Cipher, Kind};
use self::rtcp::RtcpIndices;

pub(crate) use self::profile::SrtpProfile;

/// Why a packet was not opened or sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrtpError {
    /// DTLS is not done yet: there are no keys.
    NotConnected,
    /// Too short for its header, index and tag, or an SRTCP packet in the clear.
    Malformed,
    /// The authentication tag is wrong.
    Authentication,
    /// The SRTCP packet was seen before, or is too old.
    Replayed,
    /// The key has protected as many packets as it may (RFC 3711 section 9.2).
    Exhausted,
}

/// The keys of both directions, after the DTLS handshake.
pub(crate) struct Srtp {
    profile: SrtpProfile,
    is_client: bool,
    /// Opens what the peer sends.
    inbound: Direction,
    /// Seals what the peer is sent.
    outbound: Direction,
    rtcp: RtcpIndices,
}

struct Direction {
    rtp: Cipher,
    rtcp: Cipher,
}

impl Srtp {
    /// Takes the exporter's output (RFC 5764 section 4.2), which is
    /// [`SrtpProfile::keying_material_len`] bytes long.
    pub(crate) fn new(
        crypto: &dyn RTCCrypto,
        profile: SrtpProfile,
        keying_material: &[u8],
        is_client: bool,
    ) -> Result<Self, CryptoError> {
        let (key, salt) = (profile.key_len(), profile.salt_len());
        let mut rest = keying_material;
        let mut take = |len| {
            let taken;
            (taken, rest) = rest.split_at_checked(len).unwrap_or_default();
            taken
        };
        let (client_key, server_key) = (take(key), take(key));
        let (client_salt, server_salt) = (take(salt), take(salt));
        let client = || Direction::new(crypto, profile, client_key, client_salt);
        let server = || Direction::new(crypto, profile, server_key, server_salt);
        let (outbound, inbound) = if is_client {
            (client()?, server()?)
        } else {
            (server()?, client()?)
        };
        Ok(Self {
            profile,
            is_client,
            inbound,
            outbound,
            rtcp: RtcpIndices::default(),
        })
    }

    /// Whether DTLS made us the client.
    pub(super) fn is_client(&self) -> bool {
        self.is_client
    }

    pub(crate) fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// How many bytes [`seal_rtp`](Self::seal_rtp) appends.
    pub(crate) fn rtp_overhead(&self) -> usize {
        // Asked of what seals, which is touched then anyway.
        self.outbound.rtp.tag_len()
    }

    /// Decrypts `packet[header_len..]`, leaves the plain packet at the front and returns its length.
    pub(crate) fn open_rtp(
        &mut self,
        packet: &mut [u8],
        header_len: usize,
        index: u64,
    ) -> Result<usize, SrtpError> {
        self.inbound.rtp.open_rtp(packet, header_len, index)
    }

    /// Encrypts `out[start + header_len..]` and appends the tag.
    pub(crate) fn seal_rtp(
        &mut self,
        out: &mut Vec<u8>,
        start: usize,
        header_len: usize,
        index: u64,
    ) -> Result<(), SrtpError> {
        self.outbound.rtp.seal_rtp(out, start, header_len, index)
    }

    pub(crate) fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let (ssrc, index) = self.inbound.rtcp.rtcp_index(packet)?;
        if !self.rtcp.check(ssrc, index) {
            return Err(SrtpError::Replayed);
        }
        let length = self.inbound.rtcp.open_rtcp(packet, index)?;
        self.rtcp.commit(ssrc, index);
        Ok(length)
    }

    pub(crate) fn seal_rtcp(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), SrtpError> {
        let index = self.rtcp.next()?;
        self.outbound.rtcp.seal_rtcp(out, start, index)
    }
}

impl Direction {
    fn new(
        crypto: &dyn RTCCrypto,
        profile: SrtpProfile,
        key: &[u8],
        salt: &[u8],
    ) -> Result<Self, CryptoError> {
        Ok(Self {
            rtp: Cipher::new(crypto, profile, Kind::Rtp, key, salt)?,
            rtcp: Cipher::new(crypto, profile, Kind::Rtcp, key, salt)?,
        })
    }
}
