//! Everything that can be wrong about an agent, looked at once.
//!
//! Nothing is changed, neither on disk nor on the server, and no session is
//! used that a running agent has.

use std::time::Duration;

use launcher_core::{
    claim::{Lineage, lineage},
    preflight::{Findings, LocalAccount, verdict},
    spec::AgentSpec,
};
use launcher_runtime::{
    Report,
    checks::Checks,
    ports::{
        journal::{Journal, Stamp},
        maintenance::Check,
    },
    stamp,
};
use matrix_sdk_base::crypto::store::CryptoStore;
use matrix_sdk_sqlite::SqliteCryptoStore;
use serde_json::Value;

use crate::{
    devices, lineage as life, login,
    preflight::VaultFile,
    recovery::Account,
    rekey, reset,
    rest::Rest,
    store::{StorePlace, local_account},
    vault::Vault,
};

/// A clock that is further off makes messages look too old, or from the future.
const SKEW: Duration = Duration::from_secs(60);

/// With fewer one-time keys on the server, nobody new can write to the agent soon.
const FEW_KEYS: u64 = 10;

const RESET: &str = "run `launcher reset ID`: the agent becomes a new device";

/// Looks at everything, and says what was found.
pub(crate) async fn examine(
    spec: &AgentSpec,
    rest: &Rest,
    journal: &dyn Journal,
    report: Option<&Report>,
) -> Vec<Check> {
    let mut doctor = Doctor { spec, rest, journal, checks: Checks::of(spec) };
    doctor.checks.files();
    let vault = doctor.vault();
    let store = doctor.store().await;
    doctor.server().await;
    let token = match &vault {
        Some(vault) => doctor.session(vault).await,
        None => None,
    };
    if let (Some(vault), Some((token, device))) = (&vault, token) {
        doctor.account(vault, &token, &device, store.as_ref()).await;
    }
    doctor.checks.retired();
    if let Some(report) = report {
        doctor.checks.running(report);
    }
    doctor.checks.finish()
}

struct Doctor<'a> {
    spec: &'a AgentSpec,
    rest: &'a Rest,
    journal: &'a dyn Journal,
    checks: Checks<'a>,
}

