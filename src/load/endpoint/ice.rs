//! A full ICE agent (RFC 8445) with one host candidate, which is all that a client of one socket has.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use ring::hmac;

use super::Outbox;
use crate::shard::IceCredentials;
use crate::transport::{BindingAnswer, BindingCheck, StunMessage, integrity_key};

/// Until a check is repeated for the first time; doubled each time.
const FIRST_INTERVAL: Duration = Duration::from_millis(50);
const LAST_INTERVAL: Duration = Duration::from_millis(800);
/// Without a pair after this time there is none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Consent is asked for so often (RFC 7675 section 5.1), give or take a fifth.
const CONSENT_INTERVAL: Duration = Duration::from_secs(5);
/// Without an answer for so long it has expired.
const CONSENT_TIMEOUT: Duration = Duration::from_secs(30);
/// Checks whose answers are waited for.
const MAX_OUTSTANDING: usize = 64;
const MAX_CANDIDATES: usize = 64;
/// Of a peer-reflexive candidate: type preference 110 (RFC 8445 section 5.1.2.1).
const PRIORITY: u32 = (110 << 24) | (65_535 << 8) | 255;
/// The error code of a role conflict (RFC 8445 section 7.3.1.1).
const ROLE_CONFLICT: u16 = 487;

struct Remote {
    credentials: IceCredentials,
    key: hmac::Key,
    username: String,
}

struct Candidate {
    address: SocketAddr,
    next_check: Instant,
    interval: Duration,
    /// A check of ours was answered.
    valid: bool,
    /// The controlling side chose it.
    nominated: bool,
}

/// The agent.
pub(super) struct Agent {
    local: IceCredentials,
    key: hmac::Key,
    remote: Option<Remote>,
    controlling: bool,
    tie_breaker: u64,
    candidates: Vec<Candidate>,
    outstanding: Vec<([u8; 12], SocketAddr, Instant)>,
    rtt: Option<Duration>,
    selected: Option<SocketAddr>,
    /// The remote side has heard which pair it is.
    confirmed: bool,
    /// When all is lost, unless an answer comes.
    deadline: Option<Instant>,
    failed: bool,
    random: SmallRng,
}

impl Agent {
    pub(super) fn new(local: IceCredentials, seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        Self {
            key: integrity_key(&local.pwd),
            local,
            remote: None,
            controlling: false,
            tie_breaker: random.random(),
            candidates: Vec::new(),
            outstanding: Vec::new(),
            rtt: None,
            selected: None,
            confirmed: false,
            deadline: None,
            failed: false,
            random,
        }
    }

    /// Takes what the remote description says, each time one was applied.
    pub(super) fn set_remote(&mut self, now: Instant, remote: &IceCredentials, controlling: bool) {
        let known = self.remote.as_ref();
        if known.is_some_and(|known| known.credentials == *remote) {
            return;
        }
        self.remote = Some(Remote {
            credentials: remote.clone(),
            key: integrity_key(&remote.pwd),
            username: format!("{}:{}", remote.ufrag, self.local.ufrag),
        });
        self.controlling = controlling;
        self.deadline = Some(now + CONNECT_TIMEOUT);
        for candidate in &mut self.candidates {
            candidate.next_check = now;
        }
    }

    /// Takes an address as it is: nothing is checked, and consent is never asked for.
    pub(super) fn select_without_checks(&mut self, address: SocketAddr) {
        self.selected = Some(address);
    }

    /// Somewhere to check.
    pub(super) fn add_candidate(&mut self, now: Instant, address: SocketAddr) {
        let known = self.candidates.iter().any(|c| c.address == address);
        if !known && self.candidates.len() < MAX_CANDIDATES {
            self.candidates.push(Candidate {
                address,
                next_check: now,
                interval: FIRST_INTERVAL,
                valid: false,
                nominated: false,
            });
        }
    }

    /// Where to send. `None` before a pair was chosen.
    pub(super) fn selected(&self) -> Option<SocketAddr> {
        self.selected
    }

    /// Whether the other side knows the pair: what is sent before may be dropped there, as Janus does, and then
    /// waits for its repetition.
    pub(super) fn is_agreed(&self) -> bool {
        self.selected.is_some() && (self.confirmed || !self.controlling)
    }

