//! The picture of a report: CPU per forwarded packet and p99 latency against subscribers, as an SVG.
//!
//! Called by `main` for `--plot`, with a report just made or with files of them (`--from`). The SVG needs no font, script or style from elsewhere, and follows the reader's light or
//! dark colours.

mod axis;
mod draw;
mod lines;

pub use draw::plot;
pub use lines::{PlotError, plot_files, plot_report};

/// What was measured for one target, in the order it is named in the legend.
#[derive(Clone, Debug, PartialEq)]
pub struct PlotLine {
    /// For the legend: the target and whatever tells it from the others.
    pub name: String,
    /// In any order.
    pub points: Vec<PlotPoint>,
}

/// One load that was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlotPoint {
    /// How many received.
    pub subscribers: f64,
    /// Microseconds of the server's CPU per forwarded packet, user and system; `None` where nobody
    /// could read it.
    pub cpu_us: Option<f64>,
    /// The 99th percentile of latency in milliseconds, from the publisher's send to the subscriber's
    /// receive; `None` where no packet was sampled.
    pub p99_ms: Option<f64>,
}
