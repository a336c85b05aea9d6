//! Input of every bad kind, while others have a call that must not notice.

use std::net::SocketAddr;

use serde_json::json;
use tokio::net::UdpSocket;
use tokio_tungstenite::tungstenite::Message;

use crate::support::sdp;
use crate::support::{Client, Dialect, Server, Setup, Signaling};

/// Two in a call, and a stranger in the same room.
struct Scene {
    server: Server,
    alice: Client,
    bob: Client,
    stranger: Signaling,
}

impl Scene {
    async fn new() -> Self {
        let server = Server::start().await;
        let alice = Client::join(&server, Setup::new("alice")).await;
        let bob = Client::join(&server, Setup::new("bob")).await;
        alice.start_media();
        bob.start_media();
        alice.hears(&bob).await;
        let stranger = Signaling::connect(&server, "lobby", Dialect::V1).await;
        stranger.take_name("stranger").await;
        stranger.settle().await;
        Self {
            server,
            alice,
            bob,
            stranger,
        }
    }

    async fn undisturbed(&self) {
        self.alice.hears(&self.bob).await;
        self.bob.hears(&self.alice).await;
    }
}

#[tokio::test]
async fn what_is_not_json_gets_an_error_and_the_third_time_the_door() {
    let scene = Scene::new().await;
    let stranger = &scene.stranger;
    stranger.send_raw(Message::text("{"));
    let error = stranger.expect_error("bad-json").await;
    assert_eq!(error["fatal"], false);
    stranger.send_raw(Message::text("hello"));
    stranger.expect_error("bad-json").await;
    stranger.settle().await;
    stranger.send_raw(Message::text("[1, 2"));
    assert_eq!(stranger.expect_closed().await, Some(1008));
    scene.undisturbed().await;
}

#[tokio::test]
async fn wrong_fields_get_an_error_that_names_the_request() {
    let server = Server::start().await;
    for message in [
        json!({"type": "username", "name": 5}),
        json!({"type": "message"}),
        json!({"type": "video-offer", "sdp": 7}),
        json!({"type": "receive", "track": 7}),
        json!({"type": "mute", "muted": "yes"}),
    ] {
        let signaling = Signaling::connect(&server, "lobby", Dialect::V1).await;
        signaling.take_name("someone").await;
        signaling.settle().await;
        signaling.send(message.clone());
        let error = signaling.expect("error").await;
        assert_eq!(error["code"], "bad-message", "for {message}: {error}");
        assert_eq!(error["request"], message["type"], "for {message}: {error}");
        signaling.settle().await;
        signaling.close();
        signaling.expect_closed().await;
    }
    for message in ["[]", "null", "5", "{}", r#"{"type": 5}"#] {
        let signaling = Signaling::connect(&server, "lobby", Dialect::V1).await;
        signaling.send_raw(Message::text(message));
        let error = signaling.expect("error").await;
        let code = error["code"].as_str().unwrap_or_default();
        assert!(
            ["bad-message", "bad-json"].contains(&code),
            "for {message}: {error}"
        );
    }
}

#[tokio::test]
async fn too_large_a_message_gets_an_error() {
    let scene = Scene::new().await;
    let text = "x".repeat(300 * 1024);
    scene
        .stranger
        .send(json!({"type": "message", "text": text}));
    scene.stranger.expect_error("too-large").await;
    scene.undisturbed().await;
}

#[tokio::test]
async fn a_frame_that_is_not_text_does_no_harm() {
    let scene = Scene::new().await;
    scene
        .stranger
        .send_raw(Message::binary(vec![0_u8, 255, 1, 254]));
    scene.undisturbed().await;
}

