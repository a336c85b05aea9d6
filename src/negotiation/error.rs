//! What can be wrong with what a client sends.

use std::fmt;

use crate::negotiation::text::Line;

/// Longest part of a wrong line that is repeated to the client, in characters.
const MAX_QUOTE: usize = 80;

/// Why a description or candidate was not applied. The negotiation is as it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NegotiationError {
    /// An offer came while ours is outstanding. Ours stands: the client rolls back, answers it and
    /// offers again, so this offer is to be ignored.
    Glare,
    /// No offer of ours is outstanding, or the answer belongs to an earlier one.
    UnexpectedAnswer,
    /// There is no offer of the peer's to answer.
    NoOffer,
    /// The description would publish more than this many tracks.
    TooManyTracks(usize),
    /// The description does not parse, or cannot be served.
    BadSdp(SdpError),
    /// The candidate does not parse; what is wrong with it.
    BadCandidate(&'static str),
}

/// What is wrong with a description, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SdpError {
    /// The line's number from 1 on; 0 when it is not about a line.
    pub line: usize,
    /// The line, cut to a sane length, without secrets; empty when it is not about a line.
    pub text: String,
    /// What is wrong, in words.
    pub reason: &'static str,
}

impl SdpError {
    /// Something is wrong with `line`.
    pub(crate) fn at(line: Line<'_>, reason: &'static str) -> Self {
        Self {
            line: line.number,
            text: quote(line.text),
            reason,
        }
    }

    /// Something is wrong with the whole description.
    pub(crate) fn whole(reason: &'static str) -> Self {
        Self {
            line: 0,
            text: String::new(),
            reason,
        }
    }
}

/// A line as it may be shown: short, printable, and without the values that are secrets.
fn quote(text: &str) -> String {
    for secret in ["a=ice-pwd:", "a=crypto:", "k="] {
        if text.starts_with(secret) {
            return format!("{secret}…");
        }
    }
    let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut quote: String = text.chars().take(MAX_QUOTE).map(printable).collect();
    if text.chars().nth(MAX_QUOTE).is_some() {
        quote.push('…');
    }
    quote
}

impl fmt::Display for SdpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return f.write_str(self.reason);
        }
        write!(f, "line {} `{}`: {}", self.line, self.text, self.reason)
    }
}

impl fmt::Display for NegotiationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glare => f.write_str("an offer of the server's is outstanding: answer it first"),
            Self::UnexpectedAnswer => f.write_str("there is no offer that this answers"),
            Self::NoOffer => f.write_str("there is no offer to answer"),
            Self::TooManyTracks(limit) => write!(f, "at most {limit} tracks may be published"),
            Self::BadSdp(error) => error.fmt(f),
            Self::BadCandidate(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for SdpError {}

impl std::error::Error for NegotiationError {}

impl From<SdpError> for NegotiationError {
    fn from(error: SdpError) -> Self {
        Self::BadSdp(error)
    }
}
