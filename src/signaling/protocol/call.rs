//! `video-offer`, `video-answer`, `new-ice-candidate`, `hang-up`: what makes and ends calls.
//!
//! Without `target` they are about the room's call: the first offer joins it. An offer with `target` rings that
//! user. In both the peer that answers is the server, and there is one peer connection per participant. Renewed
//! offers and answers may carry the `target` of the one-to-one call that the sender is in, or none.

use serde::Serialize;
use serde_json::Value;

use super::fields::{Fields, missing, wrong};
use super::media::SOURCE_WORDS;
use super::{MAX_MESSAGE_BYTES, ProtocolError, Target};
use crate::negotiation::Source;
use crate::rtp::Mid;

/// Most entries of `tracks` that are read.
const MAX_TRACKS: usize = 512;
/// Longest candidate line that is read.
const MAX_CANDIDATE_CHARACTERS: usize = 1024;
/// Longest `sdpMid` and `usernameFragment` (RFC 8839 section 5.4) that are read.
const MAX_WORD_CHARACTERS: usize = 256;

/// `video-offer` or `video-answer` from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The SDP: either the string itself, or the `sdp` of an RTCSessionDescription whose `type` fits.
    pub sdp: String,
    /// The callee, or the other one of the sender's one-to-one call.
    pub target: Option<Target>,
    /// `tracks`: what the sender's m-lines show; otherwise the kind decides.
    ///
    /// On the wire an entry is `{"mid", "source"}`.
    pub sources: Vec<(Mid, Source)>,
}

impl Description {
    pub(super) fn read(fields: &Fields, kind: &str) -> Result<Self, ProtocolError> {
        Ok(Self {
            sdp: read_sdp(fields, kind)?,
            target: fields.target()?,
            sources: read_sources(fields)?,
        })
    }
}

fn read_sdp(fields: &Fields, kind: &str) -> Result<String, ProtocolError> {
    match fields.value("sdp") {
        None => Err(missing("sdp")),
        // The length of the SDP has a limit of its own, which the room checks.
        Some(Value::String(sdp)) => Ok(sdp.clone()),
        Some(Value::Object(description)) => {
            match description.get("type") {
                None | Some(Value::Null) => {}
                Some(Value::String(word)) if word == kind => {}
                Some(_) => return Err(wrong("sdp.type", format_args!("`{kind}`"))),
            }
            match description.get("sdp") {
                Some(Value::String(sdp)) if sdp.len() <= MAX_MESSAGE_BYTES => Ok(sdp.clone()),
                _ => Err(wrong("sdp.sdp", format_args!("a string"))),
            }
        }
        Some(_) => Err(wrong("sdp", format_args!("an SDP string or {{type, sdp}}"))),
    }
}

fn read_sources(fields: &Fields) -> Result<Vec<(Mid, Source)>, ProtocolError> {
    let entries = match fields.value("tracks") {
        None => return Ok(Vec::new()),
        Some(Value::Array(entries)) if entries.len() <= MAX_TRACKS => entries,
        Some(_) => {
            return Err(wrong(
                "tracks",
                format_args!("a list of at most {MAX_TRACKS} entries"),
            ));
        }
    };
    entries
        .iter()
        .map(|entry| {
            let word = |name: &str| entry.get(name).and_then(Value::as_str);
            let mid = word("mid")
                .and_then(|mid| mid.parse().ok())
                .ok_or_else(|| wrong("tracks[].mid", format_args!("an m-line's mid")))?;
            let source = word("source")
                .and_then(|word| word.parse().ok())
                .ok_or_else(|| wrong("tracks[].source", format_args!("{}", SOURCE_WORDS)))?;
            Ok((mid, source))
        })
        .collect()
}

/// `new-ice-candidate` from a client. The server's own candidates are in its SDP already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewIceCandidate {
    /// The candidate line without `a=`; `None` when `candidate` is null, empty or absent: no more will come.
    pub candidate: Option<String>,
    /// `sdpMid`
    pub sdp_mid: Option<String>,
    /// `sdpMLineIndex`
    pub sdp_m_line_index: Option<u16>,
    /// `usernameFragment`
    pub username_fragment: Option<String>,
    /// The other one of a one-to-one call; not needed, since all candidates are the server's.
    pub target: Option<Target>,
}

impl NewIceCandidate {
    pub(super) fn read(fields: &Fields) -> Result<Self, ProtocolError> {
        let target = fields.target()?;
        let init = match fields.value("candidate") {
            None => Fields::new(serde_json::Map::new()),
            Some(Value::Object(init)) => Fields::new(init.clone()),
            Some(_) => {
                return Err(wrong(
                    "candidate",
                    format_args!("an RTCIceCandidateInit or null"),
                ));
            }
        };
        let word =
            |name: &str, max: usize| init.string(name, max).map(|word| word.map(str::to_owned));
        Ok(Self {
            candidate: word("candidate", MAX_CANDIDATE_CHARACTERS)?.filter(|line| !line.is_empty()),
            sdp_mid: word("sdpMid", MAX_WORD_CHARACTERS)?,
            sdp_m_line_index: init
                .number("sdpMLineIndex", u16::MAX.into())?
                .and_then(|index| index.try_into().ok()),
            username_fragment: word("usernameFragment", MAX_WORD_CHARACTERS)?,
            target,
        })
    }
}

/// `hang-up` from a client: declines a ringing call, cancels one's own, or leaves. The socket and the chat go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HangUp {
    /// The other one of a one-to-one call. Without it, whatever call the sender is in ends.
    pub target: Option<Target>,
}

impl HangUp {
    pub(super) fn read(fields: &Fields) -> Result<Self, ProtocolError> {
        Ok(Self {
            target: fields.target()?,
        })
    }
}

/// `reason` of a `hang-up` from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HangUpReason {
    /// The other side hung up, or gave up ringing.
    Left,
    /// The callee declined.
    Declined,
    /// The callee is in a call.
    Busy,
    /// The other side, or one's own media connection, vanished.
    Gone,
    /// Nobody answered in time, or the media stayed away too long.
    Timeout,
    /// Somebody who may do that ended it.
    Kicked,
}
