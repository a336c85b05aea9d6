//! How TLS is spoken: with which certificate, and what in it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use tokio_rustls::rustls::server::ResolvesServerCert;
use tokio_rustls::{TlsAcceptor, rustls};

use super::acme;
use super::certificate::{CertificateError, CertificateSource, provider};
use super::keeper::Keeper;

/// Ends TLS 1.2 and 1.3 with one certificate.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    keeper: Arc<Keeper>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Reads or makes the certificate; one that is made is for these addresses too. Must be called on a tokio runtime,
    /// which looks after the files, or gains and renews it, from then on.
    pub fn start(
        source: &CertificateSource,
        addresses: &[IpAddr],
    ) -> Result<Self, CertificateError> {
        let keeper = Keeper::start(source, addresses)?;
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| CertificateError::Unusable(error.to_string()))?;
        let mut config = config
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&keeper) as Arc<dyn ResolvesServerCert>);
        // A WebSocket begins as HTTP/1.1; clients of TURN may say what they are (RFC 7443).
        config.alpn_protocols = vec![b"http/1.1".to_vec(), b"stun.turn".to_vec()];
        if matches!(source, CertificateSource::Acme(_)) {
            config.alpn_protocols.push(acme::ALPN.to_vec());
        }
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            keeper,
        })
    }

    pub(super) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// When the certificate that clients are shown now is no good any more.
    pub fn expiry(&self) -> Option<SystemTime> {
        self.keeper.expiry()
    }
}
