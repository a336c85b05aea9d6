//! The text of a description: numbered lines.

use crate::negotiation::SdpError;

/// One line of a description, `x=value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// From 1 on.
    pub(crate) number: usize,
    /// The whole line, without its end.
    pub(crate) text: &'a str,
}

impl<'a> Line<'a> {
    /// The letter before the `=`.
    pub(crate) fn letter(self) -> u8 {
        self.text.as_bytes().first().copied().unwrap_or_default()
    }

    /// What follows the `=`.
    pub(crate) fn value(self) -> &'a str {
        self.text.get(2..).unwrap_or_default()
    }
}

/// Splits a description into its lines. Empty lines are passed over, both line ends are taken.
pub(crate) fn lines(sdp: &str) -> impl Iterator<Item = Result<Line<'_>, SdpError>> {
    sdp.split('\n')
        .enumerate()
        .map(|(index, text)| Line {
            number: index + 1,
            text: text.strip_suffix('\r').unwrap_or(text),
        })
        .filter(|line| !line.text.is_empty())
        .map(|line| {
            let bytes = line.text.as_bytes();
            match bytes {
                [letter, b'=', ..] if letter.is_ascii_lowercase() => {}
                _ => return Err(SdpError::at(line, "a line must look like `a=value`")),
            }
            // What is echoed must not be able to end a line of ours.
            if bytes.iter().any(|b| b.is_ascii_control() && *b != b'\t') {
                return Err(SdpError::at(line, "the line has control characters"));
            }
            Ok(line)
        })
}
