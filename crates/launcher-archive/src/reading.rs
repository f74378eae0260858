//! Opens an archive and unpacks it.

use std::{
    fmt,
    io::{self, BufReader, Read, Write},
    path::{Path, PathBuf},
};

use fs_err::{self as fs, File, OpenOptions, os::unix::fs::OpenOptionsExt};
use launcher_core::{agent::AgentId, secret::PickleKey};
use zeroize::Zeroizing;

use crate::{
    Summary,
    error::{ArchiveError, DamagedPart},
    header::Header,
    names::Names,
    place::{draft_folder, folder_of, make_folder, refuse_occupied, sync_folder},
    stream::{Opening, Trouble},
    writing::EXECUTE,
};

/// How many bytes are on their way from the archive to a file.
const PORTION: usize = 64 * 1024;

/// An archive whose first chunk the key has opened. What follows is not
/// authenticated yet.
pub struct Archive {
    file: PathBuf,
    agent: AgentId,
    content: Opening<BufReader<File>>,
}

/// The agent whose archive `file` says it is.
///
/// It needs no key, so it proves nothing: whoever can write to the file can
/// change it. [`open`] notices that.
///
/// # Errors
///
/// As [`open`], without [`ArchiveError::KeyWrong`].
pub fn agent_of(file: &Path) -> Result<AgentId, ArchiveError> {
    Header::read(BufReader::new(File::open(file)?), file).map(|header| header.agent)
}

/// Opens an archive, that is its first chunk, and writes nothing.
///
/// # Errors
///
/// - [`ArchiveError::KeyWrong`]: another key, or a damaged beginning.
/// - [`ArchiveError::NotAnArchive`], [`ArchiveError::NewerVersion`],
///   [`ArchiveError::Damaged`]: the header cannot be read.
/// - [`ArchiveError::Io`]: the file cannot be read.
pub fn open(file: &Path, key: &PickleKey) -> Result<Archive, ArchiveError> {
    let mut from = BufReader::new(File::open(file)?);
    let header = Header::read(&mut from, file)?;
    let content = Opening::begin(from, &header, key).map_err(|trouble| match trouble {
        Trouble::Io(error) => error.into(),
        Trouble::Sealed { .. } => ArchiveError::KeyWrong { file: file.to_owned() },
    })?;
    Ok(Archive { file: file.to_owned(), agent: header.agent, content })
}

impl Archive {
    /// The agent whose archive it is: authentic.
    pub fn agent(&self) -> &AgentId {
        &self.agent
    }

    /// Unpacks everything into `into`, which must not exist, or be an empty
    /// folder; the folder that it is in must exist.
    ///
    /// Folders and programs get the mode 0700, other files 0600. Everything is unpacked, checked
    /// to the archive's last byte and written to the disk under another name
    /// first, so `into` is either as it was before, or complete. Done means
    /// that it survives a power cut.
    ///
    /// Until then the files are two folders down in a hidden folder beside
    /// `into`; only a kill leaves it there.
    ///
    /// # Errors
    ///
    /// - [`ArchiveError::Exists`]: there is something in `into`.
    /// - [`ArchiveError::Damaged`]: the archive was cut off or changed.
    /// - [`ArchiveError::BadName`]: it contains a name that is not allowed.
    /// - [`ArchiveError::Io`]: reading or writing did not work.
    pub fn unpack(self, into: &Path) -> Result<Summary, ArchiveError> {
        refuse_occupied(into)?;
        let folder = folder_of(into);
        let draft = draft_folder(folder)?;
        // One folder deeper, so that nobody takes the draft for an agent.
        let unpacked = draft.path().join("unpacked");
        make_folder(&unpacked)?;
        let summary = self.unpack_all(&unpacked)?;
        // Replaces a folder that is empty, and nothing else.
        fs::rename(&unpacked, into).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::AlreadyExists => ArchiveError::Exists { path: into.to_owned() },
            _ => error.into(),
        })?;
        drop(draft);
        sync_folder(folder)?;
        Ok(summary)
    }

    fn unpack_all(mut self, into: &Path) -> Result<Summary, ArchiveError> {
        match self.read_all(into) {
            Ok(summary) => Ok(summary),
            Err(Failure::Other(error)) => Err(error),
            Err(Failure::Reading(error)) => Err(self.reason(&error)),
        }
    }

    fn read_all(&mut self, into: &Path) -> Result<Summary, Failure> {
        let mut summary = Summary::default();
        let mut names = Names::default();
        let mut portion = Zeroizing::new(vec![0; PORTION]);
        let mut tar = tar::Archive::new(&mut self.content);
        // Without extensions: they would give a name or a size a second meaning.
        for entry in tar.entries().map_err(Failure::Reading)?.raw(true) {
            let mut entry = entry.map_err(Failure::Reading)?;
            let name = entry.path_bytes().into_owned();
            let name = names.admit(&self.file, &name)?;
            if entry.header().entry_type() != tar::EntryType::Regular {
                return Err(Failure::Reading(io::Error::other("something in it is no file")));
            }
            let path = into.join(name);
            make_folder(folder_of(&path))?;
            let size = entry.size();
            let mode = entry.header().mode().map_err(Failure::Reading)?;
            let mode = 0o600 | (mode & EXECUTE);
            let to = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
            copy(&mut entry, size, to, &mut portion)?;
            summary.files += 1;
            summary.bytes += size;
        }
        // The end of the files is not the end of the archive: the last chunk
        // says that nothing is missing, and nothing may follow it.
        io::copy(&mut self.content, &mut io::sink()).map_err(Failure::Reading)?;
        for folder in names.folders() {
            sync_folder(&into.join(folder))?;
        }
        sync_folder(into)?;
        Ok(summary)
    }

    /// What an error while reading comes from: the file, a chunk or the content.
    fn reason(self, error: &io::Error) -> ArchiveError {
        let part = match self.content.into_trouble() {
            Some(Trouble::Io(error)) => return error.into(),
            Some(Trouble::Sealed { offset }) => DamagedPart::Chunk { offset },
            None => DamagedPart::Content { detail: error.to_string() },
        };
        ArchiveError::Damaged { file: self.file, part }
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Archive")
            .field("file", &self.file)
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}

/// Why unpacking ended: the archive, or anything else.
enum Failure {
    Reading(io::Error),
    Other(ArchiveError),
}

impl<E: Into<ArchiveError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

/// Copies `size` bytes into a file, and waits until they are on the disk.
fn copy(
    from: &mut impl Read,
    size: u64,
    mut file: File,
    portion: &mut [u8],
) -> Result<(), Failure> {
    let mut copied = 0;
    loop {
        let count = match from.read(portion) {
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(Failure::Reading)?,
        };
        file.write_all(&portion[..count])?;
        copied += count as u64;
    }
    if copied < size {
        return Err(Failure::Reading(io::Error::other("a file in it is cut off")));
    }
    Ok(file.sync_all()?)
}
