use serde_json::json;

use super::*;
use crate::negotiation::Source;

fn parse(message: serde_json::Value) -> Result<ClientMessage, ProtocolError> {
    ClientMessage::parse(Dialect::V1, &message.to_string())
}

#[test]
fn messages_of_the_sample_are_read() {
    let name = ClientMessage::Username(Username {
        name: "Anna".to_owned(),
    });
    assert_eq!(
        parse(json!({"name": " Anna ", "date": 1, "id": 5, "type": "username"})),
        Ok(name)
    );
    let chat = parse(json!({"text": "hi", "type": "message", "id": 5, "date": 1}));
    assert_eq!(
        chat,
        Ok(ClientMessage::Message(ChatMessage {
            text: "hi".to_owned(),
            target: None
        }))
    );
    let hang_up = parse(json!({"name": "Anna", "target": null, "type": "hang-up"}));
    assert_eq!(hang_up, Ok(ClientMessage::HangUp(HangUp { target: None })));
    let candidate = json!({"candidate": "candidate:1 1 udp 1 1.2.3.4 5 typ host", "sdpMid": "0",
        "sdpMLineIndex": 0, "usernameFragment": "abcd"});
    let candidate =
        parse(json!({"type": "new-ice-candidate", "target": "Ben", "candidate": candidate}));
    let expected = NewIceCandidate {
        candidate: Some("candidate:1 1 udp 1 1.2.3.4 5 typ host".to_owned()),
        sdp_mid: Some("0".to_owned()),
        sdp_m_line_index: Some(0),
        username_fragment: Some("abcd".to_owned()),
        target: Some(Target::Name("Ben".to_owned())),
    };
    assert_eq!(candidate, Ok(ClientMessage::NewIceCandidate(expected)));
}

#[test]
fn descriptions_come_as_objects_or_strings() {
    let expected = Description {
        sdp: "v=0".to_owned(),
        target: Some(Target::Id(7)),
        sources: vec![("1".parse().unwrap(), Source::ScreenAudio)],
    };
    for sdp in [
        json!("v=0"),
        json!({"type": "offer", "sdp": "v=0"}),
        json!({"sdp": "v=0"}),
    ] {
        let tracks = json!([{"mid": "1", "source": "screen-audio", "muted": true}]);
        let offer =
            parse(json!({"type": "video-offer", "sdp": sdp, "target": 7, "tracks": tracks}));
        assert_eq!(offer, Ok(ClientMessage::VideoOffer(expected.clone())));
    }
}

