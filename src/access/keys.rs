//! The keys of a server, and whom they admit.

use std::fmt;
use std::path::{Path, PathBuf};

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use tokio_rustls::rustls::pki_types::SubjectPublicKeyInfoDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use super::claims::{Access, Claims};
use super::{KeyError, LEEWAY, MAX_KEYS, MAX_TOKEN_BYTES, MIN_SECRET_BYTES, TokenError, crypto};

/// What stands before the 32 bytes of an Ed25519 public key (RFC 8410 section 4).
const ED25519_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// Where a key for tokens comes from. Its id is what a token's `kid` may name.
#[derive(Clone, PartialEq, Eq)]
pub enum KeySource {
    /// HS256 with this secret, of at least [`MIN_SECRET_BYTES`].
    Secret {
        /// The id.
        id: String,
        /// The secret's bytes.
        secret: Vec<u8>,
    },
    /// EdDSA with the Ed25519 public key in this PEM file.
    PublicKey {
        /// The id.
        id: String,
        /// The file.
        path: PathBuf,
    },
}

impl KeySource {
    /// The key's id.
    pub fn id(&self) -> &str {
        match self {
            Self::Secret { id, .. } | Self::PublicKey { id, .. } => id,
        }
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySource({})", self.id())
    }
}

/// The keys of a server. At least one.
#[derive(Clone)]
pub struct Keys {
    keys: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    id: String,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.keys.iter().map(|key| &key.id);
        f.debug_list().entries(ids).finish()
    }
}

impl Keys {
    /// Reads the files, and checks every key. `None` where there are no keys: then the server is open.
    pub fn read(sources: &[KeySource]) -> Result<Option<Self>, KeyError> {
        crypto::provide();
        if sources.len() > MAX_KEYS {
            return Err(KeyError::TooMany);
        }
        let mut keys: Vec<Key> = Vec::new();
        for source in sources {
            if keys.iter().any(|key| key.id == source.id()) {
                return Err(KeyError::TwiceTheId(source.id().to_owned()));
            }
            keys.push(Key::read(source)?);
        }
        Ok((!keys.is_empty()).then_some(Self { keys }))
    }

    /// What the bearer of `token` may do in `room`.
    pub fn admit(&self, token: Option<&str>, room: &str) -> Result<Access, TokenError> {
        let token = token
            .filter(|token| !token.is_empty())
            .ok_or(TokenError::Missing)?;
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
        // Whoever does not know what is critical must refuse (RFC 7515 section 4.1.11). Here nothing is known.
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let named = |key: &&Key| header.kid.as_ref().is_none_or(|id| *id == key.id);
        let mut known = self.keys.iter().filter(named).peekable();
        if known.peek().is_none() {
            return Err(TokenError::UnknownKey);
        }
        let mut refusal = TokenError::Algorithm;
        // A key is only ever used with its own algorithm, whatever the token says.
        for key in known.filter(|key| key.algorithm == header.alg) {
            match decode::<Claims>(token, &key.key, &validation(key.algorithm)) {
                Ok(token) => return token.claims.admit(room),
                Err(error) => refusal = refused(&error),
            }
            if refusal != TokenError::Signature {
                break;
            }
        }
        Err(refusal)
    }
}

impl Key {
    fn read(source: &KeySource) -> Result<Self, KeyError> {
        let (algorithm, key) = match source {
            KeySource::Secret { id, secret } if secret.len() < MIN_SECRET_BYTES => {
                return Err(KeyError::ShortSecret(id.clone()));
            }
            KeySource::Secret { secret, .. } => {
                (Algorithm::HS256, DecodingKey::from_secret(secret))
            }
            KeySource::PublicKey { path, .. } => (
                Algorithm::EdDSA,
                DecodingKey::from_ed_der(&public_key(path)?),
            ),
        };
        Ok(Self {
            id: source.id().to_owned(),
            algorithm,
            key,
        })
    }
}

/// The 32 bytes of the Ed25519 public key in a PEM file.
fn public_key(path: &Path) -> Result<Vec<u8>, KeyError> {
    let wrong = |reason: String| KeyError::File {
        path: path.to_owned(),
        reason,
    };
    let key = SubjectPublicKeyInfoDer::from_pem_file(path).map_err(|error| {
        wrong(format!(
            "{error}; expected is a PEM file with the PUBLIC KEY of an Ed25519 pair"
        ))
    })?;
    match key.as_ref().strip_prefix(&ED25519_PREFIX) {
        Some(key) if key.len() == 32 => Ok(key.to_vec()),
        _ => Err(wrong(
            "its public key is not of Ed25519: `openssl pkey -in PRIVATE.pem -pubout` writes the one of a private key"
                .to_owned(),
        )),
    }
}

fn validation(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    validation
}

fn refused(error: &Error) -> TokenError {
    let claim = |claim, must_be| TokenError::Claim { claim, must_be };
    match error.kind() {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::ExpiredSignature => TokenError::Expired,
        ErrorKind::ImmatureSignature => TokenError::Early,
        ErrorKind::MissingRequiredClaim(_) => claim("exp", "there: a token has an end"),
        ErrorKind::InvalidClaimFormat(name) if name == "nbf" => {
            claim("nbf", "a number of seconds since 1970")
        }
        ErrorKind::InvalidClaimFormat(_) => claim("exp", "a number of seconds since 1970"),
        ErrorKind::InvalidAudience => TokenError::Audience,
        ErrorKind::Json(error) => TokenError::Claims(error.to_string().chars().take(200).collect()),
        _ => TokenError::Malformed,
    }
}
