//! `a=extmap` (RFC 8285 section 6).

use crate::negotiation::SdpError;
use crate::negotiation::remote::Direction;
use crate::negotiation::remote::session::Section;
use crate::rtp::Extension;

/// A header extension of one m-line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LineExtension {
    /// 1 to 14, or 16 to 255.
    pub(crate) id: u8,
    /// What it is.
    pub(crate) extension: Extension,
    /// Who may send it, where the line says so, from the view of the line's writer.
    pub(crate) direction: Option<Direction>,
}

/// What an m-line says about header extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extensions {
    /// The ones that are understood, each once.
    pub(crate) known: Vec<LineExtension>,
    /// All ids that the line uses, for whatever.
    pub(crate) ids: Vec<u8>,
}

/// Reads the extensions of an m-line.
pub(super) fn parse(section: &Section<'_>) -> Result<Extensions, SdpError> {
    let mut extensions = Extensions::default();
    for attribute in section.named("extmap") {
        let mut words = attribute.value.split_ascii_whitespace();
        let id = words.next().unwrap_or_default();
        let (id, direction) = match id.split_once('/') {
            Some((id, name)) => match Direction::from_name(name) {
                None => return Err(SdpError::at(attribute.line, "the direction is unknown")),
                direction => (id, direction),
            },
            None => (id, None),
        };
        let (Ok(id), Some(uri)) = (id.parse::<u16>(), words.next()) else {
            return Err(SdpError::at(attribute.line, "an extmap is an id and a URI"));
        };
        // 4096 and more are placeholders for an answerer to choose from, which we do not (section 6).
        let Ok(id) = u8::try_from(id) else {
            continue;
        };
        if extensions.ids.contains(&id) {
            continue;
        }
        extensions.ids.push(id);
        let Some(extension) = Extension::from_uri(uri) else {
            continue;
        };
        let off = direction.is_some_and(|d| !d.send && !d.receive);
        let known = extensions.known.iter().any(|e| e.extension == extension);
        if id != 0 && id != 15 && !off && !known {
            extensions.known.push(LineExtension {
                id,
                extension,
                direction,
            });
        }
    }
    Ok(extensions)
}
