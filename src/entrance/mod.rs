//! The TCP door: accepts connections, ends TLS, and tells by the first bytes who speaks what.
//!
//! Called by [`crate::server`] at its start, which has HTTP served to whoever comes out of a [`Door`]. Where there is a
//! certificate, what speaks TLS comes out of one door and what does not out of another, to be sent on to HTTPS. Who
//! sends media, since UDP is blocked for it, is brought to the shards, and who speaks TURN to that. Those that say nothing are
//! few, whoever comes. The certificate comes out of files, is made here, or is asked of an authority. It never reads a request,
//! and knows nothing of calls.

mod acme;
mod certificate;
mod half_open;
mod keeper;
mod listener;
mod self_signed;
mod state;
mod stream;
mod tls;

pub use acme::{AcmeConfig, LETS_ENCRYPT, MAX_DOMAINS};
pub use certificate::{CertificateError, CertificateSource};
pub(crate) use certificate::{name as name_of, read as read_certificate};
pub use half_open::{HalfOpen, Loss, Place};
pub use listener::{
    Admitted, Door, Doors, MediaCaller, MediaCallers, TurnCaller, TurnCallers, open,
    open_for_media, open_for_turn,
};
pub use stream::Stream;
pub use tls::Tls;
