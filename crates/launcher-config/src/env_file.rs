//! Changes the value of one variable in `.env`, and nothing else in the file.
//!
//! The new text is read back before it counts: if it does not say the same as
//! the old one but for that value, nothing is written. The file is replaced as
//! a whole, so that a kill leaves the old one or the new one.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    os::unix::fs::{MetadataExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use fs_err::{self as fs, File, OpenOptions, os::unix::fs::OpenOptionsExt};
use zeroize::Zeroizing;

use crate::{
    dotenv::{self, Definition},
    source::{self, Accept, SourceFile},
};

/// The mark that some editors put at the start of a file.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Why a file with variables was not changed. It is as it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum EnvFileError {
    /// It cannot be read, or its folder cannot be written to.
    Io(io::Error),
    /// It is not a file with variables.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, as the rest of a sentence.
        message: String,
    },
    /// Nobody may write to it.
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// It does not set the variable.
    NotSet {
        /// The file.
        path: PathBuf,
        /// The variable.
        name: String,
    },
    /// The value cannot be replaced without changing what else the file says.
    Entangled {
        /// The file.
        path: PathBuf,
        /// The variable.
        name: String,
    },
    /// Somebody else has changed it meanwhile.
    Changed {
        /// The file.
        path: PathBuf,
    },
}

impl std::fmt::Display for EnvFileError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => error.fmt(formatter),
            Self::Unreadable { path, message } => {
                write!(formatter, "{}: {message}", path.display())
            }
            Self::ReadOnly { path } => write!(formatter, "{} is read-only", path.display()),
            Self::NotSet { path, name } => {
                write!(formatter, "{} does not set {name}", path.display())
            }
            Self::Entangled { path, name } => write!(
                formatter,
                "the value of {name} in {} cannot be replaced without changing other values",
                path.display()
            ),
            Self::Changed { path } => {
                write!(formatter, "{} was changed by somebody else meanwhile", path.display())
            }
        }
    }
}

impl std::error::Error for EnvFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => error.source(),
            _ => None,
        }
    }
}

impl From<io::Error> for EnvFileError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Replaces the value of `name` in a file with variables.
///
/// Comments, order and everything else stay; so do the kind of quotes, the
/// file's mode and its owner.
///
/// # Errors
///
/// See [`EnvFileError`].
pub fn replace_in_env_file(path: &Path, name: &str, value: &str) -> Result<(), EnvFileError> {
    EnvFileEdit::prepare(path, name, value)?.commit()
}

/// A change of a file with variables that waits beside it to be made.
///
/// Whatever can go wrong goes wrong before this is there. Dropping it leaves
/// everything as it was.
pub struct EnvFileEdit {
    /// The file itself, not a link to it.
    path: PathBuf,
    draft: PathBuf,
    before: Zeroizing<String>,
}

impl std::fmt::Debug for EnvFileEdit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("EnvFileEdit").field("path", &self.path).finish_non_exhaustive()
    }
}

impl EnvFileEdit {
    /// Writes the changed file as a draft beside the real one.
    ///
    /// # Errors
    ///
    /// See [`EnvFileError`].
    pub fn prepare(path: &Path, name: &str, value: &str) -> Result<Self, EnvFileError> {
        let path = fs::canonicalize(path)?;
        let before = read(&path)?;
        let metadata = fs::metadata(&path)?;
        if metadata.permissions().readonly() {
            return Err(EnvFileError::ReadOnly { path });
        }
        // Replacing a file takes no right to write to it, but whoever may not write should not.
        OpenOptions::new().append(true).open(&path)?;
        let after = replaced(&before, name, value, &path)?;
        let mut draft = path.file_name().map(OsString::from).unwrap_or_default();
        draft.push(".draft");
        let edit = Self { draft: path.with_file_name(draft), path, before };
        edit.write(&after, &metadata)?;
        Ok(edit)
    }

