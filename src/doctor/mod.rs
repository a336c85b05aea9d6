//! `crosspoint doctor`: looks for what keeps people from calling each other, and says each failure with its fix.
//!
//! Called by `main`. It checks either [this machine](here), with the configuration that the server would have: ports, buffers,
//! clock, certificate, announced addresses; or [a server somewhere](there), from where it is run: name, certificate, clock, every
//! address and way that the server tells. Both end in real calls, one [through each way](calls): two participants, as the load
//! generator has them, who hear each other by UDP, by ICE-TCP, by TURN.
//!
//! | file | what it finds out |
//! | --- | --- |
//! | [`ports`] and [`holder`] | whether the ports can be had, and who has them |
//! | [`machine`] | socket buffers, and open files |
//! | [`clock`] | whether the clock can be right |
//! | [`certificate`] | whether browsers take the certificate |
//! | [`addresses`] and [`stun`] | whether what is announced can be where the server is |
//! | [`reach`] | whether the server answers at all |
//! | [`calls`] | whether media passes |
//!
//! What each of them finds is a [`Finding`]. No step lasts longer than its time limit, and the whole not longer than [`PATIENCE`].
//! It changes nothing on the machine, tells nobody of what it found, and asks nobody but the server, unless it is told whom
//! (`--stun`). Who is in a call on that server does not notice: its own are in rooms of a random name, and are over after seconds.

mod addresses;
mod calls;
mod certificate;
mod clock;
mod finding;
mod here;
mod holder;
mod machine;
mod options;
mod ports;
mod reach;
mod stun;
mod there;
mod ways;

use std::time::Duration;

pub use finding::{Finding, Outcome, Report};
pub use options::{DoctorConfig, DoctorError, DoctorOptions};

use options::Subject;

/// How long everything together may last.
const PATIENCE: Duration = Duration::from_secs(90);

/// Checks what was asked for, and reports. Must be called inside a tokio runtime.
pub async fn run(config: DoctorConfig) -> Report {
    let mut report = Report::new(&config);
    let checks = async {
        match config.subject {
            Subject::Here(server) => {
                here::check(&server, config.stun.as_ref(), &mut report).await;
            }
            Subject::There(url) => there::check(&url, &mut report).await,
        }
    };
    if tokio::time::timeout(PATIENCE, checks).await.is_err() {
        report.add(Finding::failure(
            "time",
            format!("not all was checked within {} s", PATIENCE.as_secs()),
            "run it again; if it is the same again, look at the last finding before this one",
        ));
    }
    report
}
