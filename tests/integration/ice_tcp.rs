//! Media by TCP, for those that UDP is blocked for: frames on the port of the page, or on one of their own.

use std::net::SocketAddr;

use serde_json::json;
use stun::attributes::{ATTR_PRIORITY, ATTR_USERNAME, RawAttribute};
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Message, Setter, TransactionId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::watched::patiently;
use crate::support::{Dialect, Server, Signaling, sdp};

const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:mine\r\n\
    a=ice-pwd:0123456789abcdefghijkl\r\n\
    a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
    a=setup:actpass\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n";

/// Somebody whose offer was answered, and who comes by TCP.
pub(super) struct Caller {
    /// Holds the call.
    _signaling: Signaling,
    answer: String,
}

impl Caller {
    pub(super) async fn new(server: &Server, name: &str) -> Self {
        let signaling = Signaling::connect(server, "tcp", Dialect::V1).await;
        signaling.take_name(name).await;
        let offer = json!({"type": "offer", "sdp": OFFER});
        signaling.send(json!({"type": "video-offer", "name": name, "sdp": offer}));
        let answer = signaling.expect("video-answer").await;
        let answer = answer["sdp"]["sdp"].as_str().expect("an SDP").to_owned();
        Self {
            _signaling: signaling,
            answer,
        }
    }

    pub(super) fn value(&self, name: &str) -> &str {
        let mut lines = self.answer.lines();
        lines.find_map(|line| line.strip_prefix(name)).expect(name)
    }

    /// The passive candidates.
    pub(super) fn candidates(&self) -> Vec<SocketAddr> {
        let lines = self.answer.lines();
        let passive = lines.filter(|line| line.ends_with(" typ host tcptype passive"));
        let address = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            SocketAddr::new(
                words[4].parse().expect("an address"),
                words[5].parse().expect("a port"),
            )
        };
        passive.map(address).collect()
    }

    /// Where UDP is to go to.
    pub(super) fn udp(&self) -> SocketAddr {
        sdp::candidate(&self.answer).expect("a candidate")
    }

    /// A check, signed with this password, as a frame.
    pub(super) fn check(&self, password: &str) -> Vec<u8> {
        framed(&self.datagram(password))
    }

    /// The same as a datagram.
    pub(super) fn datagram(&self, password: &str) -> Vec<u8> {
        let username = format!("{}:mine", self.value("a=ice-ufrag:"));
        let provider = crypto::default_provider().expect("cryptography");
        let integrity = MessageIntegrity::new_short_term_integrity_with_provider(
            password.to_owned(),
            provider.crypto(),
        );
        let mut message = Message::new();
        let setters: [Box<dyn Setter + '_>; 6] = [
            Box::new(TransactionId::new()),
            Box::new(BINDING_REQUEST),
            Box::new(RawAttribute {
                typ: ATTR_USERNAME,
                length: username.len() as u16,
                value: username.into_bytes(),
            }),
            Box::new(RawAttribute {
                typ: ATTR_PRIORITY,
                length: 4,
                value: vec![0, 1, 2, 3],
            }),
            Box::new(integrity),
            Box::new(FINGERPRINT),
        ];
        message.build(&setters).expect("a check");
        message.raw
    }
}

/// The UDP port of the first shard.
pub(super) async fn media_port(server: &Server) -> u16 {
    let caller = Caller::new(server, "asker").await;
    sdp::candidate(&caller.answer).expect("a candidate").port()
}

fn framed(datagram: &[u8]) -> Vec<u8> {
    let length = datagram.len() as u16;
    [&length.to_be_bytes()[..], datagram].concat()
}

/// The next frame, or none where the connection has ended.
async fn frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let length = patiently("a frame", stream.read_u16()).await.ok()?;
    let mut frame = vec![0; usize::from(length)];
    let read = patiently("its rest", stream.read_exact(&mut frame)).await;
    read.ok().map(|_| frame)
}

