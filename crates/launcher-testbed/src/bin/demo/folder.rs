//! The demo's folder: everything that the demo writes is in here.
//!
//! ```text
//! .cache/demo/
//!   config.yaml, .env      what the launcher reads, written at every run
//!   agents/<id>/           the samples' config.yaml, copied at every run; data/ stays
//!   launcher.log           this run's; that of the run before is launcher.log.1
//!   synapse/               the homeserver with its accounts and rooms
//!   memory.json            what the next run continues with
//! ```
//!
//! Two demos in one folder would share a database. So it is locked, and the
//! launcher inherits the lock: it holds until both have ended.

use std::{
    fs::TryLockError,
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use fs_err::{File, OpenOptions, os::unix::fs::OpenOptionsExt};
use rustix::process::{Pid, test_kill_process};

use crate::{
    error::DemoError,
    memory::Memory,
    progress::say,
    secrets::{self, Secrets},
    signals::Interruption,
};

/// The sample agents that the demo runs.
pub(crate) const SAMPLES: [&str; 2] = ["echo", "parrot"];

/// How long the rest of a killed demo may keep the folder: the launcher is
/// given ten seconds to stop.
const LEFTOVERS: Duration = Duration::from_secs(12);

/// How often the lock is tried.
const POLL: Duration = Duration::from_millis(100);

/// Only the owner may read or enter; there are secrets inside.
const PRIVATE_FOLDER: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

const CONFIG: &str = "\
# Made by `make demo` at every run; the samples in agents/ are copied, too.
agents_dir: ./agents
log: { format: json, level: info }
";

/// The folder, locked for this process and the launcher.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    samples: PathBuf,
    lock: File,
}

impl Folder {
    /// Makes the folder if it is not there, and locks it.
    pub(crate) fn open(root: PathBuf, interruption: &Interruption) -> Result<Self, DemoError> {
        let path = root.join(".cache/demo");
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(PRIVATE_FOLDER)
            .create(&path)
            .map_err(DemoError::files)?;
        let lock = lock(&path.join("lock"), interruption)?;
        Ok(Self { path, samples: root.join("agents"), lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path.join("config.yaml")
    }

    pub(crate) fn env_file(&self) -> PathBuf {
        self.path.join(".env")
    }

    pub(crate) fn synapse(&self) -> PathBuf {
        self.path.join("synapse")
    }

    pub(crate) fn launcher_log(&self) -> PathBuf {
        self.path.join("launcher.log")
    }

    pub(crate) fn client_log(&self) -> PathBuf {
        self.path.join("client.log")
    }

    /// The lock, for a child that is to hold it, too.
    pub(crate) fn lock(&self) -> io::Result<std::fs::File> {
        self.lock.file().try_clone()
    }

    pub(crate) fn recall(&self) -> Memory {
        Memory::recall(&self.path.join("memory.json"))
    }

    pub(crate) fn remember(&self, memory: &Memory) -> Result<(), DemoError> {
        write_private(&self.path.join("memory.json"), &memory.text())
    }

    /// The secrets of the last run, completed.
    pub(crate) fn secrets(&self) -> Result<Secrets, DemoError> {
        let before = match fs_err::read_to_string(self.env_file()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.map_err(DemoError::files)?,
        };
        Secrets::complete(&before, &SAMPLES, &mut secrets::from_system)
    }

    /// Writes everything that the launcher reads.
    pub(crate) fn write(
        &self,
        secrets: &Secrets,
        homeserver: &str,
        server_name: &str,
    ) -> Result<(), DemoError> {
        write_private(&self.env_file(), &secrets.env_file(homeserver, server_name))?;
        fs_err::write(self.config(), CONFIG).map_err(DemoError::files)?;
        for agent in SAMPLES {
            let to = self.path.join("agents").join(agent);
            fs_err::create_dir_all(&to).map_err(DemoError::files)?;
            let from = self.samples.join(agent).join("config.yaml");
            fs_err::copy(from, to.join("config.yaml")).map_err(DemoError::files)?;
        }
        Ok(())
    }
}

fn lock(path: &Path, interruption: &Interruption) -> Result<File, DemoError> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(PRIVATE_FILE)
        .open(path)
        .map_err(DemoError::files)?;
    let started = Instant::now();
    let mut told = false;
    loop {
        match file.file().try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => return Err(DemoError::files(error)),
            Err(TryLockError::WouldBlock) => {}
        }
        let holder = fs_err::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
        let is_alive =
            holder.and_then(Pid::from_raw).is_some_and(|pid| test_kill_process(pid).is_ok());
        if is_alive || started.elapsed() > LEFTOVERS {
            return Err(DemoError::Busy { holder });
        }
        if !told {
            say("waiting for the end of a demo that was killed");
            told = true;
        }
        interruption.check()?;
        thread::sleep(POLL);
    }
    let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(DemoError::files)?;
    Ok(file)
}

/// Writes a file that nobody else may read, all of it or nothing.
fn write_private(path: &Path, text: &str) -> Result<(), DemoError> {
    let new = path.with_added_extension("new");
    // One that was left over may be readable for others, and would stay so.
    if new.exists() {
        fs_err::remove_file(&new).map_err(DemoError::files)?;
    }
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(PRIVATE_FILE)
        .open(&new)
        .map_err(DemoError::files)?;
    file.write_all(text.as_bytes()).map_err(DemoError::files)?;
    fs_err::rename(new, path).map_err(DemoError::files)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_file_is_replaced_and_stays_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".env");
        write_private(&path, "A=1\n").unwrap();
        write_private(&path, "A=2\n").unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "A=2\n");
        let mode = fs_err::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, PRIVATE_FILE);
        assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 1);
    }
}
