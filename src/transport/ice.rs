//! ICE-lite (RFC 8445): answers checks, and knows by them where the peer is.
//!
//! Nothing is gathered here, and the remote side is controlling, always. A check proves who sent it, but not that it came from
//! where it says: whoever is in a call could name somebody else's address, and have media sent there. So media moves to
//! another address only once something that was sent there was answered. That is the one thing that is asked.

use std::time::{Duration, Instant};

use ring::hmac;

use super::check::{BindingAnswer, BindingCheck};
use super::stun::{BindingRequest, StunError, StunMessage, integrity_key};
use super::{Endpoint, Path, Protocol};
use crate::shard::IceCredentials;

/// Paths that one peer may have validated; a browser with many networks has a dozen.
const MAX_PATHS: usize = 16;
/// A path without a check for so long is no path any more, and a peer without any is gone (RFC 7675).
const CONSENT_TIMEOUT: Duration = Duration::from_secs(30);
/// A nomination holds as long against one of lower priority. Chromium repeats its own every 2.5 s.
const NOMINATION_HOLD: Duration = Duration::from_secs(3);
/// A selected path without a check for so long yields to any other that has one. Consent checks come
/// every 4 to 6 s (RFC 7675 section 5.1).
const SELECTED_SILENCE: Duration = Duration::from_secs(8);

/// What a check led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The answer, for the path that the check came on.
    pub(super) response: Option<Vec<u8>>,
    /// The selected path is another one now.
    pub(super) path_changed: bool,
    /// Consent had expired, and is given again.
    pub(super) consent_regained: bool,
    /// It came on a path that would be selected, but for the proof that the peer is there: [`IceLite::ask`].
    pub(super) unproven: bool,
}

/// The credentials of one ICE session: another begins with each ICE restart.
struct Session {
    /// Counts restarts.
    generation: u32,
    local: IceCredentials,
    /// Unknown until the remote description came; checks may come before.
    remote: Option<IceCredentials>,
    key: hmac::Key,
}

/// An address that authenticated checks came from.
struct ValidPath {
    path: Path,
    /// Of the session whose check came last.
    generation: u32,
    /// From the last check's PRIORITY attribute.
    priority: u32,
    last_check: Instant,
    /// The last check, if it carried USE-CANDIDATE.
    nominated: Option<Instant>,
    proof: Proof,
}

/// Whether the peer is where its checks say to come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    None,
    /// It was asked with this transaction, which nobody else can know.
    Asked([u8; 12]),
    Given,
}

/// The ICE agent of one peer.
pub(super) struct IceLite {
    current: Session,
    /// The session before a restart, valid until the new one nominates.
    previous: Option<Session>,
    paths: Vec<ValidPath>,
    selected: Option<Path>,
    /// When consent ends; none before the first check, and while it has ended.
    consent_until: Option<Instant>,
    consent_lost: bool,
    /// Whether only proven paths are selected. Until DTLS is done nothing large is sent.
    wants_proof: bool,
}

impl IceLite {
    pub(super) fn new(local: IceCredentials) -> Self {
        Self {
            current: Session::new(0, local, None),
            previous: None,
            paths: Vec::new(),
            selected: None,
            consent_until: None,
            consent_lost: false,
            wants_proof: false,
        }
    }

    /// DTLS was done over this path: the peer is there. From now on it has to be wherever it says.
    pub(super) fn prove(&mut self, path: Path) {
        self.wants_proof = true;
        if let Some(valid) = self.paths.iter_mut().find(|valid| valid.path == path) {
            valid.proof = Proof::Given;
        }
    }

    /// A check of ours for an unproven path, with a transaction that cannot be guessed.
    pub(super) fn ask(&mut self, path: Path, transaction: [u8; 12]) -> Option<Vec<u8>> {
        let valid = self.paths.iter_mut().find(|valid| valid.path == path)?;
        let mut sessions = std::iter::once(&self.current).chain(&self.previous);
        let session = sessions.find(|session| session.generation == valid.generation)?;
        let remote = session.remote.as_ref()?;
        valid.proof = Proof::Asked(transaction);
        let check = BindingCheck {
            transaction,
            username: &format!("{}:{}", remote.ufrag, session.local.ufrag),
            priority: valid.priority,
            controlling: false,
            tie_breaker: 0,
            nominates: false,
        };
        Some(check.write(&integrity_key(&remote.pwd)))
    }

