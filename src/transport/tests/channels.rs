//! Data channels from end to end.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::pair::{CLIENT, LIMITS, Pair, SERVER};
use crate::shard::FailReason;
use crate::transport::{
    ChannelError, ChannelInfo, ChannelReliability, MessageKind, ReliabilityLimit, TransportEvent,
};

const SOON: Duration = Duration::from_millis(500);

impl Pair {
    fn open(&mut self, at: usize, label: &str, reliability: ChannelReliability) -> u16 {
        let transport = &mut self.ends[at].transport;
        transport
            .open_channel(self.now, label, "chat", reliability)
            .unwrap()
    }

    fn send(&mut self, at: usize, id: u16, text: &str) -> Result<(), ChannelError> {
        let transport = &mut self.ends[at].transport;
        transport.send_message(self.now, id, MessageKind::Text, text.as_bytes())
    }

    /// The texts that came at an end.
    fn texts(&mut self, at: usize) -> Vec<(u16, String)> {
        let events = self.events(at).into_iter();
        let text = |event| match event {
            TransportEvent::ChannelMessage {
                id,
                kind: MessageKind::Text,
                data,
            } => Some((id, String::from_utf8(data.to_vec()).unwrap())),
            _ => None,
        };
        events.filter_map(text).collect()
    }
}

#[test]
fn a_channel_opens_with_all_it_is() {
    let lifetime = ReliabilityLimit::Lifetime(Duration::from_millis(1500));
    let kinds = [None, Some(ReliabilityLimit::Retransmits(3)), Some(lifetime)];
    let kinds = kinds
        .into_iter()
        .flat_map(|limit| [true, false].map(|ordered| ChannelReliability { ordered, limit }));
    for reliability in kinds {
        for from in [CLIENT, SERVER] {
            let mut pair = Pair::connected(20);
            let id = pair.open(from, "grüße", reliability);
            assert_eq!(id % 2, u16::from(from == SERVER), "RFC 8832 section 6");
            pair.run(SOON);
            let info = ChannelInfo {
                id,
                label: "grüße".to_owned(),
                protocol: "chat".to_owned(),
                reliability,
                priority: 256,
            };
            assert_eq!(pair.events(1 - from), [TransportEvent::ChannelOpened(info)]);
            assert_eq!(pair.events(from), []);
        }
    }
}

#[test]
fn messages_arrive_whole_both_ways() {
    let mut pair = Pair::connected(21);
    let id = pair.open(CLIENT, "a", ChannelReliability::default());
    pair.run(SOON);
    for from in [CLIENT, SERVER] {
        pair.events(1 - from);
        let long = vec![7; LIMITS.max_message_bytes];
        let messages = [
            (MessageKind::Text, &b"hello"[..]),
            (MessageKind::Text, &[]),
            (MessageKind::Binary, &[]),
            (MessageKind::Binary, &[0, 255]),
            (MessageKind::Binary, &long[..]),
        ];
        for (kind, data) in messages {
            let transport = &mut pair.ends[from].transport;
            transport.send_message(pair.now, id, kind, data).unwrap();
        }
        pair.run(2 * SOON);
        let expected = messages.map(|(kind, data)| TransportEvent::ChannelMessage {
            id,
            kind,
            data: Bytes::copy_from_slice(data),
        });
        assert_eq!(pair.events(1 - from), expected);
    }
}

#[test]
fn messages_may_follow_the_opening_at_once() {
    for ordered in [true, false] {
        let mut pair = Pair::connected(22);
        let reliability = ChannelReliability {
            ordered,
            limit: None,
        };
        let id = pair.open(SERVER, "a", reliability);
        pair.send(SERVER, id, "first").unwrap();
        pair.send(SERVER, id, "second").unwrap();
        pair.run(SOON);
        let texts = pair.texts(CLIENT);
        assert_eq!(texts, [(id, "first".to_owned()), (id, "second".to_owned())]);
    }
}