impl Doctor<'_> {
    fn vault(&mut self) -> Option<Vault> {
        if rekey::path(self.spec).exists() {
            self.checks.notable(
                "rekey",
                "a change of the pickle key was begun and is not finished",
                "start the agent: it finishes with the key that is configured",
            );
        }
        match VaultFile::open(self.spec) {
            Ok(vault) => {
                self.checks.good("vault", "the pickle key opens the vault");
                Some(vault.content)
            }
            Err(error) => {
                self.checks.bad(
                    "vault",
                    format!("{}: {error}", self.spec.data_folder().join("vault").display()),
                    "set encryption.pickle_key to the key this agent was first started with, or \
                     put the file back from a backup",
                );
                None
            }
        }
    }

    async fn store(&mut self) -> Option<SqliteCryptoStore> {
        let encryption = &self.spec.encryption;
        let place = StorePlace::new(encryption.store_path.clone(), encryption.pickle_key.clone());
        if !place.exists() {
            let finding = format!("there is no {}", place.crypto_db().display());
            self.checks.notable("store", finding, "start the agent, which makes one");
            return None;
        }
        let opened = match place.check_key() {
            Ok(()) if reset::is_damaged_for_good(&place).await => {
                self.checks.bad(
                    "store",
                    format!("{} is damaged", place.crypto_db().display()),
                    RESET,
                );
                return None;
            }
            Ok(()) => place.open_crypto().await,
            Err(fault) => Err(fault),
        };
        match opened {
            Ok(store) => {
                self.checks.good("store", "the crypto store opens and is sound");
                Some(store)
            }
            Err(fault) => {
                self.checks.bad("store", fault.reason(), &fault.action());
                None
            }
        }
    }

    async fn server(&mut self) {
        let homeserver = self.rest.homeserver();
        match self.rest.versions().await {
            Ok((answer, date)) => {
                let versions: Vec<&str> = answer["versions"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                let newest = versions.last().copied().unwrap_or("no version at all");
                match versions.iter().any(|version| version.starts_with("v1.")) {
                    true => self
                        .checks
                        .good("server", format!("{homeserver} answers and speaks {newest}")),
                    false => self.checks.bad(
                        "server",
                        format!("{homeserver} speaks {newest}; at least v1.1 is needed"),
                        "update the homeserver",
                    ),
                }
                self.clock(date);
            }
            Err(error) => self.checks.bad(
                "server",
                format!("{homeserver}: {error}"),
                "check matrix.homeserver, the network and the server",
            ),
        }
    }

    fn clock(&mut self, server: Option<Stamp>) {
        let Some(server) = server else { return };
        let now = stamp();
        let off = now.since(server).max(server.since(now));
        match off <= SKEW {
            true => self.checks.good(
                "clock",
                format!("this clock and the server's differ by {} s", off.as_secs()),
            ),
            false => self.checks.bad(
                "clock",
                format!("this clock and the server's differ by {} s", off.as_secs()),
                "set the clock (NTP) on the machine that is wrong",
            ),
        }
    }

    async fn session(&mut self, vault: &Vault) -> Option<(String, String)> {
        let Some(token) = login::known_token(self.spec, vault) else {
            self.checks.notable("session", "the agent has not logged in yet", "start it");
            return None;
        };
        match self.rest.whoami(&token).await {
            Ok(found) if found.user_id != self.spec.account.user_id => {
                self.checks.bad(
                    "session",
                    format!("the token belongs to {}", found.user_id),
                    "set matrix.access_token to a token of matrix.user_id",
                );
                None
            }
            Ok(found) => match found.device_id {
                Some(device) => {
                    self.checks.good("session", format!("logged in as device {device}"));
                    Some((token, device))
                }
                None => {
                    self.checks.bad(
                        "session",
                        "the token belongs to no device",
                        "set matrix.password",
                    );
                    None
                }
            },
            Err(error) => {
                let fault = self.rest.fault(&self.spec.account, error);
                match self.spec.account.password {
                    Some(_) => self.checks.notable(
                        "session",
                        fault.to_string(),
                        "start the agent: it logs in again",
                    ),
                    None => self.checks.bad("session", fault.to_string(), &fault.action()),
                }
                None
            }
        }
    }

    /// What the server shows of the account, against what is here.
    async fn account(
        &mut self,
        vault: &Vault,
        token: &str,
        device: &str,
        store: Option<&SqliteCryptoStore>,
    ) {
        let user = self.spec.account.user_id.clone();
        let keys = match self.rest.query_keys(token, &user).await {
            Ok(keys) => keys,
            Err(error) => {
                return self.checks.bad(
                    "device_keys",
                    error.to_string(),
                    "look again when it answers",
                );
            }
        };
        self.device_keys(vault, device, store, &keys).await;
        self.signed(device, &user, &keys);
        self.one_time_keys(token).await;
        self.backup(token, store).await;
        self.recovery(vault, token).await;
        if let Some(store) = store {
            self.generation(device, token, store).await;
        }
    }

    async fn device_keys(
        &mut self,
        vault: &Vault,
        device: &str,
        store: Option<&SqliteCryptoStore>,
        keys: &Value,
    ) {
        let encryption = &self.spec.encryption;
        let place = StorePlace::new(encryption.store_path.clone(), encryption.pickle_key.clone());
        let local = match store {
            Some(store) => local_account(&place, store).await.unwrap_or(LocalAccount::Absent),
            None => LocalAccount::Absent,
        };
        let user = self.spec.account.user_id.clone();
        let findings = Findings {
            server: Rest::identity_keys(keys, &user, device).ok().flatten(),
            known: vault.knows(device),
            device: device.to_owned(),
            user,
            local,
        };
        match verdict(&findings) {
            Ok(found) => self.checks.good(
                "device_keys",
                format!("the crypto store and the server agree about the device ({found})"),
            ),
            Err(mismatch) => {
                self.checks.bad("device_keys", mismatch.to_string(), mismatch.action())
            }
        }
    }

    fn signed(&mut self, device: &str, user: &str, keys: &Value) {
        if devices::is_signed(keys, user, device) {
            return self.checks.good("signed", "the account's owner has signed the device");
        }
        let finding = match keys["master_keys"][user].is_object() {
            true => {
                "the account's owner has not signed the device: clients that exclude insecure devices neither read nor reach it"
            }
            false => "the account has no cross-signing keys",
        };
        self.checks.bad(
            "signed",
            finding,
            "give the account's recovery key to `launcher recovery ID --set`, or run `launcher \
             verify ID`",
        );
    }

    async fn one_time_keys(&mut self, token: &str) {
        match self.rest.one_time_keys(token).await {
            Ok(count) if count >= FEW_KEYS => {
                self.checks
                    .good("one_time_keys", format!("{count} one-time keys are on the server"));
            }
            Ok(count) => self.checks.bad(
                "one_time_keys",
                format!("only {count} one-time keys are on the server"),
                "restart the agent; if that does not help, run `launcher reset ID`",
            ),
            Err(error) => {
                self.checks.bad("one_time_keys", error.to_string(), "look again when it answers")
            }
        }
    }

    async fn backup(&mut self, token: &str, store: Option<&SqliteCryptoStore>) {
        const WAY_OUT: &str = "give the account's recovery key to `launcher recovery ID --set`";
        let found = match self.rest.backup(token).await {
            Ok(found) => found,
            Err(error) => {
                return self.checks.bad("backup", error.to_string(), "look again when it answers");
            }
        };
        let Some(found) = found else {
            return self.checks.notable(
                "backup",
                "the account has no key backup: a lost store takes old messages with it",
                "restart the agent once its device is signed; it makes one",
            );
        };
        let version = found["version"].as_str().unwrap_or("?").to_owned();
        let count = found["count"].as_u64().unwrap_or_default();
        let Some(store) = store else { return };
        let known = store.load_backup_keys().await.ok();
        let key = known.as_ref().and_then(|known| known.decryption_key.as_ref());
        let fits = key.is_some_and(|key| {
            found["auth_data"]["public_key"] == key.megolm_v1_public_key().to_base64()
        });
        let same = known.and_then(|known| known.backup_version) == Some(version.clone());
        match (fits, same) {
            (true, true) => {
                self.checks
                    .good("backup", format!("uses key backup {version}, with {count} keys in it"));
            }
            (true, false) => self.checks.notable(
                "backup",
                format!("has the key to key backup {version} and does not use it"),
                "restart the agent",
            ),
            (false, _) => self.checks.bad(
                "backup",
                format!(
                    "key backup {version} belongs to somebody whose key the agent does not have"
                ),
                WAY_OUT,
            ),
        }
    }

    async fn recovery(&mut self, vault: &Vault, token: &str) {
        let configured = self.spec.encryption.recovery_key.as_ref().map(|key| key.expose().clone());
        let Some(key) = configured.or_else(|| vault.recovery_key.as_deref().cloned()) else {
            return self.checks.notable(
                "recovery_key",
                "the agent has no recovery key: without its store it cannot sign itself again",
                "give it the account's with `launcher recovery ID --set`",
            );
        };
        let account = Account { account: &self.spec.account, rest: self.rest, token };
        match account.try_key(&key).await {
            Ok(Ok(())) => {
                self.checks.good("recovery_key", "opens secret storage and the key backup")
            }
            Ok(Err(layer)) => self.checks.bad(
                "recovery_key",
                layer.to_string(),
                "give the account's current one to `launcher recovery ID --set`",
            ),
            Err(fault) => self.checks.bad("recovery_key", fault.to_string(), &fault.action()),
        }
    }

    /// Whether these files are those of the agent's last life.
    async fn generation(&mut self, device: &str, token: &str, store: &SqliteCryptoStore) {
        let stored = store.get_custom_value(life::KIND).await.ok().flatten();
        let stored = stored.and_then(|json| serde_json::from_slice(&json).ok());
        let user = &self.spec.account.user_id;
        let server = match self.rest.account_data(token, user, life::KIND).await {
            Ok(server) => server.and_then(|content| {
                life::read(&serde_json::json!({ "type": life::KIND, "content": content }))
            }),
            Err(error) => {
                return self.checks.bad(
                    "generation",
                    error.to_string(),
                    "look again when it answers",
                );
            }
        };
        let claims = match self.journal.claims().await {
            Ok(claims) => claims,
            Err(fault) => return self.checks.bad("generation", fault.reason(), &fault.action()),
        };
        self.journal.rest().await;
        let server = server.map(|server| server.claim);
        match lineage(device, &claims, stored.as_ref(), server.as_ref()) {
            Lineage::Current => self.checks.good(
                "generation",
                format!("journal, store and server agree (life {})", claims.generation()),
            ),
            Lineage::Behind => self.checks.bad(
                "generation",
                "these files are older than what the agent did last",
                "start the agent: it becomes a new device",
            ),
            Lineage::Foreign => self.checks.bad(
                "generation",
                "the agent lives, or lived last, somewhere else",
                "stop the other one before you start this one",
            ),
        }
    }
}
