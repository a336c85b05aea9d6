//! The room's call: the first offer without a target joins it.

use std::sync::Arc;
use std::time::Instant;

use super::Rooms;
use super::call::CallKind;
use crate::shard::ParticipantId;
use crate::signaling::protocol::{Description, ProtocolError};

impl Rooms {
    /// Joins the room's call, which begins with its first participant. An offer that cannot be served joins nothing.
    pub(super) fn join_room_call(
        &mut self,
        now: Instant,
        id: ParticipantId,
        offer: &Description,
    ) -> Result<(), ProtocolError> {
        let Some(name) = self
            .participants
            .get(&id)
            .map(|participant| Arc::clone(&participant.room))
        else {
            return Ok(());
        };
        let existing = self.room_by_name.get(&name).and_then(|room| room.call);
        self.admit_to_call(now, id, existing)?;
        let call = existing.unwrap_or_else(|| self.new_call(Arc::clone(&name), CallKind::Room));
        let (mut peer, local_ice) = self.new_peer(call, id);
        let taken = peer
            .negotiation
            .handle_offer(&offer.sdp, &offer.sources, &mut self.track_ids);
        if let Err(error) = taken {
            if existing.is_none() {
                self.remove_call(call);
            }
            return Err(super::description::refusal(&error));
        }
        if let Some(room) = self.room_by_name.get_mut(&name) {
            room.call = Some(call);
        }
        self.add_peer(id, peer, local_ice);
        self.publish(id);
        self.changed.insert(id);
        self.answer(now, id)
    }
}
