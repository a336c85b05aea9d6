//! Whom the load is put on: the one trait behind which a server's signalling lies.
//!
//! Called by the driver, which gives every client a [`Seat`]. A target moves SDP between the server and the
//! seat's [`Peer`](super::peer::Peer)s and says when the server has let the client in; it never touches
//! media. A further target is one file here and one arm of [`open`].

mod child;
pub(crate) mod crosspoint;
mod janus;
mod limit;
pub(crate) mod web_socket;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use self::crosspoint::Crosspoint;
use self::janus::Janus;
use self::limit::Limit;
use crate::load::LoadConfig;
use crate::load::options::TargetKind;
use crate::load::peer::Seat;
use crate::load::plan::Plan;

/// What [`Target::run`] gives.
pub(crate) type Running<'a> = Pin<Box<dyn Future<Output = Result<(), TargetError>> + Send + 'a>>;

/// A server, and how its clients speak to it. One serves all clients of a run, at the same time.
pub(crate) trait Target: Send + Sync {
    /// What the report calls the server: name, and version where it is known.
    fn description(&self) -> String;

    /// The process whose processor time and memory are measured, where it is known and on this machine.
    fn process(&self) -> Option<u32>;

    /// Gets one client into its room, and keeps it there while others come: offers are answered until
    /// [`Seat::leaving`] resolves; then it says goodbye and returns. An error ends this client only.
    fn run<'a>(&'a self, seat: &'a mut Seat) -> Running<'a>;

    /// Ends what was started for the run, after all clients have gone.
    fn close(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Makes the target that the options name, and starts its server where none is given.
pub(crate) async fn open(config: &LoadConfig, plan: &Plan) -> Result<Arc<dyn Target>, TargetError> {
    if config.limit {
        return Ok(Arc::new(Limit::open(config).await?));
    }
    match config.target {
        TargetKind::Crosspoint => Ok(Arc::new(Crosspoint::open(config, plan).await?)),
        TargetKind::Janus => Ok(Arc::new(Janus::open(config).await?)),
    }
}

/// Why a client is not, or no longer, in its room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TargetError {
    /// No connection to the server.
    Connect(String),
    /// The server refused something, in its own words.
    Refused(String),
    /// The server said what no server should say.
    Protocol(String),
    /// The connection broke.
    Closed(String),
    /// The signalling went well, but no media connection came about, or it failed later.
    Media(String),
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(reason) => write!(f, "no connection to the server: {reason}"),
            Self::Refused(reason) => write!(f, "the server refused: {reason}"),
            Self::Protocol(reason) => write!(f, "the server is not understood: {reason}"),
            Self::Media(reason) => write!(f, "the media connection failed: {reason}"),
            Self::Closed(reason) => write!(f, "the server closed the connection: {reason}"),
        }
    }
}

impl std::error::Error for TargetError {}
