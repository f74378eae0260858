//! What is looked at about an agent on any network.

use std::{os::unix::fs::PermissionsExt, time::Duration};

use fs_err as fs;
use launcher_core::{fault::with_name, spec::AgentSpec};

use crate::{
    ports::{
        journal::Stamp,
        maintenance::{Check, Outcome},
    },
    report::Report,
    retired, stamp,
};

/// A sync that is longer ago than that is overdue: a long poll takes 50 seconds.
const OVERDUE: Duration = Duration::from_secs(180);

/// Checks of one agent, one after the other.
#[derive(Debug)]
pub struct Checks<'a> {
    spec: &'a AgentSpec,
    done: Vec<Check>,
}

impl<'a> Checks<'a> {
    /// None yet.
    pub fn of(spec: &'a AgentSpec) -> Self {
        Self { spec, done: Vec::new() }
    }

    /// All that were done.
    pub fn finish(self) -> Vec<Check> {
        self.done
    }

    /// Something is as it should be.
    pub fn good(&mut self, name: &'static str, finding: impl Into<String>) {
        self.add(name, Outcome::Good, finding.into(), None);
    }

    /// Something is not what is best, or could not be looked at.
    pub fn notable(&mut self, name: &'static str, finding: impl Into<String>, action: &str) {
        self.add(name, Outcome::Notable, finding.into(), Some(action));
    }

    /// Something has to be put right.
    pub fn bad(&mut self, name: &'static str, finding: impl Into<String>, action: &str) {
        self.add(name, Outcome::Bad, finding.into(), Some(action));
    }

    fn add(&mut self, name: &'static str, outcome: Outcome, finding: String, action: Option<&str>) {
        let action = action.map(|action| with_name(action, &self.spec.id));
        self.done.push(Check { name, outcome, finding, action });
    }

    /// Who else can read what the launcher writes.
    pub fn files(&mut self) {
        let mut open = Vec::new();
        for folder in [self.spec.data_folder(), self.spec.encryption.store_path.clone()] {
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            let files = entries.map(|entry| entry.path()).filter(|path| path.is_file());
            for path in std::iter::once(folder).chain(files) {
                let mode = fs::metadata(&path).map_or(0, |found| found.permissions().mode());
                if mode & 0o077 != 0 {
                    open.push(path.display().to_string());
                }
            }
        }
        open.dedup();
        match open.is_empty() {
            true => self.good("file_modes", "nobody else can read the agent's files"),
            false => self.bad(
                "file_modes",
                format!("others can read {}", open.join(", ")),
                "take the rights of group and others away (chmod go-rwx)",
            ),
        }
    }

    /// Stores that were put aside.
    pub fn retired(&mut self) {
        let count =
            retired::folders(&self.spec.encryption.store_path).map_or(0, |folders| folders.len());
        if count > 0 {
            self.notable(
                "retired_stores",
                format!("{count} crypto stores of earlier devices are kept"),
                "if nobody misses anything, remove them with `launcher stores --prune ID`",
            );
        }
    }

    /// What the agent itself says while it runs.
    pub fn running(&mut self, report: &Report) {
        let now = stamp();
        let ago = |then: u64| now.since(Stamp(then)).as_secs();
        match report.last_sync_ms() {
            Some(then) if now.since(Stamp(then)) <= OVERDUE => {
                self.good("last_sync", format!("the server answered {} s ago", ago(then)));
            }
            Some(then) => self.bad(
                "last_sync",
                format!("the server answered {} s ago", ago(then)),
                "look at the agent's log lines",
            ),
            None => self.notable("last_sync", "the agent has not synced yet", "wait"),
        }
        match report.last_decrypt_ms() {
            Some(then) => {
                self.good("last_decrypt", format!("read an encrypted message {} s ago", ago(then)))
            }
            None => {
                self.good("last_decrypt", "read no encrypted message since the launcher started")
            }
        }
        let waiting = report.undecryptable_pending();
        if waiting > 0 {
            self.notable(
                "undecryptable",
                format!("{waiting} messages wait for their key"),
                "`launcher explain undecryptable` says why that is, and what helps",
            );
        }
    }
}
