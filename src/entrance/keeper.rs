//! Keeps the certificate that clients are shown, and takes a new one when there is one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio_rustls::rustls;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::acme::{self, Acme};
use super::certificate::{CertificateError, CertificateSource, expiry, read};
use super::self_signed::{make, make_or_stored};

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The present certificate. Looked at once for each handshake.
#[derive(Debug)]
pub(super) struct Keeper {
    present: RwLock<Arc<CertifiedKey>>,
    /// What an ACME authority is shown while it looks whether a name leads here, by that name.
    challenges: RwLock<HashMap<String, Arc<CertifiedKey>>>,
}

/// When a file was written, and how long it is; nothing where it cannot be seen.
type Stamp = Option<(SystemTime, u64)>;

impl Keeper {
    /// Reads or makes the certificate. From then on, while the keeper is used, files are read again when they change, and what
    /// comes from an authority is renewed.
    pub(super) fn start(
        source: &CertificateSource,
        addresses: &[IpAddr],
    ) -> Result<Arc<Self>, CertificateError> {
        match source {
            CertificateSource::SelfSigned { state } => {
                let made = make_or_stored(state.as_deref(), SystemTime::now(), addresses)?;
                Ok(Self::new(made.certified()))
            }
            CertificateSource::Files { chain, key } => {
                // Looked at before it is read, so that what is written meanwhile is read again.
                let seen = [stamp(chain), stamp(key)];
                let keeper = Self::new(read(chain, key)?);
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
            CertificateSource::Acme(config) => {
                let acme = Acme::open(config)?;
                let stored = acme.stored();
                // Until there is one, the page can be had by whoever trusts what is no good.
                let first = match &stored {
                    Some(pem) => pem.certified(),
                    None => make(SystemTime::now(), addresses)?.certified(),
                };
                let keeper = Self::new(first);
                tokio::spawn(acme.keep(stored, Arc::downgrade(&keeper)));
                Ok(keeper)
            }
        }
    }

    fn new(present: Arc<CertifiedKey>) -> Arc<Self> {
        Arc::new(Self {
            present: RwLock::new(present),
            challenges: RwLock::default(),
        })
    }

    /// Shows this certificate from now on.
    pub(super) fn show(&self, certificate: Arc<CertifiedKey>) {
        *self.present.write().unwrap_or_else(PoisonError::into_inner) = certificate;
    }

    /// When the present one is no good any more.
    pub(super) fn expiry(&self) -> Option<SystemTime> {
        let key = self.present.read().unwrap_or_else(PoisonError::into_inner);
        expiry(&key)
    }

    /// Shows this one to an ACME authority that looks whether the name leads here.
    pub(super) fn show_challenge(&self, domain: String, certificate: Arc<CertifiedKey>) {
        let mut challenges = self
            .challenges
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        challenges.insert(domain, certificate);
    }

    /// Shows it none any more.
    pub(super) fn end_challenges(&self) {
        let mut challenges = self
            .challenges
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        challenges.clear();
    }

    fn look(&self, [chain, key]: &[PathBuf; 2], seen: &mut [Stamp; 2]) {
        let now = [stamp(chain), stamp(key)];
        if now == *seen {
            return;
        }
        *seen = now;
        match read(chain, key) {
            Ok(key) => {
                self.show(key);
                tracing::info!(file = %chain.display(), "the certificate was read again");
            }
            Err(error) => {
                tracing::warn!(%error, "the certificate has changed; the one of before stays in use");
            }
        }
    }
}

impl ResolvesServerCert for Keeper {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let spoken = hello.alpn();
        let is_authority = spoken.is_some_and(|spoken| spoken.eq([acme::ALPN]));
        if is_authority {
            let challenges = self
                .challenges
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            return challenges.get(hello.server_name()?).cloned();
        }
        let key = self.present.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&key))
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