#[tokio::test]
async fn a_bad_description_leaves_the_call_as_it_was() {
    let scene = Scene::new().await;
    for text in [
        "",
        "v=0",
        "no sdp",
        "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video nonsense\r\n",
        "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n",
    ] {
        let client = Signaling::connect(&scene.server, "lobby", Dialect::V1).await;
        client.take_name("offerer").await;
        client.settle().await;
        client.send(json!({"type": "video-offer", "name": "offerer", "sdp": {"type": "offer", "sdp": text}}));
        let error = client.expect("error").await;
        assert_eq!(error["code"], "bad-sdp", "for {text:?}: {error}");
        assert_eq!(error["fatal"], false);
        client.settle().await;
        client.close();
        client.expect_closed().await;
    }
    // From inside the call too.
    scene.bob.signaling.send(
        json!({"type": "video-offer", "name": "bob", "sdp": {"type": "offer", "sdp": "v=0\r\ngarbage\r\n"}}),
    );
    scene.bob.signaling.expect_error("bad-sdp").await;
    scene.bob.signaling.send(
        json!({"type": "video-answer", "name": "bob", "sdp": {"type": "answer", "sdp": "v=0\r\n"}}),
    );
    scene.bob.signaling.expect_error("unexpected-answer").await;
    scene
        .bob
        .signaling
        .send(json!({"type": "new-ice-candidate", "candidate": {"candidate": "candidate:nonsense", "sdpMid": "0"}}));
    scene.bob.signaling.expect_error("bad-candidate").await;
    scene.undisturbed().await;
    // And the negotiation still works.
    let carol = Client::join(&scene.server, Setup::new("carol")).await;
    carol.start_media();
    scene.bob.hears(&carol).await;
    carol.hears(&scene.bob).await;
}

/// Bytes that a seed decides, so that a failure can be had again.
fn noise(seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed.wrapping_mul(2) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
}

/// Datagrams that look like every protocol on the port, and are none.
fn garbage(round: u64) -> Vec<Vec<u8>> {
    let length = (round.wrapping_mul(37) % 1_400) as usize;
    let tail: Vec<u8> = noise(round + 1).take(length).collect();
    let with = |head: &[u8]| [head, &tail].concat();
    let declared = (tail.len() as u16 & !3).to_be_bytes();
    vec![
        tail.clone(),
        // STUN binding requests, with the right and a wrong length.
        with(&[0, 1, declared[0], declared[1], 0x21, 0x12, 0xa4, 0x42]),
        with(&[0, 1, 0xff, 0xff, 0x21, 0x12, 0xa4, 0x42]),
        // STUN with a USERNAME that is cut off.
        with(&[
            0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 6, 0, 200,
        ]),
        // DTLS: a handshake record, an alert, application data.
        with(&[
            22,
            254,
            253,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            declared[0],
            declared[1],
        ]),
        with(&[21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40]),
        with(&[23, 254, 253, 0, 1, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
        // RTP, with many CSRCs and an extension longer than the packet.
        with(&[0x80, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1]),
        with(&[0x9f, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1]),
        with(&[
            0xb0, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xbe, 0xde, 0xff, 0xff,
        ]),
        // RTCP: a sender report and feedback.
        with(&[0x80, 200, 0, 6, 0, 0, 0, 1]),
        with(&[0x81, 205, 0xff, 0xff, 0, 0, 0, 1]),
        // TURN channel data, and nothing at all.
        with(&[0x40, 0, 0, 4]),
        Vec::new(),
    ]
}

#[tokio::test]
async fn garbage_on_the_media_port_disturbs_nobody() {
    let scene = Scene::new().await;
    let sdp = scene
        .alice
        .described
        .read(|described| described.sdp.clone());
    let port = sdp::candidate(&sdp).expect("a candidate").port();
    let target = SocketAddr::from(([127, 0, 0, 1], port));
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    for round in 0..150 {
        for datagram in garbage(round) {
            // A full buffer is none of the test's business.
            let _ = socket.send_to(&datagram, target).await;
        }
        if round % 10 == 0 {
            tokio::task::yield_now().await;
        }
    }
    scene.undisturbed().await;
    let carol = Client::join(&scene.server, Setup::new("carol")).await;
    carol.hears(&scene.alice).await;
}

#[tokio::test]
async fn garbage_from_a_participants_own_address_disturbs_nobody_else() {
    let scene = Scene::new().await;
    // What passes SRTP is the participant's own: RTCP about streams that do not exist, and about others'.
    use rtc::rtcp::goodbye::Goodbye;
    use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
    use rtc::rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
    let video = scene.bob.track_from(&scene.alice, "video").await;
    for media_ssrc in [0, 1, u32::MAX, video.ssrc] {
        scene
            .bob
            .send_rtcp(vec![
                Box::new(PictureLossIndication {
                    sender_ssrc: 0,
                    media_ssrc,
                }),
                Box::new(TransportLayerNack {
                    sender_ssrc: 0,
                    media_ssrc,
                    nacks: vec![
                        NackPair {
                            packet_id: 0,
                            lost_packets: u16::MAX,
                        };
                        40
                    ],
                }),
                Box::new(Goodbye {
                    sources: vec![media_ssrc],
                    reason: "x".repeat(200).into(),
                }),
            ])
            .await;
    }
    scene.undisturbed().await;
}
