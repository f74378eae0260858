//! The launcher's own program as it starts a child, in two steps.
//!
//! The *keeper* watches over the child and everything that descends from it.
//! The *starter* limits itself and becomes the child. They are processes of
//! their own, so what they do to themselves harms nobody, and it takes nothing
//! but safe calls.
//!
//! Each has a socket in place of its standard input. Over it comes the file
//! that is to be the child's, and by it they know whether whoever started them
//! is still there.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io::{self, Write},
    os::{
        fd::AsFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    process::{Command, ExitCode},
    time::Duration,
};

use launcher_core::children::Limits;
use rustix::{
    event::Timespec,
    io::Errno,
    process::{Signal, set_parent_process_death_signal},
    stdio::dup2_stdin,
};

use super::{keeper, limits, pass};

/// The first argument by which the program knows that it is to be a part of
/// this. Nobody types it.
const MARK: &str = "__child";

const KEEP: &str = "keep";
const START: &str = "start";

/// Where the program that runs finds itself, even if it was replaced on disk.
pub(super) const ITSELF: &str = "/proc/self/exe";

/// Does what a process that was started by [`super::start`] has to do, and
/// gives its exit status; `None` in any other process.
///
/// To be called first of all in `main`, while there is one thread and nothing
/// is open.
pub fn dispatch() -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    if arguments.next()? != MARK {
        return None;
    }
    let step = arguments.next()?;
    let code = match Job::parse(arguments) {
        Some(job) if step == KEEP => keeper::keep(job),
        Some(job) if step == START => become_child(&job),
        _ => ExitCode::FAILURE,
    };
    Some(code)
}

/// What is to be started, and within which limits.
pub(super) struct Job {
    pub(super) limits: Limits,
    /// How long the child has to end by itself when nobody needs it any more.
    pub(super) grace: Duration,
    /// The child's priority (setpriority(2)), for its starter.
    pub(super) priority: i32,
    pub(super) program: OsString,
    pub(super) arguments: Vec<OsString>,
}

impl Job {
    /// The arguments of a keeper for this job.
    pub(super) fn for_keeper(&self) -> Vec<OsString> {
        self.arguments(KEEP)
    }

    /// The arguments of a starter for this job.
    pub(super) fn for_starter(&self) -> Vec<OsString> {
        self.arguments(START)
    }

    fn arguments(&self, step: &str) -> Vec<OsString> {
        let Limits { memory, processes, cpu, open_files } = self.limits;
        let cpu = cpu.map_or(0, |cpu| cpu.as_secs().max(1));
        let grace = u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX);
        let numbers = [memory, processes.into(), cpu, open_files, grace];
        let numbers = numbers.map(|number| number.to_string());
        let own = [MARK.to_owned(), step.to_owned(), self.priority.to_string()];
        let own = own.into_iter().chain(numbers);
        let own = own.map(OsString::from).chain([self.program.clone()]);
        own.chain(self.arguments.iter().cloned()).collect()
    }

    fn parse(mut given: impl Iterator<Item = OsString>) -> Option<Self> {
        let priority = given.next()?.to_str()?.parse().ok()?;
        let mut number = || given.next()?.to_str()?.parse::<u64>().ok();
        let (memory, processes, cpu) = (number()?, number()?, number()?);
        let (open_files, grace) = (number()?, Duration::from_millis(number()?));
        let limits = Limits {
            memory,
            processes: processes.try_into().ok()?,
            cpu: (cpu > 0).then(|| Duration::from_secs(cpu)),
            open_files,
        };
        Some(Self { limits, grace, priority, program: given.next()?, arguments: given.collect() })
    }
}

/// The socket that stands in place of the standard input.
pub(super) fn socket() -> io::Result<UnixStream> {
    Ok(io::stdin().as_fd().try_clone_to_owned()?.into())
}

/// Becomes the child. The socket closes by itself then; before that, what
/// keeps it from being one is said there.
fn become_child(job: &Job) -> ExitCode {
    let Ok(mut socket) = socket() else { return ExitCode::FAILURE };
    let error = match prepare(&socket, job) {
        Ok(()) => Command::new(&job.program).args(&job.arguments).exec(),
        Err(error) => error,
    };
    // Nobody is left to be told if this fails.
    write!(socket, "{}", error.raw_os_error().unwrap_or_default()).ok();
    ExitCode::FAILURE
}

fn prepare(socket: &UnixStream, job: &Job) -> io::Result<()> {
    let input = match pass::receive(socket)? {
        Some(input) => input,
        None => File::open("/dev/null")?.into(),
    };
    dup2_stdin(input)?;
    // Should the keeper be killed, there is nobody to watch over the child.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if pass::any_is_ready(&[socket.as_fd()], now)? {
        return Err(Errno::PIPE.into());
    }
    limits::be_patient(job.priority)?;
    limits::apply(&job.limits)
}
