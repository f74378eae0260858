//! The file: opened when it is needed, closed when the agent rests.

use std::{
    io,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fs_err::{OpenOptions, os::unix::fs::OpenOptionsExt};
use launcher_core::fault::Fault;
use launcher_runtime::locks::make_private_folder;
use rusqlite::{Connection, OpenFlags};

use crate::{
    known::Known,
    look::{Found, look},
    migrations::migrate,
    rekey::reseal,
    seal::Sealer,
    trouble::Trouble,
};

/// Only this process uses the file, so a lock is held for moments: by a
/// transaction of a life that was cut off, or by a backup.
const PATIENCE: Duration = Duration::from_secs(2);

/// The `-wal` is written back when it has this many pages of 4 KiB.
const WAL_PAGES: u32 = 256;

/// One agent's file.
pub(crate) struct JournalFile {
    path: PathBuf,
    sealer: Sealer,
    connection: Mutex<Option<Connection>>,
    /// There whenever the file is open, and also while it rests.
    known: Mutex<Option<Known>>,
}

impl JournalFile {
    /// Touches nothing yet.
    pub(crate) fn new(path: PathBuf, sealer: Sealer) -> Self {
        Self { path, sealer, connection: Mutex::default(), known: Mutex::default() }
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    pub(crate) fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// Opens the file anew, making it if it is not there.
    pub(crate) fn begin(&self) -> Result<(), Fault> {
        let mut slot = lock(&self.connection);
        *slot = None;
        *lock(&self.known) = None;
        let opened = self.make_place().and_then(|()| self.open());
        *slot = Some(opened.map_err(|trouble| trouble.while_opening(&self.path))?);
        Ok(())
    }

    /// Works on the file, opening it if need be. A connection that work failed
    /// on is not used again.
    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Trouble>,
    ) -> Result<T, Fault> {
        let mut slot = lock(&self.connection);
        let connection = match &mut *slot {
            Some(connection) => connection,
            empty => {
                let opened = self.open_again();
                empty.insert(opened.map_err(|trouble| trouble.while_opening(&self.path))?)
            }
        };
        let done = work(connection);
        if done.is_err() {
            *slot = None;
        }
        done.map_err(|trouble| trouble.while_open(&self.path))
    }

    /// Closes the file; what is known of it stays known.
    pub(crate) fn close(&self) {
        *lock(&self.connection) = None;
    }

    /// Closes the file and forgets about it.
    pub(crate) fn forget(&self) {
        self.close();
        *lock(&self.known) = None;
    }

    /// Asks what is known without the file, if anything is.
    pub(crate) fn recall<T>(&self, ask: impl FnOnce(&Known) -> T) -> Option<T> {
        lock(&self.known).as_ref().map(ask)
    }

    /// Changes what is known. Work on the file calls this after its commit.
    pub(crate) fn learn(&self, change: impl FnOnce(&mut Known)) {
        if let Some(known) = &mut *lock(&self.known) {
            change(known);
        }
    }

    /// Opens a file that was open before. If it is gone, it is not for us to
    /// put an empty one in its place.
    fn open_again(&self) -> Result<Connection, Trouble> {
        match look(&self.path, &self.sealer)? {
            Found::Journal => self.open_found(),
            Found::Nothing => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "it went away while the agent was running",
            )
            .into()),
        }
    }

    fn open(&self) -> Result<Connection, Trouble> {
        look(&self.path, &self.sealer)?;
        self.open_found()
    }

    /// Seals everything with this file's own key that is sealed with another
    /// one, in one transaction. Does nothing if the own key opens it already.
    pub(crate) fn reseal(&self, from: &Sealer) -> Result<(), Fault> {
        let _slot = lock(&self.connection);
        let done = match look(&self.path, &self.sealer) {
            Ok(_) => return Ok(()),
            Err(Trouble::KeyWrong) => look(&self.path, from).and_then(|_| {
                let mut connection = Connection::open(&self.path)?;
                connection.busy_timeout(PATIENCE)?;
                connection.pragma_update(None, "secure_delete", true)?;
                connection.pragma_update(None, "synchronous", "FULL")?;
                migrate(&mut connection, from)?;
                reseal(&mut connection, from, &self.sealer)?;
                // What was sealed with the other key is not left in the log.
                Ok(connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
            }),
            Err(trouble) => Err(trouble),
        };
        done.map_err(|trouble| trouble.while_opening(&self.path))
    }

    fn make_place(&self) -> Result<(), Trouble> {
        if let Some(folder) = self.path.parent() {
            make_private_folder(folder)?;
        }
        Ok(())
    }

    fn open_found(&self) -> Result<Connection, Trouble> {
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&self.path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "cache_size", -256)?;
        connection.pragma_update(None, "secure_delete", true)?;
        // Before there is a write-ahead log: then the check of the key is in the
        // file itself from the first moment, where a look finds it.
        migrate(&mut connection, &self.sealer)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", WAL_PAGES * 4096)?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let mut known = lock(&self.known);
        if known.is_none() {
            *known = Some(Known::load(&connection)?);
        }
        drop(known);
        Ok(connection)
    }
}

/// What a thread that panicked left behind is whole: a transaction that was not
/// committed is rolled back, and what is known changes after the commit.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
