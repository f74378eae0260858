//! Writes an archive.

use std::{
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use fs_err as fs;
use launcher_core::{agent::AgentId, secret::PickleKey};

use crate::{
    Summary,
    error::ArchiveError,
    header::Header,
    names::{NameProblem, Names},
    place::{about, draft_file, folder_of, refuse_existing, sync_folder},
    stream::Sealing,
};

/// That its owner may execute a file, in its mode.
pub(crate) const EXECUTE: u32 = 0o100;

/// A file that is to be in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is now.
    pub source: PathBuf,
    /// What it is called in the archive: a relative path with `/` between
    /// folders, such as `data/vault`.
    pub name: String,
}

/// Writes `entries` into a new archive at `out`, which only its owner may read.
///
/// What the files say, their names, sizes and number are sealed; the agent's id
/// and the size of the whole are not. Symbolic links are left out, and named in
/// the summary. Of what else there is about a file it is kept whether its owner
/// may execute it, and neither mode nor owner nor time.
///
/// Done means that the archive survives a power cut. Until then there is a
/// draft beside `out`; only a kill leaves it there.
///
/// # Errors
///
/// - [`ArchiveError::Exists`]: something has the name `out`; it is not touched.
/// - [`ArchiveError::BadName`]: a name is not allowed, or there twice.
/// - [`ArchiveError::NotAFile`]: a source is a folder, a socket or the like.
/// - [`ArchiveError::Changed`]: somebody wrote to a source meanwhile.
/// - [`ArchiveError::Io`]: reading or writing did not work.
pub fn write(
    out: &Path,
    agent: &AgentId,
    key: &PickleKey,
    entries: &[Entry],
) -> Result<Summary, ArchiveError> {
    write_if_wanted(out, agent, key, entries, || true)
}

/// As [`write()`], but asks `is_wanted` once everything has been read, before
/// the archive gets its name. So an archive whose files were not watched over
/// to the end never appears.
///
/// # Errors
///
/// As [`write()`], and [`ArchiveError::Unwanted`].
pub fn write_if_wanted(
    out: &Path,
    agent: &AgentId,
    key: &PickleKey,
    entries: &[Entry],
    is_wanted: impl FnOnce() -> bool,
) -> Result<Summary, ArchiveError> {
    let mut names = Names::default();
    for entry in entries {
        names.admit(out, entry.name.as_bytes())?;
    }
    refuse_existing(out)?;
    let folder = folder_of(out);
    let mut draft = draft_file(folder)?;
    let mut sealing = Sealing::begin(&mut draft, &Header::draw(agent)?, key)?;
    let summary = pack(out, entries, &mut sealing)?;
    sealing.finish()?;
    draft.as_file().sync_all()?;
    if !is_wanted() {
        return Err(ArchiveError::Unwanted { path: out.to_owned() });
    }
    draft.persist_noclobber(out).map_err(|refused| match refused.error.kind() {
        io::ErrorKind::AlreadyExists => ArchiveError::Exists { path: out.to_owned() },
        _ => about(out, &refused.error).into(),
    })?;
    sync_folder(folder)?;
    Ok(summary)
}

/// Writes the files as a tar stream.
fn pack(out: &Path, entries: &[Entry], to: impl Write) -> Result<Summary, ArchiveError> {
    let mut summary = Summary::default();
    let mut tar = tar::Builder::new(to);
    for entry in entries {
        let found = fs::symlink_metadata(&entry.source)?;
        if found.is_symlink() {
            summary.skipped_links.push(entry.name.clone());
        } else if found.is_file() {
            summary.bytes += append(out, entry, &mut tar)?;
            summary.files += 1;
        } else {
            return Err(ArchiveError::NotAFile { path: entry.source.clone() });
        }
    }
    tar.finish()?;
    Ok(summary)
}

fn append(
    out: &Path,
    entry: &Entry,
    tar: &mut tar::Builder<impl Write>,
) -> Result<u64, ArchiveError> {
    let changed = || ArchiveError::Changed { path: entry.source.clone() };
    let mut file = fs::File::open(&entry.source)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(changed());
    }
    let size = found.len();
    let is_program = found.permissions().mode() & EXECUTE != 0;
    let header = file_header(&entry.name, size, is_program).map_err(|problem| {
        ArchiveError::BadName { file: out.to_owned(), name: entry.name.clone(), problem }
    })?;
    let mut content = (&mut file).take(size);
    tar.append(&header, &mut content)?;
    let is_short = content.limit() > 0;
    if is_short || file.metadata()?.len() != size { Err(changed()) } else { Ok(size) }
}

/// What stands before a file in the tar stream: the oldest form that has room
/// for names of some length, without extensions.
fn file_header(name: &str, size: u64, is_program: bool) -> Result<tar::Header, NameProblem> {
    let mut header = tar::Header::new_ustar();
    // The name is a good one, so that it does not fit is all that can be wrong.
    header.set_path(name).map_err(|_| NameProblem::TooLong)?;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(size);
    header.set_mode(if is_program { 0o700 } else { 0o600 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    Ok(header)
}