#[test]
fn the_end_of_candidates_has_many_faces() {
    for message in [
        json!({"type": "new-ice-candidate"}),
        json!({"type": "new-ice-candidate", "candidate": null}),
        json!({"type": "new-ice-candidate", "candidate": {"candidate": "", "sdpMid": "0"}}),
    ] {
        match parse(message) {
            Ok(ClientMessage::NewIceCandidate(candidate)) => assert_eq!(candidate.candidate, None),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn errors_name_the_member_and_the_type() {
    let error = parse(json!({"type": "receive", "track": "t1", "width": 65536})).unwrap_err();
    assert_eq!(
        (error.code, error.request.as_deref()),
        (ErrorCode::BadMessage, Some("receive"))
    );
    assert!(error.message.contains("`width`"), "{}", error.message);
    let error = parse(json!({"type": "mute", "mid": "x y", "muted": true})).unwrap_err();
    assert!(error.message.contains("`mid`"), "{}", error.message);
}

#[test]
fn limits_count_characters_and_not_bytes() {
    let parsed = parse(json!({"type": "message", "text": "€".repeat(MAX_TEXT_CHARACTERS)}));
    assert!(parsed.is_ok());
    let parsed = parse(json!({"type": "message", "text": "€".repeat(MAX_TEXT_CHARACTERS + 1)}));
    assert_eq!(parsed.unwrap_err().code, ErrorCode::BadMessage);
    assert!(parse(json!({"type": "username", "name": "é".repeat(64)})).is_ok());
    // An SDP may be as long as a message.
    let sdp = "x".repeat(MAX_MESSAGE_BYTES - 100);
    assert!(parse(json!({"type": "video-offer", "sdp": sdp})).is_ok());
}

#[test]
fn what_nests_too_deep_is_no_json() {
    let text = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(
        ClientMessage::parse(Dialect::V1, &text).unwrap_err().code,
        ErrorCode::BadJson
    );
}

#[test]
fn messages_of_the_server_have_the_names_of_the_wire() {
    let layers = ServerMessage::Layers {
        track: "t1",
        rid: None,
        spatial: None,
        temporal: None,
        reason: Some("codec"),
    };
    let text = r#"{"type":"layers","track":"t1","rid":null,"spatial":null,"temporal":null,"reason":"codec"}"#;
    assert_eq!(layers.to_text(), text);
    let hang_up = ServerMessage::HangUp {
        name: Some("Ben"),
        target: None,
        reason: HangUpReason::Declined,
    };
    assert_eq!(
        hang_up.to_text(),
        r#"{"type":"hang-up","name":"Ben","reason":"declined"}"#
    );
    let error = ProtocolError::new(ErrorCode::UnexpectedAnswer, "x");
    let text =
        r#"{"type":"error","code":"unexpected-answer","message":"x","request":null,"fatal":false}"#;
    assert_eq!(ServerMessage::error(&error, false).to_text(), text);
}

#[test]
fn statistics_have_the_names_of_webrtc_stats() {
    let stats = crate::shard::PeerStats {
        inbound: vec![crate::shard::InboundStats {
            mid: "0".parse().unwrap(),
            track: crate::shard::TrackId(3),
            ssrc: 9,
            codec: Some(crate::rtp::Codec::Vp8),
            packets_received: 1,
            bytes_received: 2,
            packets_lost: -1,
            jitter: 0.5,
            nack_count: 4,
            pli_count: 5,
            key_frames: 6,
        }],
        ..Default::default()
    };
    let entries = serde_json::to_value(stats_entries(&stats)).unwrap();
    assert_eq!(entries[0]["type"], "transport");
    let expected = json!({
        "type": "inbound-rtp", "id": "inbound-9", "mid": "0", "trackIdentifier": "t3", "ssrc": 9, "kind": "video",
        "mimeType": "video/VP8", "clockRate": 90000, "packetsReceived": 1, "packetsLost": -1, "bytesReceived": 2,
        "nackCount": 4, "pliCount": 5, "jitter": 0.5, "keyFramesReceived": 6,
    });
    assert_eq!(entries[1], expected);
}

#[test]
fn what_carries_bits_and_which_layer_have_the_names_of_webrtc_stats() {
    let stats = crate::shard::PeerStats {
        estimate: Some(410_000),
        outbound: vec![crate::shard::OutboundStats {
            mid: "1".parse().unwrap(),
            track: crate::shard::TrackId(3),
            ssrc: 9,
            codec: None,
            packets_sent: 0,
            bytes_sent: 0,
            retransmitted_packets_sent: 0,
            nack_count: 0,
            pli_count: 0,
            fraction_lost: 0.0,
            layer: Some(crate::shard::ForwardedLayer {
                rid: Some("h".parse().unwrap()),
                spatial: 0,
                temporal: 2,
            }),
        }],
        ..Default::default()
    };
    let entries = serde_json::to_value(stats_entries(&stats)).unwrap();
    assert_eq!(entries[0]["availableOutgoingBitrate"], 410_000);
    assert_eq!(entries[1]["rid"], "h");
    assert_eq!(entries[1]["scalabilityMode"], "L1T3");
}

#[test]
fn a_timeline_is_asked_for_in_v1_only() {
    let request = TimelineRequest {
        track: crate::shard::TrackId(12),
    };
    let message = json!({"type": "timeline", "track": "t12"});
    assert_eq!(parse(message.clone()), Ok(ClientMessage::Timeline(request)));
    let error = parse(json!({"type": "timeline", "track": 12})).unwrap_err();
    assert_eq!(error.code, ErrorCode::BadMessage);
    let classic = ClientMessage::parse(Dialect::Classic, &message.to_string());
    assert!(matches!(classic, Ok(ClientMessage::PassThrough(_))));
}

#[test]
fn every_event_of_a_timeline_has_its_name_and_only_its_members() {
    use crate::shard::{ForwardedLayer, KeyframeReason, TimelineEntry, TimelineEvent as Event};
    let rid = Some("q".parse().unwrap());
    let layer = ForwardedLayer {
        rid,
        spatial: 0,
        temporal: 1,
    };
    let at = |event: &str| json!({"at": 1500, "event": event});
    let with = |event: &str, members: serde_json::Value| {
        let mut all = at(event);
        let members = members.as_object().unwrap().clone();
        all.as_object_mut().unwrap().extend(members);
        all
    };
    let nothing = Event::Layer {
        layer: None,
        reason: Some(crate::shard::LayerReason::Bandwidth),
        size: None,
    };
    let cases = [
        (Event::Subscribed, at("subscribed")),
        (
            Event::KeyframeAsked(KeyframeReason::Viewer),
            with("keyframe-asked", json!({"reason": "viewer"})),
        ),
        (Event::KeyframeReceived(None), at("keyframe-received")),
        (
            Event::KeyframeForwarded(rid),
            with("keyframe-forwarded", json!({"rid": "q"})),
        ),
        (nothing, with("layer", json!({"reason": "bandwidth"}))),
        (Event::Paused, at("paused")),
        (Event::Resumed, at("resumed")),
        (Event::Muted, at("muted")),
        (Event::Unmuted, at("unmuted")),
        (Event::Silent, at("silent")),
        (Event::Flowing, at("flowing")),
        (
            Event::Estimate(300_000),
            with("estimate", json!({"bitrate": 300_000})),
        ),
        (Event::Loss(0.5), with("loss", json!({"loss": 0.5}))),
        (
            Event::SenderLimited(layer),
            with(
                "sender-limited",
                json!({"rid": "q", "spatial": 0, "temporal": 1, "reason": "publisher"}),
            ),
        ),
        (Event::Codec, with("codec", json!({"reason": "codec"}))),
    ];
    for (event, expected) in cases {
        let entry = TimelineEntry {
            age: std::time::Duration::from_millis(1500),
            count: 1,
            event,
        };
        let lines = timeline_lines(&[entry]);
        assert_eq!(serde_json::to_value(&lines[0]).unwrap(), expected);
        let told = timeline_lines_in_words(&[entry]);
        let text = told[0].text.as_deref().unwrap();
        assert!(text.starts_with("1.5 s ago: "), "{text}");
    }
}
