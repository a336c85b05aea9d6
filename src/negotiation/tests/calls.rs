//! Whole calls, step by step, and what each kind of wrong input gets.

use super::browser::{Browser, Flavor};
use super::view::view;
use super::{negotiation, track};
use crate::negotiation::{
    Negotiation, NegotiationError, SignalingState, Source, SubscribedTrack, TrackIds,
};
use crate::rtp::{Codec, MediaKind};
use crate::shard::{Command, DtlsRole, TrackId};

/// An offer with one audio and one video m-line, both `direction`.
fn offer(direction: &str) -> String {
    let transport = format!(
        "a=ice-ufrag:abcd\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaa\r\na=fingerprint:sha-256 AB{}\r\na=setup:actpass\r\n",
        ":CD".repeat(31)
    );
    format!(
        "v=0\r\no=- 5 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111 63 0\r\nc=IN IP4 0.0.0.0\r\n{transport}a=mid:0\r\na={direction}\r\n\
         a=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1;usedtx=1\r\n\
         a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:0 PCMU/8000\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\n{transport}a=mid:1\r\na={direction}\r\n\
         a=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n\
         a=rtcp-fb:96 goog-remb\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n"
    )
}

fn commands(negotiation: &mut Negotiation) -> Vec<Command> {
    std::iter::from_fn(|| negotiation.poll_command()).collect()
}

#[test]
fn a_one_to_one_call_takes_one_offer_and_one_answer_a_side() {
    let mut ids = TrackIds::default();
    let (mut caller, mut callee) = (negotiation(), negotiation());
    caller
        .handle_offer(&offer("sendrecv"), &[], &mut ids)
        .unwrap();
    assert_eq!(caller.signaling_state(), SignalingState::HaveRemoteOffer);
    assert!(
        commands(&mut caller).is_empty(),
        "nothing happens while it rings"
    );

    // It rings: the callee is offered what the caller publishes.
    for track in caller.tracks() {
        callee.add_track(SubscribedTrack {
            track: track.track,
            participant: crate::shard::ParticipantId(9),
            home: 0,
            kind: track.kind,
            codecs: track.codecs.clone(),
        });
    }
    let ring = callee.create_offer().unwrap();
    let lines = view(&ring.sdp).lines;
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line.send && line.receive));
    let names = |line: usize| -> Vec<&str> {
        let codecs = lines[line].codecs.iter();
        codecs
            .map(|(_, map)| map.split('/').next().unwrap())
            .collect()
    };
    assert_eq!(names(0), ["red", "opus", "PCMU"]);
    assert_eq!(names(1), ["VP8"], "only what the caller can send");

    // The callee accepts with tracks of its own on the same m-lines.
    let mut browser = Browser::new(Flavor::Chromium);
    browser.add_track(MediaKind::Audio);
    browser.add_track(MediaKind::Video);
    let answer = browser.answer(&ring.sdp);
    callee.handle_answer(&answer, &[], &mut ids).unwrap();
    assert_eq!(callee.tracks().len(), 2);
    assert_eq!(callee.subscribed().count(), 2);
    assert!(!browser.needs_negotiation());

    for (kind, published) in [MediaKind::Audio, MediaKind::Video]
        .iter()
        .zip(callee.tracks())
    {
        assert_eq!(published.kind, *kind);
        caller.add_track(track(published.track.0, published.kind));
    }
    let answer = caller.create_answer().unwrap();
    assert_eq!(answer.tracks.len(), 2);
    assert!(
        view(&answer.sdp)
            .lines
            .iter()
            .all(|line| line.send && line.receive)
    );
    assert!(!caller.needs_offer() && !callee.needs_offer());
}

/// MDN's sample answers `recvonly` and at once offers m-lines of its own.
#[test]
fn the_samples_callee_offers_its_own_m_lines() {
    let mut ids = TrackIds::default();
    let mut server = negotiation();
    server.add_track(track(50, MediaKind::Audio));
    server.add_track(track(51, MediaKind::Video));
    let ring = server.create_offer().unwrap();
    let mut sample = Browser::new(Flavor::Chromium);
    let answer = sample.answer(&ring.sdp);
    sample.add_transceiver(MediaKind::Audio, (true, true));
    sample.add_transceiver(MediaKind::Video, (true, true));
    server.handle_answer(&answer, &[], &mut ids).unwrap();
    assert!(server.tracks().is_empty());
    let own = sample.offer();
    server.handle_offer(&own, &[], &mut ids).unwrap();
    sample.accept(&server.create_answer().unwrap().sdp);
    assert_eq!(server.tracks().len(), 2);
    assert_eq!(server.subscribed().count(), 2);
    assert!(!sample.needs_negotiation() && !server.needs_offer());
}

