//! TURN and STUN without sockets: what a message means, who may send it, and what is sent where.
//!
//! Called by the tasks of [`super`], each of which owns a [`Session`]; they share one [`Authority`]. It is told the time and
//! handed messages, and never opens, reads or writes a socket.

mod authority;
mod credentials;
mod frame;
mod ice_servers;
mod nonce;
mod peers;
mod quota;
mod request;
mod session;
#[cfg(test)]
mod tests;

pub(crate) use authority::{Authority, RelayAddresses, Relays, TurnCounters};
pub(crate) use credentials::Credentials;
pub use credentials::TurnUser;
pub(crate) use frame::{MAX_FRAME, frame_len, is_channel_data};
pub(crate) use ice_servers::TurnPorts;
pub use ice_servers::{HostPort, IceServers};
pub(crate) use peers::Peers;
pub use peers::TurnPeers;
pub(crate) use quota::Limiter;
pub use quota::TurnLimits;
pub(crate) use request::{is_for_turn, is_send_indication};
pub(crate) use session::{Reaction, Session};
