//! The client's negotiation against the server's own.

use super::*;
use crate::load::media::{SourcePlan, StreamSetup};
use crate::load::plan::VideoPlan;
use crate::negotiation::{Config, Limits, Negotiation, SubscribedTrack, TrackIds};
use crate::rtp::{Extension, MediaKind};
use crate::shard::{
    Command, DtlsRole, Fingerprint, FingerprintHash, IceCredentials, ParticipantId, PeerId,
    ReceiveParameters, SendParameters,
};
use crate::transport::Endpoint;

fn credentials(name: &str) -> IceCredentials {
    IceCredentials {
        ufrag: format!("uf{name}"),
        pwd: format!("password{name}longenoughtobeone"),
    }
}

fn fingerprint(byte: u8) -> Fingerprint {
    Fingerprint {
        hash: FingerprintHash::Sha256,
        bytes: vec![byte; 32],
    }
}

fn client(sources: &[SourcePlan], receives: bool) -> Negotiator {
    let local = Local {
        ice: credentials("client"),
        fingerprint: fingerprint(1),
        candidate: ([127, 0, 0, 1], 5_000).into(),
        session: 7,
        first_ssrc: 1_000,
    };
    let publishes = Publishes {
        sources: sources.to_vec(),
        receives,
    };
    Negotiator::new(local, publishes)
}

fn server() -> Negotiation {
    Negotiation::new(Config {
        peer: PeerId(1),
        local_ice: credentials("server"),
        fingerprint: fingerprint(2),
        candidates: vec![Endpoint::udp(([127, 0, 0, 1], 7_880).into())],
        limits: Limits::default(),
        may_publish: crate::negotiation::Sources::ALL,
        data_channels: true,
        red: true,
        session_id: 3,
        seed: 11,
    })
}

fn video(simulcast: bool) -> SourcePlan {
    SourcePlan::Video(VideoPlan {
        bitrate: 1_000_000,
        simulcast,
    })
}

fn track(ids: &mut TrackIds, kind: MediaKind) -> SubscribedTrack {
    SubscribedTrack {
        track: ids.next(),
        participant: ParticipantId(9),
        home: 0,
        kind,
        codecs: Vec::new(),
    }
}

/// What the server's core was told last of what it receives and sends.
#[derive(Default)]
struct Told {
    receivers: Vec<ReceiveParameters>,
    senders: Vec<SendParameters>,
    role: Option<DtlsRole>,
}

fn told(server: &mut Negotiation) -> Told {
    let mut told = Told::default();
    while let Some(command) = server.poll_command() {
        match command {
            Command::SetReceiver {
                parameters: Some(parameters),
                ..
            } => told.receivers.push(parameters),
            Command::SetSender {
                parameters: Some(parameters),
                ..
            } => told.senders.push(parameters),
            Command::SetTransport { transport, .. } => told.role = Some(transport.role),
            _ => {}
        }
    }
    told
}

/// The client offers, the server answers.
fn join(client: &mut Negotiator, server: &mut Negotiation, ids: &mut TrackIds) -> Agreed {
    let offer = client.offer();
    server.handle_offer(&offer, &[], ids).unwrap();
    let answer = server.create_answer().unwrap();
    client.accept_answer(&answer.sdp).unwrap()
}

/// The server offers, the client answers.
fn renew(client: &mut Negotiator, server: &mut Negotiation, ids: &mut TrackIds) -> Agreed {
    let offer = server.create_offer().unwrap();
    let (answer, agreed) = client.answer(&offer.sdp).unwrap();
    server.handle_answer(&answer, &[], ids).unwrap();
    agreed
}

