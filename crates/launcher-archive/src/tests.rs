//! Archives as files: written, opened, unpacked.

mod crafted;
mod damage;
mod gathering;
mod refused;
mod round_trip;

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use fs_err as fs;
use launcher_core::{
    agent::AgentId,
    secret::{PickleKey, Secret},
};
use tempfile::TempDir;

use crate::{ArchiveError, Entry, Summary, open, write};

/// A folder with sources, an archive of them, and a place to unpack it.
struct Bench {
    folder: TempDir,
    entries: Vec<Entry>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sources")).unwrap();
        fs::create_dir(folder.path().join("agents")).unwrap();
        Self { folder, entries: Vec::new() }
    }

    /// A bench whose sources are `files`, under names like `file 0`.
    fn with(files: &[(&str, &[u8])]) -> Self {
        let mut bench = Self::new();
        for (name, content) in files {
            let source = bench.source(bench.entries.len());
            fs::write(&source, content).unwrap();
            bench.add(source, name);
        }
        bench
    }

    fn add(&mut self, source: PathBuf, name: &str) {
        self.entries.push(Entry { source, name: name.to_owned() });
    }

    fn source(&self, number: usize) -> PathBuf {
        self.folder.path().join("sources").join(format!("file {number}"))
    }

    fn archive(&self) -> PathBuf {
        self.folder.path().join("assistant.backup")
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("agents/assistant")
    }

    fn write(&self) -> Result<Summary, ArchiveError> {
        write(&self.archive(), &agent(), &key(1), &self.entries)
    }

    fn unpack(&self) -> Result<Summary, ArchiveError> {
        open(&self.archive(), &key(1))?.unpack(&self.target())
    }

    /// Unpacks `bytes`, which has to fail and to leave nothing.
    fn refusal(&self, bytes: &[u8]) -> ArchiveError {
        fs::write(self.archive(), bytes).unwrap();
        let error = self.unpack().unwrap_err();
        assert_eq!(tree(&self.folder.path().join("agents")), [], "{error}");
        error
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.archive()).unwrap()
    }
}

fn agent() -> AgentId {
    "assistant".parse().unwrap()
}

fn key(byte: u8) -> PickleKey {
    Secret::new([byte; 32])
}

/// What is in a folder, with its mode, in order.
fn tree(folder: &Path) -> Vec<(String, u32)> {
    fn walk(folder: &Path, name: &str, found: &mut BTreeMap<String, u32>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{name}{}", entry.file_name().into_string().unwrap());
            let mode = entry.metadata().unwrap().permissions().mode() & 0o7777;
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), &format!("{name}/"), found);
            }
            found.insert(name, mode);
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, "", &mut found);
    found.into_iter().collect()
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|position| (position % 253) as u8).collect()
}
