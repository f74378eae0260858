//! Changes the value of one variable in `.env`, adds some or makes comments of some, and nothing
//! else in the file.
//!
//! The new text is read back before it counts: if it does not say the same as
//! the old one but for that value, nothing is written. The file is replaced as
//! a whole, so that a kill leaves the old one or the new one.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{self, Write as _},
    os::unix::fs::{MetadataExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use fs_err::{self as fs, File, OpenOptions, os::unix::fs::OpenOptionsExt};
use launcher_core::secret::Secret;
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
    /// The value has characters that no kind of quotes can hold there.
    Unquotable {
        /// The file.
        path: PathBuf,
        /// The variable.
        name: String,
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
            Self::Unquotable { path, name } => {
                write!(formatter, "the value of {name} cannot be written into {}", path.display())
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

/// The variables that a file sets, with their values. A file that is not there
/// sets none.
///
/// # Errors
///
/// [`EnvFileError::Unreadable`] and [`EnvFileError::Io`].
pub fn read_env_file(path: &Path) -> Result<BTreeMap<String, Secret<String>>, EnvFileError> {
    let text = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        _ => read(path)?,
    };
    let (values, problems) = parse(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text));
    match problems {
        0 => Ok(values.into_iter().map(|(name, value)| (name, Secret::new(value))).collect()),
        _ => Err(EnvFileError::Unreadable {
            path: path.to_owned(),
            message: "not every line can be read; `launcher check` says which".to_owned(),
        }),
    }
}

/// Adds variables at the end of a file that sets none of them, and makes the
/// file (0600) if it is not there. All of them are in it afterwards, or none.
///
/// # Errors
///
/// See [`EnvFileError`]; the file is as it was then.
pub fn append_to_env_file(
    path: &Path,
    values: &[(&str, &Secret<String>)],
) -> Result<EnvFileAddition, EnvFileError> {
    let made = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Empty is what a kill may leave of it.
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            true
        }
        _ => false,
    };
    let done = add(path, values);
    if made && done.is_err() {
        drop(fs::remove_file(path));
    }
    let (path, before, after) = done?;
    Ok(EnvFileAddition { path, before, after, made })
}

fn add(
    path: &Path,
    values: &[(&str, &Secret<String>)],
) -> Result<(PathBuf, Zeroizing<String>, Zeroizing<String>), EnvFileError> {
    let path = fs::canonicalize(path)?;
    // Whoever has made the file open to all may not have had secrets in it.
    let mode = fs::metadata(&path)?.mode() & 0o7777;
    if mode & 0o007 != 0 {
        fs::set_permissions(&path, std::fs::Permissions::from_mode(mode & !0o007))?;
    }
    let before = read(&path)?;
    let mut after = before.clone();
    for (name, value) in values {
        let value = value.expose();
        let longer = appended(&after, name, value).ok_or_else(|| EnvFileError::Unquotable {
            path: path.clone(),
            name: (*name).to_owned(),
        });
        after = longer?;
    }
    EnvFileEdit::draft(path.clone(), before.clone(), &after)?.commit()?;
    Ok((path, before, after))
}

/// The text and one more line, in the plainest form that means what it should.
fn appended(text: &str, name: &str, value: &str) -> Option<Zeroizing<String>> {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
    let plain = |text: &str| text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).to_owned();
    [value.to_owned(), format!("'{value}'"), format!("\"{escaped}\"")].into_iter().find_map(
        |quoted| {
            let longer = Zeroizing::new(format!("{text}{end}{name}={quoted}\n"));
            says_the_same_but_for(&plain(text), &plain(&longer), name, value).then_some(longer)
        },
    )
}

/// Lines that were added to a file with variables.
pub struct EnvFileAddition {
    path: PathBuf,
    before: Zeroizing<String>,
    after: Zeroizing<String>,
    /// Whether the file was made for them.
    made: bool,
}

