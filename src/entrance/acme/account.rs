//! The account with the authority, and the way to it.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::Request;
use http_body_util::{BodyExt, Full};
use instant_acme::{
    Account, AccountCredentials, BodyWrapper, BytesResponse, Error, HttpClient as Asks, NewAccount,
};
use tokio_rustls::rustls;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::{AcmeConfig, AcmeError};
use crate::entrance::certificate::CertificateError;
use crate::entrance::state::StateFolder;
use crate::http_client::HttpClient;

/// For each answer of the authority.
const PATIENCE: Duration = Duration::from_secs(30);

/// The account's address and key.
const ACCOUNT: &str = "account.json";

/// Whom certificates are asked of.
pub(super) struct Authority(HttpClient);

impl Authority {
    pub(super) fn new(config: &AcmeConfig) -> Result<Self, CertificateError> {
        let client = match &config.root {
            None => HttpClient::new([&config.directory], PATIENCE)
                .map_err(|error| CertificateError::Make(format!(
                    "asking an ACME authority needs the system's certificate authorities: install ca-certificates ({error})"
                )))?,
            Some(path) => {
                let file = |reason: &dyn std::fmt::Display| CertificateError::File {
                    path: path.clone(),
                    reason: reason.to_string(),
                };
                let mut roots = RootCertStore::empty();
                let certificates = CertificateDer::pem_file_iter(path).map_err(|e| file(&e))?;
                for certificate in certificates {
                    let certificate = certificate.map_err(|e| file(&e))?;
                    roots.add(certificate).map_err(|e| file(&e))?;
                }
                if roots.is_empty() {
                    return Err(CertificateError::Empty(path.clone()));
                }
                HttpClient::trusting(roots, PATIENCE).map_err(|e| file(&e))?
            }
        };
        Ok(Self(client))
    }

    /// The account of before, or a new one.
    pub(super) async fn account(
        &self,
        config: &AcmeConfig,
        folder: &StateFolder,
    ) -> Result<Account, AcmeError> {
        let builder = || Account::builder_with_http(Box::new(Client(self.0.clone())));
        let stored = folder.read(ACCOUNT).ok().flatten();
        let stored = stored.and_then(|json| serde_json::from_slice(&json).ok());
        if let Some(credentials) = stored {
            return Ok(builder().from_credentials(credentials).await?);
        }
        let contact = config.email.iter().map(|email| format!("mailto:{email}"));
        let contact = contact.collect::<Vec<_>>();
        let contact = contact.iter().map(String::as_str).collect::<Vec<_>>();
        let asked = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let directory = config.directory.to_string();
        let (account, credentials) = builder().create(&asked, directory, None).await?;
        keep(folder, &credentials);
        Ok(account)
    }
}

/// Without it the next start makes another account, which does no harm.
fn keep(folder: &StateFolder, credentials: &AccountCredentials) {
    let json = serde_json::to_vec(credentials).map_err(std::io::Error::other);
    if let Err(error) = json.and_then(|json| folder.write(ACCOUNT, &json)) {
        tracing::warn!(%error, "the account with the ACME authority cannot be kept in the state folder");
    }
}

/// Our client of HTTP, as the ACME library wants one.
struct Client(HttpClient);

impl Asks for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let http = self.0.clone();
        Box::pin(async move {
            // The directory is reached so, and may name nothing that is not (RFC 8555 section 6.1).
            if request.uri().scheme_str() != Some("https") {
                return Err(Error::Str("an address with https"));
            }
            let (head, body) = request.into_parts();
            let Ok(body) = body.collect().await;
            let request = Request::from_parts(head, body.to_bytes());
            let response = http.send(request).await;
            let response = response.map_err(|error| Error::Other(error.into()))?;
            Ok(BytesResponse::from(response.map(Full::new)))
        })
    }
}
