//! `username`, `participant` and their parts: who is in the room.

use serde::Serialize;

use super::fields::Fields;
use super::{ErrorCode, MAX_NAME_CHARACTERS, MAX_ROOM_CHARACTERS, ProtocolError};
use crate::negotiation::Source;
use crate::rtp::MediaKind;

/// `username`: takes a name, or changes it. Other members (`id`, `date`) are not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username {
    /// 1 to 64 characters after trimming, without control characters.
    pub name: String,
}

impl Username {
    pub(super) fn read(fields: &Fields) -> Result<Self, ProtocolError> {
        // The bound of the member itself only keeps nonsense away; a name that is too long is `bad-name`.
        Self::new(fields.required_string("name", 4096)?)
    }

    /// The name that `text` is after trimming.
    pub fn new(text: &str) -> Result<Self, ProtocolError> {
        let name = text.trim();
        if name.is_empty() || name.chars().count() > MAX_NAME_CHARACTERS {
            return Err(ProtocolError::new(
                ErrorCode::BadName,
                format!("`name` must have 1 to {MAX_NAME_CHARACTERS} characters"),
            ));
        }
        if name.chars().any(char::is_control) {
            return Err(ProtocolError::new(
                ErrorCode::BadName,
                "`name` must not contain control characters",
            ));
        }
        Ok(Self {
            name: name.to_owned(),
        })
    }
}

/// Whether a room may be called so: 1 to 64 of letters, digits, `-`, `_`, `.`.
pub fn is_room_name(name: &str) -> bool {
    (1..=MAX_ROOM_CHARACTERS).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// `state` of `participant`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ParticipantState {
    /// Took a name; or was there before the newcomer that reads this.
    Joined,
    /// Changed its name, its call, its tracks, or a mute.
    Updated,
    /// Left the room.
    Left,
}

/// `call` of `participant`; JSON `null` outside of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CallName {
    /// The room's call.
    Room,
    /// A one-to-one call that was accepted.
    Direct,
}

/// An entry of `tracks` of `participant`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrackInfo {
    /// The track's id, such as `t12`, unique in the server's run.
    pub track: String,
    /// `audio` or `video`.
    #[serde(serialize_with = "media_kind")]
    pub kind: MediaKind,
    /// What it shows.
    pub source: Source,
    /// Whether nothing of it is forwarded now.
    pub muted: bool,
}

/// Writes `audio` or `video`.
pub(super) fn media_kind<S: serde::Serializer>(
    kind: &MediaKind,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match kind {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    })
}
