//! The folder with everything that the server keeps.

use std::{
    fs::Permissions,
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use fs_err::{File, OpenOptions, os::unix::fs::OpenOptionsExt};
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{FlockOperation, flock};

use super::migrations;

/// The file with the tables.
const FILE: &str = "messager.db";

/// Held by the server that uses the folder.
const LOCK: &str = "messager.lock";

/// How long to wait for another process that writes, such as `account add`.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The operating system does not let us.
    #[error("cannot use the data folder {}", .folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another server runs on it.
    #[error("another messager runs on the data folder {}", .folder.display())]
    Held {
        /// Which.
        folder: PathBuf,
    },
    /// The file with the tables cannot be read or written.
    #[error("cannot use the tables in the data folder")]
    Tables(#[from] rusqlite::Error),
    /// A newer version of this program has used it.
    #[error("a newer messager has written the tables: version {found}, known are {known}")]
    Newer {
        /// The version of the tables.
        found: u32,
        /// The newest that this program knows.
        known: u32,
    },
    /// What links lead to cannot be looked at.
    #[error("no client for link previews")]
    Client(#[source] reqwest::Error),
    /// A thread could not be made.
    #[error("cannot start the thread that writes")]
    Thread(#[source] io::Error),
}

/// A folder that is there and private.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes it, if it is not there, with tables of this version in it.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub(crate) fn prepare(path: &Path) -> Result<Self, OpenError> {
        let folder = Self { path: path.to_owned() };
        folder.make().map_err(|source| folder.trouble(source))?;
        let mut connection = folder.connections().open()?;
        migrations::migrate(&mut connection)?;
        Ok(folder)
    }

    /// As [`Folder::prepare`], of a folder that a server has made.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; also when there is none.
    pub(crate) fn existing(path: &Path) -> Result<Self, OpenError> {
        let folder = Self { path: path.to_owned() };
        let there = fs_err::metadata(path.join(FILE));
        there.map_err(|source| folder.trouble(source))?;
        Self::prepare(path)
    }

    fn make(&self) -> io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        fs_err::set_permissions(&self.path, Permissions::from_mode(0o700))?;
        // SQLite gives the files beside it the mode that this one has.
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        options.open(self.path.join(FILE))?;
        fs_err::set_permissions(self.path.join(FILE), Permissions::from_mode(0o600))
    }

    fn trouble(&self, source: io::Error) -> OpenError {
        OpenError::Folder { folder: self.path.clone(), source }
    }

    /// Keeps every other server off the folder, as long as the file lives.
    ///
    /// # Errors
    ///
    /// [`OpenError::Held`] if there is one.
    pub(crate) fn lock(&self) -> Result<File, OpenError> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(self.path.join(LOCK)).map_err(|source| self.trouble(source))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                Err(OpenError::Held { folder: self.path.clone() })
            }
            Err(error) => Err(self.trouble(error.into())),
        }
    }

    /// How connections to its tables are opened.
    pub(crate) fn connections(&self) -> Connections {
        Connections { file: self.path.join(FILE) }
    }
}

/// How connections to the tables are opened.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    file: PathBuf,
}

impl Connections {
    /// Opens one.
    pub(crate) fn open(&self) -> Result<Connection, rusqlite::Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.file, flags)?;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // What was answered survives a loss of power, too.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // What was deleted is overwritten.
        connection.pragma_update(None, "secure_delete", true)?;
        connection.set_prepared_statement_cache_capacity(128);
        Ok(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_for_its_owner_only() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let folder = Folder::prepare(&path).unwrap();
        let _lock = folder.lock().unwrap();
        let connection = folder.connections().open().unwrap();
        connection.execute("UPDATE accounts SET nick = nick", []).unwrap();
        let mode = |path: &Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        let files: Vec<_> = fs_err::read_dir(&path).unwrap().map(|file| file.unwrap()).collect();
        assert!(files.len() >= 3, "{files:?}");
        for file in files {
            assert_eq!(mode(&file.path()), 0o600, "{file:?}");
        }
    }

    #[test]
    fn a_folder_is_for_one_server() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::prepare(parent.path()).unwrap();
        let lock = folder.lock().unwrap();
        assert!(matches!(folder.lock(), Err(OpenError::Held { .. })));
        drop(lock);
        folder.lock().unwrap();
    }

    #[test]
    fn tables_of_a_newer_program_are_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::prepare(parent.path()).unwrap();
        let connection = folder.connections().open().unwrap();
        connection.pragma_update(None, "user_version", 1000).unwrap();
        let refused = Folder::prepare(parent.path());
        assert!(matches!(refused, Err(OpenError::Newer { found: 1000, .. })));
    }
}
