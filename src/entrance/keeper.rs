//! Keeps the certificate that clients are shown, and takes a new one when its files change.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio_rustls::rustls;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::{CertificateError, CertificateSource, read, self_signed};

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The present certificate. Looked at once for each handshake.
#[derive(Debug)]
pub(super) struct Keeper(RwLock<Arc<CertifiedKey>>);

/// When a file was written, and how long it is; nothing where it cannot be seen.
type Stamp = Option<(SystemTime, u64)>;

impl Keeper {
    /// Reads or makes the certificate. From then on files are read again when they change, while the keeper is used.
    pub(super) fn start(
        source: &CertificateSource,
        addresses: &[IpAddr],
    ) -> Result<Arc<Self>, CertificateError> {
        match source {
            CertificateSource::SelfSigned => {
                let key = self_signed(SystemTime::now(), addresses)?;
                Ok(Arc::new(Self(RwLock::new(key))))
            }
            CertificateSource::Files { chain, key } => {
                // Looked at before it is read, so that what is written meanwhile is read again.
                let seen = [stamp(chain), stamp(key)];
                let keeper = Arc::new(Self(RwLock::new(read(chain, key)?)));
                let weak = Arc::downgrade(&keeper);
                let files = [chain.clone(), key.clone()];
                tokio::spawn(async move {
                    let mut seen = seen;
                    loop {
                        tokio::time::sleep(LOOK_EVERY).await;
                        let Some(keeper) = weak.upgrade() else { return };
                        keeper.look(&files, &mut seen);
                    }
                });
                Ok(keeper)
            }
        }
    }

    fn look(&self, [chain, key]: &[PathBuf; 2], seen: &mut [Stamp; 2]) {
        let now = [stamp(chain), stamp(key)];
        if now == *seen {
            return;
        }
        *seen = now;
        match read(chain, key) {
            Ok(key) => {
                *self.0.write().unwrap_or_else(PoisonError::into_inner) = key;
                tracing::info!(file = %chain.display(), "the certificate was read again");
            }
            Err(error) => {
                tracing::warn!(%error, "the certificate has changed; the one of before stays in use");
            }
        }
    }
}

impl ResolvesServerCert for Keeper {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let key = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&key))
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
