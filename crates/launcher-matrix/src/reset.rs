//! Gives up a device that cannot be used any more, and lets the agent become a
//! new one.
//!
//! Every step is written into the vault before it is taken, so a kill anywhere
//! leads to the same end. The old store is kept, under another name.

use std::{path::Path, time::Duration};

use fs_err as fs;
use launcher_core::{fault::Fault, preflight::Mismatch, reset, spec::AgentSpec};
use launcher_runtime::{files, retired, stamp};
use matrix_sdk::{
    Client,
    ruma::{
        OwnedDeviceId,
        api::client::uiaa::{AuthData, MatrixUserIdentifier, Password, UserIdentifier},
    },
};
use tracing::{info, warn};

use crate::{
    errors,
    preflight::VaultFile,
    rest::Rest,
    store::{CRYPTO_DB, StorePlace},
    vault::{Retiring, Vault},
};

/// How long after its first answer the server is asked again.
const SECOND_LOOK: Duration = Duration::from_secs(3);

/// The lock that this launcher holds in the store's folder; it stays.
const LOCK: &str = "launcher.lock";

/// What a second look showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The device could not be kept. The store is aside; the next login makes a new one.
    GivenUp,
    /// The fault was there once and is no more.
    Passed,
}

/// Looks a second time, and gives the agent's device up if that is allowed.
///
/// # Errors
///
/// [`Fault::NotReset`] with the fault it was asked about, or a passing fault.
pub(crate) async fn give_up(
    spec: &AgentSpec,
    rest: &Rest,
    place: &StorePlace,
    fault: Fault,
) -> Result<Found, Fault> {
    if matches!(&fault, Fault::StoreCorrupt { path, .. } if *path != place.crypto_db()) {
        // The vault or the journal: no other device helps.
        return Err(fault);
    }
    let refuse = |fault: Fault, why| Fault::NotReset { fault: Box::new(fault), why };
    let Ok(mut vault) = VaultFile::open(spec) else {
        return Err(refuse(fault, "without its vault the agent does not know what was its own"));
    };
    let Some(device) = vault.content.device_id.clone() else {
        return Err(refuse(fault, "the agent had no device of its own before"));
    };
    if !vault.content.knows(&device) || is_about_another(&fault, &device) {
        return Err(refuse(fault, "the agent never ran as this device"));
    }
    if matches!(fault, Fault::StoreCorrupt { .. }) && !is_damaged_for_good(place).await {
        // It was looked at in a bad moment, or something else is wrong: the next look tells.
        return Ok(Found::Passed);
    }
    let now = stamp().0;
    let before =
        vault.content.resets.iter().map(|then| Duration::from_millis(now.saturating_sub(*then)));
    if let Err(why) = reset::is_allowed(spec, before) {
        return Err(refuse(fault, why));
    }
    if !is_confirmed(spec, rest, place, &vault.content, &device, &fault).await? {
        info!(reason = fault.reason(), "the server said so once and does no more");
        return Ok(Found::Passed);
    }
    tell(&fault);
    let folder = retired::folder_for(&spec.encryption.store_path, &device);
    vault.content.retiring =
        Some(Retiring { device, cause: fault.reason(), folder, keeps_token: false });
    vault.keep()?;
    finish_retiring(spec, &mut vault).await?;
    Ok(Found::GivenUp)
}

/// Whether the store's file is damaged each time that it is looked at.
pub(crate) async fn is_damaged_for_good(place: &StorePlace) -> bool {
    for _ in 0..3 {
        if !place.is_damaged() {
            return false;
        }
        tokio::time::sleep(SECOND_LOOK / 3).await;
    }
    place.is_damaged()
}

/// The log event of its own that some of these faults have.
fn tell(fault: &Fault) {
    let event = match fault.code() {
        code @ ("store_rolled_back" | "store_corrupt") => code,
        "keys_differ" => "keys_disputed",
        _ => return,
    };
    warn!(event, reason = fault.reason(), "found before becoming a new device");
}

/// Whether the fault is about something else than the device in the vault.
fn is_about_another(fault: &Fault, own: &str) -> bool {
    match fault {
        Fault::Mismatched {
            mismatch:
                Mismatch::StoreLost { device }
                | Mismatch::KeysDiffer { device }
                | Mismatch::KeysVanished { device }
                | Mismatch::RolledBack { device, .. },
        } => device != own,
        _ => false,
    }
}

