//! `message`, and every type that the server does not know.

use serde_json::{Map, Value};

use super::fields::Fields;
use super::{MAX_PASS_THROUGH_BYTES, MAX_TEXT_CHARACTERS, ProtocolError, Target};

/// `message`: a line of chat. Plain text: no markup is interpreted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatMessage {
    /// At most 4,096 characters.
    pub text: String,
    /// One user, or the room with the sender included.
    pub target: Option<Target>,
}

impl ChatMessage {
    pub(super) fn read(fields: &Fields) -> Result<Self, ProtocolError> {
        Ok(Self {
            text: fields
                .required_string("text", MAX_TEXT_CHARACTERS)?
                .to_owned(),
            target: fields.target()?,
        })
    }
}

/// A message of a type that is not the server's: passed through unread, to the user or to the room without the
/// sender, with `name` and `id` set by the server. At most 64 KiB.
#[derive(Clone, Debug, PartialEq)]
pub struct PassThrough {
    /// One user, or the room.
    pub target: Option<Target>,
    body: Map<String, Value>,
}

impl PassThrough {
    pub(super) fn read(fields: Fields, bytes: usize) -> Result<Self, ProtocolError> {
        if bytes > MAX_PASS_THROUGH_BYTES {
            return Err(ProtocolError::too_large(MAX_PASS_THROUGH_BYTES));
        }
        Ok(Self {
            target: fields.target()?,
            body: fields.into_map(),
        })
    }

    pub(super) fn type_name(&self) -> &str {
        self.body
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Whether the type is one of the server's to clients of [`Dialect::V1`](super::Dialect::V1), who must not get it
    /// from anybody else.
    pub fn is_of_server(&self) -> bool {
        matches!(
            self.type_name(),
            "timeline" | "moderated" | "room-state" | "waiting"
        )
    }

    /// The message as others see it: as it came, but from `name` with `id`.
    pub fn signed(mut self, name: &str, id: u64) -> String {
        self.body.insert("name".to_owned(), name.into());
        self.body.insert("id".to_owned(), id.into());
        Value::Object(self.body).to_string()
    }
}
