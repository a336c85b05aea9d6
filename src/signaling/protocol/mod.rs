//! The messages of the wire, and their specification.
//!
//! JSON objects in text frames of one WebSocket, told apart by `type`. One rule carries the design: **a message
//! with `target` is for that user; a message without it is for the room.** A `target` is a user's name, which is
//! unique in its room; in `crosspoint.v1` it may be the number of the `id` message instead.
//!
//! Called by [`crate::room`], reading and writing. It checks and bounds every field before anybody else sees it, and
//! never keeps state.
//!
//! | type | way | classic | meaning |
//! | --- | --- | --- | --- |
//! | `id` | S→C | yes | [`ServerMessage::Id`], first on every socket |
//! | `username` | C→S | yes | [`Username`]: take a name, or change it |
//! | `ice-servers` | S→C | no | [`ServerMessage::IceServers`]: use these from now on |
//! | `rejectusername` | S→C | yes | [`ServerMessage::RejectUsername`]: the name was taken, this one is yours |
//! | `userlist` | S→C | only | [`ServerMessage::UserList`], at every change |
//! | `participant` | S→C | no | [`ServerMessage::Participant`]: one change in the room |
//! | `message` | both | yes | [`ChatMessage`], [`ServerMessage::Message`] |
//! | any other | both | yes | [`PassThrough`] |
//! | `error` | S→C | no | [`ServerMessage::Error`], [`ErrorCode`] |
//! | `video-offer`, `video-answer` | both | yes | [`Description`], [`ServerMessage::VideoOffer`] |
//! | `new-ice-candidate` | C→S | yes | [`NewIceCandidate`] |
//! | `hang-up` | both | yes | [`HangUp`], [`ServerMessage::HangUp`] |
//! | `mute` | C→S | no | [`Mute`] |
//! | `receive` | C→S | no | [`Receive`] |
//! | `layers` | S→C | no | [`ServerMessage::Layers`] |
//! | `wanted` | S→C | no | [`ServerMessage::Wanted`] |
//! | `speakers` | S→C | no | [`ServerMessage::Speakers`] |
//! | `quality` | S→C | no | [`ServerMessage::Quality`] |
//! | `stats` | both | no | [`ServerMessage::Stats`] |
//! | `timeline` | both | no | [`TimelineRequest`], [`ServerMessage::Timeline`], [`TimelineLine`] |
//! | `moderate` | C→S | no | [`Moderation`] |
//! | `moderated` | S→C | no | [`ServerMessage::Moderated`]: what a moderator did to the receiver |
//! | `room-state` | S→C | no | [`ServerMessage::RoomState`]: whether the room is locked, who waits |
//! | `waiting` | S→C | no | [`ServerMessage::Waiting`], all that is said to whoever waits to be let in |
//!
//! Where the server asks for tokens (`GET /ws?room=NAME&token=JWT`, see [`crate::access`]), a client without a good one gets `error`
//! (`token-required`, `bad-token`, `token-expired`, `wrong-room`) and the close code 4401, or, if it does not speak v1, 401 or 403
//! instead of a socket. A token that has expired meanwhile ends no session, and none is needed to resume one.
//!
//! # Limits
//! A message is at most [`MAX_MESSAGE_BYTES`] long, one that is passed through [`MAX_PASS_THROUGH_BYTES`], a chat
//! text [`MAX_TEXT_CHARACTERS`], a name [`MAX_NAME_CHARACTERS`]. Unknown members of a known type are ignored;
//! a member that is `null` counts as absent. A known type with a wrong member gets `error` `bad-message`, which names
//! the member; nothing of such a message takes effect.

mod call;
mod chat;
mod error;
mod fields;
mod media;
mod membership;
mod moderation;
mod server;
mod stats;
mod timeline;

pub use call::{Description, HangUp, HangUpReason, NewIceCandidate};
pub use chat::{ChatMessage, PassThrough};
pub use error::{ErrorCode, ProtocolError};
pub use fields::Target;
pub use media::{Mute, MuteTarget, Receive};
pub use membership::{CallName, ParticipantState, TrackInfo, Username, is_room_name};
pub use moderation::{Moderation, Person, WaitingState};
pub use server::{IceServer, ServerMessage, SessionDescription, TrackLine};
pub use stats::{StatsEntry, stats_entries};
pub use timeline::{
    TimelineLine, TimelineRequest, layer_reason, timeline_lines, timeline_lines_in_words,
};

use fields::Fields;
use serde_json::Value;

/// Longest message that is read, in bytes: longer ones get `too-large`.
pub const MAX_MESSAGE_BYTES: usize = 256 * 1024;
/// Longest message that is passed through, in bytes.
pub const MAX_PASS_THROUGH_BYTES: usize = 64 * 1024;
/// Longest chat text, in characters.
pub const MAX_TEXT_CHARACTERS: usize = 4096;
/// Longest name of a user, in characters after trimming.
pub const MAX_NAME_CHARACTERS: usize = 64;
/// Longest name of a room, in characters.
pub const MAX_ROOM_CHARACTERS: usize = 64;
/// Longest `type` that is read, in bytes.
const MAX_TYPE_BYTES: usize = 64;

