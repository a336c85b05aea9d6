//! Damaged descriptions: whatever a stranger sends, nothing panics, and an error leaves all as it was.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::fixtures::OFFERS;
use super::{negotiation, track};
use crate::negotiation::{Negotiation, TrackIds};
use crate::rtp::MediaKind;

/// One way to damage a description.
#[derive(Clone, Debug)]
enum Damage {
    DropLine(usize),
    RepeatLine(usize),
    SwapLines(usize, usize),
    Byte(usize, u8),
    Insert(usize, String),
    Cut(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<usize>().prop_map(Damage::DropLine),
        any::<usize>().prop_map(Damage::RepeatLine),
        any::<(usize, usize)>().prop_map(|(a, b)| Damage::SwapLines(a, b)),
        (any::<usize>(), 0x20..0x7f_u8).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        (any::<usize>(), "\\PC{0,12}").prop_map(|(at, text)| Damage::Insert(at, text)),
        any::<usize>().prop_map(Damage::Cut),
    ]
}

fn apply(sdp: &str, damages: &[Damage]) -> String {
    let mut lines: Vec<String> = sdp.lines().map(str::to_owned).collect();
    for damage in damages {
        let count = lines.len().max(1);
        match damage {
            Damage::DropLine(at) if !lines.is_empty() => drop(lines.remove(at % count)),
            Damage::RepeatLine(at) if !lines.is_empty() => {
                lines.insert(at % count, lines[at % count].clone());
            }
            Damage::SwapLines(a, b) if !lines.is_empty() => lines.swap(a % count, b % count),
            Damage::Byte(at, byte) => {
                if let Some(line) = lines
                    .get_mut(at % count)
                    .filter(|l| l.is_ascii() && !l.is_empty())
                {
                    let place = (at / count) % line.len();
                    line.replace_range(place..=place, &char::from(*byte).to_string());
                }
            }
            Damage::Insert(at, text) => {
                if let Some(line) = lines.get_mut(at % count) {
                    line.push_str(text);
                }
            }
            Damage::Cut(at) => lines.truncate(at % (2 * count) + 1),
            _ => {}
        }
    }
    lines.join("\r\n")
}

/// All that can be seen of a negotiation.
fn look(negotiation: &Negotiation) -> String {
    format!(
        "{:?} {:?} {:?} {:?}",
        negotiation.signaling_state(),
        negotiation.tracks(),
        negotiation.subscribed().collect::<Vec<_>>(),
        negotiation.outstanding_offer(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases / 2,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_damaged_offer_changes_nothing_unless_it_is_right(
        first in 0..OFFERS.len(),
        second in 0..OFFERS.len(),
        damages in prop::collection::vec(damage(), 1..6),
    ) {
        let (mut server, mut ids) = (negotiation(), TrackIds::default());
        server.add_track(track(70, MediaKind::Video));
        server.handle_offer(OFFERS[first].1, &[], &mut ids).unwrap();
        server.create_answer().unwrap();
        while server.poll_command().is_some() {}
        let before = look(&server);
        if server.handle_offer(&apply(OFFERS[second].1, &damages), &[], &mut ids).is_ok() {
            server.create_answer().unwrap();
        } else {
            prop_assert_eq!(look(&server), before);
            prop_assert!(server.poll_command().is_none());
        }
        // As an answer it never panics either.
        server.add_track(track(71, MediaKind::Video));
        server.add_track(track(72, MediaKind::Video));
        server.create_offer();
        let before = look(&server);
        let again = server.handle_answer(&apply(OFFERS[second].1, &damages), &[], &mut ids);
        if again.is_err() {
            prop_assert_eq!(look(&server), before);
        }
        // And the call goes on.
        server.rollback();
        prop_assert!(server.create_offer().is_some() || again.is_ok());
    }

    #[test]
    fn no_text_panics(text in "(v=0\r\no=- 1 1 IN IP4 0\r\n)?([vomastkbc]=\\PC{0,40}\r?\n?){0,40}") {
        let _ = negotiation().handle_offer(&text, &[], &mut TrackIds::default());
        let _ = negotiation().handle_candidate(&text, Some(&text), Some(0), Some(&text));
    }
}

/// Text as long as it may be, made of whatever could be looked up again and again.
#[test]
fn long_descriptions_take_no_longer_than_their_length() {
    let head = "v=0\r\no=- 1 1 IN IP4 0\r\na=group:BUNDLE ";
    let mids: String = (0..20_000).map(|mid| format!("{mid} ")).collect();
    let media = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=rtcp-mux\r\na=mid:0\r\na=ice-ufrag:abcd\r\n";
    let repeat = |line: &str| line.repeat(190_000 / line.len());
    let group = format!("{head}{mids}\r\n")
        + &(0..900)
            .map(|mid| format!("m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:{mid}\r\n"))
            .collect::<String>();
    let ssrcs: String = (0..9_000)
        .map(|ssrc| format!("a=ssrc:{ssrc} cname:x\r\n"))
        .collect();
    let extensions: String = (0..9_000)
        .map(|id| format!("a=extmap:{} x\r\n", id % 256))
        .collect();
    let started = Instant::now();
    for text in [
        repeat("m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"),
        repeat("a=mid:1\r\n"),
        format!("m=audio 9 UDP/TLS/RTP/SAVPF {}\r\n", repeat("0 ")),
        repeat("a=rtpmap:96 VP8/90000\r\n"),
        repeat("a=rid:a send\r\n"),
        format!("a=simulcast:send {}\r\n", repeat("a,a;")),
        ssrcs,
        extensions,
        repeat("\r\n"),
    ] {
        let sdp = format!("{head}0\r\n{media}{text}");
        let _ = negotiation().handle_offer(&sdp, &[], &mut TrackIds::default());
    }
    let _ = negotiation().handle_offer(&group, &[], &mut TrackIds::default());
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
}
