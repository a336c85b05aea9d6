//! One m-line as both sides agreed on it, or as one of them proposes it.

use crate::negotiation::Source;
use crate::negotiation::remote::{Direction, Format, Layer, LineExtension, LineKind};
use crate::rtp::{Codec, Extension, MediaKind, Mid};
use crate::shard::{
    CodecParameters, ParticipantId, ReceiveParameters, SctpParameters, SendParameters, SsrcPair,
    TrackId,
};

/// The track that the client sends on an m-line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Receive {
    pub(crate) track: TrackId,
    pub(crate) source: Source,
    pub(crate) ssrcs: Vec<SsrcPair>,
}

/// The track that the client is sent on an m-line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Send {
    pub(crate) track: TrackId,
    pub(crate) participant: ParticipantId,
    pub(crate) home: usize,
    pub(crate) ssrc: u32,
    pub(crate) rtx_ssrc: u32,
}

/// An m-line.
#[derive(Clone, Debug)]
pub(crate) struct MediaLine {
    /// What it is for.
    pub(crate) kind: LineKind,
    /// Its medium, protocol and first format, as words of the m-line.
    pub(crate) words: [String; 3],
    /// Its mid; only a stopped one can be without.
    pub(crate) mid: Option<Mid>,
    /// Port 0: it carries nothing and may be recycled under another mid.
    pub(crate) stopped: bool,
    /// Who sends, as our description says it.
    pub(crate) direction: Direction,
    /// The client receives here what we send, as far as it said.
    pub(crate) willing: bool,
    pub(crate) formats: Vec<Format>,
    pub(crate) extensions: Vec<LineExtension>,
    pub(crate) rtcp_rsize: bool,
    pub(crate) allow_mixed: bool,
    /// The layers that the client can send.
    pub(crate) layers: Vec<Layer>,
    pub(crate) sctp: Option<SctpParameters>,
    pub(crate) receive: Option<Receive>,
    pub(crate) send: Option<Send>,
}

impl MediaLine {
    /// The kind of media that flows here, if any can.
    pub(crate) fn media_kind(&self) -> Option<MediaKind> {
        match self.kind {
            LineKind::Rtp(kind) if !self.stopped => Some(kind),
            LineKind::Rtp(_) | LineKind::DataChannel | LineKind::Unserved => None,
        }
    }

    /// Makes it a stopped m-line.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
        self.direction = Direction::default();
        self.willing = false;
        self.formats.clear();
        self.extensions.clear();
        self.layers.clear();
        self.sctp = None;
        self.receive = None;
        self.send = None;
    }

    /// Whether `extension` may be used here.
    pub(crate) fn has_extension(&self, extension: Extension) -> bool {
        self.extensions.iter().any(|e| e.extension == extension)
    }

    /// What the core is to know about what the client sends here.
    pub(crate) fn receive_parameters(&self) -> Option<ReceiveParameters> {
        let (receive, kind) = (self.receive.as_ref()?, self.media_kind()?);
        let rids: Vec<_> = self.layers.iter().map(|layer| layer.rid).collect();
        Some(ReceiveParameters {
            mid: self.mid?,
            track: receive.track,
            kind,
            voice: receive.source == Source::Microphone,
            codecs: self.codecs(),
            ssrcs: if rids.is_empty() {
                receive.ssrcs.clone()
            } else {
                Vec::new()
            },
            rids,
        })
    }

    /// What the core is to know about what the client is sent here.
    pub(crate) fn send_parameters(&self) -> Option<SendParameters> {
        let (send, kind) = (self.send?, self.media_kind()?);
        Some(SendParameters {
            mid: self.mid?,
            track: send.track,
            participant: send.participant,
            home: send.home,
            kind,
            ssrc: send.ssrc,
            rtx_ssrc: self.has_rtx().then_some(send.rtx_ssrc),
            codecs: self.codecs(),
        })
    }

    /// Whether any codec has retransmissions.
    pub(crate) fn has_rtx(&self) -> bool {
        self.formats.iter().any(|format| format.rtx.is_some())
    }

    fn codecs(&self) -> Vec<CodecParameters> {
        let opus = self.formats.iter().find(|f| f.codec == Codec::Opus);
        let parameters = |format: &Format| {
            // Chromium writes the feedback of Opus to Opus only, and gives it for the stream, RED or not.
            let feedback = opus
                .filter(|_| format.codec == Codec::Red)
                .map_or(format.feedback, |opus| opus.feedback);
            CodecParameters {
                payload_type: format.payload_type,
                codec: format.codec,
                rtx: format.rtx.as_ref().map(|rtx| rtx.payload_type),
                nack: feedback.nack,
                pli: feedback.pli,
                fir: feedback.fir,
                transport_cc: feedback.transport_cc,
            }
        };
        self.formats.iter().map(parameters).collect()
    }
}
