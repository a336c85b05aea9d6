//! A description split into its session part and its m-lines, with what holds for all of them.

use crate::negotiation::remote::{Direction, RemoteMedia, RemoteTransport};
use crate::negotiation::text::{self, Line};
use crate::negotiation::{Limits, SdpError};

/// An `a=` line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attribute<'a> {
    /// Where it stands.
    pub(crate) line: Line<'a>,
    /// What precedes the colon.
    pub(crate) name: &'a str,
    /// What follows it, empty for a flag.
    pub(crate) value: &'a str,
}

/// One m-line and its attributes, not yet understood.
#[derive(Clone, Debug)]
pub(crate) struct Section<'a> {
    /// The m-line.
    pub(crate) line: Line<'a>,
    /// The lines below it.
    pub(crate) attributes: Vec<Attribute<'a>>,
}

impl<'a> Section<'a> {
    /// The first attribute of this name.
    pub(crate) fn attribute(&self, name: &str) -> Option<Attribute<'a>> {
        self.named(name).next()
    }

    /// Whether the port is 0 and nothing says that this only means "bundled" (RFC 9143 section 6).
    pub(crate) fn is_rejected(&self) -> bool {
        let port = self.line.value().split_ascii_whitespace().nth(1);
        port.is_none_or(|port| port == "0" || port.starts_with("0/"))
            && self.attribute("bundle-only").is_none()
    }

    /// All attributes of this name.
    pub(crate) fn named<'s>(&'s self, name: &'s str) -> impl Iterator<Item = Attribute<'a>> + 's {
        self.attributes
            .iter()
            .copied()
            .filter(move |a| a.name == name)
    }
}

/// The `o=` line as far as it tells descriptions apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The session id; no number is asked of it.
    pub(crate) session: String,
    /// Grows with every description of a session (RFC 9429 section 5.2.2).
    pub(crate) version: u64,
}

/// A client's description.
#[derive(Clone, Debug)]
pub(crate) struct RemoteSession {
    /// Which description it is.
    pub(crate) origin: Origin,
    /// The mids of the first `a=group:BUNDLE`, in its order; `None` without such a group.
    pub(crate) bundle: Option<Vec<String>>,
    /// The transport of the bundle; `None` when no m-line of it has one.
    pub(crate) transport: Option<RemoteTransport>,
    /// `a=extmap-allow-mixed` for the whole session.
    pub(crate) allow_mixed: bool,
    /// The m-lines.
    pub(crate) media: Vec<RemoteMedia>,
}

impl RemoteSession {
    /// Reads a description.
    pub(crate) fn parse(sdp: &str, limits: &Limits) -> Result<Self, SdpError> {
        if sdp.len() > limits.max_sdp_bytes {
            return Err(SdpError::whole("the description is too long"));
        }
        let (session, origin, sections) = split(sdp, limits)?;
        let direction = session
            .attributes
            .iter()
            .find_map(|a| Direction::from_name(a.name))
            .unwrap_or(Direction::SENDRECV);
        let bundle = session.named("group").find_map(|a| {
            let mut words = a.value.split_ascii_whitespace();
            (words.next() == Some("BUNDLE")).then(|| words.map(str::to_owned).collect::<Vec<_>>())
        });
        let bundle_order = bundle.as_deref().unwrap_or_default();
        let transport = RemoteTransport::parse(&session, &sections, bundle_order)?;
        let mut media = Vec::with_capacity(sections.len());
        for section in &sections {
            media.push(RemoteMedia::parse(section, direction)?);
        }
        Ok(Self {
            origin,
            bundle,
            transport,
            allow_mixed: session.attribute("extmap-allow-mixed").is_some(),
            media,
        })
    }
}

/// The session part, the origin, and the m-lines.
fn split<'a>(
    sdp: &'a str,
    limits: &Limits,
) -> Result<(Section<'a>, Origin, Vec<Section<'a>>), SdpError> {
    let mut lines = text::lines(sdp);
    let first = lines
        .next()
        .ok_or(SdpError::whole("the description is empty"))??;
    if first.text != "v=0" {
        return Err(SdpError::at(first, "a description starts with `v=0`"));
    }
    let mut session = Section {
        line: first,
        attributes: Vec::new(),
    };
    let mut origin = None;
    let mut sections: Vec<Section<'a>> = Vec::new();
    for line in lines {
        let line = line?;
        match line.letter() {
            b'o' => origin = Some(parse_origin(line)?),
            b'm' if sections.len() >= limits.max_media_lines => {
                return Err(SdpError::at(line, "there are too many m-lines"));
            }
            b'm' => sections.push(Section {
                line,
                attributes: Vec::new(),
            }),
            b'a' => {
                let (name, value) = line.value().split_once(':').unwrap_or((line.value(), ""));
                let attribute = Attribute { line, name, value };
                sections
                    .last_mut()
                    .unwrap_or(&mut session)
                    .attributes
                    .push(attribute);
            }
            _ => {}
        }
    }
    let origin = origin.ok_or(SdpError::whole("the description has no `o=` line"))?;
    Ok((session, origin, sections))
}

fn parse_origin(line: Line<'_>) -> Result<Origin, SdpError> {
    let mut words = line.value().split_ascii_whitespace().skip(1);
    let session = words.next().filter(|s| s.len() <= 64);
    let version = words.next().and_then(|v| v.parse().ok());
    match (session, version) {
        (Some(session), Some(version)) => Ok(Origin {
            session: session.to_owned(),
            version,
        }),
        _ => Err(SdpError::at(
            line,
            "an origin is `o=name session version IN IP4 address`",
        )),
    }
}
