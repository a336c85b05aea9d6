//! What the system grants: socket buffers and open files.

use super::finding::Finding;
use crate::runtime::{KernelBuffer, MediaSocket};

const BUFFERS: &str = "buffers";
const FILES: &str = "open files";
/// Each participant takes one, another by TURN or TCP; allocations of TURN may be 4,096.
const ENOUGH_FILES: u64 = 8_192;

/// Looks at both.
pub(super) fn check() -> Vec<Finding> {
    let mut findings = match MediaSocket::bind(0) {
        Ok(socket) => buffers(&socket.kernel_buffers()),
        Err(error) => vec![Finding::not_checked(BUFFERS, error.to_string())],
    };
    findings.extend(open_files().map(files));
    findings
}

fn buffers(granted: &[KernelBuffer]) -> Vec<Finding> {
    let small: Vec<&KernelBuffer> = granted.iter().filter(|one| one.size < one.asked).collect();
    if small.is_empty() {
        let sizes = granted
            .iter()
            .map(|one| format!("{} to {}", kibibytes(one.size), one.name));
        let sizes = sizes.collect::<Vec<_>>().join(", ");
        return vec![Finding::ok(BUFFERS, format!("the kernel grants {sizes}"))];
    }
    let less = |one: &KernelBuffer| {
        Finding::warning(
            BUFFERS,
            format!(
                "the kernel grants {} to {}, of {} that the server asks for: it drops packets when they come in bursts",
                kibibytes(one.size),
                one.name,
                kibibytes(one.asked)
            ),
            format!(
                "put `{} = {}` into /etc/sysctl.d/60-crosspoint.conf, then: sysctl --system",
                one.setting,
                2 * one.asked
            ),
        )
    };
    small.into_iter().map(less).collect()
}

fn kibibytes(bytes: usize) -> String {
    format!("{} KiB", bytes / 1024)
}

fn files(most: u64) -> Finding {
    if most >= ENOUGH_FILES {
        return Finding::ok(FILES, format!("{most} are allowed"));
    }
    Finding::warning(
        FILES,
        format!("{most} are allowed, and each participant takes one or two"),
        "LimitNOFILE=65536 in the unit of systemd, or ulimit -n 65536 before the server is started",
    )
}

/// How many this process may have; `None` where that is not known.
fn open_files() -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::resource::{Resource, getrlimit};
        getrlimit(Resource::RLIMIT_NOFILE)
            .ok()
            .map(|(_, most)| most)
    }
    #[cfg(not(target_os = "linux"))]
    None
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    #[test]
    fn what_is_too_small_is_named_with_its_setting() {
        let buffer = |size| KernelBuffer {
            name: "receive",
            size,
            asked: 4_194_304,
            setting: "net.core.rmem_max",
        };
        assert_eq!(buffers(&[buffer(4_194_304)])[0].outcome, Outcome::Ok);
        let small = &buffers(&[buffer(425_984)])[0];
        assert_eq!(small.outcome, Outcome::Warning);
        assert!(
            small.seen.contains("416 KiB to receive, of 4096 KiB"),
            "{small:?}"
        );
        let fix = small.fix.as_ref().unwrap();
        assert!(fix.contains("net.core.rmem_max = 8388608"), "{fix}");
        assert_eq!(files(65_536).outcome, Outcome::Ok);
        assert_eq!(files(1_024).outcome, Outcome::Warning);
    }
}
