//! One m-line of a client's description.

use crate::negotiation::SdpError;
use crate::negotiation::remote::extensions::{self, Extensions};
use crate::negotiation::remote::formats::{self, Formats};
use crate::negotiation::remote::session::Section;
use crate::negotiation::remote::{Direction, Layer, simulcast, ssrc};
use crate::rtp::{MediaKind, Mid};
use crate::shard::{SctpParameters, SsrcPair};

/// Longest word of an m-line that is repeated in ours, in bytes.
const MAX_WORD: usize = 64;

/// The default of `a=sctp-port`, which old clients leave out.
const SCTP_PORT: u16 = 5_000;

/// The default of `a=max-message-size` (RFC 8841 section 6.1).
const MAX_MESSAGE_SIZE: u32 = 65_536;

/// What an m-line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineKind {
    /// Audio or video over SRTP.
    Rtp(MediaKind),
    /// Data channels over SCTP over DTLS.
    DataChannel,
    /// Something that is not served.
    Unserved,
}

/// One m-line of a client's description.
#[derive(Clone, Debug)]
pub(crate) struct RemoteMedia {
    /// Its line, for errors.
    pub(crate) error: SdpError,
    /// What it is for.
    pub(crate) kind: LineKind,
    /// The first word: `audio`, `video`, `application` or another.
    pub(crate) media: String,
    /// The third word, the transport protocol.
    pub(crate) protocol: String,
    /// The first of its formats, enough for an m-line that is rejected.
    pub(crate) format: String,
    /// Port 0 without `a=bundle-only`: the m-line is stopped.
    pub(crate) rejected: bool,
    /// `a=mid`
    pub(crate) mid: Option<Mid>,
    /// Who sends, as the client sees it.
    pub(crate) direction: Direction,
    /// `a=rtcp-mux`
    pub(crate) rtcp_mux: bool,
    /// `a=rtcp-rsize`
    pub(crate) rtcp_rsize: bool,
    /// `a=extmap-allow-mixed`
    pub(crate) allow_mixed: bool,
    /// Its payload types.
    pub(crate) formats: Formats,
    /// Its header extensions.
    pub(crate) extensions: Extensions,
    /// The streams that it announces.
    pub(crate) ssrcs: Vec<SsrcPair>,
    /// The simulcast layers that it sends.
    pub(crate) layers: Vec<Layer>,
    /// The data channels' association.
    pub(crate) sctp: Option<SctpParameters>,
}

impl RemoteMedia {
    /// Reads an m-line. `direction` is what holds where it says nothing.
    pub(super) fn parse(section: &Section<'_>, direction: Direction) -> Result<Self, SdpError> {
        let bad = |reason| SdpError::at(section.line, reason);
        let mut words = section.line.value().split_ascii_whitespace();
        let (Some(media), Some(port), Some(protocol)) = (words.next(), words.next(), words.next())
        else {
            return Err(bad("an m-line is a medium, a port, a protocol and formats"));
        };
        let port = port.split('/').next().unwrap_or_default();
        if port.parse::<u16>().is_err() {
            return Err(bad("the port is no number of 16 bits"));
        }
        if media.len() > MAX_WORD || protocol.len() > MAX_WORD {
            return Err(bad("the medium or the protocol is too long"));
        }
        let words: Vec<&str> = words.collect();
        let mid = match section.attribute("mid") {
            Some(mid) => Some(
                mid.value
                    .parse::<Mid>()
                    .map_err(|_| SdpError::at(mid.line, "a mid is 1 to 16 token characters"))?,
            ),
            None => None,
        };
        let mut parsed = Self {
            error: bad(""),
            kind: kind(media, protocol, &words),
            media: media.to_owned(),
            protocol: protocol.to_owned(),
            format: words
                .first()
                .filter(|format| format.len() <= MAX_WORD)
                .map_or_else(|| "0".to_owned(), |format| (*format).to_owned()),
            rejected: section.is_rejected(),
            mid,
            direction: section
                .attributes
                .iter()
                .find_map(|a| Direction::from_name(a.name))
                .unwrap_or(direction),
            rtcp_mux: section.attribute("rtcp-mux").is_some(),
            rtcp_rsize: section.attribute("rtcp-rsize").is_some(),
            allow_mixed: section.attribute("extmap-allow-mixed").is_some(),
            formats: Formats::default(),
            extensions: Extensions::default(),
            ssrcs: Vec::new(),
            layers: Vec::new(),
            sctp: None,
        };
        // A stopped m-line says nothing that counts, and some of its lines may be left over.
        if !parsed.rejected {
            parsed.parse_attributes(section, &words)?;
        }
        Ok(parsed)
    }

