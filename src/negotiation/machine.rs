//! The machine itself: which description may come when, and what becomes of it.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::negotiation::apply::Publishing;
use crate::negotiation::describe::{Kind, describe};
use crate::negotiation::line::Send;
use crate::negotiation::offer::{self, Place, Wanted};
use crate::negotiation::remote::{Direction, RemoteSession};
use crate::negotiation::state::State;
use crate::negotiation::sync::Told;
use crate::negotiation::{
    Config, Description, NegotiationError, PublishedTrack, SignalingState, Source, SubscribedTrack,
    TrackIds, candidate, codecs,
};
use crate::rtp::Mid;
use crate::shard::{Command, IceCredentials, TrackId};

/// The characters of ICE credentials (RFC 8839 section 5.1).
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A description that waits for its counterpart.
#[derive(Debug)]
enum Pending {
    None,
    /// An offer of the client's.
    Remote {
        state: Box<State>,
        /// It restarts ICE.
        restart: bool,
    },
    /// An offer of ours.
    Local {
        state: Box<State>,
        description: Description,
        restart: bool,
        /// The tracks that get an m-line of their own by it.
        new_lines: Vec<TrackId>,
    },
}

/// The offer and answer machine of one peer connection.
///
/// Descriptions go in with `handle_*`, come out of `create_*`, and after each of them, and after
/// [`add_track`](Self::add_track) and [`remove_track`](Self::remove_track),
/// [`poll_command`](Self::poll_command) is to be called until it returns `None`. Whatever returns an
/// error has changed nothing.
#[derive(Debug)]
pub struct Negotiation {
    config: Config,
    /// What both sides agreed on last.
    agreed: State,
    pending: Pending,
    /// What the peer is to be sent, in the order it was asked for.
    wanted: Vec<Wanted>,
    restart_ice: bool,
    published: Vec<PublishedTrack>,
    /// What the client's last description would have published beyond what it may.
    refused: Vec<(Mid, Source)>,
    told: Told,
    /// The version of our last description.
    version: u64,
    /// The hash of the last answer, to tell a repeated one.
    last_answer: Option<u64>,
    /// The client gives different descriptions the same version.
    same_version: bool,
    random: StdRng,
}

impl Negotiation {
    /// A negotiation before any description, in [`SignalingState::Stable`].
    pub fn new(config: Config) -> Self {
        // Later credentials must not be easier to guess than the first.
        let mut seed = [0; 32];
        let secret = config.local_ice.pwd.bytes();
        for (index, byte) in config
            .seed
            .to_le_bytes()
            .into_iter()
            .chain(secret)
            .enumerate()
        {
            if let Some(place) = seed.get_mut(index % 32) {
                *place ^= byte;
            }
        }
        Self {
            agreed: State::new(config.local_ice.clone()),
            config,
            pending: Pending::None,
            wanted: Vec::new(),
            restart_ice: false,
            published: Vec::new(),
            refused: Vec::new(),
            told: Told::default(),
            version: 0,
            last_answer: None,
            same_version: false,
            random: StdRng::from_seed(seed),
        }
    }

    /// Takes an offer of the client's, tentatively. [`tracks`](Self::tracks) already tells what it
    /// publishes; nothing else happens before [`create_answer`](Self::create_answer). A tentative
    /// offer that waits already is replaced. `sources` says what the m-lines send; where it says
    /// nothing a track keeps its source.
    pub fn handle_offer(
        &mut self,
        sdp: &str,
        sources: &[(Mid, Source)],
        ids: &mut TrackIds,
    ) -> Result<(), NegotiationError> {
        let replaced = match &self.pending {
            Pending::Local { .. } => return Err(NegotiationError::Glare),
            Pending::Remote { state, .. } => Some(&**state),
            Pending::None => None,
        };
        let remote = RemoteSession::parse(sdp, &self.config.limits)?;
        let mut publishing = Publishing {
            sources: sources.iter().copied().collect(),
            ids,
            replaced,
            max_tracks: self.config.limits.max_tracks,
            allowed: self.config.may_publish,
            refused: Vec::new(),
            data_channels: self.config.data_channels,
        };
        let state = self.agreed.apply_offer(&remote, &mut publishing)?;
        self.refused = publishing.refused;
        let ice = |state: &State| state.transport.as_ref().map(|t| t.ice.clone());
        let before = ice(&self.agreed);
        self.published = state.published();
        self.pending = Pending::Remote {
            restart: before.is_some() && ice(&state) != before,
            state: Box::new(state),
        };
        Ok(())
    }

