//! The payload types of an m-line: `a=rtpmap`, `a=fmtp` and `a=rtcp-fb` (RFC 8866, RFC 4585).

use crate::negotiation::SdpError;
use crate::negotiation::remote::h264;
use crate::negotiation::remote::session::Section;
use crate::rtp::{Codec, H264Profile, MediaKind};

/// Payload types are 7 bits wide.
const PAYLOAD_TYPES: usize = 128;

/// The feedback that is agreed for a codec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Feedback {
    /// `nack`
    pub(crate) nack: bool,
    /// `nack pli`
    pub(crate) pli: bool,
    /// `ccm fir`
    pub(crate) fir: bool,
    /// `transport-cc`
    pub(crate) transport_cc: bool,
    /// `goog-remb` (draft-alvestrand-rmcat-remb-03): the receiver's own estimate. Of video without `transport-cc` only,
    /// which says more and comes sooner.
    pub(crate) remb: bool,
}

/// The retransmissions of a format (RFC 4588).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rtx {
    /// Their payload type.
    pub(crate) payload_type: u8,
    /// Their `a=fmtp`, which names the format by `apt`.
    pub(crate) fmtp: String,
}

/// A codec of an m-line that is forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    /// Its payload type.
    pub(crate) payload_type: u8,
    /// What it carries.
    pub(crate) codec: Codec,
    /// Its `a=fmtp`, word for word.
    pub(crate) fmtp: Option<String>,
    /// Its retransmissions.
    pub(crate) rtx: Option<Rtx>,
    /// Its feedback.
    pub(crate) feedback: Feedback,
}

/// What a payload type stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PayloadUse {
    /// A codec that is forwarded.
    Codec(Codec),
    /// The retransmissions of this payload type.
    Rtx(u8),
    /// Something else.
    Other,
}

/// What an m-line says about payload types.
#[derive(Clone, Debug, Default)]
pub(crate) struct Formats {
    /// What is forwarded, in the order of preference.
    pub(crate) known: Vec<Format>,
    /// What each number of the m-line stands for.
    pub(crate) uses: Vec<(u8, PayloadUse)>,
}

/// The lines about one payload type.
#[derive(Clone, Copy, Default)]
struct Lines<'a> {
    rtpmap: Option<&'a str>,
    fmtp: Option<&'a str>,
    feedback: Feedback,
}

/// Reads the formats of an audio or video m-line, whose numbers are `numbers`.
pub(super) fn parse(
    section: &Section<'_>,
    kind: MediaKind,
    numbers: &[u8],
) -> Result<Formats, SdpError> {
    let lines = parse_lines(section)?;
    let of = |number: u8| lines.get(usize::from(number)).copied().unwrap_or_default();
    let mut formats = Formats::default();
    for &number in numbers {
        let lines = of(number);
        let codec = codec(number, kind, lines);
        let rtx = lines.rtpmap.is_some_and(is_rtx);
        formats.uses.push((
            number,
            match (codec, rtx.then(|| apt(lines.fmtp)).flatten()) {
                (Some(codec), _) => PayloadUse::Codec(codec),
                (None, Some(apt)) => PayloadUse::Rtx(apt),
                (None, None) => PayloadUse::Other,
            },
        ));
        if let Some(codec) = codec {
            let mut feedback = lines.feedback;
            feedback.remb &= kind == MediaKind::Video && !feedback.transport_cc;
            formats.known.push(Format {
                payload_type: number,
                codec,
                fmtp: lines.fmtp.map(str::to_owned),
                rtx: None,
                feedback,
            });
        }
    }
    for &(number, used) in &formats.uses {
        if let (PayloadUse::Rtx(apt), MediaKind::Video) = (used, kind) {
            let fmtp = of(number).fmtp.unwrap_or_default().to_owned();
            let format = formats.known.iter_mut().find(|f| f.payload_type == apt);
            if let Some(format) = format.filter(|f| f.rtx.is_none()) {
                format.rtx = Some(Rtx {
                    payload_type: number,
                    fmtp,
                });
            }
        }
    }
    keep_red_around_opus(&mut formats.known);
    Ok(formats)
}

/// Sorts the lines about payload types by their number.
fn parse_lines<'a>(section: &Section<'a>) -> Result<Vec<Lines<'a>>, SdpError> {
    let mut lines = vec![Lines::default(); PAYLOAD_TYPES];
    let mut every = Feedback::default();
    for attribute in &section.attributes {
        if !matches!(attribute.name, "rtpmap" | "fmtp" | "rtcp-fb") {
            continue;
        }
        let Some((number, rest)) = attribute.value.split_once(' ') else {
            return Err(SdpError::at(
                attribute.line,
                "a payload type and its value are asked for",
            ));
        };
        if attribute.name == "rtcp-fb" && number == "*" {
            add_feedback(&mut every, rest);
            continue;
        }
        let number = number.parse::<usize>().ok();
        let Some(of) = number.and_then(|number| lines.get_mut(number)) else {
            return Err(SdpError::at(attribute.line, "a payload type is 0 to 127"));
        };
        match attribute.name {
            "rtpmap" => of.rtpmap = of.rtpmap.or(Some(rest.trim())),
            "fmtp" => of.fmtp = of.fmtp.or(Some(rest.trim())),
            _ => add_feedback(&mut of.feedback, rest),
        }
    }
    for of in &mut lines {
        of.feedback.nack |= every.nack;
        of.feedback.pli |= every.pli;
        of.feedback.fir |= every.fir;
        of.feedback.transport_cc |= every.transport_cc;
        of.feedback.remb |= every.remb;
    }
    Ok(lines)
}

