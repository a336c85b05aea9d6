//! What clients are told of TURN and STUN: `iceServers` of the `id` message.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::credentials::Credentials;
use crate::signaling::protocol::IceServer;

/// A host as URLs name it, and maybe a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub host: String,
    /// The port, where one was said.
    pub port: Option<u16>,
}

/// Longest name of a host.
const MAX_NAME: usize = 253;

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl HostPort {
    /// Reads `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let colon = text.rfind(':').filter(|_| !text.ends_with(']'));
        let (host, port) = match colon {
            Some(at) => (text.get(..at)?, Some(text.get(at + 1..)?)),
            None => (text, None),
        };
        let port = port.map(str::parse::<u16>).transpose().ok()?;
        let is_ipv6 = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok());
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let is_name = !host.is_empty() && host.len() <= MAX_NAME && host.bytes().all(is_of_name);
        (is_ipv6 || is_name).then(|| Self {
            host: host.to_owned(),
            port: port.filter(|port| *port != 0),
        })
    }

    /// An address, without a port.
    pub fn of(ip: IpAddr) -> Self {
        let host = match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        Self { host, port: None }
    }
}

/// Where TURN is reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct TurnPorts {
    /// By UDP, which answers STUN as well.
    pub(crate) udp: Option<u16>,
    /// By TCP, where it has a port of its own.
    pub(crate) tcp: Option<u16>,
    /// By TCP, where it is the page's, unless the page was reached by another.
    pub(crate) page: Option<u16>,
    /// Whether TLS is spoken there too.
    pub(crate) tls: bool,
}

/// Writes `iceServers` for each client.
#[derive(Clone, Debug, Default)]
pub struct IceServers(Option<Arc<Known>>);

#[derive(Debug)]
struct Known {
    credentials: Arc<Credentials>,
    ports: TurnPorts,
    /// The name that was configured, and the port of TCP.
    name: Option<HostPort>,
    /// Where there is neither that nor a name that the page was reached by: for clients on this machine, and for others.
    loopback: Option<IpAddr>,
    others: Option<IpAddr>,
}

impl IceServers {
    /// `name` is what clients are told in any case, its port the one of TCP. `loopback` and `others` are addresses for clients
    /// on this machine and elsewhere, of whom it is not known by which name they came.
    pub(crate) fn new(
        credentials: Arc<Credentials>,
        ports: TurnPorts,
        name: Option<HostPort>,
        [loopback, others]: [Option<IpAddr>; 2],
    ) -> Self {
        Self(Some(Arc::new(Known {
            credentials,
            ports,
            name,
            loopback,
            others,
        })))
    }

    /// Of a server with this name.
    #[cfg(test)]
    pub(crate) fn of_test(now: Instant, lifetime: Duration, name: &str) -> Self {
        let credentials = Credentials::new(b"secret", lifetime, &[], (now, 0)).unwrap();
        let ports = TurnPorts {
            udp: Some(3478),
            ..TurnPorts::default()
        };
        let name = HostPort::parse(name);
        Self::new(Arc::new(credentials), ports, name, [None, None])
    }

    /// After how long clients want new ones; `None` where there are none.
    pub fn renew_after(&self) -> Option<Duration> {
        let known = self.0.as_ref()?;
        // There is time left to use what was told last.
        Some(known.credentials.lifetime() / 2)
    }

    /// What a client is told. `identity` is of its credentials; `reached_at` what it called this server by, and `address` its
    /// own.
    pub fn for_client(
        &self,
        now: Instant,
        identity: &str,
        reached_at: Option<&HostPort>,
        address: IpAddr,
    ) -> Vec<IceServer> {
        let Some(known) = &self.0 else {
            return Vec::new();
        };
        let fallback = if address.is_loopback() {
            known.loopback
        } else {
            known.others
        };
        let fallback = fallback.map(HostPort::of);
        let Some(told) = known.name.as_ref().or(reached_at).or(fallback.as_ref()) else {
            return Vec::new();
        };
        let configured = known.name.as_ref().and_then(|name| name.port);
        let (stun, turn) = known.ports.urls(&told.host, configured, reached_at);
        let credential = known.credentials.make(now, identity);
        let stun = (!stun.is_empty()).then_some(IceServer {
            urls: stun,
            username: None,
            credential: None,
        });
        let turn = (!turn.is_empty()).then_some(IceServer {
            urls: turn,
            username: Some(credential.username),
            credential: Some(credential.password),
        });
        stun.into_iter().chain(turn).collect()
    }
}

