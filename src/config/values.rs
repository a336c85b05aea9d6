//! Values of options that are more than a number or a word.

use std::ffi::OsStr;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;
use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use ipnet::IpNet;
use serde::Deserialize;

use crate::access::{KeySource, SigningKeySource};
use crate::discovery::AddressSource;
use crate::turn::{HostPort, TurnUser};

/// Reads a value of the command line or the environment that no error may show.
#[derive(Clone, Default)]
pub(crate) struct Hidden<T>(std::marker::PhantomData<T>);

impl<T> Hidden<T> {
    pub(crate) fn new() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<T> TypedValueParser for Hidden<T>
where
    T: FromStr<Err = String> + Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<T, clap::Error> {
        let text = value.to_str().unwrap_or_default();
        text.parse().map_err(|allowed| {
            let option = argument.map_or_else(String::new, ToString::to_string);
            let message = format!("invalid value '***' for '{option}': {allowed}\n");
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}

/// A word that must not be shown.
#[derive(Deserialize, Clone, PartialEq, Eq)]
#[serde(transparent)]
pub struct Secret(pub(super) String);

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl Secret {
    /// What it is, for who needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Longest id of a key.
const MAX_KEY_ID: usize = 64;

/// A secret that tokens are signed with, and its id: `ID:SECRET`.
#[derive(Deserialize, Clone, PartialEq, Eq)]
#[serde(try_from = "String")]
pub struct KeySecret {
    /// What a token's `kid` names.
    pub id: String,
    pub(super) secret: Secret,
}

/// A file with a key of tokens, and its id: `ID:FILE`.
#[derive(Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(try_from = "String")]
pub struct KeyFile {
    /// What a token's `kid` names.
    pub id: String,
    /// The PEM file.
    pub path: PathBuf,
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySecret({})", self.id)
    }
}

impl FromStr for KeySecret {
    type Err = String;

    /// The error does not repeat the text: it may be most of a secret.
    fn from_str(text: &str) -> Result<Self, String> {
        let (id, secret) = key_id(text)
            .filter(|(_, secret)| secret.bytes().all(|byte| byte.is_ascii_graphic() && byte != b','))
            .ok_or(
                "allowed is ID:SECRET, the id of letters, digits, `-`, `_`, `.`, the secret of at least 32 ASCII \
                 characters without spaces and commas",
            )?;
        Ok(Self {
            id: id.to_owned(),
            secret: Secret(secret.to_owned()),
        })
    }
}

impl FromStr for KeyFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (id, path) = key_id(text).filter(|(_, path)| !path.is_empty()).ok_or(
            "allowed is ID:FILE, the id of 1 to 64 letters, digits, `-`, `_`, `.`, such as main:/etc/crosspoint/token.pem",
        )?;
        Ok(Self {
            id: id.to_owned(),
            path: path.into(),
        })
    }
}

impl TryFrom<String> for KeySecret {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for KeyFile {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<KeySecret> for KeySource {
    fn from(KeySecret { id, secret }: KeySecret) -> Self {
        Self::Secret {
            id,
            secret: secret.0.into_bytes(),
        }
    }
}

impl From<KeyFile> for KeySource {
    fn from(KeyFile { id, path }: KeyFile) -> Self {
        Self::PublicKey { id, path }
    }
}

impl From<KeySecret> for SigningKeySource {
    fn from(KeySecret { id, secret }: KeySecret) -> Self {
        Self::Secret {
            id,
            secret: secret.0.into_bytes(),
        }
    }
}

/// What stands before the first colon, and after it.
fn key_id(text: &str) -> Option<(&str, &str)> {
    let is_id = |id: &str| {
        (1..=MAX_KEY_ID).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    text.split_once(':').filter(|(id, _)| is_id(id))
}

/// Whether HTTPS is spoken, and with which certificate.
#[derive(ValueEnum, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// HTTP.
    Off,
    /// One that an ACME authority is asked for.
    Acme,
    /// A certificate that is made here.
    #[value(name = "self")]
    #[serde(rename = "self")]
    SelfSigned,
    /// One out of files.
    Files,
}

/// A user of TURN: `NAME:PASSWORD`.
#[derive(Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(try_from = "String")]
pub struct TurnUserOption(pub(super) TurnUser);

impl FromStr for TurnUserOption {
    type Err = String;

