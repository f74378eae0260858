//! Signs the agent's device and sets up recovery, once.
//!
//! A device that its owner has not signed is cut off by current Element. An
//! identity that exists is never replaced: that would alarm everybody who has
//! verified it. Where the agent cannot sign itself it runs all the same and
//! says what is missing.

use launcher_core::{
    fault::Fault,
    fleet::Degradation,
    spec::{AgentSpec, Network},
};
use launcher_runtime::{AccountFacts, Report};
use matrix_sdk::{
    Client,
    encryption::identities::Device,
    ruma::api::client::uiaa::{AuthData, MatrixUserIdentifier, Password, UserIdentifier},
};
use matrix_sdk_base::crypto::secret_storage::SecretStorageKey;
use tracing::{info, warn};

use crate::{
    errors,
    preflight::VaultFile,
    recovery::{Account, Layer},
    rest::Rest,
};

/// Makes sure that the device is signed and its keys are backed up, as far as
/// that is possible, and reports how it stands.
///
/// # Errors
///
/// Passing faults only; what cannot be done is reported, not failed.
pub(crate) async fn settle(
    client: &Client,
    spec: &AgentSpec,
    rest: &Rest,
    vault: &mut VaultFile,
    report: &Report,
) -> Result<(), Fault> {
    let signed = sign(client, spec, rest, vault).await?;
    if signed {
        report.set_degraded("signature", None);
        if !client.encryption().backups().are_enabled().await {
            // A key that was given later, or a backup that was made later.
            recover(client, spec, rest, vault).await?;
        }
        set_up_recovery(client, spec, rest, vault).await?;
    } else {
        report.set_degraded("signature", Some(unsigned(spec)));
    }
    let encryption = client.encryption();
    let token = client.access_token().unwrap_or_default();
    let backup_version = match encryption.backups().are_enabled().await {
        true => rest.backup_version(&token).await.map_err(|e| rest.fault(&spec.account, e))?,
        false => None,
    };
    report.set_facts(AccountFacts {
        network: Network::Matrix,
        user_id: Some(spec.account.user_id.clone()),
        device_id: client.device_id().map(ToString::to_string),
        ed25519: encryption.ed25519_key().await,
        cross_signed: signed,
        backup_version,
    });
    Ok(())
}

fn unsigned(spec: &AgentSpec) -> Degradation {
    let action = if spec.encryption.recovery_key.is_some() {
        "set encryption.recovery_key to the recovery key of this account, or verify the agent's \
         device from another of its sessions"
    } else {
        "set encryption.recovery_key to the recovery key of this account (or matrix.password, if \
         it has no cross-signing keys yet)"
    };
    Degradation {
        reason: "unsigned: the account's owner has not signed this device; clients that exclude \
                 insecure devices neither read nor reach it"
            .to_owned(),
        action: action.to_owned(),
    }
}

async fn sign(
    client: &Client,
    spec: &AgentSpec,
    rest: &Rest,
    vault: &VaultFile,
) -> Result<bool, Fault> {
    let fault = |error: matrix_sdk::Error| errors::fault(&spec.account, &error);
    let encryption = client.encryption();
    let user = client.user_id().ok_or(fault(matrix_sdk::Error::AuthenticationRequired))?;
    if is_signed(client).await.map_err(fault)? {
        return Ok(true);
    }
    let complete =
        encryption.cross_signing_status().await.is_some_and(|status| status.is_complete());
    let published = encryption.request_user_identity(user).await.map_err(fault)?.is_some();
    match (published, complete) {
        (false, _) => bootstrap(client, spec).await.map_err(fault)?,
        (true, true) => {
            if let Some(device) = own_device(client).await.map_err(fault)?
                && let Err(error) = device.verify().await
            {
                warn!(%error, "signing the own device failed");
            }
        }
        (true, false) => recover(client, spec, rest, vault).await?,
    }
    // The answer to an upload of signatures hides failures: ask for what is there now.
    encryption.request_user_identity(user).await.map_err(fault)?;
    let signed = is_signed(client).await.map_err(fault)?;
    if signed {
        info!(event = "cross_signed", "the device is signed by its owner");
    }
    Ok(signed)
}

async fn own_device(client: &Client) -> Result<Option<Device>, matrix_sdk::Error> {
    Ok(client.encryption().get_own_device().await?)
}

async fn is_signed(client: &Client) -> Result<bool, matrix_sdk::Error> {
    let device = own_device(client).await?;
    Ok(device.is_some_and(|device| device.is_cross_signed_by_owner()))
}

