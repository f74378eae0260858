//! Signs a device of any account, not only of an agent's.
//!
//! A bot or a bridge that runs elsewhere is unsigned as long as nobody signs
//! it, and current clients refuse its messages. This needs its token or its
//! password, and changes nothing about its device but the signature.
//!
//! An identity that exists is never replaced. One is made only where there is
//! none, and then in an order in which a kill loses nothing: the operator has
//! the recovery key before the server hears of it, and the private keys are in
//! secret storage before the public ones are published.

mod creating;
mod identity;
mod keys;
mod target;

use std::io;

use launcher_core::{
    fault::Fault,
    secret::Secret,
    spec::{self, Network},
};
use launcher_runtime::ports::maintenance::MaintenanceError;
use matrix_sdk_base::crypto::{
    secret_storage::SecretStorageKey, store::types::CrossSigningKeyExport,
};
use serde_json::Value;
use url::Url;

use crate::{
    connector::MatrixConnector,
    devices::is_signed,
    login,
    maintenance::refused,
    recovery::{Account, is_complete},
    rest::{Rest, RestError},
};

use self::keys::Unfit;

/// What the device is called that a password logs in, and that is logged out
/// at the end.
const TEMPORARY: &str = "launcher verify";

/// Which device is to be signed, and what is at hand for it.
#[derive(Clone, Debug)]
pub struct Signing {
    /// The client-server API's base.
    pub homeserver: Url,
    /// The account: its localpart or its full id.
    pub user: String,
    /// A token of the account; without `device`, of the device to be signed.
    pub token: Option<Secret<String>>,
    /// The account's password. Needed where there is no token, and by some
    /// servers for a new identity.
    pub password: Option<Secret<String>>,
    /// Opens the account's secret storage.
    pub recovery_key: Option<Secret<String>>,
    /// The device to be signed.
    pub device: Option<String>,
    /// Whether an identity may be made for an account that has none.
    pub may_create: bool,
}

/// Whoever asked for the signature.
pub trait Operator: Send {
    /// Is told what was found and done, a sentence at a time.
    fn tell(&mut self, step: &str);

    /// Gets a recovery key that was made just now, before anything depends on it.
    ///
    /// # Errors
    ///
    /// If it cannot be kept: nothing is changed then.
    fn keep(&mut self, recovery_key: &Secret<String>) -> io::Result<()>;
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The account's full id.
    pub user_id: String,
    /// The device.
    pub device_id: String,
    /// Its ed25519 key, in groups of four letters, as chat clients show it.
    pub fingerprint: String,
    /// Whether the server shows the device as signed by its owner.
    pub signed: bool,
}

/// Signs one device. `stop` ends it early, at a point where doing it again
/// goes on.
///
/// # Errors
///
/// Refusals and faults of the server. What was done before stays, and is taken
/// up when it is done again.
pub async fn sign(
    connector: &MatrixConnector,
    signing: Signing,
    operator: &mut dyn Operator,
    stop: impl Future<Output = ()>,
) -> Result<Signed, MaintenanceError> {
    let rest = Rest::new(connector.http(), signing.homeserver.clone());
    let account = spec::Account {
        network: Network::Matrix,
        homeserver: signing.homeserver.clone(),
        user_id: signing.user.clone(),
        password: signing.password.clone(),
        access_token: signing.token.clone(),
    };
    let (token, is_temporary) = match &signing.token {
        Some(token) => (token.clone(), false),
        None => (log_in(&rest, &account).await?, true),
    };
    let mut work = Work { rest: &rest, account, token: &token, signing: &signing, operator };
    let outcome = tokio::select! {
        outcome = work.run() => outcome,
        () = stop => Err(refused("interrupted", AGAIN)),
    };
    if is_temporary && let Err(error) = rest.logout(token.expose()).await {
        operator.tell(&format!("the temporary device “{TEMPORARY}” could not be removed: {error}"));
    }
    outcome
}

const AGAIN: &str = "do it again; what was done already is taken up";

