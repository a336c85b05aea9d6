//! `crosspoint token`: what it may be told, and the token that comes of it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgGroup, Args};

use super::mint::MintError;
use super::{Grants, Mint, SigningKeySource};
use crate::config::{ConfigError, Hidden, KeyFile, KeySecret, Options};
use crate::negotiation::{Source, Sources};

/// Longest time that a token may be valid for.
const MAX_DAYS: u64 = 3_650;

/// Makes a token that admits its bearer to a room, and prints it. It is signed with the first private key or else the
/// first secret of those that are given, or that the server's file has.
#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("where").required(true))]
pub struct TokenOptions {
    /// The one room that it admits to
    #[arg(long, value_name = "NAME", group = "where")]
    pub room: Option<String>,

    /// Admit to every room
    #[arg(long, group = "where")]
    pub every_room: bool,

    /// Who it is for, 1 to 128 characters, such as a user's number or address: told to operators, and what a ban holds by
    /// [default: nobody; a ban holds by address]
    #[arg(long, value_name = "WHO")]
    pub identity: Option<String>,

    /// Name to be called by until another is said, 1 to 64 characters [default: none]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// For how long it admits: seconds, or with `m`, `h`, `d`; at most 3650d. Whoever is in may stay longer
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    pub valid_for: Duration,

    /// What may be sent: `all`, `none`, or of `microphone`, `camera`, `screen`, `screen-audio`, separated by commas
    #[arg(long, value_name = "SOURCES", default_value = "all", value_parser = sources)]
    pub publish: Sources,

    /// Forward nobody's sound and pictures to it
    #[arg(long)]
    pub no_subscribe: bool,

    /// It may read the chat, and say nothing
    #[arg(long)]
    pub no_chat: bool,

    /// It may mute, remove and admit others, and lock the room
    #[arg(long)]
    pub moderate: bool,

    /// Sign with HS256 and this secret of the server's, as the server has it; better in the environment or the file than here,
    /// where everybody on the machine can see it
    #[arg(
        long,
        env = "CROSSPOINT_TOKEN_SECRET",
        value_name = "ID:SECRET",
        value_parser = Hidden::<KeySecret>::new(),
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub token_secret: Option<Vec<KeySecret>>,

    /// Sign with EdDSA and the Ed25519 private key in this PEM file; the server needs its public key
    #[arg(
        long,
        env = "CROSSPOINT_TOKEN_PRIVATE_KEY",
        value_name = "ID:FILE",
        value_delimiter = ','
    )]
    pub token_private_key: Option<Vec<KeyFile>>,

    /// Sign with the key of this id [default: the first]
    #[arg(long, value_name = "ID")]
    pub key: Option<String>,

    /// The server's TOML file, where no key is given otherwise
    #[arg(long, env = "CROSSPOINT_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Why `crosspoint token` makes none.
#[derive(Debug)]
pub enum TokenCommandError {
    /// No key to sign with was given, or none of that id.
    NoKey(Option<String>),
    /// The server's file cannot be read.
    Config(ConfigError),
    /// The key or what the token is to say cannot be used.
    Mint(MintError),
}

impl fmt::Display for TokenCommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey(None) => f.write_str(
                "there is no key to sign with: give the server's with --token-secret, --token-private-key or --config",
            ),
            Self::NoKey(Some(id)) => write!(f, "there is no key to sign with that has the id {id}"),
            Self::Config(error) => error.fmt(f),
            Self::Mint(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TokenCommandError {}

impl TokenOptions {
    /// The token.
    pub fn mint(mut self) -> Result<String, TokenCommandError> {
        let key = self.signing_key()?;
        let mint = Mint {
            room: self.room,
            identity: self.identity,
            name: self.name,
            grants: Grants {
                publish: self.publish,
                subscribe: !self.no_subscribe,
                chat: !self.no_chat,
                moderate: self.moderate,
            },
            valid_for: self.valid_for,
        };
        mint.sign(&key).map_err(TokenCommandError::Mint)
    }

    fn signing_key(&mut self) -> Result<SigningKeySource, TokenCommandError> {
        let files = self.token_private_key.take().unwrap_or_default();
        let mut secrets = self.token_secret.take().unwrap_or_default();
        if let (true, true, Some(path)) = (files.is_empty(), secrets.is_empty(), &self.config) {
            let file = Options::from_file(path).map_err(TokenCommandError::Config)?;
            secrets = file.token_secret.unwrap_or_default();
        }
        let files = files.into_iter().map(|KeyFile { id, path }| {
            let source = SigningKeySource::PrivateKey {
                id: id.clone(),
                path,
            };
            (id, source)
        });
        let secrets = secrets.into_iter().map(|secret| {
            let id = secret.id.clone();
            (id, SigningKeySource::from(secret))
        });
        files
            .chain(secrets)
            .find(|(id, _)| self.key.as_ref().is_none_or(|wanted| wanted == id))
            .map(|(_, source)| source)
            .ok_or_else(|| TokenCommandError::NoKey(self.key.clone()))
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let allowed = || "allowed is a time such as 90, 90s, 30m, 12h or 7d, at most 3650d".to_owned();
    let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
    let with_unit = units
        .iter()
        .find_map(|(name, seconds)| Some((text.strip_suffix(name)?, *seconds)));
    let (number, unit) = with_unit.unwrap_or((text, 1));
    let seconds = number.parse().ok().and_then(|n: u64| n.checked_mul(unit));
    match seconds {
        Some(seconds) if (1..=MAX_DAYS * 86_400).contains(&seconds) => {
            Ok(Duration::from_secs(seconds))
        }
        _ => Err(allowed()),
    }
}

fn sources(text: &str) -> Result<Sources, String> {
    match text {
        "all" => return Ok(Sources::ALL),
        "none" => return Ok(Sources::NONE),
        _ => {}
    }
    let words = text.split(',').map(|word| {
        Source::from_str(word).map_err(|()| {
            "allowed is all, none, or of microphone, camera, screen and screen-audio, separated by commas"
                .to_owned()
        })
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units() {
        for (text, seconds) in [
            ("90", 90),
            ("90s", 90),
            ("30m", 1_800),
            ("12h", 43_200),
            ("7d", 604_800),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "0",
            "h",
            "-1",
            "1.5h",
            "1w",
            "3651d",
            "99999999999999999999d",
            "1hh",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
