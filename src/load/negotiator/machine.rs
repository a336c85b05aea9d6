//! The machine: which m-lines there are, and what both sides agreed about them.

use std::fmt;

use super::candidate;
use super::describe::{Kind, describe};
use super::local::{Local, Publishes};
use crate::load::media::{
    MediaSetup, ReceiverSetup, SenderSetup, SourcePlan, StreamSetup, TransportSetup,
};
use crate::negotiation::remote::{
    Direction, Feedback, Format, LineKind, RemoteMedia, RemoteSession, Rtx, Setup,
};
use crate::negotiation::{Limits, SdpError};
use crate::rtp::{Codec, Extension, ExtensionMap, MediaKind, Mid, Rid};
use crate::shard::DtlsRole;

/// What a server's description may be: one room's tracks, a thousand participants with two each.
const LIMITS: Limits = Limits {
    max_sdp_bytes: 8 << 20,
    max_tracks: 4_096,
    max_media_lines: 4_096,
    max_message_bytes: 0,
};

/// The layers' ids, best first.
const RIDS: [&str; 3] = ["f", "h", "q"];

/// The extensions of our offers, by the ids that Chromium gives them. Answers take what is known of the
/// other side's.
const EXTENSIONS: [(u8, Extension); 6] = [
    (1, Extension::AudioLevel),
    (2, Extension::AbsSendTime),
    (3, Extension::TransportCc),
    (4, Extension::Mid),
    (10, Extension::Rid),
    (11, Extension::RepairedRid),
];

/// Why a description was not taken. The negotiation is as it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NegotiatorError {
    /// It does not parse.
    BadSdp(SdpError),
    /// An answer came, but no offer of ours is outstanding.
    UnexpectedAnswer,
    /// It is not about the m-lines that there are.
    OtherLines,
    /// It has no transport: every m-line is declined.
    NoTransport,
}

impl fmt::Display for NegotiatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadSdp(error) => write!(f, "line {} of its SDP: {}", error.line, error.reason),
            Self::UnexpectedAnswer => f.write_str("an answer to no offer"),
            Self::OtherLines => f.write_str("its SDP has other m-lines than were agreed on"),
            Self::NoTransport => f.write_str("its SDP declines everything"),
        }
    }
}

impl std::error::Error for NegotiatorError {}

/// What the media thread is told after a description was applied.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Agreed {
    /// The transport of the bundle.
    pub(crate) transport: TransportSetup,
    /// What is sent and received.
    pub(crate) media: MediaSetup,
}

/// One m-line, from our view.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) mid: Mid,
    /// The words of the m-line, for one that is declined.
    pub(super) media: String,
    pub(super) protocol: String,
    pub(super) other_format: String,
    /// Port 0.
    pub(super) declined: bool,
    pub(super) direction: Direction,
    /// Opus or VP8; none where the line is declined.
    pub(super) format: Option<Format>,
    pub(super) extensions: Vec<(u8, Extension)>,
    pub(super) sender: Option<SenderSetup>,
    pub(super) receiver: Option<ReceiverSetup>,
}

/// Offers and answers of one peer connection.
#[derive(Debug)]
pub(crate) struct Negotiator {
    local: Local,
    publishes: Publishes,
    /// As both sides agreed last.
    agreed: Vec<Line>,
    /// As in our offer that is outstanding.
    offered: Option<Vec<Line>>,
    /// Who made the first offer.
    began: Option<bool>,
    role: Option<DtlsRole>,
    extensions: ExtensionMap,
    version: u64,
    next_ssrc: u32,
}

impl Negotiator {
    /// Before any description.
    pub(crate) fn new(local: Local, publishes: Publishes) -> Self {
        Self {
            next_ssrc: local.first_ssrc,
            local,
            publishes,
            agreed: Vec::new(),
            offered: None,
            began: None,
            role: None,
            extensions: ExtensionMap::default(),
            version: 0,
        }
    }

    /// Whether something that is to be published has no m-line yet, after an offer of ours was taken back.
    pub(crate) fn needs_offer(&self) -> bool {
        self.offered.is_none() && self.unplaced().next().is_some()
    }

    /// Makes an offer of everything that is to be published, on the m-lines that there are and new ones.
    pub(crate) fn offer(&mut self) -> String {
        let mut lines = self.agreed.clone();
        let unplaced: Vec<SourcePlan> = self.unplaced().copied().collect();
        for source in unplaced {
            let Some(mid) = mid_of(lines.len()) else {
                break;
            };
            let sender = self.sender(source, mid);
            lines.push(self.line(source.kind(), mid, Some(sender)));
        }
        if lines.is_empty() {
            // Somebody who only listens says that much.
            let kinds = [MediaKind::Audio, MediaKind::Video];
            let own = (0..).zip(kinds);
            let own = own.filter_map(|(place, kind)| Some(self.line(kind, mid_of(place)?, None)));
            lines = own.collect();
        }
        self.began.get_or_insert(true);
        self.version += 1;
        let sdp = describe(Kind::Offer, &self.local, self.version, self.role, &lines);
        self.offered = Some(lines);
        sdp
    }

