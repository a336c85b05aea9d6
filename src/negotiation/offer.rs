//! Where the wanted tracks go: on m-lines that are free, on stopped ones, or on new ones.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::negotiation::line::{MediaLine, Send};
use crate::negotiation::remote::{Direction, LineKind};
use crate::negotiation::state::State;
use crate::negotiation::{Sources, SubscribedTrack};
use crate::rtp::MediaKind;
use crate::shard::TrackId;

/// How often a track may get a new m-line. A client that stops each of them again would otherwise be
/// offered another without end.
const NEW_LINES: u8 = 16;

/// What a track's budget pays for an m-line that the answer refuses.
const REFUSAL: u8 = 8;

/// A track that the client is to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) track: SubscribedTrack,
    /// How many new m-lines it may still get.
    budget: u8,
}

impl Wanted {
    pub(crate) fn new(track: SubscribedTrack) -> Self {
        Self {
            track,
            budget: NEW_LINES,
        }
    }

    /// It gets a new m-line.
    pub(crate) fn pay_line(&mut self) {
        self.budget = self.budget.saturating_sub(1);
    }

    /// The client answered that it does not want it there.
    pub(crate) fn pay_refusal(&mut self) {
        self.budget = self.budget.saturating_sub(REFUSAL);
    }
}

/// Where a track goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the m-line of this index, which is free.
    Free(usize),
    /// On the stopped m-line of this index, under a new mid.
    Stopped(usize),
    /// On a new m-line behind all others.
    New,
}

/// Ends what `state` sends and nobody wants any more.
pub(crate) fn release(state: &mut State, wanted: &[Wanted]) {
    let wanted: BTreeSet<TrackId> = wanted.iter().map(|w| w.track.track).collect();
    for line in &mut state.lines {
        line.send = line.send.filter(|send| wanted.contains(&send.track));
    }
}

/// Whether `agreed` sends what nobody wants any more.
pub(crate) fn must_release(agreed: &State, wanted: &[Wanted]) -> bool {
    let wanted: BTreeSet<TrackId> = wanted.iter().map(|w| w.track.track).collect();
    agreed.sent().any(|(_, track)| !wanted.contains(&track))
}

/// Finds places in `state`, from which [`release`] took what is over, for the wanted tracks that have
/// none, in their order. An m-line that by `agreed` still sends another track is not free yet: browsers
/// fire `removetrack` and `track` only when a description in between sends nothing there. With
/// `new_lines`, tracks for which there is no free m-line get a stopped or a new one, unless m-lines are
/// about to become free.
pub(crate) fn places(
    state: &State,
    agreed: &State,
    wanted: &[Wanted],
    new_lines: Option<usize>,
) -> Vec<(usize, Place)> {
    let mut free: BTreeMap<MediaKind, VecDeque<usize>> = BTreeMap::new();
    let mut freed: BTreeMap<MediaKind, usize> = BTreeMap::new();
    let mut stopped: Vec<usize> = Vec::new();
    for (index, line) in state.lines.iter().enumerate() {
        if line.stopped {
            let recyclable = agreed.lines.get(index).is_some_and(|line| line.stopped);
            stopped.extend(Some(index).filter(|_| recyclable));
        }
        let Some(kind) = line.media_kind() else {
            continue;
        };
        if line.send.is_some() || !line.willing {
            continue;
        }
        let before = agreed.lines.get(index);
        if before.is_some_and(|before| before.mid == line.mid && before.send.is_some()) {
            *freed.entry(kind).or_default() += 1;
        } else {
            free.entry(kind).or_default().push_back(index);
        }
    }
    let sent: BTreeSet<TrackId> = state.sent().map(|(_, track)| track).collect();
    let mut count = state.lines.len();
    let mut places = Vec::new();
    for (number, wanted) in wanted.iter().enumerate() {
        let kind = wanted.track.kind;
        if sent.contains(&wanted.track.track) {
            continue;
        }
        if let Some(index) = free.get_mut(&kind).and_then(VecDeque::pop_front) {
            places.push((number, Place::Free(index)));
            continue;
        }
        let Some(max_lines) = new_lines else {
            continue;
        };
        if let Some(freed) = freed.get_mut(&kind).filter(|freed| **freed > 0) {
            *freed -= 1;
            continue;
        }
        if wanted.budget == 0 {
            continue;
        }
        let same = |index: &usize| {
            let line = state.lines.get(*index);
            line.is_some_and(|line| line.kind == LineKind::Rtp(kind))
        };
        let position = stopped.iter().position(same);
        if let Some(index) = position
            .or(stopped.len().checked_sub(1))
            .map(|position| stopped.remove(position))
        {
            places.push((number, Place::Stopped(index)));
        } else if count < max_lines {
            count += 1;
            places.push((number, Place::New));
        }
    }
    places
}

