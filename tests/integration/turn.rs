//! TURN and STUN, asked by the client of the `rtc-turn` crate, by every way there is.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use bytes::BytesMut;
use sansio::Protocol;
use serde_json::Value;
use shared::{TransportContext, TransportMessage, TransportProtocol};
use stun::message::{BINDING_REQUEST, Getter, Message, TransactionId};
use stun::xoraddr::XorMappedAddress;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use turn::client::{Client, ClientConfig, Event};

use super::ice_tcp::media_port;
use super::tls::{certificate_of, first_message_by_tls, handshake, trusting};
use crate::support::watched::patiently;
use crate::support::{Dialect, Server, Signaling};

/// What lets the tests' own socket be a peer.
const ECHO_ALLOWED: [&str; 2] = ["--turn-peers", "127.0.0.1,::1"];

#[tokio::test]
async fn a_client_is_told_of_turn_and_is_relayed_by_udp() {
    let server = turn_server(&[]).await;
    let told = Told::of(&server).await;
    let mut client = told.by_udp("127.0.0.1").await;
    let relayed = client.allocate().await.expect("an allocation");
    assert!(relayed.is_ipv4());
    client.is_echoed(&Echo::at("127.0.0.1").await).await;
}

#[tokio::test]
async fn over_ipv6_a_client_is_relayed_too() {
    let server = turn_server(&[]).await;
    let told = Told::of(&server).await;
    let mut client = told.by_udp("::1").await;
    client.allocate().await.expect("an allocation");
    client.is_echoed(&Echo::at("127.0.0.1").await).await;
}

