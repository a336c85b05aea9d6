//! Offers and answers: a synchronous state machine for each peer connection, which turns SDP into the
//! core's parameters ([`Command`]s) and published tracks, and makes the server's own SDP.
//!
//! Called by [`crate::room`]. It never does I/O, reads no clock, and knows neither rooms nor names; the
//! server is the impolite side of W3C's perfect negotiation, ICE-lite, and speaks unified plan, BUNDLE
//! and rtcp-mux only (RFC 9429).

mod config;
mod error;
mod source;
mod text;
mod track;

use std::collections::VecDeque;

pub use config::{Config, Limits};
pub use error::{NegotiationError, SdpError};
pub use source::Source;
pub use track::{PublishedTrack, SubscribedTrack, TrackIds};

use crate::rtp::Mid;
use crate::shard::{Command, TrackId};

/// A description of ours, to be sent to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The SDP.
    pub sdp: String,
    /// Which m-line carries which track to the client.
    pub tracks: Vec<(Mid, TrackId)>,
}

/// Where offer and answer stand, as in W3C's `RTCSignalingState`, seen from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalingState {
    /// Both sides agree.
    Stable,
    /// An offer of ours is outstanding.
    HaveLocalOffer,
    /// An offer of the client's waits for [`Negotiation::create_answer`].
    HaveRemoteOffer,
}

/// The offer and answer machine of one peer connection.
///
/// Descriptions go in with `handle_*`, come out of `create_*`, and after each of them
/// [`poll_command`](Self::poll_command) is to be called until it returns `None`. Whatever returns an
/// error has changed nothing.
#[derive(Debug)]
pub struct Negotiation {
    config: Config,
    published: Vec<PublishedTrack>,
    commands: VecDeque<Command>,
}

impl Negotiation {
    /// A negotiation before any description, in [`SignalingState::Stable`].
    pub fn new(config: Config) -> Self {
        Self {
            config,
            published: Vec::new(),
            commands: VecDeque::new(),
        }
    }

    /// Takes an offer of the client's, tentatively. [`tracks`](Self::tracks) already tells what it
    /// publishes; nothing else happens before [`create_answer`](Self::create_answer). A tentative
    /// offer that waits already is replaced. `sources` says what the m-lines send; where it says
    /// nothing a track keeps its source.
    pub fn handle_offer(
        &mut self,
        _sdp: &str,
        _sources: &[(Mid, Source)],
        _ids: &mut TrackIds,
    ) -> Result<(), NegotiationError> {
        Err(NegotiationError::Glare)
    }

    /// Answers the tentative offer and applies it.
    pub fn create_answer(&mut self) -> Result<Description, NegotiationError> {
        Err(NegotiationError::NoOffer)
    }

    /// Drops the tentative offer.
    pub fn reject_offer(&mut self) {}

    /// Takes the answer to our outstanding offer and applies both. An answer may publish, too.
    pub fn handle_answer(
        &mut self,
        _sdp: &str,
        _sources: &[(Mid, Source)],
        _ids: &mut TrackIds,
    ) -> Result<(), NegotiationError> {
        Err(NegotiationError::UnexpectedAnswer)
    }

    /// Checks a trickled candidate of the client's; empty means that there are no more. An ICE-lite
    /// server learns addresses from the checks themselves, so nothing is kept.
    pub fn handle_candidate(
        &mut self,
        _candidate: &str,
        _mid: Option<&str>,
        _mline_index: Option<u16>,
        _ufrag: Option<&str>,
    ) -> Result<(), NegotiationError> {
        Ok(())
    }

    /// From now on the peer is to be sent this track. Adding it twice changes nothing.
    pub fn add_track(&mut self, _track: SubscribedTrack) {}

    /// The peer is not to be sent this track any more: it stops at once, and the next description says so.
    pub fn remove_track(&mut self, _track: TrackId) {}

    /// The next offer of ours restarts ICE.
    pub fn restart_ice(&mut self) {}

    /// Whether [`create_offer`](Self::create_offer) would make an offer.
    pub fn needs_offer(&self) -> bool {
        false
    }

    /// Makes an offer, when the state is stable and there is something to say.
    pub fn create_offer(&mut self) -> Option<Description> {
        None
    }

    /// Our offer that is not answered yet, for sending it again.
    pub fn outstanding_offer(&self) -> Option<&Description> {
        None
    }

    /// Drops our outstanding offer. What it wanted to say is still to be said.
    pub fn rollback(&mut self) {}

    /// What the peer publishes, the tentative offer included.
    pub fn tracks(&self) -> &[PublishedTrack] {
        &self.published
    }

    /// What the peer is sent, as agreed last.
    pub fn subscribed(&self) -> impl Iterator<Item = (Mid, TrackId)> + '_ {
        std::iter::empty()
    }

    /// The next command for the peer's shard.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Where offer and answer stand.
    pub fn signaling_state(&self) -> SignalingState {
        SignalingState::Stable
    }
}