    /// Puts the draft in the place of the file.
    ///
    /// # Errors
    ///
    /// See [`EnvFileError`].
    pub fn commit(self) -> Result<(), EnvFileError> {
        if read(&self.path)? != self.before {
            return Err(EnvFileError::Changed { path: self.path.clone() });
        }
        fs::rename(&self.draft, &self.path)?;
        // The new name is on the disk once the folder is.
        File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(())
    }

    fn write(&self, text: &str, like: &std::fs::Metadata) -> io::Result<()> {
        // One that was left behind by a kill.
        match fs::remove_file(&self.draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.draft)?;
        let made = file.metadata()?;
        if (made.uid(), made.gid()) != (like.uid(), like.gid()) {
            fchown(file.file(), Some(like.uid()), Some(like.gid()))?;
        }
        file.set_permissions(std::fs::Permissions::from_mode(like.mode() & 0o7777))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }
}

impl Drop for EnvFileEdit {
    fn drop(&mut self) {
        // After a commit there is none; an error leaves what the next edit removes.
        drop(fs::remove_file(&self.draft));
    }
}

fn read(path: &Path) -> Result<Zeroizing<String>, EnvFileError> {
    let unreadable = |unreadable: source::Unreadable| EnvFileError::Unreadable {
        path: path.to_owned(),
        message: unreadable.message,
    };
    let text = Zeroizing::new(source::read(path, Accept::Regular).map_err(unreadable)?);
    // Reading leaves the mark out; it has to stay in the file.
    let mut start = [0_u8; 3];
    let marked = io::Read::read_exact(&mut File::open(path)?, &mut start).is_ok()
        && start == BYTE_ORDER_MARK.as_bytes();
    Ok(match marked {
        true => Zeroizing::new(format!("{BYTE_ORDER_MARK}{}", text.as_str())),
        false => text,
    })
}

/// The text with another value, in the quotes that are there if they can hold it.
fn replaced(
    text: &str,
    name: &str,
    value: &str,
    path: &Path,
) -> Result<Zeroizing<String>, EnvFileError> {
    let (mark, text) = match text.strip_prefix(BYTE_ORDER_MARK) {
        Some(text) => (BYTE_ORDER_MARK, text),
        None => ("", text),
    };
    let place = dotenv::definitions(text).into_iter().find(|found| found.name == name);
    let Some(Definition { value: place, .. }) = place else {
        return Err(EnvFileError::NotSet { path: path.to_owned(), name: name.to_owned() });
    };
    let (before, rest) = text.split_at(place.start);
    let (old, after) = rest.split_at(place.len());
    let kept = old.chars().next().filter(|char| matches!(char, '"' | '\''));
    let quotes = [kept, None, Some('\''), Some('"')];
    // A value that was empty may be followed by a comment.
    let gap = if after.starts_with('#') { " " } else { "" };
    for quote in quotes {
        let quote = quote.map(String::from).unwrap_or_default();
        let new = format!("{mark}{before}{quote}{value}{quote}{gap}{after}");
        let new = Zeroizing::new(new);
        if says_the_same_but_for(text, new.strip_prefix(mark).unwrap_or(&new), name, value) {
            return Ok(new);
        }
    }
    Err(EnvFileError::Entangled { path: path.to_owned(), name: name.to_owned() })
}

/// Whether `new` sets `name` to `value`, and all other variables as `old` does.
fn says_the_same_but_for(old: &str, new: &str, name: &str, value: &str) -> bool {
    let parse = |text: &str| {
        let mut problems = Vec::new();
        let parsed = dotenv::parse(&SourceFile::new("", text.to_owned()), &mut problems);
        (parsed.values, problems.len())
    };
    let ((mut old, old_problems), (mut new, new_problems)) = (parse(old), parse(new));
    old.remove(name);
    let set = new.remove(name);
    set.as_deref() == Some(value) && old == new && old_problems == new_problems
}

#[cfg(test)]
mod tests;