#[tokio::test]
async fn a_client_is_relayed_by_tcp_on_the_port_of_the_page() {
    let server = Server::with(&ECHO_ALLOWED).await;
    let told = Told::of(&server).await;
    assert_eq!(told.port("turn:", "transport=tcp"), server.port());
    let mut client = told.by_tcp("127.0.0.1").await;
    client.allocate().await.expect("an allocation");
    client.is_echoed(&Echo::at("127.0.0.1").await).await;
    // The page is where it was.
    assert!(server.get("/health").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_client_is_relayed_by_tcp_on_a_port_of_its_own() {
    let server = turn_server(&[]).await;
    let told = Told::of(&server).await;
    assert_ne!(told.port("turn:", "transport=tcp"), server.port());
    for host in ["127.0.0.1", "::1"] {
        let mut client = told.by_tcp(host).await;
        client.allocate().await.expect("an allocation");
        client.is_echoed(&Echo::at("127.0.0.1").await).await;
    }
}

#[tokio::test]
async fn a_client_is_relayed_in_tls_and_without_on_the_port_of_https() {
    let server = Server::with(&[&["--tls", "self"], &ECHO_ALLOWED[..]].concat()).await;
    let told = Told::from_id(&first_message_by_tls(&server).await);
    let echo = Echo::at("127.0.0.1").await;
    for mut client in [told.by_tls(&server).await, told.by_tcp("127.0.0.1").await] {
        client.allocate().await.expect("an allocation");
        client.is_echoed(&echo).await;
    }
}

#[tokio::test]
async fn a_client_is_relayed_by_udp_on_the_port_of_media() {
    let server = Server::with(&[&["--shards", "1"], &ECHO_ALLOWED[..]].concat()).await;
    let told = Told::of(&server).await;
    let by_udp = told.urls.iter().any(|url| url.ends_with("udp"));
    assert!(!by_udp, "browsers would take media for TURN");
    let port = media_port(&server).await;
    let mut client = told.by_udp_to("127.0.0.1", port).await;
    client.allocate().await.expect("an allocation");
    client.is_echoed(&Echo::at("127.0.0.1").await).await;
    for host in ["127.0.0.1", "::1"] {
        assert_binding(host, port).await;
    }
}

#[tokio::test]
async fn the_servers_own_media_port_is_reached_though_it_is_announced_elsewhere() {
    // An address of documentation: nobody has it.
    let options = ["--shards", "1", "--announce", "192.0.2.1"];
    let server = Server::with(&options).await;
    let told = Told::of(&server).await;
    let port = media_port(&server).await;
    let media = SocketAddr::from(([192, 0, 2, 1], port));
    for mut client in [
        told.by_tcp("127.0.0.1").await,
        told.by_udp_to("127.0.0.1", port).await,
    ] {
        client.allocate().await.expect("an allocation");
        client.permit(media).await.expect("a permission");
        let mut request = Message::new();
        let setters: [Box<dyn stun::message::Setter>; 2] =
            [Box::new(TransactionId::new()), Box::new(BINDING_REQUEST)];
        request.build(&setters).expect("a request");
        let sent = client.relay().send_to(Instant::now(), &request.raw, media);
        sent.expect("a permission");
        let Event::DataIndicationOrChannelData(_, from, answer) = client.next().await else {
            panic!("no data");
        };
        assert_eq!((from, &answer[..2]), (media, &[1, 1][..]));
        // To another port of the same machine nothing goes, and nothing comes back.
        let other = client.permit(SocketAddr::from(([192, 0, 2, 1], 1))).await;
        other.expect("a permission, which is for an address");
    }
}

#[tokio::test]
async fn who_speaks_no_turn_after_all_is_sent_away() {
    let server = Server::with(&[]).await;
    let mut stream = TcpStream::connect(("127.0.0.1", server.port()))
        .await
        .expect("connect");
    let mut request = Message::new();
    let setters: [Box<dyn stun::message::Setter>; 2] =
        [Box::new(TransactionId::new()), Box::new(BINDING_REQUEST)];
    request.build(&setters).expect("a request");
    stream.write_all(&request.raw).await.expect("write");
    let mut answer = [0; 32];
    patiently("an answer", stream.read_exact(&mut answer))
        .await
        .expect("read");
    assert_eq!(answer[..2], [1, 1]);
    stream
        .write_all(b"GET / HTTP/1.1\r\n\r\n")
        .await
        .expect("write");
    stream.write_all(&[0xff; 100]).await.expect("write");
    let mut rest = Vec::new();
    let _ = patiently("the end", stream.read_to_end(&mut rest)).await;
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test]
async fn a_connection_ends_with_its_allocation() {
    let server = turn_server(&[]).await;
    let mut client = Told::of(&server).await.by_tcp("127.0.0.1").await;
    client.allocate().await.expect("an allocation");
    let Way::Stream(mut stream) = client.release().await else {
        panic!("it came by TCP");
    };
    let mut rest = Vec::new();
    let read = patiently("the end", stream.read_to_end(&mut rest)).await;
    assert_eq!((read.ok(), rest), (Some(0), Vec::new()));
}

#[tokio::test]
async fn a_server_for_itself_reaches_nobody_else() {
    let server = Server::with(&["--turn-port", "0"]).await;
    let told = Told::of(&server).await;
    let mut client = told.by_udp("127.0.0.1").await;
    client.allocate().await.expect("an allocation");
    for peer in ["192.0.2.1:80", "169.254.169.254:80", "10.0.0.1:53"] {
        let permission = client.permit(peer.parse().unwrap()).await;
        assert!(permission.unwrap_err().contains("403"), "{peer}");
    }
}

#[tokio::test]
async fn a_user_gets_so_many_allocations_and_no_more() {
    let server = turn_server(&["--turn-max-per-user", "2"]).await;
    let told = Told::of(&server).await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = told.by_udp("127.0.0.1").await;
        client.allocate().await.expect("an allocation");
        clients.push(client);
    }
    let mut one_too_many = told.by_udp("127.0.0.1").await;
    assert!(one_too_many.allocate().await.unwrap_err().contains("486"));
    let mut of_another = Told::of(&server).await.by_udp("127.0.0.1").await;
    of_another.allocate().await.expect("another user's");
    let metrics = server.get("/metrics").await;
    for line in [
        "crosspoint_turn_allocations 3",
        "crosspoint_turn_refused_allocations_total 1",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line}: {metrics}");
    }
    // What is given back may be had again.
    clients.remove(0).release().await;
    let mut next = told.by_udp("127.0.0.1").await;
    next.allocate().await.expect("another allocation");
}

