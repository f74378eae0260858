//! Where an agent's crypto store is, and where stores go that are put aside.

use std::{
    io,
    path::{Path, PathBuf},
};

use fs_err as fs;
use launcher_core::{fault::Fault, secret::PickleKey, spec::AgentSpec};
use launcher_runtime::{locks::LOCK_FILE, retired};

use crate::{
    crypto::{Address, Machine},
    faults, store,
};

/// What the store's file is called.
const FILE: &str = "crypto.db";

/// An agent's crypto store.
#[derive(Clone)]
pub(crate) struct Place {
    folder: PathBuf,
    pub(crate) key: PickleKey,
}

impl Place {
    pub(crate) fn of(spec: &AgentSpec) -> Self {
        let encryption = &spec.encryption;
        Self { folder: encryption.store_path.clone(), key: encryption.pickle_key.clone() }
    }

    /// The file.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// Puts the store of a device aside. All of it is in one file by then, so a
    /// kill in the middle leaves the whole store in one place or the other.
    pub(crate) fn retire(&self, device: &Address) -> Result<PathBuf, Fault> {
        let name = retired::folder_for(&self.folder, device.device.as_str());
        let to = self.folder.with_file_name(name);
        store::fold(&self.path()).map_err(|error| faults::of_opening(&self.path(), error))?;
        let moved = move_files(&self.folder, &to);
        moved.map(|()| to).map_err(|error| self.unusable(&error))
    }

    /// Whether a store of this device was put aside. One that does not open
    /// under the key says nothing.
    pub(crate) fn has_retired(&self, device: &Address) -> Result<bool, Fault> {
        let folders = retired::folders(&self.folder).map_err(|error| self.unusable(&error))?;
        let owner = |folder: PathBuf| Machine::owner(&folder.join(FILE), &self.key).ok().flatten();
        Ok(folders.into_iter().filter_map(owner).any(|owner| owner == *device))
    }

    /// How many stores were put aside.
    pub(crate) fn retired(&self) -> Result<usize, Fault> {
        retired::folders(&self.folder)
            .map(|found| found.len())
            .map_err(|error| self.unusable(&error))
    }

    fn unusable(&self, error: &io::Error) -> Fault {
        Fault::StoreUnusable { path: self.folder.clone(), detail: error.to_string() }
    }
}

/// Moves everything but the lock, which this process holds; the store itself
/// last: a new one beside the side files of an old one would take them for its own.
fn move_files(from: &Path, to: &Path) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        if name != LOCK_FILE {
            names.push(name);
        }
    }
    names.sort_by_key(|name| name == FILE);
    launcher_runtime::locks::make_private_folder(to)?;
    for name in names {
        fs::rename(from.join(&name), to.join(&name))?;
    }
    Ok(())
}