/// The WebSocket subprotocol of [`Dialect::V1`].
pub const SUBPROTOCOL_V1: &str = "crosspoint.v1";
/// The WebSocket subprotocol of [`Dialect::Classic`], which is also what a socket without any gets.
pub const SUBPROTOCOL_CLASSIC: &str = "json";

/// The room of a socket that names none.
pub const DEFAULT_ROOM: &str = "lobby";

/// Which of the two vocabularies a client speaks. It decides what the server sends. Both are read the same way, but for
/// `timeline` and the words of moderation: a classic client may use those for something of its own, which is passed through, what
/// the server says itself to classic clients only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// MDN's "Signaling and video calling" sample: `json`, or no subprotocol.
    Classic,
    /// Everything: `crosspoint.v1`.
    V1,
}

/// A message from a client, all its members checked and bounded.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientMessage {
    /// `username`
    Username(Username),
    /// `message`
    Message(ChatMessage),
    /// `video-offer`
    VideoOffer(Description),
    /// `video-answer`
    VideoAnswer(Description),
    /// `new-ice-candidate`
    NewIceCandidate(NewIceCandidate),
    /// `hang-up`
    HangUp(HangUp),
    /// `mute`
    Mute(Mute),
    /// `receive`
    Receive(Receive),
    /// `stats`, which has no members: asks for [`ServerMessage::Stats`].
    Stats,
    /// `timeline`: asks for [`ServerMessage::Timeline`].
    Timeline(TimelineRequest),
    /// `moderate`
    Moderate(Moderation),
    /// Any type that is not listed here.
    PassThrough(PassThrough),
}

impl ClientMessage {
    /// Reads one text frame of a client that speaks this dialect.
    ///
    /// Errors are `too-large`, `bad-json` (no JSON, or no object) and `bad-message` (a wrong member, or a type that
    /// only the server sends).
    pub fn parse(dialect: Dialect, text: &str) -> Result<Self, ProtocolError> {
        if text.len() > MAX_MESSAGE_BYTES {
            return Err(ProtocolError::too_large(MAX_MESSAGE_BYTES));
        }
        let value: Value = serde_json::from_str(text)
            .map_err(|error| ProtocolError::new(ErrorCode::BadJson, error.to_string()))?;
        let Value::Object(map) = value else {
            return Err(ProtocolError::new(
                ErrorCode::BadJson,
                "a message is a JSON object",
            ));
        };
        let kind = match map.get("type") {
            Some(Value::String(kind)) if !kind.is_empty() && kind.len() <= MAX_TYPE_BYTES => {
                kind.clone()
            }
            _ => {
                return Err(ProtocolError::new(
                    ErrorCode::BadMessage,
                    format!("`type` must be a string of 1 to {MAX_TYPE_BYTES} bytes"),
                ));
            }
        };
        Self::read(dialect, &kind, Fields::new(map), text.len()).map_err(|error| error.about(kind))
    }

    fn read(
        dialect: Dialect,
        kind: &str,
        fields: Fields,
        bytes: usize,
    ) -> Result<Self, ProtocolError> {
        Ok(match kind {
            "username" => Self::Username(Username::read(&fields)?),
            "message" => Self::Message(ChatMessage::read(&fields)?),
            "video-offer" => Self::VideoOffer(Description::read(&fields, "offer")?),
            "video-answer" => Self::VideoAnswer(Description::read(&fields, "answer")?),
            "new-ice-candidate" => Self::NewIceCandidate(NewIceCandidate::read(&fields)?),
            "hang-up" => Self::HangUp(HangUp::read(&fields)?),
            "mute" => Self::Mute(Mute::read(&fields)?),
            "receive" => Self::Receive(Receive::read(&fields)?),
            "stats" => Self::Stats,
            "timeline" if dialect == Dialect::V1 => Self::Timeline(TimelineRequest::read(&fields)?),
            "moderate" if dialect == Dialect::V1 => Self::Moderate(Moderation::read(&fields)?),
            "moderated" | "room-state" | "waiting" if dialect == Dialect::V1 => {
                return Err(only_from_server(kind));
            }
            // Passed through, these would let one client speak with the server's voice.
            "id" | "rejectusername" | "userlist" | "participant" | "error" | "layers"
            | "ice-servers" | "wanted" | "speakers" | "quality" => {
                return Err(only_from_server(kind));
            }
            _ => Self::PassThrough(PassThrough::read(fields, bytes)?),
        })
    }

    /// The `type` that an `error` about this message names.
    pub fn type_name(&self) -> &str {
        match self {
            Self::Username(_) => "username",
            Self::Message(_) => "message",
            Self::VideoOffer(_) => "video-offer",
            Self::VideoAnswer(_) => "video-answer",
            Self::NewIceCandidate(_) => "new-ice-candidate",
            Self::HangUp(_) => "hang-up",
            Self::Mute(_) => "mute",
            Self::Receive(_) => "receive",
            Self::Stats => "stats",
            Self::Timeline(_) => "timeline",
            Self::Moderate(_) => "moderate",
            Self::PassThrough(message) => message.type_name(),
        }
    }
}

fn only_from_server(kind: &str) -> ProtocolError {
    let message = format!("`{kind}` is only sent by the server");
    ProtocolError::new(ErrorCode::BadMessage, message)
}

#[cfg(test)]
mod tests;
