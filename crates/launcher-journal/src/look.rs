//! A look at a file that leaves no trace: is it a journal, of a version that is
//! known, and does the key open it?
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
use rusqlite::{Connection, OpenFlags};

use crate::{
    migrations::{check_version, version},
    seal::Sealer,
    trouble::Trouble,
    value,
};

/// What SQLite appends to the names of the side files that have content.
const SIDE_FILES: [&str; 2] = ["-wal", "-journal"];

/// What is in a journal's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// No file, or one without tables: a kill came before there were any.
    Nothing,
    /// A journal that the key opens.
    Journal,
}

/// Looks at the file at `path`.
pub(crate) fn look(path: &Path, sealer: &Sealer) -> Result<Found, Trouble> {
    match fs::metadata(path) {
        Ok(file) if file.len() == 0 => return Ok(Found::Nothing),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error.into()),
    }
    let found = ask(path, "immutable=1", OpenFlags::SQLITE_OPEN_READ_ONLY, sealer);
    if matches!(found, Ok(Found::Journal)) {
        return found;
    }
    let mut side_files = Vec::new();
    for suffix in SIDE_FILES {
        let side_file = with_suffix(path, suffix);
        if fs::metadata(&side_file).is_ok_and(|file| file.len() > 0) {
            side_files.push((side_file, suffix));
        }
    }
    if side_files.is_empty() {
        return found;
    }
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("journal.db");
    fs::copy(path, &copy)?;
    for (side_file, suffix) in side_files {
        fs::copy(side_file, with_suffix(&copy, suffix))?;
    }
    ask(&copy, "mode=rw", OpenFlags::SQLITE_OPEN_READ_WRITE, sealer)
}

fn ask(path: &Path, how: &str, flags: OpenFlags, sealer: &Sealer) -> Result<Found, Trouble> {
    let flags = flags | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(format!("file:{}?{how}", escape(path)), flags)?;
    let version = version(&connection)?;
    check_version(version)?;
    if version > 0 {
        return value::check_key(&connection, sealer).map(|()| Found::Journal);
    }
    let tables: u32 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables > 0 {
        return Err(Trouble::Damaged("it is a database, but not a journal".to_owned()));
    }
    Ok(Found::Nothing)
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