    /// The round trip of the last check that was answered.
    pub(super) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Whether all hope is lost.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Takes a datagram that is STUN.
    pub(super) fn handle(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
        out: &mut Outbox,
    ) {
        if let Ok(StunMessage::Request(request)) = StunMessage::parse(datagram) {
            let named = request.username.split_once(':');
            let is_ours = named.is_some_and(|(local, _)| local == self.local.ufrag);
            if !is_ours || !request.is_from_holder_of(&self.key) {
                return;
            }
            out.push(from, &request.success(from, &self.key));
            self.add_candidate(now, from);
            let controlled = !self.controlling;
            if let Some(candidate) = self.candidates.iter_mut().find(|c| c.address == from) {
                candidate.nominated |= controlled && request.use_candidate;
                if candidate.nominated && candidate.valid {
                    self.selected = Some(from);
                }
            }
            return;
        }
        let Some(remote) = &self.remote else {
            return;
        };
        if let Ok(answer) = BindingAnswer::parse(datagram, &remote.key) {
            self.handle_answer(now, answer);
        }
    }

    fn handle_answer(&mut self, now: Instant, answer: BindingAnswer) {
        let mut asked = self.outstanding.iter();
        let Some(place) = asked.position(|(transaction, ..)| *transaction == answer.transaction)
        else {
            return;
        };
        let (_, address, sent) = self.outstanding.swap_remove(place);
        let mut candidates = self.candidates.iter_mut();
        let Some(candidate) = candidates.find(|candidate| candidate.address == address) else {
            return;
        };
        match answer.error {
            Some(ROLE_CONFLICT) => {
                self.controlling = !self.controlling;
                candidate.next_check = now;
            }
            Some(_) => {}
            None => {
                candidate.valid = true;
                self.rtt = Some(now.saturating_duration_since(sent));
                self.deadline = Some(now + CONSENT_TIMEOUT);
                self.confirmed |= self.selected == Some(address);
                let is_better = candidate.nominated && self.selected != Some(address);
                if self.selected.is_none() || is_better {
                    // The controlling side says at once which pair it is; the other may use any valid
                    // one until it is told (RFC 8445 section 12.1).
                    self.selected = Some(address);
                    candidate.next_check = now;
                    candidate.interval = FIRST_INTERVAL;
                }
                if self.confirmed && self.selected == Some(address) {
                    candidate.interval = FIRST_INTERVAL;
                    let share = self.random.random_range(0.8..1.2);
                    candidate.next_check = now + CONSENT_INTERVAL.mul_f64(share);
                }
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if self.failed || self.remote.is_none() {
            return None;
        }
        let checks = self.candidates.iter().filter(|c| self.is_checked(c));
        let next = checks.map(|candidate| candidate.next_check).min();
        [next, self.deadline].into_iter().flatten().min()
    }

    /// Sends the checks that are due.
    pub(super) fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.failed = true;
            self.selected = None;
        }
        if self.failed {
            return;
        }
        for index in 0..self.candidates.len() {
            let candidate = &self.candidates[index];
            if candidate.next_check <= now && self.is_checked(candidate) {
                self.check(now, index, out);
            }
        }
    }

    /// Once a pair is chosen, only that is checked.
    fn is_checked(&self, candidate: &Candidate) -> bool {
        self.selected
            .is_none_or(|selected| selected == candidate.address)
    }

    fn check(&mut self, now: Instant, index: usize, out: &mut Outbox) {
        let (Some(remote), Some(candidate)) = (&self.remote, self.candidates.get_mut(index)) else {
            return;
        };
        let is_selected = self.selected == Some(candidate.address);
        let transaction = self.random.random();
        let check = BindingCheck {
            transaction,
            username: &remote.username,
            priority: PRIORITY,
            controlling: self.controlling,
            tie_breaker: self.tie_breaker,
            nominates: self.controlling && is_selected,
        };
        out.push(candidate.address, &check.write(&remote.key));
        // Repeated until it is answered.
        candidate.next_check = now + candidate.interval;
        candidate.interval = (candidate.interval * 2).min(LAST_INTERVAL);
        if self.outstanding.len() >= MAX_OUTSTANDING {
            self.outstanding.remove(0);
        }
        self.outstanding.push((transaction, candidate.address, now));
    }
}
