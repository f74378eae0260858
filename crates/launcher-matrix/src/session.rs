//! A connected Matrix account.
//!
//! Waiting and reading are two things. Waiting is a bare long poll that needs
//! no client; reading is the SDK's `/sync` from the same position, which
//! returns at once. So a wait can be given up at any moment, and an agent that
//! has had nothing to do for a while lets its client and stores go until there
//! is news (it *hibernates*).

mod answers;
mod direct;
mod files;
mod life;
mod live;
mod outbox;
mod rooms;
mod sending;
mod trusting;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use launcher_core::{
    backoff,
    claim::Claim,
    conversation::Media,
    fault::Fault,
    fleet::Degradation,
    names::{EventId, RoomId, UserId},
    preflight::LocalAccount,
    spec::AgentSpec,
};
use launcher_runtime::{
    Report,
    ports::{
        Answer, Arrivals, FetchFault, Notice, SendFault, Session,
        journal::{Intake, Journal, Stamp},
        outbox::Outbox,
        rooms::{Invitation, Rooms},
        trust::Trust,
    },
    report::PROGRESS,
    serving::Serving,
    stamp,
    turns::Turns,
};
use matrix_sdk::{
    Client,
    config::SyncSettings,
    deserialized_responses::{TimelineEvent, TimelineEventKind},
    ruma::{
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
    sync::{Mutex, Notify, RwLock, RwLockReadGuard},
    time::Instant,
};
use tracing::{debug, error, warn};

use self::{
    answers::Uploads,
    life::Life,
    live::{Live, People},
    sending::Unfinished,
};
use crate::{
    aftermath, client, content, errors, feed,
    greetings::Greetings,
    invites::{self, Invites},
    lineage,
    login::{self, Login},
    notices::Notices,
    poll,
    preflight::VaultFile,
    reading::{self, Broken, News, Reader},
    rest::{Rest, RestError},
    store::{StorePlace, local_account},
    trust::Ledger,
    undecryptable::{Keys, Waiting},
    vault::Vault,
    verification::{Verifications, dangling::Requests},
};

/// How long one long poll lasts at most.
const POLL: Duration = Duration::from_secs(50);

/// How long an agent keeps its client without anything to do.
const IDLE: Duration = Duration::from_secs(60);

/// The longest pause after news that the SDK did not find.
const LONGEST_STALL: Duration = Duration::from_secs(30);

/// A server that has nothing to say and answers sooner does not wait as it was asked to.
const SHORTEST_POLL: Duration = Duration::from_secs(1);

/// Readings in a row that leave the position where it was, after which
/// `status` says so.
const STALLS_TO_SHOW: u32 = 3;

/// To-device events in one answer that mean that there may be more. Homeservers
/// give a hundred at a time, and keys that come later are needed now.
const MANY_TO_DEVICE: usize = 100;

/// How long after a refresh that failed it is tried again.
const REFRESH_AGAIN: Duration = Duration::from_secs(60);

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
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) notices: Arc<Notices>,
    /// Until when a device that is no more may have sent answers, in
    /// milliseconds since 1970.
    pub(crate) answered_until: Option<u64>,
    /// The life that was announced.
    pub(crate) claim: Claim,
}

/// A connected Matrix account.
pub(crate) struct MatrixSession {
    parts: Parts,
    live: RwLock<Option<Live>>,
    position: std::sync::Mutex<Position>,
    reading: Mutex<Reading>,
    ledger: Ledger,
    greetings: Greetings,
    /// The invitations that wait, once this life has looked at them.
    pending: std::sync::Mutex<Option<Vec<Invitation>>>,
    verifications: Verifications,
    /// Held for reading while something is sent; for writing by what must be
    /// sent alone.
    sending: RwLock<()>,
    /// Rooms in which something is sent.
    turns: Turns,
    /// Keys of messages that an operator has sent.
    keys: Turns,
    unfinished: Unfinished,
    uploads: Uploads,
    /// Held while a file is downloaded.
    fetching: Mutex<()>,
    serving: Serving,
    /// Whose messages are looked at again because an operator said something.
    hurried: std::sync::Mutex<BTreeSet<UserId>>,
    stirred: Notify,
    life: Mutex<Life>,
    login: std::sync::RwLock<Login>,
    /// What a send found out about the session itself.
    broken: std::sync::Mutex<Option<Fault>>,
    broke: Notify,
    conflict_shown: AtomicBool,
    /// Whether a sync was cut off in the middle.
    cut_off: AtomicBool,
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
    /// Whether the journal is not complete up to `since`.
    behind: bool,
}

