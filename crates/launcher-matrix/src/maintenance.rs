//! What an operator can ask about a Matrix account and its files, and do to
//! them. See the port for what each of it means.

use std::{io, path::Path, sync::Arc};

use async_trait::async_trait;
use fs_err as fs;
use launcher_core::{
    fault::Fault,
    secret::{PickleKey, Secret},
    spec::AgentSpec,
};
use launcher_runtime::{
    Report,
    ports::{
        journal::Journals,
        maintenance::{Check, DeviceEntry, Maintenance, MaintenanceError, RetiredStore},
    },
    retired,
};

use crate::{
    connector::MatrixConnector,
    devices, doctor, login,
    preflight::VaultFile,
    recovery::{Account, Layer},
    rekey, reset,
    rest::Rest,
    store::StorePlace,
    vault::{OpenError, Retiring},
};

/// Looks after Matrix accounts; one for the whole process.
#[derive(Clone, Debug)]
pub struct MatrixMaintenance {
    http: reqwest::Client,
    journals: Arc<dyn Journals>,
}

impl MatrixMaintenance {
    /// Shares the connector's HTTP client.
    pub fn new(connector: &MatrixConnector, journals: Arc<dyn Journals>) -> Self {
        Self { http: connector.http(), journals }
    }

    fn rest(&self, spec: &AgentSpec) -> Rest {
        Rest::new(self.http.clone(), spec.account.homeserver.clone())
    }
}

pub(crate) fn refused(reason: impl Into<String>, action: impl Into<String>) -> MaintenanceError {
    MaintenanceError::Refused { reason: reason.into(), action: action.into() }
}

fn unusable(path: &Path) -> impl Fn(io::Error) -> MaintenanceError {
    let path = path.to_owned();
    move |error| Fault::StoreUnusable { path: path.clone(), detail: error.to_string() }.into()
}

/// The agent's vault; the key has to open it.
fn open_vault(spec: &AgentSpec) -> Result<VaultFile, MaintenanceError> {
    let path = spec.data_folder().join("vault");
    VaultFile::open(spec).map_err(|error| {
        MaintenanceError::Fault(match error {
            OpenError::Sealed => Fault::StoreKeyWrong { path },
            OpenError::Format => Fault::StoreCorrupt { path, detail: error.to_string() },
            OpenError::Io(error) => Fault::StoreUnusable { path, detail: error.to_string() },
        })
    })
}

/// The agent's vault and a token with which its account can be asked.
fn session(spec: &AgentSpec) -> Result<(VaultFile, String), MaintenanceError> {
    let vault = open_vault(spec)?;
    match login::known_token(spec, &vault.content) {
        Some(token) => Ok((vault, token)),
        None => Err(refused(
            "the agent has not logged in yet",
            "it does when it starts; `launcher status` says why it has not",
        )),
    }
}

fn place(spec: &AgentSpec) -> StorePlace {
    StorePlace::new(spec.encryption.store_path.clone(), spec.encryption.pickle_key.clone())
}

fn needs_password() -> MaintenanceError {
    refused(
        "logging in as a new device needs the account's password",
        "give it on standard input (--password-stdin), or set matrix.password",
    )
}

/// The device of the configured token, if the server accepts it.
async fn device_of_token(spec: &AgentSpec, rest: &Rest) -> Option<String> {
    let token = spec.account.access_token.as_ref()?;
    rest.whoami(token.expose()).await.ok()?.device_id
}

impl MatrixMaintenance {
    /// There is nothing to give up: a kill came in the middle of a reset, or
    /// the configured token was never any good.
    async fn begin_as_new_device(
        &self,
        spec: &AgentSpec,
        mut vault: VaultFile,
        password: Option<Secret<String>>,
    ) -> Result<(), MaintenanceError> {
        let Some(token) =
            spec.account.access_token.as_ref().filter(|_| spec.account.password.is_none())
        else {
            return Err(refused(
                "there is nothing to reset: the agent has not logged in yet",
                "start it once with `launcher run`",
            ));
        };
        let Some(password) = password else { return Err(needs_password()) };
        let (device, tokens) = login::as_new_device(spec, &self.rest(spec), &password).await?;
        vault.content.retired_token = Some(token.expose().clone().into());
        vault.content.device_id = Some(device);
        vault.content.set_tokens(&tokens);
        Ok(vault.keep()?)
    }
}

#[async_trait]
impl Maintenance for MatrixMaintenance {
    async fn stores(&self, spec: &AgentSpec) -> Result<Vec<RetiredStore>, MaintenanceError> {
        let folders =
            retired::folders(&spec.encryption.store_path).map_err(unusable(&spec.data_folder()))?;
        Ok(folders.iter().filter_map(|folder| retired::describe(folder)).collect())
    }

    async fn prune_stores(&self, spec: &AgentSpec) -> Result<Vec<RetiredStore>, MaintenanceError> {
        let needed = open_vault(spec)?.content.salvage.clone();
        let folders =
            retired::folders(&spec.encryption.store_path).map_err(unusable(&spec.data_folder()))?;
        let mut removed = Vec::new();
        for folder in folders {
            let Some(store) =
                retired::describe(&folder).filter(|store| Some(&store.name) != needed.as_ref())
            else {
                continue;
            };
            fs::remove_dir_all(&folder).map_err(unusable(&folder))?;
            removed.push(store);
        }
        Ok(removed)
    }

