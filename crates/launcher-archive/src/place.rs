//! Where drafts are made: in the folder of what they become, so that a rename
//! is enough in the end.

use std::{
    fs::{DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
};

use fs_err as fs;
use tempfile::{NamedTempFile, TempDir};

use crate::error::ArchiveError;

/// What drafts are called, before some random letters.
const PREFIX: &str = ".launcher-draft-";

/// A draft of a file in `folder`. It is gone when dropped.
pub(crate) fn draft_file(folder: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(PREFIX)
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(folder)
}

/// A folder in `folder` to make a draft of a folder in. It is gone when dropped.
pub(crate) fn draft_folder(folder: &Path) -> io::Result<TempDir> {
    tempfile::Builder::new()
        .prefix(PREFIX)
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(folder)
}

/// Makes a folder, and those it is in, for its owner only.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| about(path, &error))
}

/// The error with the path that it is about.
pub(crate) fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The folder that `path` is in, or will be.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Waits until the names in `folder` survive a power cut, where the file system
/// can do that for folders; some on the network cannot.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    match fs::File::open(folder)?.sync_all() {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) =>
        {
            Ok(())
        }
        synced => synced,
    }
}

/// Refuses a path where anything is, even a dangling link.
pub(crate) fn refuse_existing(path: &Path) -> Result<(), ArchiveError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(ArchiveError::Exists { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Refuses a path where anything but an empty folder is.
pub(crate) fn refuse_occupied(path: &Path) -> Result<(), ArchiveError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() && fs::read_dir(path)?.next().is_none() => Ok(()),
        _ => refuse_existing(path),
    }
}
