//! Programs that are started for an agent: commands, robots, tool servers.
//!
//! Each gets the variables that it may have and no other, a folder, limits, and
//! nothing of the launcher's open files. A *keeper* stands between it and the
//! launcher: a process that watches over the child and everything that
//! descends from it, and ends all of that with the child, with the launcher,
//! or when there is too much of it. See [`shim`].
//!
//! The limits guard against programs that are broken or led astray by what
//! people write. They are no wall against a program that means harm: it runs as
//! the launcher's user and could do to the keeper whatever that user can.

mod keeper;
mod limits;
mod lines;
mod pass;
mod report;
pub mod shim;
mod tree;

use std::{
    env, fmt,
    io::{self, PipeReader, PipeWriter},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream as Socket,
    },
    path::Path,
    process::Stdio,
    time::Duration,
};

use launcher_core::children::{Limits, Variables};
use tokio::{
    net::{
        UnixStream,
        unix::pipe::{Receiver, Sender},
    },
    process::{Child as Process, Command},
    time::timeout,
};

use self::{
    report::Report,
    shim::{ITSELF, Job},
};

pub use lines::{Line, Lines};

/// How long to wait for a keeper that was told to end: a little longer than it
/// gives what it watches over. It can take long if a disk does not answer.
const GONE: Duration = Duration::from_secs(3);

/// What tells a keeper that nobody waits for the grace.
const HURRY: &[u8] = b"!";

/// The most bytes that a keeper says in a line.
const LONGEST_REPORT: usize = 64;

/// What is to be started, and how.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The program and its arguments. No shell sees them. A program without a
    /// `/` is looked for in the child's `PATH`, a relative one in `folder`.
    pub run: &'a [String],
    /// Where it works; absolute.
    pub folder: &'a Path,
    /// Its variables.
    pub variables: &'a Variables,
    /// What it may use up.
    pub limits: &'a Limits,
    /// What it is connected to.
    pub streams: Streams,
    /// How long it has to end by itself when its handle is dropped or the
    /// launcher ends: its input closes then.
    pub grace: Duration,
}

/// What a child's standard streams are connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// Nothing to read, and one pipe for both outputs, in their order.
    Joined,
    /// A pipe each.
    Piped,
}

/// A child. Dropping it ends it, with everything that it has started, when its
/// grace is over.
#[derive(Debug)]
pub struct Child {
    /// Its standard input, with [`Streams::Piped`].
    pub input: Option<Sender>,
    /// Its standard output; with [`Streams::Joined`] both outputs.
    pub output: Option<Receiver>,
    /// Its standard error, with [`Streams::Piped`].
    pub errors: Option<Receiver>,
    keeper: Process,
    /// The keeper's end closes with the keeper, and the keeper ends with ours.
    socket: Lines<UnixStream>,
    ending: Option<Ending>,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this status.
    Exited(i32),
    /// It was sent this signal.
    Signaled(i32),
    /// It was ended because it had started more than it may.
    Crowded,
    /// It was ended because its keeper was, or its end was not told.
    Lost,
}

impl fmt::Display for Ending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // signal(7), on the processors that are in use.
        const OUT_OF_TIME: i32 = 24;
        match self {
            Self::Exited(code) => write!(formatter, "exit status {code}"),
            Self::Signaled(OUT_OF_TIME) => formatter.write_str("used up its processor time"),
            Self::Signaled(signal) => write!(formatter, "ended by signal {signal}"),
            Self::Crowded => formatter.write_str("ended because it had started too many processes"),
            Self::Lost => formatter.write_str("ended from outside"),
        }
    }
}

/// Starts a child; it runs when this returns.
///
/// # Errors
///
/// It could not be started. Nothing of it is left then. The text says why
/// without naming files.
///
/// # Cancel safety
///
/// Dropping the future ends the child.
pub async fn start(plan: Plan<'_>) -> io::Result<Child> {
    let (program, arguments) = plan.run.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    if !plan.folder.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "its folder is not there"));
    }
    let job = Job {
        limits: *plan.limits,
        grace: plan.grace,
        priority: 0,
        program: program.into(),
        arguments: arguments.iter().map(Into::into).collect(),
    };
    let (ours, theirs) = Socket::pair()?;
    let (output, writer) = io::pipe()?;
    let (errors, error_writer) = match plan.streams {
        Streams::Joined => (None, writer.try_clone()?),
        Streams::Piped => io::pipe().map(|(reader, writer)| (Some(reader), writer))?,
    };
    let keeper = {
        let mut command = Command::new(ITSELF);
        command
            .args(job.for_keeper())
            .current_dir(plan.folder)
            .env_clear()
            .envs(inherited(plan.variables))
            .envs(plan.variables.set.iter().map(|(name, value)| (name, value.expose())))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(writer)
            .stderr(error_writer);
        // The other ends of the pipes are closed here, with the command.
        command.spawn()?
    };
    let input = match plan.streams {
        Streams::Joined => {
            pass::send(&ours, None)?;
            None
        }
        Streams::Piped => {
            let (reader, writer) = io::pipe()?;
            pass::send(&ours, Some(reader.as_fd()))?;
            Some(sender(writer)?)
        }
    };
    ours.set_nonblocking(true)?;
    let mut child = Child {
        input,
        output: Some(receiver(output)?),
        errors: errors.map(receiver).transpose()?,
        keeper,
        socket: Lines::new(UnixStream::from_std(ours)?, LONGEST_REPORT),
        ending: None,
    };
    match child.report().await {
        Some(Report::Started) => Ok(child),
        Some(Report::Failed(code)) if code > 0 => Err(io::Error::from_raw_os_error(code)),
        _ => Err(io::Error::other("its keeper could not start it")),
    }
}

fn inherited(variables: &Variables) -> impl Iterator<Item = (&str, std::ffi::OsString)> {
    variables.inherited().filter_map(|name| Some((name, env::var_os(name)?)))
}

fn receiver(pipe: PipeReader) -> io::Result<Receiver> {
    Receiver::from_owned_fd(pipe.into())
}

fn sender(pipe: PipeWriter) -> io::Result<Sender> {
    Sender::from_owned_fd(pipe.into())
}

impl Child {
    /// Waits until the child has ended; then everything that it has started
    /// has ended as well. What it wrote can still be read.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; may be called again.
    pub async fn wait(&mut self) -> Ending {
        if let Some(ending) = self.ending {
            return ending;
        }
        let ending = match self.report().await {
            Some(Report::Exited(code)) => Ending::Exited(code),
            Some(Report::Signaled(signal)) => Ending::Signaled(signal),
            Some(Report::Crowded) => Ending::Crowded,
            _ => Ending::Lost,
        };
        self.ending = Some(ending);
        ending
    }

    /// Ends the child and everything that it has started at once, and waits
    /// until all of it is gone, but not for ever.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: they are ended in any case.
    pub async fn kill(self) {
        let Self { socket, mut keeper, .. } = self;
        // There is room for a byte; an error means that the keeper is gone.
        socket.get_ref().try_write(HURRY).ok();
        drop(socket);
        if timeout(GONE, keeper.wait()).await.is_err() {
            // It hangs. What it watches over ends with it, as far as it can.
            keeper.start_kill().ok();
        }
    }

    async fn report(&mut self) -> Option<Report> {
        match self.socket.next().await {
            Ok(Some(Line::Whole(line))) => std::str::from_utf8(&line).ok()?.parse().ok(),
            _ => None,
        }
    }
}