#[test]
fn the_answer_mirrors_what_it_accepts() {
    let mut ids = TrackIds::default();
    let mut server = negotiation();
    server
        .handle_offer(&offer("sendrecv"), &[], &mut ids)
        .unwrap();
    server.add_track(track(70, MediaKind::Video));
    let answer = server.create_answer().unwrap();
    for expected in [
        "a=ice-lite",
        "a=group:BUNDLE 0 1",
        "m=audio 7880 UDP/TLS/RTP/SAVPF 63 111 0",
        "m=video 7880 UDP/TLS/RTP/SAVPF 96 97",
        "c=IN IP4 192.0.2.1",
        "a=candidate:1 1 udp 2130706431 192.0.2.1 7880 typ host",
        "a=candidate:2 1 udp 2130706175 2001:db8::1 7880 typ host",
        "a=end-of-candidates",
        "a=setup:passive",
        "a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1",
        "a=fmtp:63 111/111",
        "a=rtcp-fb:96 nack",
        "a=rtcp-fb:96 nack pli",
        "a=rtcp-fb:96 goog-remb",
        "a=fmtp:97 apt=96",
        "a=rtcp-rsize",
        "a=msid:9 t70",
        "a=recvonly",
        "a=sendrecv",
    ] {
        assert!(
            answer.sdp.lines().any(|line| line == expected),
            "{expected}\n{}",
            answer.sdp
        );
    }
    assert_eq!(answer.sdp.matches("a=rtcp-rsize").count(), 1);
    assert_eq!(answer.tracks, [("1".parse().unwrap(), TrackId(70))]);
    let commands = commands(&mut server);
    assert!(matches!(
        &commands[0],
        Command::SetTransport { transport, .. } if transport.role == DtlsRole::Server
    ));
    let sent = commands.iter().find_map(|command| match command {
        Command::SetSender { parameters, .. } => parameters.as_ref(),
        _ => None,
    });
    let sent = sent.unwrap();
    assert!(answer.sdp.contains(&format!(
        "a=ssrc-group:FID {} {}",
        sent.ssrc,
        sent.rtx_ssrc.unwrap()
    )));
    assert_eq!(
        (sent.codecs[0].codec, sent.codecs[0].rtx),
        (Codec::Vp8, Some(97))
    );
}

/// The lines of a description about feedback for bandwidth estimates.
fn about_bandwidth(sdp: &str) -> Vec<&str> {
    let about = |line: &&str| line.ends_with("transport-cc") || line.ends_with("goog-remb");
    sdp.lines().filter(about).collect()
}

#[test]
fn the_receivers_own_estimate_is_agreed_where_there_is_no_better_feedback() {
    let answer = |offer: &str| {
        let mut server = negotiation();
        server
            .handle_offer(offer, &[], &mut TrackIds::default())
            .unwrap();
        server.create_answer().unwrap().sdp
    };
    let without = offer("sendrecv");
    assert_eq!(
        about_bandwidth(&answer(&without)),
        ["a=rtcp-fb:96 goog-remb"]
    );
    let every = without.replace("a=rtcp-fb:96 goog-remb", "a=rtcp-fb:* goog-remb");
    assert_eq!(about_bandwidth(&answer(&every)), ["a=rtcp-fb:96 goog-remb"]);
    let both = without.replace(
        "a=rtcp-fb:96 goog-remb",
        "a=rtcp-fb:96 goog-remb\r\na=rtcp-fb:96 transport-cc",
    );
    assert_eq!(
        about_bandwidth(&answer(&both)),
        ["a=rtcp-fb:96 transport-cc"]
    );
    let neither = without.replace("a=rtcp-fb:96 goog-remb\r\n", "");
    assert!(about_bandwidth(&answer(&neither)).is_empty());
}