/// Puts a track on its place.
pub(crate) fn put(state: &mut State, place: Place, track: &SubscribedTrack, send: Send) {
    let index = match place {
        Place::Free(index) => index,
        Place::Stopped(index) => {
            let line = new_line(state, track);
            if let (Some(slot), Some(line)) = (state.lines.get_mut(index), line) {
                *slot = line;
            }
            index
        }
        Place::New => {
            let line = new_line(state, track);
            state.lines.extend(line);
            state.lines.len().saturating_sub(1)
        }
    };
    if let Some(line) = state.lines.get_mut(index).filter(|line| !line.stopped) {
        line.send = Some(send);
    }
}

/// An m-line of ours, with what the track can come in. Before the client has described itself, as when
/// it is called, it may send there too; later it has, or makes, m-lines of its own.
fn new_line(state: &mut State, track: &SubscribedTrack) -> Option<MediaLine> {
    let mid = state.new_mid()?;
    let formats: Vec<_> = crate::negotiation::codecs::offered(track)
        .filter_map(|codec| state.payload_types.format(codec))
        .collect();
    let first = formats.first()?.payload_type.to_string();
    let extensions = state.extensions.offer(track.kind);
    let media = match track.kind {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    };
    Some(MediaLine {
        kind: LineKind::Rtp(track.kind),
        words: [media.to_owned(), "UDP/TLS/RTP/SAVPF".to_owned(), first],
        mid: Some(mid),
        stopped: false,
        direction: Direction {
            send: true,
            receive: state.origin.is_none(),
        },
        willing: true,
        formats,
        extensions,
        rtcp_rsize: true,
        allow_mixed: true,
        layers: Vec::new(),
        sctp: None,
        receive: None,
        send: None,
    })
}

/// Sets what an offer says about directions. An m-line that the client knows is offered for receiving
/// even when it sends nothing there, so that it can start with its answer; but never more of them than
/// tracks it may publish.
pub(crate) fn set_offer_directions(
    state: &mut State,
    agreed: &State,
    max_tracks: usize,
    may_publish: Sources,
) {
    let receiving = state.lines.iter().filter(|l| l.receive.is_some()).count();
    let mut spare = max_tracks.saturating_sub(receiving);
    for (index, line) in state.lines.iter_mut().enumerate() {
        let Some(kind) = line.media_kind() else {
            continue;
        };
        let before = agreed.lines.get(index);
        let known = before.is_some_and(|before| before.mid == line.mid);
        let allowed = may_publish.iter().any(|source| source.kind() == kind);
        let wish = allowed && (line.receive.is_some() || known || line.direction.receive);
        let mut receive = wish;
        if wish && line.receive.is_none() {
            receive = spare > 0;
            spare = spare.saturating_sub(1);
        }
        line.direction = Direction {
            send: line.send.is_some(),
            receive,
        };
    }
}

/// Adds the codecs of a track to the m-line that is to carry it.
pub(crate) fn widen(state: &mut State, index: usize, track: &SubscribedTrack) {
    let Some(line) = state.lines.get(index) else {
        return;
    };
    let has = |codec| line.formats.iter().any(|format| format.codec == codec);
    let missing: Vec<_> = crate::negotiation::codecs::offered(track)
        .filter(|codec| !has(*codec))
        .collect();
    let formats: Vec<_> = missing
        .into_iter()
        .filter_map(|codec| state.payload_types.format(codec))
        .collect();
    if let Some(line) = state.lines.get_mut(index) {
        line.formats.extend(formats);
    }
}