#[tokio::test]
async fn credentials_are_those_of_the_secret_and_of_users_that_are_named() {
    let secret = "a secret of two servers";
    let options = ["--turn-secret", secret, "--turn-user", "ada:lovelace"];
    let [one, two] = [turn_server(&options).await, turn_server(&options).await];
    let at_one = Told::of(&one).await;
    let mut at_two = Told::of(&two).await;
    at_two.username.clone_from(&at_one.username);
    at_two.credential.clone_from(&at_one.credential);
    let mut client = at_two.by_udp("127.0.0.1").await;
    client
        .allocate()
        .await
        .expect("the other server's are known");
    at_two.username = "ada".to_owned();
    at_two.credential = "lovelace".to_owned();
    let mut client = at_two.by_udp("127.0.0.1").await;
    client.allocate().await.expect("a user that was named");
    // printf 1000000000:1 | openssl dgst -sha1 -hmac 'a secret of two servers' -binary | base64
    let expired = ("1000000000:1", "u7yKhMVLAtDYvOeePPcqGfZswxM=");
    for (username, credential) in [("ada", "byron"), ("bob", "lovelace"), expired] {
        at_two.username = username.to_owned();
        at_two.credential = credential.to_owned();
        let mut client = at_two.by_udp("127.0.0.1").await;
        let refused = client.allocate().await.unwrap_err();
        assert!(refused.contains("401"), "{username}: {refused}");
    }
}

#[tokio::test]
async fn binding_requests_are_answered_with_the_address_they_came_from() {
    let server = turn_server(&[]).await;
    let told = Told::of(&server).await;
    for host in ["127.0.0.1", "::1"] {
        assert_binding(host, told.port("stun:", "")).await;
    }
}

#[tokio::test]
async fn without_turn_nobody_is_told_of_it() {
    let server = Server::with(&["--turn", "false"]).await;
    assert_eq!(
        first_message(&server).await["iceServers"],
        Value::Array(vec![])
    );
}

/// A server with a port of its own for TURN, whose clients may reach the tests' sockets.
async fn turn_server(options: &[&str]) -> Server {
    let own = ["--turn-port", "0"];
    Server::with(&[&own, &ECHO_ALLOWED, options].concat()).await
}

async fn first_message(server: &Server) -> Value {
    let signaling = Signaling::connect(server, "lobby", Dialect::V1).await;
    signaling.expect("id").await
}

/// What the server told a client of TURN.
struct Told {
    urls: Vec<String>,
    username: String,
    credential: String,
}

impl Told {
    async fn of(server: &Server) -> Self {
        Self::from_id(&first_message(server).await)
    }

    fn from_id(id: &Value) -> Self {
        let servers = id["iceServers"].as_array().expect("iceServers");
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let urls = servers.iter().flat_map(|server| server["urls"].as_array());
        let with_user = servers.iter().find(|server| server["username"].is_string());
        let with_user = with_user.unwrap_or_else(|| panic!("no TURN in {id}"));
        Self {
            urls: urls.flatten().filter_map(text).collect(),
            username: text(&with_user["username"]).expect("a user"),
            credential: text(&with_user["credential"]).expect("a password"),
        }
    }

    /// The port in the URL that begins and ends so.
    fn port(&self, scheme: &str, end: &str) -> u16 {
        let mut urls = self.urls.iter();
        let url = urls.find(|url| url.starts_with(scheme) && url.ends_with(end));
        let url = url.unwrap_or_else(|| panic!("no {scheme} {end} in {:?}", self.urls));
        let url = url.split('?').next().expect("something");
        let (_, port) = url.rsplit_once(':').expect("a port");
        port.parse().expect("a port")
    }