#[test]
fn either_side_may_close() {
    for closer in [CLIENT, SERVER] {
        let mut pair = Pair::connected(23);
        let id = pair.open(CLIENT, "a", ChannelReliability::default());
        pair.run(SOON);
        pair.events(SERVER);
        pair.send(closer, id, "last words").unwrap();
        // What is under way the other way is lost, and does no harm.
        pair.send(1 - closer, id, "too late").unwrap();
        pair.ends[closer].transport.close_channel(pair.now, id);
        assert_eq!(
            pair.send(closer, id, "more"),
            Err(ChannelError::NoSuchChannel)
        );
        pair.run(4 * SOON);
        let events = pair.events(1 - closer);
        assert_eq!(events.len(), 2, "{events:?}");
        assert!(
            matches!(&events[0], TransportEvent::ChannelMessage { data, .. } if data == "last words")
        );
        assert_eq!(events[1], TransportEvent::ChannelClosed { id });
        assert_eq!(pair.events(closer), [TransportEvent::ChannelClosed { id }]);
        assert_eq!(
            pair.send(1 - closer, id, "more"),
            Err(ChannelError::NoSuchChannel)
        );

        // The stream can be used again.
        assert_eq!(pair.open(CLIENT, "b", ChannelReliability::default()), id);
        pair.send(CLIENT, id, "again").unwrap();
        pair.run(SOON);
        assert_eq!(pair.texts(SERVER), [(id, "again".to_owned())]);
    }
}

#[test]
fn channels_come_and_go_for_long() {
    let mut pair = Pair::connected(24);
    for round in 0..60 {
        let from = [CLIENT, SERVER][round % 2];
        let id = pair.open(from, "a", ChannelReliability::default());
        pair.send(from, id, &"x".repeat(5000)).unwrap();
        pair.run(SOON / 4);
        pair.send(1 - from, id, &"y".repeat(5000)).unwrap();
        pair.ends[from].transport.close_channel(pair.now, id);
        pair.run(2 * SOON);
        for at in [CLIENT, SERVER] {
            let closed = TransportEvent::ChannelClosed { id };
            assert!(pair.events(at).contains(&closed), "round {round}");
        }
    }
}

#[test]
fn limits_hold() {
    let mut pair = Pair::connected(25);
    let id = pair.open(CLIENT, "a", ChannelReliability::default());
    let long = "x".repeat(LIMITS.max_message_bytes);
    assert_eq!(
        pair.send(CLIENT, id, &format!("{long}x")),
        Err(ChannelError::TooLarge)
    );
    for _ in 0..3 {
        pair.send(CLIENT, id, &long).unwrap();
    }
    assert_eq!(pair.send(CLIENT, id, &long), Err(ChannelError::Full));
    pair.run(4 * SOON);
    assert_eq!(pair.send(CLIENT, id, &long), Ok(()));
    pair.run(4 * SOON);
    assert_eq!(pair.texts(SERVER).len(), 4);

    for _ in 1..LIMITS.max_channels {
        pair.open(CLIENT, "more", ChannelReliability::default());
    }
    let transport = &mut pair.ends[CLIENT].transport;
    let refused = transport.open_channel(pair.now, "", "", ChannelReliability::default());
    assert_eq!(refused, Err(ChannelError::TooMany));
    pair.run(SOON);
    assert_eq!(pair.events(SERVER).len(), LIMITS.max_channels - 1);

    let transport = &mut pair.ends[SERVER].transport;
    let refused = transport.open_channel(pair.now, "", "", ChannelReliability::default());
    assert_eq!(refused, Err(ChannelError::TooMany));
}

#[test]
fn a_channel_too_many_is_closed_again() {
    let mut pair = Pair::connected(26);
    // Each side believes that there is room, and they fill it at the same time.
    for at in [CLIENT, SERVER] {
        for _ in 0..LIMITS.max_channels / 2 + 2 {
            pair.open(at, "a", ChannelReliability::default());
        }
    }
    pair.run(4 * SOON);
    for at in [CLIENT, SERVER] {
        let events = pair.events(at);
        let opened = events
            .iter()
            .filter(|e| matches!(e, TransportEvent::ChannelOpened(_)));
        let closed = events
            .iter()
            .filter(|e| matches!(e, TransportEvent::ChannelClosed { .. }));
        assert_eq!(opened.count(), LIMITS.max_channels / 2 - 2, "{events:?}");
        assert_eq!(closed.count(), 4, "{events:?}");
    }
}