/// What is carried from one reading to the next.
#[derive(Default)]
struct Reading {
    invites: Invites,
    waiting: Waiting,
    broken: Broken,
    /// The answer to the poll that found the news.
    found: Option<Value>,
    /// Whether this life has read what came after the journal's position.
    is_caught_up: bool,
}

impl MatrixSession {
    /// Takes over a client, and makes its first sync.
    ///
    /// What a first sync of all brings is history. After a restart, what was
    /// said in between is read from the journal's position by the first
    /// [`Session::read`].
    pub(crate) async fn start(parts: Parts, client: Client) -> Result<Self, Fault> {
        let journal = parts.journal.clone();
        let live = Live::new(client).await;
        let stored = client::stored_position(&live.client).await;
        let mut done = journal.position().await?;
        if let (None, Some(stored)) = (&done, &stored) {
            // A device from before there was a journal.
            let intake = Intake { position: Some(stored.clone()), ..Intake::default() };
            journal.ingest(intake).await?;
            done = Some(stored.clone());
        }
        let is_lost = done.is_some() && stored.is_none();
        let waiting = Waiting::load(&*journal, &parts.report).await?;
        let ledger = Ledger::load(&parts.spec, journal.clone(), parts.report.clone()).await?;
        let greetings = Greetings::load(journal.clone()).await?;
        let life = Mutex::new(Life { claim: parts.claim.clone(), objected_to: None });
        parts.report.set_degraded("one_time_keys", None);
        let session = Self {
            ledger,
            greetings,
            pending: std::sync::Mutex::default(),
            verifications: Verifications::default(),
            sending: RwLock::default(),
            turns: Turns::default(),
            keys: Turns::default(),
            unfinished: Unfinished::default(),
            uploads: Uploads::default(),
            fetching: Mutex::default(),
            serving: Serving::default(),
            hurried: std::sync::Mutex::default(),
            stirred: Notify::new(),
            life,
            login: std::sync::RwLock::new(parts.login.clone()),
            broken: std::sync::Mutex::default(),
            broke: Notify::new(),
            conflict_shown: AtomicBool::new(false),
            cut_off: AtomicBool::new(false),
            parts,
            live: RwLock::new(Some(live)),
            position: std::sync::Mutex::new(Position {
                since: stored.unwrap_or_default(),
                polled: String::new(),
                last_use: Instant::now(),
                stalled: 0,
                due: None,
                behind: false,
            }),
            reading: Mutex::new(Reading { waiting, ..Reading::default() }),
        };
        let live = session.live().await?;
        let (updates, _) = session.sync(&live).await?;
        session.parts.report.synced();
        if is_lost {
            aftermath::ask_for_devices(&live.client).await;
        }
        // What an operator decided while nobody ran the agent holds from the first message on.
        session.ledger.reconcile_all(&live.client).await?;
        session.call_off_leftovers(&live.client).await?;
        session.ledger.sign_verified(&live.client).await?;
        session.follow_verifications(&live, &updates).await?;
        if session.verifications.is_busy().await {
            session.stir();
        }
        let since = session.position().since.clone();
        let position = done.is_none().then(|| since.clone());
        let encrypted_rooms = reading::encrypted_rooms(&live.client).collect();
        journal.ingest(Intake { position, encrypted_rooms, ..Intake::default() }).await?;
        {
            let due = session.reading.lock().await.waiting.next_due(None);
            let mut position = session.position();
            position.behind = done.is_some_and(|done| done != since);
            position.due = due.map(instant);
            // What was not accepted may be by now: the policy can be another one.
            if !live.client.invited_rooms().is_empty() {
                position.due = Some(Instant::now());
            }
        }
        drop(live);
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
        if self.serving.is_closing() {
            return Err(Fault::StoreFailed { detail: "the session is closed".to_owned() });
        }
        if live.is_none() {
            let parts = &self.parts;
            let device = &parts.login.device_id;
            if !parts.place.exists() {
                return Err(gone(device));
            }
            parts.place.check_key()?;
            let crypto = parts.place.open_crypto().await?;
            let local = local_account(&parts.place, &crypto).await?;
            let known = parts.report.facts().ed25519;
            let same = matches!(&local, LocalAccount::Present { keys, .. } if Some(&keys.ed25519) == known.as_ref());
            if !same {
                return Err(gone(device));
            }
            let http = parts.http.clone();
            let built =
                client::build(&parts.spec, http, &parts.place, crypto, &self.login()).await?;
            // A state store that is gone would begin anew, and take history for news.
            if client::stored_position(&built).await.as_ref() != Some(&self.position().since) {
                return Err(Fault::StoreFailed {
                    detail: "the state store is not the one that was closed".to_owned(),
                });
            }
            debug!("woke up");
            *live = Some(Live::new(built).await);
        }
        Ok(())
    }

