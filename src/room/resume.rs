//! A session goes on on a new socket.

use super::participant::Link;
use super::{CloseCode, Connect, Rooms, SessionId};
use crate::signaling::protocol::{Dialect, ErrorCode, ProtocolError};

impl Rooms {
    /// Takes up the session of `token`. Its old socket may not have broken yet as far as the server knows.
    pub(super) fn resume(
        &mut self,
        session: SessionId,
        connect: &Connect,
        token: &str,
    ) -> Result<(), ProtocolError> {
        let failed =
            || ProtocolError::new(ErrorCode::ResumeFailed, "the session is unknown or too old");
        if connect.dialect != Dialect::V1 {
            return Err(failed());
        }
        let id = self
            .participant_by_token
            .get(token)
            .copied()
            .ok_or_else(failed)?;
        self.close(
            id,
            CloseCode::Normal,
            "the session goes on on another socket",
        );
        let participant = self.participants.get_mut(&id).ok_or_else(failed)?;
        let link = std::mem::replace(&mut participant.link, Link::Connected(session));
        let old_address = std::mem::replace(&mut participant.address, connect.address);
        self.participant_by_session.insert(session, id);
        self.forget_address(old_address);
        *self
            .participants_by_address
            .entry(connect.address)
            .or_default() += 1;

        self.welcome(id, true);
        if let Link::Broken { kept, .. } = link {
            for text in kept {
                self.send_text([id], &text, false);
            }
        }
        self.repeat_offer(id);
        self.touched.insert(id);
        Ok(())
    }
}
