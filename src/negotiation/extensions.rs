//! The header extensions of our own offers, and the ids of a connection.

use std::collections::BTreeSet;

use crate::negotiation::remote::LineExtension;
use crate::rtp::{Extension, ExtensionMap, MediaKind};

/// What a new m-line of ours offers, with the ids that Chromium gives them. Layers are offered by the
/// client alone, so rids are not among them.
const DEFAULTS: [(Extension, u8); 9] = [
    (Extension::AudioLevel, 1),
    (Extension::AbsSendTime, 2),
    (Extension::TransportCc, 3),
    (Extension::Mid, 4),
    (Extension::VideoOrientation, 13),
    (Extension::PlayoutDelay, 5),
    (Extension::ColorSpace, 8),
    (Extension::DependencyDescriptor, 12),
    (Extension::AbsCaptureTime, 9),
];

/// The ids of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExtensionIds {
    /// What is agreed.
    pub(crate) map: ExtensionMap,
    /// Ids that the client used for whatever: ours keep away from them.
    used: BTreeSet<u8>,
}

impl ExtensionIds {
    /// Takes what an m-line of the client's says and returns what of it is agreed: an id or extension
    /// that meant another thing before is left out.
    pub(crate) fn agree(&mut self, known: &[LineExtension], ids: &[u8]) -> Vec<LineExtension> {
        self.used.extend(ids);
        known
            .iter()
            .copied()
            .filter(|e| self.map.insert(e.id, e.extension))
            .map(|e| LineExtension {
                // What the client sends we receive.
                direction: e.direction.map(|d| d.reversed()),
                ..e
            })
            .collect()
    }

    /// What a new m-line of ours offers.
    pub(crate) fn offer(&mut self, kind: MediaKind) -> Vec<LineExtension> {
        let fits = |extension: Extension| match extension {
            Extension::AudioLevel => kind == MediaKind::Audio,
            Extension::VideoOrientation
            | Extension::PlayoutDelay
            | Extension::ColorSpace
            | Extension::DependencyDescriptor => kind == MediaKind::Video,
            _ => true,
        };
        DEFAULTS
            .into_iter()
            .filter(|(extension, _)| fits(*extension))
            .filter_map(|(extension, usual)| {
                let id = self
                    .map
                    .id(extension)
                    .or_else(|| self.free(extension, usual))?;
                self.map.insert(id, extension);
                Some(LineExtension {
                    id,
                    extension,
                    direction: None,
                })
            })
            .collect()
    }

    /// `usual` if nothing uses it, else the last free id that fits a one-byte header. So does Chromium,
    /// which fails when two offers cross that give an id to different extensions; what it does not
    /// offer by itself gets its usual id or none.
    fn free(&self, extension: Extension, usual: u8) -> Option<u8> {
        let by_itself = !matches!(
            extension,
            Extension::DependencyDescriptor | Extension::AbsCaptureTime
        );
        let others = (1..=14).rev().filter(|_| by_itself);
        std::iter::once(usual)
            .chain(others)
            .find(|id| self.map.extension(*id).is_none() && !self.used.contains(id))
    }
}