#[test]
fn what_is_published_is_understood_by_the_server() {
    let mut ids = TrackIds::default();
    let (mut client, mut server) = (client(&[SourcePlan::Audio, video(false)], true), server());
    let agreed = join(&mut client, &mut server, &mut ids);
    let told = told(&mut server);
    assert_eq!(agreed.media.senders.len(), 2);
    assert_eq!(told.receivers.len(), 2);
    for (sender, receiver) in agreed.media.senders.iter().zip(&told.receivers) {
        assert_eq!(sender.mid, receiver.mid);
        assert_eq!(sender.source.kind(), receiver.kind);
        let codec = receiver.codecs[0];
        assert_eq!(sender.payload_type, codec.payload_type);
        assert_eq!(sender.rtx_payload_type, codec.rtx);
        assert_eq!(sender.streams[0].ssrc, receiver.ssrcs[0].ssrc);
        if receiver.kind == MediaKind::Video {
            assert_eq!(receiver.ssrcs[0].rtx, Some(sender.streams[0].rtx_ssrc));
            assert!(codec.nack && codec.pli && codec.transport_cc);
        }
    }
    let transport = &agreed.transport;
    assert!(transport.controlling, "the server is ICE-lite");
    assert_eq!(transport.remote_ice, credentials("server"));
    assert_eq!(transport.fingerprints, [fingerprint(2)]);
    assert_eq!(
        transport.candidates,
        ["127.0.0.1:7880".parse::<std::net::SocketAddr>().unwrap()]
    );
    assert_ne!(Some(transport.role), told.role, "one is the client");
    let extensions = &agreed.media.extensions;
    for extension in [
        Extension::Mid,
        Extension::TransportCc,
        Extension::AudioLevel,
    ] {
        assert!(extensions.id(extension).is_some(), "{extension:?}");
    }
    assert!(!client.needs_offer());
}

#[test]
fn tracks_that_come_later_come_on_the_lines_that_there_are_and_on_new_ones() {
    let mut ids = TrackIds::default();
    let (mut client, mut server) = (client(&[SourcePlan::Audio, video(false)], true), server());
    join(&mut client, &mut server, &mut ids);
    for kind in [MediaKind::Audio, MediaKind::Video, MediaKind::Video] {
        server.add_track(track(&mut ids, kind));
    }
    let agreed = renew(&mut client, &mut server, &mut ids);
    let senders = told(&mut server).senders;
    assert_eq!(agreed.media.senders.len(), 2, "it publishes on");
    assert_eq!(agreed.media.receivers.len(), 3);
    assert_eq!(senders.len(), 3);
    for receiver in &agreed.media.receivers {
        let sender = senders
            .iter()
            .find(|sender| sender.ssrc == receiver.ssrc)
            .unwrap();
        assert_eq!((sender.mid, sender.kind), (receiver.mid, receiver.kind));
        let video = sender.kind == MediaKind::Video;
        assert_eq!(sender.rtx_ssrc, receiver.rtx_ssrc);
        assert_eq!(receiver.rtx_ssrc.is_some(), video);
        assert_eq!((receiver.nack, receiver.pli), (video, video));
    }
    // And go again.
    let gone = senders[2].track;
    server.remove_track(gone);
    let agreed = renew(&mut client, &mut server, &mut ids);
    assert_eq!(agreed.media.receivers.len(), 2);
}

#[test]
fn who_only_publishes_is_sent_nothing() {
    let mut ids = TrackIds::default();
    let (mut client, mut server) = (client(&[SourcePlan::Audio], false), server());
    join(&mut client, &mut server, &mut ids);
    server.add_track(track(&mut ids, MediaKind::Audio));
    server.add_track(track(&mut ids, MediaKind::Video));
    let agreed = renew(&mut client, &mut server, &mut ids);
    assert_eq!(agreed.media.receivers, []);
    assert_eq!(agreed.media.senders.len(), 1);
    assert_eq!(server.subscribed().count(), 0);
}

#[test]
fn who_only_receives_can_begin() {
    let mut ids = TrackIds::default();
    let (mut client, mut server) = (client(&[], true), server());
    server.add_track(track(&mut ids, MediaKind::Video));
    let agreed = join(&mut client, &mut server, &mut ids);
    assert_eq!(agreed.media.receivers.len(), 1);
    assert_eq!(server.tracks(), []);
}