    /// What may be the answer to a check of ours. True if it moved the selection.
    fn handle_answer(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &[u8],
    ) -> Result<bool, StunError> {
        let valid = self.paths.iter_mut().find(|valid| valid.path == path);
        let valid = valid.ok_or(StunError::Unexpected)?;
        let Proof::Asked(transaction) = valid.proof else {
            return Err(StunError::Unexpected);
        };
        let mut sessions = std::iter::once(&self.current).chain(&self.previous);
        let session = sessions.find(|session| session.generation == valid.generation);
        let remote = session.and_then(|session| session.remote.as_ref());
        let remote = remote.ok_or(StunError::Unexpected)?;
        let answer = BindingAnswer::parse(datagram, &integrity_key(&remote.pwd))?;
        if answer.transaction != transaction || answer.error.is_some() {
            return Err(StunError::Unexpected);
        }
        valid.proof = Proof::Given;
        let before = self.selected;
        self.select(now, path);
        Ok(self.selected != before)
    }

    /// Takes the credentials of a description. Other ones than before are an ICE restart.
    pub(super) fn set_credentials(&mut self, local: &IceCredentials, remote: &IceCredentials) {
        let current = &mut self.current;
        if current.local == *local && current.remote.as_ref().is_none_or(|known| known == remote) {
            current.remote = Some(remote.clone());
            return;
        }
        let generation = current.generation.wrapping_add(1);
        let next = Session::new(generation, local.clone(), Some(remote.clone()));
        self.previous = Some(std::mem::replace(current, next));
    }

    pub(super) fn selected(&self) -> Option<Path> {
        self.selected
    }

    /// Whether this is a check that would be answered with success. Nothing comes of it.
    pub(super) fn verifies(&self, datagram: &[u8]) -> bool {
        let Ok(StunMessage::Request(request)) = StunMessage::parse(datagram) else {
            return false;
        };
        request.unknown[0] == 0 && !request.controlled && self.session_of(&request).is_ok()
    }

    /// Whether checks made an address a valid source of DTLS and media.
    pub(super) fn accepts(&self, origin: Endpoint) -> bool {
        self.paths.iter().any(|valid| valid.path.origin() == origin)
    }

    /// Whether the last check from an address is not older than those of a peer that is there.
    pub(super) fn hears(&self, now: Instant, origin: Endpoint) -> bool {
        self.paths.iter().any(|valid| {
            valid.path.origin() == origin
                && now.saturating_duration_since(valid.last_check) <= SELECTED_SILENCE
        })
    }

    pub(super) fn handle(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &[u8],
    ) -> Result<Outcome, (StunError, Option<Vec<u8>>)> {
        let request = match StunMessage::parse(datagram) {
            Ok(StunMessage::Request(request)) => request,
            Ok(StunMessage::Indication) => return Ok(Outcome::default()),
            Err(StunError::Unexpected) => {
                let moved = self.handle_answer(now, path, datagram);
                return moved
                    .map(|path_changed| Outcome {
                        path_changed,
                        ..Outcome::default()
                    })
                    .map_err(|error| (error, None));
            }
            Err(error) => return Err((error, None)),
        };
        let session = self.session_of(&request).map_err(|error| (error, None))?;
        if request.unknown[0] != 0 {
            let response = request.unknown_attribute(&session.key);
            return Err((StunError::UnknownAttribute, Some(response)));
        }
        // We never are controlling, so that a conflict is always the remote side's to solve.
        if request.controlled {
            let response = request.role_conflict(&session.key);
            return Err((StunError::RoleConflict, Some(response)));
        }
        let generation = session.generation;
        let response = request.success(path.remote, &session.key);
        let before = self.selected;
        self.forget_stale(now);
        self.validate(now, path, generation, &request);
        let unproven = self.select(now, path);
        let consent_regained = std::mem::take(&mut self.consent_lost);
        self.consent_until = Some(now + CONSENT_TIMEOUT);
        Ok(Outcome {
            response: Some(response),
            path_changed: self.selected != before,
            consent_regained,
            unproven,
        })
    }

