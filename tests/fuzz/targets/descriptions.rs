//! Descriptions for the fuzzer to begin with: those of real browsers, ones that are put together, and the answer that a
//! browser would give; and ways to change them line by line.

use super::input::Input;

/// A fixture of the negotiation's own tests.
macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../src/negotiation/fixtures/", $name, ".sdp"))
    };
}

/// What Chromium and Firefox said.
const FIXTURES: [&str; 20] = [
    fixture!("chromium-audio-video"),
    fixture!("chromium-audio-video-screen-data"),
    fixture!("chromium-stopped-and-removed"),
    fixture!("chromium-recycled"),
    fixture!("chromium-ice-restart"),
    fixture!("chromium-simulcast"),
    fixture!("chromium-data-channel"),
    fixture!("chromium-recvonly-max-bundle"),
    fixture!("chromium-empty"),
    fixture!("chromium-answer"),
    fixture!("firefox-audio-video"),
    fixture!("firefox-audio-video-screen-data"),
    fixture!("firefox-stopped-and-removed"),
    fixture!("firefox-recycled"),
    fixture!("firefox-ice-restart"),
    fixture!("firefox-simulcast"),
    fixture!("firefox-data-channel"),
    fixture!("firefox-recvonly-max-bundle"),
    fixture!("firefox-empty"),
    fixture!("firefox-answer"),
];

/// Lines that change what a description means.
const LINES: [&str; 48] = [
    "a=sendrecv",
    "a=sendonly",
    "a=recvonly",
    "a=inactive",
    "a=rtcp-mux",
    "a=bundle-only",
    "a=ice-lite",
    "a=extmap-allow-mixed",
    "a=setup:active",
    "a=setup:passive",
    "a=setup:actpass",
    "a=setup:holdconn",
    "a=mid:0",
    "a=mid:1",
    "a=mid:",
    "a=group:BUNDLE 0",
    "a=group:BUNDLE 0 1 2",
    "a=group:BUNDLE",
    "a=group:LS 0 1",
    "a=ice-ufrag:abcd",
    "a=ice-ufrag:x",
    "a=ice-pwd:0123456789abcdefghijkl",
    "a=fingerprint:sha-256 00",
    "a=fingerprint:sha-1 00:11",
    "a=rtpmap:96 VP8/90000",
    "a=rtpmap:96 opus/48000/2",
    "a=rtpmap:97 rtx/90000",
    "a=rtpmap:98 red/48000/2",
    "a=rtpmap:200 VP9/90000",
    "a=fmtp:97 apt=96",
    "a=fmtp:97 apt=97",
    "a=fmtp:98 111/111",
    "a=fmtp:96 profile-level-id=42e01f;packetization-mode=1",
    "a=rtcp-fb:* nack",
    "a=rtcp-fb:96 transport-cc",
    "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
    "a=extmap:0 urn:ietf:params:rtp-hdrext:sdes:mid",
    "a=extmap:15/sendonly urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "a=rid:h send",
    "a=rid:h recv pt=96",
    "a=simulcast:send h;~m,l",
    "a=simulcast:recv h",
    "a=ssrc:1 cname:x",
    "a=ssrc-group:FID 1 2",
    "a=msid:s t",
    "a=sctp-port:5000",
    "a=max-message-size:0",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
];

/// Changes of one description.
const MAX_CHANGES: u8 = 8;

/// A description out of the input. `ours` is the server's last one, which it may answer.
pub(super) fn describe(input: &mut Input<'_>, ours: &str) -> String {
    let text = match input.u8() % 8 {
        0 => String::from_utf8_lossy(input.long_bytes()).into_owned(),
        1 | 2 => answer(input, ours),
        3 => offer(input),
        _ => input.choose(&FIXTURES).to_owned(),
    };
    change(input, text)
}

