//! A model of a browser's peer connection: transceivers, and the rules of JSEP (RFC 9429) and W3C's
//! webrtc-pc about them, as far as descriptions show them.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::view::{SessionView, View, view};
use crate::rtp::MediaKind;

/// Whose habits it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavor {
    Chromium,
    Firefox,
}

#[derive(Clone, Debug)]
pub(super) struct Transceiver {
    pub(super) kind: MediaKind,
    pub(super) mid: Option<String>,
    /// What the application wants: send, receive.
    pub(super) direction: (bool, bool),
    /// What was negotiated.
    pub(super) current: Option<(bool, bool)>,
    /// `stop()` was called.
    pub(super) stopping: bool,
    /// Nothing will flow again.
    pub(super) stopped: bool,
    added_by_track: bool,
    pub(super) has_track: bool,
    ever_sent: bool,
    /// The `a=msid` of what it receives.
    pub(super) receives: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signaling {
    Stable,
    HaveLocalOffer,
}

#[derive(Clone, Debug)]
pub(super) struct Browser {
    pub(super) flavor: Flavor,
    pub(super) transceivers: Vec<Transceiver>,
    pub(super) signaling: Signaling,
    /// The agreed descriptions.
    pub(super) local: SessionView,
    pub(super) remote: SessionView,
    local_is_answer: bool,
    /// Our outstanding offer, and the mids it gave.
    pending: Option<(SessionView, Vec<usize>)>,
    next_mid: u32,
    version: u64,
    /// Counts restarts; the second is that of the outstanding offer.
    ice: (u32, u32),
    restart: bool,
    /// The payload type of each rtpmap.
    numbers: BTreeMap<String, u8>,
}

impl Browser {
    pub(super) fn new(flavor: Flavor) -> Self {
        let numbers: &[(&str, u8)] = match flavor {
            Flavor::Chromium => &[
                ("opus/48000/2", 111),
                ("red/48000/2", 63),
                ("PCMU/8000", 0),
                ("VP8/90000", 96),
                ("VP9/90000", 98),
            ],
            Flavor::Firefox => &[
                ("opus/48000/2", 109),
                ("PCMU/8000", 0),
                ("VP8/90000", 120),
                ("VP9/90000", 121),
            ],
        };
        Self {
            flavor,
            transceivers: Vec::new(),
            signaling: Signaling::Stable,
            local: SessionView::default(),
            remote: SessionView::default(),
            local_is_answer: false,
            pending: None,
            next_mid: 0,
            version: if flavor == Flavor::Firefox { 0 } else { 1 },
            ice: (0, 0),
            restart: false,
            numbers: numbers.iter().map(|(m, n)| ((*m).to_owned(), *n)).collect(),
        }
    }

    // What the application does.

    pub(super) fn add_track(&mut self, kind: MediaKind) {
        let free = self
            .transceivers
            .iter_mut()
            .find(|t| t.kind == kind && !t.has_track && !t.ever_sent && !t.stopping && !t.stopped);
        if let Some(transceiver) = free {
            transceiver.has_track = true;
            transceiver.direction.0 = true;
        } else {
            self.push(kind, (true, true), true);
        }
    }

    pub(super) fn add_transceiver(&mut self, kind: MediaKind, direction: (bool, bool)) {
        self.push(kind, direction, false);
    }

    pub(super) fn remove_track(&mut self, choice: usize) {
        let mut sending: Vec<_> = self
            .transceivers
            .iter_mut()
            .filter(|t| t.has_track && !t.stopping)
            .collect();
        let count = sending.len().max(1);
        if let Some(transceiver) = sending.get_mut(choice % count) {
            transceiver.has_track = false;
            transceiver.direction.0 = false;
        }
    }

    /// Stops a transceiver that was negotiated: both browsers fire `negotiationneeded` without end for
    /// others.
    pub(super) fn stop(&mut self, choice: usize) {
        let mut alive: Vec<_> = self
            .transceivers
            .iter_mut()
            .filter(|t| t.current.is_some() && !t.stopping)
            .collect();
        let count = alive.len().max(1);
        if let Some(transceiver) = alive.get_mut(choice % count) {
            transceiver.stopping = true;
            transceiver.direction = (false, false);
        }
    }

    pub(super) fn set_direction(&mut self, choice: usize, direction: (bool, bool)) {
        let mut alive: Vec<_> = self
            .transceivers
            .iter_mut()
            .filter(|t| !t.stopping)
            .collect();
        let count = alive.len().max(1);
        if let Some(transceiver) = alive.get_mut(choice % count) {
            transceiver.direction = direction;
        }
    }

    pub(super) fn restart_ice(&mut self) {
        self.restart = true;
    }