    async fn by_tcp(&self, host: &str) -> TurnClient {
        let host: IpAddr = host.parse().expect("an address");
        let server = SocketAddr::new(host, self.port("turn:", "transport=tcp"));
        let stream = TcpStream::connect(server).await.expect("connect");
        let local = stream.local_addr().expect("an address");
        TurnClient::new(self, server, local, Way::Stream(Box::new(stream)))
    }

    async fn by_tls(&self, server: &Server) -> TurnClient {
        let shown = certificate_of(server).await;
        let stream = handshake(server, "localhost", &trusting(&shown)).await;
        let stream = stream.expect("a handshake");
        let address = SocketAddr::from(([127, 0, 0, 1], self.port("turns:", "transport=tcp")));
        let local = stream.get_ref().0.local_addr().expect("an address");
        assert_eq!(address.port(), server.port());
        TurnClient::new(self, address, local, Way::Stream(Box::new(stream)))
    }

    async fn by_udp(&self, host: &str) -> TurnClient {
        let port = self.port("turn:", "transport=udp");
        self.by_udp_to(host, port).await
    }

    async fn by_udp_to(&self, host: &str, port: u16) -> TurnClient {
        let host: IpAddr = host.parse().expect("an address");
        let server = SocketAddr::new(host, port);
        let socket = UdpSocket::bind((host, 0)).await.expect("bind");
        socket.connect(server).await.expect("connect");
        let local = socket.local_addr().expect("an address");
        TurnClient::new(self, server, local, Way::Udp(socket))
    }
}

/// How a client reaches the server.
enum Way {
    Udp(UdpSocket),
    /// TCP, or TLS in it.
    Stream(Box<dyn Bytes>),
}

trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytes for T {}

impl Way {
    async fn send(&mut self, message: &[u8]) {
        match self {
            Self::Udp(socket) => _ = socket.send(message).await.expect("send"),
            Self::Stream(stream) => {
                stream.write_all(message).await.expect("write");
                // Data on a channel ends at a multiple of four (RFC 8656 section 12.5).
                let padding = message.len().next_multiple_of(4) - message.len();
                stream.write_all(&[0; 3][..padding]).await.expect("write");
                stream.flush().await.expect("flush");
            }
        }
    }

    /// The next whole message.
    async fn receive(&mut self) -> BytesMut {
        match self {
            Self::Udp(socket) => {
                let mut buffer = vec![0; 2_048];
                let length = patiently("a datagram", socket.recv(&mut buffer)).await;
                BytesMut::from(&buffer[..length.expect("receive")])
            }
            Self::Stream(stream) => {
                let mut message = BytesMut::zeroed(4);
                let head = patiently("a message", stream.read_exact(&mut message)).await;
                head.expect("a message");
                let length = usize::from(u16::from_be_bytes([message[2], message[3]]));
                let whole = match message[0] >> 6 {
                    0 => 20 + length,
                    _ => 4 + length.next_multiple_of(4),
                };
                message.resize(whole, 0);
                let rest = patiently("its rest", stream.read_exact(&mut message[4..])).await;
                rest.expect("the rest of a message");
                message
            }
        }
    }
}

/// A client with the way to its server.
struct TurnClient {
    client: Client,
    server: SocketAddr,
    local: SocketAddr,
    way: Way,
    relayed: Option<SocketAddr>,
}

impl TurnClient {
    fn new(told: &Told, server: SocketAddr, local: SocketAddr, way: Way) -> Self {
        let config = ClientConfig {
            stun_serv_addr: server.to_string(),
            turn_serv_addr: server.to_string(),
            local_addr: local,
            transport_protocol: TransportProtocol::UDP,
            username: told.username.clone(),
            password: told.credential.clone(),
            ..ClientConfig::default()
        };
        let provider = crypto::default_provider().expect("cryptography");
        Self {
            client: Client::new(config, provider).expect("a client"),
            server,
            local,
            way,
            relayed: None,
        }
    }

