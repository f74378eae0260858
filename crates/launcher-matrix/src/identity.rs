//! Signs the agent's device and sets up recovery, once.
//!
//! A device that its owner has not signed is cut off by current Element. An
//! identity that exists is never replaced: that would alarm everybody who has
//! verified it. Where the agent cannot sign itself it runs all the same and
//! says what is missing.

use launcher_core::{fault::Fault, fleet::Degradation, spec::AgentSpec};
use launcher_runtime::{AccountFacts, Report};
use matrix_sdk::{
    Client,
    encryption::recovery::RecoveryError,
    ruma::api::client::uiaa::{AuthData, MatrixUserIdentifier, Password, UserIdentifier},
};
use tracing::{info, warn};

use crate::{errors, preflight::VaultFile, rest::Rest};

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
    let fault = |error: &matrix_sdk::Error| errors::fault(&spec.account, error);
    let signed = sign(client, spec, vault).await.map_err(|error| fault(&error))?;
    if signed {
        report.set_degraded("signature", None);
        set_up_recovery(client, vault).await?;
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
    vault: &VaultFile,
) -> Result<bool, matrix_sdk::Error> {
    let encryption = client.encryption();
    let user = client.user_id().ok_or(matrix_sdk::Error::AuthenticationRequired)?;
    if is_signed(client).await? {
        return Ok(true);
    }
    let complete =
        encryption.cross_signing_status().await.is_some_and(|status| status.is_complete());
    let published = encryption.request_user_identity(user).await?.is_some();
    match (published, complete) {
        (false, _) => bootstrap(client, spec).await?,
        (true, true) => {
            if let Some(device) = encryption.get_own_device().await?
                && let Err(error) = device.verify().await
            {
                warn!(%error, "signing the own device failed");
            }
        }
        (true, false) => recover(client, spec, vault).await,
    }
    // The answer to an upload of signatures hides failures: ask for what is there now.
    encryption.request_user_identity(user).await?;
    let signed = is_signed(client).await?;
    if signed {
        info!(event = "cross_signed", "the device is signed by its owner");
    }
    Ok(signed)
}

async fn is_signed(client: &Client) -> Result<bool, matrix_sdk::Error> {
    let device = client.encryption().get_own_device().await?;
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
async fn recover(client: &Client, spec: &AgentSpec, vault: &VaultFile) {
    let configured = spec.encryption.recovery_key.as_ref().map(|key| key.expose().clone());
    let Some(key) = configured.or_else(|| vault.content.recovery_key.as_deref().cloned()) else {
        return;
    };
    if let Err(error) = client.encryption().recovery().recover(&key).await {
        warn!(event = "recovery_failed", %error, "the recovery key did not open the account's secret storage");
    }
}

/// Makes key backup and secret storage where there are none, and keeps the
/// recovery key in the vault.
async fn set_up_recovery(client: &Client, vault: &mut VaultFile) -> Result<(), Fault> {
    let recovery = client.encryption().recovery();
    let backed_up = client.encryption().backups().are_enabled().await;
    let stored = match client.encryption().secret_storage().is_enabled().await {
        Ok(stored) => stored,
        Err(error) => {
            warn!(%error, "asking for secret storage failed; looked at again at the next start");
            return Ok(());
        }
    };
    // Secret storage that exists is never replaced: its key may be somebody's only one. A
    // backup without it is finished only if a kill came between when we made both.
    if vault.content.recovery_key.is_some()
        || stored
        || (backed_up && !vault.content.recovery_begun)
    {
        return Ok(());
    }
    vault.content.recovery_begun = true;
    vault.keep()?;
    match recovery.enable().await {
        Ok(key) => {
            vault.content.recovery_key = Some(key.into());
            vault.content.recovery_begun = false;
            vault.keep()?;
            info!("key backup and secret storage are set up");
        }
        Err(RecoveryError::BackupExistsOnServer) => {
            vault.content.recovery_begun = false;
            vault.keep()?;
            warn!("the account has a key backup that this device cannot open; left alone");
        }
        Err(error) => warn!(%error, "setting up key backup failed; tried again at the next start"),
    }
    Ok(())
}
