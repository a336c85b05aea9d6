//! The report for people.

use std::fmt;

use super::{Percentiles, ProcessUse, Report, RunReport, Traffic};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            version,
            target,
            profile,
            seed,
            sample,
            runs,
        } = self;
        writeln!(
            f,
            "crosspoint load {version}: {profile} on {target}, seed {seed}"
        )?;
        for run in runs {
            run.write(f, *sample)?;
        }
        Ok(())
    }
}

impl RunReport {
    fn write(&self, f: &mut fmt::Formatter<'_>, sample: u32) -> fmt::Result {
        writeln!(
            f,
            "\n{} of {} and {}; {} of {} clients joined",
            plural(self.rooms, "room"),
            plural(self.publishers, "publisher"),
            plural(self.subscribers, "subscriber"),
            self.joined,
            self.clients,
        )?;
        for (reason, count) in &self.failed {
            writeln!(f, "  {count} failed: {reason}")?;
        }
        if self.tracks_received < self.tracks_expected {
            writeln!(
                f,
                "  {} of {} tracks gave no media",
                self.tracks_expected - self.tracks_received,
                self.tracks_expected
            )?;
        }
        let early = if self.ended_early {
            ", ended early"
        } else {
            ""
        };
        line(f, "measured", &format!("{:.1} s{early}", self.seconds))?;
        line(f, "encryption", &self.srtp.join(", "))?;
        line(f, "sent", &traffic(&self.sent, self.seconds))?;
        line(f, "received", &traffic(&self.received, self.seconds))?;
        let loss = &self.loss;
        line(
            f,
            "loss",
            &format!(
                "{} packets ({:.3} %), {} of them repaired; asked for {} packets and {} keyframes",
                loss.lost,
                share(loss.lost, loss.lost + self.received.packets),
                loss.repaired,
                loss.nacks,
                loss.keyframe_requests
            ),
        )?;
        for (count, words) in [
            (loss.injected, "lost by the generator as it was told"),
            (loss.strange, "repeated, unknown or altered"),
            (loss.unsent, "not sent: the generator's socket was full"),
        ] {
            if count > 0 {
                line(f, "", &format!("{count} packets {words}"))?;
            }
        }
        let sampled = format!("of 1 in {sample} packets, decrypted");
        line(f, "latency", &percentiles(self.latency.as_ref(), &sampled))?;
        line(f, "join", &percentiles(self.join.as_ref(), "of clients"))?;
        if self.keyframe.is_some() {
            let words = "to a track's first keyframe";
            line(f, "keyframe", &percentiles(self.keyframe.as_ref(), words))?;
        }
        if let Some(churn) = &self.churn {
            let words = format!(
                "{} came, {} a second, {} left before they were connected, {} after {} s",
                churn.came, churn.per_second, churn.early, churn.stayed, churn.stay
            );
            line(f, "visitors", &words)?;
            for (reason, count) in &churn.failed {
                line(f, "", &format!("{count} failed: {reason}"))?;
            }
        }
        line(f, "server", &process(self.server.as_ref(), self.seconds))?;
        line(
            f,
            "generator",
            &process(self.generator.as_ref(), self.seconds),
        )
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, words: &str) -> fmt::Result {
    writeln!(f, "  {name:<11}{words}")
}

fn plural(count: usize, word: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {word}{end}")
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64 * 100.0
}

fn traffic(traffic: &Traffic, seconds: f64) -> String {
    let seconds = seconds.max(1e-9);
    format!(
        "{} packets of media ({:.0}/s, {:.1} Mbit/s), {} of audio; {} retransmissions, {} of RTCP",
        traffic.packets,
        traffic.packets as f64 / seconds,
        traffic.bits as f64 / seconds / 1e6,
        traffic.audio_packets,
        traffic.retransmissions,
        traffic.rtcp
    )
}

fn percentiles(found: Option<&Percentiles>, words: &str) -> String {
    match found {
        Some(found) => format!(
            "p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, max {:.2} ms ({}, {words})",
            found.p50, found.p90, found.p99, found.max, found.count
        ),
        None => format!("unknown: none came ({words})"),
    }
}

fn process(found: Option<&ProcessUse>, seconds: f64) -> String {
    let Some(found) = found else {
        return "unknown: not a process of this machine, or no /proc (see --pid)".to_owned();
    };
    let cores = (found.user_seconds + found.system_seconds) / seconds.max(1e-9) * 100.0;
    let each = match found.seconds_per_million {
        Some(each) => format!("{each:.2} s per million packets received"),
        None => "no packet was received".to_owned(),
    };
    format!(
        "{each}; {:.2} s user, {:.2} s system, {cores:.0} % of a core; {:.0} MiB",
        found.user_seconds,
        found.system_seconds,
        found.resident_bytes as f64 / (1 << 20) as f64
    )
}
