//! What only an administrator of the homeserver can do.
//!
//! Synapse answers an administrator on the port that clients use, which is on
//! the loopback address. The first administrator has to be made with the
//! secret for registrations; Synapse comes with a program for that.

use std::{path::PathBuf, process::Command, sync::PoisonError};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::Homeserver;
use crate::TestbedError;

/// The localpart of the administrator, and the password.
const ADMINISTRATOR: &str = "testbed-administrator";

impl Homeserver {
    /// Logs an administrator in and returns the token, which is another one
    /// each time.
    ///
    /// The administrator is made if there is none. It may ask for everything
    /// under `/_synapse/admin`. The token expires like that of anybody.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Tool`] with what Synapse's program says when it cannot
    /// make one.
    pub fn admin_token(&self) -> Result<String, TestbedError> {
        self.ensure_administrator()?;
        Ok(self.login(ADMINISTRATOR, ADMINISTRATOR)?.access_token)
    }

    /// Deletes a device of a user, whose token is worth nothing from then on.
    /// The user is not asked. A device that is not there counts as deleted.
    ///
    /// `user_id` is a whole id, here and below.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Refused`], with code `M_NOT_FOUND` for an unknown user;
    /// and whatever [`Self::admin_token`] says.
    pub fn admin_delete_device(&self, user_id: &str, device_id: &str) -> Result<(), TestbedError> {
        let path = format!("v2/users/{}/devices/{}", encoded(user_id), encoded(device_id));
        self.administer("DELETE", &path, None).map(drop)
    }

    /// A new registration token that is good for so many accounts.
    ///
    /// # Errors
    ///
    /// As [`Self::admin_token`].
    pub fn admin_registration_token(&self, uses: u32) -> Result<String, TestbedError> {
        let body = json!({ "uses_allowed": uses });
        let answer = self.administer("POST", "v1/registration_tokens/new", Some(&body))?;
        match answer["token"].as_str() {
            Some(token) => Ok(token.to_owned()),
            None => {
                Err(TestbedError::Unexpected { asked: "a registration token".to_owned(), answer })
            }
        }
    }

    /// Ends an account: its devices are deleted, and it cannot log in again.
    ///
    /// # Errors
    ///
    /// As [`Self::admin_delete_device`].
    pub fn admin_deactivate(&self, user_id: &str) -> Result<(), TestbedError> {
        let path = format!("v1/deactivate/{}", encoded(user_id));
        self.administer("POST", &path, Some(&json!({ "erase": false }))).map(drop)
    }

    /// Locks an account: its devices stay, and whatever they ask is refused
    /// with `M_USER_LOCKED`.
    ///
    /// # Errors
    ///
    /// As [`Self::admin_delete_device`], but an unknown user is made.
    pub fn admin_lock(&self, user_id: &str) -> Result<(), TestbedError> {
        self.set_locked(user_id, true)
    }

    /// Ends what [`Self::admin_lock`] began; the old tokens are good again.
    ///
    /// # Errors
    ///
    /// As [`Self::admin_lock`].
    pub fn admin_unlock(&self, user_id: &str) -> Result<(), TestbedError> {
        self.set_locked(user_id, false)
    }

    fn set_locked(&self, user_id: &str, locked: bool) -> Result<(), TestbedError> {
        let path = format!("v2/users/{}", encoded(user_id));
        self.administer("PUT", &path, Some(&json!({ "locked": locked }))).map(drop)
    }

    /// The account data of a user, of rooms and of none.
    pub(super) fn admin_account_data(&self, user_id: &str) -> Result<Value, TestbedError> {
        self.administer("GET", &format!("v1/users/{}/accountdata", encoded(user_id)), None)
    }

    fn administer(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, TestbedError> {
        let token = self.admin_token()?;
        self.http.demand(method, &format!("/_synapse/admin/{path}"), Some(&token), body)
    }

    /// The program takes half a second, so it is run once.
    fn ensure_administrator(&self) -> Result<(), TestbedError> {
        let mut is_there = self.has_administrator.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_there {
            self.make_administrator()?;
            *is_there = true;
        }
        Ok(())
    }

    fn make_administrator(&self) -> Result<(), TestbedError> {
        let program = self.installation.python.with_file_name("register_new_matrix_user");
        let output = Command::new(&program)
            .args(["--user", ADMINISTRATOR, "--password", ADMINISTRATOR, "--admin", "--exists-ok"])
            .args(["--shared-secret", self.registration_shared_secret(), self.base_url()])
            // The loopback address is never behind a proxy.
            .env("NO_PROXY", "*")
            .output()
            .map_err(|source| TestbedError::Spawn { program: program.clone(), source })?;
        if output.status.success() { Ok(()) } else { Err(failure(program, &output)) }
    }
}

fn failure(program: PathBuf, output: &std::process::Output) -> TestbedError {
    // It says what went wrong on either of them.
    let said = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said));
    TestbedError::Tool { program, status: output.status, said: said.concat() }
}

/// As a part of a path; ids may hold anything but a slash, and even that.
fn encoded(id: &str) -> impl std::fmt::Display {
    utf8_percent_encode(id, NON_ALPHANUMERIC)
}
