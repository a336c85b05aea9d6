//! Processor time and memory of a process, as Linux tells them under `/proc`.

use std::time::Duration;

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProcessSample {
    /// Processor time in user mode, all threads.
    pub(crate) user: Duration,
    /// Processor time in the kernel, all threads.
    pub(crate) system: Duration,
    /// Resident memory, in bytes.
    pub(crate) resident: u64,
}

/// Looks at a process; `None` where there is none of this id, or no `/proc`.
pub(crate) fn sample_process(pid: u32) -> Option<ProcessSample> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (user, system) = times(&stat)?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(ProcessSample {
        user,
        system,
        resident: resident(&status).unwrap_or_default(),
    })
}

/// Fields 14 and 15 of proc_pid_stat(5), in ticks of which Linux has 100 a second wherever `/proc` tells
/// them (USER_HZ).
fn times(stat: &str) -> Option<(Duration, Duration)> {
    // The second field is the program's name in brackets, in which anything can stand.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let mut ticks = || {
        Some(Duration::from_millis(
            fields.next()?.parse::<u64>().ok()? * 10,
        ))
    };
    Some((ticks()?, ticks()?))
}

fn resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_follow_a_name_with_brackets() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194304 1 0 0 0 123 45 0 0 20 0 4 0 100 1 2 3";
        assert_eq!(
            times(stat),
            Some((Duration::from_millis(1_230), Duration::from_millis(450)))
        );
        assert_eq!(times("7 (a) S 1"), None);
    }

    #[test]
    fn memory_is_in_bytes() {
        assert_eq!(resident("Name:\ta\nVmRSS:\t   12 kB\n"), Some(12_288));
        assert_eq!(resident("Name:\ta\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_uses_something() {
        let sample = sample_process(std::process::id()).unwrap();
        assert!(sample.resident > 100_000, "{sample:?}");
        assert_eq!(sample_process(u32::MAX), None);
    }
}
