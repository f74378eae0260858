//! Everything that descends from this process, as `/proc` shows it.
//!
//! This process has to be their subreaper (`prctl(2)`, `PR_SET_CHILD_SUBREAPER`):
//! then what loses its parent becomes its child, and nothing leaves the tree.

use std::{
    fs,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, wait};

/// How long to wait between two rounds of killing.
const ROUND: Duration = Duration::from_millis(2);

/// Counts the processes and threads below this process; stops counting at
/// `enough`. Ended processes that nobody has waited for count as well.
pub(super) fn count(enough: usize) -> usize {
    let mut found = 0;
    let mut waiting = Process::of(getpid()).children;
    while let Some(pid) = waiting.pop() {
        let process = Process::of(pid);
        found += process.threads.max(1);
        if found >= enough {
            break;
        }
        waiting.extend(process.children);
    }
    found
}

/// Waits for every child of this process that has ended, but for `spared`.
pub(super) fn reap(spared: Pid) {
    for pid in Process::of(getpid()).children.into_iter().filter(|pid| *pid != spared) {
        rustix::process::waitpid(Some(pid), WaitOptions::NOHANG).ok();
    }
}

/// Kills everything below this process and waits until it is gone, but not
/// longer than `patience`: a disk that does not answer can hold a process.
///
/// `false`: something is left.
pub(super) fn end_all(patience: Duration) -> bool {
    let started = Instant::now();
    loop {
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        let mut waiting = Process::of(getpid()).children;
        if waiting.is_empty() {
            return true;
        }
        while let Some(pid) = waiting.pop() {
            // A stopped process starts no other, so all of its children are seen.
            kill_process(pid, Signal::STOP).ok();
            waiting.extend(Process::of(pid).children);
            kill_process(pid, Signal::KILL).ok();
        }
        if started.elapsed() >= patience {
            return false;
        }
        std::thread::sleep(ROUND);
    }
}

/// A process, or one that is gone.
#[derive(Default)]
struct Process {
    threads: usize,
    children: Vec<Pid>,
}

impl Process {
    fn of(pid: Pid) -> Self {
        let mut process = Self::default();
        let tasks = fs::read_dir(format!("/proc/{}/task", pid.as_raw_pid()));
        // Each thread has the children that it started itself.
        for task in tasks.into_iter().flatten().flatten() {
            process.threads += 1;
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            let pids = children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
            process.children.extend(pids.filter_map(Pid::from_raw));
        }
        process
    }
}
