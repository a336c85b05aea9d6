//! What a published track shows or lets hear.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::rtp::MediaKind;

/// Where a published track comes from, as in the `source` of the wire's `tracks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A voice.
    Microphone,
    /// A face.
    Camera,
    /// A shared screen, window or tab.
    Screen,
    /// The sound of what is shared.
    ScreenAudio,
}

impl Source {
    /// The source of a track about which the client said nothing.
    pub fn of_kind(kind: MediaKind) -> Self {
        match kind {
            MediaKind::Audio => Self::Microphone,
            MediaKind::Video => Self::Camera,
        }
    }

    /// The word of the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Microphone => "microphone",
            Self::Camera => "camera",
            Self::Screen => "screen",
            Self::ScreenAudio => "screen-audio",
        }
    }

    /// Audio or video.
    pub fn kind(self) -> MediaKind {
        match self {
            Self::Microphone | Self::ScreenAudio => MediaKind::Audio,
            Self::Camera | Self::Screen => MediaKind::Video,
        }
    }
}

impl FromStr for Source {
    type Err = ();

    /// The source that a word of the wire names.
    fn from_str(word: &str) -> Result<Self, ()> {
        Sources::ALL
            .iter()
            .find(|source| source.word() == word)
            .ok_or(())
    }
}

/// Some of the sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sources(u8);

impl Sources {
    /// Every source.
    pub const ALL: Self = Self(0b1111);
    /// No source.
    pub const NONE: Self = Self(0);

    /// Whether this is one of them.
    pub fn contains(self, source: Source) -> bool {
        self.0 & bit(source) != 0
    }

    /// Each of them, in the order of [`Source`].
    pub fn iter(self) -> impl Iterator<Item = Source> {
        [
            Source::Microphone,
            Source::Camera,
            Source::Screen,
            Source::ScreenAudio,
        ]
        .into_iter()
        .filter(move |source| self.contains(*source))
    }
}

impl FromIterator<Source> for Sources {
    fn from_iter<I: IntoIterator<Item = Source>>(sources: I) -> Self {
        let bits = sources.into_iter().map(bit);
        Self(bits.fold(0, |all, bit| all | bit))
    }
}

fn bit(source: Source) -> u8 {
    1 << source as u8
}
