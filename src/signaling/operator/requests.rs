//! What came, read into what is asked of the rooms. The form is checked here; what it means, there.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::{Map, Value, json};

use super::answer::{Problem, ask, counts};
use crate::room::{Member, OperatorRequest, RoomChange};
use crate::signaling::control::ControlHandle;
use crate::signaling::protocol::{Moderation, Target};
use crate::transport::MessageKind;

/// Rooms of one answer, where nothing else was said; and at most.
const ROOMS: usize = 100;
const MAX_ROOMS: usize = 1_000;

/// Who speaks for an operator that does not say it.
const SPEAKER: &str = "Server";

type Answer = Result<Response, Problem>;
type Control = State<ControlHandle>;
type InPath<T> = Result<Path<T>, PathRejection>;
type Body = Result<Bytes, BytesRejection>;

pub(super) async fn server(State(control): Control) -> Answer {
    let counts = counts(&control).await?;
    let document = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "rooms": counts.rooms,
        "participants": counts.participants,
        "sockets": counts.sockets,
        "roomCalls": counts.room_calls,
        "directCalls": counts.direct_calls,
        "peers": counts.peers,
        "tracks": counts.tracks,
    });
    Ok(Json(document).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    after: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn rooms(
    State(control): Control,
    page: Result<Query<Page>, QueryRejection>,
) -> Answer {
    let Query(Page { after, limit }) = page?;
    let limit = limit.unwrap_or(ROOMS);
    if !(1..=MAX_ROOMS).contains(&limit) {
        let message = format!("`limit` must be a whole number from 1 to {MAX_ROOMS}");
        return Err(Problem::bad_message(message));
    }
    ask(&control, OperatorRequest::Rooms { after, limit }).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RoomBody {
    name: Option<String>,
    #[serde(default, deserialize_with = "said")]
    max_participants: Option<Option<u64>>,
    #[serde(default, deserialize_with = "said")]
    empty_timeout: Option<Option<u64>>,
}

/// Tells `null` from nothing.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl RoomBody {
    fn change(&self) -> RoomChange {
        RoomChange {
            max_participants: self.max_participants,
            empty_timeout: self.empty_timeout,
        }
    }
}

pub(super) async fn create_room(State(control): Control, body: Body) -> Answer {
    let mut body: RoomBody = read(body)?;
    let change = body.change();
    let Some(name) = body.name.take() else {
        return Err(Problem::bad_message("`name` is missing"));
    };
    let location = format!("/api/v1/rooms/{name}");
    let mut response = ask(&control, OperatorRequest::CreateRoom { name, change }).await?;
    if response.status() == StatusCode::CREATED
        && let Ok(location) = location.parse()
    {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

pub(super) async fn change_room(
    State(control): Control,
    room: InPath<String>,
    body: Body,
) -> Answer {
    let Path(room) = room?;
    let body: RoomBody = read(body)?;
    if body.name.is_some() {
        return Err(Problem::bad_message("a room keeps its `name`"));
    }
    let change = body.change();
    ask(&control, OperatorRequest::ChangeRoom { room, change }).await
}

pub(super) async fn room(State(control): Control, room: InPath<String>) -> Answer {
    ask(&control, OperatorRequest::Room(room?.0)).await
}

pub(super) async fn close_room(State(control): Control, room: InPath<String>) -> Answer {
    ask(&control, OperatorRequest::CloseRoom(room?.0)).await
}

pub(super) async fn participants(State(control): Control, room: InPath<String>) -> Answer {
    ask(&control, OperatorRequest::Participants(room?.0)).await
}

pub(super) async fn tracks(State(control): Control, room: InPath<String>) -> Answer {
    ask(&control, OperatorRequest::Tracks(room?.0)).await
}

type InMember = InPath<(String, String)>;

fn member(path: InMember) -> Result<Member, Problem> {
    let Path((room, participant)) = path?;
    Ok(Member { room, participant })
}

pub(super) async fn participant(State(control): Control, path: InMember) -> Answer {
    ask(&control, OperatorRequest::Participant(member(path)?)).await
}

pub(super) async fn stats(State(control): Control, path: InMember) -> Answer {
    ask(&control, OperatorRequest::Stats(member(path)?)).await
}

pub(super) async fn timelines(State(control): Control, path: InMember) -> Answer {
    ask(&control, OperatorRequest::Timelines(member(path)?)).await
}

/// A user's name, or its number, as in the protocol.
#[derive(Deserialize)]
#[serde(untagged)]
enum TargetBody {
    Id(u64),
    Name(String),
}

impl From<TargetBody> for Target {
    fn from(body: TargetBody) -> Self {
        match body {
            TargetBody::Id(id) => Self::Id(id),
            TargetBody::Name(name) => Self::Name(name),
        }
    }
}

pub(super) async fn order(State(control): Control, room: InPath<String>) -> Answer {
    ask(&control, OperatorRequest::Order(room?.0)).await
}

/// The members of the protocol's own `moderate`.
pub(super) async fn moderate(State(control): Control, room: InPath<String>, body: Body) -> Answer {
    let Path(room) = room?;
    let moderation = Moderation::from_members(read(body)?)
        .map_err(|error| Problem::bad_message(error.message))?;
    ask(&control, OperatorRequest::Moderate { room, moderation }).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SayBody {
    text: String,
    name: Option<String>,
    target: Option<TargetBody>,
}

pub(super) async fn say(State(control): Control, room: InPath<String>, body: Body) -> Answer {
    let Path(room) = room?;
    let body: SayBody = read(body)?;
    let request = OperatorRequest::Say {
        room,
        target: body.target.map(Target::from),
        name: body.name.unwrap_or_else(|| SPEAKER.to_owned()),
        text: body.text,
    };
    ask(&control, request).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DataBody {
    label: String,
    text: Option<String>,
    base64: Option<String>,
    target: Option<TargetBody>,
}

pub(super) async fn send_data(State(control): Control, room: InPath<String>, body: Body) -> Answer {
    let Path(room) = room?;
    let body: DataBody = read(body)?;
    let (kind, data) = match (body.text, body.base64) {
        (Some(text), None) => (MessageKind::Text, text.into()),
        (None, Some(base64)) => {
            let data = STANDARD
                .decode(base64)
                .map_err(|error| Problem::bad_message(format!("`base64`: {error}")))?;
            (MessageKind::Binary, data.into())
        }
        (Some(_), Some(_)) | (None, None) => {
            return Err(Problem::bad_message("one of `text` and `base64` is needed"));
        }
    };
    let request = OperatorRequest::SendData {
        room,
        target: body.target.map(Target::from),
        label: body.label,
        kind,
        data,
    };
    ask(&control, request).await
}

/// A body of JSON. Whatever its content type says: nobody else reads it.
fn read<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    // Of an object: without its members' names nobody says what is meant.
    let members = serde_json::from_slice::<Map<String, Value>>(&body?);
    let read = members.and_then(|members| T::deserialize(Value::Object(members)));
    read.map_err(|error| match error.classify() {
        Category::Data => Problem::bad_message(error.to_string()),
        Category::Io | Category::Syntax | Category::Eof => {
            Problem::new(StatusCode::BAD_REQUEST, "bad-json", error.to_string())
        }
    })
}
