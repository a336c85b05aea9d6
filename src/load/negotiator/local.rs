//! What a client says about itself.

use std::net::SocketAddr;

use crate::load::media::SourcePlan;
use crate::shard::{Fingerprint, IceCredentials};

/// What one peer connection says about itself, the same in all its descriptions.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    /// Its credentials.
    pub(crate) ice: IceCredentials,
    /// The hash of its certificate.
    pub(crate) fingerprint: Fingerprint,
    /// The address of its socket, its only candidate.
    pub(crate) candidate: SocketAddr,
    /// The session id of its `o=` line.
    pub(crate) session: u64,
    /// The first SSRC; further ones count up.
    pub(crate) first_ssrc: u32,
}

/// What a peer connection is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Publishes {
    /// The tracks that it sends.
    pub(crate) sources: Vec<SourcePlan>,
    /// Whether it takes what is offered to it.
    pub(crate) receives: bool,
}
