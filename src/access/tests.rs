//! Tokens, good and bad.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use serde_json::{Value, json};

use super::*;
use crate::negotiation::{Source, Sources};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const OTHER: &[u8] = b"fedcba9876543210fedcba9876543210";

fn secret(id: &str, secret: &[u8]) -> KeySource {
    KeySource::Secret {
        id: id.to_owned(),
        secret: secret.to_vec(),
    }
}

fn keys(sources: &[KeySource]) -> Keys {
    Keys::read(sources).unwrap().expect("keys")
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// A token with a `kid`, or none, and these claims.
fn token(kid: Option<&str>, claims: &Value) -> String {
    let mut header = Header::new(Algorithm::HS256);
    header.kid = kid.map(str::to_owned);
    crypto::provide();
    encode(&header, claims, &EncodingKey::from_secret(SECRET)).unwrap()
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| base64(value.to_string().as_bytes());
    format!("{}.{}.", part(header), part(claims))
}

/// base64url without padding (RFC 4648 section 5).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    text
}

/// A folder that is removed when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("crosspoint-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A new pair: the private key's file, and the public key's.
    fn pair(&self) -> (PathBuf, PathBuf) {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        (
            self.file("ed.pem", &pair.serialize_pem()),
            self.file("ed.pub", &pair.public_key_pem()),
        )
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn public(id: &str, path: &Path) -> KeySource {
    KeySource::PublicKey {
        id: id.to_owned(),
        path: path.to_owned(),
    }
}

fn mint() -> Mint {
    Mint {
        room: Some("demo".to_owned()),
        identity: Some("ada@example.org".to_owned()),
        name: Some("Ada".to_owned()),
        grants: Grants::default(),
        valid_for: Duration::from_secs(60),
    }
}

#[test]
fn what_is_minted_admits_with_what_it_grants() {
    let folder = Folder::new("minted");
    let (private, its_public) = folder.pair();
    let keys = keys(&[secret("hs", SECRET), public("ed", &its_public)]);
    let id = |id: &str| id.to_owned();
    let signers = [
        SigningKeySource::Secret {
            id: id("hs"),
            secret: SECRET.to_vec(),
        },
        SigningKeySource::PrivateKey {
            id: id("ed"),
            path: private,
        },
    ];
    for signer in signers {
        let grants = Grants {
            publish: [Source::Microphone, Source::Screen].into_iter().collect(),
            subscribe: false,
            chat: false,
            moderate: true,
        };
        let token = Mint { grants, ..mint() }.sign(&signer).unwrap();
        let access = keys.admit(Some(&token), "demo").unwrap();
        assert_eq!(access.identity.as_deref(), Some("ada@example.org"));
        assert_eq!(access.name.as_deref(), Some("Ada"));
        assert_eq!(access.grants, grants);
        assert!(access.by_token);
        let other = TokenError::OtherRoom("demo".to_owned());
        assert_eq!(keys.admit(Some(&token), "other"), Err(other));
    }
}

#[test]
fn a_token_without_a_room_admits_to_every_room_and_without_grants_to_all_but_moderation() {
    let keys = keys(&[secret("a", SECRET)]);
    let token = token(None, &json!({"exp": now() + 9}));
    for room in ["demo", "lobby"] {
        let access = keys.admit(Some(&token), room).unwrap();
        assert_eq!(access.grants, Grants::default());
        assert_eq!((access.identity, access.name), (None, None));
    }
    assert!(!Grants::default().moderate);
}

#[test]
fn keys_are_rotated_by_their_ids() {
    let keys = keys(&[secret("old", OTHER), secret("new", SECRET)]);
    let claims = json!({"exp": now() + 9});
    let admit = |kid| keys.admit(Some(&token(kid, &claims)), "demo").map(|_| ());
    assert_eq!(admit(Some("new")), Ok(()));
    assert_eq!(admit(None), Ok(()), "each key is tried");
    assert_eq!(admit(Some("old")), Err(TokenError::Signature));
    assert_eq!(admit(Some("gone")), Err(TokenError::UnknownKey));
}

#[test]
fn an_algorithm_is_the_keys_own_and_never_the_tokens_choice() {
    let folder = Folder::new("algorithms");
    let (_, its_public) = folder.pair();
    let claims = json!({"exp": now() + 9});
    // The public key as a secret: the classic mistake.
    let der = std::fs::read(&its_public).unwrap();
    crypto::provide();
    let confused = encode(
        &Header::new(Algorithm::HS256),
        &claims,
        &EncodingKey::from_secret(&der),
    );
    let keys = keys(&[public("ed", &its_public)]);
    let admit = |token: &str| keys.admit(Some(token), "demo").map(|_| ());
    assert_eq!(admit(&confused.unwrap()), Err(TokenError::Algorithm));
    for algorithm in ["none", "None", "HS512", "RS256", ""] {
        let token = unsigned(&json!({"alg": algorithm, "typ": "JWT"}), &claims);
        let refused = admit(&token).unwrap_err();
        assert!(
            matches!(refused, TokenError::Algorithm | TokenError::Malformed),
            "{algorithm}"
        );
    }
    let critical = unsigned(&json!({"alg": "EdDSA", "crit": ["x"], "x": 1}), &claims);
    assert_eq!(admit(&critical), Err(TokenError::Malformed));
    let nobodys = unsigned(&json!({"alg": "EdDSA"}), &claims);
    assert_eq!(admit(&nobodys), Err(TokenError::Signature));
}

#[test]
fn time_counts_with_some_leeway() {
    let keys = keys(&[secret("a", SECRET)]);
    let admit = |claims: Value| keys.admit(Some(&token(None, &claims)), "demo").map(|_| ());
    assert_eq!(admit(json!({"exp": now() - 25})), Ok(()));
    assert_eq!(admit(json!({"exp": now() - 35})), Err(TokenError::Expired));
    assert_eq!(admit(json!({"exp": now() + 9, "nbf": now() + 25})), Ok(()));
    assert_eq!(
        admit(json!({"exp": now() + 99, "nbf": now() + 60})),
        Err(TokenError::Early)
    );
    assert_eq!(admit(json!({"exp": (now() + 9) as f64 + 0.5})), Ok(()));
}

#[test]
fn every_claim_is_checked_and_named() {
    let keys = keys(&[secret("a", SECRET)]);
    let refused = |change: Value| {
        let mut claims = json!({"exp": now() + 9, "room": "demo"});
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let error = keys.admit(Some(&token(None, &claims)), "demo").unwrap_err();
        error.to_string()
    };
    for (change, words) in [
        (json!({"exp": null}), "`exp`"),
        (json!({"exp": "soon"}), "`exp`"),
        (json!({"exp": -5}), "`exp`"),
        (json!({"nbf": "now"}), "`nbf`"),
        (json!({"room": "a b"}), "`room`"),
        (json!({"room": 7}), "integer `7`"),
        (json!({"sub": ""}), "`sub`"),
        (json!({"sub": "x".repeat(129)}), "`sub`"),
        (json!({"sub": "a\nb"}), "`sub`"),
        (json!({"name": "  "}), "`name`"),
        (json!({"name": "n".repeat(65)}), "`name`"),
        (json!({"grants": {"publsh": []}}), "publsh"),
        (json!({"grants": {"publish": ["face"]}}), "grants"),
        (json!({"grants": {"moderate": "yes"}}), "expected a boolean"),
        (json!({"aud": "another"}), "`aud`"),
    ] {
        let said = refused(change.clone());
        if words != "grants" {
            assert!(said.contains(words), "{change}: {said}");
        }
    }
    let publish = |value: Value| {
        let claims = json!({"exp": now() + 9, "grants": {"publish": value}});
        keys.admit(Some(&token(None, &claims)), "demo")
            .unwrap()
            .grants
            .publish
    };
    assert_eq!(publish(json!(true)), Sources::ALL);
    assert_eq!(publish(json!(false)), Sources::NONE);
    assert_eq!(publish(json!([])), Sources::NONE);
    let some = publish(json!(["screen-audio", "camera"]));
    assert_eq!(
        some.iter().collect::<Vec<_>>(),
        [Source::Camera, Source::ScreenAudio]
    );
}

#[test]
fn what_is_no_token_is_refused_in_words_that_do_not_repeat_it() {
    let keys = keys(&[secret("a", SECRET)]);
    let good = token(None, &json!({"exp": now() + 9}));
    let mut changed = good.clone().into_bytes();
    let middle = good.find('.').unwrap() + 3;
    changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).unwrap();
    for (token, error) in [
        (None, TokenError::Missing),
        (Some(""), TokenError::Missing),
        (Some("a"), TokenError::Malformed),
        (Some("a.b.c"), TokenError::Malformed),
        (Some("...."), TokenError::Malformed),
        (Some(&*format!("{good}.x")), TokenError::Malformed),
        (Some(&*"x".repeat(MAX_TOKEN_BYTES + 1)), TokenError::TooLong),
        (Some(&changed), TokenError::Signature),
        (
            Some(good.trim_end_matches(|c| c != '.')),
            TokenError::Signature,
        ),
    ] {
        let refused = keys.admit(token, "demo").unwrap_err();
        assert_eq!(refused, error, "{token:?}");
        if let Some(token) = token.filter(|token| token.len() > 5) {
            assert!(!refused.to_string().contains(token));
        }
    }
}

