//! How a Matrix agent comes up.

use std::sync::Arc;

use async_trait::async_trait;
use launcher_core::{
    claim::Claim,
    fault::Fault,
    preflight::{IdentityKeys, Mismatch, Verdict},
    spec::AgentSpec,
};
use launcher_runtime::{
    Report,
    ports::{Connector, Session, journal::Journal},
};
use tracing::warn;

use crate::{
    aftermath, client, identity,
    lineage::Birth,
    notices::Notices,
    preflight::{self, Cleared, VaultFile},
    rekey, reset,
    rest::{self, Rest},
    salvage,
    session::{MatrixSession, Parts},
    store::StorePlace,
};

/// Connects agents to their homeservers; one for the whole process.
#[derive(Clone, Debug)]
pub struct MatrixConnector {
    http: reqwest::Client,
    notices: Arc<Notices>,
}

/// The HTTP client could not be made, so no agent can run.
#[derive(Debug, thiserror::Error)]
#[error("making the HTTP client")]
pub struct HttpClientError(#[from] reqwest::Error);

impl MatrixConnector {
    /// The client that all agents share.
    pub(crate) fn http(&self) -> reqwest::Client {
        self.http.clone()
    }

    /// Makes the HTTP client that all agents share.
    ///
    /// # Errors
    ///
    /// When the system's root certificates cannot be loaded.
    pub fn new() -> Result<Self, HttpClientError> {
        Ok(Self { http: rest::http_client()?, notices: Arc::default() })
    }
}

#[async_trait]
impl Connector for MatrixConnector {
    async fn connect(
        &self,
        spec: &AgentSpec,
        report: Arc<Report>,
        journal: Arc<dyn Journal>,
    ) -> Result<Arc<dyn Session>, Fault> {
        let rest = Rest::new(self.http.clone(), spec.account.homeserver.clone());
        let encryption = &spec.encryption;
        let place = StorePlace::new(encryption.store_path.clone(), encryption.pickle_key.clone());
        let (prepared, is_new) = match prepare(spec, &rest, &place, &*journal, false).await {
            Err(fault) if launcher_core::reset::would_help(&fault) => {
                let was_asked = is_rolled_back(&fault);
                let found = reset::give_up(spec, &rest, &place, fault).await?;
                let prepared = prepare(spec, &rest, &place, &*journal, was_asked).await?;
                (prepared, found == reset::Found::GivenUp)
            }
            prepared => (prepared?, false),
        };
        let Prepared { mut cleared, claim, was_clean, orderly } = prepared;
        report.set_resets(cleared.vault.content.resets.len());
        let http = self.http.clone();
        let store = cleared.store.clone();
        salvage::take_over(spec, &cleared.login, &store, &mut cleared.vault).await?;
        let client = client::build(spec, http, &place, cleared.store, &cleared.login).await?;
        if !orderly {
            let since = client::stored_position(&client).await;
            let login = &cleared.login;
            let since = since.as_deref();
            aftermath::forget_half_made_sessions(spec, &rest, &place, &store, login, since).await?;
        }
        drop(store);
        client.encryption().wait_for_e2ee_initialization_tasks().await;
        let parts = Parts {
            spec: spec.clone(),
            http: self.http.clone(),
            rest: rest.clone(),
            place,
            login: cleared.login,
            report: report.clone(),
            journal: journal.clone(),
            notices: self.notices.clone(),
            // Transaction ids of a device that is no more protect from nothing.
            answered_until: match is_new || (!was_clean && reset::is_recent(&cleared.vault.content))
            {
                true => cleared.vault.content.resets.last().copied(),
                false => None,
            },
            claim,
        };
        let started = finish(parts, client, cleared.vault, cleared.verdict).await;
        match &started {
            // Nothing was cut off: the server was away, most likely.
            Err(Fault::ServerUnavailable { .. }) if orderly => journal.end().await?,
            Err(_) => journal.rest().await,
            Ok(_) => {}
        }
        started
    }
}

/// An agent whose files, session and server agree, and whose new life is announced.
struct Prepared {
    cleared: Cleared,
    claim: Claim,
    /// Whether the life before ended in order, by the journal.
    was_clean: bool,
    /// The same, and there was a journal.
    orderly: bool,
}

/// Brings files, session and server together. `was_asked` says that whoever
/// lives by the server's announcement did not answer a moment ago.
async fn prepare(
    spec: &AgentSpec,
    rest: &Rest,
    place: &StorePlace,
    journal: &dyn Journal,
    was_asked: bool,
) -> Result<Prepared, Fault> {
    rekey::finish(spec, place, journal).await?;
    let mut cleared = preflight::clear(spec, rest, place).await?;
    // The key is right, so the journal may be touched.
    let life = journal.begin().await?;
    // A journal that begins beside a store that does not was lost, and with it what it knew.
    let was_lost = life.generation == 1 && cleared.verdict == Verdict::Equal;
    if life.generation == 1 && !was_lost {
        journal.begin_fresh().await?;
    }
    let birth = Birth {
        spec,
        rest,
        login: &cleared.login,
        journal,
        store: &cleared.store,
        clean: life.clean,
        was_asked,
    };
    let born = match put_in_order(place, life.clean).await {
        Ok(()) => birth.announce().await,
        Err(fault) => Err(fault),
    };
    match born {
        Ok(claim) => {
            Ok(Prepared { cleared, claim, was_clean: life.clean, orderly: life.clean && !was_lost })
        }
        Err(fault) => {
            match &fault {
                // Nothing was cut off.
                Fault::ServerUnavailable { .. } if life.clean => journal.end().await?,
                _ => journal.rest().await,
            }
            let is_ours = cleared.vault.content.access_token.as_deref()
                == Some(cleared.login.access_token.expose());
            if is_cloned(&fault) && cleared.verdict == Verdict::Fresh && is_ours {
                // A device without keys that was made a moment ago, and is of no use.
                drop(rest.logout(cleared.login.access_token.expose()).await);
                cleared.vault.content = cleared.vault.content.without_device();
                cleared.vault.keep()?;
            }
            Err(fault)
        }
    }
}

/// What is done to the crypto store before anything is loaded from it: no room
/// goes on with an outbound session of an earlier life, and after a life that
/// was cut off what does not open is removed.
async fn put_in_order(place: &StorePlace, was_clean: bool) -> Result<(), Fault> {
    let path = place.crypto_db();
    let place = place.clone();
    let work = move || {
        let removed = if was_clean { 0 } else { place.mend()? };
        place.forget_outbound_sessions().map(|_| removed)
    };
    let removed = tokio::task::spawn_blocking(work).await;
    let removed = removed.map_err(|error| Fault::StoreFailed { detail: error.to_string() })??;
    if removed > 0 {
        warn!(event = "store_corrupt", path = %path.display(), removed, "sessions and room keys that did not open were removed; they are made or fetched again");
    }
    Ok(())
}

fn is_rolled_back(fault: &Fault) -> bool {
    matches!(fault, Fault::Mismatched { mismatch: Mismatch::RolledBack { .. } })
}

fn is_cloned(fault: &Fault) -> bool {
    matches!(fault, Fault::Mismatched { mismatch: Mismatch::Cloned { .. } })
}

/// The part of connecting after which an agent answers.
async fn finish(
    parts: Parts,
    client: matrix_sdk::Client,
    mut vault: VaultFile,
    verdict: Verdict,
) -> Result<Arc<dyn Session>, Fault> {
    let (spec, rest, report) = (parts.spec.clone(), parts.rest.clone(), parts.report.clone());
    // The first sync uploads the keys; the signature below needs them there.
    let session = MatrixSession::start(parts, client).await?;
    let client = session.client().await?;
    let keys = published(&client, &spec, &rest).await?;
    if verdict != Verdict::Equal || vault.content.ed25519.is_none() {
        remember(&mut vault, keys)?;
    }
    identity::settle(&client, &spec, &rest, &mut vault, &report).await?;
    reset::remove_old_devices(&client, &spec, &rest, &mut vault).await?;
    Ok(Arc::new(session))
}

/// The device's keys as the server now publishes them; they are what the store holds.
async fn published(
    client: &matrix_sdk::Client,
    spec: &AgentSpec,
    rest: &Rest,
) -> Result<IdentityKeys, Fault> {
    let device = client.device_id().map(ToString::to_string).unwrap_or_default();
    let token = client.access_token().unwrap_or_default();
    let found = rest
        .device_keys(&token, &spec.account.user_id, &device)
        .await
        .map_err(|error| rest.fault(&spec.account, error))?;
    let own = client.encryption().ed25519_key().await;
    match found {
        Some(keys) if Some(&keys.ed25519) == own.as_ref() => Ok(keys),
        _ => Err(Fault::ServerUnavailable {
            homeserver: rest.homeserver(),
            detail: "the device's keys are not on the server yet".to_owned(),
            retry_after: None,
        }),
    }
}

fn remember(vault: &mut VaultFile, keys: IdentityKeys) -> Result<(), Fault> {
    vault.content.set_keys(keys);
    vault.keep()
}
