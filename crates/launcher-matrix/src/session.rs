//! A connected Matrix account.
//!
//! Waiting and reading are two things. Waiting is a bare long poll that needs
//! no client; reading is the SDK's `/sync` from the same position, which
//! returns at once. So a wait can be given up at any moment, and an agent that
//! has had nothing to do for a while lets its client and stores go until there
//! is news (it *hibernates*).

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use launcher_core::{
    backoff,
    conversation::Message,
    fault::Fault,
    names::EventId,
    preflight::{LocalAccount, Mismatch},
    spec::AgentSpec,
};
use launcher_runtime::{
    Report,
    ports::{Answer, SendFault, Session},
};
use matrix_sdk::{
    Client,
    config::SyncSettings,
    deserialized_responses::TimelineEventKind,
    ruma::{
        OwnedRoomId, RoomId,
        api::client::{
            filter::{FilterDefinition, LazyLoadOptions},
            sync::sync_events::v3::Filter,
        },
        presence::PresenceState,
    },
    sync::{JoinedRoomUpdate, RoomUpdates},
};
use serde_json::Value;
use tokio::{
    sync::{Mutex, RwLock, RwLockReadGuard, broadcast::Receiver},
    time::Instant,
};
use tracing::{debug, warn};

use crate::{
    client, content, errors,
    invites::{self, Invites},
    login::Login,
    poll,
    rest::Rest,
    store::{StorePlace, local_account},
    timeline,
    undecryptable::Waiting,
};

/// How long one long poll lasts at most.
const POLL: Duration = Duration::from_secs(50);

/// How long an agent keeps its client without anything to do.
const IDLE: Duration = Duration::from_secs(60);

/// The longest pause after news that the SDK did not find.
const LONGEST_STALL: Duration = Duration::from_secs(30);

/// A server that has nothing to say and answers sooner does not wait as it was asked to.
const SHORTEST_POLL: Duration = Duration::from_secs(1);

/// Timeline events per room and sync: the most that homeservers give.
const TIMELINE: u32 = 100;

/// What is needed to build a client again.
pub(crate) struct Parts {
    pub(crate) spec: AgentSpec,
    pub(crate) http: reqwest::Client,
    pub(crate) rest: Rest,
    pub(crate) place: StorePlace,
    pub(crate) login: Login,
    pub(crate) report: Arc<Report>,
}

/// A connected Matrix account.
pub(crate) struct MatrixSession {
    parts: Parts,
    live: RwLock<Option<Live>>,
    position: std::sync::Mutex<Position>,
    reading: Mutex<Reading>,
}

/// A client with its stores open.
struct Live {
    client: Client,
    updates: std::sync::Mutex<Receiver<RoomUpdates>>,
}

/// Where the agent stands in the server's stream.
struct Position {
    /// Up to here the SDK has read.
    since: String,
    /// Up to here there was no news; at or after `since`.
    polled: String,
    last_use: Instant,
    /// How often in a row a reading left the position where it was.
    stalled: u32,
    /// When something is due although the server has no news.
    due: Option<Instant>,
    /// Whether the session was closed: its stores may belong to a successor.
    closed: bool,
}

/// What is carried from one reading to the next.
#[derive(Default)]
struct Reading {
    early: Vec<Message>,
    invites: Invites,
    waiting: Waiting,
}

impl MatrixSession {
    /// Takes over a client, and makes its first sync.
    ///
    /// What a first sync of all brings is history; after a restart it brings
    /// what was said in between.
    pub(crate) async fn start(parts: Parts, client: Client) -> Result<Self, Fault> {
        let live = Live::new(client);
        let session = Self {
            parts,
            live: RwLock::new(Some(live)),
            position: std::sync::Mutex::new(Position {
                since: String::new(),
                polled: String::new(),
                last_use: Instant::now(),
                stalled: 0,
                due: None,
                closed: false,
            }),
            reading: Mutex::default(),
        };
        let early = session.read_news().await?;
        session.reading.lock().await.early = early;
        Ok(session)
    }

    /// The live client. There always is one right after [`MatrixSession::start`].
    pub(crate) async fn client(&self) -> Result<Client, Fault> {
        self.live().await.map(|live| live.client.clone())
    }

