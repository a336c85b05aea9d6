//! Who may come in: as many as there is room for, not too often, and nobody while the server has too much to do or is about
//! to end. Those who are in a call keep it, and so does who comes back to a session or a call.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::limits::{Arrivals, network_of};
use super::load::{LoadBounds, ServerLoad};
use super::placement::least_loaded;
use super::{Connect, Rooms, RoomsConfig};
use crate::shard::{CallId, ParticipantId};
use crate::signaling::protocol::{ErrorCode, ProtocolError};

/// What decides whether somebody may come in.
#[derive(Debug)]
pub(super) struct Admission {
    arrivals_by_address: Arrivals<IpAddr>,
    /// Of those who have a token that says who they are.
    arrivals_by_identity: Arrivals<Arc<str>>,
    load: LoadBounds,
    /// The server waits for its calls to end.
    draining: bool,
}

impl Admission {
    pub(super) fn new(config: &RoomsConfig) -> Self {
        Self {
            arrivals_by_address: Arrivals::new(config.limits.max_joins_per_second),
            arrivals_by_identity: Arrivals::new(config.limits.max_joins_per_second),
            load: LoadBounds::new(&config.limits),
            draining: false,
        }
    }
}

impl Rooms {
    /// From now on nobody new is let in, and no call begins.
    pub fn drain(&mut self) {
        self.admission.draining = true;
    }

    /// Participants that are in a call, or that one rings for.
    pub fn in_calls(&self) -> usize {
        self.participant_by_peer.len()
    }

    /// Whether the rooms are to be told the load now and then.
    pub fn wants_load(&self) -> bool {
        self.admission.load.are_set()
    }

    /// What the server has to do now.
    pub fn handle_load(&mut self, now: Instant, load: &ServerLoad) {
        self.admission.load.measure(now, load);
    }

    /// Whether a new session may enter the room of this name.
    pub(super) fn admit_session(
        &mut self,
        now: Instant,
        room: &str,
        Connect {
            address, access, ..
        }: &Connect,
    ) -> Result<(), ProtocolError> {
        let identity = access.identity.as_ref();
        self.admit_arrival(now, *address, identity)?;
        let call = self.room_by_name.get(room).and_then(|room| room.call);
        self.admit_newcomer(call)?;
        let limits = &self.config.limits;
        let here = self.participants_by_address.get(&network_of(*address));
        if here.is_some_and(|here| *here >= limits.max_sockets_per_address) {
            return Err(ProtocolError::new(
                ErrorCode::TooManySockets,
                format!(
                    "at most {} sockets may come from one address",
                    limits.max_sockets_per_address
                ),
            ));
        }
        match self.room_by_name.get(room) {
            Some(room) if room.participants.len() >= self.max_participants(room) => {
                let most = self.max_participants(room);
                Err(ProtocolError::new(
                    ErrorCode::RoomFull,
                    format!("the room has its {most} participants"),
                ))
            }
            None if self.room_by_name.len() >= limits.max_rooms => Err(ProtocolError::new(
                ErrorCode::TooManyRooms,
                format!("the server has its {} rooms", limits.max_rooms),
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether a participant may join a call, or begin one.
    pub(super) fn admit_to_call(
        &mut self,
        now: Instant,
        id: ParticipantId,
        call: Option<CallId>,
    ) -> Result<(), ProtocolError> {
        let Some(participant) = self.participants.get(&id) else {
            return Ok(());
        };
        let was_in_call = participant.was_in_call;
        let identity = participant.access.identity.clone();
        self.admit_arrival(now, participant.address, identity.as_ref())?;
        let returns = was_in_call && (call.is_some() || !self.admission.draining);
        if returns {
            return Ok(());
        }
        self.admit_newcomer(call)
    }

    /// Whether this call, or a new one, may have one participant more.
    fn admit_newcomer(&self, call: Option<CallId>) -> Result<(), ProtocolError> {
        if self.admission.draining {
            return Err(ProtocolError::new(
                ErrorCode::Draining,
                "the server is about to restart and takes no new calls: try again in a few minutes",
            ));
        }
        let call = call.and_then(|call| self.calls.get(&call));
        let shard = match call {
            _ if self.config.shared_port => None,
            Some(call) => Some(self.place(call)),
            None => least_loaded(&self.load_by_shard),
        };
        if self.admission.load.is_overloaded(shard) {
            return Err(ProtocolError::new(
                ErrorCode::Overloaded,
                "the server carries as much as it can: try again later",
            ));
        }
        Ok(())
    }

    /// Counts one more that came from this address, and was this somebody.
    pub(super) fn admit_arrival(
        &mut self,
        now: Instant,
        address: IpAddr,
        identity: Option<&Arc<str>>,
    ) -> Result<(), ProtocolError> {
        let Admission {
            arrivals_by_address,
            arrivals_by_identity,
            ..
        } = &mut self.admission;
        let mut may = arrivals_by_address.take(now, network_of(address));
        if let Some(identity) = identity {
            may &= arrivals_by_identity.take(now, Arc::clone(identity));
        }
        if may {
            return Ok(());
        }
        let rate = self.config.limits.max_joins_per_second;
        Err(ProtocolError::new(
            ErrorCode::TooManyJoins,
            format!(
                "too many have come from one address, or by one identity, at once: {rate} a second may; try again in a moment"
            ),
        ))
    }

    /// One more session comes from this address.
    pub(super) fn count_address(&mut self, address: IpAddr) {
        let count = self.participants_by_address.entry(network_of(address));
        *count.or_default() += 1;
    }

    /// One session fewer does.
    pub(super) fn forget_address(&mut self, address: IpAddr) {
        let address = network_of(address);
        if let Some(count) = self.participants_by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.participants_by_address.remove(&address);
            }
        }
    }
}