/// Asks again what the server said, if the fault came from there.
async fn is_confirmed(
    spec: &AgentSpec,
    rest: &Rest,
    place: &StorePlace,
    vault: &Vault,
    device: &str,
    fault: &Fault,
) -> Result<bool, Fault> {
    let token = vault.access_token.as_deref().or(spec
        .account
        .access_token
        .as_ref()
        .map(|token| token.expose()));
    let token = token.map(String::as_str).unwrap_or_default();
    match fault {
        Fault::Mismatched {
            mismatch: Mismatch::KeysDiffer { .. } | Mismatch::KeysVanished { .. },
        } => {
            tokio::time::sleep(SECOND_LOOK).await;
            let keys = rest.device_keys(token, &spec.account.user_id, device).await;
            let keys = keys.map_err(|error| rest.fault(&spec.account, error))?;
            // What this device was seen to publish, before anything went wrong.
            Ok(keys.map(|keys| keys.ed25519) != vault.ed25519)
        }
        // These are about files: the disk was asked, not the server.
        Fault::Mismatched { mismatch: Mismatch::StoreLost { .. } } => {
            Ok(place.device().await?.is_none())
        }
        _ => Ok(true),
    }
}

/// Moves the old store aside and forgets the device. Goes on where it was interrupted.
pub(crate) async fn finish_retiring(spec: &AgentSpec, vault: &mut VaultFile) -> Result<(), Fault> {
    let Some(Retiring { device, cause, folder, keeps_token }) = vault.content.retiring.clone()
    else {
        return Ok(());
    };
    let store = &spec.encryption.store_path;
    // A connection that is being closed would remove the log of the next store.
    if !files::wait_until_closed(&[store]).await {
        let detail = "the store is still being closed".to_owned();
        return Err(Fault::StoreFailed { detail });
    }
    let aside = store.with_file_name(&folder);
    move_files(store, &aside)
        .map_err(|error| Fault::StoreUnusable { path: aside.clone(), detail: error.to_string() })?;
    let mut content = vault.content.without_device();
    if !keeps_token {
        let token = spec.account.access_token.as_ref();
        content.retired_token = token.map(|token| token.expose().clone().into());
    }
    content.resets.push(stamp().0);
    content.old_devices.push(device.clone());
    content.salvage = aside.join(CRYPTO_DB).exists().then(|| folder.clone());
    vault.content = content;
    vault.keep()?;
    warn!(event = "store_reset", old_device = device, cause, kept = %aside.display(), "the agent becomes a new device; its old store is kept");
    Ok(())
}

/// Moves everything but the lock, which this process holds.
fn move_files(from: &Path, to: &Path) -> std::io::Result<()> {
    if !from.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let Some(name) = path.file_name().filter(|name| *name != LOCK) else { continue };
        fs::create_dir_all(to)?;
        fs::rename(&path, to.join(name))?;
    }
    Ok(())
}

/// Whether the agent became a new device within a day, which is how long
/// servers remember transactions.
pub(crate) fn is_recent(vault: &Vault) -> bool {
    let day = Duration::from_secs(86_400);
    vault.resets.last().is_some_and(|then| stamp().0.saturating_sub(*then) < day.as_millis() as u64)
}

/// Removes the devices that were given up from the account. What does not work
/// now is tried at the next start.
pub(crate) async fn remove_old_devices(
    client: &Client,
    spec: &AgentSpec,
    rest: &Rest,
    vault: &mut VaultFile,
) -> Result<(), Fault> {
    if vault.content.old_devices.is_empty() {
        return Ok(());
    }
    let Some(password) = &spec.account.password else {
        return log_out_old_device(rest, vault).await;
    };
    let devices: Vec<OwnedDeviceId> =
        vault.content.old_devices.iter().map(|device| device.as_str().into()).collect();
    let mut deleted = client.delete_devices(&devices, None).await;
    if let Err(error) = &deleted
        && let Some(stages) = error.as_uiaa_response()
    {
        let user = UserIdentifier::Matrix(MatrixUserIdentifier::new(spec.account.user_id.clone()));
        let mut auth = Password::new(user, password.expose().clone());
        auth.session = stages.session.clone();
        deleted = client.delete_devices(&devices, Some(AuthData::Password(auth))).await;
    }
    match deleted {
        Ok(_) => {
            info!(devices = devices.len(), "old devices are removed from the account");
            vault.content.old_devices.clear();
            vault.keep()
        }
        Err(error) => {
            let error = errors::fault(&spec.account, &error.into());
            warn!(%error, "removing old devices failed; tried again at the next start");
            Ok(())
        }
    }
}

/// Without a password only a session itself can end: with the token that was
/// configured for the old device.
async fn log_out_old_device(rest: &Rest, vault: &mut VaultFile) -> Result<(), Fault> {
    let Some(token) = vault.content.retired_token.clone() else { return Ok(()) };
    match rest.logout(&token).await {
        Ok(()) => info!("the old device is logged out"),
        Err(error) if error.is_answer() => {
            info!(%error, "the old device was logged out already");
        }
        Err(error) => {
            warn!(%error, "logging the old device out failed; tried again at the next start");
            return Ok(());
        }
    }
    vault.content.old_devices.clear();
    vault.keep()
}
