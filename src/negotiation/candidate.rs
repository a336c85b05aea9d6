//! Candidates (RFC 8839 section 5.1): ours as they are written, and trickled ones, of which only the form is checked.

use std::fmt::Write;

use crate::negotiation::NegotiationError;

use crate::transport::{Endpoint, Protocol};

/// Writes ours as host candidates of falling priority, the ones of TCP after those of UDP (RFC 8445 section 5.1.2.1,
/// RFC 6544 section 4.2). With TCP it is the other side that connects.
pub(super) fn write(sdp: &mut String, candidates: &[Endpoint]) {
    for (index, Endpoint { protocol, address }) in (0_u16..).zip(candidates) {
        let (name, kind, preference, passive) = match protocol {
            Protocol::Udp => ("udp", 126, u16::MAX - index, ""),
            // Libwebrtc's preference for TCP; the direction's own in the upper three bits.
            Protocol::Tcp => ("tcp", 90, (4 << 13) | (0x1fff - index), " tcptype passive"),
        };
        let priority = (kind << 24) | (u32::from(preference) << 8) | 255;
        // Writing to a string cannot fail.
        let _ = write!(
            sdp,
            "a=candidate:{} 1 {name} {priority} {} {} typ host{passive}\r\n",
            u32::from(index) + 1,
            address.ip(),
            address.port()
        );
    }
    sdp.push_str("a=end-of-candidates\r\n");
}

/// Longest candidate that is looked at, in bytes.
const MAX_LEN: usize = 1_024;

/// Checks a candidate; an empty one says that there are no more. An ICE-lite server learns addresses
/// from the checks themselves, so nothing of it is kept.
pub(crate) fn check(candidate: &str) -> Result<(), NegotiationError> {
    let bad = |reason| Err(NegotiationError::BadCandidate(reason));
    if candidate.len() > MAX_LEN {
        return bad("the candidate is too long");
    }
    let candidate = candidate.strip_prefix("a=").unwrap_or(candidate);
    if candidate.is_empty() {
        return Ok(());
    }
    let Some(candidate) = candidate.strip_prefix("candidate:") else {
        return bad("a candidate starts with `candidate:`");
    };
    let words: Vec<&str> = candidate.split_ascii_whitespace().collect();
    let [foundation, component, _, priority, _, port, typ, kind, ..] = words.as_slice() else {
        // With the word alone, end-of-candidates is meant.
        return if words.is_empty() {
            Ok(())
        } else {
            bad(
                "a candidate has a foundation, component, transport, priority, address, port and type",
            )
        };
    };
    if foundation.len() > 32 {
        return bad("the foundation has at most 32 characters");
    }
    if !component
        .parse::<u16>()
        .is_ok_and(|c| (1..=256).contains(&c))
    {
        return bad("the component is 1 to 256");
    }
    if priority.parse::<u32>().is_err() {
        return bad("the priority is a number of 32 bits");
    }
    if port.parse::<u16>().is_err() {
        return bad("the port is a number of 16 bits");
    }
    if *typ != "typ" || !matches!(*kind, "host" | "srflx" | "prflx" | "relay") {
        return bad("the type is host, srflx, prflx or relay");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_prefer_udp_and_pass_as_theirs() {
        let mut sdp = String::new();
        let candidates = [
            Endpoint::udp("203.0.113.5:7880".parse().unwrap()),
            Endpoint::udp("[2001:db8::5]:7880".parse().unwrap()),
            Endpoint::tcp("203.0.113.5:443".parse().unwrap()),
        ];
        write(&mut sdp, &candidates);
        assert_eq!(
            sdp,
            "a=candidate:1 1 udp 2130706431 203.0.113.5 7880 typ host\r\n\
             a=candidate:2 1 udp 2130706175 2001:db8::5 7880 typ host\r\n\
             a=candidate:3 1 tcp 1520434687 203.0.113.5 443 typ host tcptype passive\r\n\
             a=end-of-candidates\r\n"
        );
        for line in sdp.lines().take(3) {
            assert_eq!(check(line), Ok(()), "{line}");
        }
    }

    #[test]
    fn browsers_candidates_pass() {
        for candidate in [
            "",
            "candidate:",
            "a=candidate:1 1 udp 1 127.0.0.1 5 typ host",
            "candidate:3540258881 1 udp 2122194687 127.0.0.1 37031 typ host generation 0 ufrag LoDI network-id 3 network-cost 50",
            "candidate:766428373 1 tcp 1518214911 fd00::2 9 typ host tcptype active generation 0",
            "candidate:0 1 UDP 2122187007 a9bc3ce6-de70-4d9f-8355-ce9bc66e022f.local 48329 typ host",
            "candidate:1 2 UDP 1686052606 203.0.113.1 48329 typ srflx raddr 0.0.0.0 rport 0",
        ] {
            assert_eq!(check(candidate), Ok(()), "{candidate}");
        }
    }

    #[test]
    fn others_are_told_what_is_wrong() {
        let long = format!("candidate:{}", "x".repeat(2_000));
        for candidate in [
            "hello",
            "candidate:1 1 udp 1 127.0.0.1",
            "candidate:1 0 udp 1 127.0.0.1 5 typ host",
            "candidate:1 1 udp 99999999999 127.0.0.1 5 typ host",
            "candidate:1 1 udp 1 127.0.0.1 70000 typ host",
            "candidate:1 1 udp 1 127.0.0.1 5 typ ghost",
            long.as_str(),
        ] {
            assert!(matches!(
                check(candidate),
                Err(NegotiationError::BadCandidate(_))
            ));
        }
    }
}
