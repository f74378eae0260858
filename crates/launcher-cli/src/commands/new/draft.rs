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
use launcher_control::wire::Refusal;
use launcher_core::agent::AgentId;
use serde::{Deserialize, Serialize};
use url::Url;

use super::files::shown;
use crate::{move_in::sync_folder, table::harmless};

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

    /// Makes sure that the same account is to be made as before. Secrets that
    /// an account may have been made with stand in `.env`, and nowhere else, so
    /// nothing may be put in their place.
    ///
    /// # Errors
    ///
    /// Which note says otherwise, what differs, and the ways out.
    pub(super) fn check(
        &self,
        id: &AgentId,
        homeserver: &Url,
        username: Option<&str>,
    ) -> Result<(), Refusal> {
        let mut differences = Vec::new();
        if shown(&self.homeserver) != shown(homeserver) {
            let (before, now) = (shown(&self.homeserver), shown(homeserver));
            differences.push(format!("it was at {before}, not at {now}"));
        }
        let known = self.user_id.as_ref().unwrap_or(&self.username);
        if let Some(username) = username.filter(|username| !is_same_name(known, username)) {
            differences.push(format!("its account was `{known}`, not `{username}`"));
        }
        if differences.is_empty() {
            return Ok(());
        }
        let done = match &self.user_id {
            Some(user_id) => format!("has made {user_id} and was cut off"),
            None => "was cut off, and may have made its account".to_owned(),
        };
        let reason = format!(
            "an earlier `launcher new {id}` {done} ({}); {}; nothing was done",
            self.path.display(),
            differences.join(", and ")
        );
        let action = format!(
            "repeat it as it was, with `--homeserver {} --username {}`; or give --start-over, \
             which forgets it and makes comments of its lines in `.env`; or take another ID",
            shown(&self.homeserver),
            self.username
        );
        Err(Refusal::new(harmless(&reason), harmless(&action)))
    }

    /// Where it is registered.
    pub(super) fn homeserver(&self) -> &Url {
        &self.homeserver
    }

    /// The account's name, as it was given.
    pub(super) fn username(&self) -> &str {
        &self.username
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

/// Whether two names are those of the same account of one server: of `bot` and
/// `@bot:hs`, the first says less.
fn is_same_name(one: &str, other: &str) -> bool {
    let parts = |name: &str| match name.strip_prefix('@').and_then(|full| full.split_once(':')) {
        Some((local, server)) => (local.to_owned(), Some(server.to_ascii_lowercase())),
        None => (name.to_owned(), None),
    };
    let ((one, its_server), (other, other_server)) = (parts(one), parts(other));
    one == other && (its_server.is_none() || other_server.is_none() || its_server == other_server)
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
        draft.check(&id, &server, Some("bot")).unwrap();
        assert_eq!(Draft::read(folder.path(), &id).unwrap().unwrap().user_id, None);
        draft.registered("@bot:hs").unwrap();
        assert_eq!(Draft::read(folder.path(), &id).unwrap(), Some(draft));
        for _ in 0..2 {
            Draft::remove(folder.path(), &id).unwrap();
        }
        assert_eq!(Draft::read(folder.path(), &id).unwrap(), None);
    }

    #[test]
    fn another_spelling_of_the_same_account_is_the_same_and_everything_else_is_refused() {
        let folder = TempDir::new().unwrap();
        let (id, url) = ("a".parse().unwrap(), |text: &str| Url::parse(text).unwrap());
        let server = url("https://HS.test:443/");
        let mut draft = Draft::begin(folder.path(), &id, &server, "bot").unwrap();
        for same in ["https://hs.test", "https://hs.test/"] {
            for name in [None, Some("bot"), Some("@bot:hs.test"), Some("@bot:HS.test")] {
                draft.check(&id, &url(same), name).unwrap();
            }
        }
        let refused = |draft: &Draft, server: &str, name: &str| {
            draft.check(&id, &url(server), Some(name)).unwrap_err()
        };
        let other = refused(&draft, "http://hs.test", "bot");
        assert!(other.reason.contains("it was at https://hs.test, not at http://hs.test"));
        assert!(other.reason.contains("/a.json"), "{}", other.reason);
        assert!(other.action.unwrap().contains("--homeserver https://hs.test --username bot"));
        let other = refused(&draft, "https://hs.test/matrix", "Bot");
        assert!(other.reason.contains("not at https://hs.test/matrix, and its account was `bot`"));
        draft.registered("@bot:hs.test").unwrap();
        draft.check(&id, &server, Some("@bot:hs.test")).unwrap();
        let other = refused(&draft, "https://hs.test", "@bot:example.org");
        assert!(other.reason.contains("has made @bot:hs.test"), "{}", other.reason);
        assert!(other.action.unwrap().contains("--start-over"));
    }
}
