//! Nothing secret lies about in files.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use memchr::memmem;

use crate::TestbedError;

/// The files below a folder that contain any of these strings, sorted.
///
/// A file that is gone before it is read contains nothing. Links are not
/// followed.
///
/// # Errors
///
/// [`TestbedError::Files`] when something cannot be read.
pub fn find_any(needles: &[&str], folder: &Path) -> Result<Vec<PathBuf>, TestbedError> {
    let finders: Vec<_> = needles.iter().map(|needle| memmem::Finder::new(*needle)).collect();
    let mut found = Vec::new();
    search(&finders, folder, &mut found).map_err(TestbedError::files)?;
    found.sort();
    Ok(found)
}

fn search(
    finders: &[memmem::Finder<'_>],
    folder: &Path,
    found: &mut Vec<PathBuf>,
) -> io::Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            search(finders, &path, found)?;
        } else if kind.is_file() {
            let bytes = match fs_err::read(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                read => read?,
            };
            if finders.iter().any(|finder| finder.find(&bytes).is_some()) {
                found.push(path);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_with_a_secret_are_found_in_every_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs_err::create_dir(path("below")).unwrap();
        fs_err::write(path("below/a"), b"\0\xffpassword\0").unwrap();
        fs_err::write(path("b"), "the token").unwrap();
        fs_err::write(path("c"), "nothing").unwrap();
        let found = find_any(&["password", "token"], folder.path()).unwrap();
        assert_eq!(found, [path("b"), path("below/a")]);
    }
}
