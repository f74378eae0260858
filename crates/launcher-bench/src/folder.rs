//! The benchmark's folder: everything that it writes is in here.
//!
//! It is emptied before a run, so that nothing of an earlier one can speed up
//! or slow down this one, and after a run that came to a result. What a run
//! that did not leaves behind is for whoever wants to know why.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use launcher_testbed::testbed_root;

use crate::error::BenchError;

/// The folder, for this process only.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes an empty folder.
    pub(crate) fn open() -> Result<Self, BenchError> {
        let cache = testbed_root().join(".cache");
        fs_err::create_dir_all(&cache).map_err(BenchError::files)?;
        let lock = fs_err::File::create(cache.join("bench.lock")).map_err(BenchError::files)?;
        let lock = lock.into_file();
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BenchError::Busy),
            Err(TryLockError::Error(source)) => return Err(BenchError::files(source)),
        }
        let folder = Self { path: cache.join("bench"), _lock: lock };
        folder.clear()?;
        fs_err::create_dir(&folder.path).map_err(BenchError::files)?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a folder inside.
    pub(crate) fn make(&self, name: &str) -> Result<PathBuf, BenchError> {
        let path = self.path.join(name);
        fs_err::create_dir(&path).map_err(BenchError::files)?;
        Ok(path)
    }

    /// Deletes it with all it holds.
    pub(crate) fn clear(&self) -> Result<(), BenchError> {
        if self.path.exists() {
            fs_err::remove_dir_all(&self.path).map_err(BenchError::files)?;
        }
        Ok(())
    }
}
