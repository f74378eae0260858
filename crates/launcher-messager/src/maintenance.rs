//! What an operator can ask about accounts on Messager, and do to their files.

use std::sync::Arc;

use async_trait::async_trait;
use fs_err as fs;
use launcher_core::{
    fault::Fault,
    secret::{PickleKey, Secret},
    spec::AgentSpec,
};
use launcher_runtime::{
    Report,
    checks::Checks,
    ports::maintenance::{Check, DeviceEntry, Maintenance, MaintenanceError, RetiredStore},
    retired,
};

use crate::{
    client::{Client, Connections, Me},
    connector::MessagerConnector,
    crypto::{Address, DeviceName, Machine, PublicBundle},
    engine::blocking,
    faults,
    place::Place,
};

/// What helps where another device is wanted.
pub const OTHER_DEVICE: &str = "make another device of the account with `messager account add NAME \
                            --data DIR` on the server, and set messager.token to its token";

/// Looks after agents whose accounts are on Messager.
#[derive(Debug)]
pub struct MessagerMaintenance {
    connections: Connections,
}

impl MessagerMaintenance {
    /// Shares the connector's connections.
    pub fn new(connector: &MessagerConnector) -> Self {
        Self { connections: connector.connections() }
    }

    fn client(&self, spec: &AgentSpec) -> Result<Client, Fault> {
        let token = spec.account.access_token.clone().ok_or_else(|| faults::no_token(spec))?;
        Ok(Client::new(&self.connections, spec.account.homeserver.clone(), token))
    }

    /// What the server shows of the account, and which of it is the agent.
    async fn shown(&self, spec: &AgentSpec) -> Result<(Me, Vec<PublicBundle>), Fault> {
        let client = self.client(spec)?;
        let fault = |error| faults::of_client(spec, &error);
        let me = client.me().await.map_err(fault)?;
        let devices = client.devices(me.account).await.map_err(fault)?;
        Ok((me, devices))
    }
}

fn refused(reason: &str, action: &str) -> MaintenanceError {
    MaintenanceError::Refused { reason: reason.to_owned(), action: action.to_owned() }
}

fn unusable(spec: &AgentSpec, error: &std::io::Error) -> MaintenanceError {
    let path = spec.encryption.store_path.clone();
    Fault::StoreUnusable { path, detail: error.to_string() }.into()
}

#[async_trait]
impl Maintenance for MessagerMaintenance {
    async fn stores(&self, spec: &AgentSpec) -> Result<Vec<RetiredStore>, MaintenanceError> {
        let folders = retired::folders(&spec.encryption.store_path)
            .map_err(|error| unusable(spec, &error))?;
        Ok(folders.iter().filter_map(|folder| retired::describe(folder)).collect())
    }

    async fn prune_stores(&self, spec: &AgentSpec) -> Result<Vec<RetiredStore>, MaintenanceError> {
        let mut removed = Vec::new();
        for folder in
            retired::folders(&spec.encryption.store_path).map_err(|error| unusable(spec, &error))?
        {
            let Some(store) = retired::describe(&folder) else { continue };
            fs::remove_dir_all(&folder).map_err(|error| unusable(spec, &error))?;
            removed.push(store);
        }
        Ok(removed)
    }

    async fn devices(&self, spec: &AgentSpec) -> Result<Vec<DeviceEntry>, MaintenanceError> {
        let (me, devices) = self.shown(spec).await?;
        let entry = |bundle: PublicBundle| DeviceEntry {
            own: bundle.address.device == me.device,
            device_id: bundle.address.device.as_str().to_owned(),
            name: None,
            last_seen: None,
            has_keys: true,
            signed: false,
            stale: false,
        };
        let mut entries: Vec<DeviceEntry> = devices.into_iter().map(entry).collect();
        entries.sort_by_key(|entry| !entry.own);
        Ok(entries)
    }

    async fn prune_devices(&self, _spec: &AgentSpec) -> Result<Vec<DeviceEntry>, MaintenanceError> {
        Err(refused(
            "in Messager nobody knows which devices are stale",
            "take the rights of one with `messager account revoke NAME --device DEVICE --data \
             DIR` on the server",
        ))
    }

