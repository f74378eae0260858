//! Accounts and devices, as whoever runs the server makes, lists and revokes them.

mod known;

pub use self::known::{KnownAccount, KnownDevice, RevokeError, accounts, revoke_device};

use std::{fmt, path::Path};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    api::hash,
    refusal::Refusal,
    store::{Folder, OpenError, Stop, accounts},
    values::{AccountId, DeviceId, random},
};

/// The longest name of an account.
const LONGEST: usize = 64;

/// Why no device was added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// It cannot be the name of an account.
    #[error(
        "`{name}` cannot be the name of an account: it takes 1 to 64 letters a to z, digits, \
         dashes, dots and underscores, the first a letter or a digit"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// It cannot be the label of a device.
    #[error("the label of a device takes 1,024 characters at most, and no controls")]
    Label,
    /// The folder cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The operating system has no randomness.
    #[error("no randomness for a token")]
    Random(#[from] getrandom::Error),
    /// The tables could not be written; the log says why.
    #[error("the account could not be written")]
    Tables,
}

/// What a client shows to be let in. It is kept nowhere: only its hash is.
pub struct Token(String);

impl Token {
    /// The token itself. It opens the account: do not log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// A device that was added.
#[derive(Debug)]
pub struct NewDevice {
    /// Its account, which may have been there before.
    pub account_id: AccountId,
    /// The device, in Pass and on the websocket.
    pub device_id: DeviceId,
    /// What it shows to be let in.
    pub token: Token,
}

/// Adds a device to the account of a name, and makes the account if there is
/// none; also while a server runs on the folder.
///
/// Letters of names count in either case. The label is for people.
///
/// # Errors
///
/// See [`AddError`]. Then nothing was added.
pub fn add_device(folder: &Path, name: &str, label: Option<&str>) -> Result<NewDevice, AddError> {
    check(name, label)?;
    add(&Folder::prepare(folder)?, name, label)
}

/// As [`add_device`], in a folder that is prepared.
pub(crate) fn add(folder: &Folder, name: &str, label: Option<&str>) -> Result<NewDevice, AddError> {
    check(name, label)?;
    let token = URL_SAFE_NO_PAD.encode(random::<32>()?);
    let mut connection = folder.connections().open().map_err(OpenError::Tables)?;
    let added = accounts::add_device(&mut connection, name, label, &hash(&token));
    match added {
        Ok((account_id, device_id)) => Ok(NewDevice { account_id, device_id, token: Token(token) }),
        Err(Stop::Sqlite(error)) => Err(OpenError::Tables(error).into()),
        Err(Stop::Random(error)) => Err(error.into()),
        Err(stop @ (Stop::Refused(_) | Stop::Json(_))) => {
            let _: Refusal = stop.into_refusal();
            Err(AddError::Tables)
        }
    }
}

fn check(name: &str, label: Option<&str>) -> Result<(), AddError> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !begins || name.len() > LONGEST || !name.bytes().all(is_good) {
        let name = name.chars().take(LONGEST).flat_map(char::escape_debug).collect();
        return Err(AddError::Name { name });
    }
    let label = label.unwrap_or_default();
    if label.chars().count() > 1024 || label.chars().any(char::is_control) {
        return Err(AddError::Label);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_kept_as_its_hash_only() {
        let folder = tempfile::tempdir().unwrap();
        let added = add_device(folder.path(), "alice", Some("phone")).unwrap();
        let token = added.token.expose().to_owned();
        assert_eq!(token.len(), 43);
        assert!(!format!("{added:?}").contains(&token));
        for file in fs_err::read_dir(folder.path()).unwrap() {
            let bytes = fs_err::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(token.len()).any(|part| part == token.as_bytes()));
        }
    }

    #[test]
    fn a_name_that_is_there_gets_another_device() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["alice", "Alice"].map(|name| add_device(folder.path(), name, None));
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!(one.account_id, two.account_id);
        assert_ne!(one.device_id, two.device_id);
    }

    #[test]
    fn names_are_what_can_be_mentioned() {
        for name in ["a", "Alice-2", "a.b_c", &"x".repeat(64)] {
            check(name, None).unwrap();
        }
        for name in ["", "-a", ".a", "a b", "ä", "a\n", &"x".repeat(65)] {
            assert!(matches!(check(name, None), Err(AddError::Name { .. })), "{name:?}");
        }
        assert!(matches!(check("a", Some("\u{1b}[0m")), Err(AddError::Label)));
    }
}
