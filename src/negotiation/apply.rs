//! What a client's offer or answer makes of the state.

use std::collections::{BTreeMap, BTreeSet};

use crate::negotiation::line::{MediaLine, Receive};
use crate::negotiation::remote::{
    Direction, Format, LineKind, PayloadUse, RemoteMedia, RemoteSession,
};
use crate::negotiation::state::State;
use crate::negotiation::{NegotiationError, SdpError, Source, Sources, TrackIds};
use crate::rtp::{Extension, Mid};

/// How published tracks get their ids and sources.
pub(crate) struct Publishing<'a> {
    /// What the client says about its m-lines.
    pub(crate) sources: BTreeMap<Mid, Source>,
    /// Where new ids come from.
    pub(crate) ids: &'a mut TrackIds,
    /// A tentative state that this one replaces: what it published keeps its ids.
    pub(crate) replaced: Option<&'a State>,
    /// Most tracks.
    pub(crate) max_tracks: usize,
    /// Of which sources there may be tracks.
    pub(crate) allowed: Sources,
    /// What the description would send beyond that.
    pub(crate) refused: Vec<(Mid, Source)>,
    /// Whether there may be data channels.
    pub(crate) data_channels: bool,
}

/// What holds for the m-lines of one description together.
struct Bundle<'a> {
    /// The mids of all m-lines, whether they share the transport or not.
    named: BTreeSet<Mid>,
    mids: BTreeSet<&'a str>,
    use_by_number: BTreeMap<u8, PayloadUse>,
    has_data_channel: bool,
}

impl<'a> Bundle<'a> {
    fn of(remote: &'a RemoteSession) -> Result<Self, SdpError> {
        let mut named = BTreeSet::new();
        for media in &remote.media {
            if media.mid.is_some_and(|mid| !named.insert(mid)) {
                return Err(media.wrong("another m-line has the same a=mid"));
            }
        }
        let alive = remote.media.iter().find(|media| !media.rejected);
        match (&remote.bundle, alive) {
            (None, Some(media)) => Err(media.wrong(
                "the description has no a=group:BUNDLE: all media has to share one transport",
            )),
            (bundle, _) => Ok(Self {
                named,
                mids: bundle.iter().flatten().map(String::as_str).collect(),
                use_by_number: BTreeMap::new(),
                has_data_channel: false,
            }),
        }
    }

    fn has(&self, mid: Mid) -> bool {
        self.mids.contains(mid.as_str())
    }

    /// The formats of an m-line without the ones whose numbers mean another thing on an earlier m-line.
    fn agree_formats(&mut self, media: &RemoteMedia) -> Vec<Format> {
        let mut clashes = BTreeSet::new();
        for &(number, used) in &media.formats.uses {
            if *self.use_by_number.entry(number).or_insert(used) != used {
                clashes.insert(number);
            }
        }
        let mut formats = media.formats.known.clone();
        formats.retain(|format| !clashes.contains(&format.payload_type));
        for format in &mut formats {
            format.rtx = format
                .rtx
                .take()
                .filter(|rtx| !clashes.contains(&rtx.payload_type));
        }
        formats
    }
}

impl State {
    /// The state that an offer of the client's leads to, but for what we will send.
    pub(crate) fn apply_offer(
        &self,
        remote: &RemoteSession,
        publishing: &mut Publishing<'_>,
    ) -> Result<Self, NegotiationError> {
        if remote.media.len() < self.lines.len() {
            return Err(SdpError::whole("the offer has fewer m-lines than were agreed on").into());
        }
        let mut bundle = Bundle::of(remote)?;
        let mut next = self.clone();
        next.learn(remote);
        for (index, media) in remote.media.iter().enumerate() {
            let current = self.lines.get(index).filter(|line| !line.stopped);
            if let Some(current) = current {
                check_same(current, media)?;
            }
            let line = next.offered_line(current, media, &mut bundle, publishing.data_channels)?;
            match next.lines.get_mut(index) {
                Some(slot) => *slot = line,
                None => next.lines.push(line),
            }
        }
        next.allow_mixed = remote.allow_mixed;
        next.bundle = remote
            .bundle
            .iter()
            .flatten()
            .filter_map(|mid| mid.parse().ok())
            .collect();
        next.set_transport(remote.transport.as_ref())?;
        next.publish(remote, publishing)?;
        Ok(next)
    }