    fn parse_attributes(&mut self, section: &Section<'_>, words: &[&str]) -> Result<(), SdpError> {
        match self.kind {
            LineKind::Rtp(kind) => {
                let numbers = payload_types(section, words)?;
                self.formats = formats::parse(section, kind, &numbers)?;
                self.extensions = extensions::parse(section)?;
                self.ssrcs = ssrc::parse(section)?;
                self.layers = simulcast::parse(section)?;
            }
            LineKind::DataChannel => self.sctp = Some(parse_sctp(section)?),
            LineKind::Unserved => {}
        }
        Ok(())
    }

    /// The mid of an m-line that has to have one.
    pub(crate) fn required_mid(&self) -> Result<Mid, SdpError> {
        self.mid
            .ok_or_else(|| self.wrong("the m-line has no a=mid"))
    }

    /// Something is wrong with this m-line.
    pub(crate) fn wrong(&self, reason: &'static str) -> SdpError {
        SdpError {
            reason,
            ..self.error.clone()
        }
    }
}

fn kind(media: &str, protocol: &str, formats: &[&str]) -> LineKind {
    let rtp = matches!(
        protocol,
        "UDP/TLS/RTP/SAVPF" | "UDP/TLS/RTP/SAVP" | "TCP/TLS/RTP/SAVPF" | "RTP/SAVPF"
    );
    // The old `DTLS/SCTP 5000` is not served: it speaks another version of the data channel's SDP.
    let sctp = matches!(protocol, "UDP/DTLS/SCTP" | "TCP/DTLS/SCTP");
    match media {
        "audio" if rtp => LineKind::Rtp(MediaKind::Audio),
        "video" if rtp => LineKind::Rtp(MediaKind::Video),
        "application" if sctp && formats == ["webrtc-datachannel"] => LineKind::DataChannel,
        _ => LineKind::Unserved,
    }
}

/// The payload types of an m-line, each once.
fn payload_types(section: &Section<'_>, words: &[&str]) -> Result<Vec<u8>, SdpError> {
    let mut seen = [false; 128];
    let mut numbers = Vec::new();
    for word in words {
        let number = word.parse::<u8>().ok();
        let Some((number, seen)) = number.and_then(|n| Some((n, seen.get_mut(usize::from(n))?)))
        else {
            return Err(SdpError::at(section.line, "a payload type is 0 to 127"));
        };
        if !*seen {
            *seen = true;
            numbers.push(number);
        }
    }
    Ok(numbers)
}

fn parse_sctp(section: &Section<'_>) -> Result<SctpParameters, SdpError> {
    let remote_port = match section.attribute("sctp-port") {
        Some(port) => port
            .value
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| SdpError::at(port.line, "an sctp-port is 1 to 65535"))?,
        None => SCTP_PORT,
    };
    let max_message_size = match section.attribute("max-message-size") {
        // A larger number than ours means as much as ours.
        Some(size) => size
            .value
            .parse::<u64>()
            .map(|size| u32::try_from(size).unwrap_or(u32::MAX))
            .map_err(|_| SdpError::at(size.line, "a max-message-size is a number"))?,
        None => MAX_MESSAGE_SIZE,
    };
    Ok(SctpParameters {
        remote_port,
        max_message_size,
    })
}
