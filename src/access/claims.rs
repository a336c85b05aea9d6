//! The claims of a token, and what they come to.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Grants, MAX_IDENTITY_CHARACTERS, TokenError};
use crate::signaling::protocol::{Username, is_room_name};

/// What a token says, as it is written in it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Claims {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) room: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) grants: Grants,
    /// When it was made, for whoever looks at it.
    #[serde(skip_deserializing)]
    pub(super) iat: u64,
    /// Of a token that is read, the library has seen to it.
    #[serde(skip_deserializing)]
    pub(super) exp: u64,
}

/// What a newcomer may do, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Whether a token said so; otherwise the server is open.
    pub by_token: bool,
    /// Who it is, if its token says so: at most [`MAX_IDENTITY_CHARACTERS`].
    pub identity: Option<Arc<str>>,
    /// The name to be called by until another is said, if its token has one.
    pub name: Option<Arc<str>>,
    /// What it may do.
    pub grants: Grants,
}

impl Claims {
    /// Checks every claim, and for which room they are.
    pub(super) fn admit(self, room: &str) -> Result<Access, TokenError> {
        self.check()?;
        if let Some(own) = self.room.filter(|own| own != room) {
            return Err(TokenError::OtherRoom(own));
        }
        Ok(Access {
            by_token: true,
            identity: self.sub.map(Into::into),
            name: self.name.map(|name| name.trim().into()),
            grants: self.grants,
        })
    }

    /// The bounds of every claim.
    pub(super) fn check(&self) -> Result<(), TokenError> {
        let wrong = |claim, must_be| Err(TokenError::Claim { claim, must_be });
        if self.room.as_deref().is_some_and(|room| !is_room_name(room)) {
            return wrong("room", "1 to 64 of letters, digits, `-`, `_`, `.`");
        }
        if self.sub.as_deref().is_some_and(|sub| !is_identity(sub)) {
            return wrong(
                "sub",
                "1 to 128 characters, none of them a control character",
            );
        }
        if self
            .name
            .as_deref()
            .is_some_and(|name| Username::new(name).is_err())
        {
            return wrong(
                "name",
                "1 to 64 characters, none of them a control character",
            );
        }
        Ok(())
    }
}

fn is_identity(text: &str) -> bool {
    (1..=MAX_IDENTITY_CHARACTERS).contains(&text.chars().count())
        && !text.chars().any(char::is_control)
}
