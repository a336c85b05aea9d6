//! The processor time of one thread of this process, as Linux tells it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A thread that is watched.
pub(crate) struct ThreadClock {
    task: PathBuf,
}

impl ThreadClock {
    /// The youngest thread of this name, which it may be about to take.
    pub(crate) fn of(name: &str) -> Self {
        for _ in 0..1_000 {
            if let Some(clock) = Self::find(name) {
                return clock;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("no thread is called {name}");
    }

    fn find(name: &str) -> Option<Self> {
        let tasks = fs::read_dir("/proc/self/task").expect("Linux");
        let task = tasks
            .filter_map(|task| Some(task.ok()?.path()))
            .filter(|task| {
                fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name)
            })
            .max_by_key(|task| id(task));
        task.map(|task| Self { task })
    }

    /// Gives the thread the first core and all others of this process the rest, as far as the system lets it.
    pub(crate) fn pin(&self) {
        let all = std::process::id();
        for (id, cores, every) in [(all.into(), "1-64", true), (id(&self.task), "0", false)] {
            let _ = Command::new("taskset")
                .arg(if every { "-apc" } else { "-pc" })
                .arg(cores)
                .arg(id.to_string())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }

    /// Processor time so far, user and system.
    pub(crate) fn read(&self) -> Duration {
        let text = fs::read_to_string(self.task.join("schedstat")).expect("schedstat");
        let nanos = text.split(' ').next().and_then(|first| first.parse().ok());
        Duration::from_nanos(nanos.expect("nanoseconds"))
    }
}

fn id(task: &std::path::Path) -> u64 {
    let name = task.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.parse().ok()).unwrap_or(0)
}
