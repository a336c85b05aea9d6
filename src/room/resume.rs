//! A session goes on on a new socket.

use std::time::Instant;

use super::participant::Link;
use super::{CloseCode, Connect, Rooms, SessionId};
use crate::signaling::protocol::{Dialect, ErrorCode, ProtocolError};

impl Rooms {
    /// Takes up the session of `token`. Its old socket may not have broken yet as far as the server knows. Who has the
    /// token of a session is let in, but for too many times at once; who guesses counts as somebody that comes.
    pub(super) fn resume(
        &mut self,
        now: Instant,
        session: SessionId,
        connect: &Connect,
        token: &str,
    ) -> Result<(), (ProtocolError, CloseCode)> {
        let failed = || {
            let words = "the session is unknown or too old";
            let error = ProtocolError::new(ErrorCode::ResumeFailed, words);
            (error, CloseCode::ResumeFailed)
        };
        if connect.dialect != Dialect::V1 {
            return Err(failed());
        }
        let Some(&id) = self.participant_by_token.get(token) else {
            self.admit_arrival(now, connect.address, None)
                .map_err(|error| (error, CloseCode::ResumeFailed))?;
            return Err(failed());
        };
        let participant = self.participants.get_mut(&id).ok_or_else(failed)?;
        if !participant.resumes.take(now, 0) {
            let words = "the session was resumed too often: try again in a moment";
            let error = ProtocolError::new(ErrorCode::TooManyJoins, words);
            return Err((error, CloseCode::TryAgainLater));
        }
        self.close(
            id,
            CloseCode::Normal,
            "the session goes on on another socket",
        );
        let participant = self.participants.get_mut(&id).ok_or_else(failed)?;
        let link = std::mem::replace(&mut participant.link, Link::Connected(session));
        let old_address = std::mem::replace(&mut participant.address, connect.address);
        participant.reached_at.clone_from(&connect.reached_at);
        self.participant_by_session.insert(session, id);
        self.forget_address(old_address);
        self.count_address(connect.address);
        self.tally.resumes += 1;
        tracing::info!(parent: self.span(id), session = session.0, "resumed");
        self.welcome(now, id, true);
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
