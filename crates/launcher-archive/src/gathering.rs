//! Finds what of a folder is to be in an archive.

use std::{
    io,
    path::{Path, PathBuf},
};

use fs_err as fs;

use crate::{Entry, MAX_FILES, error::ArchiveError};

/// The files in and below `folder`, in the order of their names, which are
/// their paths in it.
///
/// Left out are files and folders whose names begin with a dot, symbolic links,
/// what is neither a file nor a folder, and what is in `without`: files, and
/// folders with all that is in them. There is nothing in a folder that does not
/// exist.
///
/// # Errors
///
/// - [`ArchiveError::TooMuch`]: there are more than `most` bytes, or more than
///   [`MAX_FILES`] files.
/// - [`ArchiveError::Io`]: a folder cannot be read, or a name is not UTF-8.
pub fn gather(folder: &Path, without: &[PathBuf], most: u64) -> Result<Vec<Entry>, ArchiveError> {
    let without: Vec<PathBuf> =
        without.iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
    let mut found: Vec<Entry> = Vec::new();
    let mut bytes = 0_u64;
    let mut waiting = vec![(folder.to_owned(), String::new())];
    while let Some((place, prefix)) = waiting.pop() {
        let entries = match fs::read_dir(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let (kind, source) = (entry.file_type()?, entry.path());
            let name = entry.file_name();
            let is_taken = kind.is_dir() || kind.is_file();
            if !is_taken || name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            if without.contains(&fs::canonicalize(&source)?) {
                continue;
            }
            let Some(name) = name.to_str() else {
                let text = format!("{}: its name is not UTF-8", source.display());
                return Err(io::Error::other(text).into());
            };
            let name = format!("{prefix}{name}");
            if kind.is_dir() {
                waiting.push((source, format!("{name}/")));
                continue;
            }
            bytes = bytes.saturating_add(entry.metadata()?.len());
            found.push(Entry { source, name });
            if bytes > most || found.len() > MAX_FILES {
                return Err(ArchiveError::TooMuch { folder: folder.to_owned(), most });
            }
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}
