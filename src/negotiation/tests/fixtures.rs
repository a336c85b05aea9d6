//! Descriptions that Chromium 156 and Firefox 153 made.

use super::view::view;
use super::{config, negotiation, track};
use crate::negotiation::{Config, Negotiation, TrackIds};
use crate::rtp::{Codec, H264Profile, MediaKind};
use crate::shard::{Command, ReceiveParameters};

/// A fixture by its browser and name.
macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../fixtures/", $name, ".sdp"))
    };
}

/// All offers, each browser's in the order of one session where they belong together.
pub(super) const OFFERS: [(&str, &str); 18] = [
    ("chromium audio-video", fixture!("chromium-audio-video")),
    (
        "chromium screen",
        fixture!("chromium-audio-video-screen-data"),
    ),
    ("chromium stopped", fixture!("chromium-stopped-and-removed")),
    ("chromium recycled", fixture!("chromium-recycled")),
    ("chromium restart", fixture!("chromium-ice-restart")),
    ("chromium simulcast", fixture!("chromium-simulcast")),
    ("chromium data", fixture!("chromium-data-channel")),
    (
        "chromium recvonly",
        fixture!("chromium-recvonly-max-bundle"),
    ),
    ("chromium empty", fixture!("chromium-empty")),
    ("firefox audio-video", fixture!("firefox-audio-video")),
    (
        "firefox screen",
        fixture!("firefox-audio-video-screen-data"),
    ),
    ("firefox stopped", fixture!("firefox-stopped-and-removed")),
    ("firefox recycled", fixture!("firefox-recycled")),
    ("firefox restart", fixture!("firefox-ice-restart")),
    ("firefox simulcast", fixture!("firefox-simulcast")),
    ("firefox data", fixture!("firefox-data-channel")),
    ("firefox recvonly", fixture!("firefox-recvonly-max-bundle")),
    ("firefox empty", fixture!("firefox-empty")),
];

fn answer(negotiation: &mut Negotiation, sdp: &str, ids: &mut TrackIds) -> String {
    negotiation.handle_offer(sdp, &[], ids).unwrap();
    negotiation.create_answer().unwrap().sdp
}

fn receivers(negotiation: &mut Negotiation) -> Vec<ReceiveParameters> {
    std::iter::from_fn(|| negotiation.poll_command())
        .filter_map(|command| match command {
            Command::SetReceiver { parameters, .. } => parameters,
            _ => None,
        })
        .collect()
}

#[test]
fn every_offer_gets_an_answer_with_the_same_m_lines() {
    for (name, offer) in OFFERS {
        let mut server = negotiation();
        server.add_track(track(70, MediaKind::Video));
        let answer = answer(&mut server, offer, &mut TrackIds::default());
        let (offered, answered) = (view(offer), view(&answer));
        assert_eq!(offered.lines.len(), answered.lines.len(), "{name}");
        assert_eq!(offered.bundle, answered.bundle, "{name}");
        for (offered, answered) in offered.lines.iter().zip(&answered.lines) {
            assert_eq!(offered.media, answered.media, "{name}");
            assert_eq!(offered.mid, answered.mid, "{name}");
            assert!(offered.receive || !answered.send, "{name}");
            assert_eq!(
                offered.send && answered.port != 0 && offered.media != "application",
                answered.receive,
                "{name}"
            );
            for codec in &answered.codecs {
                let same =
                    |o: &(u8, String)| o.0 == codec.0 && o.1.trim_end_matches("/1") == codec.1;
                assert!(offered.codecs.iter().any(same), "{name} {codec:?}");
            }
        }
    }
}

#[test]
fn a_session_of_either_browser_goes_on_through_screens_stops_and_restarts() {
    for session in [&OFFERS[..5], &OFFERS[9..14]] {
        let (mut server, mut ids) = (negotiation(), TrackIds::default());
        let published: Vec<_> = session
            .iter()
            .map(|(_, offer)| {
                let answer = answer(&mut server, offer, &mut ids);
                (server.tracks().len(), view(&answer).lines.len())
            })
            .collect();
        // The camera is removed and the screen stopped; another takes the stopped m-line.
        assert_eq!(published, [(2, 2), (3, 4), (1, 4), (2, 4), (2, 4)]);
    }
}

