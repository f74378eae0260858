//! The crypto store's files: `crypto.db`, opened with the raw pickle key.
//!
//! matrix-sdk's file name is a constant, so that name is a symbolic link to
//! `crypto.db`; SQLite resolves it and keeps its side files beside the target.
//!
//! Whether the key fits is found out on a read-only connection that changes
//! nothing, not even the write-ahead log: a wrong key leaves every byte alone.

use std::{
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use fs_err as fs;
use launcher_core::{
    fault::Fault,
    preflight::{IdentityKeys, LocalAccount},
    secret::PickleKey,
};
use matrix_sdk_base::crypto::store::CryptoStore;
use matrix_sdk_sqlite::{OpenStoreError, SqliteCryptoStore, SqliteStateStore, SqliteStoreConfig};
use matrix_sdk_store_encryption::{EncryptedValue, StoreCipher};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

/// The crypto store's file.
pub(crate) const CRYPTO_DB: &str = "crypto.db";

/// The file with rooms, members and the sync position.
pub(crate) const STATE_DB: &str = "matrix-sdk-state.sqlite3";

/// What matrix-sdk calls it.
const SDK_NAME: &str = "matrix-sdk-crypto.sqlite3";

/// Tables without whose rows an agent cannot go on.
const NEEDED: [&str; 3] = ["device", "identity", "tracked_user"];

/// Tables whose rows are made or fetched again.
const REPLACEABLE: [&str; 3] = ["session", "inbound_group_session", "outbound_group_session"];

/// How often a file that makes no sense is looked at, and the pause in between.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(40);

/// Connections per store: one writes, one reads. An idle agent keeps both open.
const CONNECTIONS: usize = 2;

/// An agent's store folder and the key to it.
#[derive(Clone, Debug)]
pub(crate) struct StorePlace {
    folder: PathBuf,
    key: PickleKey,
}

impl StorePlace {
    pub(crate) fn new(folder: PathBuf, key: PickleKey) -> Self {
        Self { folder, key }
    }

    /// The path of `crypto.db`.
    pub(crate) fn crypto_db(&self) -> PathBuf {
        self.folder.join(CRYPTO_DB)
    }

    /// Whether there is a crypto store. An empty file is none: that is what is
    /// left of one that was truncated, and SQLite would take it for a new one.
    pub(crate) fn exists(&self) -> bool {
        fs::metadata(self.crypto_db()).is_ok_and(|found| found.len() > 0)
    }

    /// Checks that the key opens the store, changing nothing.
    ///
    /// # Errors
    ///
    /// [`Fault::StoreKeyWrong`], [`Fault::StoreCorrupt`] or [`Fault::StoreUnusable`].
    pub(crate) fn check_key(&self) -> Result<(), Fault> {
        let path = self.crypto_db();
        let sealed = read_cipher(&path)?;
        let corrupt =
            |detail: &str| Fault::StoreCorrupt { path: path.clone(), detail: detail.to_owned() };
        let Some(sealed) = sealed else {
            return Err(corrupt("it is not encrypted with a pickle key"));
        };
        match StoreCipher::import_with_key(self.key.expose(), &sealed) {
            Ok(_) => Ok(()),
            Err(matrix_sdk_store_encryption::Error::Encryption(_)) => {
                Err(Fault::StoreKeyWrong { path: path.clone() })
            }
            Err(error) => Err(corrupt(&error.to_string())),
        }
    }

    /// Opens the crypto store, making it if it is not there.
    pub(crate) async fn open_crypto(&self) -> Result<SqliteCryptoStore, Fault> {
        self.link().map_err(|error| unusable(&self.folder, &error))?;
        SqliteCryptoStore::open_with_config(&self.config())
            .await
            .map_err(|error| self.open_fault(self.crypto_db(), error))
    }

    /// The device that the store belongs to, if it opens and has one.
    pub(crate) async fn device(&self) -> Result<Option<String>, Fault> {
        if !self.exists() || self.check_key().is_err() {
            return Ok(None);
        }
        let store = self.open_crypto().await?;
        Ok(match local_account(self, &store).await? {
            LocalAccount::Present { device, .. } => Some(device),
            LocalAccount::Absent => None,
        })
    }

    /// Opens the store of rooms, members and the sync position.
    pub(crate) async fn open_state(&self) -> Result<SqliteStateStore, Fault> {
        SqliteStateStore::open_with_config(&self.config())
            .await
            .map_err(|error| self.open_fault(self.folder.join(STATE_DB), error))
    }

    /// Whether the store's file is physically damaged, or no database at all.
    ///
    /// A database that is sound and cannot be used all the same, because a
    /// newer launcher wrote it, say, is not damaged.
    pub(crate) fn is_damaged(&self) -> bool {
        let uri = format!("file:{}?immutable=1", escape(&self.crypto_db()));
        let flags = OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_READ_ONLY;
        let checked = Connection::open_with_flags(uri, flags).and_then(|connection| {
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))
        });
        match checked {
            Ok(said) => said != "ok" || self.is_unreadable(),
            Err(error) => is_damage(&error),
        }
    }

    /// Whether rows do not open that the agent cannot do without.
    fn is_unreadable(&self) -> bool {
        let found = self.with_rows(OpenFlags::SQLITE_OPEN_READ_ONLY, |connection, cipher| {
            first_damaged(connection, cipher, NEEDED)
        });
        matches!(found, Ok(Some(Some(_))))
    }

    /// Removes rows that do not open any more, where the agent can do without:
    /// sessions are made anew, room keys come from the backup or from whoever
    /// has them. Returns how many. To be called before anything has loaded a
    /// session from the store.
    ///
    /// # Errors
    ///
    /// [`Fault::StoreCorrupt`] if other rows do not open; those of devices and
    /// identities are what trust is built upon.
    pub(crate) fn mend(&self) -> Result<usize, Fault> {
        let path = self.crypto_db();
        let mended = self.with_rows(OpenFlags::SQLITE_OPEN_READ_WRITE, |connection, cipher| {
            if let Some(table) = first_damaged(connection, cipher, NEEDED)? {
                return Ok(Err(table));
            }
            let mut removed = 0;
            for table in REPLACEABLE {
                for row in damaged_rows(connection, cipher, table)? {
                    let sql = format!("DELETE FROM {table} WHERE rowid = ?1");
                    removed += connection.execute(&sql, [row])?;
                }
            }
            Ok(Ok(removed))
        })?;
        match mended {
            None => Ok(0),
            Some(Ok(removed)) => Ok(removed),
            Some(Err(table)) => Err(Fault::StoreCorrupt {
                path,
                detail: format!("rows of the table {table} do not open"),
            }),
        }
    }

    /// Forgets the outbound sessions of all rooms, so that each begins a new
    /// one with the next message. To be called before anything has loaded a
    /// session from the store.
    ///
    /// An index of a Megolm session must never be used for two messages. A
    /// store may be a copy of one that was used on: after a kill it may be
    /// behind what was sent, and after an orderly stop it may run twice.
    pub(crate) fn forget_outbound_sessions(&self) -> Result<usize, Fault> {
        let forgotten = self.with_rows(OpenFlags::SQLITE_OPEN_READ_WRITE, |connection, _| {
            connection.execute("DELETE FROM outbound_group_session", [])
        })?;
        Ok(forgotten.unwrap_or_default())
    }

    /// Works on the rows of the crypto store; `None` if there is none that the
    /// key opens.
    fn with_rows<T>(
        &self,
        flags: OpenFlags,
        work: impl FnOnce(&Connection, &StoreCipher) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Fault> {
        let path = self.crypto_db();
        let Some(sealed) = read_cipher(&path)? else { return Ok(None) };
        let Ok(cipher) = StoreCipher::import_with_key(self.key.expose(), &sealed) else {
            return Ok(None);
        };
        let worked =
            Connection::open_with_flags(&path, flags).and_then(|found| work(&found, &cipher));
        worked.map(Some).map_err(|error| match sqlite_fault(&path, &error) {
            // Other processes are kept away by the folder's lock: it is a connection of an
            // earlier life that is being closed.
            Fault::StoreLocked { .. } => Fault::StoreFailed { detail: error.to_string() },
            fault => fault,
        })
    }

    /// Removes an Olm session from the crypto store. Names of sessions are
    /// hashed in there with a key of the store's own. Returns whether it was there.
    pub(crate) fn forget_session(&self, id: &str) -> Result<bool, Fault> {
        let path = self.crypto_db();
        let failed = |detail: String| Fault::StoreFailed { detail };
        let sealed = read_cipher(&path)?.ok_or_else(|| failed("no cipher".to_owned()))?;
        let cipher = StoreCipher::import_with_key(self.key.expose(), &sealed)
            .map_err(|error| failed(error.to_string()))?;
        let name = cipher.hash_key("session", id.as_bytes());
        let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .map_err(|error| sqlite_fault(&path, &error))?;
        let removed = connection
            .execute("DELETE FROM session WHERE session_id = ?1", [&name[..]])
            .map_err(|error| failed(error.to_string()))?;
        Ok(removed > 0)
    }

    /// Seals with this place's key what is sealed with `from`. Each file keeps
    /// one key for its content, and only that is sealed with the pickle key, so
    /// this is one row per file. Does nothing where the own key fits already.
    pub(crate) fn reseal(&self, from: &PickleKey) -> Result<(), Fault> {
        for name in [CRYPTO_DB, STATE_DB] {
            let path = self.folder.join(name);
            if fs::metadata(&path).is_ok_and(|found| found.len() > 0) {
                self.reseal_file(&path, from)?;
            }
        }
        Ok(())
    }

    fn reseal_file(&self, path: &Path, from: &PickleKey) -> Result<(), Fault> {
        let failed = |error: rusqlite::Error| sqlite_fault(path, &error);
        let connection =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        connection.pragma_update(None, "secure_delete", true).map_err(failed)?;
        let sealed: Option<Vec<u8>> = connection
            .query_row("SELECT value FROM kv WHERE key = 'cipher'", [], |row| row.get(0))
            .optional()
            .map_err(failed)?;
        let Some(sealed) = sealed else { return Ok(()) };
        if StoreCipher::import_with_key(self.key.expose(), &sealed).is_ok() {
            return Ok(());
        }
        let corrupt = |error: matrix_sdk_store_encryption::Error| Fault::StoreCorrupt {
            path: path.to_owned(),
            detail: error.to_string(),
        };
        let cipher =
            StoreCipher::import_with_key(from.expose(), &sealed).map_err(|error| match error {
                matrix_sdk_store_encryption::Error::Encryption(_) => {
                    Fault::StoreKeyWrong { path: path.to_owned() }
                }
                error => corrupt(error),
            })?;
        let sealed = cipher.export_with_key(self.key.expose()).map_err(corrupt)?;
        connection
            .execute("UPDATE kv SET value = ?1 WHERE key = 'cipher'", [sealed])
            .map_err(failed)?;
        // The old row is not left in the log.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(failed)
    }

    fn config(&self) -> SqliteStoreConfig {
        SqliteStoreConfig::with_low_memory_config(&self.folder)
            .key(Some(self.key.expose()))
            .pool_max_size(CONNECTIONS)
    }

    fn link(&self) -> io::Result<()> {
        let name = self.folder.join(SDK_NAME);
        match fs::symlink_metadata(&name) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => symlink(CRYPTO_DB, &name),
            Err(error) => Err(error),
        }
    }

    fn open_fault(&self, path: PathBuf, error: OpenStoreError) -> Fault {
        match error {
            OpenStoreError::InitCipher(matrix_sdk_store_encryption::Error::Encryption(_)) => {
                Fault::StoreKeyWrong { path }
            }
            OpenStoreError::CreateDir(error) => unusable(&path, &error),
            other => match sqlite_cause(&other) {
                Some(cause) => sqlite_fault(&path, cause),
                None => Fault::StoreCorrupt { path, detail: other.to_string() },
            },
        }
    }
}

