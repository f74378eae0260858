//! The folder of a chat: its server, its token and its key.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context;
use fs_err::{self as fs, OpenOptions, os::unix::fs::OpenOptionsExt};
use launcher_config::{Environment, ProcessEnvironment, parse_pickle_key};
use launcher_core::secret::{PickleKey, Secret};
use launcher_runtime::locks::make_private_folder;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::exit::Quit;

/// The file with everything that lets one in. Mode 0600.
const ACCOUNT: &str = "account.json";

/// Who somebody is on a Messager.
pub(crate) struct Account {
    pub(crate) server: Url,
    pub(crate) token: Secret<String>,
    /// Seals the crypto store. Made here, and kept nowhere else.
    pub(crate) key: PickleKey,
}

#[derive(Serialize, Deserialize)]
struct Written {
    server: Url,
    token: String,
    pickle_key: String,
}

/// What was kept in a folder; `None` before the first chat.
pub(crate) fn read(folder: &Path) -> anyhow::Result<Option<Account>> {
    let path = folder.join(ACCOUNT);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let damaged = || format!("{} is not what a chat has written", path.display());
    // The parser's own words would show a part of the file.
    let written: Written = serde_json::from_str(&text).map_err(|_| anyhow::anyhow!(damaged()))?;
    let key = parse_pickle_key(&written.pickle_key).map_err(|_| anyhow::anyhow!(damaged()))?;
    Ok(Some(Account { server: written.server, token: Secret::new(written.token), key }))
}

/// Keeps who somebody is, with a key that is made now. There is none yet.
pub(crate) fn make(folder: &Path, server: Url, token: Secret<String>) -> anyhow::Result<Account> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let pickle_key: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let written = Written { server, token: token.expose().clone(), pickle_key };
    make_private_folder(folder).with_context(|| format!("making {}", folder.display()))?;
    let (path, draft) = (folder.join(ACCOUNT), folder.join("account.new"));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(&serde_json::to_vec(&written)?)?;
    file.sync_all()?;
    fs::rename(&draft, &path)?;
    let key = parse_pickle_key(&written.pickle_key)
        .map_err(|_| anyhow::anyhow!("the key that was made is of no use"))?;
    Ok(Account { server: written.server, token, key })
}

/// Where chats are kept when nobody says otherwise.
pub(crate) fn usual() -> anyhow::Result<PathBuf> {
    let set = |name: &str| ProcessEnvironment.var(name).filter(|value| !value.is_empty());
    let base = match (set("XDG_DATA_HOME"), set("HOME")) {
        (Some(data), _) => PathBuf::from(data),
        (None, Some(home)) => PathBuf::from(home).join(".local/share"),
        (None, None) => {
            return Err(Quit::usage("no home folder is known: name one with --data").into());
        }
    };
    Ok(base.join("launcher/chat"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_kept_is_private_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("deep/chat");
        assert!(read(&folder).unwrap().is_none());
        let server: Url = "http://127.0.0.1:8447".parse().unwrap();
        let made = make(&folder, server.clone(), Secret::new("hunter2".to_owned())).unwrap();
        let found = read(&folder).unwrap().unwrap();
        assert_eq!((&found.server, found.token.expose().as_str()), (&server, "hunter2"));
        assert_eq!(found.key.expose(), made.key.expose());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join(ACCOUNT))), (0o700, 0o600));
    }

    #[test]
    fn a_damaged_file_is_named_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(ACCOUNT), "{\"server\":\"http://a\",\"token\":\"hunter2\"")
            .unwrap();
        let error = read(folder.path()).err().unwrap().to_string();
        assert!(error.contains(ACCOUNT) && !error.contains("hunter2"), "{error}");
    }
}
