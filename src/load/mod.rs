//! The load generator behind `crosspoint load`: many clients in one process, which join rooms, send and
//! receive media as browsers do, and measure what the server needs for it.
//!
//! Called by `main`. [`options`] says what is asked for, [`plan`] makes clients of it, a [`target::Target`]
//! gets them into their rooms by the server's own signalling, and the media of all of them runs in one
//! thread. Whom it drives is a stranger to it: it never looks into a server, except for the processor
//! time and the memory of the process.

pub(crate) mod endpoint;
pub mod limit;
pub(crate) mod measure;
pub(crate) mod media;
pub(crate) mod negotiator;
pub mod options;
pub(crate) mod peer;
pub(crate) mod plan;
pub mod plot;
pub mod report;
pub(crate) mod target;
pub(crate) mod traffic;

pub use options::{LoadConfig, LoadError, LoadOptions};
