//! Under which address the Internet sees this machine, asked of a STUN server (RFC 8489): only of one that somebody named.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::finding::Finding;
use super::reach::resolve_host;
use crate::transport::stun::{
    Attributes, BINDING_REQUEST, BINDING_SUCCESS, HEADER_LEN, Writer, XOR_MAPPED_ADDRESS,
    read_xor_address, split,
};
use crate::turn::HostPort;

const CHECK: &str = "seen from";
/// Until it is asked again, and so often.
const REPEAT: Duration = Duration::from_millis(700);
const TIMES: usize = 4;
/// Longest answer.
const MAX_ANSWER: usize = 1_500;

/// Asks by IPv4 and by IPv6, as the server has them, and compares with what is told to clients.
pub(super) async fn check(server: &HostPort, told: &[IpAddr]) -> Vec<Finding> {
    let shown = format!("{}:{}", server.host, server.port.unwrap_or_default());
    let addresses = match resolve_host(server).await {
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
        findings.push(match ask(address).await {
            Some(seen) => compare(seen.ip().to_canonical(), told, &shown),
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

/// The address that a server says a request came from.
async fn ask(server: SocketAddr) -> Option<SocketAddr> {
    let any = if server.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let socket = UdpSocket::bind(any).await.ok()?;
    socket.connect(server).await.ok()?;
    let transaction: [u8; 12] = rand::random();
    let request = Writer::new(BINDING_REQUEST, &transaction).into_bytes();
    let mut buffer = vec![0; MAX_ANSWER];
    for _ in 0..TIMES {
        let _ = socket.send(&request).await;
        if let Ok(Ok(length)) = timeout(REPEAT, socket.recv(&mut buffer)).await
            && let Some(seen) = read(&buffer[..length], &transaction)
        {
            return Some(seen);
        }
    }
    None
}

fn read(answer: &[u8], transaction: &[u8; 12]) -> Option<SocketAddr> {
    let (BINDING_SUCCESS, body) = split(answer)? else {
        return None;
    };
    if answer.get(8..HEADER_LEN)? != transaction {
        return None;
    }
    let mut attributes = Attributes::new(body);
    let mapped = attributes.find(|attribute| attribute.kind == XOR_MAPPED_ADDRESS)?;
    read_xor_address(mapped.value, transaction)
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    #[tokio::test]
    async fn a_server_that_answers_says_the_address() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let answers = async {
            let mut buffer = [0; 100];
            let (length, from) = server.recv_from(&mut buffer).await.unwrap();
            let transaction: [u8; 12] = buffer[8..20].try_into().unwrap();
            let mut answer = Writer::new(BINDING_SUCCESS, &transaction);
            answer.xor_address(XOR_MAPPED_ADDRESS, "198.51.100.7:9".parse().unwrap());
            assert_eq!(length, 20);
            server.send_to(&answer.into_bytes(), from).await.unwrap();
        };
        let (seen, ()) = tokio::join!(ask(address), answers);
        assert_eq!(seen, Some("198.51.100.7:9".parse().unwrap()));
    }

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
