//! Which names files may have in an archive.
//!
//! The same rules hold for writing and for reading: a name that was crafted by
//! somebody who has the key does not lead out of the folder either.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::error::ArchiveError;

/// How many files an archive holds at most; an agent has about ten.
pub const MAX_FILES: usize = 10_000;

/// How many bytes a name has at most: what fits into the header of a file in a
/// tar stream without extensions. It has to fit in two parts there, split at a
/// `/`: at most 155 bytes before it and 100 after it.
pub const MAX_NAME: usize = 255;

/// What is wrong about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameProblem {
    /// It is absolute, or one of its parts is empty, `.` or `..`.
    #[error("is not a relative path of plain names")]
    NotPlain,
    /// It is not UTF-8, or contains a control character.
    #[error("is not readable text")]
    NotText,
    /// It does not fit; see [`MAX_NAME`].
    #[error("is too long: 155 bytes before a `/` and 100 after it")]
    TooLong,
    /// Another file has it, or is a folder of this one, or this one of it.
    #[error("is already taken by another file or folder")]
    Taken,
    /// It would be one file more than [`MAX_FILES`].
    #[error("is one too many: an archive has at most {MAX_FILES} files")]
    TooMany,
}

/// The names that an archive has so far.
#[derive(Debug, Default)]
pub(crate) struct Names {
    files: BTreeSet<String>,
    folders: BTreeSet<PathBuf>,
}

impl Names {
    /// Takes one more name, if it is a good one, and returns it as text.
    /// `archive` is for the message.
    pub(crate) fn admit<'a>(
        &mut self,
        archive: &Path,
        name: &'a [u8],
    ) -> Result<&'a str, ArchiveError> {
        self.try_admit(name).map_err(|problem| ArchiveError::BadName {
            file: archive.to_owned(),
            name: String::from_utf8_lossy(name).into_owned(),
            problem,
        })
    }

    /// The folders that the names are in, relative, without the root.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &Path> {
        self.folders.iter().map(PathBuf::as_path)
    }

    fn try_admit<'a>(&mut self, name: &'a [u8]) -> Result<&'a str, NameProblem> {
        let name = std::str::from_utf8(name).map_err(|_| NameProblem::NotText)?;
        check(name)?;
        let path = Path::new(name);
        let folders = || path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
        let is_file = |path: &Path| path.to_str().is_some_and(|path| self.files.contains(path));
        if is_file(path) || self.folders.contains(path) || folders().any(is_file) {
            return Err(NameProblem::Taken);
        }
        if self.files.len() == MAX_FILES {
            return Err(NameProblem::TooMany);
        }
        self.folders.extend(folders().map(Path::to_owned));
        self.files.insert(name.to_owned());
        Ok(name)
    }
}

fn check(name: &str) -> Result<(), NameProblem> {
    if name.chars().any(char::is_control) {
        return Err(NameProblem::NotText);
    }
    if name.len() > MAX_NAME {
        return Err(NameProblem::TooLong);
    }
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(NameProblem::NotPlain);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(names: &[&str]) -> Result<(), NameProblem> {
        let mut admitted = Names::default();
        names.iter().try_for_each(|name| admitted.try_admit(name.as_bytes()).map(|_| ()))
    }

    #[test]
    fn names_are_relative_paths_of_plain_names() {
        let good = ["config.yaml", "data/vault", "data/journal.db-wal", ".a", "..a", "a b", "ä/ö"];
        assert_eq!(admit(&good), Ok(()));
        for bad in ["", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/..", "./a"] {
            assert_eq!(admit(&[bad]), Err(NameProblem::NotPlain), "{bad}");
        }
    }

    #[test]
    fn names_can_be_read() {
        for bad in ["a\0b", "a\nb", "\u{1b}[2J", "\u{85}"] {
            assert_eq!(admit(&[bad]), Err(NameProblem::NotText), "{bad:?}");
        }
        assert_eq!(Names::default().try_admit(b"a\xff"), Err(NameProblem::NotText));
    }

    #[test]
    fn no_name_is_taken_twice() {
        let bad = [["a", "a"], ["a/b", "a/b"], ["a/b/c", "a"], ["a/b/c", "a/b"], ["a", "a/b/c"]];
        for names in bad {
            assert_eq!(admit(&names), Err(NameProblem::Taken), "{names:?}");
        }
        assert_eq!(admit(&["a/b", "a/c", "ab", "b/a"]), Ok(()));
    }

    #[test]
    fn names_have_a_length_and_a_number() {
        assert_eq!(admit(&["x".repeat(MAX_NAME).as_str()]), Ok(()));
        assert_eq!(admit(&["x".repeat(MAX_NAME + 1).as_str()]), Err(NameProblem::TooLong));
        let mut names = Names::default();
        for number in 0..MAX_FILES {
            names.try_admit(number.to_string().as_bytes()).unwrap();
        }
        assert_eq!(names.try_admit(b"a"), Err(NameProblem::TooMany));
    }

    #[test]
    fn the_folders_of_names_are_known_once() {
        let mut names = Names::default();
        for name in ["a", "b/c/d", "b/e"] {
            names.try_admit(name.as_bytes()).unwrap();
        }
        assert_eq!(names.folders().collect::<Vec<_>>(), [Path::new("b"), Path::new("b/c")]);
    }
}
