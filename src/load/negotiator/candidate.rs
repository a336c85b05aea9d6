//! `a=candidate` of a remote side (RFC 8839 section 5.1), as far as checks need it.

use std::net::SocketAddr;

/// Most candidates that are taken from one description.
pub(super) const MAX_CANDIDATES: usize = 32;

/// The address of a UDP candidate of component 1; `None` for any other, and for names. Takes the
/// attribute with and without `a=`, as it is trickled.
pub(crate) fn parse(text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    let text = text.strip_prefix("a=").unwrap_or(text);
    let mut words = text.strip_prefix("candidate:")?.split_ascii_whitespace();
    let _foundation = words.next()?;
    let component = words.next()?;
    let protocol = words.next()?;
    let _priority = words.next()?;
    let address = words.next()?.parse().ok()?;
    let port: u16 = words.next()?.parse().ok()?;
    (component == "1" && protocol.eq_ignore_ascii_case("udp") && port != 0)
        .then(|| SocketAddr::new(address, port))
}

/// All of a description, each once.
pub(super) fn all(sdp: &str) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for address in sdp
        .lines()
        .filter_map(|line| parse(line.strip_prefix("a=")?))
    {
        if found.len() < MAX_CANDIDATES && !found.contains(&address) {
            found.push(address);
        }
    }
    found
}
