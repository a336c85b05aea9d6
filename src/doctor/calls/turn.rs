//! TURN as a browser uses it, by the client of the `rtc-turn` crate.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ::turn::client::{Client, ClientConfig, Event};
use bytes::BytesMut;
use sansio::Protocol as _;
use serde_json::Value;
use shared::{TransportContext, TransportMessage, TransportProtocol};
use tokio::time::timeout;

use super::gate::Carries;
use super::pipe::{Framing, Pipe};
use super::trouble::{Notes, Trouble};
use crate::doctor::certificate::{self, Trust};
use crate::doctor::reach;
use crate::turn::HostPort;

/// How long an allocation or a permission may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The ports of TURN and of TURN over TLS where a URL says none (RFC 7065 section 3.2).
const DEFAULT_PORTS: (u16, u16) = (3478, 5349);

/// By what a TURN server is spoken with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::doctor) enum Carrier {
    Udp,
    Tcp,
    Tls,
}

/// A TURN server that a client was told of.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::doctor) struct TurnServer {
    pub(in crate::doctor) carrier: Carrier,
    pub(in crate::doctor) host: HostPort,
    username: String,
    password: String,
}

impl fmt::Debug for TurnServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for TurnServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let carrier = match self.carrier {
            Carrier::Udp => "UDP",
            Carrier::Tcp => "TCP",
            Carrier::Tls => "TLS",
        };
        let HostPort { host, .. } = &self.host;
        write!(f, "{carrier} to {host}:{}", self.port())
    }
}

impl TurnServer {
    /// Those in the `iceServers` of an `id` message.
    pub(in crate::doctor) fn all_in(id: &Value) -> Vec<Self> {
        let servers = id["iceServers"].as_array().into_iter().flatten();
        let all = servers.flat_map(|server| {
            let word = |name: &str| server[name].as_str().unwrap_or_default().to_owned();
            let urls = server["urls"].as_array().into_iter().flatten();
            let urls = urls.filter_map(|url| read_url(url.as_str()?));
            urls.map(move |(carrier, host)| Self {
                carrier,
                host,
                username: word("username"),
                password: word("credential"),
            })
        });
        all.collect()
    }

    fn port(&self) -> u16 {
        let (plain, tls) = DEFAULT_PORTS;
        let default = if self.carrier == Carrier::Tls {
            tls
        } else {
            plain
        };
        self.host.port.unwrap_or(default)
    }

    /// An allocation on it that leads to this peer.
    pub(super) async fn open(&self, peer: SocketAddr, notes: &Notes) -> Result<Relay, Trouble> {
        let name = self.host.host.trim_start_matches('[').trim_end_matches(']');
        let resolved = reach::resolve(name, self.port()).await;
        let addresses = resolved.map_err(|error| {
            Trouble::Turn(format!("the name {name} is not known here: {error}"))
        })?;
        let first = addresses.first().copied();
        // The allocation's own address is of IPv4, whatever it is asked for by.
        let mut to = addresses.iter().copied().find(SocketAddr::is_ipv4);
        to = to.or(first);
        let to = to.ok_or_else(|| Trouble::Turn(format!("the name {name} leads nowhere")))?;
        let failed = |error: io::Error| Trouble::no_connection(to, &error);
        let (pipe, local) = match self.carrier {
            Carrier::Udp => Pipe::datagrams(to).await.map_err(failed)?,
            Carrier::Tcp => {
                let plain = reach::connect(to).await.map_err(failed)?;
                (Pipe::stream(plain.stream, Framing::Turn), plain.local)
            }
            Carrier::Tls => {
                let plain = reach::connect(to).await.map_err(failed)?;
                let secured = reach::secure(plain, name).await.map_err(failed)?;
                if let Trust::Refused(why) = certificate::trust(&secured.chain, name) {
                    notes.object(why);
                }
                (Pipe::stream(secured.stream, Framing::Turn), secured.local)
            }
        };
        let mut relay = Relay::new(self, pipe, (local, to), peer).map_err(Trouble::Turn)?;
        let agreed = timeout(PATIENCE, relay.allocate()).await;
        let late = |_| {
            Trouble::Turn(format!(
                "{to} did not answer within {} s",
                PATIENCE.as_secs()
            ))
        };
        agreed.map_err(late)?.map_err(Trouble::Turn)?;
        Ok(relay)
    }
}

/// What a URL of TURN says (RFC 7065); `None` for one of STUN.
fn read_url(url: &str) -> Option<(Carrier, HostPort)> {
    let (scheme, rest) = url.split_once(':')?;
    let (host, query) = rest.split_once('?').unwrap_or((rest, ""));
    let by_tcp = query == "transport=tcp";
    let carrier = match (scheme, by_tcp) {
        ("turn", false) => Carrier::Udp,
        ("turn", true) => Carrier::Tcp,
        ("turns", true) => Carrier::Tls,
        _ => return None,
    };
    Some((carrier, HostPort::parse(host)?))
}

