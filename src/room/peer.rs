//! A participant's peer connection, as control sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::RequestId;
use super::media::SCREEN;
use super::traced::Traced;
use crate::negotiation::{Negotiation, PublishedTrack, Source, SubscribedTrack, TrackIds};
use crate::rtp::{MediaKind, Mid};
use crate::shard::{CallId, Command, ParticipantId, PeerId, TrackId, Wish};
use crate::signaling::protocol::TrackInfo;

/// A participant's peer connection, from its offer, or from the ringing, until the end of its call.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) call: CallId,
    pub(super) shard: usize,
    /// What it adds to its shard's load.
    pub(super) load: usize,
    pub(super) negotiation: Negotiation,
    /// What the others of the call were given to receive.
    pub(super) published: Vec<PublishedTrack>,
    /// Those that a moderator stopped, which nobody is given any more.
    pub(super) stopped: BTreeSet<TrackId>,
    /// What it offered to send and may not, as far as its client was told.
    pub(super) refused: Vec<(Mid, Source)>,
    /// Which of them are muted.
    pub(super) muted: BTreeSet<TrackId>,
    /// What it needs of others' tracks, where that is not just the usual.
    pub(super) wishes: BTreeMap<TrackId, Wish>,
    /// The way to the first media.
    pub(super) joining: Traced,
    /// Our offer on its way to an answer.
    pub(super) offering: Traced,
    /// Tracks that are none: they make m-lines in an offer that has nothing to send, and end with its answer.
    pub(super) placeholders: Vec<TrackId>,
    /// Until when no offer may go out: one of the client's own is likely on its way.
    pub(super) hold_offers: Option<Instant>,
    /// When an offer that a classic client does not answer is taken back.
    pub(super) answer_due: Option<Instant>,
    /// Offers in a row that were taken back.
    pub(super) unanswered: u32,
    /// When a network that is gone ends the call.
    pub(super) consent_due: Option<Instant>,
    /// The score of the last `quality`.
    pub(super) score: Option<u8>,
    /// A `stats` of the client's waits for the shard.
    pub(super) stats_asked: bool,
    /// Tracks of which a `timeline` of the client's waits for the shard.
    pub(super) timeline_asked: BTreeSet<TrackId>,
    /// Operators who wait for the shard to tell what became of its tracks.
    pub(super) timelines_asked: Vec<RequestId>,
    /// Operators who wait for the shard's counters.
    pub(super) operators_ask_stats: Vec<RequestId>,
}

impl Peer {
    pub(super) fn new(id: PeerId, call: CallId, shard: usize, negotiation: Negotiation) -> Self {
        Self {
            id,
            call,
            shard,
            load: 0,
            negotiation,
            published: Vec::new(),
            stopped: BTreeSet::new(),
            refused: Vec::new(),
            muted: BTreeSet::new(),
            wishes: BTreeMap::new(),
            joining: Traced::default(),
            offering: Traced::default(),
            placeholders: Vec::new(),
            hold_offers: None,
            answer_due: None,
            unanswered: 0,
            consent_due: None,
            score: None,
            stats_asked: false,
            timeline_asked: BTreeSet::new(),
            timelines_asked: Vec::new(),
            operators_ask_stats: Vec::new(),
        }
    }

    /// The next commands for the shard. A track or copy that a shard just learned of is told whether it is muted and
    /// what is needed of it, which may have been said before.
    pub(super) fn poll_commands(&mut self) -> Vec<Command> {
        let mut commands = Vec::new();
        while let Some(command) = self.negotiation.poll_command() {
            let more = match &command {
                Command::SetReceiver {
                    parameters: Some(parameters),
                    ..
                } if self.muted.contains(&parameters.track) => Some(Command::SetMuted {
                    peer: self.id,
                    track: parameters.track,
                    muted: true,
                }),
                Command::SetSender {
                    parameters: Some(parameters),
                    ..
                } => self
                    .wishes
                    .get(&parameters.track)
                    .map(|wish| Command::SetWish {
                        peer: self.id,
                        track: parameters.track,
                        wish: *wish,
                    }),
                _ => None,
            };
            commands.push(command);
            commands.extend(more);
        }
        commands
    }

    /// Makes the next offer have an m-line of each kind, so that a client without anything to hear can be rung.
    pub(super) fn offer_to_receive(&mut self, owner: ParticipantId, ids: &mut TrackIds) {
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let track = ids.next();
            self.placeholders.push(track);
            self.negotiation.add_track(SubscribedTrack {
                track,
                participant: owner,
                home: self.shard,
                kind,
                codecs: Vec::new(),
            });
        }
    }

    /// The offer is answered: what was only there to make m-lines goes, before a shard hears of it.
    pub(super) fn end_placeholders(&mut self) {
        for track in std::mem::take(&mut self.placeholders) {
            self.negotiation.remove_track(track);
        }
    }

    /// Which of its published tracks show a screen.
    pub(super) fn screens(&self) -> Vec<TrackId> {
        let published = self.published.iter();
        let screens = published.filter(|published| published.source == Source::Screen);
        screens.map(|published| published.track).collect()
    }

    /// A track that others publish is a shared screen, which gets its share of the network before faces do.
    pub(super) fn put_first(&mut self, track: TrackId) {
        self.wishes.entry(track).or_default().priority |= SCREEN;
    }

    /// What others may subscribe to.
    pub(super) fn subscribable(&self, owner: ParticipantId) -> Vec<SubscribedTrack> {
        self.published
            .iter()
            .map(|published| SubscribedTrack {
                track: published.track,
                participant: owner,
                home: self.shard,
                kind: published.kind,
                codecs: published.codecs.clone(),
            })
            .collect()
    }

    /// `tracks` of `participant`.
    pub(super) fn track_infos(&self) -> Vec<TrackInfo> {
        self.published
            .iter()
            .map(|published| self.track_info(published))
            .collect()
    }

    /// What others are told of a track.
    pub(super) fn track_info(&self, published: &PublishedTrack) -> TrackInfo {
        TrackInfo {
            track: published.track.to_string(),
            kind: published.kind,
            source: published.source,
            muted: self.muted.contains(&published.track),
        }
    }
}
