//! Runs a program that ends with the benchmark, however the benchmark ends.
//!
//! Only a process itself can ask the system for a signal when its parent is
//! gone. So the benchmark starts itself with [`FLAG`]; that copy asks, allows
//! itself as many open files as it may have, and becomes the program.
//!
//! The limit on open files is raised for both programs: the usual 1,024 would
//! end the plain one long before fifty bots.

use std::{
    env,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{self, Child, Command, ExitCode, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use fs_err::File;
use rustix::process::{
    Pid, Resource, Rlimit, Signal, getppid, getrlimit, kill_process,
    set_parent_process_death_signal, setrlimit,
};

use crate::error::BenchError;

/// The first argument of a copy that is to become another program.
pub(crate) const FLAG: &str = "--become";

/// What a shell says of a program that cannot be run.
const CANNOT_RUN: u8 = 127;

/// How long a program may take to stop when asked; the launcher takes at most
/// ten seconds.
const STOP: Duration = Duration::from_secs(20);

/// How often a program is asked whether it has ended. The system offers no
/// wait with a limit.
const POLL: Duration = Duration::from_millis(20);

/// A program that runs; killed when dropped.
#[derive(Debug)]
pub(crate) struct BoundProgram {
    child: Child,
    log: PathBuf,
}

impl BoundProgram {
    /// Starts `program` in `folder`, and writes all it says into `log`.
    ///
    /// From the main thread only: the system means the thread that spawned
    /// when it says parent.
    pub(crate) fn start(
        program: &Path,
        arguments: &[String],
        folder: &Path,
        log: PathBuf,
    ) -> Result<Self, BenchError> {
        let output = File::create(&log).map_err(BenchError::files)?.into_file();
        let errors = output.try_clone().map_err(BenchError::files)?;
        let spawn = |source| BenchError::Spawn { program: program.to_path_buf(), source };
        let child = Command::new(env::current_exe().map_err(spawn)?)
            .args([FLAG, &process::id().to_string()])
            .arg(program)
            .args(arguments)
            .current_dir(folder)
            // More or less logging than usual costs more or less than usual.
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(spawn)?;
        Ok(Self { child, log })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Everything that it has said so far.
    pub(crate) fn log_text(&self) -> Result<String, BenchError> {
        fs_err::read_to_string(&self.log).map_err(BenchError::files)
    }

    /// Fails if it is not running anymore.
    pub(crate) fn demand_running(&mut self) -> Result<(), BenchError> {
        match self.ended() {
            None => Ok(()),
            Some(status) => Err(BenchError::Ended { status, log: self.log.clone() }),
        }
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) -> Result<(), BenchError> {
        self.demand_running()?;
        // An error means that it has just ended, which the wait finds out.
        kill_process(Pid::from_child(&self.child), Signal::TERM).ok();
        let end = Instant::now() + STOP;
        while self.ended().is_none() {
            if Instant::now() > end {
                return Err(BenchError::StillRunning { waited: STOP, log: self.log.clone() });
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for BoundProgram {
    fn drop(&mut self) {
        if self.ended().is_none() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// Does what the module promises. Returns only if that fails.
pub(crate) fn become_program(arguments: &[&str]) -> ExitCode {
    let [parent, program, rest @ ..] = arguments else {
        return ExitCode::from(2);
    };
    let asked = set_parent_process_death_signal(Some(Signal::TERM)).and_then(|()| {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    });
    let alive = getppid().is_some_and(|pid| pid.as_raw_nonzero().to_string() == *parent);
    if !alive {
        // The parent ended before the question was asked, so no signal comes.
        return ExitCode::FAILURE;
    }
    let error = match asked {
        Ok(()) => Command::new(program).args(rest).exec(),
        Err(errno) => errno.into(),
    };
    crate::progress::complain(&format!("running {program}: {error}"));
    ExitCode::from(CANNOT_RUN)
}
