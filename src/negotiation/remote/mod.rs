//! Reading a client's description: from text to what each m-line says, before any of it is applied.
//!
//! Called by the negotiation with bounded text. Knows nothing of the negotiation's state; whatever it
//! does not understand it leaves out, and what it cannot serve is an [`SdpError`] that names the line.

mod direction;
mod extensions;
mod formats;
mod h264;
mod media;
mod session;
mod simulcast;
mod ssrc;
mod transport;

pub(crate) use direction::Direction;
pub(crate) use extensions::LineExtension;
pub(crate) use formats::{Feedback, Format, PayloadUse, Rtx};
pub(crate) use h264::profile_level_id;
pub(crate) use media::{LineKind, RemoteMedia};
pub(crate) use session::{Origin, RemoteSession};
pub(crate) use simulcast::Layer;
pub(crate) use transport::{RemoteTransport, Setup};
