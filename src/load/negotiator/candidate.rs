//! `a=candidate` of a remote side (RFC 8839 section 5.1), as far as checks need it.

use std::net::SocketAddr;

use crate::transport::{Endpoint, Protocol};

/// Most candidates that are taken from one description.
pub(super) const MAX_CANDIDATES: usize = 32;

/// A candidate of component 1 that can be sent to, UDP or passive TCP (RFC 6544); `None` for any other, and for names. Takes
/// the attribute with and without `a=`, as it is trickled.
pub(crate) fn parse(text: &str) -> Option<Endpoint> {
    let text = text.trim();
    let text = text.strip_prefix("a=").unwrap_or(text);
    let mut words = text.strip_prefix("candidate:")?.split_ascii_whitespace();
    let _foundation = words.next()?;
    let component = words.next()?;
    let protocol = words.next()?;
    let _priority = words.next()?;
    let address = words.next()?.parse().ok()?;
    let port: u16 = words.next()?.parse().ok()?;
    if component != "1" || port == 0 {
        return None;
    }
    let address = SocketAddr::new(address, port);
    if protocol.eq_ignore_ascii_case("udp") {
        return Some(Endpoint::udp(address));
    }
    let is_passive = words.any(|word| word == "passive");
    (is_passive && protocol.eq_ignore_ascii_case("tcp")).then(|| Endpoint::tcp(address))
}

/// The address of a candidate that datagrams can be sent to.
pub(crate) fn parse_udp(text: &str) -> Option<SocketAddr> {
    let candidate = parse(text)?;
    (candidate.protocol == Protocol::Udp).then_some(candidate.address)
}

/// All UDP ones of a description, each once.
pub(super) fn all_udp(sdp: &str) -> Vec<SocketAddr> {
    let candidates = all(sdp).into_iter();
    candidates
        .filter(|candidate| candidate.protocol == Protocol::Udp)
        .map(|candidate| candidate.address)
        .collect()
}

/// All of a description, each once.
pub(crate) fn all(sdp: &str) -> Vec<Endpoint> {
    let mut found = Vec::new();
    for candidate in sdp
        .lines()
        .filter_map(|line| parse(line.strip_prefix("a=")?))
    {
        if found.len() < MAX_CANDIDATES && !found.contains(&candidate) {
            found.push(candidate);
        }
    }
    found
}
