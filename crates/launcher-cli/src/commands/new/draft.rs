//! The note that an agent is being made. It has no secret in it.
//!
//! As long as it is there, the agent's variables in `.env` are those of a run
//! that was cut off, and a second run may use them.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context;
use fs_err::{self as fs, OpenOptions, os::unix::fs::OpenOptionsExt};
use launcher_core::agent::AgentId;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::move_in::sync_folder;

/// An agent that is being made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Draft {
    homeserver: Url,
    username: String,
    /// Once the account is there.
    pub(super) user_id: Option<String>,
    #[serde(skip)]
    path: PathBuf,
}

impl Draft {
    pub(super) fn read(notes: &Path, id: &AgentId) -> anyhow::Result<Option<Self>> {
        let path = path(notes, id);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let draft: Self = serde_json::from_str(&text).with_context(|| {
            format!("{} cannot be read: remove it, and what .env has of {id}", path.display())
        })?;
        Ok(Some(Self { path, ..draft }))
    }

    /// Notes that it was begun.
    pub(super) fn begin(
        notes: &Path,
        id: &AgentId,
        homeserver: &Url,
        username: &str,
    ) -> io::Result<Self> {
        let draft = Self {
            homeserver: homeserver.clone(),
            username: username.to_owned(),
            user_id: None,
            path: path(notes, id),
        };
        draft.write()?;
        Ok(draft)
    }

    /// Notes that the account is there.
    pub(super) fn registered(&mut self, user_id: &str) -> io::Result<()> {
        self.user_id = Some(user_id.to_owned());
        self.write()
    }

    pub(super) fn remove(notes: &Path, id: &AgentId) -> io::Result<()> {
        match fs::remove_file(path(notes, id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether the same account was to be made.
    pub(super) fn is_about(&self, homeserver: &Url, username: &str) -> bool {
        self.homeserver == *homeserver && self.username == username
    }

    fn write(&self) -> io::Result<()> {
        let new = self.path.with_extension("json.new");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        sync_folder(self.path.parent().unwrap_or(Path::new(".")))
    }
}

fn path(notes: &Path, id: &AgentId) -> PathBuf {
    notes.join(format!("{id}.json"))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_note_says_of_which_account_it_is_until_it_is_removed() {
        let folder = TempDir::new().unwrap();
        let (id, server) = ("a".parse().unwrap(), Url::parse("https://hs").unwrap());
        assert_eq!(Draft::read(folder.path(), &id).unwrap(), None);
        let mut draft = Draft::begin(folder.path(), &id, &server, "bot").unwrap();
        assert!(draft.is_about(&server, "bot") && !draft.is_about(&server, "other"));
        assert_eq!(Draft::read(folder.path(), &id).unwrap().unwrap().user_id, None);
        draft.registered("@bot:hs").unwrap();
        assert_eq!(Draft::read(folder.path(), &id).unwrap(), Some(draft));
        for _ in 0..2 {
            Draft::remove(folder.path(), &id).unwrap();
        }
        assert_eq!(Draft::read(folder.path(), &id).unwrap(), None);
    }
}
