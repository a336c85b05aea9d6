//! Session keys out of the master key (RFC 3711 section 4.3, RFC 6188 for 256 bits, RFC 7714 section 11).

use ::crypto::{CryptoError, RTCCrypto, StreamCipherAlgorithm};

/// The labels of RFC 3711 section 4.3.1; those of SRTCP are three higher.
#[derive(Clone, Copy)]
pub(super) enum Label {
    Encryption = 0,
    Authentication = 1,
    Salt = 2,
}

/// Fills `session_key` from the AES-CM pseudorandom function. The key derivation rate is zero
/// (RFC 5764 section 4.1.2), so that each key is derived once.
pub(super) fn derive(
    crypto: &dyn RTCCrypto,
    master_key: &[u8],
    master_salt: &[u8],
    label: u8,
    session_key: &mut [u8],
) -> Result<(), CryptoError> {
    let algorithm = match master_key.len() {
        32 => StreamCipherAlgorithm::Aes256Ctr,
        _ => StreamCipherAlgorithm::Aes128Ctr,
    };
    // x = label * 2^48 XOR salt, and the counter starts at x * 2^16.
    let mut iv = [0; 16];
    for (byte, salt) in iv.iter_mut().zip(master_salt.iter().take(14)) {
        *byte = *salt;
    }
    iv[7] ^= label;
    session_key.fill(0);
    crypto
        .new_stream_cipher(algorithm, master_key)?
        .apply_keystream(&iv, session_key)
}