    /// Lets the client and its stores go.
    async fn hibernate(&self) {
        if self.verifications.is_busy().await {
            return;
        }
        // Whoever sends or reads holds the lock for reading; then it is not idle.
        let Ok(mut live) = self.live.try_write() else { return };
        if let Some(live) = live.take() {
            live.client.encryption().wait_for_e2ee_initialization_tasks().await;
            drop(live);
            self.ledger.rest().await;
            self.parts.journal.rest().await;
            debug!("hibernating");
        }
    }

    /// The session as it is now; its token may have been refreshed.
    fn login(&self) -> Login {
        self.login.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Exchanges a token that expires soon. The new one is in the vault before
    /// it is used; the client is built again with it.
    async fn refresh_if_due(&self) {
        if self.login().refresh_at.is_none_or(|then| then > stamp().0) {
            return;
        }
        let later = |wait: Duration| Some(stamp().plus(wait).0);
        let login = match self.exchange().await {
            Ok(Some(login)) => login,
            // Used until the server refuses it; then the password logs in again.
            Ok(None) => Login { refresh_at: None, ..self.login() },
            Err(fault) => {
                warn!(%fault, "refreshing the session failed; it is still good");
                Login { refresh_at: later(REFRESH_AGAIN), ..self.login() }
            }
        };
        let is_new = login.access_token != self.login().access_token;
        self.set_login(login);
        if is_new {
            self.abandon_verifications().await;
            // Whoever uses the client now uses it with the old token, which stays good.
            let mut guard = self.live.write().await;
            self.abandon_verifications().await;
            if let Some(live) = guard.take() {
                live.client.encryption().wait_for_e2ee_initialization_tasks().await;
            }
        }
    }

    /// Calls off what is under way: its client goes away.
    async fn abandon_verifications(&self) {
        let untold = self.verifications.abandon().await;
        if let Err(fault) = self.ledger.note_under_way(&untold).await {
            warn!(%fault, "it was not written down which verifications have to be called off");
        }
    }

    /// Gets a new token, and keeps it in the vault.
    async fn exchange(&self) -> Result<Option<Login>, Fault> {
        let Ok(mut vault) = VaultFile::open(&self.parts.spec) else { return Ok(None) };
        let mut content = std::mem::take(&mut vault.content);
        let (spec, rest) = (&self.parts.spec, &self.parts.rest);
        let keep = |content: &Vault| vault.keep_as(content);
        match content.refresh_token {
            Some(_) => login::refresh(spec, rest, &mut content, keep).await,
            None => login::prolong(spec, rest, &mut content, keep).await,
        }
    }

    fn set_login(&self, login: Login) {
        *self.login.write().unwrap_or_else(PoisonError::into_inner) = login;
    }

    fn position(&self) -> std::sync::MutexGuard<'_, Position> {
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read_news(&self) -> Result<Arrivals, Fault> {
        let live = self.live().await?;
        let mut guard = self.reading.lock().await;
        let reading = &mut *guard;
        let parts = &self.parts;
        let done = parts.journal.position().await?.unwrap_or_default();
        let login = self.login();
        let reader = Reader {
            client: &live.client,
            rest: &parts.rest,
            token: login.access_token.expose(),
            spec: &parts.spec,
            journal: &*parts.journal,
            report: &parts.report,
            notices: &parts.notices,
            ledger: &self.ledger,
            done: &done,
        };
        // Whatever fails from here on: the next reading begins at the journal's position.
        let behind =
            std::mem::replace(&mut self.position().behind, true) || self.position().since != done;
        let found = reading.found.take();
        let raw = match behind {
            true => reader.fetch().await?,
            false => found.as_ref().map(feed::timelines).unwrap_or_default(),
        };
        for stretch in raw.values() {
            let own = &parts.spec.account.user_id;
            if let Some(event) =
                lineage::foreign(stretch.events.iter(), own, &*parts.journal).await?
            {
                // The next start finds out what it means.
                return Err(Fault::StoreFailed {
                    detail: format!("this device sent {event}, and these files do not know of it"),
                });
            }
        }
        let (updates, keys) = self.sync(&live).await?;
        parts.report.synced();
        let people = self.follow_people(&live, &mut reading.waiting).await?;
        self.follow_verifications(&live, &updates).await?;
        let mut hurried = std::mem::take(&mut *self.lock_hurried());
        reading.waiting.decided(&hurried);
        let everybody = people == People::Anybody;
        if let People::Some(users) = people {
            hurried.extend(users);
        }
        self.show_stall(found.is_some());
        for (room, update) in updates.iter().flat_map(|update| &update.joined) {
            let leaves = parts.spec.invites.auto_leave_empty;
            if leaves && somebody_left(update, &parts.spec.account.user_id) {
                invites::leave_if_alone(&live.client, &parts.rest, &self.token(), room).await;
            }
        }
        let mut rooms = invites::rooms_of(&updates);
        // Somebody else's sync may have brought the change.
        rooms.extend(raw.keys().map(|room| RoomId::new(room.as_str())));
        let news = News {
            raw,
            raw_is_complete: behind,
            updates,
            position: self.position().since.clone(),
            keys: Some(keys),
            ..News::default()
        };
        let mut requests = Requests::of(&parts.spec.account.user_id, &login.device_id);
        let Reading { waiting, broken, .. } = reading;
        let mut arrivals = match reader.read(news, waiting, broken, &mut requests).await {
            Ok(arrivals) => arrivals,
            Err(fault) => {
                // What was changed in memory is not in the journal, so it did not happen.
                reading.waiting = Waiting::load(&*parts.journal, &parts.report).await?;
                return Err(fault);
            }
        };
        let is_first = !std::mem::replace(&mut reading.is_caught_up, true);
        if is_first {
            self.call_off_dangling(&live.client, requests).await;
        }
        self.answer_invitations(&live, reading).await?;
        let greetings =
            self.due_greetings(&live.client, &rooms, &hurried, is_first || everybody).await?;
        arrivals.notices.extend(greetings);
        let retry = reading.waiting.next_due(parts.spec.undecryptable.notice_after).map(instant);
        let late = self.verifications.next_end(parts.spec.verification.timeout).await.map(instant);
        let mut position = self.position();
        position.due = reading.invites.next_try().into_iter().chain(retry).chain(late).min();
        position.behind = false;
        position.last_use = Instant::now();
        Ok(arrivals)
    }

    /// Brings the trust ledger up to date. Messages of those about whom something
    /// is new are looked at again. Returns who that is.
    async fn follow_people(&self, live: &Live, waiting: &mut Waiting) -> Result<People, Fault> {
        let people = live.changed_people();
        match &people {
            People::Some(users) => {
                let all: Vec<UserId> = users.iter().cloned().collect();
                let changed = self.ledger.reconcile(&live.client, &all).await?;
                // Somebody else may have seen first that something is new about them.
                waiting.hurry(users);
                waiting.decided(&changed);
            }
            People::Anybody => {
                self.ledger.reconcile_all(&live.client).await?;
                waiting.hurry_all();
            }
        }
        Ok(people)
    }

    /// The SDK's `/sync`, which returns at once, until it has all that the
    /// server has for this device; and the keys that came with it.
    async fn sync(&self, live: &Live) -> Result<(Vec<RoomUpdates>, Keys), Fault> {
        let mut updates = Vec::new();
        let mut keys = live.received_keys();
        loop {
            let (update, more) = self.sync_once(live).await?;
            updates.push(update);
            keys = keys.and(live.received_keys());
            if !more {
                return Ok((updates, keys));
            }
        }
    }

    async fn sync_once(&self, live: &Live) -> Result<(RoomUpdates, bool), Fault> {
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
        let synced = self.confiding(&live.client, None, live.client.sync_once(settings)).await?;
        match synced {
            Ok(answer) => {
                self.on_synced(answer.next_batch);
                for event in &answer.to_device {
                    let event = serde_json::from_str(event.to_raw().json().get());
                    if let Some((sender, flow)) =
                        trusting::to_device_request(&event.unwrap_or_default())
                    {
                        self.on_request(&live.client, &sender, &flow).await;
                    }
                }
                self.look_for_conflict(live).await;
                for event in &answer.account_data {
                    let event = serde_json::from_str(event.json().get()).unwrap_or_default();
                    self.on_account_data(&event).await?;
                }
                Ok((answer.rooms, answer.to_device.len() >= MANY_TO_DEVICE))
            }
            // One malformed event makes the SDK give up after it has stored the position:
            // everything it decrypted would be lost, if it were not announced before.
            Err(matrix_sdk::Error::SerdeJson(error)) => {
                warn!(%error, "the server sent a malformed event");
                let failed = || Fault::StoreFailed { detail: error.to_string() };
                let update = live.last_update().ok_or_else(failed)?;
                self.on_synced(client::stored_position(&live.client).await.ok_or_else(failed)?);
                Ok((update, false))
            }
            Err(error) => Err(errors::fault(&self.parts.spec.account, &error)),
        }
    }

    /// Shows in `status` if the server has one-time keys of this device that
    /// the store does not know: who takes one of them writes what nobody can read.
    async fn look_for_conflict(&self, live: &Live) {
        if !live.has_key_conflict().await || self.conflict_shown.swap(true, Ordering::Relaxed) {
            return;
        }
        error!(
            event = "otk_conflict",
            "the server has other one-time keys for this device than the crypto store"
        );
        self.parts.report.set_degraded(
            "one_time_keys",
            Some(Degradation {
                reason: "otk_conflict: the server has other one-time keys for this device than \
                         the crypto store; some people cannot reach the agent"
                    .to_owned(),
                action: format!(
                    "run `launcher reset {}`: the agent becomes a new device",
                    self.parts.spec.id
                ),
            }),
        );
    }

    fn on_synced(&self, next_batch: String) {
        let mut position = self.position();
        let stalled = position.since == next_batch;
        position.stalled = if stalled { position.stalled.saturating_add(1) } else { 0 };
        position.polled.clone_from(&next_batch);
        position.since = next_batch;
    }

    /// Ends the wait for news: there is something to read again.
    fn stir(&self) {
        self.stirred.notify_one();
    }

    fn lock_hurried(&self) -> std::sync::MutexGuard<'_, BTreeSet<UserId>> {
        self.hurried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows in `status` if there was news again and again, and nothing came of it.
    fn show_stall(&self, was_news: bool) {
        let mut position = self.position();
        if !was_news {
            position.stalled = 0;
        }
        let shown = (position.stalled >= STALLS_TO_SHOW).then(|| Degradation {
            reason: "sync_stalled: the server announces news and then has none, again and again"
                .to_owned(),
            action: "look at the homeserver's log; the agent keeps trying".to_owned(),
        });
        self.parts.report.set_degraded(PROGRESS, shown);
    }

    /// Waits until there may be something to read.
    async fn wait_for_news(&self) -> Result<(), Fault> {
        if self.position().behind || self.is_due() {
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
            self.refresh_if_due().await;
            let login = self.login();
            let token = login.access_token.expose();
            let filter = poll::filter(poll::EVENTS[0]);
            let answer = match self.parts.rest.poll(token, &since, &filter, self.poll_limit()).await
            {
                Ok(answer) => answer,
                // That much is news; the SDK and the journal fetch it in parts.
                Err(RestError::TooLarge) => return Ok(()),
                Err(error) => return Err(self.parts.rest.fault(&self.parts.spec.account, error)),
            };
            self.parts.report.synced();
            if let Some(count) = poll::one_time_keys(&answer) {
                self.parts.report.set_one_time_keys(count);
            }
            for event in poll::account_data(&answer) {
                self.on_account_data(event).await?;
            }
            if poll::has_news(&answer) {
                self.reading.lock().await.found = Some(answer);
                return Ok(());
            }
            if self.is_due() {
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
        let refresh = self.login().refresh_at.map(|then| instant(Stamp(then)));
        let next = position.due.into_iter().chain(idle).chain(refresh).min();
        next.map_or(POLL, |next| next.saturating_duration_since(now).min(POLL))
    }
}

/// The client, for as long as somebody uses it.
type LiveGuard<'a> = RwLockReadGuard<'a, Live>;

/// The store is not the one that was closed. The next start finds out what it is.
fn gone(device: &str) -> Fault {
    Fault::StoreFailed { detail: format!("the store of device {device} is gone or another one") }
}

/// The instant of a moment on the wall clock.
fn instant(moment: Stamp) -> Instant {
    Instant::now() + moment.since(stamp())
}

/// Whether somebody else left a room in this update.
fn somebody_left(update: &JoinedRoomUpdate, own: &str) -> bool {
    let left = |json: &str| {
        let event: Value = serde_json::from_str(json).unwrap_or_default();
        // What is encrypted can say what it wants; only the clear is a membership.
        event["type"] == "m.room.member"
            && event["state_key"] != own
            && (event["content"]["membership"] == "leave"
                || event["content"]["membership"] == "ban")
    };
    let state = match &update.state {
        matrix_sdk::sync::State::Before(events) | matrix_sdk::sync::State::After(events) => events,
    };
    let clear = |event: &&TimelineEvent| matches!(event.kind, TimelineEventKind::PlainText { .. });
    update.timeline.events.iter().filter(clear).any(|event| left(event.raw().json().get()))
        || state.iter().any(|event| left(event.json().get()))
}

#[async_trait]
impl Session for MatrixSession {
    fn own(&self) -> UserId {
        UserId::new(self.parts.spec.account.user_id.clone())
    }

    async fn wait(&self) -> Result<(), Fault> {
        self.check_broken()?;
        tokio::select! {
            biased;
            () = self.broke.notified() => self.check_broken(),
            () = self.stirred.notified() => Ok(()),
            news = self.wait_for_news() => news,
        }
    }

    async fn read(&self) -> Result<Arrivals, Fault> {
        self.read_news().await
    }

    async fn send(&self, answer: &Answer) -> Result<EventId, SendFault> {
        self.send_answer(answer).await
    }

    async fn send_notice(&self, notice: &Notice) -> Result<EventId, SendFault> {
        self.send_note(notice).await
    }

    async fn fetch(&self, media: &Media, limit: u64) -> Result<Vec<u8>, FetchFault> {
        self.fetch_file(media, limit).await
    }

    async fn typing(&self, room: &RoomId, is_at_work: bool) {
        self.show_typing(room, is_at_work).await;
    }

    fn parts(&self, text: &str) -> Vec<String> {
        content::parts(text)
    }

    async fn close(&self) {
        self.serving.close().await;
        let live = {
            let mut guard = self.live.write().await;
            self.abandon_verifications().await;
            guard.take()
        };
        if let Some(live) = live {
            live.client.encryption().wait_for_e2ee_initialization_tasks().await;
        }
    }

    fn trust(&self) -> Option<&dyn Trust> {
        Some(self)
    }

    fn outbox(&self) -> Option<&dyn Outbox> {
        Some(self)
    }

    fn is_whole(&self) -> bool {
        self.unfinished.is_empty() && !self.cut_off.load(Ordering::SeqCst)
    }

    fn rooms(&self) -> Option<&dyn Rooms> {
        Some(self)
    }
}
