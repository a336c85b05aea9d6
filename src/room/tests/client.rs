//! A browser's half of an SDP exchange: enough of it to be answered, and to answer.

use super::*;

/// An m-line of an offer: kind, direction.
pub(super) type Line = (&'static str, &'static str);

pub(super) const MICROPHONE: Line = ("audio", "sendrecv");
pub(super) const CAMERA: Line = ("video", "sendrecv");

fn session(lines: usize) -> String {
    let mids: Vec<String> = (0..lines).map(|mid| mid.to_string()).collect();
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

/// The SDP of an offer with these m-lines, whose mids are 0, 1, ….
pub(super) fn offer_sdp(lines: &[Line]) -> String {
    let mut sdp = session(lines.len());
    for (mid, (kind, direction)) in lines.iter().enumerate() {
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
                1000 + mid
            );
        }
        sdp += &format!("a=rtcp-mux\r\na=rtcp-rsize\r\n{codec}");
    }
    sdp
}

/// An answer to the server's `offer` which sends on each m-line that it may if `sends`.
pub(super) fn answer_sdp(offer: &str, sends: bool) -> String {
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
    pub(super) fn offer(&mut self, user: User, lines: &[Line], target: Value) {
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

    /// Answers one offer of the server's.
    pub(super) fn answer(&mut self, user: User, offer: &Value, sends: bool) {
        let sdp = answer_sdp(offer["sdp"]["sdp"].as_str().expect("an SDP"), sends);
        self.say(user, json!({"type": "video-answer", "sdp": {"type": "answer", "sdp": sdp}, "target": offer["name"]}));
    }

    /// The newest message of a type; nothing is forgotten.
    pub(super) fn last_of(&self, user: User, kind: &str) -> Option<Value> {
        let told = self.inbox.get(&user.session)?;
        told.iter()
            .rfind(|message| message["type"] == kind)
            .cloned()
    }
}