    /// Takes the answer to our offer.
    pub(crate) fn accept_answer(&mut self, sdp: &str) -> Result<Agreed, NegotiatorError> {
        let offered = self
            .offered
            .as_ref()
            .ok_or(NegotiatorError::UnexpectedAnswer)?;
        let remote = RemoteSession::parse(sdp, &LIMITS).map_err(NegotiatorError::BadSdp)?;
        if remote.media.len() != offered.len() {
            return Err(NegotiatorError::OtherLines);
        }
        let takes_layers = takes_layers(sdp);
        let mut lines = offered.clone();
        for (line, media) in lines.iter_mut().zip(&remote.media) {
            line.take(media, self.publishes.receives);
            line.limit_layers(takes_layers);
        }
        let role = match remote.transport.as_ref().map(|transport| transport.setup) {
            Some(Setup::Active) => DtlsRole::Server,
            Some(Setup::Passive | Setup::Actpass) | None => DtlsRole::Client,
        };
        let agreed = self.agree(sdp, &remote, role, lines)?;
        self.offered = None;
        Ok(agreed)
    }

    /// Takes an offer and makes the answer. An offer of ours that is outstanding is taken back: we are
    /// the polite side of W3C's perfect negotiation.
    pub(crate) fn answer(&mut self, sdp: &str) -> Result<(String, Agreed), NegotiatorError> {
        let remote = RemoteSession::parse(sdp, &LIMITS).map_err(NegotiatorError::BadSdp)?;
        if remote.media.len() < self.agreed.len() {
            return Err(NegotiatorError::OtherLines);
        }
        let mut lines = self.agreed.clone();
        for (index, media) in remote.media.iter().enumerate() {
            if index >= lines.len() {
                let mid = media.mid.or_else(|| mid_of(index));
                let mid = mid.ok_or(NegotiatorError::OtherLines)?;
                lines.push(Line::of(mid, media));
            }
            lines[index].take(media, self.publishes.receives);
        }
        let setup = remote.transport.as_ref().map(|transport| transport.setup);
        let role = match (self.role, setup) {
            (Some(role), _) => role,
            (None, Some(Setup::Active)) => DtlsRole::Server,
            (None, Some(Setup::Actpass | Setup::Passive) | None) => DtlsRole::Client,
        };
        self.began.get_or_insert(false);
        let agreed = self.agree(sdp, &remote, role, lines)?;
        self.offered = None;
        self.version += 1;
        let kind = Kind::Answer;
        let answer = describe(kind, &self.local, self.version, self.role, &self.agreed);
        Ok((answer, agreed))
    }

    /// Makes the lines the agreed ones, and says what they mean for media.
    fn agree(
        &mut self,
        sdp: &str,
        remote: &RemoteSession,
        role: DtlsRole,
        lines: Vec<Line>,
    ) -> Result<Agreed, NegotiatorError> {
        let transport = remote.transport.as_ref();
        let transport = transport.ok_or(NegotiatorError::NoTransport)?;
        let is_lite = sdp.lines().any(|line| line.trim_end() == "a=ice-lite");
        let role = *self.role.get_or_insert(role);
        for &(id, extension) in lines.iter().flat_map(|line| &line.extensions) {
            self.extensions.insert(id, extension);
        }
        self.agreed = lines;
        let alive = || self.agreed.iter().filter(|line| !line.declined);
        let senders = alive().filter(|line| line.direction.send);
        let receivers = alive().filter(|line| line.direction.receive);
        Ok(Agreed {
            transport: TransportSetup {
                remote_ice: transport.ice.clone(),
                fingerprints: transport.fingerprints.clone(),
                role,
                controlling: is_lite || self.began == Some(true),
                candidates: candidate::all_udp(sdp),
            },
            media: MediaSetup {
                extensions: self.extensions,
                senders: senders.filter_map(|line| line.sender.clone()).collect(),
                receivers: receivers.filter_map(|line| line.receiver).collect(),
            },
        })
    }

    fn unplaced(&self) -> impl Iterator<Item = &SourcePlan> {
        let placed = |source: &SourcePlan| {
            let mut senders = self.agreed.iter().filter_map(|line| line.sender.as_ref());
            senders.any(|sender| sender.source == *source)
        };
        let sources = self.publishes.sources.iter();
        sources.filter(move |source| !placed(source))
    }

    fn sender(&mut self, source: SourcePlan, mid: Mid) -> SenderSetup {
        let layers = match source {
            SourcePlan::Video(video) if video.simulcast => RIDS.len(),
            SourcePlan::Video(_) | SourcePlan::Audio => 1,
        };
        let mut stream = |layer: usize| {
            let ssrc = self.next_ssrc;
            self.next_ssrc = ssrc.wrapping_add(2);
            let rid = RIDS.get(layer).and_then(|rid| rid.parse::<Rid>().ok());
            StreamSetup {
                rid: rid.filter(|_| layers > 1),
                ssrc,
                rtx_ssrc: ssrc.wrapping_add(1),
            }
        };
        let format = own_format(source.kind());
        SenderSetup {
            mid,
            source,
            payload_type: format.payload_type,
            rtx_payload_type: format.rtx.map(|rtx| rtx.payload_type),
            streams: (0..layers).map(&mut stream).collect(),
        }
    }