    /// One m-line of an offer. Its `direction` says only whether the client sends.
    fn offered_line(
        &mut self,
        current: Option<&MediaLine>,
        media: &RemoteMedia,
        bundle: &mut Bundle<'_>,
        data_channels: bool,
    ) -> Result<MediaLine, SdpError> {
        let mut line = MediaLine {
            kind: media.kind,
            words: [&media.media, &media.protocol, &media.format].map(Clone::clone),
            mid: media.mid,
            stopped: false,
            direction: Direction {
                send: false,
                receive: media.direction.send,
            },
            willing: media.direction.receive,
            formats: Vec::new(),
            extensions: Vec::new(),
            rtcp_rsize: media.rtcp_rsize,
            allow_mixed: media.allow_mixed,
            layers: Vec::new(),
            sctp: None,
            receive: current.and_then(|line| line.receive.clone()),
            send: current.and_then(|line| line.send),
        };
        if media.rejected {
            // One that is not said again may be another m-line's by now.
            let before = current.and_then(|line| line.mid);
            let before = before.filter(|mid| !bundle.named.contains(mid));
            line.mid = line.mid.or(before);
            line.stop();
            return Ok(line);
        }
        if !bundle.has(media.required_mid()?) {
            line.stop();
            return Ok(line);
        }
        match media.kind {
            LineKind::Rtp(_) => {
                // There is one port, and an answer cannot add what was not offered (RFC 5761 section 5.1.1).
                if !media.rtcp_mux {
                    return Err(media.wrong("the m-line has no a=rtcp-mux"));
                }
                line.formats = bundle.agree_formats(media);
                if line.formats.is_empty() {
                    line.stop();
                    return Ok(line);
                }
                line.extensions = self
                    .extensions
                    .agree(&media.extensions.known, &media.extensions.ids);
                if line.has_extension(Extension::Rid) {
                    line.layers = media.layers.clone();
                }
                line.send = line.send.filter(|_| line.willing);
            }
            LineKind::DataChannel if data_channels && !bundle.has_data_channel => {
                bundle.has_data_channel = true;
                line.sctp = media.sctp;
                line.direction = Direction::default();
                line.willing = false;
            }
            LineKind::DataChannel | LineKind::Unserved => line.stop(),
        }
        Ok(line)
    }

    /// The state that the answer to an offer of ours leads to. `self` is what the offer proposed and
    /// `agreed` what holds so far.
    pub(crate) fn apply_answer(
        &self,
        agreed: &Self,
        remote: &RemoteSession,
        publishing: &mut Publishing<'_>,
    ) -> Result<Self, NegotiationError> {
        if remote.media.len() != self.lines.len() {
            return Err(SdpError::whole("the answer has not as many m-lines as the offer").into());
        }
        let mut bundle = Bundle::of(remote)?;
        let mut next = self.clone();
        next.extensions = agreed.extensions.clone();
        next.learn(remote);
        let mut lines = std::mem::take(&mut next.lines);
        for (line, media) in lines.iter_mut().zip(&remote.media) {
            if !line.stopped {
                check_same(line, media)?;
                next.answer_line(line, media, &mut bundle)?;
            }
        }
        next.lines = lines;
        let alive = next.lines.iter().any(|line| !line.stopped);
        if alive && remote.transport.is_none() {
            return Err(SdpError::whole("the answer has no transport").into());
        }
        next.set_transport(remote.transport.as_ref())?;
        next.publish(remote, publishing)?;
        for line in &mut next.lines {
            line.direction.receive = line.receive.is_some();
        }
        Ok(next)
    }

