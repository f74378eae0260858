//! Finds out whether this folder is the one that its agent last ran from, and
//! announces the new life. What to make of what is found is decided in
//! [`launcher_core::claim`].

use std::time::Duration;

use launcher_core::{
    claim::{Announcement, Claim, Claims, Lineage, lineage},
    fault::Fault,
    preflight::Mismatch,
    spec::AgentSpec,
};
use launcher_runtime::ports::journal::{Journal, Stamp};
use matrix_sdk_base::crypto::store::CryptoStore;
use matrix_sdk_sqlite::SqliteCryptoStore;
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::{
    login::Login,
    reading,
    rest::{Rest, RestError},
};

/// The type of the account's data on the server, and the name in the store.
pub(crate) const KIND: &str = "launcher.life";

/// How long another copy of the agent may take to say that it is there. It
/// waits in a long poll, and sees the question at once.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long after its first answer the server is asked again.
const SECOND_LOOK: Duration = Duration::from_secs(3);

const LOOK: Duration = Duration::from_millis(500);

/// What a new life needs to know about where it begins.
pub(crate) struct Birth<'a> {
    pub(crate) spec: &'a AgentSpec,
    pub(crate) rest: &'a Rest,
    pub(crate) login: &'a Login,
    pub(crate) journal: &'a dyn Journal,
    pub(crate) store: &'a SqliteCryptoStore,
    /// Whether the life before ended in order.
    pub(crate) clean: bool,
    /// Whether the life that is announced was asked a moment ago, in vain.
    pub(crate) was_asked: bool,
}

