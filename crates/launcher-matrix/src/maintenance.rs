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
    stamp,
};

use crate::{
    connector::MatrixConnector,
    devices, doctor, login,
    preflight::VaultFile,
    recovery::Account,
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
        None => {
            Err(refused("the agent has not logged in yet", "start it once with `launcher run`"))
        }
    }
}

fn place(spec: &AgentSpec) -> StorePlace {
    StorePlace::new(spec.encryption.store_path.clone(), spec.encryption.pickle_key.clone())
}

#[async_trait]
impl Maintenance for MatrixMaintenance {
    async fn stores(&self, spec: &AgentSpec) -> Result<Vec<RetiredStore>, MaintenanceError> {
        let folders = reset::retired_folders(spec).map_err(unusable(&spec.data_folder()))?;
        Ok(folders.iter().filter_map(|folder| describe(folder)).collect())
    }

    async fn prune_stores(&self, spec: &AgentSpec) -> Result<Vec<RetiredStore>, MaintenanceError> {
        let needed = open_vault(spec)?.content.salvage.clone();
        let folders = reset::retired_folders(spec).map_err(unusable(&spec.data_folder()))?;
        let mut removed = Vec::new();
        for folder in folders {
            let Some(store) =
                describe(&folder).filter(|store| Some(&store.name) != needed.as_ref())
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
        let account = &spec.account;
        let device = vault.content.device_id.clone().or(place(spec).device().await?);
        // After a kill in here the old device is given up and there is no new one.
        if device.is_none() && vault.content.retired_token.is_none() {
            return Err(refused(
                "there is nothing to reset: the agent has not logged in yet",
                "start it once with `launcher run`",
            ));
        }
        // Before anything is given up: a wrong password changes nothing.
        let successor = match (&account.password, password) {
            (Some(_), _) => None,
            (None, Some(password)) => Some(login::as_new_device(spec, &rest, &password).await?),
            (None, None) => {
                return Err(refused(
                    "logging in as a new device needs the account's password",
                    "give it on standard input (--password-stdin), or set matrix.password",
                ));
            }
        };
        if let Some(device) = device {
            let folder = reset::folder_for(spec, &device);
            let cause = "reset: an operator asked for it".to_owned();
            vault.content.retiring = Some(Retiring { device, cause, folder });
            vault.keep()?;
            reset::finish_retiring(spec, &mut vault)?;
        }
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
                "give it the account's with `launcher recovery ID --set`",
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
        if let Err(layer) = account.try_key(key.expose()).await? {
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
        if path.exists() {
            return Err(refused(
                "an earlier change of the key is not finished",
                "start the agent once with the key that is configured now",
            ));
        }
        rekey::begin(spec, new).map_err(unusable(&path))
    }
}

/// What the name and the files of a retired store say.
fn describe(folder: &Path) -> Option<RetiredStore> {
    let name = folder.file_name()?.to_str()?;
    let (_, rest) = name.split_once(reset::RETIRED)?;
    let (seconds, device) = rest.split_once('-')?;
    let mut size = 0;
    for entry in fs::read_dir(folder).ok()?.flatten() {
        size += entry.metadata().map_or(0, |found| found.len());
    }
    Some(RetiredStore {
        name: name.to_owned(),
        device_id: device.to_owned(),
        retired: seconds.parse().unwrap_or_else(|_| stamp().0 / 1000),
        size,
    })
}
