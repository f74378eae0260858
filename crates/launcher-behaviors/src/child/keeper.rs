//! Watches over one child and everything that it starts.
//!
//! What a child starts can leave its group and its session, but not its
//! keeper, which is the subreaper of all of them. When the child ends, when
//! there are too many of them, and when the launcher wants it or is gone, the
//! keeper ends whatever is there, and ends itself.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::Timespec,
    process::{
        Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, getpid, kill_process_group,
        pidfd_open, set_child_subreaper, waitid,
    },
    stdio::{dup2_stderr, dup2_stdout},
};

use super::{
    limits, pass,
    report::Report,
    shim::{ITSELF, Job, socket},
    tree,
};

/// How often the keeper looks how many there are.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// How long the keeper tries to end what there is.
const PATIENCE: Duration = Duration::from_secs(2);

/// Starts a child, and returns when nothing of it is left.
pub(super) fn keep(job: Job) -> ExitCode {
    let Ok(socket) = socket() else { return ExitCode::FAILURE };
    let report = match Kept::start(job, &socket) {
        Ok(kept) => kept.watch(&socket),
        Err(error) => Some(Report::Failed(error.raw_os_error().unwrap_or_default())),
    };
    if let Some(report) = report {
        say(&socket, report);
    }
    ExitCode::SUCCESS
}

/// If the launcher is gone, nobody wants to know.
fn say(mut socket: &UnixStream, report: Report) {
    writeln!(socket, "{report}").ok();
}

struct Kept {
    child: Pid,
    /// Can be waited for; absent where the kernel is older than 5.3.
    ended: Option<OwnedFd>,
    /// The child and others are more than there may be.
    too_many: usize,
    grace: Duration,
}

impl Kept {
    fn start(job: Job, socket: &UnixStream) -> io::Result<Self> {
        set_child_subreaper(Some(getpid()))?;
        let job = Job { priority: limits::be_eager(), ..job };
        let input = pass::receive(socket)?;
        let (mut ours, theirs) = UnixStream::pair()?;
        let child = Command::new(ITSELF)
            .args(job.for_starter())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()?
            .id();
        let raw = child.try_into().ok().and_then(Pid::from_raw);
        let child = raw.ok_or(io::ErrorKind::InvalidData)?;
        // The child's outputs and input are to close when the child closes them.
        let nowhere = File::options().write(true).open("/dev/null")?;
        dup2_stdout(&nowhere)?;
        dup2_stderr(&nowhere)?;
        pass::send(&ours, input.as_ref().map(OwnedFd::as_fd))?;
        drop(input);
        let mut failure = String::new();
        ours.read_to_string(&mut failure)?;
        if !failure.is_empty() {
            return Err(io::Error::from_raw_os_error(failure.parse().unwrap_or_default()));
        }
        Ok(Self {
            child,
            ended: pidfd_open(child, PidfdFlags::empty()).ok(),
            too_many: usize::try_from(job.limits.processes).unwrap_or(usize::MAX).saturating_add(1),
            grace: job.grace,
        })
    }

    /// Waits for an end and makes it one for everything. `None`: nobody is there
    /// to hear about it.
    fn watch(self, socket: &UnixStream) -> Option<Report> {
        say(socket, Report::Started);
        // When nobody needs it any more.
        let mut until: Option<Instant> = None;
        let report = loop {
            let ended = self.ended.as_ref().map(OwnedFd::as_fd);
            let open = until.is_none().then(|| socket.as_fd());
            let files: Vec<_> = ended.into_iter().chain(open).collect();
            let ready = pass::any_is_ready(&files, LOOK).unwrap_or_default();
            if let Some(report) = self.has_ended() {
                break Some(report);
            }
            if ready && until.is_none() {
                until = Some(Instant::now() + self.grace_after(socket));
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                break None;
            }
            tree::reap(self.child);
            if tree::count(self.too_many) >= self.too_many {
                break Some(Report::Crowded);
            }
        };
        // The child leads a group. That in one blow, while the child's number is
        // still its own; then those that have left it.
        kill_process_group(self.child, Signal::KILL).ok();
        tree::end_all(PATIENCE);
        report
    }

    /// How long the child has to end by itself, now that there is something to
    /// read: an order to hurry, or the end, because the launcher is gone or needs
    /// the child no more.
    fn grace_after(&self, mut socket: &UnixStream) -> Duration {
        match socket.read(&mut [0; 1]) {
            Ok(0) => self.grace,
            _ => Duration::ZERO,
        }
    }

    /// How the child ended; it stays a zombie.
    fn has_ended(&self) -> Option<Report> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(self.child), options).ok().flatten()?;
        Some(report_of(&status))
    }
}

fn report_of(status: &WaitIdStatus) -> Report {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Report::Exited(code),
        (None, signal) => Report::Signaled(signal.unwrap_or_default()),
    }
}
