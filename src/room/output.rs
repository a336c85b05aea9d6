//! What the rooms put out.

use std::sync::Arc;

use super::{Notice, OperatorAnswer, RequestId, SessionId};
use crate::shard::Command;

/// Something to be done for the rooms, in the order in which they say it.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send a text frame.
    Send {
        /// To whom.
        session: SessionId,
        /// The JSON.
        text: Arc<str>,
    },
    /// Close a socket, after what was sent before. No [`handle_disconnect`](super::Rooms::handle_disconnect) is
    /// needed for it any more.
    Close {
        /// Which.
        session: SessionId,
        /// The close code.
        code: CloseCode,
        /// For people; of a long one the client hears 123 bytes (RFC 6455 section 5.5).
        reason: String,
    },
    /// Tell a shard.
    Command {
        /// Its number.
        shard: usize,
        /// What.
        command: Command,
    },
    /// Tell those who watch from outside.
    Notice {
        /// Where.
        room: Arc<str>,
        /// What happened.
        notice: Notice,
    },
    /// Answer an operator.
    Answer {
        /// Which request.
        request: RequestId,
        /// What it gets.
        answer: OperatorAnswer,
    },
}

/// Why the server closes a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCode {
    /// 1000: the session goes on on another socket.
    Normal,
    /// 1008: bad input.
    Policy,
    /// 1012: the server goes down.
    Restart,
    /// 1013: a limit.
    TryAgainLater,
    /// 4401: no token, or one that admits nobody.
    Unauthorized,
    /// 4403: not here, whatever token.
    Forbidden,
    /// 4404: the session to be resumed is gone.
    ResumeFailed,
}

impl CloseCode {
    /// The number on the wire.
    pub fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::Policy => 1008,
            Self::Restart => 1012,
            Self::TryAgainLater => 1013,
            Self::Unauthorized => 4401,
            Self::Forbidden => 4403,
            Self::ResumeFailed => 4404,
        }
    }
}