#[test]
fn a_client_that_is_offered_both_kinds_of_feedback_takes_what_it_has() {
    for (taken, left) in [("transport-cc", "goog-remb"), ("goog-remb", "transport-cc")] {
        let mut server = negotiation();
        let mut offered = track(70, MediaKind::Video);
        offered.codecs = vec![Codec::Vp8];
        server.add_track(offered);
        let first = server.create_offer().unwrap().sdp;
        let both = ["a=rtcp-fb:96 transport-cc", "a=rtcp-fb:96 goog-remb"];
        assert_eq!(about_bandwidth(&first), both);
        let mut browser = Browser::new(Flavor::Chromium);
        let answer = browser.answer(&first);
        let answer: Vec<&str> = answer
            .lines()
            .filter(|line| !line.ends_with(left))
            .collect();
        let mut answer = answer.join("\r\n") + "\r\n";
        if !answer.contains(taken) {
            answer = answer.replace(
                "a=rtpmap:96 VP8/90000\r\n",
                &format!("a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 {taken}\r\n"),
            );
        }
        let mut ids = TrackIds::default();
        server.handle_answer(&answer, &[], &mut ids).unwrap();
        server.add_track(track(71, MediaKind::Video));
        let again = server.create_offer().unwrap().sdp;
        let of_vp8: Vec<_> = about_bandwidth(&again)
            .into_iter()
            .filter(|line| line.starts_with("a=rtcp-fb:96 "))
            .collect();
        assert_eq!(of_vp8, [format!("a=rtcp-fb:96 {taken}").as_str(); 2]);
    }
}

#[test]
fn a_track_that_starts_again_is_another() {
    let mut ids = TrackIds::default();
    let mut server = negotiation();
    let negotiate = |server: &mut Negotiation, ids: &mut TrackIds, direction: &str| {
        server.handle_offer(&offer(direction), &[], ids).unwrap();
        server.create_answer().unwrap();
        server.tracks().iter().map(|t| t.track).collect::<Vec<_>>()
    };
    let first = negotiate(&mut server, &mut ids, "sendrecv");
    assert_eq!(negotiate(&mut server, &mut ids, "sendrecv"), first);
    assert!(negotiate(&mut server, &mut ids, "recvonly").is_empty());
    let second = negotiate(&mut server, &mut ids, "sendonly");
    assert!(second.iter().all(|track| !first.contains(track)));
}

#[test]
fn the_source_is_what_the_client_says_last() {
    let mut ids = TrackIds::default();
    let mut server = negotiation();
    let (audio, video) = ("0".parse().unwrap(), "1".parse().unwrap());
    let mut voice = None;
    let sources =
        |server: &Negotiation| server.tracks().iter().map(|t| t.source).collect::<Vec<_>>();
    for (said, expected) in [
        (vec![], [Source::Microphone, Source::Camera]),
        (
            vec![(video, Source::Screen)],
            [Source::Microphone, Source::Screen],
        ),
        (
            vec![(audio, Source::ScreenAudio)],
            [Source::ScreenAudio, Source::Screen],
        ),
        // A camera does not come on an audio m-line.
        (
            vec![(audio, Source::Camera)],
            [Source::ScreenAudio, Source::Screen],
        ),
    ] {
        server
            .handle_offer(&offer("sendrecv"), &said, &mut ids)
            .unwrap();
        assert_eq!(sources(&server), expected);
        server.create_answer().unwrap();
        assert_eq!(sources(&server), expected);
        // The core is told of a change, though all else stays.
        for command in commands(&mut server) {
            match command {
                Command::SetReceiver {
                    parameters: Some(parameters),
                    mid,
                    ..
                } if mid == audio => voice = Some(parameters.voice),
                _ => {}
            }
        }
        assert_eq!(voice, Some(expected[0] == Source::Microphone));
    }
}

