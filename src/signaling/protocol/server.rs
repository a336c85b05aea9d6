//! What the server says.

use serde::Serialize;

use super::membership::media_kind;
use super::{
    CallName, ErrorCode, HangUpReason, ParticipantState, Person, ProtocolError, StatsEntry,
    TimelineLine, TrackInfo, WaitingState,
};
use crate::access::Grants;
use crate::negotiation::Source;
use crate::rtp::MediaKind;

/// A message from the server. Members that are `None` are not written, where the docs do not say otherwise.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ServerMessage<'a> {
    /// The first message on every socket. A classic client gets nothing but `id`.
    Id {
        /// The participant's number.
        id: u64,
        /// The room.
        #[serde(skip_serializing_if = "Option::is_none")]
        room: Option<&'a str>,
        /// RTCIceServer entries for the peer connection; often empty.
        #[serde(rename = "iceServers", skip_serializing_if = "Option::is_none")]
        ice_servers: Option<&'a [IceServer]>,
        /// The token for `GET /ws?resume=` if this socket breaks; each socket gets a new one.
        #[serde(skip_serializing_if = "Option::is_none")]
        resume: Option<&'a str>,
        /// The server's version.
        #[serde(skip_serializing_if = "Option::is_none")]
        server: Option<&'a str>,
        /// Whether this socket goes on with a session whose socket broke. A `participant` `joined` for
        /// everybody there follows, as for a newcomer.
        #[serde(skip_serializing_if = "Option::is_none")]
        resumed: Option<bool>,
        /// With `resumed`: whether the session is in a call, or in one that rings. Where it is not, a call that the client has
        /// ended meanwhile; it has to join with a new peer connection.
        #[serde(rename = "inCall", skip_serializing_if = "Option::is_none")]
        in_call: Option<bool>,
        /// The name that the client's token gives it, which `username` may change.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
        /// What the client's token allows; absent where the server asks for none and all may do all but moderate.
        #[serde(skip_serializing_if = "Option::is_none")]
        grants: Option<Grants>,
        /// Whether the client has to wait until it is let in: then [`ServerMessage::Waiting`] follows, and nothing else.
        #[serde(skip_serializing_if = "Option::is_none")]
        waiting: Option<bool>,
    },
    /// Other RTCIceServer entries than those of [`Id`](Self::Id), whose credentials will run out. What is relayed goes on;
    /// they are for what is gathered from now on.
    #[serde(rename = "ice-servers")]
    IceServers {
        /// As in `id`.
        #[serde(rename = "iceServers")]
        ice_servers: Vec<IceServer>,
    },
    /// The name that was asked for is not free, or no name; this one is the client's.
    #[serde(rename = "rejectusername")]
    RejectUsername {
        /// The participant's number.
        id: u64,
        /// The name that it got.
        name: &'a str,
    },
    /// The names in the room; to its classic clients, at every change.
    #[serde(rename = "userlist")]
    UserList {
        /// In the order in which they came.
        users: &'a [&'a str],
    },
    /// One change of one participant. Somebody is announced once it has a name, and never to itself.
    Participant {
        /// The participant's number.
        id: u64,
        /// Its name.
        name: &'a str,
        /// What happened.
        state: ParticipantState,
        /// Which kind of call it is in, or `null`.
        call: Option<CallName>,
        /// What it publishes; empty when it left.
        tracks: &'a [TrackInfo],
        /// Whether it may moderate the room; absent where it may not.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        moderator: bool,
    },
    /// A line of chat, to the room with the sender included, or to one user and the sender.
    Message {
        /// Plain text.
        text: &'a str,
        /// The sender's name.
        name: &'a str,
        /// The sender's number.
        id: u64,
        /// Milliseconds since 1970.
        date: u64,
        /// The receiver's name, when it is private.
        #[serde(skip_serializing_if = "Option::is_none")]
        target: Option<&'a str>,
    },
    /// Something was refused. Never sent to a classic client.
    Error {
        /// The word for programs.
        code: ErrorCode,
        /// The sentence for people.
        message: &'a str,
        /// The `type` that it answers, or `null`.
        request: Option<&'a str>,
        /// Whether the server closes the socket after it.
        fatal: bool,
    },
    /// An offer of the server's: a ringing call, or changed tracks.
    VideoOffer {
        /// The offer.
        sdp: SessionDescription<'a>,
        /// The other one of a one-to-one call; absent in the room's call.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
        /// The receiver's own name.
        target: &'a str,
        /// Who is who; not for classic clients.
        #[serde(skip_serializing_if = "Option::is_none")]
        tracks: Option<&'a [TrackLine<'a>]>,
    },
    /// The server's answer to a client's offer. In a one-to-one call the caller's first comes when the callee accepts.
    VideoAnswer {
        /// The answer.
        sdp: SessionDescription<'a>,
        /// As in `video-offer`.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
        /// The receiver's own name.
        target: &'a str,
        /// As in `video-offer`.
        #[serde(skip_serializing_if = "Option::is_none")]
        tracks: Option<&'a [TrackLine<'a>]>,
    },
    /// The call is over for the receiver.
    HangUp {
        /// The other one of a one-to-one call; absent in the room's call.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
        /// The receiver's own name.
        #[serde(skip_serializing_if = "Option::is_none")]
        target: Option<&'a str>,
        /// Why.
        reason: HangUpReason,
    },
    /// What the server now forwards of a track to the receiver.
    Layers {
        /// The track.
        track: &'a str,
        /// The simulcast layer, or `null`.
        rid: Option<&'a str>,
        /// The spatial layer of SVC, or `null`.
        spatial: Option<u8>,
        /// The temporal layer, or `null`.
        temporal: Option<u8>,
        /// `codec`: nothing, since the receiver did not negotiate the codec.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    /// Which of the receiver's own layers anyone receives; the others need not be encoded.
    Wanted {
        /// The m-line.
        mid: &'a str,
        /// The layers.
        rids: &'a [&'a str],
    },
    /// Who speaks in the receiver's call, at every change and at most five times a second.
    Speakers {
        /// Participants, loudest first.
        ids: &'a [u64],
        /// How loud each is, linear 0 to 1.
        levels: &'a [f32],
    },
    /// How well somebody's connection to the server does: one's own every 2 s, others' when the score changes.
    Quality {
        /// The participant.
        id: u64,
        /// 1 (bad) to 5 (excellent).
        score: u8,
        /// Share of packets lost, 0 to 1.
        loss: f32,
        /// Round trip time in ms, or `null`.
        rtt: Option<f64>,
        /// What the network is estimated to carry to the participant, in bit/s. Where its client says nothing about the
        /// arrival of packets: what it sends and receives together.
        bandwidth: u64,
    },
    /// The answer to a client's `stats`.
    Stats {
        /// One entry for the transport, one for each stream.
        stats: &'a [StatsEntry],
    },
    /// What a moderator did to the receiver.
    Moderated {
        /// `mute` or `stop-screen`.
        action: &'a str,
        /// What was muted.
        #[serde(skip_serializing_if = "Option::is_none")]
        source: Option<Source>,
        /// Who did it; `null` for the server's operator.
        by: Option<Person<'a>>,
    },
    /// How the receiver's room is ordered: to newcomers, if that is unusual, and at every change.
    #[serde(rename_all = "camelCase")]
    RoomState {
        /// Newcomers are refused, but for moderators.
        locked: bool,
        /// Newcomers wait until they are admitted, but for moderators.
        waiting_room: bool,
        /// Who waits; for moderators only.
        #[serde(skip_serializing_if = "Option::is_none")]
        waiting: Option<Vec<Person<'a>>>,
        /// Who may not come back; for moderators only.
        #[serde(skip_serializing_if = "Option::is_none")]
        bans: Option<Vec<Person<'a>>>,
    },
    /// The receiver waits to be let in, for ten minutes at most, or has been. While it waits it may take a name, and no more.
    Waiting {
        /// Which.
        state: WaitingState,
        /// Whether a moderator is in the room now; absent once the receiver is in.
        #[serde(skip_serializing_if = "Option::is_none")]
        moderator: Option<bool>,
    },
    /// The answer to a client's `timeline`.
    Timeline {
        /// The track.
        track: &'a str,
        /// What happened to it on its way to the receiver, oldest first; at most 32.
        events: &'a [TimelineLine],
    },
}

