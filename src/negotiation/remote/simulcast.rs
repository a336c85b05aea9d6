//! `a=rid` and `a=simulcast` (RFC 8851, RFC 8853) as far as a client sends layers.

use crate::negotiation::SdpError;
use crate::negotiation::remote::session::Section;
use crate::rtp::Rid;

/// Most layers that are accepted, the first ones of the offer.
const MAX_LAYERS: usize = 4;

/// A simulcast layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    /// Its id.
    pub(crate) rid: Rid,
    /// The client starts with it paused (`~`).
    pub(crate) paused: bool,
}

/// The layers that an m-line sends, in the order it prefers them. Of alternatives the first counts.
pub(super) fn parse(section: &Section<'_>) -> Result<Vec<Layer>, SdpError> {
    let Some(simulcast) = section.attribute("simulcast") else {
        return Ok(Vec::new());
    };
    let mut words = simulcast.value.split_ascii_whitespace();
    let mut streams = "";
    while let Some(direction) = words.next() {
        match (direction, words.next()) {
            ("send", Some(list)) => streams = list,
            ("recv", Some(_)) => {}
            _ => {
                return Err(SdpError::at(
                    simulcast.line,
                    "a=simulcast is `send` or `recv` with a list of rids",
                ));
            }
        }
    }
    let mut announced = Vec::new();
    for attribute in section.named("rid").take(32) {
        let mut words = attribute.value.split_ascii_whitespace();
        let (rid, direction) = (words.next().unwrap_or_default(), words.next());
        let Ok(rid) = rid.parse::<Rid>() else {
            return Err(SdpError::at(
                attribute.line,
                "the rid is empty, too long, or no token",
            ));
        };
        if direction == Some("send") {
            announced.push(rid);
        }
    }
    let mut layers: Vec<Layer> = Vec::new();
    for alternatives in streams.split(';').take(MAX_LAYERS) {
        let first = alternatives.split(',').next().unwrap_or_default();
        let (paused, rid) = match first.strip_prefix('~') {
            Some(rid) => (true, rid),
            None => (false, first),
        };
        let Ok(rid) = rid.parse::<Rid>() else {
            continue;
        };
        // A rid that no a=rid line announces is to be ignored (RFC 8853 section 5.2).
        if announced.contains(&rid) && layers.iter().all(|layer| layer.rid != rid) {
            layers.push(Layer { rid, paused });
        }
    }
    Ok(layers)
}
