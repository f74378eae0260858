//! A look at a file that leaves no trace: does the key open it, and whose is
//! it?
//!
//! `immutable` keeps SQLite from making side files; it also makes it overlook
//! them, and after a kill what is searched may be there. So if nothing is found
//! and there are side files, a copy elsewhere is asked.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use fs_err as fs;
use rusqlite::{Connection, OpenFlags, Row};

use super::{StoreError, file::VERSION, seal::Sealer, table::NOTES_PLACE};
use crate::crypto::Notes;

/// What is sealed to find out whether a key is the right one.
pub(super) const CHECK: &[u8] = b"launcher messager";

/// The place of the check.
pub(super) const CHECK_PLACE: [&[u8]; 1] = [b"value key_check"];

/// What is in a store's place.
pub(super) enum Found {
    /// No file, or one without tables: a kill came before there were any.
    Nothing,
    /// A store that the key opens, with what it says about its device's keys.
    Store(Box<Notes>),
}

/// Looks at the file at `path`.
pub(super) fn look(path: &Path, sealer: &Sealer) -> Result<Found, StoreError> {
    match fs::metadata(path) {
        Ok(file) if file.len() == 0 => return Ok(Found::Nothing),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error.into()),
    }
    let found = ask(path, path, "immutable=1", OpenFlags::SQLITE_OPEN_READ_ONLY, sealer);
    if matches!(found, Ok(Found::Store(_))) {
        return found;
    }
    let mut side_files = Vec::new();
    for suffix in ["-wal", "-journal"] {
        let side_file = with_suffix(path, suffix);
        if fs::metadata(&side_file).is_ok_and(|file| file.len() > 0) {
            side_files.push((side_file, suffix));
        }
    }
    if side_files.is_empty() {
        return found;
    }
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("crypto.db");
    fs::copy(path, &copy)?;
    for (side_file, suffix) in side_files {
        fs::copy(side_file, with_suffix(&copy, suffix))?;
    }
    ask(path, &copy, "mode=rw", OpenFlags::SQLITE_OPEN_READ_WRITE, sealer)
}

fn ask(
    path: &Path,
    copy: &Path,
    how: &str,
    flags: OpenFlags,
    sealer: &Sealer,
) -> Result<Found, StoreError> {
    let flags = flags | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(format!("file:{}?{how}", escape(copy)), flags)?;
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: VERSION });
    }
    if found > 0 {
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let (check, notes): (Vec<u8>, Vec<u8>) =
            connection.query_row("SELECT key_check, record FROM value", [], read)?;
        let is_right = sealer.open(&check, &CHECK_PLACE).is_ok_and(|check| *check == CHECK);
        if !is_right {
            return Err(StoreError::KeyWrong { path: path.to_owned() });
        }
        let notes = sealer.open(&notes, &NOTES_PLACE)?;
        let notes: Notes = serde_json::from_slice(&notes)
            .map_err(|_| StoreError::damaged("the keys of this device"))?;
        return Ok(Found::Store(Box::new(notes)));
    }
    let tables: u32 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match tables {
        0 => Ok(Found::Nothing),
        _ => Err(StoreError::damaged("the table of values")),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// The path in a form in which no byte has a meaning of its own in a URI.
fn escape(path: &Path) -> String {
    let mut escaped = String::new();
    for &byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02x}"));
        }
    }
    escaped
}
