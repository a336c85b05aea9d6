//! What became of webhooks.

use std::sync::atomic::Ordering::Relaxed;

use super::{Kind, Text};
use crate::webhooks::WebhookCounts;

pub(super) fn write(text: &mut Text, counts: &WebhookCounts) {
    let outcomes = [
        ("delivered", &counts.delivered),
        ("refused", &counts.refused),
        ("expired", &counts.expired),
        ("dropped", &counts.dropped),
    ];
    let samples = outcomes.map(|(outcome, count)| {
        let labels = vec![("outcome", outcome.to_owned())];
        (labels, count.load(Relaxed) as f64)
    });
    let help = "Events for receivers of webhooks, by what became of them.";
    text.family(
        "crosspoint_webhook_events_total",
        Kind::Counter,
        help,
        samples,
    );
    let help = "Requests to receivers of webhooks that had to be repeated.";
    let retries = counts.retries.load(Relaxed) as f64;
    text.one(
        "crosspoint_webhook_retries_total",
        Kind::Counter,
        help,
        retries,
    );
    let help = "Events that wait for receivers of webhooks.";
    let queued = counts.queued.load(Relaxed) as f64;
    text.one(
        "crosspoint_webhook_queued_events",
        Kind::Gauge,
        help,
        queued,
    );
}