    /// Finds the session that a request authenticates for.
    fn session_of(&self, request: &BindingRequest<'_>) -> Result<&Session, StunError> {
        let sessions = std::iter::once(&self.current).chain(&self.previous);
        let mut named = sessions.filter(|session| session.is_named_by(request.username));
        let session = named.next().ok_or(StunError::Username)?;
        if request.is_from_holder_of(&session.key) {
            Ok(session)
        } else {
            Err(StunError::Integrity)
        }
    }

    /// Notes the check on its path, which is made if there is room or one that can go.
    fn validate(
        &mut self,
        now: Instant,
        path: Path,
        generation: u32,
        request: &BindingRequest<'_>,
    ) {
        let valid = ValidPath {
            path,
            generation,
            priority: request.priority,
            last_check: now,
            nominated: request.use_candidate.then_some(now),
            // Who opened a connection is at its other end.
            proof: match path.protocol {
                Protocol::Tcp => Proof::Given,
                Protocol::Udp => Proof::None,
            },
        };
        if let Some(known) = self.paths.iter_mut().find(|known| known.path == path) {
            let proof = known.proof;
            *known = ValidPath { proof, ..valid };
            return;
        }
        if self.paths.len() >= MAX_PATHS {
            let selected = self.selected;
            let others = self.paths.iter().enumerate();
            let others = others.filter(|(_, known)| Some(known.path) != selected);
            if let Some((stalest, _)) = others.min_by_key(|(_, known)| known.last_check) {
                self.paths.swap_remove(stalest);
            }
        }
        self.paths.push(valid);
    }

    /// Moves the selection to `path` if the check that came there last is reason enough. True if only the proof is missing.
    fn select(&mut self, now: Instant, path: Path) -> bool {
        let find = |path: Path| self.paths.iter().find(|valid| valid.path == path);
        let Some(candidate) = find(path) else {
            return false;
        };
        let moves = match self.selected.and_then(find) {
            None => true,
            Some(selected) if selected.path == path => false,
            Some(selected) => candidate.replaces(selected, now),
        };
        let restarted =
            candidate.nominated.is_some() && candidate.generation == self.current.generation;
        let unproven = self.wants_proof && candidate.proof != Proof::Given;
        if moves && !unproven {
            self.selected = Some(path);
        }
        // The answer to our check is still to be understood.
        if restarted && !(moves && unproven) {
            self.previous = None;
        }
        moves && unproven
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.consent_until
    }

    /// Forgets paths that went stale. True when that was the last one: consent has expired.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> bool {
        if self.consent_until.is_none_or(|until| now < until) {
            return false;
        }
        self.consent_until = None;
        self.consent_lost = true;
        self.paths.clear();
        self.selected = None;
        true
    }

    /// Forgets paths that the peer has left, other than the selected one.
    fn forget_stale(&mut self, now: Instant) {
        let selected = self.selected;
        self.paths.retain(|valid| {
            Some(valid.path) == selected || now < valid.last_check + CONSENT_TIMEOUT
        });
    }
}

impl Session {
    fn new(generation: u32, local: IceCredentials, remote: Option<IceCredentials>) -> Self {
        let key = integrity_key(&local.pwd);
        Self {
            generation,
            local,
            remote,
            key,
        }
    }

    /// RFC 8445 section 7.2.2: the receiver's ufrag, a colon, the sender's.
    fn is_named_by(&self, username: &str) -> bool {
        username.split_once(':').is_some_and(|(local, remote)| {
            let known = self.remote.as_ref();
            local == self.local.ufrag && known.is_none_or(|known| known.ufrag == remote)
        })
    }
}

impl ValidPath {
    /// Whether a check on this path moves the selection away from another path.
    fn replaces(&self, selected: &Self, now: Instant) -> bool {
        let since = |at| now.saturating_duration_since(at);
        if self.nominated.is_none() {
            // Before a nomination the first path is as good as any, unless it fell silent.
            return selected.nominated.is_none()
                && self.generation == selected.generation
                && since(selected.last_check) > SELECTED_SILENCE;
        }
        if self.generation != selected.generation {
            return self.generation.wrapping_sub(selected.generation) < u32::MAX / 2;
        }
        // An aggressive nominator nominates all its pairs: the best one wins (RFC 5245 section 8.1.1.2).
        // One that nominates a single pair stops to nominate the old one: the new one wins.
        match selected.nominated {
            None => true,
            Some(at) => self.priority >= selected.priority || since(at) > NOMINATION_HOLD,
        }
    }
}
