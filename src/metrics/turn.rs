//! TURN's part.

use super::{Kind, Text};
use crate::turn::TurnCounters;

/// Name, kind, what it counts, and how it is read.
type Metric = (&'static str, Kind, &'static str, fn(&TurnCounters) -> u64);

const METRICS: [Metric; 5] = [
    ("allocations", Kind::Gauge, "Allocations of TURN.", |c| {
        c.allocations
    }),
    (
        "refused_allocations_total",
        Kind::Counter,
        "Allocations that were refused, for want of a place or a socket.",
        |c| c.refused,
    ),
    (
        "bytes_to_peers_total",
        Kind::Counter,
        "Bytes that clients had relayed to peers.",
        |c| c.bytes_to_peers,
    ),
    (
        "bytes_to_clients_total",
        Kind::Counter,
        "Bytes of peers that were relayed to clients.",
        |c| c.bytes_to_clients,
    ),
    (
        "over_rate_datagrams_total",
        Kind::Counter,
        "Datagrams that were too much for their allocation's share.",
        |c| c.over_rate,
    ),
];

pub(super) fn write(text: &mut Text, counters: &TurnCounters) {
    for (name, kind, help, read) in METRICS {
        text.one(
            &format!("crosspoint_turn_{name}"),
            kind,
            help,
            read(counters) as f64,
        );
    }
}
