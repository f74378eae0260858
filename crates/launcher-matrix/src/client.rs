//! Builds the SDK's client the way an agent needs it.

use std::time::Duration;

use launcher_core::{
    fault::Fault,
    spec::{AgentSpec, TrustMode},
};
use matrix_sdk::{
    Client, SessionMeta, SessionTokens,
    authentication::matrix::MatrixSession,
    config::{RequestConfig, StoreConfig},
    encryption::{BackupDownloadStrategy, EncryptionSettings},
    ruma::{OwnedDeviceId, UserId},
    store::StateStoreDataKey,
};
use matrix_sdk_base::{
    cross_process_lock::CrossProcessLockConfig,
    crypto::{CollectStrategy, DecryptionSettings, TrustRequirement},
};
use matrix_sdk_sqlite::SqliteCryptoStore;

use crate::{errors, login::Login, store::StorePlace};

/// Tries per request inside the SDK. More, and a server that is away looks
/// like one that hangs: the worker's own back-off does the waiting, visibly.
const TRIES: usize = 2;

/// How long one request of the SDK may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// Builds a client over the opened stores and restores the session in it.
///
/// The event cache and media stay in memory (and unused): the launcher reads
/// what a sync returns and keeps nothing. A client that failed is of no use
/// any more; drop it and build another.
pub(crate) async fn build(
    spec: &AgentSpec,
    http: reqwest::Client,
    place: &StorePlace,
    crypto: SqliteCryptoStore,
    login: &Login,
) -> Result<Client, Fault> {
    let stores = StoreConfig::new(CrossProcessLockConfig::SingleProcess)
        .crypto_store(crypto)
        .state_store(place.open_state().await?);
    let client = Client::builder()
        .homeserver_url(&spec.account.homeserver)
        .http_client(http)
        .request_config(RequestConfig::new().retry_limit(TRIES).timeout(REQUEST_LIMIT))
        .store_config(stores)
        .cross_process_store_config(CrossProcessLockConfig::SingleProcess)
        // Cross-signing and backup are set up by `identity`, which can tell whether it worked.
        .with_encryption_settings(EncryptionSettings {
            auto_enable_cross_signing: false,
            auto_enable_backups: false,
            backup_download_strategy: BackupDownloadStrategy::AfterDecryptionFailure,
        })
        .with_room_key_recipient_strategy(recipients(spec.encryption.trust_mode))
        // Whom to obey is the trust ledger's decision: it knows what an operator approved.
        .with_decryption_settings(DecryptionSettings {
            sender_device_trust_requirement: TrustRequirement::Untrusted,
        })
        // An agent that invites somebody must not hand out what was said before.
        .with_enable_share_history_on_invite(false)
        .build()
        .await
        .map_err(|error| Fault::StoreFailed { detail: error.to_string() })?;
    let user_id = UserId::parse(&spec.account.user_id)
        .map_err(|error| Fault::ConfigInvalid { diagnostic: error.to_string() })?;
    let session = MatrixSession {
        meta: SessionMeta { user_id, device_id: OwnedDeviceId::from(login.device_id.as_str()) },
        tokens: SessionTokens {
            access_token: login.access_token.expose().clone(),
            refresh_token: None,
        },
    };
    client.restore_session(session).await.map_err(|error| errors::fault(&spec.account, &error))?;
    Ok(client)
}

/// The position that the SDK has stored, if it ever synced.
pub(crate) async fn stored_position(client: &Client) -> Option<String> {
    let key = StateStoreDataKey::SyncToken;
    let stored = client.state_store().get_kv_data(key).await.ok().flatten()?;
    stored.into_sync_token()
}

/// Whom the SDK gives room keys to. In the careful modes nobody gets any whom
/// the trust ledger has not marked.
fn recipients(mode: TrustMode) -> CollectStrategy {
    match mode {
        TrustMode::Tofu => CollectStrategy::AllDevices,
        TrustMode::CrossSigning | TrustMode::Manual => CollectStrategy::OnlyTrustedDevices,
    }
}
