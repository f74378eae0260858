//! What a process uses, as Linux tells it in `/proc`.

use std::time::Duration;

use rustix::param::clock_ticks_per_second;

use crate::error::BenchError;

/// What a process holds at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holdings {
    /// Proportional set size in KiB: memory that is really there, what is
    /// shared with other processes counted by share.
    pub(crate) proportional: u64,
    /// Resident set size in KiB: the same, shared or not.
    pub(crate) resident: u64,
    /// Open files, sockets and the like.
    pub(crate) handles: u64,
}

impl Holdings {
    /// What a process holds now.
    pub(crate) fn of(pid: u32) -> Result<Self, BenchError> {
        let rollup = read(pid, "smaps_rollup")?;
        let field = |name: &'static str| {
            kibibytes(&rollup, name).ok_or(BenchError::Unreadable { what: name, pid })
        };
        Ok(Self { proportional: field("Pss:")?, resident: field("Rss:")?, handles: handles(pid)? })
    }
}

/// How many open files, sockets and the like a process has.
pub(crate) fn handles(pid: u32) -> Result<u64, BenchError> {
    let entries = fs_err::read_dir(format!("/proc/{pid}/fd")).map_err(BenchError::files)?;
    Ok(entries.count() as u64)
}

/// The time that all threads of a process have spent on a core so far, for
/// itself and in the system. Linux counts it in hundredths of a second.
pub(crate) fn processor_time(pid: u32) -> Result<Duration, BenchError> {
    let ticks = ticks(&read(pid, "stat")?).ok_or(BenchError::Unreadable { what: "stat", pid })?;
    Ok(Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64))
}

fn read(pid: u32, what: &'static str) -> Result<String, BenchError> {
    fs_err::read_to_string(format!("/proc/{pid}/{what}")).map_err(BenchError::files)
}

/// The field `name` of a file of lines such as `Pss:  123 kB`.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// `utime` and `stime`, fields 14 and 15 of `stat` (proc_pid_stat(5)).
fn ticks(stat: &str) -> Option<u64> {
    // Field 2 is the program's name in parentheses, which may hold anything.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_its_own_line() {
        let text =
            "5-7 ---p 0 00:00 0 [rollup]\nRss:      8004 kB\nPss:      6290 kB\nPss_Dirty: 12 kB\n";
        assert_eq!(kibibytes(text, "Pss:"), Some(6290));
        assert_eq!(kibibytes(text, "Rss:"), Some(8004));
        assert_eq!(kibibytes(text, "Swap:"), None);
    }

    #[test]
    fn a_name_with_spaces_and_parentheses_shifts_no_field() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194304 900 0 3 0 250 50 0 0 20 0 9 0 123 456";
        assert_eq!(ticks(stat), Some(300));
    }

    #[test]
    fn this_very_process_holds_something() {
        let holdings = Holdings::of(std::process::id()).unwrap();
        assert!(holdings.proportional > 0 && holdings.proportional <= holdings.resident);
        assert!(holdings.handles >= 3);
    }
}
