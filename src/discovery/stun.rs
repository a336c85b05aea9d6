//! A question to a STUN server: from where does this come? (RFC 8489)

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{UdpSocket, lookup_host};
use tokio::time::timeout;

use super::{DiscoveryError, is_address};
use crate::transport::stun::{
    Attributes, BINDING_REQUEST, BINDING_SUCCESS, HEADER_LEN, Writer, XOR_MAPPED_ADDRESS,
    read_xor_address, split,
};
use crate::turn::HostPort;

/// The port of STUN servers that say none.
const PORT: u16 = 3478;
/// Until a name is given up.
const LOOKUP: Duration = Duration::from_secs(5);
/// Until it is asked again, and so often.
const REPEAT: Duration = Duration::from_millis(700);
const TIMES: usize = 4;
/// Longest answer.
const MAX_ANSWER: usize = 1_500;

/// The addresses that the server sees this machine at, by IPv4 and by IPv6 as it has them. One at least.
pub(super) async fn addresses(server: &HostPort) -> Result<Vec<IpAddr>, DiscoveryError> {
    let error = |reason: String| DiscoveryError::Stun {
        server: server.to_string(),
        reason,
    };
    let servers = resolve(server).await.map_err(|e| error(e.to_string()))?;
    let mut found = Vec::new();
    for is_ipv6 in [false, true] {
        let Some(&server) = servers.iter().find(|one| one.is_ipv6() == is_ipv6) else {
            continue;
        };
        let Some((seen, from)) = ask(server).await else {
            continue;
        };
        if seen.port() != from {
            tracing::warn!(
                %server, %seen,
                "a router on the way changes ports: it has to lead the media ports here by the same numbers"
            );
        }
        found.push(seen.ip().to_canonical());
    }
    found.retain(is_address);
    match found.is_empty() {
        true => Err(error("it does not answer".to_owned())),
        false => Ok(found),
    }
}

/// The addresses of a server.
pub(crate) async fn resolve(server: &HostPort) -> io::Result<Vec<SocketAddr>> {
    let name = server.host.trim_start_matches('[').trim_end_matches(']');
    let found = timeout(LOOKUP, lookup_host((name, server.port.unwrap_or(PORT)))).await;
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "its name is not found in time");
    Ok(found.map_err(late)??.collect())
}

/// Where the server says that a request came from, and the port that it was sent from.
pub(crate) async fn ask(server: SocketAddr) -> Option<(SocketAddr, u16)> {
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
            return Some((seen, socket.local_addr().ok()?.port()));
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
    use super::*;

    #[tokio::test]
    async fn a_server_that_answers_says_the_address() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let answers = async {
            let mut buffer = [0; 100];
            // The first is lost.
            server.recv_from(&mut buffer).await.unwrap();
            let (length, from) = server.recv_from(&mut buffer).await.unwrap();
            let transaction: [u8; 12] = buffer[8..20].try_into().unwrap();
            let mut answer = Writer::new(BINDING_SUCCESS, &transaction);
            answer.xor_address(XOR_MAPPED_ADDRESS, "198.51.100.7:9".parse().unwrap());
            assert_eq!(length, 20);
            // Of somebody else's question.
            let mut other = Writer::new(BINDING_SUCCESS, &[7; 12]);
            other.xor_address(XOR_MAPPED_ADDRESS, "192.0.2.66:9".parse().unwrap());
            assert_eq!(read(&other.into_bytes(), &transaction), None);
            server.send_to(&answer.into_bytes(), from).await.unwrap();
        };
        let host = HostPort::parse(&address.to_string()).unwrap();
        let (found, ()) = tokio::join!(addresses(&host), answers);
        assert_eq!(found, Ok(vec!["198.51.100.7".parse().unwrap()]));
    }
}