    /// Answers the tentative offer and applies it.
    pub fn create_answer(&mut self) -> Result<Description, NegotiationError> {
        let (mut state, restart) = match std::mem::replace(&mut self.pending, Pending::None) {
            Pending::Remote { state, restart } => (*state, restart),
            pending => {
                self.pending = pending;
                return Err(NegotiationError::NoOffer);
            }
        };
        if restart {
            // A restart changes the credentials of both sides (RFC 8839 section 4.4.1.1.1).
            state.local_ice = self.new_credentials();
            self.restart_ice = false;
        }
        offer::release(&mut state, &self.wanted);
        for (number, place) in offer::places(&state, &self.agreed, &self.wanted, None) {
            self.put(&mut state, number, place);
        }
        for line in state.lines.iter_mut().filter(|line| !line.stopped) {
            line.direction = Direction {
                send: line.send.is_some(),
                receive: line.receive.is_some(),
            };
        }
        self.prefer_red(&mut state);
        self.version += 1;
        let description = describe(&state, Kind::Answer, &self.config, self.version);
        self.commit(state);
        Ok(description)
    }

    /// Drops the tentative offer.
    pub fn reject_offer(&mut self) {
        if matches!(self.pending, Pending::Remote { .. }) {
            self.pending = Pending::None;
            self.published = self.agreed.published();
        }
    }

    /// Takes the answer to our outstanding offer and applies both. An answer may publish, too.
    pub fn handle_answer(
        &mut self,
        sdp: &str,
        sources: &[(Mid, Source)],
        ids: &mut TrackIds,
    ) -> Result<(), NegotiationError> {
        let Pending::Local {
            state: offered,
            restart,
            new_lines,
            ..
        } = &self.pending
        else {
            return Err(NegotiationError::UnexpectedAnswer);
        };
        let remote = RemoteSession::parse(sdp, &self.config.limits)?;
        if self.is_stale(&remote, sdp) {
            return Err(NegotiationError::UnexpectedAnswer);
        }
        let mut publishing = Publishing {
            sources: sources.iter().copied().collect(),
            ids,
            replaced: None,
            max_tracks: self.config.limits.max_tracks,
            allowed: self.config.may_publish,
            refused: Vec::new(),
            data_channels: self.config.data_channels,
        };
        let state = offered.apply_answer(&self.agreed, &remote, &mut publishing)?;
        self.refused = publishing.refused;
        self.restart_ice &= !restart;
        for wanted in &mut self.wanted {
            let track = wanted.track.track;
            if new_lines.contains(&track) && state.line_sending(track).is_none() {
                wanted.pay_refusal();
            }
        }
        self.last_answer = Some(hash(sdp));
        self.same_version |= self.agreed.origin == state.origin;
        self.pending = Pending::None;
        self.commit(state);
        Ok(())
    }

    /// Checks a trickled candidate of the client's; empty means that there are no more. An ICE-lite
    /// server learns addresses from the checks themselves, so nothing is kept, and a candidate for an
    /// m-line that is not known is none the worse: its offer may have been rolled back.
    pub fn handle_candidate(
        &mut self,
        candidate: &str,
        mid: Option<&str>,
        _mline_index: Option<u16>,
        ufrag: Option<&str>,
    ) -> Result<(), NegotiationError> {
        if mid.is_some_and(|mid| mid.len() > 256) || ufrag.is_some_and(|ufrag| ufrag.len() > 256) {
            return Err(NegotiationError::BadCandidate(
                "the mid or the ufrag is too long",
            ));
        }
        candidate::check(candidate)
    }