    fn push(&mut self, kind: MediaKind, direction: (bool, bool), by_track: bool) {
        self.transceivers.push(Transceiver {
            kind,
            mid: None,
            direction,
            current: None,
            stopping: false,
            stopped: false,
            added_by_track: by_track,
            has_track: direction.0,
            ever_sent: false,
            receives: None,
        });
    }

    // What the browser does.

    /// W3C webrtc-pc section 4.7.3.
    pub(super) fn needs_negotiation(&self) -> bool {
        self.restart
            || self.transceivers.iter().any(|t| {
                if t.stopped {
                    return false;
                }
                let Some((local, remote)) = self.lines(t) else {
                    return !t.stopping;
                };
                if t.stopping {
                    return local.port != 0 && remote.port != 0;
                }
                if t.direction.0 && local.msid.is_none() {
                    return true;
                }
                if self.local_is_answer {
                    let wish = (
                        t.direction.0 && remote.receive,
                        t.direction.1 && remote.send,
                    );
                    (local.send, local.receive) != wish
                } else {
                    let given = (local.send, local.receive);
                    given != t.direction && (remote.receive, remote.send) != t.direction
                }
            })
    }

    fn lines(&self, transceiver: &Transceiver) -> Option<(&View, &View)> {
        let mid = transceiver.mid.as_ref()?;
        let index = self
            .local
            .lines
            .iter()
            .position(|l| l.mid.as_ref() == Some(mid))?;
        Some((self.local.lines.get(index)?, self.remote.lines.get(index)?))
    }

    /// `setLocalDescription()` in the stable state.
    pub(super) fn offer(&mut self) -> String {
        assert_eq!(self.signaling, Signaling::Stable);
        let mut lines: Vec<Option<usize>> = self
            .local
            .lines
            .iter()
            .map(|line| {
                self.transceivers
                    .iter()
                    .position(|t| t.mid == line.mid && !t.stopped)
            })
            .collect();
        let mut given = Vec::new();
        for index in 0..self.transceivers.len() {
            let t = &self.transceivers[index];
            if t.mid.is_some() || t.stopping || t.stopped {
                continue;
            }
            given.push(index);
            let mid = self.new_mid();
            self.transceivers[index].mid = Some(mid);
            // Section 5.2.2: stopped m-lines are recycled first.
            let port = |view: &SessionView, i: usize| view.lines.get(i).map_or(0, |l| l.port);
            let recycled = (0..lines.len()).find(|&i| {
                lines[i].is_none_or(|t| self.transceivers[t].stopping)
                    && (port(&self.local, i) == 0 || port(&self.remote, i) == 0)
            });
            match recycled {
                Some(place) => lines[place] = Some(index),
                None => lines.push(Some(index)),
            }
        }
        if self.restart {
            self.ice.1 = self.ice.0 + 1;
        } else {
            self.ice.1 = self.ice.0;
        }
        let mut sections = Vec::new();
        for (place, index) in lines.iter().enumerate() {
            let alive = index.filter(|&i| !self.transceivers[i].stopping);
            sections.push(match alive.map(|i| &self.transceivers[i]) {
                Some(t) => Section {
                    media: t.kind,
                    mid: t.mid.clone(),
                    port: 9,
                    new: self.local.lines.get(place).is_none_or(|l| l.mid != t.mid),
                    direction: t.direction,
                    codecs: self.codecs(t.kind),
                },
                None => {
                    let line = &self.local.lines[place];
                    Section {
                        media: kind(&line.media),
                        mid: line.mid.clone(),
                        port: 0,
                        new: false,
                        direction: (false, false),
                        codecs: self.codecs(kind(&line.media)),
                    }
                }
            });
        }
        let sdp = self.write(&sections, "actpass");
        self.signaling = Signaling::HaveLocalOffer;
        self.pending = Some((view(&sdp), given));
        sdp
    }

