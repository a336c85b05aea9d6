//! `mute` and `receive`: what may change in a call without an offer.

use super::ProtocolError;
use super::fields::{Fields, missing, wrong};
use crate::negotiation::Source;
use crate::rtp::Mid;
use crate::shard::TrackId;

/// The words of `source`, for errors.
pub(super) const SOURCE_WORDS: &str = "`microphone`, `camera`, `screen` or `screen-audio`";

/// `mute`: nothing of a muted track is forwarded, and the others see that it is muted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mute {
    /// Which of one's own tracks.
    pub target: MuteTarget,
    /// Whether it is muted now.
    pub muted: bool,
}

/// A track of one's own: `mid`, or `source`. With both, `mid` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MuteTarget {
    /// The track on this m-line.
    Mid(Mid),
    /// All tracks of this source.
    Source(Source),
}

impl Mute {
    pub(super) fn read(fields: &Fields) -> Result<Self, ProtocolError> {
        let mid = match fields.string("mid", 256)? {
            None => None,
            Some(mid) => Some(
                mid.parse()
                    .map_err(|_| wrong("mid", format_args!("an m-line's mid")))?,
            ),
        };
        let source = match fields.string("source", 64)? {
            None => None,
            Some(word) => Some(
                word.parse()
                    .map_err(|()| wrong("source", format_args!("{}", SOURCE_WORDS)))?,
            ),
        };
        let target = match (mid, source) {
            (Some(mid), _) => MuteTarget::Mid(mid),
            (None, Some(source)) => MuteTarget::Source(source),
            (None, None) => return Err(missing("mid")),
        };
        let muted = fields.bool("muted")?.ok_or_else(|| missing("muted"))?;
        Ok(Self { target, muted })
    }
}

/// `track`: a track's id.
pub(super) fn read_track(fields: &Fields) -> Result<TrackId, ProtocolError> {
    fields
        .required_string("track", 64)?
        .strip_prefix('t')
        .and_then(|number| number.parse().ok())
        .map(TrackId)
        .ok_or_else(|| wrong("track", format_args!("a track's id, such as `t12`")))
}

/// `receive`: what the viewer needs of a track. The server forwards no more than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receive {
    /// Somebody else's track.
    pub track: TrackId,
    /// Nothing of it is needed now.
    pub paused: Option<bool>,
    /// The width it is shown at, in physical pixels.
    pub width: Option<u16>,
    /// The height it is shown at, in physical pixels.
    pub height: Option<u16>,
    /// Higher is served first, 0 to 255.
    pub priority: Option<u8>,
}

impl Receive {
    pub(super) fn read(fields: &Fields) -> Result<Self, ProtocolError> {
        let track = read_track(fields)?;
        let pixels = |name: &str| -> Result<Option<u16>, ProtocolError> {
            Ok(fields
                .number(name, u16::MAX.into())?
                .and_then(|value| value.try_into().ok()))
        };
        Ok(Self {
            track,
            paused: fields.bool("paused")?,
            width: pixels("width")?,
            height: pixels("height")?,
            priority: fields
                .number("priority", u8::MAX.into())?
                .and_then(|value| value.try_into().ok()),
        })
    }
}