    /// From now on the peer is to be sent this track. Adding it again changes what is known about it.
    pub fn add_track(&mut self, track: SubscribedTrack) {
        let sent = self.agreed.line_sending(track.track).is_some();
        match self
            .wanted
            .iter_mut()
            .find(|w| w.track.track == track.track)
        {
            Some(wanted) => wanted.track = track,
            None => self.wanted.push(Wanted::new(track)),
        }
        // Nothing else can change what the core was told.
        if sent {
            self.update_core();
        }
    }

    /// The peer is not to be sent this track any more: it stops at once, and the next description says so.
    pub fn remove_track(&mut self, track: TrackId) {
        self.wanted.retain(|wanted| wanted.track.track != track);
        if self.agreed.line_sending(track).is_some() {
            self.update_core();
        }
    }

    /// The publisher of these tracks is on this shard now. Nothing of that is said to the client.
    pub fn set_home(&mut self, tracks: &[TrackId], home: usize) {
        let wanted = self.wanted.iter_mut();
        for wanted in wanted.filter(|wanted| tracks.contains(&wanted.track.track)) {
            wanted.track.home = home;
        }
        let pending = match &mut self.pending {
            Pending::None => None,
            Pending::Remote { state, .. } | Pending::Local { state, .. } => Some(&mut **state),
        };
        if let Some(state) = pending {
            state.set_home(tracks, home);
        }
        if self.agreed.set_home(tracks, home) {
            self.update_core();
        }
    }

    /// The peer itself is on another shard now, which is told everything: [`poll_command`](Self::poll_command) begins anew.
    /// The user name fragments of later restarts begin with `letter`, by which others know the shard. Returns the
    /// credentials for [`AddPeer`](crate::shard::Command::AddPeer) there.
    pub fn begin_anew(&mut self, letter: char) -> IceCredentials {
        let ufrag = &mut self.config.local_ice.ufrag;
        *ufrag = std::iter::once(letter)
            .chain(ufrag.chars().skip(1))
            .collect();
        self.told = Told::default();
        self.update_core();
        self.agreed.local_ice.clone()
    }

    /// The next offer of ours restarts ICE. A client can do so itself, and is to be preferred: Firefox
    /// 153 fails on an offer that restarts ICE if it has an offer of its own outstanding.
    pub fn restart_ice(&mut self) {
        self.restart_ice = self.agreed.transport.is_some();
    }

    /// Whether [`create_offer`](Self::create_offer) would make an offer.
    pub fn needs_offer(&self) -> bool {
        matches!(self.pending, Pending::None)
            && (self.restart_ice
                || offer::must_release(&self.agreed, &self.wanted)
                || !self.places(&self.agreed).is_empty())
    }

    /// Makes an offer, when the state is stable and there is something to say.
    pub fn create_offer(&mut self) -> Option<Description> {
        if !self.needs_offer() {
            return None;
        }
        let mut state = self.agreed.clone();
        if self.restart_ice {
            state.local_ice = self.new_credentials();
        }
        offer::release(&mut state, &self.wanted);
        let mut new_lines = Vec::new();
        for (number, place) in self.places(&state) {
            let wanted = self.wanted.get_mut(number)?;
            match place {
                Place::Free(index) => offer::widen(&mut state, index, &wanted.track),
                Place::Stopped(_) | Place::New => {
                    wanted.pay_line();
                    new_lines.push(wanted.track.track);
                }
            }
            self.put(&mut state, number, place);
        }
        let max_tracks = self.config.limits.max_tracks;
        offer::set_offer_directions(
            &mut state,
            &self.agreed,
            max_tracks,
            self.config.may_publish,
        );
        self.prefer_red(&mut state);
        self.version += 1;
        let description = describe(&state, Kind::Offer, &self.config, self.version);
        self.pending = Pending::Local {
            state: Box::new(state),
            description: description.clone(),
            restart: self.restart_ice,
            new_lines,
        };
        Some(description)
    }

    /// The formats of a description of ours, in our order. In an offer, too: the client sends what stands first there.
    fn prefer_red(&self, state: &mut State) {
        if self.config.red {
            for line in &mut state.lines {
                codecs::prefer_red(&mut line.formats);
            }
        }
    }

    /// Our offer that is not answered yet, for sending it again.
    pub fn outstanding_offer(&self) -> Option<&Description> {
        match &self.pending {
            Pending::Local { description, .. } => Some(description),
            Pending::None | Pending::Remote { .. } => None,
        }
    }