#[test]
fn layers_are_known_by_their_ids() {
    let mut ids = TrackIds::default();
    let (mut client, mut server) = (client(&[video(true)], true), server());
    let agreed = join(&mut client, &mut server, &mut ids);
    let receiver = &told(&mut server).receivers[0];
    let rids: Vec<&str> = receiver.rids.iter().map(|rid| rid.as_str()).collect();
    assert_eq!(rids, ["f", "h", "q"]);
    let streams = &agreed.media.senders[0].streams;
    let sent: Vec<&str> = streams
        .iter()
        .map(|s| s.rid.as_ref().unwrap().as_str())
        .collect();
    assert_eq!(sent, rids);
    let extensions = &agreed.media.extensions;
    assert!(extensions.id(Extension::Rid).is_some());
    assert!(extensions.id(Extension::RepairedRid).is_some());
}

#[test]
fn a_server_without_simulcast_gets_the_best_layer_alone() {
    let mut ids = TrackIds::default();
    let (mut client, mut server) = (client(&[video(true)], true), server());
    let offer = client.offer();
    server.handle_offer(&offer, &[], &mut ids).unwrap();
    let answer = server.create_answer().unwrap().sdp;
    let lines = answer
        .lines()
        .filter(|line| !line.contains("simulcast") && !line.contains("a=rid"));
    let answer: String = lines.map(|line| format!("{line}\r\n")).collect();
    let agreed = client.accept_answer(&answer).unwrap();
    let streams = &agreed.media.senders[0].streams;
    let best = StreamSetup {
        rid: None,
        ssrc: 1_000,
        rtx_ssrc: 1_001,
    };
    assert_eq!(streams.as_slice(), [best]);
}

#[test]
fn when_both_offer_the_client_takes_its_own_back_and_offers_again() {
    let mut client = client(&[SourcePlan::Audio], true);
    let mut other = super::tests::client(&[SourcePlan::Audio, video(false)], true);
    client.offer();
    // Somebody else's offer, as a server makes it that begins by itself.
    let theirs = other.offer();
    let (answer, agreed) = client.answer(&theirs).unwrap();
    assert_eq!(agreed.media.senders.len(), 0);
    assert_eq!(agreed.media.receivers.len(), 2);
    assert!(client.needs_offer());
    let back = other.accept_answer(&answer).unwrap();
    assert_eq!(back.media.senders.len(), 2);
    assert_ne!(back.transport.role, agreed.transport.role);
    let renewed = client.offer();
    let (answer, _) = other.answer(&renewed).unwrap();
    let agreed = client.accept_answer(&answer).unwrap();
    assert_eq!(agreed.media.senders.len(), 1);
    assert!(!client.needs_offer());
}

#[test]
fn what_is_not_understood_changes_nothing() {
    let mut client = client(&[SourcePlan::Audio], true);
    assert_eq!(
        client.accept_answer("v=0\r\n").unwrap_err(),
        NegotiatorError::UnexpectedAnswer
    );
    client.offer();
    for bad in [
        "",
        "v=0",
        "hello",
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n",
    ] {
        client.accept_answer(bad).unwrap_err();
        client.answer(bad).unwrap_err();
    }
    // The offer still waits for its answer.
    assert!(!client.needs_offer());
}

#[test]
fn candidates_are_taken_from_lines_and_from_trickling() {
    for text in [
        "a=candidate:1 1 udp 2130706431 192.0.2.1 7880 typ host",
        "candidate:1 1 UDP 2130706431 192.0.2.1 7880 typ host generation 0\r\n",
    ] {
        assert_eq!(parse_candidate(text), "192.0.2.1:7880".parse().ok());
    }
    for text in [
        "",
        "candidate:",
        "candidate:1 2 udp 1 192.0.2.1 7880 typ host",
        "candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active",
        "candidate:1 1 udp 1 a9bc.local 48329 typ host",
    ] {
        assert_eq!(parse_candidate(text), None, "{text}");
    }
}
