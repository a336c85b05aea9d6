//! Data channels.

use bytes::BytesMut;
use webrtc::data_channel::RTCDataChannelInit;

use crate::support::client::join_all;
use crate::support::peer::Channel;
use crate::support::{Client, Server, Setup};

async fn received(client: &Client, label: &str, sender: &Client, count: usize) -> Channel {
    let protocol = format!("from:{}", sender.id);
    received_from(client, label, &protocol, count).await
}

/// The channel of this label and protocol, once so many messages came on it.
pub(crate) async fn received_from(
    client: &Client,
    label: &str,
    protocol: &str,
    count: usize,
) -> Channel {
    client
        .peer
        .happenings
        .until(
            format!(
                "{count} messages {protocol} on {label:?} at {}",
                client.name
            ),
            |happenings| {
                happenings
                    .channels
                    .iter()
                    .find(|channel| {
                        channel.label == label
                            && channel.protocol == protocol
                            && channel.messages.len() >= count
                    })
                    .cloned()
            },
        )
        .await
}

#[tokio::test]
async fn messages_go_to_everyone_else_with_a_channel_of_that_label() {
    let server = Server::start().await;
    let clients = join_all(
        &server,
        vec![
            Setup::new("alice").channel("chat"),
            Setup::new("bob").channel("chat"),
            Setup::new("carol").channel("chat"),
            Setup::new("dave").channel("other"),
        ],
    )
    .await;
    let [alice, bob, carol, dave] = &clients[..] else {
        unreachable!()
    };
    // A message goes to those whose channel is open: wait for the channels of all before sending.
    for client in [alice, bob, carol] {
        client.peer.channel_from("chat", "").await;
    }
    for receiver in [alice, bob, carol] {
        for sender in [alice, bob, carol] {
            if sender.id != receiver.id {
                let protocol = format!("from:{}", sender.id);
                receiver.peer.channel_from("chat", &protocol).await;
            }
        }
    }
    let chat = alice.peer.channel_from("chat", "").await;
    chat.channel.send_text("hello").await.expect("sent");
    chat.channel
        .send(BytesMut::from(&[0, 159, 146, 150][..]))
        .await
        .expect("sent");
    for receiver in [bob, carol] {
        let channel = received(receiver, "chat", alice, 2).await;
        assert_eq!(channel.messages[0], (true, "hello".into()));
        assert_eq!(channel.messages[1], (false, vec![0, 159, 146, 150].into()));
    }
    let back = bob.peer.channel_from("chat", "").await;
    back.channel.send_text("and back").await.expect("sent");
    received(alice, "chat", bob, 1).await;
    alice.peer.happenings.read(|happenings| {
        let own = format!("from:{}", alice.id);
        assert!(
            happenings
                .channels
                .iter()
                .all(|channel| channel.protocol != own),
            "nobody hears themselves"
        );
    });
    dave.peer.happenings.read(|happenings| {
        assert!(
            happenings
                .channels
                .iter()
                .all(|channel| channel.label == "other"),
            "who has no such channel gets none"
        );
    });
}

#[tokio::test]
async fn a_relayed_channel_is_as_ordered_as_the_senders() {
    let server = Server::start().await;
    let alice = Client::connect(&server, Setup::new("alice").channel("chat")).await;
    let bob = Client::connect(&server, Setup::new("bob").channel("chat")).await;
    let loose = || RTCDataChannelInit {
        ordered: false,
        max_retransmits: Some(0),
        ..Default::default()
    };
    for client in [&alice, &bob] {
        client.peer.open_channel("loose", Some(loose())).await;
        client.offer().await;
        client.peer.connected().await;
    }
    // The crate tells of a channel that the other side opened whether it is ordered, not how often it repeats.
    let protocol = format!("from:{}", alice.id);
    let channel = bob.peer.channel_from("loose", &protocol).await;
    assert!(!channel.ordered);
    let channel = bob.peer.channel_from("chat", &protocol).await;
    assert!(channel.ordered);
    let own = alice.peer.channel_from("loose", "").await;
    own.channel.send_text("hello").await.expect("sent");
    received(&bob, "loose", &alice, 1).await;
}

#[tokio::test]
async fn a_message_as_large_as_allowed_passes() {
    let server = Server::with(&["--max-data-channel-bytes", "40000"]).await;
    let alice = Client::join(&server, Setup::new("alice").channel("chat")).await;
    let bob = Client::join(&server, Setup::new("bob").channel("chat")).await;
    let sdp = alice.described.read(|described| described.sdp.clone());
    assert!(
        sdp.contains("a=max-message-size:40000"),
        "the limit is in the SDP: {sdp}"
    );
    let protocol = format!("from:{}", alice.id);
    bob.peer.channel_from("chat", &protocol).await;
    let chat = alice.peer.channel_from("chat", "").await;
    let large: Vec<u8> = (0..40_000_u32).map(|byte| (byte % 251) as u8).collect();
    chat.channel
        .send(BytesMut::from(&large[..]))
        .await
        .expect("sent");
    let channel = received(&bob, "chat", &alice, 1).await;
    assert_eq!(channel.messages[0].1, large);
}

#[tokio::test]
async fn the_channel_of_a_leaver_is_closed() {
    let server = Server::start().await;
    let alice = Client::join(&server, Setup::new("alice").channel("chat")).await;
    let bob = Client::join(&server, Setup::new("bob").channel("chat")).await;
    let protocol = format!("from:{}", bob.id);
    alice.peer.channel_from("chat", &protocol).await;
    bob.signaling.close();
    alice
        .peer
        .happenings
        .until("the channel's end", |happenings| {
            happenings
                .channels
                .iter()
                .any(|channel| channel.protocol == protocol && channel.closed)
                .then_some(())
        })
        .await;
}