/// Makes cross-signing keys for an account that has none.
///
/// The private keys are in the store before the public ones are uploaded, so
/// after a kill in between the same ones are uploaded again.
async fn bootstrap(client: &Client, spec: &AgentSpec) -> Result<(), matrix_sdk::Error> {
    let encryption = client.encryption();
    let Err(error) = encryption.bootstrap_cross_signing(None).await else { return Ok(()) };
    let Some(stages) = error.as_uiaa_response() else { return Err(error) };
    let Some(password) = &spec.account.password else {
        warn!("the server asks for the password before it takes cross-signing keys");
        return Ok(());
    };
    let user = UserIdentifier::Matrix(MatrixUserIdentifier::new(spec.account.user_id.clone()));
    let mut auth = Password::new(user, password.expose().clone());
    auth.session = stages.session.clone();
    match encryption.bootstrap_cross_signing(Some(AuthData::Password(auth))).await {
        Err(error) if error.as_uiaa_response().is_some() => {
            warn!("the server did not accept the password for cross-signing keys");
            Ok(())
        }
        other => other,
    }
}

/// Fetches the cross-signing keys from secret storage with the recovery key.
/// A key that does not open everything is not used: it would change nothing on
/// the server, and half of a recovery is none.
async fn recover(
    client: &Client,
    spec: &AgentSpec,
    rest: &Rest,
    vault: &VaultFile,
) -> Result<(), Fault> {
    let configured = spec.encryption.recovery_key.as_ref().map(|key| key.expose().clone());
    let Some(key) = configured.or_else(|| vault.content.recovery_key.as_deref().cloned()) else {
        return Ok(());
    };
    let token = client.access_token().unwrap_or_default();
    let account = Account { account: &spec.account, rest, token: &token };
    match account.try_key(&key).await? {
        Ok(()) | Err(Layer::Backup { .. }) => {}
        Err(layer) => {
            warn!(event = "recovery_failed", "the recovery key is of no use: {layer}");
            return Ok(());
        }
    }
    if let Err(error) = client.encryption().recovery().recover(&key).await {
        warn!(event = "recovery_failed", %error, "recovering did not work");
    }
    Ok(())
}

/// Makes key backup and secret storage where there are none, and keeps the
/// recovery key in the vault.
///
/// The recovery key is in the vault before the server hears of it. A kill
/// after that leaves secret storage that the vault's key opens, or none.
async fn set_up_recovery(
    client: &Client,
    spec: &AgentSpec,
    rest: &Rest,
    vault: &mut VaultFile,
) -> Result<(), Fault> {
    let token = client.access_token().unwrap_or_default();
    let account = Account { account: &spec.account, rest, token: &token };
    let has_storage = account.default_key().await?.is_some();
    let backups = client.encryption().backups();
    let backed_up = backups.are_enabled().await;
    // What exists is never replaced: its key may be somebody's only one.
    if !vault.content.recovery_begun {
        let exists = account_has_backup(&account).await?;
        if has_storage || vault.content.recovery_key.is_some() || (exists && !backed_up) {
            return Ok(());
        }
        vault.content.recovery_begun = true;
        vault.keep()?;
    }
    if !backed_up && !make_backup(client, &account).await? {
        vault.content.recovery_begun = false;
        return vault.keep();
    }
    if !has_storage {
        let key = SecretStorageKey::new();
        vault.content.recovery_key = Some(key.to_base58().into());
        vault.keep()?;
        account.announce_key(&key).await?;
    }
    let Some(key) = vault.content.recovery_key.clone() else {
        vault.content.recovery_begun = false;
        return vault.keep();
    };
    let stored = async {
        let storage = client.encryption().secret_storage().open_secret_store(&key).await?;
        storage.export_secrets().await
    };
    match stored.await {
        Ok(()) => {
            vault.content.recovery_begun = false;
            vault.keep()?;
            info!("key backup and secret storage are set up");
        }
        Err(error) => {
            warn!(%error, "setting up secret storage failed; tried again at the next start");
        }
    }
    Ok(())
}

async fn account_has_backup(account: &Account<'_>) -> Result<bool, Fault> {
    let found = account.rest.backup_version(account.token).await;
    Ok(found.map_err(|error| account.rest.fault(account.account, error))?.is_some())
}

/// Makes a key backup. One that is there and empty is ours: when we began there
/// was none, and a kill came before its key was stored.
async fn make_backup(client: &Client, account: &Account<'_>) -> Result<bool, Fault> {
    let fault = |error| account.rest.fault(account.account, error);
    let found = account.rest.backup(account.token).await.map_err(fault)?;
    if let Some(found) = found {
        let (version, count) = (found["version"].as_str(), &found["count"]);
        let (Some(version), true) = (version, *count == 0) else {
            warn!("the account has a key backup that this device cannot open; left alone");
            return Ok(false);
        };
        account.rest.delete_backup(account.token, version).await.map_err(fault)?;
    }
    match client.encryption().backups().create().await {
        Ok(()) => Ok(true),
        Err(error) => Err(errors::fault(account.account, &error)),
    }
}
