//! The keys of an endpoint and the forwarder, which both know without a handshake.

use crypto::CryptoError;

use crate::transport::{Srtp, SrtpProfile};

/// Who seals with which of the two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The generator's end.
    Endpoint,
    /// The forwarder's end.
    Forwarder,
}

/// SRTP (RFC 7714, AES-128-GCM) for the endpoint of this number: each has keys of its own, as each peer
/// of a server has.
pub(crate) fn fixed_keys(endpoint: u32, side: Side) -> Result<Srtp, CryptoError> {
    let profile = SrtpProfile::AeadAes128Gcm;
    let number = endpoint.to_be_bytes();
    let material: Vec<u8> = (0..profile.keying_material_len())
        .map(|place| number[place % number.len()] ^ place as u8)
        .collect();
    let provider = crypto::default_provider()?;
    let is_client = side == Side::Endpoint;
    Srtp::new(provider.crypto(), profile, &material, is_client)
}