    /// `setRemoteDescription(offer)` and `setLocalDescription()`, rolling back before if need be.
    pub(super) fn answer(&mut self, sdp: &str) -> String {
        if let Some((_, given)) = self.pending.take() {
            for index in given {
                self.transceivers[index].mid = None;
            }
            self.signaling = Signaling::Stable;
        }
        self.ice.1 = self.ice.0;
        let remote = view(sdp);
        self.check_remote(&remote);
        assert!(
            remote.lines.len() >= self.local.lines.len(),
            "fewer m-lines"
        );
        let mut sections = Vec::new();
        for (place, line) in remote.lines.iter().enumerate() {
            if let Some(before) = self.local.lines.get(place) {
                let dead = before.port == 0 || self.remote.lines[place].port == 0;
                assert!(
                    dead || before.mid == line.mid,
                    "the mid of an m-line changed"
                );
                if before.mid != line.mid {
                    self.end(before.mid.clone());
                }
            }
            if line.port == 0 {
                self.end(line.mid.clone());
                sections.push(rejected(line));
                continue;
            }
            let kind = kind(&line.media);
            let index = self.associate(line, kind);
            let t = &mut self.transceivers[index];
            assert_eq!(t.kind, kind);
            if t.stopping {
                t.stopped = true;
                t.current = None;
                t.receives = None;
                sections.push(rejected(line));
                continue;
            }
            let direction = (t.direction.0 && line.receive, t.direction.1 && line.send);
            t.current = Some(direction);
            t.ever_sent |= direction.0;
            t.receives = line.msid.clone().filter(|_| direction.1);
            let known = |map: &String| self.numbers.contains_key(map);
            let codecs: Vec<_> = line
                .codecs
                .iter()
                .filter(|(_, m)| known(m))
                .cloned()
                .collect();
            assert!(!codecs.is_empty(), "no codec in common");
            for (number, map) in &codecs {
                self.numbers.insert(map.clone(), *number);
            }
            sections.push(Section {
                media: kind,
                mid: line.mid.clone(),
                port: 9,
                new: false,
                direction,
                codecs,
            });
        }
        let sdp = self.write(&sections, "active");
        self.local = view(&sdp);
        self.remote = remote;
        self.local_is_answer = true;
        sdp
    }

    /// `setRemoteDescription(answer)`; an answer that nobody waits for is dropped.
    pub(super) fn accept(&mut self, sdp: &str) {
        let Some((local, _)) = self.pending.take() else {
            return;
        };
        let remote = view(sdp);
        self.check_remote(&remote);
        assert_eq!(remote.lines.len(), local.lines.len());
        for (place, (offered, line)) in local.lines.iter().zip(&remote.lines).enumerate() {
            assert_eq!(offered.mid, line.mid);
            assert_eq!(offered.media, line.media);
            if let Some(before) = self.local.lines.get(place).filter(|b| b.mid != line.mid) {
                self.end(before.mid.clone());
            }
            if line.port == 0 {
                self.end(line.mid.clone());
                continue;
            }
            assert!(
                !line.send || offered.receive,
                "sends what was not asked for"
            );
            assert!(!line.receive || offered.send);
            for codec in &line.codecs {
                assert!(offered.codecs.contains(codec), "{codec:?} was not offered");
            }
            let t = self
                .transceivers
                .iter_mut()
                .find(|t| t.mid == line.mid)
                .unwrap();
            t.current = Some((line.receive, line.send));
            t.ever_sent |= line.receive;
            t.receives = line.msid.clone().filter(|_| line.send);
        }
        if self.ice.1 != self.ice.0 {
            self.ice.0 = self.ice.1;
            self.restart = false;
        }
        self.signaling = Signaling::Stable;
        self.local = local;
        self.remote = remote;
        self.local_is_answer = false;
    }

    /// What must hold for each description of the server's.
    fn check_remote(&self, remote: &SessionView) {
        let mut meanings: BTreeMap<u8, &str> = BTreeMap::new();
        let mut ids: BTreeMap<&str, &str> = BTreeMap::new();
        let mut ssrcs: Vec<u32> = Vec::new();
        for line in remote.lines.iter().filter(|line| line.port != 0) {
            assert!(remote.bundle.contains(line.mid.as_ref().unwrap()));
            for (number, map) in &line.codecs {
                let before = meanings.insert(*number, map);
                assert!(
                    before.is_none_or(|b| b == map),
                    "payload type {number} means two things"
                );
            }
            for extension in &line.extensions {
                let (id, uri) = extension.split_once(' ').unwrap();
                let before = ids.insert(id.split('/').next().unwrap(), uri);
                assert!(
                    before.is_none_or(|b| b == uri),
                    "extension {id} means two things"
                );
            }
            assert_eq!(line.msid.is_some(), line.send);
            assert_eq!(line.ssrcs.is_empty(), !line.send);
            ssrcs.extend(&line.ssrcs);
        }
        let count = ssrcs.len();
        ssrcs.sort_unstable();
        ssrcs.dedup();
        assert_eq!(ssrcs.len(), count, "two m-lines have the same SSRC");
    }

    fn associate(&mut self, line: &View, kind: MediaKind) -> usize {
        if let Some(index) = self.transceivers.iter().position(|t| t.mid == line.mid) {
            return index;
        }
        // RFC 9429 section 5.10: what addTrack made waits for an m-line that takes it.
        let waiting = self.transceivers.iter().position(|t| {
            line.receive
                && t.mid.is_none()
                && t.added_by_track
                && t.kind == kind
                && !t.stopping
                && !t.stopped
        });
        let index = waiting.unwrap_or_else(|| {
            self.push(kind, (false, true), false);
            self.transceivers.len() - 1
        });
        self.transceivers[index].mid.clone_from(&line.mid);
        index
    }

