//! Limits on this process and whatever it becomes or starts.

use std::{fs, io, os::unix::fs::MetadataExt};

use launcher_core::children::Limits;
use rustix::process::{
    Resource, Rlimit, getpriority_process, getrlimit, getuid, setpriority_process, setrlimit,
    setsid,
};

/// What says to the kernel how readily a process is killed when memory runs
/// out, from -1000 to 1000 (proc(5)). A child goes before the launcher does.
const SACRIFICE: &str = "500";

/// How much a keeper is preferred, from -20 to 19 (setpriority(2)).
const EAGER: i32 = -20;

/// Lets this process have the processor before what it watches over, where it
/// may: only root may. Gives what it was before.
///
/// Where sessions share the processor evenly (sched(7), autogroup), what counts
/// is the session's own value; so this has to be a session of its own.
pub(super) fn be_eager() -> i32 {
    let before = getpriority_process(None).unwrap_or_default();
    if setsid().is_ok() && setpriority_process(None, EAGER).is_ok() {
        fs::write("/proc/self/autogroup", EAGER.to_string()).ok();
    }
    before
}

/// Undoes [`be_eager`], in a session of its own.
///
/// # Errors
///
/// The kernel refuses it.
pub(super) fn be_patient(before: i32) -> io::Result<()> {
    setsid()?;
    setpriority_process(None, before)?;
    Ok(())
}

/// Limits this process for good.
///
/// # Errors
///
/// The kernel refuses one of the limits.
pub(super) fn apply(limits: &Limits) -> io::Result<()> {
    // Data is what can be written and is not shared: unlike address space, it
    // is what a program really asked for (setrlimit(2), since Linux 4.7).
    limit(Resource::Data, limits.memory)?;
    limit(Resource::Nofile, limits.open_files)?;
    limit(Resource::Core, 0)?;
    if let Some(cpu) = limits.cpu {
        // Told by a signal at the first bound, killed at the second.
        let seconds = cpu.as_secs().max(1);
        limit(Resource::Cpu, seconds.saturating_add(1))?;
        let bounds = Rlimit { current: Some(seconds), ..getrlimit(Resource::Cpu) };
        setrlimit(Resource::Cpu, bounds)?;
    }
    // Counts every thread of the user, whoever started it, and does not hold for
    // root: so it says little about this child. Its keeper counts what is its
    // own; this only stops what is so fast that it fills the machine meanwhile.
    if !getuid().is_root() {
        let most = threads_of_user().saturating_add(Limits::MOST_PROCESSES.into());
        limit(Resource::Nproc, most)?;
    }
    // Best effort: without it, the kernel chooses by size alone.
    fs::write("/proc/self/oom_score_adj", SACRIFICE).ok();
    Ok(())
}

/// Sets a limit, or leaves it where it is if that is lower already.
fn limit(resource: Resource, value: u64) -> io::Result<()> {
    let value = getrlimit(resource).maximum.map_or(value, |most| most.min(value));
    setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?;
    Ok(())
}

/// How many threads the user of this process has.
fn threads_of_user() -> u64 {
    let user = getuid().as_raw();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| fs::metadata(process.path().join("task")).ok())
        .filter(|tasks| tasks.uid() == user)
        // Each thread is a folder in it, and each folder a link to it.
        .map(|tasks| tasks.nlink().saturating_sub(2))
        .sum()
}