    /// Drops our outstanding offer. What it wanted to say is still to be said.
    pub fn rollback(&mut self) {
        if matches!(self.pending, Pending::Local { .. }) {
            self.pending = Pending::None;
        }
    }

    /// What the peer publishes, the tentative offer included.
    pub fn tracks(&self) -> &[PublishedTrack] {
        &self.published
    }

    /// What the peer's last description would have published, had it been allowed.
    pub fn refused(&self) -> &[(Mid, Source)] {
        &self.refused
    }

    /// What the peer is sent, as agreed last.
    pub fn subscribed(&self) -> impl Iterator<Item = (Mid, TrackId)> + '_ {
        self.agreed.sent()
    }

    /// The next command for the peer's shard.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.told.poll_command()
    }

    /// Where offer and answer stand.
    pub fn signaling_state(&self) -> SignalingState {
        match self.pending {
            Pending::None => SignalingState::Stable,
            Pending::Remote { .. } => SignalingState::HaveRemoteOffer,
            Pending::Local { .. } => SignalingState::HaveLocalOffer,
        }
    }

    fn commit(&mut self, state: State) {
        self.agreed = state;
        self.published = self.agreed.published();
        self.update_core();
    }

    fn update_core(&mut self) {
        let wanted: BTreeSet<TrackId> = self.wanted.iter().map(|w| w.track.track).collect();
        self.told.update(self.config.peer, &self.agreed, &wanted);
    }

    fn places(&self, state: &State) -> Vec<(usize, Place)> {
        let max_lines = self.config.limits.max_media_lines;
        offer::places(state, &self.agreed, &self.wanted, Some(max_lines))
    }

    /// Puts the wanted track of this number on its place, with SSRCs of its own.
    fn put(&mut self, state: &mut State, number: usize, place: Place) {
        let ssrc = self.new_ssrc(state, None);
        let rtx_ssrc = self.new_ssrc(state, Some(ssrc));
        if let Some(Wanted { track, .. }) = self.wanted.get(number) {
            let send = Send {
                track: track.track,
                participant: track.participant,
                home: track.home,
                ssrc,
                rtx_ssrc,
            };
            offer::put(state, place, track, send);
        }
    }

    /// An SSRC that nothing in the connection uses.
    fn new_ssrc(&mut self, state: &State, besides: Option<u32>) -> u32 {
        let sent = state.lines.iter().filter_map(|line| line.send);
        let received = state.lines.iter().filter_map(|line| line.receive.as_ref());
        let used: BTreeSet<u32> = sent
            .flat_map(|send| [send.ssrc, send.rtx_ssrc])
            .chain(received.flat_map(|receive| {
                let ssrcs = receive.ssrcs.iter();
                ssrcs.flat_map(|pair| [Some(pair.ssrc), pair.rtx]).flatten()
            }))
            .chain(besides)
            .collect();
        loop {
            let ssrc = self.random.random();
            if ssrc != 0 && !used.contains(&ssrc) {
                return ssrc;
            }
        }
    }

    /// Credentials for a restart. The fragment starts as the first one did, so that it stays as unique
    /// as that was.
    fn new_credentials(&mut self) -> IceCredentials {
        let mut text = |length: usize| -> String {
            (0..length)
                .map(|_| {
                    let index = self.random.random_range(0..ICE_CHARS.len());
                    char::from(ICE_CHARS.get(index).copied().unwrap_or(b'A'))
                })
                .collect()
        };
        let first: String = self.config.local_ice.ufrag.chars().take(128).collect();
        IceCredentials {
            ufrag: first + &text(4),
            pwd: text(24),
        }
    }

    /// Whether an answer is the last one again. Clients count their descriptions up (RFC 9429 section
    /// 5.2.2), so that no two are the same; of those that do not, nothing can be told. That the count only
    /// rises is not asked: there are stacks that draw it anew for each description.
    fn is_stale(&self, remote: &RemoteSession, sdp: &str) -> bool {
        self.agreed.origin.as_ref().is_some_and(|last| {
            last.session == remote.origin.session
                && !self.same_version
                && self.last_answer == Some(hash(sdp))
        })
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