    async fn live(&self) -> Result<LiveGuard<'_>, Fault> {
        loop {
            let guard = self.live.read().await;
            if let Ok(live) = RwLockReadGuard::try_map(guard, Option::as_ref) {
                return Ok(live);
            }
            self.wake().await?;
        }
    }

    /// Builds the client again.
    ///
    /// The files may have been touched in between: a store that is gone or
    /// another one must not lead to new keys for the device.
    async fn wake(&self) -> Result<(), Fault> {
        let mut live = self.live.write().await;
        if self.position().closed {
            return Err(Fault::StoreFailed { detail: "the session is closed".to_owned() });
        }
        if live.is_none() {
            let parts = &self.parts;
            let device = parts.login.device_id.clone();
            if !parts.place.exists() {
                return Err(Fault::Mismatched { mismatch: Mismatch::StoreLost { device } });
            }
            parts.place.check_key()?;
            let crypto = parts.place.open_crypto().await?;
            let local = local_account(&parts.place, &crypto).await?;
            let known = parts.report.facts().ed25519;
            let same = matches!(&local, LocalAccount::Present { keys, .. } if Some(&keys.ed25519) == known.as_ref());
            if !same {
                return Err(Fault::Mismatched { mismatch: Mismatch::KeysDiffer { device } });
            }
            let http = parts.http.clone();
            let built =
                client::build(&parts.spec, http, &parts.place, crypto, &parts.login).await?;
            debug!("woke up");
            *live = Some(Live::new(built));
        }
        Ok(())
    }

    /// Lets the client and its stores go.
    async fn hibernate(&self) {
        // Whoever sends or reads holds the lock for reading; then it is not idle.
        let Ok(mut live) = self.live.try_write() else { return };
        if let Some(live) = live.take() {
            live.client.encryption().wait_for_e2ee_initialization_tasks().await;
            debug!("hibernating");
        }
    }

    fn position(&self) -> std::sync::MutexGuard<'_, Position> {
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read_news(&self) -> Result<Vec<Message>, Fault> {
        let live = self.live().await?;
        let initial = self.position().since.is_empty() && live.is_new().await;
        let mut reading = self.reading.lock().await;
        let updates = self.sync(&live).await?;
        self.parts.report.synced();
        let mut messages = std::mem::take(&mut reading.early);
        let client = &live.client;
        for (room, update) in updates.joined {
            if somebody_left(&update, &self.parts.spec.account.user_id) {
                invites::leave_if_alone(client, &room).await;
            }
            if !initial {
                messages.extend(self.read_room(&room, &update, &mut reading.waiting));
            }
        }
        if !reading.waiting.is_empty() {
            messages.extend(reading.waiting.retry(client, &self.parts.report).await);
        }
        reading.invites.answer(client, &self.parts.spec).await;
        let mut position = self.position();
        position.due = reading.invites.next_try();
        position.last_use = Instant::now();
        Ok(messages)
    }

    /// One `/sync` of the SDK, which returns at once.
    async fn sync(&self, live: &Live) -> Result<RoomUpdates, Fault> {
        live.forget_updates();
        let mut filter = FilterDefinition::with_lazy_loading();
        filter.room.timeline.limit = Some(TIMELINE.into());
        filter.room.state.lazy_load_options =
            LazyLoadOptions::Enabled { include_redundant_members: false };
        filter.room.ephemeral.not_types = vec!["*".to_owned()];
        filter.presence.not_types = vec!["*".to_owned()];
        let settings = SyncSettings::new()
            .timeout(Duration::ZERO)
            .set_presence(PresenceState::Offline)
            .filter(Filter::from(filter));
        match live.client.sync_once(settings).await {
            Ok(answer) => {
                let mut position = self.position();
                let stalled = position.since == answer.next_batch;
                position.stalled = if stalled { position.stalled.saturating_add(1) } else { 0 };
                position.polled.clone_from(&answer.next_batch);
                position.since = answer.next_batch;
                Ok(answer.rooms)
            }
            // One malformed event makes the SDK give up after it has stored the position:
            // everything it decrypted would be lost, if it were not announced before.
            Err(matrix_sdk::Error::SerdeJson(error)) => {
                warn!(%error, "the server sent a malformed event");
                live.last_update().ok_or_else(|| Fault::StoreFailed { detail: error.to_string() })
            }
            Err(error) => Err(errors::fault(&self.parts.spec.account, &error)),
        }
    }

    fn read_room(
        &self,
        room: &OwnedRoomId,
        update: &JoinedRoomUpdate,
        waiting: &mut Waiting,
    ) -> Vec<Message> {
        let events = &update.timeline.events;
        let parsed: Vec<Value> = events
            .iter()
            .map(|event| serde_json::from_str(event.raw().json().get()).unwrap_or_default())
            .collect();
        let joined = timeline::position_of_join(&parsed, &self.parts.spec.account.user_id);
        let from = joined.map_or(0, |position| position + 1);
        let mut messages = Vec::new();
        for (event, json) in events.iter().zip(&parsed).skip(from) {
            match &event.kind {
                TimelineEventKind::UnableToDecrypt { event, utd_info } => {
                    waiting.add(room, event.clone(), utd_info, &self.parts.report);
                }
                TimelineEventKind::Decrypted(_) | TimelineEventKind::PlainText { .. } => {
                    messages.extend(timeline::message(room.as_str(), json));
                }
            }
        }
        messages
    }

    /// Whether there is something to do although the server has no news.
    fn is_due(&self) -> bool {
        self.position().due.is_some_and(|due| due <= Instant::now())
    }

    /// How long the next poll may last, so that nothing due is slept over.
    fn poll_limit(&self) -> Duration {
        let awake = self.live.try_read().is_ok_and(|live| live.is_some());
        let position = self.position();
        let now = Instant::now();
        let idle = awake.then(|| position.last_use + IDLE);
        let next = position.due.into_iter().chain(idle).min();
        next.map_or(POLL, |next| next.saturating_duration_since(now).min(POLL))
    }
}

