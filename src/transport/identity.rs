//! Who this server is to every peer: one certificate, and the DTLS configurations around it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::crypto::RTCCryptoProvider;
use ::dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use ::dtls::crypto::Certificate;
use ::dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use ring::digest;

use crate::shard::{Fingerprint, FingerprintHash};

/// How often the supplier repeats a flight, seven times at most: together as long as a handshake may
/// take. Lost flights are repeated much sooner than that, see [`super::dtls`].
const FLIGHT_INTERVAL: Duration = Duration::from_secs(4);

const GCM: [SrtpProtectionProfile; 2] = [
    SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
    SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
];
const CM: SrtpProtectionProfile = SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80;

/// A self-signed ECDSA P-256 certificate with its key. Made once at the start; all peers share it.
#[derive(Clone)]
pub struct Identity(Arc<Shared>);

struct Shared {
    provider: Arc<dyn RTCCryptoProvider>,
    fingerprint: Fingerprint,
    client: Arc<HandshakeConfig>,
    server_gcm: Arc<HandshakeConfig>,
    server_cm: Arc<HandshakeConfig>,
}

/// No certificate could be made: the system gives no randomness, or the supplier refuses to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityError(String);

impl Identity {
    /// Makes a new key and certificate.
    pub fn generate() -> Result<Self, IdentityError> {
        Self::with_client_profiles(&[GCM[0], GCM[1], CM])
    }

    /// As a DTLS client it offers AES-128-GCM first; as a server it takes nothing else of who offers AES-GCM.
    pub(crate) fn preferring_gcm() -> Result<Self, IdentityError> {
        Self::with_profiles(&[GCM[0], CM], &[GCM[0]])
    }

    /// It knows AES-CM-HMAC-SHA1-80 only, in either role.
    pub(crate) fn without_gcm() -> Result<Self, IdentityError> {
        Self::with_profiles(&[CM], &[CM])
    }

    /// As a DTLS client it offers these SRTP profiles.
    pub(super) fn with_client_profiles(
        profiles: &[SrtpProtectionProfile],
    ) -> Result<Self, IdentityError> {
        Self::with_profiles(profiles, &GCM)
    }

    /// As a DTLS client it offers the first, as a server it takes the second of who offers AES-GCM.
    fn with_profiles(
        profiles: &[SrtpProtectionProfile],
        server: &[SrtpProtectionProfile],
    ) -> Result<Self, IdentityError> {
        let provider = ::crypto::default_provider().map_err(IdentityError::new)?;
        let names = vec!["crosspoint".to_owned()];
        let certificate = Certificate::generate_self_signed(names, provider.crypto());
        let certificate = certificate.map_err(IdentityError::new)?;
        let der = certificate.certificate.first();
        let der = der.ok_or_else(|| IdentityError::new("no certificate"))?;
        let fingerprint = Fingerprint {
            hash: FingerprintHash::Sha256,
            bytes: hash_of(FingerprintHash::Sha256, der),
        };
        let config = |is_client, profiles: &[SrtpProtectionProfile]| {
            ConfigBuilder::default()
                .with_crypto_provider(provider.clone())
                .with_certificates(vec![certificate.clone()])
                .with_srtp_protection_profiles(profiles.to_vec())
                .with_client_auth(ClientAuthType::RequireAnyClientCert)
                // Certificates are self-signed; the fingerprint tells whose they are (RFC 8122).
                .with_insecure_skip_verify(true)
                .with_extended_master_secret(ExtendedMasterSecretType::Require)
                .with_server_name("crosspoint".to_owned())
                .with_flight_interval(FLIGHT_INTERVAL)
                .build(is_client, None)
                .map(Arc::new)
                .map_err(IdentityError::new)
        };
        Ok(Self(Arc::new(Shared {
            client: config(true, profiles)?,
            server_gcm: config(false, server)?,
            server_cm: config(false, &[CM])?,
            fingerprint,
            provider,
        })))
    }

    /// The certificate's SHA-256 hash, for `a=fingerprint`.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint.clone()
    }

    pub(super) fn provider(&self) -> &dyn RTCCryptoProvider {
        self.0.provider.as_ref()
    }

    pub(super) fn client_config(&self) -> Arc<HandshakeConfig> {
        self.0.client.clone()
    }

    /// The supplier takes the first profile of the client's list that it knows, and browsers list
    /// AES-CM first, which costs three times as much as AES-GCM: it knows only one kind at a time.
    pub(super) fn server_config(&self, client_offers_gcm: bool) -> Arc<HandshakeConfig> {
        let shared = &self.0;
        if client_offers_gcm {
            shared.server_gcm.clone()
        } else {
            shared.server_cm.clone()
        }
    }
}

/// The digest of a DER certificate (RFC 8122 section 5).
pub(super) fn hash_of(hash: FingerprintHash, certificate: &[u8]) -> Vec<u8> {
    let algorithm = match hash {
        FingerprintHash::Sha256 => &digest::SHA256,
        FingerprintHash::Sha384 => &digest::SHA384,
        FingerprintHash::Sha512 => &digest::SHA512,
    };
    digest::digest(algorithm, certificate).as_ref().to_vec()
}

impl IdentityError {
    fn new(reason: impl fmt::Display) -> Self {
        Self(reason.to_string())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity")
            .field(&self.0.fingerprint)
            .finish()
    }
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no certificate could be made: {}", self.0)
    }
}

impl std::error::Error for IdentityError {}