    async fn examine(&self, spec: &AgentSpec, report: Option<Arc<Report>>) -> Vec<Check> {
        let mut checks = Checks::of(spec);
        checks.files();
        let owner = owner(spec, &mut checks).await;
        match self.shown(spec).await {
            Ok((me, devices)) => {
                checks.good("server", format!("{} answers", spec.account.homeserver));
                checks.good("session", format!("the token is of device {}", name(&me.device)));
                compare(&Address::new(me.account, me.device), owner, &devices, &mut checks);
            }
            Err(fault @ Fault::ServerUnavailable { .. }) => {
                checks.bad("server", fault.to_string(), &fault.action());
            }
            Err(fault) => checks.bad("session", fault.to_string(), &fault.action()),
        }
        checks.retired();
        if let Some(report) = report {
            checks.running(&report);
        }
        checks.finish()
    }

    async fn reset(
        &self,
        _spec: &AgentSpec,
        _password: Option<Secret<String>>,
    ) -> Result<(), MaintenanceError> {
        // The device comes with the token: the same one with other keys would be refused by all.
        Err(refused("in Messager a token is a device", OTHER_DEVICE))
    }

    async fn show_recovery_key(
        &self,
        _spec: &AgentSpec,
    ) -> Result<Secret<String>, MaintenanceError> {
        Err(refused("accounts on Messager have no recovery key", "keep a backup of the agent"))
    }

    async fn set_recovery_key(
        &self,
        _spec: &AgentSpec,
        _key: Secret<String>,
    ) -> Result<(), MaintenanceError> {
        Err(refused("accounts on Messager have no recovery key", "nothing has to be done"))
    }

    async fn begin_rekey(
        &self,
        _spec: &AgentSpec,
        _new: &PickleKey,
    ) -> Result<(), MaintenanceError> {
        Err(refused(
            "the pickle key of an agent on Messager stays as it is for the life of its device",
            "make another device of the account with `messager account add NAME --data DIR` on \
             the server; stop the agent, move its data folder away, and set messager.token and \
             encryption.pickle_key",
        ))
    }
}

/// Whose store is there.
async fn owner(spec: &AgentSpec, checks: &mut Checks<'_>) -> Option<Address> {
    let place = Place::of(spec);
    let path = place.path();
    let looked = blocking(move || Machine::owner(&place.path(), &place.key)).await;
    match looked.and_then(|looked| looked.map_err(|error| faults::of_opening(&path, error))) {
        Ok(Some(owner)) => {
            checks.good("store", "the pickle key opens the crypto store");
            Some(owner)
        }
        Ok(None) => {
            let finding = format!("there is no {}", path.display());
            checks.notable("store", finding, "start the agent, which makes one");
            None
        }
        Err(fault) => {
            checks.bad("store", fault.reason(), &fault.action());
            None
        }
    }
}

/// The token's device against that of the store, and what the server shows of it.
fn compare(
    device: &Address,
    owner: Option<Address>,
    shown: &[PublicBundle],
    checks: &mut Checks<'_>,
) {
    let is_shown = shown.iter().any(|bundle| bundle.address == *device);
    match owner {
        Some(owner) if owner == *device && is_shown => {
            checks.good("device_keys", "the server shows keys of this device");
        }
        Some(owner) if owner == *device => checks.notable(
            "device_keys",
            "the server shows no keys of this device",
            "start the agent: it uploads them",
        ),
        Some(owner) => checks.notable(
            "device_keys",
            format!("the store is that of device {}", name(&owner.device)),
            "start the agent: it puts the store aside and becomes the token's device",
        ),
        None if is_shown => checks.bad(
            "device_keys",
            "the server shows keys of this device, and nobody here has them",
            OTHER_DEVICE,
        ),
        None => {}
    }
}

/// The server made it.
fn name(device: &DeviceName) -> String {
    device.as_str().escape_debug().to_string()
}
