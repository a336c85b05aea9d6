//! The protection profiles that are accepted (RFC 5764 section 4.1.2, RFC 7714 section 14.2).

use ::dtls::extension::extension_use_srtp::SrtpProtectionProfile;

/// A DTLS-SRTP protection profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SrtpProfile {
    AeadAes128Gcm,
    AeadAes256Gcm,
    Aes128CmHmacSha1_80,
}

impl SrtpProfile {
    /// None for what we never agree to.
    pub(in crate::transport) fn from_dtls(profile: SrtpProtectionProfile) -> Option<Self> {
        match profile {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => Some(Self::AeadAes128Gcm),
            SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm => Some(Self::AeadAes256Gcm),
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => Some(Self::Aes128CmHmacSha1_80),
            _ => None,
        }
    }

    /// As IANA lists it under "DTLS-SRTP Protection Profiles".
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AeadAes128Gcm => "SRTP_AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "SRTP_AEAD_AES_256_GCM",
            Self::Aes128CmHmacSha1_80 => "SRTP_AES128_CM_HMAC_SHA1_80",
        }
    }

    /// Of the master key and of the session keys, in bytes.
    pub(super) fn key_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::Aes128CmHmacSha1_80 => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    /// Of the master salt and of the session salts, in bytes.
    pub(super) fn salt_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
            Self::Aes128CmHmacSha1_80 => 14,
        }
    }

    /// How much the DTLS exporter must give: two keys and two salts.
    pub(crate) fn keying_material_len(self) -> usize {
        2 * (self.key_len() + self.salt_len())
    }
}
