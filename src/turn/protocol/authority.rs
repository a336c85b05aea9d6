//! What all sessions share: who may ask, for how much, and whom they may reach.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use ring::hmac;

use super::credentials::{Credentials, REALM, user_of};
use super::nonce::Nonces;
use super::peers::Peers;
use super::quota::{Limiter, Quota, TurnLimits};
use super::request::{ERROR, Family, NONCE, REALM as REALM_ATTRIBUTE, Request};
use crate::transport::stun::{ERROR_CODE, Writer, error_code, is_signed};

/// Why a request is refused (RFC 8489 section 14.8, RFC 8656 section 19).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    BadRequest,
    Unauthorized,
    Forbidden,
    UnknownAttribute,
    AllocationMismatch,
    StaleNonce,
    AddressFamilyNotSupported,
    WrongCredentials,
    UnsupportedTransport,
    PeerAddressFamilyMismatch,
    AllocationQuotaReached,
    InsufficientCapacity,
}

impl Refusal {
    /// The value of an ERROR-CODE attribute.
    pub(super) fn error_code(self) -> Vec<u8> {
        let (code, reason) = match self {
            Self::BadRequest => (400, "Bad Request"),
            Self::Unauthorized => (401, "Unauthorized"),
            Self::Forbidden => (403, "Forbidden"),
            Self::UnknownAttribute => (420, "Unknown Attribute"),
            Self::AllocationMismatch => (437, "Allocation Mismatch"),
            Self::StaleNonce => (438, "Stale Nonce"),
            Self::AddressFamilyNotSupported => (440, "Address Family not Supported"),
            Self::WrongCredentials => (441, "Wrong Credentials"),
            Self::UnsupportedTransport => (442, "Unsupported Transport Protocol"),
            Self::PeerAddressFamilyMismatch => (443, "Peer Address Family Mismatch"),
            Self::AllocationQuotaReached => (486, "Allocation Quota Reached"),
            Self::InsufficientCapacity => (508, "Insufficient Capacity"),
        };
        error_code(code, reason.as_bytes())
    }
}

/// Whose requests they are.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) username: Arc<str>,
    /// Who that is: the same one's credentials have another name later.
    pub(super) user: Arc<str>,
    /// Of the user name and its password.
    pub(super) key: hmac::Key,
}

/// Under which addresses relayed datagrams seem to come. Firefox pairs an address of the loopback network with others of that
/// only, so that clients on this machine are given such a one, and others are not, where that can be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relays {
    /// For clients on this machine.
    pub(crate) loopback: RelayAddresses,
    /// For everybody else.
    pub(crate) others: RelayAddresses,
}

impl Relays {
    pub(super) fn for_client(&self, client: IpAddr) -> &RelayAddresses {
        match client.to_canonical().is_loopback() {
            true => &self.loopback,
            false => &self.others,
        }
    }
}

/// One address of each family that there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RelayAddresses {
    pub(crate) v4: Option<IpAddr>,
    pub(crate) v6: Option<IpAddr>,
}

impl RelayAddresses {
    /// The first of each family.
    pub(crate) fn first_of(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut first = Self::default();
        for address in addresses {
            let place = match address {
                IpAddr::V4(_) => &mut first.v4,
                IpAddr::V6(_) => &mut first.v6,
            };
            place.get_or_insert(address);
        }
        first
    }

    pub(super) fn of(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }
}

/// What was done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TurnCounters {
    /// Allocations there are now.
    pub(crate) allocations: u64,
    /// Allocations that were refused, for want of a place or of a socket.
    pub(crate) refused: u64,
    /// Bytes that clients had relayed to peers.
    pub(crate) bytes_to_peers: u64,
    /// Bytes that peers had relayed to clients.
    pub(crate) bytes_to_clients: u64,
    /// Datagrams that were too much for their allocation.
    pub(crate) over_rate: u64,
}

/// Adds up what sessions do, wherever they run.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) refused: AtomicU64,
    pub(super) bytes_to_peers: AtomicU64,
    pub(super) bytes_to_clients: AtomicU64,
    pub(super) over_rate: AtomicU64,
}

/// What all sessions share.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(super) peers: Peers,
    pub(super) quota: Quota,
    pub(super) limits: TurnLimits,
    pub(super) relays: Relays,
    pub(super) tally: Tally,
    credentials: Arc<Credentials>,
    nonces: Nonces,
    limiter: Mutex<Limiter>,
}

impl Authority {
    /// `seed` is a secret.
    pub(crate) fn new(
        now: Instant,
        seed: &[u8; 32],
        credentials: Arc<Credentials>,
        peers: Peers,
        limits: TurnLimits,
        relays: Relays,
    ) -> Self {
        Self {
            peers,
            quota: Quota::new(limits),
            limits,
            relays,
            tally: Tally::default(),
            credentials,
            nonces: Nonces::new(now, seed),
            limiter: Mutex::new(Limiter::new(now)),
        }
    }

    /// What was done so far.
    pub(crate) fn counters(&self) -> TurnCounters {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        TurnCounters {
            allocations: self.quota.held() as u64,
            refused: read(&self.tally.refused),
            bytes_to_peers: read(&self.tally.bytes_to_peers),
            bytes_to_clients: read(&self.tally.bytes_to_clients),
            over_rate: read(&self.tally.over_rate),
        }
    }

    /// Whether something of a stranger with this address is looked at now.
    pub(super) fn admits(&self, now: Instant, stranger: IpAddr) -> bool {
        let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
        limiter.admits(now, stranger)
    }

    /// Finds out whose request it is (RFC 8489 section 9.2.4). `known` is who asked for the allocation that there is: its
    /// credentials are good for as long as that is kept, though they may have run out for another.
    pub(super) fn authenticate(
        &self,
        now: Instant,
        client: SocketAddr,
        request: &Request<'_>,
        known: Option<&Owner>,
    ) -> Result<Owner, Refusal> {
        let integrity = request.integrity.ok_or(Refusal::Unauthorized)?;
        let (Some(username), Some(_), Some(nonce)) =
            (request.username, request.realm, request.nonce)
        else {
            return Err(Refusal::BadRequest);
        };
        let known = known.filter(|owner| owner.username.as_bytes() == username);
        let (owner, is_known) = match known {
            Some(owner) => (owner.clone(), true),
            None => {
                let (key, is_known) = self.credentials.key_of(now, username);
                let username: Arc<str> = String::from_utf8_lossy(username).into();
                let user = user_of(&username).into();
                let owner = Owner {
                    username,
                    user,
                    key,
                };
                (owner, is_known)
            }
        };
        let is_signed = is_signed(request.covered, integrity, &owner.key);
        if !is_signed || !is_known {
            return Err(Refusal::Unauthorized);
        }
        if !self.nonces.is_fresh(now, client, nonce) {
            return Err(Refusal::StaleNonce);
        }
        Ok(owner)
    }

    /// The answer to who is not known, with what it needs to ask again.
    pub(super) fn challenge(
        &self,
        now: Instant,
        client: SocketAddr,
        request: &Request<'_>,
        refusal: Refusal,
    ) -> Vec<u8> {
        let mut answer = Writer::new(request.method.kind() + ERROR, &request.transaction);
        answer.attribute(ERROR_CODE, &refusal.error_code());
        if refusal != Refusal::BadRequest {
            answer.attribute(REALM_ATTRIBUTE, REALM.as_bytes());
            answer.attribute(NONCE, self.nonces.make(now, client).as_bytes());
        }
        answer.into_bytes()
    }
}