fn add_feedback(feedback: &mut Feedback, value: &str) {
    match value.trim() {
        "nack" => feedback.nack = true,
        "nack pli" => feedback.pli = true,
        "ccm fir" => feedback.fir = true,
        "transport-cc" => feedback.transport_cc = true,
        "goog-remb" => feedback.remb = true,
        _ => {}
    }
}

fn is_rtx(rtpmap: &str) -> bool {
    rtpmap
        .split_once('/')
        .is_some_and(|(name, _)| name.eq_ignore_ascii_case("rtx"))
}

/// The payload type that retransmissions are about.
fn apt(fmtp: Option<&str>) -> Option<u8> {
    parameter(fmtp?, "apt")?.parse().ok()
}

/// The value of `name` in `a=1;b=2`.
fn parameter<'a>(fmtp: &'a str, name: &str) -> Option<&'a str> {
    fmtp.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// A numeric parameter of an fmtp line, or its default; nothing when it is no number.
fn number(fmtp: &str, name: &str, default: u8) -> Option<u8> {
    parameter(fmtp, name).map_or(Some(default), |value| value.parse().ok())
}

/// The codec that a payload type carries, if it is forwarded.
fn codec(payload_type: u8, kind: MediaKind, lines: Lines<'_>) -> Option<Codec> {
    // RFC 3551 table 4: what these mean without an rtpmap.
    let rtpmap = lines.rtpmap.or(match payload_type {
        0 => Some("PCMU/8000"),
        8 => Some("PCMA/8000"),
        9 => Some("G722/8000"),
        _ => None,
    })?;
    let mut parts = rtpmap.split('/');
    let name = parts.next()?.to_ascii_lowercase();
    let rate: u32 = parts.next()?.trim().parse().ok()?;
    let channels: u8 = parts.next().map_or(Some(1), |c| c.trim().parse().ok())?;
    let fmtp = lines.fmtp.unwrap_or_default();
    let codec = match (name.as_str(), rate, channels) {
        ("opus", 48_000, 2) => Codec::Opus,
        ("red", 48_000, 2) => Codec::Red,
        ("g722", 8_000, 1) => Codec::G722,
        ("pcmu", 8_000, 1) => Codec::Pcmu,
        ("pcma", 8_000, 1) => Codec::Pcma,
        ("telephone-event", 8_000 | 48_000, 1) => Codec::TelephoneEvent(rate),
        ("vp8", 90_000, 1) => Codec::Vp8,
        ("vp9", 90_000, 1) => Codec::Vp9 {
            profile: number(fmtp, "profile-id", 0).filter(|p| *p <= 3)?,
        },
        ("h264", 90_000, 1) => Codec::H264 {
            profile: match parameter(fmtp, "profile-level-id") {
                Some(id) => h264::parse_profile(id)?,
                // What browsers take an absent one for.
                None => H264Profile::ConstrainedBaseline,
            },
            packetization_mode: number(fmtp, "packetization-mode", 0).filter(|m| *m <= 1)?,
        },
        ("av1", 90_000, 1) => Codec::Av1 {
            profile: number(fmtp, "profile", 0).filter(|p| *p <= 2)?,
        },
        ("h265", 90_000, 1) if matches!(parameter(fmtp, "tx-mode"), None | Some("SRST")) => {
            Codec::H265 {
                profile: number(fmtp, "profile-id", 1).filter(|p| *p <= 31)?,
                tier: number(fmtp, "tier-flag", 0).filter(|t| *t <= 1)?,
            }
        }
        _ => return None,
    };
    (codec.kind() == kind).then_some(codec)
}

/// Drops RED that does not say it is around Opus of the same m-line: such packets could hold what
/// nobody agreed to.
fn keep_red_around_opus(formats: &mut Vec<Format>) {
    let mut opus = [false; PAYLOAD_TYPES];
    for format in formats.iter().filter(|f| f.codec == Codec::Opus) {
        if let Some(opus) = opus.get_mut(usize::from(format.payload_type)) {
            *opus = true;
        }
    }
    let is_opus = |block: &str| {
        let number = block.trim().parse::<usize>().ok();
        number.and_then(|n| opus.get(n)).copied().unwrap_or(false)
    };
    formats.retain(|format| {
        format.codec != Codec::Red
            || format
                .fmtp
                .as_deref()
                .is_some_and(|blocks| blocks.split('/').all(is_opus))
    });
}
