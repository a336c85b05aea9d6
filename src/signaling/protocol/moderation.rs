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
//! | `remove` | `target` | it leaves the room, and may come back |
//! | `ban` | `target` | it leaves the room, and does not come back as long as there is this room |
//! | `unban` | `ban` | it may: the `id` of one of the `bans` of `room-state` |
//! | `lock` | `on` | newcomers are refused (`room-locked`), but for moderators |
//! | `waiting-room` | `on` | newcomers wait until they are admitted, but for moderators; switched off, all are admitted |
//! | `admit` | `target`? | one who waits, by id, comes in; without `target` all do |
//! | `refuse` | `target` | one who waits, by id, is sent away |

use serde::Serialize;
use serde_json::{Map, Value};

use super::fields::{Fields, missing, wrong};
use super::media::SOURCE_WORDS;
use super::{ProtocolError, Target};
use crate::negotiation::Source;

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
    pub fn from_members(members: Map<String, Value>) -> Result<Self, ProtocolError> {
        Self::read(&Fields::new(members))
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
