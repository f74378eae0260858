//! A folder with little room, for tests of what happens when a disk is full.
//!
//! The folder becomes a `tmpfs` of a given size, but only inside a mount
//! namespace that belongs to the disk; for everybody else the folder stays
//! what it was. A program sees the disk if its command was wrapped. Because
//! the namespace is not that of one program, the disk outlives the program: a
//! test can fill it before a start and find its files after the end.
//!
//! No privileges are needed, only a kernel that lets ordinary users make
//! namespaces, as Debian's does. Programs inside believe to be root. They are
//! not: outside their namespace they have the rights of whoever started them.

use std::{
    ffi::{OsStr, OsString},
    io::{BufRead, BufReader, ErrorKind, Write},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    TestbedError,
    process::{GuardedProcess, Stdout, tail},
};

/// Mounts the disk, says so, and holds the namespace until its input ends.
const HOLD: &str =
    r#"mount -t tmpfs -o "size=$2k,mode=0700" launcher-test "$1" && echo mounted && exec cat"#;

/// Entering a namespace leads to its root folder, and a way back that was
/// opened outside would still lead outside; so the folder is found again.
const GO_ON: &str = r#"cd "$0" && exec "$@""#;

/// What takes the room that a full disk has not.
const BALLAST: &str = ".ballast";

/// What a `tmpfs` gives at a time; less would end with room to spare.
const PAGE: usize = 4096;

/// A folder that has little room, for those who were started inside.
///
/// The disk and what is on it go when this is dropped and the last program
/// inside has ended.
#[derive(Debug)]
pub struct SmallDisk {
    folder: PathBuf,
    size_kib: u64,
    holder: GuardedProcess,
    _log: TempDir,
}

impl SmallDisk {
    /// Makes a disk of `size_kib` KiB, empty, on a folder that exists.
    ///
    /// A `tmpfs` counts in pages of 4 KiB: a file of one byte takes one. It
    /// can always make empty files, and write over what is there already.
    ///
    /// # Errors
    ///
    /// [`TestbedError::NoSmallDisk`] where the kernel does not allow it.
    pub fn start(folder: &Path, size_kib: u64) -> Result<Self, TestbedError> {
        let folder = fs_err::canonicalize(folder).map_err(TestbedError::files)?;
        let temporary =
            tempfile::Builder::new().prefix("testbed-").tempdir().map_err(TestbedError::files)?;
        let log = temporary.path().join("disk.log");
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--map-root-user", "--", "sh", "-c", HOLD, "sh"])
            .arg(&folder)
            .arg(size_kib.to_string());
        let mut holder = GuardedProcess::spawn(&mut command, &log, Stdout::Piped)?;
        let mut said = String::new();
        if let Some(stdout) = holder.take_stdout() {
            BufReader::new(stdout).read_line(&mut said).map_err(TestbedError::files)?;
        }
        if said.trim_end() != "mounted" {
            return Err(TestbedError::NoSmallDisk { folder, tail: tail(&log) });
        }
        Ok(Self { folder, size_kib, holder, _log: temporary })
    }

    /// The folder, as the programs inside name it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The same command, but inside. The process that it starts is the program
    /// itself, with the id that the caller gets, and not one that has it run.
    ///
    /// Takes over the program, its arguments, its folder and what was set or
    /// removed in its environment. The rest cannot be asked of a command: to
    /// redirect it, or to give it a group of its own, do so after this.
    pub fn wrap(&self, command: &Command) -> Command {
        let here = command.get_current_dir().unwrap_or(Path::new("."));
        let mut wrapped = Command::new("nsenter");
        wrapped
            .arg("--target")
            .arg(self.holder.id().to_string())
            // Whoever enters another's namespace is made root, which only root
            // may be; whoever made it is root there already.
            .args(["--user", "--preserve-credentials", "--mount", "--", "sh", "-c", GO_ON])
            .arg(std::path::absolute(here).unwrap_or_else(|_| here.to_path_buf()))
            .arg(named_from_here(command.get_program()))
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        wrapped
    }

    /// Where to find something from outside that is at `path` inside; `path`
    /// is absolute.
    ///
    /// The kernel leads there, so it can be used as any path can, by the user
    /// who made the disk and by root.
    pub fn inside(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Takes all the room that is left, and returns how many KiB that was.
    ///
    /// A program that deletes something has room again; so this can be called
    /// again.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Files`] when anything but a full disk ends it.
    pub fn fill(&self) -> Result<u64, TestbedError> {
        let (mut file, _) = fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.ballast())
            .map_err(TestbedError::files)?
            .into_parts();
        let page = [b'x'; PAGE];
        let mut taken = 0;
        // No more than the size: if this were another disk, it would be spared.
        while taken * (PAGE as u64) <= self.size_kib * 1024 {
            match file.write_all(&page) {
                Ok(()) => taken += 1,
                Err(error) if error.kind() == ErrorKind::StorageFull => {
                    return Ok(taken * (PAGE as u64) / 1024);
                }
                Err(error) => return Err(TestbedError::files(error)),
            }
        }
        Err(TestbedError::files(std::io::Error::other("the small disk takes more than its size")))
    }

    /// Gives back the room that [`Self::fill`] took.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Files`] when it took none.
    pub fn free(&self) -> Result<(), TestbedError> {
        fs_err::remove_file(self.ballast()).map_err(TestbedError::files)
    }

    /// Lets nobody write on the disk. Nobody may have a file open for writing.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Tool`] when somebody has.
    pub fn make_read_only(&self) -> Result<(), TestbedError> {
        self.remount("remount,ro")
    }

    /// Lets everybody write again.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Tool`] when the system refuses.
    pub fn make_writable(&self) -> Result<(), TestbedError> {
        self.remount("remount,rw")
    }

    fn remount(&self, how: &str) -> Result<(), TestbedError> {
        let mut mount = Command::new("mount");
        mount.args(["-o", how]).arg(&self.folder).current_dir("/");
        let output = self.wrap(&mount).output().map_err(TestbedError::files)?;
        if output.status.success() {
            return Ok(());
        }
        Err(TestbedError::Tool {
            program: "mount".into(),
            status: output.status,
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    fn ballast(&self) -> PathBuf {
        self.inside(&self.folder).join(BALLAST)
    }
}

/// A program that is given as a path is found from the caller's folder, not
/// from the one it is to run in.
fn named_from_here(program: &OsStr) -> OsString {
    let path = Path::new(program);
    if path.components().count() < 2 {
        return program.to_owned();
    }
    std::path::absolute(path).map_or_else(|_| program.to_owned(), PathBuf::into_os_string)
}
