//! Keeps the certificate that clients are shown, and takes a new one when there is one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::{Duration, SystemTime};

use tokio_rustls::rustls;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::acme::{self, Acme};
use super::certificate::{CertificateError, CertificateSource, Pem, expiry, read};
use super::self_signed::{is_good, make, make_or_stored};

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How often one that was made here is looked at.
const RENEW_EVERY: Duration = Duration::from_secs(3_600);

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
                let keeper = Self::new(made.certified());
                let weak = Arc::downgrade(&keeper);
                tokio::spawn(renew_self_signed(
                    made,
                    weak,
                    state.clone(),
                    addresses.to_vec(),
                ));
                Ok(keeper)
            }
            CertificateSource::Files { chain, key } => {
                // Looked at before it is read, so that what is written meanwhile is read again.
                let seen = [stamp(chain), stamp(key)];
                let keeper = Self::new(read(chain, key)?);
                let weak = Arc::downgrade(&keeper);
                let files = [chain.clone(), key.clone()];
                tokio::spawn(async move {
                    let (mut seen, mut refused) = (seen, None);
                    loop {
                        tokio::time::sleep(LOOK_EVERY).await;
                        let Some(keeper) = weak.upgrade() else { return };
                        keeper.look(&files, &mut seen, &mut refused);
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

    /// Reads files that have changed since they were `seen`. What could not be read is tried again each time, since who may read
    /// a file changes without its time of change, and told of once.
    fn look(
        &self,
        [chain, key]: &[PathBuf; 2],
        seen: &mut [Stamp; 2],
        refused: &mut Option<[Stamp; 2]>,
    ) {
        let now = [stamp(chain), stamp(key)];
        if now == *seen {
            return;
        }
        match read(chain, key) {
            Ok(key) => {
                *seen = now;
                self.show(key);
                tracing::info!(file = %chain.display(), "the certificate was read again");
            }
            Err(error) if refused.replace(now) != Some(now) => {
                tracing::warn!(%error, "the certificate has changed; the one of before stays in use");
            }
            Err(_) => {}
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

/// Makes another one when it is time to, as long as there is a keeper. The clock may have been set meanwhile.
async fn renew_self_signed(
    mut present: Pem,
    keeper: Weak<Keeper>,
    state: Option<PathBuf>,
    addresses: Vec<IpAddr>,
) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let Some(keeper) = keeper.upgrade() else {
            return;
        };
        let now = SystemTime::now();
        if is_good(&present, now, &addresses) {
            continue;
        }
        match make_or_stored(state.as_deref(), now, &addresses) {
            Ok(made) => {
                keeper.show(made.certified());
                present = made;
                tracing::info!("a new certificate is in use: browsers will ask again");
            }
            Err(error) => {
                tracing::warn!(%error, "the certificate runs out, and no other could be made")
            }
        }
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use std::fs::{File, read, write};

    use super::*;

    fn folder() -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("crosspoint-keeper-{}", rand::random::<u64>()));
        std::fs::create_dir(&path).unwrap();
        path
    }

    #[test]
    fn what_could_not_be_read_is_tried_again_though_nothing_seems_to_have_changed() {
        let path = folder();
        let files = ["chain", "key"].map(|name| path.join(name));
        let put = |pem: &Pem| {
            files
                .iter()
                .for_each(|file| write(file, pem.bytes()).unwrap())
        };
        let [first, second] = [1, 2].map(|_| make(SystemTime::now(), &[]).unwrap());
        put(&first);
        let keeper = Keeper::new(first.certified());
        let (mut seen, mut refused) = ([None, None], None);
        let shown = |keeper: &Keeper| keeper.present.read().unwrap().cert.clone();
        // As long as the key, and unreadable.
        write(&files[0], second.bytes()).unwrap();
        write(&files[1], vec![b'x'; second.bytes().len()]).unwrap();
        let written = files[1].metadata().unwrap().modified().unwrap();
        keeper.look(&files, &mut seen, &mut refused);
        assert!(shown(&keeper) == first.certified().cert && refused.is_some());
        write(&files[1], second.bytes()).unwrap();
        let file = File::options().write(true).open(&files[1]).unwrap();
        file.set_modified(written).unwrap();
        keeper.look(&files, &mut seen, &mut refused);
        assert!(shown(&keeper) == second.certified().cert);
        assert!(read(&files[0]).unwrap() == second.bytes());
        std::fs::remove_dir_all(&path).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_made_here_does_not_run_out() {
        let day = Duration::from_secs(24 * 3_600);
        let old = make(SystemTime::now() - 350 * day, &[]).unwrap();
        let keeper = Keeper::new(old.certified());
        let before = keeper.expiry().unwrap();
        tokio::spawn(renew_self_signed(
            old,
            Arc::downgrade(&keeper),
            None,
            Vec::new(),
        ));
        tokio::time::sleep(RENEW_EVERY * 2).await;
        assert!(keeper.expiry().unwrap() > before + 300 * day);
    }
}
