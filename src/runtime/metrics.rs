//! The shards' counters in Prometheus' text format.

use std::fmt::Write;

use super::counters::{CounterCell, ShardCounters};
use super::kernel::kernel_drops;
use crate::forward::DropReason;

/// Reads what the shards count. Clones read the same, also after the shards' end.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(super) shards: Vec<(u16, CounterCell)>,
}

impl Metrics {
    /// Everything in Prometheus' text format, version 0.0.4.
    pub fn render(&self) -> String {
        let ports: Vec<u16> = self.shards.iter().map(|(port, _)| *port).collect();
        let counters: Vec<_> = self.shards.iter().map(|(_, cell)| cell.read()).collect();
        render(&counters, &kernel_drops(&ports))
    }
}

/// A counter's name, what it counts, and how it is read.
type Counter = (&'static str, &'static str, fn(&ShardCounters) -> u64);

const COUNTERS: [Counter; 6] = [
    (
        "received_datagrams",
        "Datagrams read from the media sockets.",
        |c| c.datagrams_in,
    ),
    ("received_bytes", "Their bytes.", |c| c.bytes_in),
    ("sent_datagrams", "Datagrams given to the kernel.", |c| {
        c.datagrams_out
    }),
    ("sent_bytes", "Their bytes.", |c| c.bytes_out),
    (
        "sends",
        "System calls that gave them to the kernel, each with one or more datagrams.",
        |c| c.sends,
    ),
    (
        "refused_datagrams",
        "Datagrams that the kernel did not take.",
        |c| c.refused,
    ),
];

fn render(shards: &[ShardCounters], kernel: &[Option<u64>]) -> String {
    let mut out = String::new();
    for (name, help, read) in COUNTERS {
        head(&mut out, &format!("{name}_total"), "counter", help);
        for (shard, counters) in shards.iter().enumerate() {
            line(&mut out, &format!("{name}_total"), shard, read(counters));
        }
    }
    let name = "kernel_dropped_datagrams_total";
    let help =
        "Datagrams that the kernel dropped before they could be read, mostly for want of buffer.";
    head(&mut out, name, "counter", help);
    for (shard, drops) in kernel.iter().enumerate() {
        if let Some(drops) = drops {
            line(&mut out, name, shard, drops);
        }
    }
    let help = "Packets, and copies of packets, that were not forwarded.";
    head(&mut out, "dropped_packets_total", "counter", help);
    for (shard, counters) in shards.iter().enumerate() {
        for reason in DropReason::ALL {
            let (name, count) = (reason.name(), counters.drops.of(reason));
            let _ = writeln!(
                out,
                "crosspoint_dropped_packets_total{{shard=\"{shard}\",reason=\"{name}\"}} {count}"
            );
        }
    }
    let help = "The share of its time that a shard's thread works, 0 to 1.";
    head(&mut out, "shard_busy_ratio", "gauge", help);
    for (shard, counters) in shards.iter().enumerate() {
        line(&mut out, "shard_busy_ratio", shard, counters.busy);
    }
    out
}

// Writing to a string cannot fail.
fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP crosspoint_{name} {help}");
    let _ = writeln!(out, "# TYPE crosspoint_{name} {kind}");
}

fn line(out: &mut String, name: &str, shard: usize, value: impl std::fmt::Display) {
    let _ = writeln!(out, "crosspoint_{name}{{shard=\"{shard}\"}} {value}");
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
        let text = render(&[ShardCounters::default(), busy], &[Some(3), None]);
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