impl Birth<'_> {
    /// Makes sure that nobody lived after this folder's last life, or lives
    /// somewhere else, and announces the new life.
    ///
    /// # Errors
    ///
    /// [`Mismatch::RolledBack`] and [`Mismatch::Cloned`]; passing faults.
    pub(crate) async fn announce(&self) -> Result<Claim, Fault> {
        let known = self.journal.claims().await?;
        let stored = self.stored().await?;
        let server = self.server().await?;
        let claim = server.as_ref().map(|announcement| &announcement.claim);
        let mut found = lineage(&self.login.device_id, &known, stored.as_ref(), claim);
        let mut detail = "another life of the agent came after the one in these files".to_owned();
        if found == Lineage::Current
            && !self.clean
            && let Some(trace) = self.trace().await?
        {
            (found, detail) = (Lineage::Behind, trace);
        }
        if found != Lineage::Current {
            // Never on a single answer.
            if !self.was_asked {
                tokio::time::sleep(SECOND_LOOK).await;
                if self.server().await? != server {
                    return Err(self.unsettled());
                }
            }
            if let Some(server) = &server
                && !self.was_asked
                && self.is_alive(server).await?
            {
                let user = self.spec.account.user_id.clone();
                return Err(Fault::Mismatched { mismatch: Mismatch::Cloned { user } });
            }
            if found == Lineage::Behind {
                let device = self.login.device_id.clone();
                return Err(Fault::Mismatched {
                    mismatch: Mismatch::RolledBack { device, detail },
                });
            }
        }
        self.claim(known, server).await
    }

    /// The server says one thing and then another.
    fn unsettled(&self) -> Fault {
        Fault::ServerUnavailable {
            homeserver: self.rest.homeserver(),
            detail: "the server changed its mind about the agent's last life".to_owned(),
            retry_after: None,
        }
    }

    /// Writes the new life down: journal, store, server, and then the journal
    /// once more. A kill in between leaves a claim that is made again.
    async fn claim(&self, known: Claims, server: Option<Announcement>) -> Result<Claim, Fault> {
        let device = &self.login.device_id;
        let generation = known.generation().max(server.map_or(0, |found| found.claim.generation));
        let claim = match known.next.clone().filter(|next| next.device == *device) {
            Some(next) if next.generation >= generation => next,
            _ => Claim {
                device: device.clone(),
                generation: generation.saturating_add(1),
                life: random_name()?,
            },
        };
        let begun = Claims { next: Some(claim.clone()), ..known };
        self.journal.keep_claims(&begun).await?;
        let json = serde_json::to_vec(&claim).map_err(|error| failed(&error))?;
        self.store.set_custom_value(KIND, json).await.map_err(|error| failed(&error))?;
        put(self.spec, self.rest, self.login, &Announcement::of(claim.clone())).await?;
        self.journal.keep_claims(&Claims { last: Some(claim.clone()), next: None }).await?;
        Ok(claim)
    }

    /// The claim in the crypto store.
    async fn stored(&self) -> Result<Option<Claim>, Fault> {
        let json = self.store.get_custom_value(KIND).await.map_err(|error| failed(&error))?;
        Ok(json.and_then(|json| serde_json::from_slice(&json).ok()))
    }

    async fn server(&self) -> Result<Option<Announcement>, Fault> {
        let (token, user) = (self.login.access_token.expose(), &self.spec.account.user_id);
        let content = self.rest.account_data(token, user, KIND).await;
        let content = content.map_err(|error| self.rest.fault(&self.spec.account, error))?;
        let Some(content) = content else { return Ok(None) };
        let read = serde_json::from_value(content);
        if read.is_err() {
            warn!(
                kind = KIND,
                "the account's data does not say which life of the agent is the last; passed over"
            );
        }
        Ok(read.ok())
    }

    /// Signs in the crypto store or on the server that this folder was restored
    /// from a copy although its claims agree, because the copy was made while
    /// its agent ran.
    async fn trace(&self) -> Result<Option<String>, Fault> {
        let token = self.store.next_batch_token().await.map_err(|error| failed(&error))?;
        if let Some(token) = token
            && self.journal.is_passed(&token).await?
        {
            return Ok(Some("the crypto store is behind the journal".to_owned()));
        }
        let Some(since) = self.journal.position().await? else { return Ok(None) };
        let token = self.login.access_token.expose();
        let filter = own_messages(&self.spec.account.user_id);
        let asked = self.rest.poll(token, &since, &filter, reading::unlike_before()).await;
        let answer = match asked {
            Ok(answer) => answer,
            // After so long an absence nothing is judged that could be found.
            Err(RestError::TooLarge) => return Ok(None),
            Err(error) => return Err(self.rest.fault(&self.spec.account, error)),
        };
        let rooms = answer["rooms"]["join"].as_object().into_iter().flatten();
        for (room, update) in rooms {
            let events = update["timeline"]["events"].as_array().into_iter().flatten();
            if let Some(event) = foreign(events, &self.spec.account.user_id, self.journal).await? {
                return Ok(Some(format!(
                    "the device sent {event} into {room}, and these files do not know of it"
                )));
            }
        }
        Ok(None)
    }

    /// Asks whoever lives by this announcement to say so.
    async fn is_alive(&self, found: &Announcement) -> Result<bool, Fault> {
        info!(
            device_id = found.claim.device,
            generation = found.claim.generation,
            "another life of this agent is announced; asking whether it is still there"
        );
        let challenge = random_name()?;
        let question = Announcement { challenge: Some(challenge.clone()), ..found.clone() };
        put(self.spec, self.rest, self.login, &question).await?;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            tokio::time::sleep(LOOK).await;
            let Some(now) = self.server().await? else { continue };
            if now.answer.as_ref() == Some(&challenge) || now.claim.life != found.claim.life {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Writes an announcement into the account's data.
pub(crate) async fn put(
    spec: &AgentSpec,
    rest: &Rest,
    login: &Login,
    announcement: &Announcement,
) -> Result<(), Fault> {
    let content = serde_json::to_value(announcement).map_err(|error| failed(&error))?;
    let (token, user) = (login.access_token.expose(), &spec.account.user_id);
    let kept = rest.set_account_data(token, user, KIND, &content).await;
    kept.map_err(|error| rest.fault(&spec.account, error))
}

/// The announcement in an event of the account's data, if it is one.
pub(crate) fn read(event: &Value) -> Option<Announcement> {
    let is_one = event["type"] == KIND;
    is_one.then(|| serde_json::from_value(event["content"].clone()).ok())?
}

/// The first of these events that answers something, that this device has sent
/// and that the journal knows nothing about.
///
/// What a verification takes is sent by the SDK, with transactions of its own;
/// it replies to nothing.
///
/// Servers tell the transaction of an event only to the device that sent it.
pub(crate) async fn foreign(
    events: impl Iterator<Item = &Value>,
    own: &str,
    journal: &dyn Journal,
) -> Result<Option<String>, Fault> {
    for event in events {
        let is_message = event["type"] == "m.room.message" || event["type"] == "m.room.encrypted";
        let answers = !event["content"]["m.relates_to"]["m.in_reply_to"].is_null();
        let transaction = event["unsigned"]["transaction_id"].as_str();
        let is_own = is_message && answers && event["sender"] == own;
        let (true, Some(transaction)) = (is_own, transaction) else {
            continue;
        };
        let at = Stamp(event["origin_server_ts"].as_u64().unwrap_or_default());
        if !journal.is_own(transaction, at).await? {
            return Ok(Some(event["event_id"].as_str().unwrap_or("an event").to_owned()));
        }
    }
    Ok(None)
}

/// Asks for the latest messages that the agent itself has sent.
fn own_messages(user: &str) -> String {
    json!({
        "presence": { "not_types": ["*"] },
        "account_data": { "not_types": ["*"] },
        "room": {
            "timeline": {
                "limit": 20, "senders": [user],
                "types": ["m.room.message", "m.room.encrypted"],
            },
            "state": { "not_types": ["*"] },
            "ephemeral": { "not_types": ["*"] },
            "account_data": { "not_types": ["*"] },
        },
    })
    .to_string()
}

/// Sixteen random bytes in hexadecimal digits.
fn random_name() -> Result<String, Fault> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| failed(&error))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn failed(error: &dyn std::fmt::Display) -> Fault {
    Fault::StoreFailed { detail: error.to_string() }
}
