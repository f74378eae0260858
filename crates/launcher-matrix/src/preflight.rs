//! Everything that is checked before an SDK client exists.

use std::path::PathBuf;

use launcher_core::{
    fault::Fault,
    preflight::{Findings, LocalAccount, Verdict, verdict},
    situation::Situation,
    spec::AgentSpec,
};
use matrix_sdk_sqlite::SqliteCryptoStore;
use tracing::{debug, info};

use crate::{
    login::{self, Login},
    reset,
    rest::Rest,
    store::{StorePlace, local_account},
    vault::{OpenError, Vault},
};

/// An agent that may go on: its session, its store, what is beside it.
pub(crate) struct Cleared {
    pub(crate) login: Login,
    pub(crate) store: SqliteCryptoStore,
    pub(crate) vault: VaultFile,
    pub(crate) verdict: Verdict,
}

/// The vault with its place on disk.
pub(crate) struct VaultFile {
    pub(crate) content: Vault,
    path: PathBuf,
    key: launcher_core::secret::PickleKey,
}

impl VaultFile {
    /// Opens the agent's vault, whatever is beside it.
    pub(crate) fn open(spec: &AgentSpec) -> Result<Self, OpenError> {
        let path = spec.data_folder().join("vault");
        let key = spec.encryption.pickle_key.clone();
        let content = Vault::open(&path, &key)?.unwrap_or_default();
        Ok(Self { content, path, key })
    }

    /// Writes the content down.
    pub(crate) fn keep(&self) -> Result<(), Fault> {
        self.keep_as(&self.content)
    }

    pub(crate) fn keep_as(&self, content: &Vault) -> Result<(), Fault> {
        content.save(&self.path, &self.key).map_err(|error| Fault::StoreUnusable {
            path: self.path.clone(),
            detail: error.to_string(),
        })
    }
}

/// Runs the checks, local ones first: a wrong pickle key sends no request.
pub(crate) async fn clear(
    spec: &AgentSpec,
    rest: &Rest,
    place: &StorePlace,
) -> Result<Cleared, Fault> {
    let mut vault = open_vault(spec, place)?;
    if vault.content.retiring.is_some() {
        reset::finish_retiring(spec, &mut vault).await?;
    }
    let existing = match place.exists() {
        true => Some(place.open_crypto().await?),
        false => None,
    };
    let local = match &existing {
        Some(store) => local_account(place, store).await?,
        None => LocalAccount::Absent,
    };
    let mut content = std::mem::take(&mut vault.content);
    let login = login::obtain(spec, rest, &mut content, |content| vault.keep_as(content)).await?;
    let token = login.access_token.expose();
    let server = rest
        .device_keys(token, &spec.account.user_id, &login.device_id)
        .await
        .map_err(|error| rest.fault(&spec.account, error))?;
    let findings = Findings {
        user: spec.account.user_id.clone(),
        known: content.knows(&login.device_id),
        device: login.device_id.clone(),
        local,
        server,
    };
    let verdict = verdict(&findings).map_err(|mismatch| Fault::Mismatched { mismatch })?;
    let course = Situation::of_verdict(verdict).course();
    debug!(%verdict, ?course, device_id = login.device_id, "preflight passed");
    if content.device_id.as_deref() != Some(&login.device_id) {
        // Another device of the same account: what belongs to the account stays.
        let device_id = Some(login.device_id.clone());
        content = Vault { device_id, ..content.without_device() };
    }
    vault.content = content;
    vault.keep()?;
    let store = match existing {
        Some(store) => store,
        None => {
            let store = place.open_crypto().await?;
            info!(event = "store_created", path = %place.crypto_db().display(), "made a crypto store");
            store
        }
    };
    Ok(Cleared { login, store, vault, verdict })
}

/// Opens the vault and checks the key against the store, changing nothing.
fn open_vault(spec: &AgentSpec, place: &StorePlace) -> Result<VaultFile, Fault> {
    let path = spec.data_folder().join("vault");
    let key = spec.encryption.pickle_key.clone();
    let opened = Vault::open(&path, &key);
    if place.exists() {
        place.check_key()?;
    }
    let corrupt = |detail: String| Fault::StoreCorrupt { path: path.clone(), detail };
    let content = match opened {
        Ok(content) => content.unwrap_or_default(),
        // The store opens with the key, so it is the vault that is damaged.
        Err(OpenError::Sealed) if place.exists() => {
            return Err(corrupt("the store opens with the pickle key, the vault does not".into()));
        }
        Err(OpenError::Sealed) => return Err(Fault::StoreKeyWrong { path }),
        Err(OpenError::Format) => return Err(corrupt(OpenError::Format.to_string())),
        Err(OpenError::Io(error)) => {
            return Err(Fault::StoreUnusable { path, detail: error.to_string() });
        }
    };
    Ok(VaultFile { content, path, key })
}
