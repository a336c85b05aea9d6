//! `error`: what went wrong, in a word for programs and a sentence for people.

use std::fmt;

use serde::Serialize;

/// The `code` of an `error` message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// Text that is not JSON, or not an object.
    BadJson,
    /// A known type with a wrong member.
    BadMessage,
    /// Over the limit of its type in bytes.
    TooLarge,
    /// More messages a second than allowed; this one was not acted on.
    TooFast,
    /// An SDP that does not parse or cannot be served; the call goes on as it was.
    BadSdp,
    /// A candidate that does not parse.
    BadCandidate,
    /// Nobody of that name is in the room.
    NoSuchUser,
    /// A call to oneself.
    SelfCall,
    /// What was asked needs a call.
    NotInCall,
    /// The sender is in another call, or ringing.
    InCall,
    /// A name is needed first: `username`.
    NoName,
    /// A name that is empty, too long, or has control characters.
    BadName,
    /// A room name that is no room name. Ends the socket.
    BadRoom,
    /// The room has as many participants as it may. Ends the socket.
    RoomFull,
    /// The room was closed. Ends the socket.
    RoomClosed,
    /// The server has as many rooms as it may. Ends the socket.
    TooManyRooms,
    /// The address has as many sockets as it may. Ends the socket.
    TooManySockets,
    /// Too many sockets and calls have come from the address in a short time. Ends a new socket.
    TooManyJoins,
    /// The server has as much to do as it was told to take. Ends a new socket; calls that are there go on.
    Overloaded,
    /// The server ends once its calls have, or soon. Ends a new socket; calls that are there go on.
    Draining,
    /// The offer publishes more tracks than allowed.
    TooManyTracks,
    /// The token of `resume` is unknown or too old. Ends the socket.
    ResumeFailed,
    /// No such track in the call, or no such m-line of one's own.
    NoSuchTrack,
    /// An answer to no offer.
    UnexpectedAnswer,
    /// The server admits nobody without a token, and there was none. Ends the socket.
    TokenRequired,
    /// The token is no token of this server, or not what one must be. Ends the socket.
    BadToken,
    /// The token's time is over. Ends the socket.
    TokenExpired,
    /// The token is for another room. Ends the socket.
    WrongRoom,
    /// The sender's token does not allow it. About tracks it answers no message (`request` is null): the offer is answered, without
    /// them.
    NotGranted,
    /// A moderator cannot do that to itself.
    SelfTarget,
    /// The room is locked. Ends the socket.
    RoomLocked,
    /// A moderator removed the receiver. Ends the socket.
    Removed,
    /// A moderator banned the receiver, now or before. Ends the socket.
    Banned,
    /// What was asked is for those in the room; the sender still waits to be let in.
    NotAdmittedYet,
    /// Nobody let the receiver in who waited for it, or could. Ends the socket.
    NotAdmitted,
    /// As many wait for the room as may. Ends the socket.
    WaitingRoomFull,
    /// The server cannot do it now, or is going down (then it ends the socket).
    ServerBusy,
}

impl fmt::Display for ErrorCode {
    /// As it stands in the message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Why a message was refused, before or while it was acted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolError {
    /// The word for programs.
    pub code: ErrorCode,
    /// The sentence for people; names the member or the SDP line.
    pub message: String,
    /// The `type` of the message that is refused, where it is known.
    pub request: Option<String>,
}

impl ProtocolError {
    /// An error that does not know its request yet.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            request: None,
        }
    }

    /// The same error about a message of type `request`.
    pub fn about(mut self, request: impl Into<String>) -> Self {
        self.request = Some(request.into());
        self
    }

    /// `too-large`, with the limit in bytes.
    pub fn too_large(limit: usize) -> Self {
        Self::new(
            ErrorCode::TooLarge,
            format!("a message may have at most {limit} bytes"),
        )
    }

    /// Whether it counts towards the three in ten seconds that end a socket: what no correct client sends.
    pub fn is_strike(&self) -> bool {
        matches!(
            self.code,
            ErrorCode::BadJson | ErrorCode::BadMessage | ErrorCode::TooLarge | ErrorCode::TooFast
        )
    }
}
