//! Takes over from a store that was put aside what it can still give.
//!
//! Room keys, with which old messages can be read, and the account's
//! cross-signing keys and backup key. Nothing of the old device itself.

use std::{path::Path, time::Duration};

use launcher_core::{secret::PickleKey, spec::AgentSpec};
use matrix_sdk::ruma::{DeviceId, UserId};
use matrix_sdk_base::crypto::{OlmMachine, store::CryptoStore};
use matrix_sdk_sqlite::SqliteCryptoStore;
use tracing::{info, warn};

use crate::{login::Login, preflight::VaultFile, store::StorePlace};

/// How long it may take; a store of a hundred thousand keys takes half of it.
const LIMIT: Duration = Duration::from_secs(120);

type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// Takes over what the vault says is still to be taken over. What does not
/// work is told and not tried again; the old store is not changed.
///
/// Must run before a client exists on `store`.
pub(crate) async fn take_over(
    spec: &AgentSpec,
    login: &Login,
    store: &SqliteCryptoStore,
    vault: &mut VaultFile,
) -> Result<(), launcher_core::fault::Fault> {
    let Some(folder) = vault.content.salvage.clone() else { return Ok(()) };
    let old = spec.encryption.store_path.with_file_name(&folder);
    let work = transfer(&old, &spec.encryption.pickle_key, spec, login, store);
    match tokio::time::timeout(LIMIT, work).await {
        Ok(Ok((keys, secrets))) => {
            info!(from = folder, keys, secrets, "took over from the old store what it could give");
        }
        Ok(Err(error)) => {
            warn!(from = folder, %error, "the old store gives nothing; old messages come from the key backup");
        }
        Err(_) => warn!(from = folder, "taking over from the old store took too long"),
    }
    vault.content.salvage = None;
    vault.keep()
}

/// Returns how many room keys were new, and whether there were secrets.
async fn transfer(
    old: &Path,
    key: &PickleKey,
    spec: &AgentSpec,
    login: &Login,
    store: &SqliteCryptoStore,
) -> Result<(usize, bool), Trouble> {
    // Opening changes files; what was put aside stays as it is.
    let copy = tempfile::tempdir()?;
    for entry in fs_err::read_dir(old)? {
        let path = entry?.path();
        if let Some(name) = path.file_name().filter(|_| path.is_file() && !path.is_symlink()) {
            fs_err::copy(&path, copy.path().join(name))?;
        }
    }
    let place = StorePlace::new(copy.path().to_owned(), key.clone());
    place.check_key()?;
    let old_store = place.open_crypto().await?;
    let Some(account) = old_store.load_account().await? else { return Ok((0, false)) };
    let user = UserId::parse(&spec.account.user_id)?;
    if account.user_id() != user {
        return Err("it belongs to another account".into());
    }
    let device = account.device_id().to_owned();
    let from = OlmMachine::with_store(&user, &device, old_store, None).await?;
    let new_device: &DeviceId = login.device_id.as_str().into();
    let to = OlmMachine::with_store(&user, new_device, store.clone(), None).await?;
    let keys = from.store().export_room_keys(|_| true).await?;
    let imported = to.store().import_exported_room_keys(keys, |_, _| {}).await?;
    let secrets = match from.store().export_secrets_bundle().await {
        Ok(bundle) => to.store().import_secrets_bundle(&bundle).await.is_ok(),
        Err(_) => false,
    };
    Ok((imported.imported_count, secrets))
}
