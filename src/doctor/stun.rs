//! Under which address the Internet sees this machine, asked of a STUN server (RFC 8489): only of one that somebody named.

use std::net::IpAddr;

use super::finding::Finding;
use crate::discovery::{ask_stun, resolve};
use crate::turn::HostPort;

const CHECK: &str = "seen from";

/// Asks by IPv4 and by IPv6, as the server has them, and compares with what is told to clients.
pub(super) async fn check(server: &HostPort, told: &[IpAddr]) -> Vec<Finding> {
    let shown = format!("{}:{}", server.host, server.port.unwrap_or_default());
    let addresses = match resolve(server).await {
        Ok(addresses) => addresses,
        Err(error) => {
            return vec![Finding::not_checked(
                CHECK,
                format!("{shown} is not known here: {error}"),
            )];
        }
    };
    let mut findings = Vec::new();
    for is_ipv6 in [false, true] {
        let of_family = addresses
            .iter()
            .find(|address| address.is_ipv6() == is_ipv6);
        let Some(&address) = of_family else { continue };
        findings.push(match ask_stun(address).await {
            Some((seen, _)) => compare(seen.ip().to_canonical(), told, &shown),
            None => Finding::not_checked(CHECK, format!("{address} ({shown}) does not answer")),
        });
    }
    findings
}

fn compare(seen: IpAddr, told: &[IpAddr], by: &str) -> Finding {
    let of_family = told.iter().filter(|ip| ip.is_ipv4() == seen.is_ipv4());
    let of_family: Vec<String> = of_family.map(IpAddr::to_string).collect();
    if told.contains(&seen) {
        return Finding::ok(
            CHECK,
            format!("{by} sees this machine at {seen}, which clients are told"),
        );
    }
    let told = match of_family.is_empty() {
        true => "no address of that family".to_owned(),
        false => of_family.join(", "),
    };
    Finding::failure(
        CHECK,
        format!("{by} sees this machine at {seen}, and clients are told {told}"),
        format!(
            "--announce {seen}, if people come from the Internet by that address (a router may have another for what comes in)"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    #[test]
    fn what_is_seen_must_be_what_is_told() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let seen = ip("198.51.100.7");
        let told = |told: &[&str]| {
            let told: Vec<IpAddr> = told.iter().map(|text| ip(text)).collect();
            compare(seen, &told, "stun")
        };
        assert_eq!(told(&["10.0.0.1", "198.51.100.7"]).outcome, Outcome::Ok);
        let wrong = told(&["10.0.0.1"]);
        assert_eq!(wrong.outcome, Outcome::Failure);
        assert!(wrong.seen.ends_with("told 10.0.0.1"), "{}", wrong.seen);
        assert!(wrong.fix.unwrap().starts_with("--announce 198.51.100.7"));
        assert!(
            told(&["2001:db8::1"])
                .seen
                .contains("no address of that family")
        );
    }
}
