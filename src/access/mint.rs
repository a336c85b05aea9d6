//! Makes tokens.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use super::claims::Claims;
use super::{Grants, KeyError, MIN_SECRET_BYTES, TokenError, crypto};

/// What tokens are signed with. Its id goes into their `kid`.
pub enum SigningKeySource {
    /// HS256 with this secret, of at least [`MIN_SECRET_BYTES`].
    Secret {
        /// The id.
        id: String,
        /// The secret's bytes.
        secret: Vec<u8>,
    },
    /// EdDSA with the Ed25519 private key in this PEM file (PKCS #8).
    PrivateKey {
        /// The id.
        id: String,
        /// The file.
        path: PathBuf,
    },
}

/// What a token is to say.
#[derive(Clone, Debug, Default)]
pub struct Mint {
    /// The one room that it admits to; `None` for all.
    pub room: Option<String>,
    /// Who it is for.
    pub identity: Option<String>,
    /// The name to be called by.
    pub name: Option<String>,
    /// What its bearer may do.
    pub grants: Grants,
    /// For how long it admits.
    pub valid_for: Duration,
}

impl Mint {
    /// Makes the token. Errors are about the key's file; and about what the token is to say, which no server would take.
    pub fn sign(self, key: &SigningKeySource) -> Result<String, MintError> {
        crypto::provide();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs());
        let claims = Claims {
            room: self.room,
            sub: self.identity,
            name: self.name,
            grants: self.grants,
            iat: now,
            exp: now.saturating_add(self.valid_for.as_secs()),
        };
        claims.check().map_err(MintError::Token)?;
        let (id, algorithm, key) = encoding_key(key).map_err(MintError::Key)?;
        let mut header = Header::new(algorithm);
        header.kid = Some(id);
        encode(&header, &claims, &key).map_err(|error| MintError::Sign(error.to_string()))
    }
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MintError {
    /// What it is to say is not what a token may say.
    Token(TokenError),
    /// The key cannot be used.
    Key(KeyError),
    /// It could not be signed; why.
    Sign(String),
}

impl std::fmt::Display for MintError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Token(error) => error.fmt(f),
            Self::Key(error) => error.fmt(f),
            Self::Sign(reason) => write!(f, "the token could not be signed: {reason}"),
        }
    }
}

impl std::error::Error for MintError {}

fn encoding_key(source: &SigningKeySource) -> Result<(String, Algorithm, EncodingKey), KeyError> {
    match source {
        SigningKeySource::Secret { id, secret } if secret.len() < MIN_SECRET_BYTES => {
            Err(KeyError::ShortSecret(id.clone()))
        }
        SigningKeySource::Secret { id, secret } => Ok((
            id.clone(),
            Algorithm::HS256,
            EncodingKey::from_secret(secret),
        )),
        SigningKeySource::PrivateKey { id, path } => {
            let wrong = |reason: String| KeyError::File {
                path: path.clone(),
                reason: format!(
                    "{reason}; expected is a PEM file with the PRIVATE KEY of an Ed25519 pair: `openssl genpkey \
                     -algorithm ed25519` makes one"
                ),
            };
            let key = PrivatePkcs8KeyDer::from_pem_file(path)
                .map_err(|error| wrong(error.to_string()))?;
            crypto::check_private_key(key.secret_pkcs8_der()).map_err(wrong)?;
            let key = EncodingKey::from_ed_der(key.secret_pkcs8_der());
            Ok((id.clone(), Algorithm::EdDSA, key))
        }
    }
}