#[test]
fn without_an_m_line_there_is_no_sctp() {
    let mut pair = Pair::new(27);
    for at in [CLIENT, SERVER] {
        let mut parameters = pair.parameters(at);
        parameters.sctp = None;
        pair.ends[at]
            .transport
            .set_parameters(pair.now, &parameters);
    }
    pair.run(2 * SOON);
    let transport = &mut pair.ends[CLIENT].transport;
    let refused = transport.open_channel(pair.now, "", "", ChannelReliability::default());
    assert_eq!(refused, Err(ChannelError::NotConnected));

    // It may come later, first to one side.
    for at in [CLIENT, SERVER] {
        let parameters = pair.parameters(at);
        pair.ends[at]
            .transport
            .set_parameters(pair.now, &parameters);
        pair.run(SOON);
    }
    pair.run(8 * SOON);
    let id = pair.open(SERVER, "late", ChannelReliability::default());
    pair.send(SERVER, id, "hello").unwrap();
    pair.run(SOON);
    assert_eq!(pair.texts(CLIENT), [(id, "hello".to_owned())]);
}

#[test]
fn closing_the_wire_closes_it_on_the_other_side_only_once() {
    let mut pair = Pair::connected(28);
    let id = pair.open(CLIENT, "a", ChannelReliability::default());
    pair.run(SOON);
    pair.events(SERVER);
    pair.ends[CLIENT].transport.close(pair.now);
    pair.run(SOON);
    let closed = TransportEvent::ChannelClosed { id };
    let failed = TransportEvent::Failed(FailReason::Closed);
    assert_eq!(pair.events(SERVER), [closed, failed]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn reliable_messages_survive_loss(seed: u64, loss in 0.0..0.2f64, ordered: bool) {
        let mut pair = Pair::connected(seed);
        pair.loss = loss;
        let mut expected = Vec::new();
        let id = pair.open(CLIENT, "a", ChannelReliability { ordered, limit: None });
        for number in 0..40 {
            let text = number.to_string().repeat(1 + 40 * number);
            pair.send(CLIENT, id, &text).unwrap();
            expected.push((id, text));
            pair.run(Duration::from_millis(20));
        }
        // Retransmission timers back off.
        pair.run(Duration::from_secs(1200));
        let mut texts = pair.texts(SERVER);
        if !ordered {
            expected.sort();
            texts.sort();
        }
        prop_assert_eq!(texts, expected);
    }

    #[test]
    fn associations_survive_loss(seed: u64, loss in 0.0..0.15f64) {
        let mut pair = Pair::new(seed);
        pair.loss = loss;
        pair.set_parameters();
        pair.run(Duration::from_secs(28));
        pair.loss = 0.0;
        pair.run(Duration::from_secs(90));
        for at in [CLIENT, SERVER] {
            let id = pair.open(at, "a", ChannelReliability::default());
            pair.send(at, id, "hello").unwrap();
            pair.run(SOON);
            prop_assert_eq!(pair.texts(1 - at), [(id, "hello".to_owned())]);
        }
    }

    #[test]
    fn unreliable_messages_do_not_wait(seed: u64) {
        let mut pair = Pair::connected(seed);
        let limit = Some(ReliabilityLimit::Retransmits(0));
        let id = pair.open(CLIENT, "a", ChannelReliability { ordered: false, limit });
        pair.run(SOON);
        pair.events(SERVER);
        pair.loss = 0.3;
        for number in 0..200 {
            pair.send(CLIENT, id, &number.to_string()).unwrap();
            pair.run(Duration::from_millis(10));
        }
        pair.loss = 0.0;
        pair.run(Duration::from_secs(20));
        let texts = pair.texts(SERVER);
        prop_assert!((80..200).contains(&texts.len()), "{}", texts.len());
        pair.send(CLIENT, id, "still there").unwrap();
        pair.run(SOON);
        prop_assert_eq!(pair.texts(SERVER), [(id, "still there".to_owned())]);
    }
}
