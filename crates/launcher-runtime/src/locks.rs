//! One owner per agent folder and per crypto store.
//!
//! The locks are advisory locks (`flock`) of the operating system on an empty
//! file, so they end with the process, however it ends, and a lock file that
//! was left behind blocks nobody.

use std::{
    collections::BTreeMap,
    fs::TryLockError,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use fs_err::{self as fs, File, OpenOptions, os::unix::fs::OpenOptionsExt};
use launcher_core::{agent::AgentId, fault::Fault, spec::AgentSpec};

/// The lock file's name, in the agent's data folder and in its store's folder.
pub const LOCK_FILE: &str = "launcher.lock";

/// The locks this process holds, by agent.
#[derive(Debug, Default)]
pub struct Locks {
    held: Mutex<BTreeMap<AgentId, Vec<(PathBuf, File)>>>,
}

impl Locks {
    /// Takes the locks of an agent, and makes its folders (0700) if they are
    /// not there. Does nothing if this process holds them already.
    ///
    /// # Errors
    ///
    /// [`Fault::StoreLocked`] if another process holds one of them,
    /// [`Fault::StoreUnusable`] if a folder cannot be made or written to.
    pub fn acquire(&self, spec: &AgentSpec) -> Result<(), Fault> {
        let paths = [spec.data_folder(), spec.encryption.store_path.clone()];
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(files) = held.get(&spec.id)
            && files.iter().map(|(path, _)| path).eq(&paths)
            && files.iter().all(|(folder, file)| is_in_place(folder, file))
        {
            return Ok(());
        }
        held.remove(&spec.id);
        let mut files = Vec::new();
        for folder in paths {
            let file = lock_folder(&folder)?;
            files.push((folder, file));
        }
        held.insert(spec.id.clone(), files);
        Ok(())
    }

    /// Lets go of an agent's locks.
    pub fn release(&self, agent: &AgentId) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(agent);
    }
}

/// Whether a lock is on the file that is there now: somebody may have moved the
/// folder aside and expects a new one.
fn is_in_place(folder: &Path, held: &File) -> bool {
    let inode = |found: std::io::Result<std::fs::Metadata>| found.map(|file| file.ino()).ok();
    let now = inode(fs::metadata(folder.join(LOCK_FILE)));
    now.is_some() && now == inode(held.metadata())
}

/// Locks a folder, making it if need be.
///
/// # Errors
///
/// As [`Locks::acquire`].
pub fn lock_folder(folder: &Path) -> Result<File, Fault> {
    let unusable = |error: std::io::Error| Fault::StoreUnusable {
        path: folder.to_owned(),
        detail: error.to_string(),
    };
    make_private_folder(folder).map_err(unusable)?;
    let path = folder.join(LOCK_FILE);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(unusable)?;
    match file.file().try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Fault::StoreLocked { path: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

/// Makes a folder and those above it that are missing, readable by its owner only.
///
/// # Errors
///
/// Those of the operating system.
pub fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The process that holds a folder's lock, as far as the system tells.
pub fn holder(folder: &Path) -> Option<u32> {
    let inode = fs::metadata(folder.join(LOCK_FILE)).ok()?.ino();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(4);
        let pid = fields.next()?;
        let file = fields.next()?;
        file.ends_with(&format!(":{inode}")).then(|| pid.parse().ok())?
    })
}
