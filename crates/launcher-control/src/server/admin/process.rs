//! What the operating system says about this process.

use std::{sync::LazyLock, time::Duration};

use fs_err as fs;
use launcher_runtime::stamp;

/// When the launcher first listened, soon after it started.
static START: LazyLock<Duration> = LazyLock::new(|| Duration::from_millis(stamp().0));

/// Notes that the launcher listens.
pub(super) fn note_start() {
    LazyLock::force(&START);
}

/// When that was first noted, since 1970.
pub(super) fn start() -> Duration {
    *START
}

/// Memory that is really there, in bytes; `None` where the system has no `/proc`.
pub(super) fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// Open file handles; `None` where the system has no `/proc`.
pub(super) fn open_handles() -> Option<usize> {
    // One of them is the folder that is being listed.
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_handles_and_a_start() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
        let before = open_handles().unwrap();
        let held: Vec<_> = (0..100).map(|_| fs::File::open("/proc/self/status").unwrap()).collect();
        // Other tests of this process open and close files meanwhile.
        assert!(open_handles().unwrap() > before + 50);
        drop(held);
        assert_eq!(start(), start());
    }
}
