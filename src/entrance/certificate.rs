//! A certificate with its key: read from files, or made here.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_rustls::rustls;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

/// How long a certificate is good that was made here. Some browsers refuse those that are for longer than 398 days.
const SELF_SIGNED_DAYS: u64 = 365;
/// Clocks of other machines may be behind by so much.
const CLOCK_SKEW: Duration = Duration::from_secs(24 * 3600);

/// Where the certificate of HTTPS comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// PEM files, which are read again when they change.
    Files {
        /// The server's certificate, and those up to the root's after it.
        chain: PathBuf,
        /// Its key: PKCS #8, PKCS #1 or SEC 1.
        key: PathBuf,
    },
    /// Made at the start and signed by itself. Browsers ask whether to trust it.
    SelfSigned,
}

/// Why there is no certificate.
#[derive(Debug)]
pub enum CertificateError {
    /// A file cannot be read, or is no PEM.
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file has no certificate in it.
    Empty(PathBuf),
    /// The files do not belong together, or what they hold cannot be used.
    Unusable(String),
    /// None could be made.
    Make(String),
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, reason } => write!(
                f,
                "{} cannot be used: {reason}; expected is a PEM file",
                path.display()
            ),
            Self::Empty(path) => write!(
                f,
                "{} has no certificate: expected is a PEM file with the server's own first",
                path.display()
            ),
            Self::Unusable(reason) => write!(
                f,
                "the certificate and its key cannot be used: {reason}; do --tls-cert and --tls-key belong together?"
            ),
            Self::Make(reason) => write!(f, "no certificate could be made: {reason}"),
        }
    }
}

impl std::error::Error for CertificateError {}

/// Reads a chain and its key, and makes sure that they belong together.
pub(super) fn read(chain: &Path, key: &Path) -> Result<Arc<CertifiedKey>, CertificateError> {
    let file = |path: &Path, reason: &dyn fmt::Display| CertificateError::File {
        path: path.to_owned(),
        reason: reason.to_string(),
    };
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| file(chain, &error))?;
    if certificates.is_empty() {
        return Err(CertificateError::Empty(chain.to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| file(key, &error))?;
    certified(certificates, key).map_err(|error| CertificateError::Unusable(error.to_string()))
}

/// Makes a certificate for `localhost`, the loopback addresses and these, good for a year.
pub(super) fn self_signed(
    now: SystemTime,
    addresses: &[IpAddr],
) -> Result<Arc<CertifiedKey>, CertificateError> {
    let make = |error: &dyn fmt::Display| CertificateError::Make(error.to_string());
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let names = names
        .into_iter()
        .chain(addresses.iter().map(IpAddr::to_string));
    let mut parameters =
        rcgen::CertificateParams::new(names.collect::<Vec<_>>()).map_err(|e| make(&e))?;
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    parameters.not_before = epoch + since.saturating_sub(CLOCK_SKEW);
    parameters.not_after = epoch + since + Duration::from_secs(SELF_SIGNED_DAYS * 24 * 3600);
    parameters
        .distinguished_name
        .push(rcgen::DnType::CommonName, "Crosspoint");
    parameters.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let key = rcgen::KeyPair::generate().map_err(|e| make(&e))?;
    let certificate = parameters.self_signed(&key).map_err(|e| make(&e))?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    certified(vec![certificate.der().clone()], key.into()).map_err(|e| make(&e))
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, rustls::Error> {
    let certified = CertifiedKey::from_der(chain, key, &provider())?;
    Ok(Arc::new(certified))
}

/// The same cryptography that media uses.
pub(super) fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_named() {
        let folder = std::env::temp_dir().join(format!("crosspoint-{}", rand::random::<u64>()));
        std::fs::create_dir(&folder).unwrap();
        let path = |name: &str| folder.join(name);
        let pair = || {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            (made.cert.pem(), made.signing_key.serialize_pem())
        };
        let ((chain, key), (_, other)) = (pair(), pair());
        for (name, text) in [
            ("chain", chain.as_str()),
            ("key", &key),
            ("other", &other),
            ("text", "hello"),
        ] {
            std::fs::write(path(name), text).unwrap();
        }
        read(&path("chain"), &path("key")).unwrap();
        for (chain, key, words) in [
            ("none", "key", "none cannot be used"),
            ("chain", "none", "none cannot be used"),
            ("text", "key", "text has no certificate"),
            ("chain", "text", "text cannot be used"),
            ("chain", "other", "belong together"),
        ] {
            let error = read(&path(chain), &path(key)).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
