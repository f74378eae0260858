//! Finds the agents' folders.
//!
//! A folder is an agent if it has a `config.yaml`. Links to folders count as
//! folders. What else lies around is nobody's business here.

use std::{
    io,
    path::{Path, PathBuf},
};

/// A folder that claims to be an agent.
#[derive(Debug)]
pub(crate) struct AgentFolder {
    /// Its name; a name that is not UTF-8 has replacement characters.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// Every folder with a `config.yaml`, by name.
pub(crate) fn list(agents_dir: &Path) -> io::Result<Vec<AgentFolder>> {
    let mut folders = Vec::new();
    for entry in fs_err::read_dir(agents_dir)? {
        let path = entry?.path();
        let is_folder = fs_err::metadata(&path).is_ok_and(|metadata| metadata.is_dir());
        // A dangling link, or a folder that may not be entered, is to be complained about.
        let absent = fs_err::symlink_metadata(path.join("config.yaml"))
            .is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        if let Some(name) = path.file_name().filter(|_| is_folder && !absent) {
            folders.push(AgentFolder { name: name.to_string_lossy().into_owned(), path });
        }
    }
    folders.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(folders)
}