/// An offer of up to eight m-lines.
pub(super) fn offer(input: &mut Input<'_>) -> String {
    let count = usize::from(input.u8() % 9);
    let choices: Vec<u8> = (0..count).map(|_| input.u8()).collect();
    let mids: Vec<String> = (0..count).map(|mid| mid.to_string()).collect();
    let mut sdp = session(&mids.join(" "), input.u8());
    for (mid, choice) in choices.into_iter().enumerate() {
        if choice >> 5 == 7 {
            sdp += "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n";
            sdp += &transport("actpass", mid);
            sdp += &format!("a=mid:{mid}\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n");
            continue;
        }
        let direction = ["sendrecv", "sendonly", "recvonly", "inactive"][usize::from(choice & 3)];
        let (media, formats) = if choice & 4 == 0 {
            (
                "audio 9 UDP/TLS/RTP/SAVPF 111 63 0",
                "a=rtpmap:111 opus/48000/2\r\na=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n",
            )
        } else {
            (
                "video 9 UDP/TLS/RTP/SAVPF 96 97 98 99",
                "a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=rtcp-fb:96 transport-cc\r\n\
                 a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:98 VP9/90000\r\na=rtpmap:99 AV1/90000\r\n",
            )
        };
        sdp += &format!("m={media}\r\n{}", transport("actpass", mid));
        sdp += &format!("a=mid:{mid}\r\na={direction}\r\na=rtcp-mux\r\na=rtcp-rsize\r\n");
        sdp += "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n";
        sdp += formats;
        if choice & 8 != 0 {
            sdp += &format!(
                "a=msid:stream track{mid}\r\na=ssrc:{} cname:c\r\n",
                1000 + mid
            );
        }
        if choice & 16 != 0 {
            sdp += "a=rid:h send\r\na=rid:l send\r\na=simulcast:send h;l\r\n";
        }
    }
    sdp
}

/// What a browser would answer to `ours`: each m-line again, the directions by the input.
pub(super) fn answer(input: &mut Input<'_>, ours: &str) -> String {
    let mut sections = ours.split("\r\nm=");
    let head = sections.next().unwrap_or_default();
    let bundle = head
        .lines()
        .find_map(|line| line.strip_prefix("a=group:BUNDLE"));
    let mut sdp = session(bundle.unwrap_or_default().trim(), input.u8());
    for (number, section) in sections.enumerate() {
        let mut lines = section.lines();
        sdp += &format!("m={}\r\n", lines.next().unwrap_or_default());
        sdp += &transport("active", number);
        let kept = [
            "a=mid:",
            "a=rtpmap:",
            "a=fmtp:",
            "a=rtcp-fb:",
            "a=extmap:",
            "a=rtcp-mux",
            "a=sctp-port",
        ];
        for line in lines.filter(|line| kept.iter().any(|kept| line.starts_with(kept))) {
            sdp += &format!("{line}\r\n");
        }
        let direction = input.choose(&["recvonly", "sendrecv", "sendonly", "inactive"]);
        sdp += &format!(
            "a={direction}\r\na=msid:stream back{number}\r\na=ssrc:{} cname:c\r\n",
            2000 + number
        );
    }
    sdp
}

fn session(bundle: &str, version: u8) -> String {
    format!(
        "v=0\r\no=- 4611731400430051336 {version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {bundle}\r\n\
         a=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n"
    )
}

fn transport(setup: &str, number: usize) -> String {
    let fingerprint = ["AB"; 32].join(":");
    // Only the first m-line of a bundle needs them; one that has others must not confuse.
    let ufrag = if number < 6 { "4ZcD" } else { "OthE" };
    format!(
        "c=IN IP4 0.0.0.0\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:2/1muCWoOi3uLifh0NuRHlBM\r\n\
         a=fingerprint:sha-256 {fingerprint}\r\na=setup:{setup}\r\n"
    )
}

/// The text with some of its lines changed.
fn change(input: &mut Input<'_>, text: String) -> String {
    let changes = input.u8() % (MAX_CHANGES + 1);
    if changes == 0 {
        return text;
    }
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for _ in 0..changes {
        let choice = input.u8() % 8;
        let at = usize::from(input.u16()) % (lines.len() + 1);
        match (choice, lines.get_mut(at)) {
            (0, Some(_)) => drop(lines.remove(at)),
            (1, Some(line)) => {
                let line = line.clone();
                let to = usize::from(input.u16()) % lines.len();
                lines.insert(to, line);
            }
            (2, Some(_)) => {
                let other = usize::from(input.u16()) % lines.len();
                lines.swap(at, other);
            }
            (3, Some(line)) => {
                // After the colon or the first space stands what is read last.
                let value = line.find([':', ' ']).map_or(line.len(), |colon| colon + 1);
                line.truncate(value);
                line.push_str(&String::from_utf8_lossy(input.bytes()));
            }
            (4, Some(line)) => {
                let mut bytes = std::mem::take(line).into_bytes();
                if let Some(byte) = {
                    let place = usize::from(input.u8()) % bytes.len().max(1);
                    bytes.get_mut(place)
                } {
                    *byte = input.u8();
                }
                *line = String::from_utf8_lossy(&bytes).into_owned();
            }
            (5, _) => lines.insert(at, String::from_utf8_lossy(input.bytes()).into_owned()),
            (6, _) => lines.truncate(at.max(1)),
            (_, _) => lines.insert(at, input.choose(&LINES).to_owned()),
        }
    }
    lines.join("\r\n") + "\r\n"
}