    /// The m-line of this mid is over.
    fn end(&mut self, mid: Option<String>) {
        for t in self
            .transceivers
            .iter_mut()
            .filter(|t| mid.is_some() && t.mid == mid)
        {
            t.stopping = true;
            t.stopped = true;
            t.current = None;
            t.receives = None;
        }
    }

    fn new_mid(&mut self) -> String {
        loop {
            let mid = self.next_mid.to_string();
            self.next_mid += 1;
            if self
                .transceivers
                .iter()
                .all(|t| t.mid.as_ref() != Some(&mid))
            {
                return mid;
            }
        }
    }

    fn codecs(&self, kind: MediaKind) -> Vec<(u8, String)> {
        let video = |map: &str| map.ends_with("/90000");
        let of_kind = self
            .numbers
            .iter()
            .filter(|(map, _)| video(map) == (kind == MediaKind::Video));
        of_kind
            .map(|(map, number)| (*number, map.clone()))
            .collect()
    }

    fn write(&mut self, sections: &[Section], setup: &str) -> String {
        let firefox = self.flavor == Flavor::Firefox;
        self.version += 1;
        let mut sdp = format!(
            "v=0\r\no=- 77 {} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n",
            self.version
        );
        let alive = sections.iter().filter(|s| s.port != 0);
        let mids: Vec<_> = alive.filter_map(|s| s.mid.clone()).collect();
        if !mids.is_empty() {
            let _ = write!(sdp, "a=group:BUNDLE {}\r\n", mids.join(" "));
        }
        if !firefox {
            sdp += "a=extmap-allow-mixed\r\n";
        }
        for (place, section) in sections.iter().enumerate() {
            section.write(&mut sdp, place, self.ice.1, setup, firefox);
        }
        sdp
    }
}

struct Section {
    media: MediaKind,
    mid: Option<String>,
    port: u16,
    /// It was never negotiated.
    new: bool,
    direction: (bool, bool),
    codecs: Vec<(u8, String)>,
}

impl Section {
    fn write(&self, sdp: &mut String, place: usize, ice: u32, setup: &str, firefox: bool) {
        let media = match self.media {
            MediaKind::Audio => "audio",
            MediaKind::Video => "video",
        };
        let bundle_only = firefox && self.new && place > 0;
        let port = if bundle_only { 0 } else { self.port };
        let _ = write!(sdp, "m={media} {port} UDP/TLS/RTP/SAVPF");
        for (number, _) in &self.codecs {
            let _ = write!(sdp, " {number}");
        }
        *sdp += "\r\nc=IN IP4 0.0.0.0\r\n";
        if bundle_only {
            *sdp += "a=bundle-only\r\n";
        }
        if let Some(mid) = &self.mid {
            let _ = write!(sdp, "a=mid:{mid}\r\n");
        }
        let direction = match self.direction {
            (true, true) => "sendrecv",
            (true, false) => "sendonly",
            (false, true) => "recvonly",
            (false, false) => "inactive",
        };
        let _ = write!(sdp, "a={direction}\r\n");
        if self.port == 0 {
            return;
        }
        let _ = write!(
            sdp,
            "a=ice-ufrag:frag{ice}\r\na=ice-pwd:password0password0password{ice}\r\n"
        );
        let _ = write!(
            sdp,
            "a=fingerprint:sha-256 AB{}\r\na=setup:{setup}\r\n",
            ":CD".repeat(31)
        );
        *sdp += "a=rtcp-mux\r\na=rtcp-rsize\r\na=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n";
        if self.direction.0 {
            let _ = write!(sdp, "a=msid:stream track{place}\r\n");
        }
        if self.direction.0 || firefox {
            let _ = write!(sdp, "a=ssrc:{} cname:me\r\n", 1000 + place);
        }
        for (number, map) in &self.codecs {
            let _ = write!(sdp, "a=rtpmap:{number} {map}\r\n");
            if map.starts_with("red/") {
                let opus = self.codecs.iter().find(|(_, map)| map.starts_with("opus/"));
                let opus = opus.map_or(0, |(number, _)| *number);
                let _ = write!(sdp, "a=fmtp:{number} {opus}/{opus}\r\n");
            }
        }
    }
}

fn rejected(line: &View) -> Section {
    Section {
        media: kind(&line.media),
        mid: line.mid.clone(),
        port: 0,
        new: false,
        direction: (false, false),
        codecs: vec![(0, "PCMU/8000".to_owned())],
    }
}

fn kind(media: &str) -> MediaKind {
    match media {
        "audio" => MediaKind::Audio,
        "video" => MediaKind::Video,
        other => panic!("m={other}"),
    }
}