/// Logs in as a device without keys, for as long as this takes.
async fn log_in(rest: &Rest, account: &spec::Account) -> Result<Secret<String>, MaintenanceError> {
    let Some(password) = &account.password else {
        return Err(refused("neither a token nor a password is given", "give one of them"));
    };
    let device = login::new_device_id()?;
    match rest.login(&account.user_id, password, &device, TEMPORARY, false).await {
        Ok(tokens) => Ok(tokens.access),
        Err(RestError::Api { errcode, message, .. }) if errcode == "M_FORBIDDEN" => Err(refused(
            format!("the homeserver refused the login: {message}"),
            "correct user or password",
        )),
        Err(error) => Err(trouble(rest.fault(account, error))),
    }
}

/// The same faults mean other things to do than for an agent.
fn trouble(fault: Fault) -> MaintenanceError {
    match fault {
        Fault::TokenInvalid { .. } => {
            refused(fault.to_string(), "give a token that is valid, or the password")
        }
        Fault::ServerUnavailable { .. } => refused(
            fault.to_string(),
            "check the homeserver's address and the network, and do it again: what was done \
             already is taken up",
        ),
        // There is no store but the memory.
        Fault::StoreFailed { detail } => refused(
            format!("what the homeserver shows cannot be worked with: {detail}"),
            "have the homeserver looked at; nothing was signed",
        ),
        fault => fault.into(),
    }
}

struct Work<'a> {
    rest: &'a Rest,
    account: spec::Account,
    token: &'a Secret<String>,
    signing: &'a Signing,
    operator: &'a mut dyn Operator,
}