/// What the crypto store says about itself.
pub(crate) async fn local_account(
    place: &StorePlace,
    store: &SqliteCryptoStore,
) -> Result<LocalAccount, Fault> {
    let account = store.load_account().await.map_err(|error| Fault::StoreCorrupt {
        path: place.crypto_db(),
        detail: error.to_string(),
    })?;
    Ok(match account {
        None => LocalAccount::Absent,
        Some(account) => {
            let keys = account.identity_keys();
            LocalAccount::Present {
                user: account.user_id().to_string(),
                device: account.device_id().to_string(),
                keys: IdentityKeys {
                    ed25519: keys.ed25519.to_base64(),
                    curve25519: keys.curve25519.to_base64(),
                },
                shared: account.shared(),
            }
        }
    })
}

/// Reads the sealed cipher of a store without leaving a trace.
///
/// `immutable` keeps SQLite from making side files; it also makes it overlook
/// a write-ahead log, where the row may still be after a kill in the first
/// second. Then a copy elsewhere is asked.
///
/// It makes SQLite overlook locks, too. A connection that is just being closed
/// may be moving its log into the file; then the file makes no sense for some
/// milliseconds, and is looked at again.
fn read_cipher(path: &Path) -> Result<Option<Vec<u8>>, Fault> {
    let wal = path.with_file_name(format!("{CRYPTO_DB}-wal"));
    let mut looks = 0;
    let found = loop {
        looks += 1;
        match query_cipher(path, "immutable=1") {
            Ok(Some(sealed)) => return Ok(Some(sealed)),
            Err(error) if is_damage(&error) && looks < LOOKS => thread::sleep(PAUSE),
            other => break other,
        }
    };
    if !fs::metadata(&wal).is_ok_and(|found| found.len() > 0) {
        return found.map_err(|error| sqlite_fault(path, &error));
    }
    let copied = (|| {
        let folder = tempfile::tempdir()?;
        let copy = folder.path().join(CRYPTO_DB);
        fs::copy(path, &copy)?;
        fs::copy(&wal, folder.path().join(format!("{CRYPTO_DB}-wal")))?;
        io::Result::Ok((folder, copy))
    })();
    let (_folder, copy) = copied.map_err(|error| unusable(path, &error))?;
    query_cipher(&copy, "mode=rw").map_err(|error| sqlite_fault(path, &error))
}

