//! Rooms, who is in them, and who receives what: control's state, without I/O.
//!
//! Called by [`crate::signaling`], which hands it the text of sockets and the events of shards, tells it the time,
//! and carries away what it puts out. It owns a [`crate::negotiation::Negotiation`] for each peer. It never touches
//! a socket, reads no clock, and sees no media.
//!
//! One file for each idea: `rooms` (the doors), `connection` and `resume` (sockets come and go), `membership`
//! (names, who is announced to whom), `admission` (who may come in), `chat`, `call` (peers and their shard), `placement` (where one
//! begins), `moving` (to the shard that hears it), `room_call`, `direct_call` (the states of ringing), `description` (offers and
//! answers), `subscription` (who receives what), `media` (mute, receive, what shards tell), `operator` (what operators ask and
//! do), `notice` (what those outside are told), `counts`, `limits`, `load` (how much there is to do), `timer`, `traced`.

mod admission;
mod call;
mod chat;
mod config;
mod connection;
mod counts;
mod description;
mod direct_call;
mod limits;
mod load;
mod media;
mod membership;
mod moderation;
mod moving;
mod notice;
mod operator;
mod output;
mod participant;
mod peer;
mod placement;
mod recent_speakers;
mod resume;
mod room_call;
mod rooms;
mod speakers;
mod subscription;
mod timer;
mod traced;
mod waiting;

pub use config::{Limits, RoomsConfig, ShardAddress};
pub use connection::{Connect, Departure};
pub use counts::{RoomCounts, TallySnapshot};
pub use limits::network_of;
pub use load::ServerLoad;
pub use notice::{Notice, Somebody};
pub use operator::{
    Member, OperatorAnswer, OperatorRequest, Refusal, RefusalKind, RequestId, RoomChange,
    RoomSettings,
};
pub use output::{CloseCode, Output};
pub use rooms::Rooms;

/// One WebSocket. Unique in the server's run, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

#[cfg(test)]
mod tests;
