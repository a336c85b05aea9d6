//! What a target gets for one client: its seat in the run, and the peer connections that it asks for.
//!
//! Called by [`super::target`]. A [`Peer`] turns descriptions into commands for the media thread; it sends
//! nothing to a server by itself.

mod seat;

use std::fmt;
use std::net::SocketAddr;

use tokio::sync::watch;

use crate::load::media::{MediaCommand, MediaSetup, PeerKey, PeerState};
use crate::load::negotiator::{Agreed, Negotiator, NegotiatorError, parse_candidate};
use crate::rtp::{Mid, Rid};
use crate::transport::Srtp;

pub(crate) use crate::load::negotiator::Publishes;
pub(crate) use seat::{Farewell, GOODBYE, MediaHandle, Seat};

/// One peer connection of a client. It ends when it is dropped.
pub(crate) struct Peer {
    key: PeerKey,
    address: SocketAddr,
    negotiator: Negotiator,
    media: MediaHandle,
    state: watch::Receiver<PeerState>,
    /// Where checks go, whatever descriptions say.
    only: Option<SocketAddr>,
    farewell: Farewell,
}

/// A peer that could not be opened: this machine gives no socket for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerError(String);

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PeerError {}

impl Peer {
    /// The address of its socket.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on checks go to this address, and to none that the server tells.
    pub(crate) fn reach_by(&mut self, address: SocketAddr) {
        self.only = Some(address);
    }

    /// Instead of a negotiation: sends to `remote`, and takes what comes, with keys that both sides know.
    pub(crate) fn connect_without_handshake(
        &self,
        remote: SocketAddr,
        srtp: Srtp,
        media: MediaSetup,
    ) {
        let connect = MediaCommand::ConnectWithoutHandshake(self.key, remote, Box::new(srtp));
        self.media.send(connect);
        self.media
            .send(MediaCommand::SetMedia(self.key, Box::new(media)));
    }

    /// An offer of everything that this peer publishes, or of receiving alone.
    pub(crate) fn offer(&mut self) -> String {
        self.negotiator.offer()
    }

    /// Takes the server's answer to it.
    pub(crate) fn accept_answer(&mut self, sdp: &str) -> Result<(), NegotiatorError> {
        let agreed = self.negotiator.accept_answer(sdp)?;
        self.apply(agreed);
        Ok(())
    }

    /// Takes an offer of the server's, the first or a later one, and gives the answer. An outstanding offer
    /// of ours is taken back; [`needs_offer`](Self::needs_offer) says so.
    pub(crate) fn answer(&mut self, sdp: &str) -> Result<String, NegotiatorError> {
        let (answer, agreed) = self.negotiator.answer(sdp)?;
        self.apply(agreed);
        Ok(answer)
    }

    /// Whether something that is to be published was in no description that both sides agreed on, and is
    /// in no offer that is outstanding.
    pub(crate) fn needs_offer(&self) -> bool {
        self.negotiator.needs_offer()
    }

    /// Takes a trickled candidate, with or without `a=`. Those in descriptions are taken by themselves.
    pub(crate) fn add_candidate(&self, candidate: &str) {
        if let (Some(address), None) = (parse_candidate(candidate), self.only) {
            self.media
                .send(MediaCommand::AddCandidate(self.key, address));
        }
    }

    /// The layers of an m-line that somebody wants; the others pause.
    pub(crate) fn set_layers(&self, mid: Mid, rids: Vec<Rid>) {
        self.media
            .send(MediaCommand::SetLayers(self.key, mid, rids));
    }

    /// Whether media can flow.
    pub(crate) fn is_connected(&self) -> bool {
        *self.state.borrow() == PeerState::Connected
    }

    /// Resolves with the reason when ICE or DTLS fails, before or after it was connected.
    pub(crate) fn failure(&self) -> impl Future<Output = String> + Send + use<> {
        let mut state = self.state.clone();
        async move {
            let has_failed = |state: &PeerState| matches!(state, PeerState::Failed(_));
            match state.wait_for(has_failed).await.as_deref() {
                Ok(PeerState::Failed(reason)) => reason.clone(),
                Ok(_) | Err(_) => "the media thread is over".to_owned(),
            }
        }
    }

    fn apply(&self, agreed: Agreed) {
        let Agreed {
            mut transport,
            media,
        } = agreed;
        if let Some(only) = self.only {
            transport.candidates = vec![only];
        }
        let (transport, media) = (Box::new(transport), Box::new(media));
        self.media
            .send(MediaCommand::SetTransport(self.key, transport));
        self.media.send(MediaCommand::SetMedia(self.key, media));
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.media.send(match self.farewell {
            Farewell::Goodbye => MediaCommand::RemovePeer(self.key),
            Farewell::Cut | Farewell::Silence => MediaCommand::ForgetPeer(self.key),
        });
    }
}