/// The first of these tables with a row that does not open.
fn first_damaged(
    connection: &Connection,
    cipher: &StoreCipher,
    tables: [&'static str; 3],
) -> rusqlite::Result<Option<&'static str>> {
    for table in tables {
        if !damaged_rows(connection, cipher, table)?.is_empty() {
            return Ok(Some(table));
        }
    }
    Ok(None)
}

/// The rows of a table whose content does not open with the store's cipher.
fn damaged_rows(
    connection: &Connection,
    cipher: &StoreCipher,
    table: &str,
) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection.prepare(&format!("SELECT rowid, data FROM {table}"))?;
    let mut rows = statement.query([])?;
    let mut damaged = Vec::new();
    while let Some(row) = rows.next()? {
        let opens = row.get_ref(1)?.as_blob().ok().and_then(|sealed| {
            let sealed: EncryptedValue = rmp_serde::from_slice(sealed).ok()?;
            cipher.decrypt_value_data(sealed).ok()
        });
        if opens.is_none() {
            damaged.push(row.get(0)?);
        }
    }
    Ok(damaged)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn query_cipher(path: &Path, how: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut flags = OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags |= if how == "immutable=1" {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    } else {
        OpenFlags::SQLITE_OPEN_READ_WRITE
    };
    let uri = format!("file:{}?{how}", escape(path));
    let connection = Connection::open_with_flags(uri, flags)?;
    let tables: u32 = connection.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE name = 'kv'",
        [],
        |row| row.get(0),
    )?;
    if tables == 0 {
        return Ok(None);
    }
    connection
        .query_row("SELECT value FROM kv WHERE key = 'cipher'", [], |row| row.get(0))
        .optional()
}

