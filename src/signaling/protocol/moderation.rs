//! `moderate`, `moderated`, `room-state`, `waiting`: who may stay, speak and come in.
//!
//! Whoever was granted it may moderate; on a server that asks for no tokens nobody is, and its operator may. What is done to
//! somebody is told to them: `moderated`, with who did it; or, where it ends their stay, an `error` (`removed`, `banned`,
//! `not-admitted`), after which the socket closes (4403). Of all this a classic client hears only `hang-up` and the close code.
//!
//! `moderate` has an `action`:
//!
//! | `action` | members | meaning |
//! | --- | --- | --- |
//! | `mute` | `target`?, `source`? | nothing of it is forwarded until it unmutes itself; the microphone where no source is said; without `target` that of everybody but moderators |
//! | `stop-screen` | `target` | its shared screen, and that one's sound, end; it may share another |
//! | `remove` | `target` | it leaves the room, or ends its waiting, and may come back |
//! | `ban` | `target` | the same, and it does not come back as long as there is this room; the latest 1,000 bans of a room hold |
//! | `unban` | `ban` | it may: the `id` of one of the `bans` of `room-state` |
//! | `lock` | `on` | newcomers are refused (`room-locked`), but for moderators |
//! | `waiting-room` | `on` | newcomers wait until they are admitted, but for moderators; switched off, all are admitted |
//! | `admit` | `target`? | one who waits comes in; without `target` all do |
//! | `refuse` | `target` | one who waits is sent away |
//!
//! Names of those who wait need not be unique: the `id` always means one.

use serde::Serialize;
use serde_json::{Map, Value};

use super::fields::{Fields, missing, wrong};
use super::media::SOURCE_WORDS;
use super::{ErrorCode, ProtocolError, Target};
use crate::negotiation::Source;

/// All members of any action.
const MEMBERS: [&str; 5] = ["action", "target", "source", "on", "ban"];

/// `moderate`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moderation {
    /// Nothing of a source of somebody's is forwarded until it unmutes itself.
    Mute {
        /// Whose; `None` for everybody's but moderators'.
        target: Option<Target>,
        /// Which source.
        source: Source,
    },
    /// Somebody's shared screen ends.
    StopScreen(Target),
    /// Somebody leaves the room.
    Remove(Target),
    /// Somebody leaves the room, and does not come back.
    Ban(Target),
    /// A ban is lifted.
    Unban(u64),
    /// Newcomers are refused, or no more.
    Lock(bool),
    /// Newcomers wait, or no more.
    WaitingRoom(bool),
    /// One who waits comes in; `None` for all.
    Admit(Option<Target>),
    /// One who waits is sent away.
    Refuse(Target),
}

impl Moderation {
    /// Reads the members of `moderate`, wherever they came from. Errors name the member.
    ///
    /// A member of another name is an error: a slip in `target` would be meant for everybody.
    pub fn from_members(members: Map<String, Value>) -> Result<Self, ProtocolError> {
        if let Some(other) = members
            .keys()
            .find(|name| !MEMBERS.contains(&name.as_str()))
        {
            let words = format!("there is no member `{other}`, but {}", MEMBERS.join(", "));
            return Err(ProtocolError::new(ErrorCode::BadMessage, words));
        }
        Self::read(&Fields::new(members))
    }

    /// Whom it is for, if for one.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Self::Mute { target, .. } | Self::Admit(target) => target.as_ref(),
            Self::StopScreen(target)
            | Self::Remove(target)
            | Self::Ban(target)
            | Self::Refuse(target) => Some(target),
            Self::Unban(_) | Self::Lock(_) | Self::WaitingRoom(_) => None,
        }
    }

    pub(super) fn read(fields: &Fields) -> Result<Self, ProtocolError> {
        let target = || fields.target()?.ok_or_else(|| missing("target"));
        let on = || fields.bool("on")?.ok_or_else(|| missing("on"));
        Ok(match fields.required_string("action", 64)? {
            "mute" => Self::Mute {
                target: fields.target()?,
                source: match fields.string("source", 64)? {
                    None => Source::Microphone,
                    Some(word) => word
                        .parse()
                        .map_err(|()| wrong("source", format_args!("{SOURCE_WORDS}")))?,
                },
            },
            "stop-screen" => Self::StopScreen(target()?),
            "remove" => Self::Remove(target()?),
            "ban" => Self::Ban(target()?),
            "unban" => Self::Unban(
                fields
                    .number("ban", u64::MAX)?
                    .ok_or_else(|| missing("ban"))?,
            ),
            "lock" => Self::Lock(on()?),
            "waiting-room" => Self::WaitingRoom(on()?),
            "admit" => Self::Admit(fields.target()?),
            "refuse" => Self::Refuse(target()?),
            _ => {
                return Err(wrong(
                    "action",
                    format_args!(
                        "`mute`, `stop-screen`, `remove`, `ban`, `unban`, `lock`, `waiting-room`, `admit` or `refuse`"
                    ),
                ));
            }
        })
    }
}

/// Somebody in a list: of who moderated, who waits, who is banned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Person<'a> {
    /// The participant's number, or that of the ban.
    pub id: u64,
    /// Its name, or `null` where it has said none yet.
    pub name: Option<&'a str>,
}

/// `state` of `waiting`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WaitingState {
    /// A moderator has to let the receiver in.
    Waiting,
    /// One did: whoever is there is told next, as to a newcomer.
    Admitted,
}
