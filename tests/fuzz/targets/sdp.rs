//! Offers, answers and candidates of a client, in any order, among what the server does by itself.
//!
//! What is refused changes nothing. What is accepted is answered m-line by m-line with nothing that was not offered;
//! what the server says is read by a second implementation; and what the shard is told makes sense.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

use crosspoint::negotiation::{
    Config, Description, Limits, Negotiation, NegotiationError, PublishedTrack, SignalingState,
    Source, Sources, SubscribedTrack, TrackIds,
};
use crosspoint::rtp::{Codec, MediaKind, Mid};
use crosspoint::shard::{
    Command, Fingerprint, FingerprintHash, IceCredentials, ParticipantId, PeerId, SendParameters,
    TrackId,
};
use crosspoint::transport::Endpoint;
use sdp::description::session::SessionDescription;

use super::descriptions::describe;
use super::input::Input;

/// Steps of one input.
const MAX_STEPS: usize = 10;

/// Tracks of others have numbers from here on.
const FIRST_TRACK: u64 = 1_000_000;

/// A negotiation, and what it said so far.
struct World {
    server: Negotiation,
    ids: TrackIds,
    /// The last description of ours.
    ours: String,
    /// The tracks that it is to send.
    wanted: BTreeSet<TrackId>,
    senders: BTreeMap<Mid, SendParameters>,
    publishing: BTreeMap<Mid, TrackId>,
}

/// What can be seen of a negotiation.
#[derive(Debug, PartialEq)]
struct Look {
    state: SignalingState,
    tracks: Vec<PublishedTrack>,
    subscribed: Vec<(Mid, TrackId)>,
    outstanding: Option<Description>,
}

/// Takes the steps that the input says.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut world = World::new();
    for _ in 0..MAX_STEPS {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
        world.drain();
    }
    // And the call goes on.
    world.server.reject_offer();
    world.server.rollback();
    assert_eq!(world.server.signaling_state(), SignalingState::Stable);
    world.wanted.insert(TrackId(FIRST_TRACK + 99));
    world.server.add_track(track(99));
    world.offer();
    world.drain();
}