    /// A new line of ours.
    fn line(&self, kind: MediaKind, mid: Mid, sender: Option<SenderSetup>) -> Line {
        let known = |(_, extension): &(u8, Extension)| match extension {
            Extension::AudioLevel => kind == MediaKind::Audio,
            Extension::Rid | Extension::RepairedRid => kind == MediaKind::Video,
            _ => true,
        };
        Line {
            mid,
            media: name_of(kind).to_owned(),
            protocol: "UDP/TLS/RTP/SAVPF".to_owned(),
            other_format: String::new(),
            declined: false,
            direction: Direction {
                send: sender.is_some(),
                receive: self.publishes.receives,
            },
            format: Some(own_format(kind)),
            extensions: EXTENSIONS.into_iter().filter(known).collect(),
            sender,
            receiver: None,
        }
    }
}

impl Line {
    /// A line that the remote side offers, before it is looked at.
    fn of(mid: Mid, media: &RemoteMedia) -> Self {
        Self {
            mid,
            media: media.media.clone(),
            protocol: media.protocol.clone(),
            other_format: media.format.clone(),
            declined: true,
            direction: Direction::default(),
            format: None,
            extensions: Vec::new(),
            sender: None,
            receiver: None,
        }
    }

    /// Takes what the remote side says about the line.
    fn take(&mut self, remote: &RemoteMedia, receives: bool) {
        let kind = match remote.kind {
            LineKind::Rtp(kind) if !remote.rejected => Some(kind),
            _ => None,
        };
        let format = kind.and_then(|kind| {
            let mut known = remote.formats.known.iter();
            known.find(|format| format.codec == codec_of(kind))
        });
        self.receiver = None;
        let (Some(kind), Some(format)) = (kind, format) else {
            self.declined = true;
            self.direction = Direction::default();
            return;
        };
        self.declined = false;
        let theirs = remote.direction.reversed();
        self.direction = Direction {
            send: self.sender.is_some() && theirs.send,
            receive: receives && theirs.receive,
        };
        let ours = |extension: &Extension| EXTENSIONS.iter().any(|(_, known)| known == extension);
        let extensions = remote.extensions.known.iter();
        self.extensions = extensions
            .map(|known| (known.id, known.extension))
            .filter(|(_, extension)| ours(extension))
            .collect();
        if let Some(sender) = &mut self.sender {
            sender.payload_type = format.payload_type;
            sender.rtx_payload_type = format.rtx.as_ref().map(|rtx| rtx.payload_type);
        }
        if self.direction.receive {
            self.receiver = remote.ssrcs.first().map(|pair| ReceiverSetup {
                mid: self.mid,
                kind,
                ssrc: pair.ssrc,
                rtx_ssrc: pair.rtx,
                nack: format.feedback.nack,
                pli: format.feedback.pli,
            });
        }
        self.format = Some(format.clone());
    }

    /// Without layers in the answer the best one is sent alone, and without its id.
    fn limit_layers(&mut self, takes_layers: bool) {
        if let Some(sender) = self.sender.as_mut().filter(|_| !takes_layers) {
            sender.streams.truncate(1);
            for stream in &mut sender.streams {
                stream.rid = None;
            }
        }
    }
}

impl SourcePlan {
    /// Audio or video.
    pub(crate) fn kind(self) -> MediaKind {
        match self {
            Self::Audio => MediaKind::Audio,
            Self::Video(_) => MediaKind::Video,
        }
    }
}

/// Whether an answer agrees to receive layers (RFC 8853 section 5.3).
fn takes_layers(sdp: &str) -> bool {
    sdp.lines()
        .filter_map(|line| line.strip_prefix("a=simulcast:"))
        .any(|value| value.split_ascii_whitespace().any(|word| word == "recv"))
}

pub(super) fn name_of(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    }
}

fn codec_of(kind: MediaKind) -> Codec {
    match kind {
        MediaKind::Audio => Codec::Opus,
        MediaKind::Video => Codec::Vp8,
    }
}

/// As Chromium offers it.
fn own_format(kind: MediaKind) -> Format {
    let video = kind == MediaKind::Video;
    Format {
        payload_type: if video { 96 } else { 111 },
        codec: codec_of(kind),
        fmtp: (!video).then(|| "minptime=10;useinbandfec=1;usedtx=1".to_owned()),
        rtx: video.then(|| Rtx {
            payload_type: 97,
            fmtp: "apt=96".to_owned(),
        }),
        feedback: Feedback {
            nack: video,
            pli: video,
            fir: video,
            transport_cc: true,
            remb: false,
        },
    }
}

/// The mid of a line of ours, as browsers number them.
fn mid_of(place: usize) -> Option<Mid> {
    place.to_string().parse().ok()
}