type LiveGuard<'a> = RwLockReadGuard<'a, Live>;

impl Live {
    fn new(client: Client) -> Self {
        let updates = std::sync::Mutex::new(client.subscribe_to_all_room_updates());
        Self { client, updates }
    }

    /// Whether this store has never seen a sync.
    async fn is_new(&self) -> bool {
        let key = matrix_sdk::store::StateStoreDataKey::SyncToken;
        matches!(self.client.state_store().get_kv_data(key).await, Ok(None))
    }

    fn forget_updates(&self) {
        while self.last_update().is_some() {}
    }

    fn last_update(&self) -> Option<RoomUpdates> {
        self.updates.lock().unwrap_or_else(PoisonError::into_inner).try_recv().ok()
    }
}

/// Whether somebody else left a room in this update.
fn somebody_left(update: &JoinedRoomUpdate, own: &str) -> bool {
    let left = |json: &str| {
        let event: Value = serde_json::from_str(json).unwrap_or_default();
        event["type"] == "m.room.member"
            && event["state_key"] != own
            && (event["content"]["membership"] == "leave"
                || event["content"]["membership"] == "ban")
    };
    let state = match &update.state {
        matrix_sdk::sync::State::Before(events) | matrix_sdk::sync::State::After(events) => events,
    };
    update.timeline.events.iter().any(|event| left(event.raw().json().get()))
        || state.iter().any(|event| left(event.json().get()))
}

#[async_trait]
impl Session for MatrixSession {
    async fn wait(&self) -> Result<(), Fault> {
        if !self.reading.lock().await.early.is_empty() || self.is_due() {
            return Ok(());
        }
        // News that the SDK does not find, or keys that it cannot upload: without a
        // growing pause the server would be asked for ever.
        let stalled = self.position().stalled;
        if stalled > 0 {
            let wait = backoff::wait(stalled - 1, 0.0, None).min(LONGEST_STALL);
            tokio::time::sleep(wait).await;
        }
        loop {
            // A homeserver may keep its answer to a request for minutes and give it again
            // at once, so no request is made twice. Going on from the answer is safe: it
            // held no news, so there is nothing that the server could forget.
            let since = self.position().polled.clone();
            let started = Instant::now();
            let token = self.parts.login.access_token.expose();
            let answer = self
                .parts
                .rest
                .poll(token, &since, poll::FILTER, self.poll_limit())
                .await
                .map_err(|error| self.parts.rest.fault(&self.parts.spec.account, error))?;
            self.parts.report.synced();
            if poll::has_news(&answer) || self.is_due() {
                return Ok(());
            }
            if let Some(next) = answer["next_batch"].as_str() {
                self.position().polled = next.to_owned();
            }
            if started.elapsed() < SHORTEST_POLL {
                tokio::time::sleep(SHORTEST_POLL).await;
            }
            if self.position().last_use.elapsed() >= IDLE {
                self.hibernate().await;
            }
        }
    }

    async fn read(&self) -> Result<Vec<Message>, Fault> {
        self.read_news().await
    }

    async fn send(&self, answer: &Answer) -> Result<EventId, SendFault> {
        let passing = |fault: Fault| SendFault::Passing {
            detail: fault.to_string(),
            retry_after: fault.retry_after(),
        };
        let live = self.live().await.map_err(passing)?;
        self.position().last_use = Instant::now();
        let refused = |detail: &str| SendFault::Refused { detail: detail.to_owned() };
        let id = RoomId::parse(answer.room.as_str()).map_err(|_| refused("not a room id"))?;
        let room = live.client.get_room(&id).ok_or_else(|| refused("not in this room"))?;
        let sent = room
            .send_raw("m.room.message", content::answer(answer))
            .with_transaction_id(answer.transaction.as_str().into())
            .await
            .map_err(|error| errors::send_fault(&error))?;
        self.position().last_use = Instant::now();
        Ok(EventId::new(sent.response.event_id.as_str()))
    }

    async fn close(&self) {
        self.position().closed = true;
        let live = self.live.write().await.take();
        if let Some(live) = live {
            live.client.encryption().wait_for_e2ee_initialization_tasks().await;
        }
    }
}