#[test]
fn chromiums_codecs_are_all_recognised() {
    let mut server = negotiation();
    answer(&mut server, OFFERS[0].1, &mut TrackIds::default());
    let h264 = |profile, packetization_mode| Codec::H264 {
        profile,
        packetization_mode,
    };
    let receivers = receivers(&mut server);
    let codecs =
        |line: usize| -> Vec<Codec> { receivers[line].codecs.iter().map(|c| c.codec).collect() };
    assert_eq!(
        codecs(0),
        [
            Codec::Red,
            Codec::Opus,
            Codec::G722,
            Codec::Pcmu,
            Codec::Pcma,
            Codec::TelephoneEvent(48_000),
            Codec::TelephoneEvent(8_000),
        ]
    );
    assert_eq!(
        codecs(1),
        [
            Codec::Vp8,
            h264(H264Profile::Baseline, 1),
            h264(H264Profile::Baseline, 0),
            h264(H264Profile::ConstrainedBaseline, 1),
            h264(H264Profile::ConstrainedBaseline, 0),
            h264(H264Profile::Main, 1),
            h264(H264Profile::Main, 0),
            Codec::Av1 { profile: 0 },
            Codec::Vp9 { profile: 0 },
            Codec::Vp9 { profile: 2 },
        ]
    );
    let video = &receivers[1];
    for codec in &video.codecs {
        assert!(codec.rtx.is_some() && codec.nack && codec.pli && codec.fir && codec.transport_cc);
    }
    assert_eq!(video.ssrcs.len(), 1);
    assert!(video.ssrcs[0].rtx.is_some() && video.rids.is_empty());
}

#[test]
fn layers_are_received_by_rid() {
    for (index, list) in [(5, "h;m;~l"), (14, "h;m;l")] {
        let mut server = negotiation();
        let answer = answer(&mut server, OFFERS[index].1, &mut TrackIds::default());
        assert!(
            answer.contains(&format!("a=simulcast:recv {list}\r\n")),
            "{answer}"
        );
        assert!(answer.contains("a=rid:m recv\r\n"));
        let receivers = receivers(&mut server);
        let video = receivers
            .iter()
            .find(|r| r.kind == MediaKind::Video)
            .unwrap();
        let rids: Vec<_> = video.rids.iter().map(ToString::to_string).collect();
        assert_eq!(rids, ["h", "m", "l"]);
        assert!(video.ssrcs.is_empty());
        // A later offer of ours keeps the layers.
        server.add_track(track(70, MediaKind::Video));
        server.add_track(track(71, MediaKind::Video));
        let offer = server.create_offer().unwrap().sdp;
        assert!(
            offer.contains(&format!("a=simulcast:recv {list}\r\n")),
            "{offer}"
        );
    }
}

#[test]
fn a_publisher_of_several_encodings_is_to_say_which_it_sends() {
    let allocation = "video-layers-allocation00";
    let mut server = negotiation();
    let offer = fixture!("chromium-simulcast");
    assert!(offer.contains(allocation));
    let answer = answer(&mut server, offer, &mut TrackIds::default());
    assert!(answer.contains(allocation));
    // Nobody needs to know of us.
    server.add_track(track(70, MediaKind::Video));
    server.add_track(track(71, MediaKind::Video));
    let offer = server.create_offer().unwrap().sdp;
    let ours = offer.split("\r\nm=").last().unwrap();
    assert!(
        ours.starts_with("video") && !ours.contains(allocation),
        "{ours}"
    );
}

#[test]
fn redundant_audio_is_preferred_where_the_client_can_send_it() {
    for (name, sdp) in OFFERS {
        for red in [true, false] {
            let mut server = Negotiation::new(Config { red, ..config() });
            let answer = view(&answer(&mut server, sdp, &mut TrackIds::default()));
            server.add_track(track(80, MediaKind::Audio));
            server.add_track(track(81, MediaKind::Audio));
            let offer = server.create_offer().map(|offer| view(&offer.sdp));
            let lines = answer
                .lines
                .iter()
                .chain(offer.iter().flat_map(|o| &o.lines));
            for line in lines.filter(|line| line.media == "audio" && line.port != 0) {
                let maps: Vec<&str> = line.codecs.iter().map(|(_, map)| map.as_str()).collect();
                let at = |map: &str| maps.iter().position(|other| *other == map);
                let (opus, redundant) = (at("opus/48000/2"), at("red/48000/2"));
                let first = if red { redundant.or(opus) } else { opus };
                assert_eq!(first, Some(0), "{name} {red} {maps:?}");
                assert!(!red || opus <= Some(1), "{maps:?}");
            }
        }
    }
}