impl Work<'_> {
    async fn run(&mut self) -> Result<Signed, MaintenanceError> {
        let own_device = self.who().await?;
        let mut keys = self.query().await?;
        let device = self.target(own_device, &keys).await?;
        let user = self.account.user_id.clone();
        let Some(fingerprint) = target::fingerprint(&keys, &user, &device) else {
            return Err(refused(
                format!("the homeserver has no keys of device {device} of {user}"),
                "start the client that uses this device once, so that it uploads them",
            ));
        };
        let signed = is_signed(&keys, &user, &device);
        let mut found = Signed { user_id: user, device_id: device, fingerprint, signed };
        if signed {
            self.operator.tell("the device is signed by its owner already; nothing was done");
            return Ok(found);
        }
        let storage = if has_identity(&keys, &found.user_id) {
            self.open_storage().await?
        } else {
            let storage = self.make_identity().await?;
            keys = self.query().await?;
            storage
        };
        let private = self.private_keys(&storage).await?;
        self.add_signature(&keys, &found.device_id, private).await?;
        // What the server shows counts, not what it answered.
        found.signed = is_signed(&self.query().await?, &found.user_id, &found.device_id);
        Ok(found)
    }

    /// Finds out the full id of the account; returns the token's device, if it
    /// was given and has one.
    async fn who(&mut self) -> Result<Option<String>, MaintenanceError> {
        let found = self.rest.whoami(self.token.expose()).await;
        let found = found.map_err(|error| self.trouble(error))?;
        let given = self.signing.token.is_some();
        if given && !names(&self.signing.user, &found.user_id) {
            return Err(refused(
                format!("the token is {}'s, not {}'s", found.user_id, self.signing.user),
                "give a token of the account, or name the other account",
            ));
        }
        self.account.user_id = found.user_id;
        Ok(found.device_id.filter(|_| given))
    }

    async fn target(
        &self,
        own_device: Option<String>,
        keys: &Value,
    ) -> Result<String, MaintenanceError> {
        if let Some(device) = self.signing.device.clone().or(own_device) {
            return Ok(device);
        }
        if self.signing.token.is_some() {
            return Err(refused(
                format!("the token of {} belongs to no device", self.account.user_id),
                "give a token from a login, or name the device (--device)",
            ));
        }
        let devices = self.rest.devices(self.token.expose()).await;
        let devices = devices.map_err(|error| self.trouble(error))?;
        target::choose(&devices, keys, &self.account.user_id)
    }

    /// Opens the secret storage of an account that has an identity.
    async fn open_storage(&mut self) -> Result<SecretStorageKey, MaintenanceError> {
        let Some(key) = &self.signing.recovery_key else {
            return Err(refused(
                format!(
                    "{} has a cross-signing identity, and its private keys are not at hand",
                    self.account.user_id
                ),
                "give the account's recovery key, or verify the device from another session of \
                 the account, in Element for example; the identity is never replaced",
            ));
        };
        let opened = self.at_server().open(key.expose()).await.map_err(trouble)?;
        opened.map_err(|layer| refused(format!("the recovery key: {layer}"), layer.action()))
    }

    async fn private_keys(
        &self,
        storage: &SecretStorageKey,
    ) -> Result<CrossSigningKeyExport, MaintenanceError> {
        let found = self.at_server().cross_signing_keys(storage).await.map_err(trouble)?;
        if !is_complete(&found) {
            return Err(refused(
                "the account's secret storage does not hold all cross-signing keys",
                "repair recovery in another client of this account first",
            ));
        }
        Ok(found)
    }

    async fn add_signature(
        &mut self,
        keys: &Value,
        device: &str,
        private: CrossSigningKeyExport,
    ) -> Result<(), MaintenanceError> {
        let user = &self.account.user_id;
        let signature = keys::signature(user, keys, device, private).await.map_err(trouble)?;
        let signature = signature.map_err(|unfit| match unfit {
            Unfit::Identity => refused(
                format!("the homeserver shows no complete cross-signing identity of {user}"),
                "repair it in another client of this account first",
            ),
            Unfit::PrivateKeys => refused(
                "the cross-signing keys in secret storage are not those of the account's \
                 identity: it was made anew since",
                "set up recovery in the client that made the identity, and give the new recovery \
                 key",
            ),
            Unfit::Device => refused(
                format!("the keys of device {device} are not signed by the device itself"),
                "log the device out: nobody should trust it",
            ),
        })?;
        let uploaded = self.rest.upload_signatures(self.token.expose(), &signature).await;
        uploaded.map_err(|error| self.trouble(error))?;
        self.operator.tell(&format!("signed device {device} with the account's identity"));
        Ok(())
    }

    async fn query(&self) -> Result<Value, MaintenanceError> {
        let found = self.rest.query_keys(self.token.expose(), &self.account.user_id).await;
        found.map_err(|error| self.trouble(error))
    }

    fn at_server(&self) -> Account<'_> {
        Account { account: &self.account, rest: self.rest, token: self.token.expose() }
    }

    fn trouble(&self, error: RestError) -> MaintenanceError {
        trouble(self.rest.fault(&self.account, error))
    }
}

fn has_identity(keys: &Value, user: &str) -> bool {
    keys["master_keys"][user].is_object()
}

/// Whether what was typed, a localpart or a full id, means this user.
fn names(typed: &str, user_id: &str) -> bool {
    let typed = typed.strip_prefix('@').unwrap_or(typed);
    let full = user_id.strip_prefix('@').unwrap_or(user_id);
    typed == full || full.split_once(':').is_some_and(|(localpart, _)| typed == localpart)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_by_localpart_or_by_full_id() {
        for typed in ["alice", "@alice", "alice:hs.org", "@alice:hs.org"] {
            assert!(names(typed, "@alice:hs.org"), "{typed}");
        }
        for typed in ["", "bob", "alice:other.org", "@alice:hs", "hs.org"] {
            assert!(!names(typed, "@alice:hs.org"), "{typed}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let secret = || Some(Secret::new("hunter2".to_owned()));
        let signing = Signing {
            homeserver: Url::parse("https://hs.org").unwrap(),
            user: "alice".to_owned(),
            token: secret(),
            password: secret(),
            recovery_key: secret(),
            device: None,
            may_create: true,
        };
        assert!(!format!("{signing:?}").contains("hunter2"));
    }
}