#[test]
fn an_ice_restart_of_the_clients_changes_both_sides_credentials() {
    let mut ids = TrackIds::default();
    let mut server = negotiation();
    server
        .handle_offer(&offer("sendrecv"), &[], &mut ids)
        .unwrap();
    let first = server.create_answer().unwrap().sdp;
    assert!(first.contains("a=ice-ufrag:srvr\r\n"));
    server
        .handle_offer(&offer("sendrecv"), &[], &mut ids)
        .unwrap();
    assert!(
        server
            .create_answer()
            .unwrap()
            .sdp
            .contains("a=ice-ufrag:srvr\r\n")
    );
    commands(&mut server);
    let restart = offer("sendrecv")
        .replace("a=ice-ufrag:abcd", "a=ice-ufrag:efgh")
        .replace("a=ice-pwd:aaaa", "a=ice-pwd:bbbb");
    server.handle_offer(&restart, &[], &mut ids).unwrap();
    let third = server.create_answer().unwrap().sdp;
    assert!(!third.contains("a=ice-ufrag:srvr\r\n"));
    let told = commands(&mut server);
    let [Command::SetTransport { transport, .. }] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(transport.remote_ice.ufrag, "efgh");
    assert!(third.contains(&format!(
        "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n",
        transport.local_ice.ufrag, transport.local_ice.pwd
    )));
}

#[test]
fn a_peer_that_moved_keeps_its_credentials_until_a_restart_names_its_new_shard() {
    let mut ids = TrackIds::default();
    let mut server = negotiation();
    server
        .handle_offer(&offer("sendrecv"), &[], &mut ids)
        .unwrap();
    server.create_answer().unwrap();
    let before = commands(&mut server);
    assert_eq!(server.begin_anew('B').ufrag, "srvr");
    let again = commands(&mut server);
    assert_eq!(format!("{again:?}"), format!("{before:?}"));
    let restart = offer("sendrecv").replace("a=ice-ufrag:abcd", "a=ice-ufrag:efgh");
    server.handle_offer(&restart, &[], &mut ids).unwrap();
    let restarted = server.create_answer().unwrap().sdp;
    assert!(restarted.contains("a=ice-ufrag:Brvr"), "{restarted}");
}

#[test]
fn glare_is_ours() {
    let mut ids = TrackIds::default();
    let mut server = negotiation();
    server.add_track(track(50, MediaKind::Audio));
    let outstanding = server.create_offer().unwrap();
    let glare = server.handle_offer(&offer("sendrecv"), &[], &mut ids);
    assert_eq!(glare, Err(NegotiationError::Glare));
    assert_eq!(server.outstanding_offer(), Some(&outstanding));
    assert_eq!(
        server.create_answer().err(),
        Some(NegotiationError::NoOffer)
    );
    server.rollback();
    assert!(
        server.needs_offer(),
        "what it wanted to say is still to be said"
    );
}

#[test]
fn a_rejected_offer_leaves_nothing() {
    let mut ids = TrackIds::default();
    let mut server = negotiation();
    server
        .handle_offer(&offer("sendrecv"), &[], &mut ids)
        .unwrap();
    assert_eq!(server.tracks().len(), 2);
    // The same offer again, as after a resume: the same tracks.
    let before = server.tracks().to_vec();
    server
        .handle_offer(&offer("sendrecv"), &[], &mut ids)
        .unwrap();
    assert_eq!(server.tracks(), before);
    server.reject_offer();
    assert!(server.tracks().is_empty() && commands(&mut server).is_empty());
    assert_eq!(server.signaling_state(), SignalingState::Stable);
}

/// RFC 9429 section 5.2.2: a stopped m-line is used again, under another mid.
#[test]
fn stopped_m_lines_are_recycled() {
    let mut ids = TrackIds::default();
    let mut server = negotiation();
    let mut browser = Browser::new(Flavor::Firefox);
    browser.add_track(MediaKind::Audio);
    browser.add_track(MediaKind::Video);
    let mut agree = |server: &mut Negotiation, browser: &mut Browser| {
        let offer = browser.offer();
        server.handle_offer(&offer, &[], &mut ids).unwrap();
        browser.accept(&server.create_answer().unwrap().sdp);
    };
    agree(&mut server, &mut browser);
    browser.stop(1);
    agree(&mut server, &mut browser);
    server.add_track(track(70, MediaKind::Video));
    server.add_track(track(71, MediaKind::Audio));
    let offer = server.create_offer().unwrap();
    let lines = view(&offer.sdp).lines;
    let mids: Vec<_> = lines
        .iter()
        .map(|line| line.mid.as_deref().unwrap())
        .collect();
    assert_eq!(mids, ["0", "s0"]);
    assert_eq!(lines[1].msid.as_deref(), Some("9 t70"));
    assert_eq!(lines[0].msid.as_deref(), Some("9 t71"));
}

