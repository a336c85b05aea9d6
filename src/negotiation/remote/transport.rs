//! ICE credentials, fingerprints and the DTLS role of the bundle's transport.

use std::collections::BTreeSet;

use crate::negotiation::SdpError;
use crate::negotiation::remote::session::{Attribute, Section};
use crate::shard::{Fingerprint, FingerprintHash, IceCredentials};

/// Most fingerprints that are kept.
const MAX_FINGERPRINTS: usize = 8;

/// `a=setup` (RFC 4145 section 4, RFC 8842).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setup {
    /// Either: the answer decides.
    Actpass,
    /// That side sends the ClientHello.
    Active,
    /// That side waits for it.
    Passive,
}

/// The transport that a description offers for its bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteTransport {
    /// The remote credentials.
    pub(crate) ice: IceCredentials,
    /// Never empty.
    pub(crate) fingerprints: Vec<Fingerprint>,
    /// What the side says about the DTLS role.
    pub(crate) setup: Setup,
}

impl RemoteTransport {
    /// Reads it from the first m-line of the bundle that has it, falling back to the session part for
    /// each attribute (RFC 9143 section 7.1.3: one m-line of the bundle carries them for all). `None`
    /// when the description has no bundled m-line that is alive.
    pub(crate) fn parse(
        session: &Section<'_>,
        sections: &[Section<'_>],
        bundle: &[String],
    ) -> Result<Option<Self>, SdpError> {
        let mids: BTreeSet<&str> = bundle.iter().map(String::as_str).collect();
        let alive = |section: &&Section<'_>| {
            mid_of(section).is_some_and(|mid| mids.contains(mid)) && !section.is_rejected()
        };
        let has_ice = |section: &&Section<'_>| section.attribute("ice-ufrag").is_some();
        let tagged = bundle.first().map(String::as_str);
        let section = sections
            .iter()
            .filter(alive)
            .find(|section| mid_of(section) == tagged && has_ice(section))
            .or_else(|| sections.iter().filter(alive).find(has_ice))
            .or_else(|| sections.iter().find(alive));
        let Some(section) = section else {
            return Ok(None);
        };
        let find = |name: &str| section.attribute(name).or_else(|| session.attribute(name));
        let Some(ufrag) = find("ice-ufrag") else {
            return Err(SdpError::at(section.line, "the bundle has no a=ice-ufrag"));
        };
        let Some(pwd) = find("ice-pwd") else {
            return Err(SdpError::at(section.line, "the bundle has no a=ice-pwd"));
        };
        Ok(Some(Self {
            ice: parse_ice(ufrag, pwd)?,
            fingerprints: parse_fingerprints(session, section)?,
            setup: find("setup").map_or(Ok(Setup::Actpass), parse_setup)?,
        }))
    }
}

fn mid_of<'a>(section: &Section<'a>) -> Option<&'a str> {
    section.attribute("mid").map(|attribute| attribute.value)
}

/// Whether `text` is made of ice-chars (RFC 8839 section 5.1) and neither shorter nor longer.
fn is_ice_text(text: &str, min: usize) -> bool {
    let ice_char = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
    (min..=256).contains(&text.len()) && text.bytes().all(ice_char)
}

fn parse_ice(ufrag: Attribute<'_>, pwd: Attribute<'_>) -> Result<IceCredentials, SdpError> {
    if !is_ice_text(ufrag.value, 4) {
        return Err(SdpError::at(
            ufrag.line,
            "an ice-ufrag is 4 to 256 ice-chars",
        ));
    }
    if !is_ice_text(pwd.value, 22) {
        return Err(SdpError::at(pwd.line, "an ice-pwd is 22 to 256 ice-chars"));
    }
    Ok(IceCredentials {
        ufrag: ufrag.value.to_owned(),
        pwd: pwd.value.to_owned(),
    })
}

fn parse_setup(setup: Attribute<'_>) -> Result<Setup, SdpError> {
    match setup.value {
        "actpass" => Ok(Setup::Actpass),
        "active" => Ok(Setup::Active),
        "passive" => Ok(Setup::Passive),
        _ => Err(SdpError::at(
            setup.line,
            "a=setup is actpass, active or passive",
        )),
    }
}

/// The fingerprints of the m-line, or else of the session. Hashes that are not known are passed over.
fn parse_fingerprints(
    session: &Section<'_>,
    section: &Section<'_>,
) -> Result<Vec<Fingerprint>, SdpError> {
    let holder = if section.attribute("fingerprint").is_some() {
        section
    } else {
        session
    };
    let mut fingerprints = Vec::new();
    for attribute in holder.named("fingerprint").take(MAX_FINGERPRINTS) {
        let Some((hash, digest)) = attribute.value.split_once(' ') else {
            return Err(SdpError::at(
                attribute.line,
                "a fingerprint is a hash and a digest",
            ));
        };
        let (hash, length) = match hash.to_ascii_lowercase().as_str() {
            "sha-256" => (FingerprintHash::Sha256, 32),
            "sha-384" => (FingerprintHash::Sha384, 48),
            "sha-512" => (FingerprintHash::Sha512, 64),
            _ => continue,
        };
        match parse_hex(digest.trim(), length) {
            Some(bytes) => fingerprints.push(Fingerprint { hash, bytes }),
            None => {
                return Err(SdpError::at(
                    attribute.line,
                    "the digest is not as long as its hash, in pairs of hexadecimal digits",
                ));
            }
        }
    }
    if fingerprints.is_empty() {
        return Err(SdpError::at(
            section.line,
            "the bundle has no a=fingerprint of sha-256, sha-384 or sha-512",
        ));
    }
    Ok(fingerprints)
}

/// `length` bytes from `AB:CD:…`.
fn parse_hex(text: &str, length: usize) -> Option<Vec<u8>> {
    if text.len() != length * 3 - 1 {
        return None;
    }
    text.split(':')
        .map(|pair| match pair.as_bytes() {
            [high, low] => {
                let digit = |b: &u8| char::from(*b).to_digit(16);
                u8::try_from(digit(high)? * 16 + digit(low)?).ok()
            }
            _ => None,
        })
        .collect()
}