pub(super) async fn is_answered(stream: &mut TcpStream) -> bool {
    frame(stream).await.is_some_and(|frame| is_success(&frame))
}

/// Whether this says that a check was right.
pub(super) fn is_success(datagram: &[u8]) -> bool {
    let mut answer = Message::new();
    answer.unmarshal_binary(datagram).expect("a STUN message");
    answer.typ == BINDING_SUCCESS
}

#[tokio::test]
async fn checks_are_answered_on_the_port_of_the_page_however_they_are_cut() {
    for options in [&["--shards", "3"][..], &["--tls", "off", "--shards", "1"]] {
        let server = Server::with(options).await;
        for name in ["alice", "bob", "carol", "dave"] {
            let caller = Caller::new(&server, name).await;
            let candidates = caller.candidates();
            assert!(!candidates.is_empty(), "{}", caller.answer);
            assert!(candidates.iter().all(|one| one.port() == server.port()));
            let mut stream = TcpStream::connect(candidates[0])
                .await
                .expect("a connection");
            let check = caller.check(caller.value("a=ice-pwd:"));
            let (begin, rest) = check.split_at(7);
            stream.write_all(begin).await.expect("write");
            stream.flush().await.expect("flush");
            stream.write_all(rest).await.expect("write");
            assert!(is_answered(&mut stream).await);
            let two = [check.clone(), check].concat();
            stream.write_all(&two).await.expect("write");
            assert!(is_answered(&mut stream).await && is_answered(&mut stream).await);
        }
    }
}

#[tokio::test]
async fn media_by_tcp_may_have_a_port_of_its_own_or_none() {
    let server = Server::with(&["--ice-tcp", "127.0.0.1:0"]).await;
    let caller = Caller::new(&server, "alice").await;
    let own = caller.candidates()[0];
    assert_ne!(own.port(), server.port());
    let check = caller.check(caller.value("a=ice-pwd:"));
    let mut stream = TcpStream::connect(own).await.expect("a connection");
    stream.write_all(&check).await.expect("write");
    assert!(is_answered(&mut stream).await);
    // Nobody else is served there, and the page serves no media.
    let mut stream = TcpStream::connect(own).await.expect("a connection");
    stream
        .write_all(b"GET / HTTP/1.1\r\n\r\n")
        .await
        .expect("write");
    assert_eq!(frame(&mut stream).await, None);
    let mut stream = TcpStream::connect(("127.0.0.1", server.port()))
        .await
        .unwrap();
    stream.write_all(&check).await.expect("write");
    assert_eq!(frame(&mut stream).await, None);

    let server = Server::with(&["--ice-tcp", "off"]).await;
    let caller = Caller::new(&server, "alice").await;
    assert!(caller.candidates().is_empty());
}

#[tokio::test]
async fn who_sends_no_check_that_is_right_gets_no_answer_and_keeps_nobody_out() {
    let server = Server::start().await;
    let caller = Caller::new(&server, "alice").await;
    let right = caller.check(caller.value("a=ice-pwd:"));
    let mut stranger = right.clone();
    // The first letter of the ufrag, after the header of frame, message and attribute, names a shard that is not there.
    stranger[26] = b'z';
    let mut long = right.clone();
    long[0] = 0xff;
    for bytes in [
        &caller.check("not-the-password-of-anybody")[..],
        &stranger,
        &long,
        &[0; 600],
        &[1; 600],
        &[0, 3],
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port()))
            .await
            .unwrap();
        stream.write_all(bytes).await.expect("write");
        stream.shutdown().await.expect("shutdown");
        assert_eq!(frame(&mut stream).await, None, "{bytes:?}");
    }
    let mut stream = TcpStream::connect(("127.0.0.1", server.port()))
        .await
        .unwrap();
    stream.write_all(&right).await.expect("write");
    assert!(is_answered(&mut stream).await);
    // A connection that is known may not change its manners either.
    stream.write_all(&[0xff; 10]).await.expect("write");
    assert_eq!(frame(&mut stream).await, None);
}
