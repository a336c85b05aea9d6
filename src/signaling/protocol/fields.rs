//! The members of a message, read with their bounds. Each error names the member.

use serde_json::{Map, Value};

use super::{ErrorCode, MAX_NAME_CHARACTERS, ProtocolError};

/// Whom a message is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// By name, unique in the room.
    Name(String),
    /// By the number of its `id` message.
    Id(u64),
}

/// The members of one JSON object.
pub(super) struct Fields {
    map: Map<String, Value>,
}

impl Fields {
    pub(super) fn new(map: Map<String, Value>) -> Self {
        Self { map }
    }

    pub(super) fn into_map(self) -> Map<String, Value> {
        self.map
    }

    /// A member; `null` counts as absent, as MDN's sample sends `"target": null`.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// A string of at most `max` characters.
    pub(super) fn string(&self, name: &str, max: usize) -> Result<Option<&str>, ProtocolError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) if within(text, max) => Ok(Some(text)),
            Some(_) => Err(wrong(
                name,
                format_args!("a string of at most {max} characters"),
            )),
        }
    }

    pub(super) fn required_string(&self, name: &str, max: usize) -> Result<&str, ProtocolError> {
        self.string(name, max)?.ok_or_else(|| missing(name))
    }

    pub(super) fn bool(&self, name: &str) -> Result<Option<bool>, ProtocolError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(wrong(name, format_args!("true or false"))),
        }
    }

    /// A whole number from 0 to `max`.
    pub(super) fn number(&self, name: &str, max: u64) -> Result<Option<u64>, ProtocolError> {
        match self.value(name) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number) if number <= max => Ok(Some(number)),
                _ => Err(wrong(name, format_args!("a whole number from 0 to {max}"))),
            },
        }
    }

    /// `target`, absent when the message is for the room. An empty name is nobody's: absent too.
    pub(super) fn target(&self) -> Result<Option<Target>, ProtocolError> {
        match self.value("target") {
            None => Ok(None),
            Some(Value::String(name)) if name.is_empty() => Ok(None),
            Some(Value::String(name)) if within(name, MAX_NAME_CHARACTERS) => {
                Ok(Some(Target::Name(name.clone())))
            }
            Some(Value::Number(number)) => match number.as_u64() {
                Some(id) => Ok(Some(Target::Id(id))),
                None => Err(wrong("target", format_args!("a name or an id"))),
            },
            Some(_) => Err(wrong("target", format_args!("a name or an id"))),
        }
    }
}

/// Whether `text` has at most `max` characters. Bytes are looked at first, so that it costs little for long texts.
pub(super) fn within(text: &str, max: usize) -> bool {
    text.len() <= max || (text.len() <= max.saturating_mul(4) && text.chars().count() <= max)
}

/// A member of the wrong type, size or value.
pub(super) fn wrong(name: &str, must_be: std::fmt::Arguments<'_>) -> ProtocolError {
    ProtocolError::new(ErrorCode::BadMessage, format!("`{name}` must be {must_be}"))
}

/// A member that must be there.
pub(super) fn missing(name: &str) -> ProtocolError {
    ProtocolError::new(ErrorCode::BadMessage, format!("`{name}` is missing"))
}
