//! `/metrics`: everything that is counted, in Prometheus' text format.
//!
//! Called by the server, which collects the parts. `text` writes, `process` reads what the system tells of the process,
//! `rooms`, `turn` and `webhooks` write what those count; [`crate::runtime::Metrics`] writes the shards' part. It counts nothing itself.

mod process;
mod rooms;
mod text;
mod turn;
mod webhooks;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::entrance::Tls;
use crate::room::RoomCounts;
use crate::runtime::Metrics as ShardMetrics;
use crate::signaling::{Phase, Readiness};
use crate::turn::TurnMetrics;
use crate::webhooks::WebhookCounts;

pub(crate) use text::{Kind, Sample, Text};

/// Where the numbers are.
#[derive(Debug)]
pub struct Sources {
    /// Of the shards.
    pub shards: ShardMetrics,
    /// Of the webhooks; zeros where there are none.
    pub webhooks: Arc<WebhookCounts>,
    /// Of TURN, where there is that.
    pub turn: Option<TurnMetrics>,
    /// Of the certificate, where the server speaks HTTPS itself.
    pub tls: Option<Tls>,
    /// How far the server is.
    pub readiness: Readiness,
    /// When the server began.
    pub started: SystemTime,
}

impl Sources {
    /// Everything in Prometheus' text format, version 0.0.4. Without `rooms`, which did not answer in time, all but those.
    pub fn render(&self, rooms: Option<&RoomCounts>) -> String {
        let mut text = Text::default();
        let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        let help = "The server's version.";
        text.family("crosspoint_build_info", Kind::Gauge, help, [(version, 1.0)]);
        let is_ready = self.readiness.phase() == Phase::Ready;
        let help = "Whether the server is up and not about to end, 1 or 0.";
        text.one(
            "crosspoint_ready",
            Kind::Gauge,
            help,
            f64::from(u8::from(is_ready)),
        );
        if let Some(rooms) = rooms {
            rooms::write(&mut text, rooms);
        }
        self.shards.write(&mut text);
        webhooks::write(&mut text, &self.webhooks);
        if let Some(turn) = &self.turn {
            turn::write(&mut text, &turn.read());
        }
        if let Some(expiry) = self.tls.as_ref().and_then(Tls::expiry) {
            let help = "When the certificate that clients are shown is no good any more, in seconds since 1970.";
            let name = "crosspoint_certificate_expiry_timestamp_seconds";
            text.one(name, Kind::Gauge, help, since_1970(expiry));
        }
        process::write(&mut text, since_1970(self.started));
        text.finish()
    }
}

fn since_1970(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}
