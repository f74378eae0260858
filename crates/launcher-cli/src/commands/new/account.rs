//! The account of an agent that is being made: looked at first, then
//! registered or logged in to.

use anyhow::bail;
use launcher_control::wire::Refusal;
use launcher_core::secret::Secret;
use launcher_matrix::{
    MatrixConnector,
    registration::{AccountError, Entrance, examine, log_in, register},
};
use url::Url;

use super::choice::Choice;
use crate::{exit::say, table::harmless};

/// Letters and digits of a new account's password: 40 of 62 are 238 bits.
const PASSWORD_LENGTH: usize = 40;

const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// What an error of the server is for whoever started the command.
pub(super) fn refusal(error: &AccountError) -> Refusal {
    Refusal::new(harmless(&error.to_string()), error.action())
}

/// An account on its way.
#[derive(Debug)]
pub(super) struct Account<'a> {
    connector: &'a MatrixConnector,
    server: &'a Url,
    username: &'a str,
    choice: &'a Choice,
    /// That of an earlier run, or of the account that exists.
    password: Option<Secret<String>>,
    user_id: Option<String>,
}

/// An account that is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    /// Whether it was made.
    pub(super) is_new: bool,
}

impl<'a> Account<'a> {
    pub(super) fn begin(
        connector: &'a MatrixConnector,
        server: &'a Url,
        username: &'a str,
        choice: &'a Choice,
    ) -> Self {
        Self { connector, server, username, choice, password: None, user_id: None }
    }

    /// Finds out as much as can be found out before anything is written.
    /// `earlier` is the password of a run that was cut off.
    pub(super) async fn examine(
        &mut self,
        earlier: Option<&Secret<String>>,
    ) -> Result<(), Refusal> {
        match self.choice {
            Choice::Existing(password) => {
                let done = log_in(self.connector, self.server, self.username, password).await;
                let user_id = done.map_err(|error| refusal(&error))?;
                say(&harmless(&format!("the password opens {user_id}")));
                self.password = Some(password.clone());
                self.user_id = Some(user_id);
            }
            Choice::New(entrance) => {
                self.password = earlier.cloned();
                let done = examine(self.connector, self.server, self.username, entrance).await;
                match self.recognize(done).await {
                    Ok(()) => say(&format!("registering `{}` {}", self.username, how(entrance))),
                    Err(error) => return Err(refusal(&error)),
                }
            }
        }
        Ok(())
    }

    /// The account's password; a new one if it has none yet.
    pub(super) fn password(&mut self) -> anyhow::Result<Secret<String>> {
        let password = match &self.password {
            Some(password) => password.clone(),
            None => random_password()?,
        };
        self.password = Some(password.clone());
        Ok(password)
    }

    /// Registers the account, if it is not there.
    pub(super) async fn register(&mut self) -> Result<(), AccountError> {
        let (Choice::New(entrance), Some(password), None) =
            (self.choice, &self.password, &self.user_id)
        else {
            return Ok(());
        };
        let done = register(self.connector, self.server, self.username, password, entrance).await;
        match done {
            Ok(user_id) => {
                say(&harmless(&format!("registered {user_id}")));
                self.user_id = Some(user_id);
                Ok(())
            }
            Err(error) => self.recognize(Err(error)).await,
        }
    }

    /// A name that is taken may be taken by an earlier run, which had this
    /// password.
    async fn recognize(&mut self, done: Result<(), AccountError>) -> Result<(), AccountError> {
        let (Err(taken @ AccountError::Taken { .. }), Some(password)) = (&done, &self.password)
        else {
            return done;
        };
        match log_in(self.connector, self.server, self.username, password).await {
            Ok(user_id) => {
                say(&harmless(&format!("an earlier run has registered {user_id}")));
                self.user_id = Some(user_id);
                Ok(())
            }
            Err(AccountError::Refused { .. } | AccountError::Taken { .. }) => Err(taken.clone()),
            Err(error) => Err(error),
        }
    }

    /// The account's full id, once it is there.
    pub(super) fn user_id(&self) -> anyhow::Result<String> {
        match &self.user_id {
            Some(user_id) => Ok(user_id.clone()),
            None => bail!("the homeserver has not said the account's id"),
        }
    }

    pub(super) fn done(&self) -> Done {
        Done { is_new: matches!(self.choice, Choice::New(_)) }
    }
}

fn how(entrance: &Entrance) -> &'static str {
    match entrance {
        Entrance::Open => "where everybody may",
        Entrance::Token(_) => "with the registration token",
        Entrance::SharedSecret(_) => "with the shared secret",
    }
}

/// A password that every policy takes: servers can demand capitals, digits and
/// symbols.
fn random_password() -> anyhow::Result<Secret<String>> {
    loop {
        let (one, other) = (random_letters()?, random_letters()?);
        let password = Secret::new(format!("{}-{}", one.expose(), other.expose()));
        let has = |is: fn(&u8) -> bool| password.expose().as_bytes().iter().any(is);
        if has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit) {
            return Ok(password);
        }
    }
}

/// Half of the letters and digits of a password.
fn random_letters() -> anyhow::Result<Secret<String>> {
    let wanted = PASSWORD_LENGTH / 2;
    let mut letters = String::with_capacity(wanted);
    let mut bytes = [0_u8; 64];
    while letters.len() < wanted {
        if getrandom::fill(&mut bytes).is_err() {
            bail!("the system gives no random numbers");
        }
        // Bytes from the last, incomplete round would favor some letters.
        let usable = bytes.iter().filter(|&&byte| usize::from(byte) < 4 * LETTERS.len());
        let found = usable.filter_map(|byte| LETTERS.get(usize::from(*byte) % LETTERS.len()));
        letters.extend(found.take(wanted - letters.len()).copied().map(char::from));
    }
    bytes.fill(0);
    Ok(Secret::new(letters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_never_the_same_and_stand_in_a_file_as_they_are() {
        let (one, other) = (random_password().unwrap(), random_password().unwrap());
        assert_eq!(one.expose().len(), PASSWORD_LENGTH + 1);
        assert!(one.expose().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
        assert!(one.expose().bytes().any(|byte| byte.is_ascii_digit()));
        assert!(one != other);
    }
}
