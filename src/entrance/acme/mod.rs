//! Certificates by ACME (RFC 8555): gained from an authority without anybody's help, and renewed in time.
//!
//! Called by the keeper of certificates, which holds what comes of it. The authority sees that a name leads here by a TLS
//! handshake on port 443 (RFC 8737), so no other port has to be open, and nothing is served for it. Certificate, key and account
//! are in the state folder, for the next start. It never holds up the server: while there is no certificate yet, or none can
//! be had, the keeper shows what it has.

mod account;
mod challenge;
mod order;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use axum::http::Uri;
use tokio::time::{sleep, timeout};

use account::Authority;
pub(super) use challenge::ALPN;

use super::certificate::{CertificateError, Pem};
use super::keeper::Keeper;
use super::state::StateFolder;

/// Where certificates come from that all browsers trust, and nobody pays for.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Names that one certificate may be for (Let's Encrypt's own bound).
pub const MAX_DOMAINS: usize = 100;

/// What the authority is given in all for one certificate. It looks here from several places, and may take its time.
const ORDER_PATIENCE: Duration = Duration::from_secs(300);

/// The longest sleep: the clock on the wall may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// How long to wait after an order that failed, one after the other, and then as the last. Authorities count failures: five
/// an hour for one name are the most that Let's Encrypt takes.
const REPEAT_AFTER: [Duration; 4] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(20 * 60),
    Duration::from_secs(3600),
];

/// Whom certificates are asked of, and for which names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeConfig {
    /// The names: lower case, without wildcards, 1 to [`MAX_DOMAINS`].
    pub domains: Vec<String>,
    /// Whom the authority may write to.
    pub email: Option<String>,
    /// The authority's directory.
    pub directory: Uri,
    /// A PEM file with the root that the authority's own certificate leads to; `None` for those that the system trusts.
    pub root: Option<PathBuf>,
    /// The folder for certificate, key and account.
    pub state: PathBuf,
}

impl AcmeConfig {
    /// The file with the certificate that was gained last, and its key; it may not be there yet.
    pub(crate) fn certificate_file(&self) -> PathBuf {
        folder_of(self).join(CERTIFICATE)
    }
}

/// Why there is no new certificate.
#[derive(Debug)]
enum AcmeError {
    /// The authority cannot be asked, or does not do what was asked.
    Authority(instant_acme::Error),
    /// It could not see that a name leads here.
    Refused {
        /// The name.
        domain: String,
        /// What it says.
        reason: String,
    },
    /// It has other ways than TLS only.
    NoWay(String),
    /// Nothing came of it in time.
    Late,
    /// A key or a request could not be made.
    Make(rcgen::Error),
    /// What it gave is no certificate for the key.
    Unusable(CertificateError),
}

impl fmt::Display for AcmeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authority(error) => write!(f, "the authority says: {error}"),
            Self::Refused { domain, reason } => write!(
                f,
                "{domain} is not seen to lead here: {reason}; does its DNS name this machine, and is TCP 443 let through?"
            ),
            Self::NoWay(domain) => write!(
                f,
                "the authority does not check {domain} by TLS (tls-alpn-01): get the certificate otherwise, and use --tls-cert"
            ),
            Self::Late => write!(f, "nothing came within {} s", ORDER_PATIENCE.as_secs()),
            Self::Make(error) => write!(f, "no key could be made: {error}"),
            Self::Unusable(error) => error.fmt(f),
        }
    }
}

impl From<instant_acme::Error> for AcmeError {
    fn from(error: instant_acme::Error) -> Self {
        Self::Authority(error)
    }
}

impl From<rcgen::Error> for AcmeError {
    fn from(error: rcgen::Error) -> Self {
        Self::Make(error)
    }
}

/// What there is of an authority's certificates on this machine, and how to ask for more.
pub(super) struct Acme {
    config: AcmeConfig,
    folder: StateFolder,
    authority: Authority,
}

impl Acme {
    /// Opens the state folder and reads what the authority is trusted by. Asks nobody.
    pub(super) fn open(config: &AcmeConfig) -> Result<Self, CertificateError> {
        let authority = Authority::new(config)?;
        let folder = folder_of(config);
        let folder =
            StateFolder::open(&folder).map_err(|error| CertificateError::state(&folder, &error))?;
        Ok(Self {
            config: config.clone(),
            folder,
            authority,
        })
    }

    /// The certificate of before, if it is for all names.
    pub(super) fn stored(&self) -> Option<Pem> {
        let bytes = self.folder.read(CERTIFICATE).ok()??;
        let pem = Pem::read(bytes).ok()?;
        pem.is_for(&self.config.domains).then_some(pem)
    }

    /// Gains a certificate when it is time to, as long as there is a keeper.
    pub(super) async fn keep(self, mut present: Option<Pem>, keeper: Weak<Keeper>) {
        let mut failures = 0;
        loop {
            if let Some(wait) = present.as_ref().and_then(until_renewal) {
                sleep(wait.min(LONGEST_SLEEP)).await;
                if keeper.strong_count() == 0 {
                    return;
                }
                continue;
            }
            let Some(at) = keeper.upgrade() else { return };
            let wait = REPEAT_AFTER[failures.min(REPEAT_AFTER.len() - 1)];
            let minutes = wait.as_secs() / 60;
            match self.gain(&at).await {
                Ok(pem) if until_renewal(&pem).is_some() => {
                    failures = 0;
                    tracing::info!(domains = %self.config.domains.join(", "), "a new certificate is in use");
                    present = Some(pem);
                    continue;
                }
                Ok(_) => tracing::warn!(
                    "a new certificate is in use, and is as good as over: is the clock right? Asked again in {minutes} min"
                ),
                Err(error) => {
                    tracing::warn!(%error, "no certificate could be had; asked again in {minutes} min");
                }
            }
            failures += 1;
            drop(at);
            sleep(wait).await;
        }
    }

    async fn gain(&self, keeper: &Arc<Keeper>) -> Result<Pem, AcmeError> {
        let ordered = timeout(ORDER_PATIENCE, async {
            let account = self.authority.account(&self.config, &self.folder).await?;
            order::order(&account, &self.config.domains, keeper).await
        });
        let pem = ordered.await.map_err(|_| AcmeError::Late)??;
        keeper.show(pem.certified());
        if let Err(error) = self.folder.write(CERTIFICATE, pem.bytes()) {
            // It is good all the same, until the next start.
            tracing::warn!(%error, "the new certificate cannot be kept in the state folder");
        }
        Ok(pem)
    }
}

/// The key, the certificate and those that lead to its root.
const CERTIFICATE: &str = "certificate.pem";

/// Each authority has its own: an account is good for one only, and so is a certificate from where one tries things out.
fn folder_of(config: &AcmeConfig) -> PathBuf {
    let directory = config.directory.to_string();
    let (_, address) = directory.split_once("://").unwrap_or(("", &directory));
    let safe = |c: char| match c {
        c if c.is_ascii_alphanumeric() || c == '.' => c,
        _ => '-',
    };
    let name = address.trim_start_matches('.').chars().map(safe);
    config.state.join("acme").join(name.collect::<String>())
}

/// How long it is until a third of its time is left; `None` when it is time.
fn until_renewal(pem: &Pem) -> Option<Duration> {
    let (from, to) = pem.validity();
    let lifetime = to.duration_since(from).ok()?;
    let due = from + lifetime / 3 * 2;
    due.duration_since(SystemTime::now()).ok()
}
