//! A server by its URL, and the way to it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes as Body;
use axum::http::{HeaderMap, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::{TlsConnector, rustls};

use super::certificate;
use crate::load::target::web_socket::Bytes;

/// How long a name, a connection, a handshake or an answer may take, each.
pub(super) const STEP: Duration = Duration::from_secs(5);

/// Longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Where a server is, and what lets us in.
#[derive(Clone)]
pub(super) struct ServerUrl {
    pub(super) https: bool,
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) token: Option<String>,
}

impl std::fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.origin())
    }
}

/// A stream of bytes to a server, whatever is in between.
pub(super) struct Connection {
    pub(super) stream: Box<dyn Bytes>,
    /// Our own address on the way there.
    pub(super) local: SocketAddr,
    /// What the server showed, its own certificate first; empty without TLS.
    pub(super) chain: Vec<CertificateDer<'static>>,
}

/// An answer to a request.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

impl ServerUrl {
    /// Reads a URL of a page, or of a WebSocket; its path does not matter.
    pub(super) fn parse(text: &str, token: Option<String>) -> Option<Self> {
        let uri = text.parse::<Uri>().ok()?;
        let https = match uri.scheme_str()? {
            "https" | "wss" => true,
            "http" | "ws" => false,
            _ => return None,
        };
        let host = uri.host().filter(|host| !host.is_empty())?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        Some(Self {
            https,
            host: host.to_owned(),
            port,
            token,
        })
    }

    /// The server at an address of this machine.
    pub(super) fn at(address: SocketAddr, https: bool, token: Option<String>) -> Self {
        Self {
            https,
            host: address.ip().to_string(),
            port: address.port(),
            token,
        }
    }

    /// Scheme, host, and the port where it is not the scheme's.
    pub(super) fn origin(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }

    pub(super) fn web_socket(&self, room: &str) -> String {
        let scheme = if self.https { "wss" } else { "ws" };
        let token = self.token.as_ref();
        let token = token.map_or_else(String::new, |token| format!("&token={token}"));
        format!("{scheme}://{}/ws?room={room}{token}", self.authority())
    }

    fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        match (self.https, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// All addresses of the host.
    pub(super) async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        resolve(&self.host, self.port).await
    }

    /// Connects to one of them. Whatever certificate is shown there is taken: it is looked at by
    /// [`certificate::judge`].
    pub(super) async fn connect(&self, address: SocketAddr) -> io::Result<Connection> {
        let plain = connect(address).await?;
        if self.https {
            secure(plain, &self.host).await
        } else {
            Ok(plain)
        }
    }

    /// Asks for a page of it.
    pub(super) async fn get(&self, address: SocketAddr, path: &str) -> Result<Answer, String> {
        let connection = self.connect(address).await.map_err(|e| e.to_string())?;
        let asked = async {
            let stream = TokioIo::new(connection.stream);
            let (mut sender, driver) = http1::handshake(stream).await.map_err(|e| e.to_string())?;
            let driver = tokio::spawn(driver);
            let request = Request::get(path).header(header::HOST, self.authority());
            let request = request
                .body(Empty::<Body>::new())
                .map_err(|error| error.to_string())?;
            let answer = sender.send_request(request).await;
            let (head, body) = answer.map_err(|error| error.to_string())?.into_parts();
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
            driver.abort();
            Ok(Answer {
                status: head.status,
                headers: head.headers,
                body: body.map(|body| body.to_bytes()).unwrap_or_default(),
            })
        };
        let late = |_| format!("no answer within {} s", STEP.as_secs());
        timeout(STEP, asked).await.map_err(late)?
    }
}

/// The addresses of a host, which may be one itself.
pub(super) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found = timeout(STEP, lookup_host((host, port))).await;
    let mut addresses: Vec<SocketAddr> = found.map_err(|_| late())??.collect();
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}

/// A TCP connection.
pub(super) async fn connect(address: SocketAddr) -> io::Result<Connection> {
    let stream = timeout(STEP, TcpStream::connect(address)).await;
    let stream = stream.map_err(|_| late())??;
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    Ok(Connection {
        local: SocketAddr::new(local.ip().to_canonical(), local.port()),
        stream: Box::new(stream),
        chain: Vec::new(),
    })
}

/// TLS in a connection. Whatever certificate is shown is taken.
pub(super) async fn secure(plain: Connection, host: &str) -> io::Result<Connection> {
    let name = match host.parse::<IpAddr>() {
        Ok(ip) => ServerName::IpAddress(ip.into()),
        Err(_) => ServerName::try_from(host.to_owned()).map_err(io::Error::other)?,
    };
    let config = certificate::taking_any().map_err(io::Error::other)?;
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, plain.stream);
    let stream = timeout(STEP, connecting).await.map_err(|_| late())??;
    let chain = stream.get_ref().1.peer_certificates();
    let chain = chain.unwrap_or_default().iter();
    Ok(Connection {
        chain: chain.map(|one| one.clone().into_owned()).collect(),
        local: plain.local,
        stream: Box::new(stream),
    })
}

fn late() -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("no answer within {} s", STEP.as_secs()),
    )
}

/// What failed, for people: most errors of the system say it, but for those that come often.
pub(super) fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
        io::ErrorKind::InvalidData => match error.get_ref() {
            Some(inner) if inner.is::<rustls::Error>() => format!("no TLS came about: {inner}"),
            _ => error.to_string(),
        },
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_people_have_them() {
        for (text, origin, socket) in [
            (
                "https://call.example.org/r/demo#token=x",
                "https://call.example.org",
                "wss://call.example.org/ws?room=a",
            ),
            (
                "http://localhost:8080",
                "http://localhost:8080",
                "ws://localhost:8080/ws?room=a",
            ),
            (
                "wss://[2001:db8::1]:8443/ws",
                "https://[2001:db8::1]:8443",
                "wss://[2001:db8::1]:8443/ws?room=a",
            ),
        ] {
            let url = ServerUrl::parse(text, None).unwrap();
            assert_eq!(url.origin(), origin);
            assert_eq!(url.web_socket("a"), socket);
        }
        let url = ServerUrl::parse("http://a", Some("x.y.z".to_owned())).unwrap();
        assert_eq!(url.web_socket("b"), "ws://a/ws?room=b&token=x.y.z");
        assert!(!format!("{url:?}").contains("x.y.z"));
        for text in ["call.example.org", "ftp://a", "https://", "/r/demo", ""] {
            assert!(ServerUrl::parse(text, None).is_none(), "{text}");
        }
    }
}