    /// One m-line of an answer to ours.
    fn answer_line(
        &mut self,
        line: &mut MediaLine,
        media: &RemoteMedia,
        bundle: &mut Bundle<'_>,
    ) -> Result<(), SdpError> {
        if media.rejected {
            line.stop();
            return Ok(());
        }
        if !bundle.has(media.required_mid()?) {
            return Err(media.wrong("the m-line left the bundle"));
        }
        line.rtcp_rsize &= media.rtcp_rsize;
        if line.kind == LineKind::DataChannel {
            line.sctp = media.sctp;
            return Ok(());
        }
        if !media.rtcp_mux {
            return Err(media.wrong("the m-line has no a=rtcp-mux"));
        }
        let offered = std::mem::take(&mut line.formats);
        line.formats = bundle.agree_formats(media);
        line.formats
            .retain(|format| offered.iter().any(|o| o.codec == format.codec));
        if line.formats.is_empty() {
            return Err(media.wrong("the m-line has none of the codecs that were offered"));
        }
        let mut known = media.extensions.known.clone();
        known.retain(|e| line.has_extension(e.extension));
        line.extensions = self.extensions.agree(&known, &media.extensions.ids);
        if line.direction.send {
            line.willing = media.direction.receive;
        }
        if !media.direction.receive {
            line.send = None;
        }
        line.direction = Direction {
            send: line.send.is_some(),
            receive: line.direction.receive && media.direction.send,
        };
        if line.direction.receive {
            line.layers
                .retain(|layer| media.layers.iter().any(|l| l.rid == layer.rid));
        }
        Ok(())
    }

    /// Takes from a description what our next offers have to heed.
    fn learn(&mut self, remote: &RemoteSession) {
        self.origin = Some(remote.origin.clone());
        for media in remote.media.iter().filter(|media| !media.rejected) {
            for &(number, used) in &media.formats.uses {
                self.payload_types.learn_use(number, used);
            }
            // Backwards, so that of several formats of a codec the preferred one stays.
            for format in media.formats.known.iter().rev() {
                self.payload_types.learn_format(format);
            }
        }
    }

    /// Gives each m-line on which the client sends its track.
    fn publish(
        &mut self,
        remote: &RemoteSession,
        publishing: &mut Publishing<'_>,
    ) -> Result<(), NegotiationError> {
        let receives = |line: &MediaLine| line.media_kind().is_some() && line.direction.receive;
        let count = self.lines.iter().filter(|line| receives(line)).count();
        if count > publishing.max_tracks {
            return Err(NegotiationError::TooManyTracks(publishing.max_tracks));
        }
        for (line, media) in self.lines.iter_mut().zip(&remote.media) {
            let (Some(kind), Some(mid), true) = (line.media_kind(), line.mid, receives(line))
            else {
                line.receive = None;
                continue;
            };
            let known = line
                .receive
                .take()
                .or_else(|| publishing.replaced_receive(mid));
            let said = publishing.sources.get(&mid).copied();
            let said = said.filter(|source| source.kind() == kind);
            let before = known.as_ref().map(|receive| receive.source);
            let source = said.or(before).unwrap_or(Source::of_kind(kind));
            if !publishing.allowed.contains(source) {
                publishing.refused.push((mid, source));
                continue;
            }
            line.receive = Some(Receive {
                track: known.map_or_else(|| publishing.ids.next(), |receive| receive.track),
                source,
                ssrcs: media.ssrcs.clone(),
            });
        }
        Ok(())
    }
}

impl Publishing<'_> {
    fn replaced_receive(&self, mid: Mid) -> Option<Receive> {
        let lines = &self.replaced?.lines;
        lines
            .iter()
            .find(|line| line.mid == Some(mid))
            .and_then(|line| line.receive.clone())
    }
}

/// An m-line that is alive keeps its mid and its medium (RFC 9429 section 5.2.2).
fn check_same(line: &MediaLine, media: &RemoteMedia) -> Result<(), SdpError> {
    if media.mid.is_some() && media.mid != line.mid {
        return Err(media.wrong("the m-line has another a=mid than before"));
    }
    if !media.rejected && media.kind != line.kind {
        return Err(media.wrong("the m-line has another medium than before"));
    }
    Ok(())
}
