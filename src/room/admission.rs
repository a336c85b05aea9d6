//! Who may come in: as many as there is room for, and not too often.

use std::net::IpAddr;
use std::time::Instant;

use super::limits::{Arrivals, network_of};
use super::{Rooms, RoomsConfig};
use crate::shard::ParticipantId;
use crate::signaling::protocol::{ErrorCode, ProtocolError};

/// What decides whether somebody may come in.
#[derive(Debug)]
pub(super) struct Admission {
    arrivals_by_address: Arrivals<IpAddr>,
}

impl Admission {
    pub(super) fn new(config: &RoomsConfig) -> Self {
        Self {
            arrivals_by_address: Arrivals::new(config.limits.max_joins_per_second),
        }
    }
}

impl Rooms {
    /// Whether a new session may enter the room of this name.
    pub(super) fn admit_session(
        &mut self,
        now: Instant,
        room: &str,
        address: IpAddr,
    ) -> Result<(), ProtocolError> {
        self.admit_arrival(now, address)?;
        let limits = &self.config.limits;
        let here = self.participants_by_address.get(&network_of(address));
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

    /// Whether a participant may begin or join a call.
    pub(super) fn admit_to_call(
        &mut self,
        now: Instant,
        id: ParticipantId,
    ) -> Result<(), ProtocolError> {
        let address = self.participants.get(&id).map(|who| who.address);
        address.map_or(Ok(()), |address| self.admit_arrival(now, address))
    }

    /// Counts one more that came from this address.
    pub(super) fn admit_arrival(
        &mut self,
        now: Instant,
        address: IpAddr,
    ) -> Result<(), ProtocolError> {
        let arrivals = &mut self.admission.arrivals_by_address;
        if arrivals.take(now, network_of(address)) {
            return Ok(());
        }
        let rate = self.config.limits.max_joins_per_second;
        Err(ProtocolError::new(
            ErrorCode::TooManyJoins,
            format!(
                "too many have come from this address at once: {rate} a second may; try again in a moment"
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
