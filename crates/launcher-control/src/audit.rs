//! Who had what done about which agent: one JSON object a line.
//!
//! The file is in the launcher's own folder, readable by its user only. Lines
//! are appended as a whole, so a running launcher and commands can share it.
//! No line has a secret or a text from a room in it, nor what somebody sent
//! that was not understood.

use std::{
    io::{self, Write as _},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use fs_err as fs;
use launcher_runtime::{locks::make_private_folder, stamp};
use serde::Serialize;
use tracing::error;

use crate::peer::Peer;

/// The file that is written to.
const FILE: &str = "audit.jsonl";

/// Where its content goes when it is full; what was there before is gone.
const OLD_FILE: &str = "audit.1.jsonl";

/// From how many bytes on it is full: some five thousand lines.
const FULL: u64 = 1024 * 1024;

/// The longest reason that is kept, in characters; a homeserver may have
/// written a part of it.
const LONGEST_REASON: usize = 500;

/// The record of what operators did. See `docs/operations/security.md`.
#[derive(Clone, Debug)]
pub struct AuditLog {
    folder: PathBuf,
}

/// How far an action is, or how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It begins, and may take long: a kill leaves no other line of it.
    Began,
    /// It was done.
    Done,
    /// It was not done, or not all of it; why.
    Refused(String),
    /// Whoever asked went away before it had ended.
    Abandoned,
}

/// One line of the log.
#[derive(Debug, Serialize)]
struct Line<'a> {
    time_ms: u64,
    uid: Option<u32>,
    pid: Option<u32>,
    action: &'a str,
    agent: Option<&'a str>,
    subjects: &'a [&'a str],
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl AuditLog {
    /// The log in the launcher's own folder. It is made with the first line.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Writes down that an action begins, or what became of it. `subjects` are the ids of whom and
    /// what it was about besides the agent: users, devices, rooms.
    ///
    /// A line that cannot be written is an error in the log of the process and
    /// stops nobody: an operator has to be able to act on a full disk.
    pub fn write(
        &self,
        peer: Peer,
        action: &str,
        agent: Option<&str>,
        subjects: &[&str],
        outcome: &Outcome,
    ) {
        let (outcome, reason) = match outcome {
            Outcome::Began => ("began", None),
            Outcome::Done => ("done", None),
            Outcome::Refused(why) => ("refused", Some(why.chars().take(LONGEST_REASON).collect())),
            Outcome::Abandoned => ("abandoned", None),
        };
        let Peer { uid, pid } = peer;
        let time_ms = stamp().0;
        let line = Line { time_ms, uid, pid, action, agent, subjects, outcome, reason };
        if let Err(error) = self.append(&line) {
            error!(%error, action, agent, "an operator's action could not be written down");
        }
    }

    /// A line that is written while the file becomes full elsewhere goes into
    /// the old one, so none is lost.
    fn append(&self, line: &Line<'_>) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        make_private_folder(&self.folder)?;
        let path = self.folder.join(FILE);
        let mut file =
            std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(
                |error| io::Error::new(error.kind(), format!("{}: {error}", path.display())),
            )?;
        file.write_all(&text)?;
        // One process at a time puts it aside, and only the file that is there.
        let is_full = file.metadata()?.len() >= FULL;
        if is_full && file.try_lock().is_ok() && is_same(&file, &path) {
            fs::rename(&path, self.folder.join(OLD_FILE))?;
        }
        Ok(())
    }
}

fn is_same(file: &std::fs::File, path: &Path) -> bool {
    let inode = |found: io::Result<std::fs::Metadata>| found.map(|file| file.ino()).ok();
    let now = inode(fs::metadata(path));
    now.is_some() && now == inode(file.metadata())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::{Value, json};
    use tempfile::TempDir;

    use super::*;

    fn lines(folder: &Path, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(folder.join(name)).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_says_who_did_what_about_whom_and_what_became_of_it() {
        let folder = TempDir::new().unwrap();
        let log = AuditLog::in_folder(folder.path().join("own"));
        let peer = Peer { uid: Some(7), pid: Some(8) };
        log.write(peer, "trust_block", Some("a"), &["@x:hs", "DEV"], &Outcome::Done);
        let refused = Outcome::Refused(format!("no\n{}", "x".repeat(1000)));
        log.write(peer, "reset", Some("a"), &[], &refused);
        let mut found = lines(&folder.path().join("own"), FILE);
        for line in &mut found {
            assert!(line["time_ms"].as_u64() > Some(1_700_000_000_000), "{line}");
            line["time_ms"] = json!(0);
        }
        assert_eq!(
            found[0],
            json!({
                "time_ms": 0, "uid": 7, "pid": 8, "action": "trust_block", "agent": "a",
                "subjects": ["@x:hs", "DEV"], "outcome": "done",
            })
        );
        assert_eq!(found[1]["outcome"], "refused");
        assert_eq!(found[1]["reason"].as_str().map(str::len), Some(LONGEST_REASON));
        let file = fs::metadata(folder.path().join("own").join(FILE)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_full_file_is_put_aside_and_no_line_is_lost() {
        let folder = TempDir::new().unwrap();
        let log = AuditLog::in_folder(folder.path());
        let own = Peer::own();
        let write = |action: &str| log.write(own, action, None, &[], &Outcome::Done);
        write("first");
        let padding = vec![b' '; usize::try_from(FULL).unwrap()];
        let full = std::fs::OpenOptions::new().append(true).open(folder.path().join(FILE));
        full.unwrap().write_all(&[&padding[..], b"\n"].concat()).unwrap();
        write("last of the old");
        write("first of the new");
        let old = fs::read_to_string(folder.path().join(OLD_FILE)).unwrap();
        assert!(old.contains("\"first\"") && old.contains("last of the old"));
        let new = lines(folder.path(), FILE);
        assert_eq!((new.len(), &new[0]["action"]), (1, &json!("first of the new")));
    }

    #[test]
    fn a_log_that_cannot_be_written_stops_nobody() {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let log = AuditLog::in_folder(folder.path().join("file/own"));
        log.write(Peer::own(), "reset", Some("a"), &[], &Outcome::Done);
    }
}
