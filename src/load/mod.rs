//! The load generator behind `crosspoint load`: many clients in one process, which join rooms, send and
//! receive media as browsers do, and measure what the server needs for it.
//!
//! Called by `main`. [`options`] says what is asked for, [`plan`] makes clients of it, a [`target::Target`]
//! gets them into their rooms by the server's own signalling, and the media of all of them runs in one
//! thread. With `--churn` others come and go beside them. Whom it drives is a stranger to it: it never looks into a server, except for the processor
//! time and the memory of the process.

mod churn;
mod driver;
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

use std::future::Future;

use tokio::sync::watch;

pub use options::{LoadConfig, LoadError, LoadOptions};
pub use report::Report;

/// Puts the load on the server and reports. `ended` resolves when whoever asked wants no more of it: what
/// was measured until then is reported. Must be called inside a tokio runtime.
pub async fn run(
    config: &LoadConfig,
    ended: impl Future<Output = ()> + Send + 'static,
) -> Result<Report, LoadError> {
    let (sender, receiver) = watch::channel(false);
    let asked = tokio::spawn(async move {
        ended.await;
        sender.send_replace(true);
        // Nobody waits for a sender that is gone.
        std::future::pending::<()>().await;
    });
    let report = driver::run(config, receiver).await;
    asked.abort();
    report
}