/// Escapes what has a meaning in an SQLite URI.
fn escape(path: &Path) -> String {
    path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

/// SQLite's own error, somewhere among the causes.
fn sqlite_cause(error: &OpenStoreError) -> Option<&rusqlite::Error> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<rusqlite::Error>() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

fn sqlite_fault(path: &Path, error: &rusqlite::Error) -> Fault {
    let detail = error.to_string();
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Fault::StoreLocked { path },
        Some(
            ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly
            | ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::OutOfMemory,
        ) => Fault::StoreUnusable { path, detail },
        _ => Fault::StoreCorrupt { path, detail },
    }
}

fn unusable(path: &Path, error: &io::Error) -> Fault {
    Fault::StoreUnusable { path: path.to_owned(), detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use launcher_core::secret::Secret;
    use matrix_sdk_base::crypto::OlmMachine;

    use super::*;

    fn place(folder: &Path, key: u8) -> StorePlace {
        StorePlace::new(folder.to_owned(), Secret::new([key; 32]))
    }

    /// Every file below `folder` with its content.
    fn snapshot(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn crypto_db_is_a_regular_file_of_that_name() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path(), 1);
        assert!(!place.exists());
        drop(place.open_crypto().await.unwrap());
        assert!(place.exists());
        assert!(fs::symlink_metadata(place.crypto_db()).unwrap().is_file());
        place.check_key().unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_wrong_key_changes_no_byte_even_with_an_open_write_ahead_log() {
        let folder = tempfile::tempdir().unwrap();
        let owner = place(folder.path(), 1).open_crypto().await.unwrap();
        let copy = tempfile::tempdir().unwrap();
        for (path, bytes) in snapshot(folder.path()) {
            fs::write(copy.path().join(path.file_name().unwrap()), bytes).unwrap();
        }
        drop(owner);
        let before = snapshot(copy.path());
        let wrong = place(copy.path(), 2).check_key().unwrap_err();
        assert_eq!(wrong.code(), "store_key_wrong");
        assert_eq!(snapshot(copy.path()), before);
        place(copy.path(), 1).check_key().unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_sound_database_that_cannot_be_used_is_not_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path(), 1);
        let store = place.open_crypto().await.unwrap();
        store.close().await.unwrap();
        assert!(!place.is_damaged());
        let whole = fs::read(place.crypto_db()).unwrap();
        fs::write(place.crypto_db(), &whole[..whole.len() / 2 + 100]).unwrap();
        assert!(place.is_damaged());
        fs::write(place.crypto_db(), "no database at all").unwrap();
        assert!(place.is_damaged());
    }

    /// A store with an account in it.
    async fn inhabited(place: &StorePlace) {
        let store = place.open_crypto().await.unwrap();
        let user = matrix_sdk::ruma::user_id!("@bot:hs");
        let device = matrix_sdk::ruma::device_id!("DEV");
        drop(OlmMachine::with_store(user, device, store.clone(), None).await.unwrap());
        store.close().await.unwrap();
        drop(place.open_state().await.unwrap());
    }

    fn sql(place: &StorePlace, sql: &str) {
        Connection::open(place.crypto_db()).unwrap().execute_batch(sql).unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn sessions_that_do_not_open_are_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path(), 1);
        inhabited(&place).await;
        assert_eq!(place.mend().unwrap(), 0);
        sql(&place, "INSERT INTO session VALUES (x'01', x'02', x'03'), (x'04', x'05', x'06')");
        assert_eq!(place.mend().unwrap(), 2);
        assert_eq!(place.mend().unwrap(), 0);
        assert!(!place.is_damaged());
        assert_eq!(place.device().await.unwrap().as_deref(), Some("DEV"));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_device_that_does_not_open_makes_the_store_a_damaged_one() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path(), 1);
        inhabited(&place).await;
        sql(&place, "UPDATE device SET data = x'00'");
        assert_eq!(place.mend().unwrap_err().code(), "store_corrupt");
        assert!(place.is_damaged());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn after_resealing_the_new_key_opens_the_store_and_the_old_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (place(folder.path(), 1), place(folder.path(), 2));
        inhabited(&old).await;
        let (old_key, other) = (Secret::new([1; 32]), Secret::new([3; 32]));
        assert_eq!(new.reseal(&other).unwrap_err().code(), "store_key_wrong");
        old.check_key().unwrap();
        // Twice, as after a kill.
        new.reseal(&old_key).unwrap();
        new.reseal(&old_key).unwrap();
        assert_eq!(new.device().await.unwrap().as_deref(), Some("DEV"));
        drop(new.open_state().await.unwrap());
        assert_eq!(old.check_key().unwrap_err().code(), "store_key_wrong");
    }

    #[test]
    fn what_is_no_store_is_called_corrupt() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(folder.path(), 1);
        fs::write(place.crypto_db(), b"this is no database at all, is it").unwrap();
        assert_eq!(place.check_key().unwrap_err().code(), "store_corrupt");
    }
}