/// The lines of a description about the payload type of Opus.
fn about_opus(sdp: &str) -> Vec<&str> {
    let map = sdp.lines().find(|line| line.contains(" opus/48000/2"));
    let number = map.and_then(|line| line.strip_prefix("a=rtpmap:")?.split(' ').next());
    let Some(number) = number else {
        return Vec::new();
    };
    let about = |line: &&str| {
        let rest = line
            .strip_prefix("a=fmtp:")
            .or_else(|| line.strip_prefix("a=rtcp-fb:"));
        rest.is_some_and(|rest| rest.split(' ').next() == Some(number))
    };
    sdp.lines().filter(about).collect()
}

#[test]
fn in_band_fec_stays_in_every_description() {
    for (name, sdp) in OFFERS {
        let mut server = negotiation();
        let answer = answer(&mut server, sdp, &mut TrackIds::default());
        server.add_track(track(80, MediaKind::Audio));
        server.add_track(track(81, MediaKind::Audio));
        let offer = server.create_offer().map(|offer| offer.sdp);
        for own in [Some(answer), offer].iter().flatten() {
            let maps = own.matches(" opus/48000/2").count();
            assert_eq!(own.matches("useinbandfec=1").count(), maps, "{name}\n{own}");
        }
    }
}

#[test]
fn nacks_of_audio_are_agreed_to_and_count_for_red_as_well() {
    let plain = OFFERS[0].1;
    for (with, sdp) in [
        (false, plain.to_owned()),
        (
            true,
            plain.replace(
                "a=rtcp-fb:111 transport-cc\r\n",
                "a=rtcp-fb:111 transport-cc\r\na=rtcp-fb:111 nack\r\n",
            ),
        ),
    ] {
        let mut server = negotiation();
        let answer = answer(&mut server, &sdp, &mut TrackIds::default());
        let agreed = about_opus(&answer).contains(&"a=rtcp-fb:111 nack");
        assert_eq!(agreed, with, "{answer}");
        let receivers = receivers(&mut server);
        for codec in &receivers[0].codecs {
            let is_voice = matches!(codec.codec, Codec::Opus | Codec::Red);
            assert_eq!(codec.nack, with && is_voice, "{codec:?}");
            assert_eq!(codec.transport_cc, is_voice, "{codec:?}");
        }
    }
}

#[test]
fn our_offers_use_the_numbers_that_the_client_uses() {
    for (index, vp8, opus) in [(0, 96, 111), (9, 120, 109)] {
        let mut server = negotiation();
        answer(&mut server, OFFERS[index].1, &mut TrackIds::default());
        for id in 0..3 {
            server.add_track(track(70 + id, MediaKind::Video));
            server.add_track(track(80 + id, MediaKind::Audio));
        }
        let offer = view(&server.create_offer().unwrap().sdp);
        assert_eq!(offer.lines.len(), 6);
        for line in &offer.lines {
            let first = |(_, map): &&(u8, String)| !map.starts_with("red/");
            let (number, map) = line.codecs.iter().find(first).unwrap();
            let expected = if line.media == "video" { vp8 } else { opus };
            assert_eq!(*number, expected, "{map}");
        }
        assert!(
            offer.lines[2..]
                .iter()
                .all(|line| line.send && !line.receive)
        );
    }
}

#[test]
fn a_data_channel_is_taken_and_never_offered() {
    for index in [6, 15] {
        let mut server = negotiation();
        let answer = answer(&mut server, OFFERS[index].1, &mut TrackIds::default());
        assert!(answer.contains("UDP/DTLS/SCTP webrtc-datachannel\r\n"));
        assert!(answer.contains("a=sctp-port:5000\r\na=max-message-size:65536\r\n"));
        let sctp = std::iter::from_fn(|| server.poll_command()).find_map(|command| match command {
            Command::SetTransport { transport, .. } => transport.sctp,
            _ => None,
        });
        assert_eq!(sctp.unwrap().remote_port, 5_000);
    }
}