#[test]
fn keys_that_cannot_be_used_are_named() {
    let folder = Folder::new("keys");
    let (private, its_public) = folder.pair();
    let p256 = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let p256 = folder.file("p256.pub", &p256.public_key_pem());
    let missing = folder.0.join("missing.pem");
    let refused = |sources: &[KeySource]| Keys::read(sources).unwrap_err().to_string();
    assert!(refused(&[secret("short", &SECRET[..31])]).contains("short"));
    assert!(refused(&[secret("a", SECRET), public("a", &its_public)]).contains("id a"));
    assert!(refused(&[public("p", &p256)]).contains("not of Ed25519"));
    assert!(refused(&[public("p", &private)]).contains("PUBLIC KEY"));
    assert!(refused(&[public("p", &missing)]).contains("missing.pem"));
    let many: Vec<KeySource> = (0..=MAX_KEYS)
        .map(|n| secret(&n.to_string(), SECRET))
        .collect();
    assert!(refused(&many).contains("at most 16"));
    assert!(Keys::read(&[]).unwrap().is_none());
    let sign = |path: &Path| {
        let id = "ed".to_owned();
        let key = SigningKeySource::PrivateKey {
            id,
            path: path.to_owned(),
        };
        mint()
            .sign(&key)
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    assert!(sign(&its_public).unwrap_err().contains("PRIVATE KEY"));
    assert!(sign(&missing).unwrap_err().contains("missing.pem"));
    assert_eq!(sign(&private), Ok(()));
    // As OpenSSL writes it: version 1, without the public key (RFC 8410 section 7).
    let openssl = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\n\
        -----END PRIVATE KEY-----\n";
    assert_eq!(sign(&folder.file("openssl.pem", openssl)), Ok(()));
}

#[test]
fn nothing_is_minted_that_no_server_takes() {
    let key = SigningKeySource::Secret {
        id: "a".to_owned(),
        secret: SECRET.to_vec(),
    };
    for mint in [
        Mint {
            room: Some("a b".to_owned()),
            ..mint()
        },
        Mint {
            identity: Some(String::new()),
            ..mint()
        },
        Mint {
            name: Some("n".repeat(65)),
            ..mint()
        },
    ] {
        assert!(matches!(
            mint.sign(&key),
            Err(MintError::Token(TokenError::Claim { .. }))
        ));
    }
    let short = SigningKeySource::Secret {
        id: "a".to_owned(),
        secret: b"short".to_vec(),
    };
    assert!(matches!(
        mint().sign(&short),
        Err(MintError::Key(KeyError::ShortSecret(_)))
    ));
}
