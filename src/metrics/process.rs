//! What the process uses, in the names that Prometheus' own clients give it, which only Linux tells; and its tasks.

use super::{Kind, Text};
use crate::load::measure::sample_process;

pub(super) fn write(text: &mut Text, started: f64) {
    let help = "When the process began, in seconds since 1970.";
    text.one("process_start_time_seconds", Kind::Gauge, help, started);
    if let Some(sample) = sample_process(std::process::id()) {
        let help = "Processor time, in user mode and in the kernel.";
        let seconds = (sample.user + sample.system).as_secs_f64();
        text.one("process_cpu_seconds_total", Kind::Counter, help, seconds);
        let help = "Resident memory.";
        let bytes = sample.resident as f64;
        text.one("process_resident_memory_bytes", Kind::Gauge, help, bytes);
    }
    if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
        let help = "Open file handles.";
        // One of them reads this.
        let open = entries.count().saturating_sub(1) as f64;
        text.one("process_open_fds", Kind::Gauge, help, open);
    }
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        let help =
            "Tasks that are not over: those of the server itself, and some for each connection.";
        let tasks = runtime.metrics().num_alive_tasks() as f64;
        text.one("crosspoint_tasks", Kind::Gauge, help, tasks);
    }
    if let Some(most) = max_handles() {
        let help = "File handles that may be open.";
        text.one("process_max_fds", Kind::Gauge, help, most as f64);
    }
}

#[cfg(target_os = "linux")]
fn max_handles() -> Option<u64> {
    use nix::sys::resource::{Resource, getrlimit};
    getrlimit(Resource::RLIMIT_NOFILE)
        .ok()
        .map(|(soft, _)| soft)
}

#[cfg(not(target_os = "linux"))]
fn max_handles() -> Option<u64> {
    None
}