impl World {
    fn new() -> Self {
        Self {
            server: Negotiation::new(Config {
                peer: PeerId(1),
                local_ice: IceCredentials {
                    ufrag: "srvr".to_owned(),
                    pwd: "0123456789abcdefghijkl".to_owned(),
                },
                fingerprint: Fingerprint {
                    hash: FingerprintHash::Sha256,
                    bytes: vec![0xab; 32],
                },
                candidates: vec![Endpoint::udp(([192, 0, 2, 1], 7880).into())],
                limits: Limits {
                    max_sdp_bytes: 50_000,
                    max_media_lines: 40,
                    ..Limits::default()
                },
                data_channels: true,
                may_publish: Sources::ALL,
                red: true,
                session_id: 42,
                seed: 7,
            }),
            ids: TrackIds::default(),
            ours: String::new(),
            wanted: BTreeSet::new(),
            senders: BTreeMap::new(),
            publishing: BTreeMap::new(),
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.u8() % 12 {
            0..=3 => self.take_offer(input),
            4 | 5 => self.take_answer(input),
            6 => {
                let number = u64::from(input.u8() % 24);
                self.wanted.insert(TrackId(FIRST_TRACK + number));
                self.server.add_track(track(number));
            }
            7 => {
                let track = TrackId(FIRST_TRACK + u64::from(input.u8() % 24));
                self.wanted.remove(&track);
                self.server.remove_track(track);
            }
            8 => self.offer(),
            9 => self.server.rollback(),
            10 => self.server.restart_ice(),
            _ => {
                let candidate = String::from_utf8_lossy(input.bytes()).into_owned();
                let known = input.choose(&[
                    "",
                    "candidate:1 1 udp 2122260223 192.0.2.7 50000 typ host generation 0",
                    "candidate:1 1 tcp 1518280447 2001:db8::7 9 typ host tcptype active ufrag x",
                ]);
                let before = self.look();
                for text in [&format!("{known}{candidate}"), &candidate] {
                    let mid = Some(candidate.as_str()).filter(|_| input.u8() & 1 == 0);
                    let _ = self.server.handle_candidate(text, mid, Some(0), None);
                }
                assert_eq!(self.look(), before);
            }
        }
    }

    fn take_offer(&mut self, input: &mut Input<'_>) {
        let theirs = describe(input, &self.ours);
        let sources: Vec<(Mid, Source)> = (0..input.u8() % 3)
            .map(|mid| (mid.to_string(), input.choose(&SOURCES)))
            .map(|(mid, source)| (mid.parse().expect("a mid"), source))
            .collect();
        let waits = input.u8().is_multiple_of(8);
        let before = self.look();
        let state = self.server.signaling_state();
        match self.server.handle_offer(&theirs, &sources, &mut self.ids) {
            Ok(()) if waits => {
                assert_eq!(
                    self.server.signaling_state(),
                    SignalingState::HaveRemoteOffer
                );
                assert!(self.server.poll_command().is_none());
            }
            Ok(()) => {
                let answer = self.server.create_answer().expect("an offer is there");
                assert_eq!(self.server.signaling_state(), SignalingState::Stable);
                assert_reads(&answer.sdp, &answer.tracks);
                assert_answers(&theirs, &answer.sdp);
                self.ours = answer.sdp;
            }
            Err(error) => {
                let is_glare = matches!(error, NegotiationError::Glare);
                assert_eq!(is_glare, state == SignalingState::HaveLocalOffer);
                assert_eq!(self.look(), before, "{error}");
                assert!(self.server.poll_command().is_none());
            }
        }
    }

    fn take_answer(&mut self, input: &mut Input<'_>) {
        let theirs = describe(input, &self.ours);
        let before = self.look();
        let state = self.server.signaling_state();
        match self.server.handle_answer(&theirs, &[], &mut self.ids) {
            Ok(()) => {
                assert_eq!(state, SignalingState::HaveLocalOffer);
                assert_eq!(self.server.signaling_state(), SignalingState::Stable);
            }
            Err(error) => {
                assert_eq!(self.look(), before, "{error}");
                assert!(self.server.poll_command().is_none());
            }
        }
    }

    fn offer(&mut self) {
        let needed = self.server.needs_offer();
        let offer = self.server.create_offer();
        assert_eq!(offer.is_some(), needed);
        if let Some(offer) = offer {
            assert_eq!(
                self.server.signaling_state(),
                SignalingState::HaveLocalOffer
            );
            assert!(!self.server.needs_offer(), "one at a time");
            assert_reads(&offer.sdp, &offer.tracks);
            self.ours = offer.sdp;
        }
    }

    /// All that can be seen.
    fn look(&self) -> Look {
        Look {
            state: self.server.signaling_state(),
            tracks: self.server.tracks().to_vec(),
            subscribed: self.server.subscribed().collect(),
            outstanding: self.server.outstanding_offer().cloned(),
        }
    }

    /// Takes what the shard is to be told.
    fn drain(&mut self) {
        while let Some(command) = self.server.poll_command() {
            match command {
                Command::SetTransport { transport, .. } => {
                    assert!(!transport.fingerprints.is_empty());
                    for ice in [transport.local_ice, transport.remote_ice] {
                        assert!((4..=256).contains(&ice.ufrag.len()));
                        assert!((22..=256).contains(&ice.pwd.len()));
                    }
                }
                Command::SetExtensions { .. } => {}
                Command::SetReceiver {
                    mid, parameters, ..
                } => match parameters {
                    Some(parameters) => {
                        assert_eq!(parameters.mid, mid);
                        assert!(!parameters.codecs.is_empty());
                        for codec in &parameters.codecs {
                            assert!(codec.payload_type < 128);
                            assert_ne!(codec.rtx, Some(codec.payload_type));
                        }
                        self.publishing.insert(mid, parameters.track);
                    }
                    None => drop(self.publishing.remove(&mid)),
                },
                Command::SetSender {
                    mid, parameters, ..
                } => match parameters {
                    Some(parameters) => {
                        assert_eq!(parameters.mid, mid);
                        assert!(!parameters.codecs.is_empty());
                        assert!(self.wanted.contains(&parameters.track));
                        self.senders.insert(mid, parameters);
                    }
                    None => drop(self.senders.remove(&mid)),
                },
                other => panic!("not a negotiation's: {other:?}"),
            }
        }
        let tracks: BTreeSet<TrackId> = self.publishing.values().copied().collect();
        assert_eq!(
            tracks.len(),
            self.publishing.len(),
            "a track on two m-lines"
        );
        let ssrcs = self.senders.values();
        let ssrcs: Vec<u32> = ssrcs
            .flat_map(|sender| [Some(sender.ssrc), sender.rtx_ssrc])
            .flatten()
            .collect();
        let distinct: BTreeSet<u32> = ssrcs.iter().copied().collect();
        assert_eq!(distinct.len(), ssrcs.len(), "an SSRC twice");
        let sent: BTreeMap<Mid, TrackId> = self
            .senders
            .iter()
            .map(|(mid, sender)| (*mid, sender.track))
            .collect();
        for (mid, track) in &sent {
            let told = self.server.subscribed().find(|(other, _)| other == mid);
            assert_eq!(told, Some((*mid, *track)));
        }
    }
}

const SOURCES: [Source; 4] = [
    Source::Microphone,
    Source::Camera,
    Source::Screen,
    Source::ScreenAudio,
];

fn track(number: u64) -> SubscribedTrack {
    let kind = if number.is_multiple_of(2) {
        MediaKind::Video
    } else {
        MediaKind::Audio
    };
    SubscribedTrack {
        track: TrackId(FIRST_TRACK + number),
        participant: ParticipantId(9),
        home: 0,
        kind,
        codecs: match kind {
            MediaKind::Audio => vec![Codec::Opus, Codec::Red, Codec::Pcmu],
            MediaKind::Video => vec![Codec::Vp8, Codec::Vp9 { profile: 0 }],
        },
    }
}

/// The m-lines of a description.
fn sections(sdp: &str) -> Vec<Vec<&str>> {
    let mut sections: Vec<Vec<&str>> = Vec::new();
    for line in sdp.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.starts_with("m=") {
            sections.push(Vec::new());
        }
        if let Some(section) = sections.last_mut() {
            section.push(line);
        }
    }
    sections
}

