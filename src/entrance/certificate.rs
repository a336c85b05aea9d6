//! A certificate with its key: where it comes from, and what is read of it.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_rustls::rustls;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{ASN1Time, FromDer, GeneralName, X509Certificate};

use super::acme::AcmeConfig;

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
    /// Made here and signed by itself. Browsers ask whether to trust it.
    SelfSigned {
        /// The folder where it is kept for the next start; `None` for a new one at each.
        state: Option<PathBuf>,
    },
    /// From an authority that is asked for it.
    Acme(AcmeConfig),
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
    NoPair(String),
    /// What was made, gained or kept is no certificate with its key.
    Unusable(String),
    /// The folder for what outlives the server cannot be used.
    State {
        /// Which folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// None could be made.
    Make(String),
}

impl CertificateError {
    pub(super) fn state(path: &Path, error: &io::Error) -> Self {
        Self::State {
            path: path.to_owned(),
            reason: error.to_string(),
        }
    }
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
            Self::NoPair(reason) => write!(
                f,
                "the certificate and its key cannot be used: {reason}; do --tls-cert and --tls-key belong together?"
            ),
            Self::Unusable(reason) => write!(f, "the certificate cannot be used: {reason}"),
            Self::State { path, reason } => write!(
                f,
                "the folder {} cannot be used: {reason}; --state-dir says another one",
                path.display()
            ),
            Self::Make(reason) => write!(f, "no certificate could be made: {reason}"),
        }
    }
}

impl std::error::Error for CertificateError {}

/// Reads a chain and its key, and makes sure that they belong together.
pub(crate) fn read(chain: &Path, key: &Path) -> Result<Arc<CertifiedKey>, CertificateError> {
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
    certified(certificates, key).map_err(|error| match error {
        CertificateError::Unusable(reason) => CertificateError::NoPair(reason),
        other => other,
    })
}

fn time(time: ASN1Time) -> SystemTime {
    let since = u64::try_from(time.timestamp()).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since)
}

/// When a certificate is no good any more.
pub(super) fn expiry(certified: &CertifiedKey) -> Option<SystemTime> {
    let (_, parsed) = X509Certificate::from_der(certified.cert.first()?).ok()?;
    Some(time(parsed.validity().not_after))
}

/// A certificate with its key as it is kept in one file, so that they always belong together: key, certificate, and those
/// that lead to its root.
pub(super) struct Pem {
    bytes: Vec<u8>,
    certified: Arc<CertifiedKey>,
    validity: (SystemTime, SystemTime),
    names: Vec<String>,
}

impl Pem {
    /// Makes sure that they can be used.
    pub(super) fn read(bytes: Vec<u8>) -> Result<Self, CertificateError> {
        let unusable = |error: &dyn fmt::Display| CertificateError::Unusable(error.to_string());
        let chain = CertificateDer::pem_slice_iter(&bytes)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unusable(&error))?;
        let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| unusable(&error))?;
        let first = chain.first().ok_or_else(|| unusable(&"there is none"))?;
        let (_, parsed) = X509Certificate::from_der(first).map_err(|error| unusable(&error))?;
        let validity = parsed.validity();
        let validity = (time(validity.not_before), time(validity.not_after));
        let names = parsed.subject_alternative_name();
        let names = names.ok().flatten().map(|names| &names.value.general_names);
        let names = names.into_iter().flatten().filter_map(name).collect();
        Ok(Self {
            certified: certified(chain, key)?,
            bytes,
            validity,
            names,
        })
    }

    /// What the file holds.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }

    /// From when to when it is good.
    pub(super) fn validity(&self) -> (SystemTime, SystemTime) {
        self.validity
    }

    /// Whether it is for all of these names and addresses.
    pub(super) fn is_for(&self, names: &[String]) -> bool {
        names.iter().all(|name| self.names.contains(name))
    }
}

/// A host that a certificate is for.
pub(crate) fn name(name: &GeneralName<'_>) -> Option<String> {
    match *name {
        GeneralName::DNSName(name) => Some(name.to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
            Some(address.ok()?.to_string())
        }
        _ => None,
    }
}

/// A chain with its key, which have to belong together.
fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, CertificateError> {
    let certified = CertifiedKey::from_der(chain, key, &provider());
    let certified = certified.map_err(|error| CertificateError::Unusable(error.to_string()))?;
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