impl<'a> ServerMessage<'a> {
    /// The `error` message for `error`.
    pub fn error(error: &'a ProtocolError, fatal: bool) -> Self {
        Self::Error {
            code: error.code,
            message: &error.message,
            request: error.request.as_deref(),
            fatal,
        }
    }

    /// The message as text.
    pub fn to_text(&self) -> String {
        // Strings, numbers and lists only: writing them cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// An RTCSessionDescriptionInit.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SessionDescription<'a> {
    /// `offer` or `answer`.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// The SDP.
    pub sdp: &'a str,
}

/// An entry of `tracks` of the server's offers and answers: whose track an m-line carries to the receiver.
#[derive(Clone, Debug, Serialize)]
pub struct TrackLine<'a> {
    /// The m-line.
    pub mid: &'a str,
    /// The track's id, such as `t12`.
    pub track: String,
    /// The publisher's number.
    pub participant: u64,
    /// The publisher's name.
    pub name: &'a str,
    /// `audio` or `video`.
    #[serde(serialize_with = "media_kind")]
    pub kind: MediaKind,
    /// What it shows.
    pub source: Source,
    /// Whether nothing of it is forwarded now.
    pub muted: bool,
}

/// An RTCIceServer for the client's peer connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IceServer {
    /// `stun:` and `turn:` addresses.
    pub urls: Vec<String>,
    /// The user, for TURN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password, for TURN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}