impl EnvFileAddition {
    /// Takes the lines out again, and the file away if it was made for them.
    ///
    /// # Errors
    ///
    /// [`EnvFileError::Changed`] if the file was changed since: it stays as it is.
    pub fn undo(self) -> Result<(), EnvFileError> {
        if read(&self.path)? != self.after {
            return Err(EnvFileError::Changed { path: self.path });
        }
        if self.made {
            return Ok(fs::remove_file(&self.path)?);
        }
        EnvFileEdit::draft(self.path, self.after, &self.before)?.commit()
    }
}

impl std::fmt::Debug for EnvFileAddition {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("EnvFileAddition").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Makes comments of the lines that set these variables, so that nothing reads
/// them and nothing is lost. Those that are not set, and a file that is not
/// there, are passed over. Returns whether there was anything to do.
///
/// # Errors
///
/// See [`EnvFileError`]; the file is as it was then.
pub fn comment_out_in_env_file(path: &Path, names: &[&str]) -> Result<bool, EnvFileError> {
    let path = match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        path => path?,
    };
    let before = read(&path)?;
    let mut after = before.clone();
    for name in names {
        let entangled = || EnvFileError::Entangled { path: path.clone(), name: (*name).to_owned() };
        after = commented_out(&after, name).ok_or_else(entangled)?;
    }
    if after == before {
        return Ok(false);
    }
    EnvFileEdit::draft(path, before, &after)?.commit()?;
    Ok(true)
}

/// The text in which nothing sets the variable; `None` if that would change
/// what else it says.
fn commented_out(text: &str, name: &str) -> Option<Zeroizing<String>> {
    let (mark, text) = match text.strip_prefix(BYTE_ORDER_MARK) {
        Some(text) => (BYTE_ORDER_MARK, text),
        None => ("", text),
    };
    let mut new = Zeroizing::new(text.to_owned());
    // It may be set twice. Each round takes one definition away.
    while let Some(found) = dotenv::definitions(&new).into_iter().find(|one| one.name == name) {
        let start = new.get(..found.value.start)?.rfind('\n').map_or(0, |at| at + 1);
        let rest = new.get(found.value.end..)?;
        let end = rest.find('\n').map_or(new.len(), |at| found.value.end + at);
        let (before, set, after) = (new.get(..start)?, new.get(start..end)?, new.get(end..)?);
        // A value in quotes can have several lines.
        let set = Zeroizing::new(set.replace('\n', "\n# "));
        new = Zeroizing::new(format!("{before}# {}{after}", set.as_str()));
    }
    let ((mut old, old_problems), (now, new_problems)) = (parse(text), parse(&new));
    old.remove(name);
    let same = old == now && new_problems <= old_problems;
    same.then(|| Zeroizing::new(format!("{mark}{}", new.as_str())))
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
        let after = replaced(&before, name, value, &path)?;
        Self::draft(path, before, &after)
    }

    fn draft(path: PathBuf, before: Zeroizing<String>, after: &str) -> Result<Self, EnvFileError> {
        let metadata = fs::metadata(&path)?;
        if metadata.permissions().readonly() {
            return Err(EnvFileError::ReadOnly { path });
        }
        // Replacing a file takes no right to write to it, but whoever may not write should not.
        OpenOptions::new().append(true).open(&path)?;
        let mut draft = path.file_name().map(OsString::from).unwrap_or_default();
        draft.push(".draft");
        let edit = Self { draft: path.with_file_name(draft), path, before };
        edit.write(after, &metadata)?;
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
    let ((mut old, old_problems), (mut new, new_problems)) = (parse(old), parse(new));
    old.remove(name);
    let set = new.remove(name);
    set.as_deref() == Some(value) && old == new && old_problems == new_problems
}

/// The variables that a text sets, and how many problems it has.
fn parse(text: &str) -> (BTreeMap<String, String>, usize) {
    let mut problems = Vec::new();
    let parsed = dotenv::parse(&SourceFile::new("", text.to_owned()), &mut problems);
    (parsed.values, problems.len())
}

#[cfg(test)]
mod tests;