    /// The error does not repeat the words: they may be most of a password.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, password) = text.split_once(':').unwrap_or_default();
        if name.is_empty() || password.is_empty() || name.len() > 256 {
            return Err("allowed is NAME:PASSWORD".to_owned());
        }
        Ok(Self(TurnUser {
            name: name.to_owned(),
            password: password.to_owned(),
        }))
    }
}

impl TryFrom<String> for TurnUserOption {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Whom clients of TURN may reach.
#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(try_from = "String")]
pub enum PeerNetwork {
    /// What is on the Internet.
    Public,
    /// What is in this network.
    Network(IpNet),
}

impl FromStr for PeerNetwork {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "public" {
            return Ok(Self::Public);
        }
        let address = text.parse::<IpAddr>().map(IpNet::from);
        let network = address.or_else(|_| text.parse::<IpNet>());
        network.map(Self::Network).map_err(|_| {
            format!("`{text}` is no network: allowed is `public`, or for example 10.1.0.0/16")
        })
    }
}

impl TryFrom<String> for PeerNetwork {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// An address under which clients reach the media ports, or who is asked for it.
#[derive(Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(try_from = "String")]
pub enum Announced {
    /// This one.
    Ip(IpAddr),
    /// What this one says.
    Found(AddressSource),
}

impl FromStr for Announced {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "metadata" {
            return Ok(Self::Found(AddressSource::Metadata));
        }
        if let Some(server) = text.strip_prefix("stun:").and_then(HostPort::parse) {
            return Ok(Self::Found(AddressSource::Stun(server)));
        }
        text.parse().map(Self::Ip).map_err(|_| {
            format!(
                "`{text}` is no address: allowed is an IP address, such as 203.0.113.5 or 2001:db8::5, `stun:HOST[:PORT]`, or `metadata`"
            )
        })
    }
}

impl TryFrom<String> for Announced {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Ports from the first to the last.
#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(try_from = "String")]
pub struct PortRange(pub(super) u16, pub(super) u16);

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ports = text.split_once('-');
        let ports = ports.and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
        match ports {
            Some((low, high)) if low > 0 && low <= high => Ok(Self(low, high)),
            _ => Err(format!(
                "`{text}` is no range of ports: allowed is for example 49152-65535"
            )),
        }
    }
}

impl TryFrom<String> for PortRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// How logs are written.
#[derive(ValueEnum, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Where to serve HTTP: `ADDR:PORT`, `localhost:PORT`, or `:PORT` for every address.
#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(try_from = "String")]
pub enum ListenAddress {
    /// One address.
    One(SocketAddr),
    /// This port of every address, IPv4 and IPv6.
    Every(u16),
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = || {
            format!(
                "`{text}` is no ADDR:PORT: expected for example 127.0.0.1:8080, [::1]:8080 or :8080"
            )
        };
        if let Some(port) = text.strip_prefix(':').or_else(|| text.strip_prefix("*:")) {
            return port.parse().map(Self::Every).map_err(|_| allowed());
        }
        if let Some(port) = text.strip_prefix("localhost:") {
            let port = port.parse().map_err(|_| allowed())?;
            return Ok(Self::One(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)));
        }
        text.parse().map(Self::One).map_err(|_| allowed())
    }
}

/// Where TCP connections for media are let in.
#[derive(Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(try_from = "String")]
pub enum IceTcp {
    /// Where the page is.
    #[default]
    Page,
    /// Nowhere.
    Off,
    /// By a port of its own.
    Own(ListenAddress),
}

impl FromStr for IceTcp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "page" => Ok(Self::Page),
            "off" => Ok(Self::Off),
            other => other.parse().map(Self::Own).map_err(|error: String| {
                format!("allowed is `page`, `off`, or an address of its own; {error}")
            }),
        }
    }
}

impl TryFrom<String> for IceTcp {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for ListenAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