fn value<'a>(section: &[&'a str], name: &str) -> Option<&'a str> {
    section.iter().find_map(|line| line.strip_prefix(name))
}

fn is_stopped(section: &[&str]) -> bool {
    let port = section[0].split_ascii_whitespace().nth(1);
    port == Some("0") && !section.contains(&"a=bundle-only")
}

/// A description of ours can be read, and its tracks are where it says.
fn assert_reads(ours: &str, tracks: &[(Mid, TrackId)]) {
    let sections = sections(ours);
    let bundle = ours.split("m=").next().unwrap_or_default();
    let bundle = bundle
        .lines()
        .find_map(|line| line.strip_prefix("a=group:BUNDLE"));
    let bundle: Vec<&str> = bundle
        .unwrap_or_default()
        .split_ascii_whitespace()
        .collect();
    // An m-line that is refused is named as the client did, and the other reader knows fewer words.
    if !sections.iter().any(|section| is_stopped(section)) {
        let read = SessionDescription::unmarshal(&mut Cursor::new(ours.as_bytes()));
        let read = read.unwrap_or_else(|error| panic!("{error}\n{ours}"));
        assert_eq!(read.media_descriptions.len(), sections.len());
        let group = read.attribute("group").map_or("", String::as_str);
        let group: Vec<&str> = group.split(' ').skip(1).collect();
        assert_eq!(group, bundle);
    }
    let mut mids = BTreeSet::new();
    for section in &sections {
        let Some(mid) = value(section, "a=mid:") else {
            assert!(is_stopped(section), "no mid: {section:?}");
            continue;
        };
        if is_stopped(section) {
            assert!(!bundle.contains(&mid), "stopped but bundled: {mid}\n{ours}");
            continue;
        }
        assert!(mids.insert(mid), "{mid} twice");
        assert!(bundle.contains(&mid), "{mid} is not bundled");
        assert!(value(section, "a=ice-ufrag:").is_some() || ours.contains("\r\na=ice-ufrag:"));
    }
    for (mid, _) in tracks {
        assert!(mids.contains(mid.as_str()), "{mid:?} has no m-line");
    }
}

/// An answer has the m-lines of its offer, and in them nothing that was not offered.
fn assert_answers(theirs: &str, ours: &str) {
    let (theirs, ours) = (sections(theirs), sections(ours));
    assert_eq!(theirs.len(), ours.len());
    for (theirs, ours) in theirs.iter().zip(&ours) {
        // Any white space is read as one space.
        let media = |section: &[&str]| {
            let line = section[0].strip_prefix("m=").unwrap_or_default();
            line.split_ascii_whitespace().next().map(str::to_owned)
        };
        assert_eq!(media(theirs), media(ours));
        if is_stopped(ours) {
            continue;
        }
        assert!(!is_stopped(theirs), "a stopped m-line stays so");
        assert_eq!(value(theirs, "a=mid:"), value(ours, "a=mid:"));
        let offered: Vec<&str> = theirs[0].split_ascii_whitespace().skip(3).collect();
        for format in ours[0].split_ascii_whitespace().skip(3) {
            assert!(offered.contains(&format), "{format} was not offered");
        }
        for extension in ours
            .iter()
            .filter_map(|line| line.strip_prefix("a=extmap:"))
        {
            let (id, uri) = extension.split_once(' ').expect("an id and a URI");
            let id = id.split('/').next();
            let mut offered = theirs
                .iter()
                .filter_map(|line| line.strip_prefix("a=extmap:"));
            let is_same = |line: &str| {
                let mut words = line.split_ascii_whitespace();
                let theirs = words.next().and_then(|id| id.split('/').next());
                theirs == id && words.next() == Some(uri)
            };
            assert!(offered.any(is_same), "{extension} was not offered");
        }
    }
}