#[test]
fn a_track_that_is_removed_stops_before_anything_is_negotiated() {
    let mut ids = TrackIds::default();
    let mut server = negotiation();
    server.add_track(track(70, MediaKind::Video));
    server
        .handle_offer(&offer("recvonly"), &[], &mut ids)
        .unwrap();
    server.create_answer().unwrap();
    commands(&mut server);
    server.remove_track(TrackId(70));
    let commands = commands(&mut server);
    assert!(matches!(
        commands.as_slice(),
        [Command::SetSender {
            parameters: None,
            ..
        }]
    ));
    // Its m-line is silent for one description, so that `removetrack` fires, before another uses it.
    server.add_track(track(71, MediaKind::Video));
    let silent = server.create_offer().unwrap();
    assert!(silent.tracks.is_empty());
    assert_eq!(view(&silent.sdp).lines.len(), 2);
}

#[test]
fn wrong_offers_are_named_by_their_line_and_change_nothing() {
    let good = offer("sendrecv");
    let fingerprint = format!("a=fingerprint:sha-256 AB{}", ":CD".repeat(31));
    for (wrong, line, reason) in [
        (String::new(), 0, "the description is empty"),
        (good.replace("v=0", "v=1"), 1, "starts with `v=0`"),
        (good.replace("o=- 5 1", "o=- 5 x"), 2, "an origin is"),
        (good.replace("s=-", "nonsense"), 3, "a line must look like"),
        (
            good.replace("a=group:BUNDLE 0 1\r\n", ""),
            5,
            "a=group:BUNDLE",
        ),
        (good.replacen("m=audio 9", "m=audio nine", 1), 6, "port"),
        (good.replacen("111 63 0", "111 300 0", 1), 6, "payload type"),
        (
            good.replacen("a=ice-ufrag:abcd", "a=ice-ufrag:a", 1),
            8,
            "ice-ufrag",
        ),
        (
            good.replacen("a=ice-pwd:aaaa", "a=ice-pwd:!", 1),
            9,
            "ice-pwd",
        ),
        (
            good.replacen(&fingerprint, "a=fingerprint:sha-256 AB", 1),
            10,
            "digest",
        ),
        (
            good.replacen(&fingerprint, "a=fingerprint:md5 AB", 1),
            6,
            "a=fingerprint",
        ),
        (
            good.replacen("a=setup:actpass", "a=setup:holdconn", 1),
            11,
            "a=setup",
        ),
        (good.replace("a=mid:1", "a=mid:0"), 20, "same a=mid"),
        (good.replace("a=mid:1", "a=mid: "), 26, "a mid is"),
        (
            format!("{good}a=ssrc:1 msid:a b\r\na=ssrc:2 msid:a c\r\n"),
            37,
            "Plan B",
        ),
    ] {
        let mut ids = TrackIds::default();
        let mut server = negotiation();
        server.add_track(track(70, MediaKind::Video));
        let error = server.handle_offer(&wrong, &[], &mut ids).unwrap_err();
        let NegotiationError::BadSdp(error) = error else {
            panic!("{error}");
        };
        assert_eq!(error.line, line, "{error}");
        assert!(error.to_string().contains(reason), "{error}");
        assert!(!error.to_string().contains("ice-pwd:!"), "{error}");
        assert_eq!(server.signaling_state(), SignalingState::Stable);
        assert!(server.tracks().is_empty());
        assert!(commands(&mut server).is_empty());
    }
}

#[test]
fn limits_are_kept() {
    let mut ids = TrackIds::default();
    let mut server = negotiation();
    server
        .handle_offer(&offer("sendrecv"), &[], &mut ids)
        .unwrap();
    server.create_answer().unwrap();
    let before = server.tracks().to_vec();
    let mut many = offer("sendrecv");
    let video = many[many.find("m=video").unwrap()..].to_owned();
    let mut mids = "BUNDLE 0 1".to_owned();
    for mid in 2..20 {
        many += &video.replace("a=mid:1", &format!("a=mid:{mid}"));
        mids += &format!(" {mid}");
    }
    let many = many.replace("BUNDLE 0 1", &mids);
    let error = server.handle_offer(&many, &[], &mut ids);
    assert_eq!(error, Err(NegotiationError::TooManyTracks(16)));
    assert_eq!(server.tracks(), before);
    assert_eq!(server.signaling_state(), SignalingState::Stable);
    let long = offer("sendrecv") + &"a=x\r\n".repeat(50_000);
    assert!(matches!(
        server.handle_offer(&long, &[], &mut ids),
        Err(NegotiationError::BadSdp(_))
    ));
}

