//! A browser's half of an SDP exchange: enough of it to be answered, and to answer.

use super::*;

/// An m-line of an offer: kind, direction.
pub(super) type Line = (&'static str, &'static str);

pub(super) const MICROPHONE: Line = ("audio", "sendrecv");
pub(super) const CAMERA: Line = ("video", "sendrecv");

fn session<'a>(mids: impl Iterator<Item = &'a str>) -> String {
    let mids: Vec<&str> = mids.collect();
    format!(
        "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n\
         a=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n",
        mids.join(" ")
    )
}

fn transport(setup: &str) -> String {
    let fingerprint = vec!["AB"; 32].join(":");
    format!(
        "c=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:4ZcD\r\na=ice-pwd:2/1muCWoOi3uLifh0NuRHlBM\r\n\
         a=ice-options:trickle\r\na=fingerprint:sha-256 {fingerprint}\r\na=setup:{setup}\r\n"
    )
}

/// The SDP of an offer with these m-lines, each with its mid.
pub(super) fn offer_sdp(lines: &[(String, Line)]) -> String {
    let mut sdp = session(lines.iter().map(|(mid, _)| mid.as_str()));
    for (index, (mid, (kind, direction))) in lines.iter().enumerate() {
        if *kind == "application" {
            sdp += &format!(
                "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n{}a=mid:{mid}\r\na=sctp-port:5000\r\n",
                transport("actpass")
            );
            continue;
        }
        let (payload_type, codec) = match *kind {
            "audio" => (
                111,
                "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n",
            ),
            _ => (
                96,
                "a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n",
            ),
        };
        sdp += &format!(
            "m={kind} 9 UDP/TLS/RTP/SAVPF {payload_type}\r\n{}",
            transport("actpass")
        );
        sdp += &format!(
            "a=mid:{mid}\r\na=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na={direction}\r\n"
        );
        if direction.starts_with("send") {
            sdp += &format!(
                "a=msid:stream track{mid}\r\na=ssrc:{} cname:c\r\n",
                1000 + index
            );
        }
        sdp += &format!("a=rtcp-mux\r\na=rtcp-rsize\r\n{codec}");
    }
    sdp
}

/// The mids of an SDP.
pub(super) fn mids(sdp: &str) -> Vec<String> {
    sdp.lines()
        .filter_map(|line| line.strip_prefix("a=mid:"))
        .map(str::to_owned)
        .collect()
}

/// An answer to the server's `offer` which sends on these m-lines.
fn answer_sdp(offer: &str, sending: &[String]) -> String {
    let mut sections = offer.split("\r\nm=").map(str::to_owned);
    let head = sections.next().expect("a head");
    let bundle = head
        .lines()
        .find(|line| line.starts_with("a=group:BUNDLE"))
        .unwrap_or("a=group:BUNDLE");
    let mut sdp = format!("v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n{bundle}\r\n");
    for (index, section) in sections.enumerate() {
        let section = section.trim_end();
        let mut lines = section.lines();
        sdp += &format!(
            "m={}\r\n{}",
            lines.next().expect("an m-line"),
            transport("active")
        );
        let mut offered = "sendrecv";
        let sends = mids(section).iter().any(|mid| sending.contains(mid));
        for line in lines {
            let kept = [
                "a=mid:",
                "a=rtpmap:",
                "a=fmtp:",
                "a=rtcp-fb:",
                "a=extmap:",
                "a=rtcp-mux",
                "a=sctp-port",
            ];
            if kept.iter().any(|kept| line.starts_with(kept)) {
                sdp += &format!("{line}\r\n");
            }
            if let direction @ ("sendrecv" | "sendonly" | "recvonly" | "inactive") =
                line.trim_start_matches("a=")
            {
                offered = direction;
            }
        }
        let direction = match (offered, sends) {
            ("sendrecv", true) => "sendrecv",
            ("recvonly", true) => "sendonly",
            ("sendrecv" | "sendonly", _) => "recvonly",
            (_, _) => "inactive",
        };
        sdp += &format!("a={direction}\r\n");
        if direction.starts_with("send") {
            sdp += &format!(
                "a=msid:stream back{index}\r\na=ssrc:{} cname:c\r\n",
                2000 + index
            );
        }
    }
    sdp
}

/// The directions of the media m-lines of an SDP.
pub(super) fn directions(sdp: &str) -> Vec<String> {
    let is_direction =
        |line: &&str| ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"].contains(line);
    sdp.lines()
        .filter(is_direction)
        .map(|line| line[2..].to_owned())
        .collect()
}

impl World {
    /// Offers m-lines of the client's own, with the mids 0, 1, ….
    pub(super) fn offer(&mut self, user: User, lines: &[Line], target: Value) {
        let lines: Vec<(String, Line)> = lines
            .iter()
            .enumerate()
            .map(|(mid, line)| (mid.to_string(), *line))
            .collect();
        self.offer_lines(user, &lines, target);
    }

    pub(super) fn offer_lines(&mut self, user: User, lines: &[(String, Line)], target: Value) {
        let sends = lines
            .iter()
            .filter(|(_, (_, direction))| direction.starts_with("send"));
        self.sending
            .insert(user.session, sends.map(|(mid, _)| mid.clone()).collect());
        let sdp = json!({"type": "offer", "sdp": offer_sdp(lines)});
        self.say(
            user,
            json!({"type": "video-offer", "sdp": sdp, "target": target}),
        );
    }

    /// Joins the room's call with a microphone and a camera; everybody answers what that makes the server offer.
    pub(super) fn join(&mut self, user: User) -> Value {
        self.offer(user, &[MICROPHONE, CAMERA], Value::Null);
        let answer = self.last_of(user, "video-answer").expect("an answer");
        self.answer_all();
        answer
    }

    /// Answers every offer of the server's until there are none.
    pub(super) fn answer_all(&mut self) {
        for _ in 0..20 {
            let offers: Vec<(SessionId, Value)> = self
                .inbox
                .iter()
                .filter_map(|(session, told)| {
                    let last = told
                        .iter()
                        .rfind(|message| message["type"] == "video-offer")?;
                    Some((*session, last.clone()))
                })
                .collect();
            if offers.is_empty() {
                return;
            }
            for (session, offer) in offers {
                if let Some(told) = self.inbox.get_mut(&session) {
                    told.retain(|message| message["type"] != "video-offer");
                }
                self.answer(User { session, id: 0 }, &offer, false);
            }
        }
        panic!("offers without end");
    }

    /// Answers one offer of the server's. With `sends` the client takes the chance to send on each of its m-lines;
    /// otherwise it goes on to send what it sent before.
    pub(super) fn answer(&mut self, user: User, offer: &Value, sends: bool) {
        let offer_sdp = offer["sdp"]["sdp"].as_str().expect("an SDP");
        let sending = self.sending.entry(user.session).or_default();
        if sends {
            *sending = mids(offer_sdp);
        }
        let sdp = json!({"type": "answer", "sdp": answer_sdp(offer_sdp, sending)});
        self.say(
            user,
            json!({"type": "video-answer", "sdp": sdp, "target": offer["name"]}),
        );
    }

    /// The newest message of a type; nothing is forgotten.
    pub(super) fn last_of(&self, user: User, kind: &str) -> Option<Value> {
        let told = self.inbox.get(&user.session)?;
        told.iter()
            .rfind(|message| message["type"] == kind)
            .cloned()
    }
}
