//! `a=ssrc` and `a=ssrc-group` (RFC 5576).

use std::collections::{BTreeMap, BTreeSet};

use crate::negotiation::SdpError;
use crate::negotiation::remote::session::Section;
use crate::shard::SsrcPair;

/// Most streams of one m-line that are kept.
const MAX_STREAMS: usize = 8;

/// The streams that an m-line announces, each with its retransmissions. Several tracks in one m-line
/// (Plan B) are refused.
pub(super) fn parse(section: &Section<'_>) -> Result<Vec<SsrcPair>, SdpError> {
    let mut rtx_by_ssrc = BTreeMap::new();
    let mut secondary = BTreeSet::new();
    for group in section.named("ssrc-group") {
        let mut words = group.value.split_ascii_whitespace();
        let semantics = words.next().unwrap_or_default();
        let ssrcs: Option<Vec<u32>> = words.map(|w| w.parse().ok()).collect();
        let Some(ssrcs) = ssrcs else {
            return Err(SdpError::at(group.line, "an SSRC is a number of 32 bits"));
        };
        match (semantics, ssrcs.as_slice()) {
            ("FID", [ssrc, rtx]) => {
                rtx_by_ssrc.insert(*ssrc, *rtx);
                secondary.insert(*rtx);
            }
            ("FEC-FR" | "FEC", [_, fec]) => {
                secondary.insert(*fec);
            }
            _ => {}
        }
    }
    let mut streams = Vec::new();
    let mut seen = BTreeSet::new();
    let mut track = None;
    for attribute in section.named("ssrc") {
        let (ssrc, rest) = match attribute.value.split_once(' ') {
            Some((ssrc, rest)) => (ssrc, rest),
            None => (attribute.value, ""),
        };
        let Ok(ssrc) = ssrc.parse::<u32>() else {
            return Err(SdpError::at(
                attribute.line,
                "an SSRC is a number of 32 bits",
            ));
        };
        if let Some(msid) = rest.strip_prefix("msid:") {
            if track.is_some_and(|track| track != msid) {
                return Err(SdpError::at(
                    attribute.line,
                    "several tracks in one m-line (Plan B): only unified plan is served",
                ));
            }
            track = Some(msid);
        }
        let new = seen.insert(ssrc);
        if new && ssrc != 0 && !secondary.contains(&ssrc) && streams.len() < MAX_STREAMS {
            streams.push(SsrcPair {
                ssrc,
                rtx: rtx_by_ssrc.get(&ssrc).copied().filter(|rtx| *rtx != 0),
            });
        }
    }
    Ok(streams)
}