#[test]
fn what_is_not_served_is_rejected_by_its_m_line() {
    let mut ids = TrackIds::default();
    let mut server = negotiation();
    let sdp = offer("sendrecv")
        + "m=application 9 DTLS/SCTP 5000\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\na=sctpmap:5000 webrtc-datachannel 1024\r\n\
           m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:3\r\na=sctp-port:5000\r\n\
           m=text 9 UDP/TLS/RTP/SAVPF 98\r\nc=IN IP4 0.0.0.0\r\na=mid:4\r\n\
           m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=mid:5\r\na=rtcp-mux\r\n";
    let sdp = sdp.replace("BUNDLE 0 1", "BUNDLE 0 1 2 3 4");
    server.handle_offer(&sdp, &[], &mut ids).unwrap();
    let answer = view(&server.create_answer().unwrap().sdp);
    let ports: Vec<_> = answer.lines.iter().map(|line| line.port != 0).collect();
    assert_eq!(ports, [true, true, false, true, false, false]);
    assert_eq!(answer.bundle, ["0", "1", "3"]);
    assert_eq!(server.tracks().len(), 2);
}

#[test]
fn an_m_line_that_is_rejected_keeps_its_mid_unless_another_has_it() {
    let mut ids = TrackIds::default();
    let rejected = offer("sendrecv").replacen("m=audio 9", "m=audio 0", 1);
    let unnamed = rejected.replacen("a=mid:0\r\n", "", 1);
    for (sdp, mids) in [
        (unnamed.clone(), [Some("0"), Some("1")]),
        // The second m-line begins anew, with the mid of the first.
        (unnamed.replace("a=mid:1", "a=mid:0"), [None, Some("0")]),
    ] {
        let mut server = negotiation();
        server
            .handle_offer(&offer("sendrecv"), &[], &mut ids)
            .unwrap();
        server.create_answer().unwrap();
        // So that it may have another mid.
        let ended = offer("sendrecv").replacen("m=video 9", "m=video 0", 1);
        server.handle_offer(&ended, &[], &mut ids).unwrap();
        server.create_answer().unwrap();
        server.handle_offer(&sdp, &[], &mut ids).unwrap();
        let answer = view(&server.create_answer().unwrap().sdp);
        assert_eq!(answer.lines[0].port, 0);
        let answered = answer.lines.iter().map(|line| line.mid.as_deref());
        assert_eq!(answered.collect::<Vec<_>>(), mids);
        assert_eq!(answer.bundle, [mids[1].unwrap()]);
    }
}

#[test]
fn the_certificate_and_the_role_stay() {
    let mut ids = TrackIds::default();
    let mut server = negotiation();
    server
        .handle_offer(&offer("sendrecv"), &[], &mut ids)
        .unwrap();
    server.create_answer().unwrap();
    let other = offer("sendrecv").replace("sha-256 AB", "sha-256 AC");
    let error = server.handle_offer(&other, &[], &mut ids).unwrap_err();
    assert!(error.to_string().contains("fingerprint"), "{error}");
    let other = offer("sendrecv").replace("a=setup:actpass", "a=setup:passive");
    while server.poll_command().is_some() {}
    server.handle_offer(&other, &[], &mut ids).unwrap();
    let answer = server.create_answer().unwrap();
    assert!(answer.sdp.contains("a=setup:passive"), "{}", answer.sdp);
    let commands = std::iter::from_fn(|| server.poll_command());
    let roles: Vec<_> = commands
        .filter_map(|command| match command {
            Command::SetTransport { transport, .. } => Some(transport.role),
            _ => None,
        })
        .collect();
    assert!(roles.iter().all(|role| *role == DtlsRole::Server));
}