/// An allocation, and the one peer that it leads to.
pub(super) struct Relay {
    client: Client,
    pipe: Pipe,
    local: SocketAddr,
    server: SocketAddr,
    relayed: Option<SocketAddr>,
    peer: SocketAddr,
}

impl Relay {
    fn new(
        told: &TurnServer,
        pipe: Pipe,
        (local, server): (SocketAddr, SocketAddr),
        peer: SocketAddr,
    ) -> Result<Self, String> {
        let config = ClientConfig {
            stun_serv_addr: server.to_string(),
            turn_serv_addr: server.to_string(),
            local_addr: local,
            // Frames are the pipe's.
            transport_protocol: TransportProtocol::UDP,
            username: told.username.clone(),
            password: told.password.clone(),
            ..ClientConfig::default()
        };
        let provider = ::crypto::default_provider().map_err(|error| error.to_string())?;
        Ok(Self {
            client: Client::new(config, provider).map_err(|error| error.to_string())?,
            pipe,
            local,
            server,
            relayed: None,
            peer,
        })
    }

    /// Gets an address of the server's, and leave to reach the peer.
    async fn allocate(&mut self) -> Result<(), String> {
        let words = |error: shared::error::Error| error.to_string();
        self.client.allocate(Instant::now()).map_err(words)?;
        let relayed = match self.event().await? {
            Event::AllocateResponse(_, relayed) => relayed,
            other => return Err(refusal("an allocation", &other)),
        };
        self.relayed = Some(relayed);
        let peer = self.peer;
        let mut relay = self.client.relay(relayed).map_err(words)?;
        relay
            .create_permission(Instant::now(), peer)
            .map_err(words)?;
        match self.event().await? {
            Event::CreatePermissionResponse(..) => Ok(()),
            other => Err(refusal(&format!("the way to {peer}"), &other)),
        }
    }

    /// The next event.
    async fn event(&mut self) -> Result<Event, String> {
        loop {
            match self.step().await {
                Ok(Some(event)) => return Ok(event),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err("it closed the connection".to_owned());
                }
                Err(error) => return Err(reach::words(&error)),
            }
        }
    }

    /// Sends what there is to be sent, and waits until something comes, or it is time to send again.
    async fn step(&mut self) -> io::Result<Option<Event>> {
        self.flush().await?;
        if let Some(event) = self.client.poll_event() {
            return Ok(Some(event));
        }
        let due = self.client.poll_timeout();
        let due = due.unwrap_or_else(|| Instant::now() + PATIENCE);
        tokio::select! {
            message = self.pipe.receive() => {
                let message = TransportMessage {
                    now: Instant::now(),
                    transport: TransportContext {
                        local_addr: self.local,
                        peer_addr: self.server,
                        transport_protocol: TransportProtocol::UDP,
                        ecn: None,
                    },
                    message: message?,
                };
                let taken = self.client.handle_read(message);
                taken.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            }
            () = tokio::time::sleep_until(due.into()) => {
                let _ = self.client.handle_timeout(Instant::now());
            }
        }
        self.flush().await?;
        Ok(self.client.poll_event())
    }

    async fn flush(&mut self) -> io::Result<()> {
        while let Some(transmit) = self.client.poll_write() {
            self.pipe.send(&transmit.message).await?;
        }
        Ok(())
    }
}

impl Carries for Relay {
    async fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let (relayed, peer) = (self.relayed, self.peer);
        let relayed = relayed.ok_or(io::ErrorKind::NotConnected)?;
        let relay = self.client.relay(relayed);
        let sent = relay.and_then(|mut relay| relay.send_to(Instant::now(), datagram, peer));
        sent.map_err(|error| io::Error::other(error.to_string()))?;
        self.flush().await
    }

    async fn receive(&mut self) -> io::Result<Option<BytesMut>> {
        Ok(match self.step().await? {
            Some(Event::DataIndicationOrChannelData(_, from, data)) if from == self.peer => {
                Some(data)
            }
            _ => None,
        })
    }
}

/// What the server said instead.
fn refusal(wanted: &str, said: &Event) -> String {
    match said {
        Event::AllocateError(_, error) | Event::CreatePermissionError(_, error) => {
            format!("it refused {wanted}: {error}")
        }
        Event::TransactionTimeout(_) => format!("it did not answer when asked for {wanted}"),
        _ => format!("it gave no answer that is understood when asked for {wanted}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_clients_are_told_is_read() {
        let id = json!({"iceServers": [
            {"urls": ["stun:a.org:3478"]},
            {"username": "1:2", "credential": "secret", "urls": [
                "turn:a.org:3478?transport=udp", "turn:a.org?transport=tcp", "turns:[::1]:443?transport=tcp", "turns:a.org", "x"
            ]},
        ]});
        let all = TurnServer::all_in(&id);
        let shown: Vec<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            ["UDP to a.org:3478", "TCP to a.org:3478", "TLS to [::1]:443"]
        );
        assert_eq!(
            (all[0].username.as_str(), all[0].password.as_str()),
            ("1:2", "secret")
        );
        assert!(!format!("{all:?}").contains("secret"));
        assert!(TurnServer::all_in(&json!({"iceServers": []})).is_empty());
    }
}
