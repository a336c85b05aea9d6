//! The shards' counters, as Prometheus reads them.

use super::counters::{CounterCell, ShardCounters};
use super::kernel::kernel_drops;
use crate::forward::DropReason;
use crate::metrics::{Kind, Text};

/// Reads what the shards count. Clones read the same, also after the shards' end.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(super) shards: Vec<(u16, CounterCell)>,
}

impl Metrics {
    /// Writes all that shards count.
    pub(crate) fn write(&self, text: &mut Text) {
        let ports: Vec<u16> = self.shards.iter().map(|(port, _)| *port).collect();
        let counters: Vec<_> = self.shards.iter().map(|(_, cell)| cell.read()).collect();
        write(text, &counters, &kernel_drops(&ports));
    }
}

/// A metric's name, what it counts, and how it is read.
type Metric = (&'static str, Kind, &'static str, fn(&ShardCounters) -> f64);

const METRICS: [Metric; 11] = [
    (
        "crosspoint_received_datagrams_total",
        Kind::Counter,
        "Datagrams read from the media sockets.",
        |c| c.datagrams_in as f64,
    ),
    (
        "crosspoint_received_bytes_total",
        Kind::Counter,
        "Their bytes.",
        |c| c.bytes_in as f64,
    ),
    (
        "crosspoint_sent_datagrams_total",
        Kind::Counter,
        "Datagrams given to the kernel.",
        |c| c.datagrams_out as f64,
    ),
    (
        "crosspoint_sent_bytes_total",
        Kind::Counter,
        "Their bytes.",
        |c| c.bytes_out as f64,
    ),
    (
        "crosspoint_sends_total",
        Kind::Counter,
        "System calls that gave them to the kernel, each with one or more datagrams.",
        |c| c.sends as f64,
    ),
    (
        "crosspoint_refused_datagrams_total",
        Kind::Counter,
        "Datagrams that the kernel did not take.",
        |c| c.refused as f64,
    ),
    (
        "crosspoint_handed_over_datagrams_total",
        Kind::Counter,
        "Datagrams that came to another shard than their peer's on a port that all share.",
        |c| c.handed_over as f64,
    ),
    (
        "crosspoint_shard_busy_ratio",
        Kind::Gauge,
        "The share of its time that a shard's thread works, 0 to 1.",
        |c| c.busy,
    ),
    (
        "crosspoint_shard_peers",
        Kind::Gauge,
        "Peer connections of a shard.",
        |c| c.population.peers as f64,
    ),
    (
        "crosspoint_shard_tracks",
        Kind::Gauge,
        "Tracks that a shard forwards, those included that come from other shards.",
        |c| c.population.tracks as f64,
    ),
    (
        "crosspoint_shard_subscriptions",
        Kind::Gauge,
        "Copies of tracks that a shard makes, one for each receiver.",
        |c| c.population.subscriptions as f64,
    ),
];

fn write(text: &mut Text, shards: &[ShardCounters], kernel: &[Option<u64>]) {
    let shard = |index: usize| ("shard", index.to_string());
    for (name, kind, help, read) in METRICS {
        let counters = shards.iter().enumerate();
        let samples = counters.map(|(index, counters)| (vec![shard(index)], read(counters)));
        text.family(name, kind, help, samples);
    }
    let kernel = kernel.iter().enumerate();
    text.family(
        "crosspoint_kernel_dropped_datagrams_total",
        Kind::Counter,
        "Datagrams that the kernel dropped before they could be read, mostly for want of buffer.",
        kernel.filter_map(|(index, drops)| Some((vec![shard(index)], (*drops)? as f64))),
    );
    let drops = shards.iter().enumerate().flat_map(|(index, counters)| {
        DropReason::ALL.into_iter().map(move |reason| {
            let labels = vec![shard(index), ("reason", reason.name().to_owned())];
            (labels, counters.drops.of(reason) as f64)
        })
    });
    text.family(
        "crosspoint_dropped_packets_total",
        Kind::Counter,
        "Packets, and copies of packets, that were not forwarded.",
        drops,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_sample_of_a_metric_that_was_declared() {
        let mut busy = ShardCounters {
            datagrams_in: 7,
            busy: 0.25,
            ..ShardCounters::default()
        };
        busy.drops.count(DropReason::Muted);
        let mut text = Text::default();
        write(
            &mut text,
            &[ShardCounters::default(), busy],
            &[Some(3), None],
        );
        let text = text.finish();
        let mut declared = "";
        for line in text.lines() {
            if let Some(words) = line.strip_prefix("# TYPE ") {
                declared = words.split(' ').next().unwrap();
            } else if !line.starts_with('#') {
                let (name, value) = line.split_once(' ').unwrap();
                assert!(name.starts_with(&format!("{declared}{{shard=\"")), "{line}");
                assert!(value.parse::<f64>().is_ok(), "{line}");
            }
        }
        for sample in [
            "crosspoint_received_datagrams_total{shard=\"1\"} 7",
            "crosspoint_kernel_dropped_datagrams_total{shard=\"0\"} 3",
            "crosspoint_dropped_packets_total{shard=\"1\",reason=\"muted\"} 1",
            "crosspoint_shard_busy_ratio{shard=\"1\"} 0.25",
        ] {
            assert!(text.lines().any(|line| line == sample), "{sample}\n{text}");
        }
    }
}