    async fn devices(&self, spec: &AgentSpec) -> Result<Vec<DeviceEntry>, MaintenanceError> {
        let (vault, token) = session(spec)?;
        Ok(devices::list(spec, &self.rest(spec), &token, &vault.content).await?)
    }

    async fn prune_devices(&self, spec: &AgentSpec) -> Result<Vec<DeviceEntry>, MaintenanceError> {
        let (vault, token) = session(spec)?;
        let rest = self.rest(spec);
        let Some(password) = &spec.account.password else {
            return Err(refused(
                "removing a device needs the account's password",
                "set matrix.password, or log the devices out in another client",
            ));
        };
        let mut found = devices::list(spec, &rest, &token, &vault.content).await?;
        found.retain(|device| device.stale);
        if !found.is_empty() {
            let ids: Vec<&str> = found.iter().map(|device| device.device_id.as_str()).collect();
            let removed = rest.delete_devices(&token, &spec.account.user_id, password, &ids).await;
            removed.map_err(|error| rest.fault(&spec.account, error))?;
        }
        Ok(found)
    }

    async fn examine(&self, spec: &AgentSpec, report: Option<Arc<Report>>) -> Vec<Check> {
        let journal = self.journals.journal(spec);
        doctor::examine(spec, &self.rest(spec), &*journal, report.as_deref()).await
    }

    async fn reset(
        &self,
        spec: &AgentSpec,
        password: Option<Secret<String>>,
    ) -> Result<(), MaintenanceError> {
        let mut vault = open_vault(spec)?;
        let rest = self.rest(spec);
        let of_token = device_of_token(spec, &rest).await;
        let known = vault.content.device_id.clone().or(place(spec).device().await?);
        let Some(device) = known.or(of_token.clone()) else {
            return self.begin_as_new_device(spec, vault, password).await;
        };
        // A token that somebody configured for another device is what comes next.
        let keeps_token = of_token.is_some_and(|of_token| of_token != device);
        // Before anything is given up: a wrong password changes nothing.
        let successor = match (&spec.account.password, password) {
            (Some(_), _) => None,
            (None, None) if keeps_token => None,
            (None, Some(password)) => Some(login::as_new_device(spec, &rest, &password).await?),
            (None, None) => return Err(needs_password()),
        };
        let folder = retired::folder_for(&spec.encryption.store_path, &device);
        let cause = "reset: an operator asked for it".to_owned();
        vault.content.retiring = Some(Retiring { device, cause, folder, keeps_token });
        vault.keep()?;
        reset::finish_retiring(spec, &mut vault).await?;
        if let Some((device, tokens)) = successor {
            vault.content.device_id = Some(device);
            vault.content.set_tokens(&tokens);
            vault.keep()?;
        }
        Ok(())
    }

    async fn show_recovery_key(
        &self,
        spec: &AgentSpec,
    ) -> Result<Secret<String>, MaintenanceError> {
        let mut vault = open_vault(spec)?;
        let Some(key) = vault.content.recovery_key.clone() else {
            return Err(refused(
                "the agent has no recovery key of its own",
                format!("give it the account's with `launcher recovery {} --set`", spec.id),
            ));
        };
        if vault.content.recovery_shown {
            return Err(refused(
                "the recovery key was shown once already",
                "look where it was written down; the agent itself keeps using it",
            ));
        }
        vault.content.recovery_shown = true;
        vault.keep()?;
        Ok(Secret::new(key.to_string()))
    }

    async fn set_recovery_key(
        &self,
        spec: &AgentSpec,
        key: Secret<String>,
    ) -> Result<(), MaintenanceError> {
        let (mut vault, token) = session(spec)?;
        let rest = self.rest(spec);
        let account = Account { account: &spec.account, rest: &rest, token: &token };
        // One that opens everything but the backup still signs the device.
        if let Err(layer) = account.try_key(key.expose()).await?
            && !matches!(layer, Layer::Backup { .. })
        {
            return Err(refused(layer.to_string(), layer.action()));
        }
        vault.content.recovery_key = Some(key.expose().trim().to_owned().into());
        // Whoever gave it has it.
        vault.content.recovery_shown = true;
        vault.content.recovery_begun = false;
        Ok(vault.keep()?)
    }

    async fn begin_rekey(&self, spec: &AgentSpec, new: &PickleKey) -> Result<(), MaintenanceError> {
        if *new == spec.encryption.pickle_key {
            return Err(refused("it is the key that the agent has already", "choose another one"));
        }
        open_vault(spec)?;
        let place = place(spec);
        if place.exists() {
            place.check_key()?;
        }
        let path = rekey::path(spec);
        if rekey::is_unfinished(spec) {
            return Err(refused(
                "an earlier change of the key is not finished",
                "start the agent once with the key that is configured now",
            ));
        }
        rekey::begin(spec, new).map_err(unusable(&path))
    }
}