    /// Sends what there is to be sent, and reads until something happened.
    async fn next(&mut self) -> Event {
        loop {
            while let Some(transmit) = self.client.poll_write() {
                self.way.send(&transmit.message).await;
            }
            if let Some(event) = self.client.poll_event() {
                return event;
            }
            let message = self.way.receive().await;
            let transport = TransportContext {
                local_addr: self.local,
                peer_addr: self.server,
                transport_protocol: TransportProtocol::UDP,
                ecn: None,
            };
            let message = TransportMessage {
                now: Instant::now(),
                transport,
                message,
            };
            self.client.handle_read(message).expect("a message of TURN");
        }
    }

    async fn allocate(&mut self) -> Result<SocketAddr, String> {
        self.client.allocate(Instant::now()).expect("a request");
        match self.next().await {
            Event::AllocateResponse(_, relayed) => {
                self.relayed = Some(relayed);
                Ok(relayed)
            }
            Event::AllocateError(_, error) => Err(error.to_string()),
            other => panic!("{other:?}"),
        }
    }

    fn relay(&mut self) -> turn::client::relay::Relay<'_> {
        let relayed = self.relayed.expect("an allocation");
        self.client.relay(relayed).expect("an allocation")
    }

    async fn permit(&mut self, peer: SocketAddr) -> Result<(), String> {
        let asked = self.relay().create_permission(Instant::now(), peer);
        asked.expect("a request");
        match self.next().await {
            Event::CreatePermissionResponse(..) => Ok(()),
            Event::CreatePermissionError(_, error) => Err(error.to_string()),
            other => panic!("{other:?}"),
        }
    }

    /// Gives the allocation back. Gives the way.
    async fn release(mut self) -> Way {
        self.relay().close(Instant::now()).expect("a request");
        while let Some(transmit) = self.client.poll_write() {
            self.way.send(&transmit.message).await;
        }
        // The answer is no event of the client's.
        self.way.receive().await;
        self.way
    }

    /// As indications and, once that is agreed, on a channel.
    async fn is_echoed(&mut self, echo: &Echo) {
        self.permit(echo.address).await.expect("a permission");
        let mut is_on_channel = false;
        for turn in 1..10 {
            let data = vec![turn; usize::from(turn)];
            let sent = self.relay().send_to(Instant::now(), &data, echo.address);
            sent.expect("a permission");
            let Event::DataIndicationOrChannelData(channel, from, back) = self.next().await else {
                panic!("no data");
            };
            assert_eq!((from, &back[..]), (echo.address, &data[..]));
            is_on_channel = channel.is_some();
        }
        assert!(is_on_channel);
    }
}

/// A peer that sends back what it gets.
struct Echo {
    address: SocketAddr,
}

impl Echo {
    async fn at(host: &str) -> Self {
        let host: IpAddr = host.parse().expect("an address");
        let socket = UdpSocket::bind((host, 0)).await.expect("bind");
        let address = socket.local_addr().expect("an address");
        tokio::spawn(async move {
            let mut buffer = vec![0; 2_048];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let _ = socket.send_to(&buffer[..length], from).await;
            }
        });
        Self { address }
    }
}

/// A Binding request to this port is answered with the address that it came from.
async fn assert_binding(host: &str, port: u16) {
    let host: IpAddr = host.parse().expect("an address");
    let socket = UdpSocket::bind((host, 0)).await.expect("bind");
    let mut request = Message::new();
    request
        .build(&[Box::new(TransactionId::new()), Box::new(BINDING_REQUEST)])
        .expect("a request");
    socket
        .send_to(&request.raw, (host, port))
        .await
        .expect("send");
    let mut buffer = vec![0; 2_048];
    let length = patiently("an answer", socket.recv(&mut buffer)).await;
    let length = length.expect("receive");
    let mut answer = Message::new();
    answer.unmarshal_binary(&buffer[..length]).expect("STUN");
    assert_eq!(answer.transaction_id, request.transaction_id);
    let mut mapped = XorMappedAddress::default();
    mapped.get_from(&answer).expect("XOR-MAPPED-ADDRESS");
    let own = socket.local_addr().expect("an address");
    assert_eq!((mapped.ip, mapped.port), (own.ip(), own.port()));
    assert!(length <= 3 * request.raw.len());
}
