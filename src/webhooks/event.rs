//! What a receiver is told.

use axum::body::Bytes;
use serde::Serialize;
use tokio::time::Instant;

use crate::room::{Notice, Somebody};
use crate::signaling::protocol::TrackInfo;

/// One event, as it goes to every receiver.
#[derive(Debug)]
pub(super) struct Event {
    /// Unique, and the same each time it is sent.
    pub(super) id: String,
    /// The JSON.
    pub(super) body: Bytes,
    /// When it happened.
    pub(super) happened: Instant,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    id: &'a str,
    date: u64,
    room: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    participant: Option<Participant<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    track: Option<&'a TrackInfo>,
}

#[derive(Serialize)]
struct Participant<'a> {
    id: u64,
    name: &'a str,
}

impl Event {
    /// `date` in milliseconds since 1970.
    pub(super) fn new(room: &str, notice: &Notice, date: u64, happened: Instant) -> Self {
        let id = format!("msg_{:032x}", rand::random::<u128>());
        let (name, participant, track) = match notice {
            Notice::RoomStarted => ("room-started", None, None),
            Notice::RoomEnded => ("room-ended", None, None),
            Notice::ParticipantJoined(who) => ("participant-joined", Some(who), None),
            Notice::ParticipantLeft(who) => ("participant-left", Some(who), None),
            Notice::TrackPublished(who, track) => ("track-published", Some(who), Some(track)),
            Notice::TrackUnpublished(who, track) => ("track-unpublished", Some(who), Some(track)),
        };
        let document = Document {
            r#type: name,
            id: &id,
            date,
            room,
            participant: participant.map(|Somebody { id, name }| Participant { id: *id, name }),
            track,
        };
        // Strings and numbers only: writing them cannot fail.
        let body = serde_json::to_vec(&document).unwrap_or_default().into();
        Self { id, body, happened }
    }
}
