//! What somebody may do in a room.

use serde::{Deserialize, Serialize};

use crate::negotiation::{Source, Sources};

/// What somebody may do in a room. On the wire, and in a token's `grants`, a JSON object. In a token a member that is left out
/// is as in [`Grants::default`], and an unknown one makes the token invalid: a misspelt restriction must not be none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// Of which sources it may send tracks: a list of `microphone`, `camera`, `screen`, `screen-audio`; in a token also
    /// `true` for all or `false` for none.
    #[serde(with = "publish")]
    pub publish: Sources,
    /// Whether anybody's tracks are forwarded to it.
    pub subscribe: bool,
    /// Whether it may say something to others: chat, and messages that are passed through.
    pub chat: bool,
    /// Whether it may mute, remove and admit others, and lock the room.
    pub moderate: bool,
}

impl Default for Grants {
    /// A participant like any other: all but `moderate`.
    fn default() -> Self {
        Self {
            publish: Sources::ALL,
            subscribe: true,
            chat: true,
            moderate: false,
        }
    }
}

impl Grants {
    /// Whether it may have data channels. They carry words of its own to others, and others' to it.
    pub fn data_channels(&self) -> bool {
        self.chat && self.subscribe
    }
}

/// `publish` as it is written.
mod publish {
    use serde::{Deserializer, Serializer};

    use super::{Deserialize, Source, Sources};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Publish {
        AllOrNone(bool),
        Sources(Vec<Source>),
    }

    pub(super) fn serialize<S: Serializer>(
        sources: &Sources,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(sources.iter())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Sources, D::Error> {
        Ok(match Publish::deserialize(deserializer)? {
            Publish::AllOrNone(true) => Sources::ALL,
            Publish::AllOrNone(false) => Sources::NONE,
            Publish::Sources(sources) => sources.into_iter().collect(),
        })
    }
}
