//! How the authority is shown that a name leads here: a handshake with a certificate that only we can make (RFC 8737).

use std::sync::Arc;

use tokio_rustls::rustls;

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::sign::CertifiedKey;

use super::AcmeError;
use crate::entrance::certificate::{CertificateError, provider};

/// What the authority says it speaks in that handshake, and nothing else (RFC 8737 section 6.2).
pub(in crate::entrance) const ALPN: &[u8] = b"acme-tls/1";

/// The certificate for the name that holds the SHA-256 of what the authority asked for (RFC 8737 section 3).
pub(super) fn certificate(domain: &str, digest: &[u8]) -> Result<Arc<CertifiedKey>, AcmeError> {
    let mut parameters = CertificateParams::new([domain.to_owned()])?;
    parameters.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = parameters.self_signed(&key)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let key = provider().key_provider.load_private_key(key.into());
    let key =
        key.map_err(|error| AcmeError::Unusable(CertificateError::Unusable(error.to_string())))?;
    // Not looked at any further: its extension is critical, and nothing that reads certificates knows it.
    let chain = vec![certificate.der().clone()];
    Ok(Arc::new(CertifiedKey::new(chain, key)))
}
