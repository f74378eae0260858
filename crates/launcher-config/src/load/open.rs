//! Opens the root file and `.env`, and names files in messages.
//!
//! A file that cannot be read is a problem like any other: it is reported, and
//! an empty one takes its place so that the rest can be read too.

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

use super::Sources;
use crate::{
    diagnostic::Diagnostic,
    dotenv,
    environment::EnvFile,
    source::{self, Accept, Place, SourceFile},
};

/// The root file; `Err` is an empty one in its place, after it was reported.
pub(super) fn root_file(
    path: &Path,
    directory: &Path,
    found: &mut Vec<Diagnostic>,
    files: &mut Vec<PathBuf>,
) -> Result<Rc<SourceFile>, Rc<SourceFile>> {
    let name = shown_name(path, directory);
    match source::read(path, Accept::Regular) {
        Ok(text) => {
            files.push(path.to_owned());
            Ok(SourceFile::new(name, text))
        }
        Err(unreadable) => {
            let file = SourceFile::new(name, String::new());
            let mut problem = Diagnostic::at(&Place::start_of(&file), "", unreadable.message);
            if unreadable.missing {
                problem = problem
                    .hint("start the launcher in its folder, or name the file with `--config`");
            }
            found.push(problem);
            Err(file)
        }
    }
}

/// What `.env`, or the file that was named instead, says.
pub(crate) fn env_file(
    sources: &Sources,
    directory: &Path,
    found: &mut Vec<Diagnostic>,
    files: &mut Vec<PathBuf>,
) -> EnvFile {
    let path = sources.env_file.clone().unwrap_or_else(|| directory.join(".env"));
    let named = sources.env_file.is_some();
    let name = match fs_err::canonicalize(&path) {
        Ok(real) if real.starts_with(directory) => shown_name(&real, directory),
        _ => shown_name(&path, directory),
    };
    match source::read(&path, if named { Accept::Named } else { Accept::Regular }) {
        Ok(text) => {
            files.push(path);
            dotenv::parse(&SourceFile::new(name, text), found)
        }
        Err(unreadable) if unreadable.missing && !named => EnvFile::default(),
        Err(unreadable) => {
            let file = SourceFile::new(name, String::new());
            found.push(Diagnostic::at(&Place::start_of(&file), "", unreadable.message));
            EnvFile { unreadable: true, ..EnvFile::default() }
        }
    }
}

/// A path as messages have it: relative to the root file's folder if below it.
pub(crate) fn shown_name(path: &Path, directory: &Path) -> String {
    let short = path.strip_prefix(directory).unwrap_or(path);
    let plain = |char: char| if char.is_control() { '\u{fffd}' } else { char };
    short.to_string_lossy().chars().map(plain).collect()
}