impl TurnPorts {
    /// The URLs of STUN (RFC 7064) and of TURN (RFC 7065). `configured` is the port of TCP, where one was said.
    fn urls(
        &self,
        host: &str,
        configured: Option<u16>,
        reached_at: Option<&HostPort>,
    ) -> (Vec<String>, Vec<String>) {
        let (mut stun, mut turn) = (Vec::new(), Vec::new());
        if let Some(port) = self.udp {
            stun.push(format!("stun:{host}:{port}"));
            turn.push(format!("turn:{host}:{port}?transport=udp"));
        }
        // A port of the page that was not said is the scheme's: somebody may translate ours to it.
        let scheme = if self.tls { 443 } else { 80 };
        let of_page = |page| match reached_at {
            Some(reached_at) => reached_at.port.unwrap_or(scheme),
            None => page,
        };
        let tcp = configured.filter(|_| self.tcp.is_some() || self.page.is_some());
        let tcp = tcp.or(self.tcp).or(self.page.map(of_page));
        if let Some(port) = tcp {
            turn.push(format!("turn:{host}:{port}?transport=tcp"));
            if self.tls {
                turn.push(format!("turns:{host}:{port}?transport=tcp"));
            }
        }
        (stun, turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> HostPort {
        HostPort::parse(text).unwrap()
    }

    #[test]
    fn hosts_are_read_as_urls_have_them() {
        let read = |text| HostPort::parse(text).map(|host| (host.host, host.port));
        let some = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(read("example.org"), some("example.org", None));
        assert_eq!(read("example.org:8443"), some("example.org", Some(8443)));
        assert_eq!(read("192.0.2.1:80"), some("192.0.2.1", Some(80)));
        assert_eq!(read("[2001:db8::1]"), some("[2001:db8::1]", None));
        assert_eq!(read("[2001:db8::1]:80"), some("[2001:db8::1]", Some(80)));
        for text in [
            "",
            ":80",
            "a b",
            "a/b",
            "a?b",
            "a:b",
            "a:99999",
            "2001:db8::1",
            "[::1",
            "[a]",
            "user@a",
            "a\u{e4}",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read(&"a".repeat(254)), None);
    }

    #[test]
    fn urls_name_what_the_client_called_the_server_by() {
        let ports = TurnPorts {
            udp: Some(7880),
            tcp: None,
            page: Some(8443),
            tls: true,
        };
        let urls = |reached_at: &str| {
            let reached_at = host(reached_at);
            let (_, turn) = ports.urls(&reached_at.host, None, Some(&reached_at));
            turn.join(" ")
        };
        assert_eq!(
            urls("example.org:8443"),
            "turn:example.org:7880?transport=udp turn:example.org:8443?transport=tcp \
             turns:example.org:8443?transport=tcp"
        );
        // The port of a translator, which the server does not know.
        assert!(urls("example.org").contains("turns:example.org:443?transport=tcp"));
        assert!(urls("[::1]").contains("turns:[::1]:443?"));
    }

    #[test]
    fn a_port_of_its_own_and_a_configured_one_come_first() {
        let ports = TurnPorts {
            udp: Some(3478),
            tcp: Some(3478),
            page: Some(8080),
            tls: false,
        };
        let urls = |configured| {
            let reached_at = host("page.org:80");
            ports.urls("turn.org", configured, Some(&reached_at)).1
        };
        assert_eq!(
            urls(None),
            [
                "turn:turn.org:3478?transport=udp",
                "turn:turn.org:3478?transport=tcp"
            ]
        );
        assert_eq!(urls(Some(443))[1], "turn:turn.org:443?transport=tcp");
        let nothing = TurnPorts::default();
        assert_eq!(nothing.urls("a", Some(1), None), (vec![], vec![]));
    }

    #[test]
    fn credentials_are_made_for_each_client() {
        let now = Instant::now();
        let lifetime = Duration::from_secs(3_600);
        let credentials = Credentials::new(b"secret", lifetime, &[], (now, 0)).unwrap();
        let ports = TurnPorts {
            udp: Some(1),
            ..TurnPorts::default()
        };
        let own = [[127, 0, 0, 1], [192, 0, 2, 1]].map(|ip| Some(IpAddr::from(ip)));
        let servers = IceServers::new(Arc::new(credentials), ports, None, own);
        let told = |identity, address: &str| {
            servers.for_client(now, identity, None, address.parse().unwrap())
        };
        let [ada, bob] = [told("1", "127.0.0.1"), told("2", "192.0.2.9")];
        assert_eq!(ada[0].urls, ["stun:127.0.0.1:1"]);
        assert_eq!(ada[0].username, None);
        assert_eq!(ada[1].username.as_deref(), Some("3600:1"));
        assert_eq!(bob[1].urls, ["turn:192.0.2.1:1?transport=udp"]);
        assert_ne!(ada[1].credential, bob[1].credential);
        let none = IceServers::default();
        assert!(
            none.for_client(now, "1", None, [127, 0, 0, 1].into())
                .is_empty()
        );
    }
}
