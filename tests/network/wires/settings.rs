//! What can be set of one way, in the units of those who write it down.

use std::time::Duration;

use serde::Deserialize;

use crate::link::Link;

/// New values for a way; what is absent stays as it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Bits a second, with the headers of IP and above; 0 for no bottleneck.
    rate: Option<u64>,
    /// What the queue holds, as the time that it takes to drain.
    queue_ms: Option<f64>,
    /// A share, from 0 to 1.
    loss: Option<f64>,
    /// A share, from 0 to 1.
    duplication: Option<f64>,
    /// A share, from 0 to 1.
    reordering: Option<f64>,
    delay_ms: Option<f64>,
    jitter_ms: Option<f64>,
}

impl Settings {
    /// Changes the link, if all values make sense.
    pub(crate) fn apply(&self, link: &mut Link) -> Result<(), String> {
        self.check()?;
        if let Some(rate) = self.rate {
            link.rate = (rate > 0).then_some(rate);
        }
        set(&mut link.queue, self.queue_ms.map(milliseconds));
        set(&mut link.loss, self.loss);
        set(&mut link.duplication, self.duplication);
        set(&mut link.reordering, self.reordering);
        set(&mut link.delay, self.delay_ms.map(milliseconds));
        set(&mut link.jitter, self.jitter_ms.map(milliseconds));
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        for share in [self.loss, self.duplication, self.reordering] {
            check("a share", share, 1.0)?;
        }
        for time in [self.queue_ms, self.delay_ms, self.jitter_ms] {
            check("a time in milliseconds", time, 60_000.0)?;
        }
        Ok(())
    }
}

fn check(what: &str, value: Option<f64>, most: f64) -> Result<(), String> {
    match value {
        Some(value) if !(0.0..=most).contains(&value) => {
            Err(format!("{value} is no value for {what}: 0 to {most}"))
        }
        _ => Ok(()),
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn milliseconds(value: f64) -> Duration {
    Duration::from_secs_f64(value / 1000.0)
}
