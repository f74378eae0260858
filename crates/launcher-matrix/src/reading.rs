//! From what the server sent to what the journal takes in.
//!
//! The SDK stores its position before anybody has seen what it read. So the
//! journal has a position of its own, up to which it is complete, and whatever
//! lies between the two is asked of the server a second time and decrypted
//! then. That happens after every start and after every reading that failed
//! half way.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use launcher_core::{
    conversation::{Message, MessageKind as Kind, concerns},
    fault::Fault,
    names::{RoomId, UserId},
    spec::AgentSpec,
    trust::{Assurance, Refusal},
    undecryptable::Cause,
};
use launcher_runtime::{
    Report,
    ports::{
        Arrivals, Notice, PassedOver,
        journal::{Ciphertext, Heard, Intake, Journal, Locked},
    },
    stamp,
};
use matrix_sdk::{
    Client, Room, RoomState,
    deserialized_responses::{
        EncryptionInfo, TimelineEvent, TimelineEventKind, UnableToDecryptInfo, VerificationLevel,
        VerificationState,
    },
    ruma,
    sync::{JoinedRoomUpdate, RoomUpdates},
};
use serde_json::Value;
use tracing::{debug, info, warn};

use crate::{
    decrypting, feed,
    notices::{self, Notices},
    poll,
    rest::{Rest, RestError},
    timeline,
    trust::Ledger,
    undecryptable::{self, Keys, Waiting},
    verification::dangling::Requests,
};

/// Pages of a hundred events that are fetched to fill one gap, at most.
pub(crate) const MOST_PAGES: usize = 20;

/// What a reading needs.
pub(crate) struct Reader<'a> {
    pub(crate) client: &'a Client,
    pub(crate) rest: &'a Rest,
    pub(crate) token: &'a str,
    pub(crate) spec: &'a AgentSpec,
    pub(crate) journal: &'a dyn Journal,
    pub(crate) report: &'a Report,
    pub(crate) notices: &'a Notices,
    pub(crate) ledger: &'a Ledger,
    /// The position up to which the journal is complete.
    pub(crate) done: &'a str,
}

/// What the server said, twice: raw and through the SDK.
#[derive(Default)]
pub(crate) struct News {
    /// The timelines as they were sent.
    pub(crate) raw: BTreeMap<String, feed::Stretch>,
    /// Whether `raw` begins at the journal's position. If not, the SDK's does.
    pub(crate) raw_is_complete: bool,
    /// What the SDK made of them, one for each of its syncs.
    pub(crate) updates: Vec<RoomUpdates>,
    /// How many those were.
    pub(crate) syncs: usize,
    /// The position after all of it.
    pub(crate) position: String,
    /// The sessions whose keys arrived.
    pub(crate) keys: Option<Keys>,
}

/// A time to wait that no request of the last minutes had. A homeserver may
/// give the answer to the same request again for two minutes.
pub(crate) fn unlike_before() -> Duration {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // Where this process begins is a matter of the clock, so that it differs from the last one.
    static BEGIN: OnceLock<u64> = OnceLock::new();
    let begin = BEGIN.get_or_init(|| stamp().0);
    Duration::from_millis(1 + (begin + count) % 499)
}

/// What is carried from one reading to the next about rooms whose past cannot be read.
#[derive(Debug, Default)]
pub(crate) struct Broken(BTreeMap<String, u32>);

/// How often a gap is tried to be filled before it is passed over.
const GAP_TRIES: u32 = 3;

/// One event, as far as it could be opened.
struct Seen {
    id: String,
    json: Value,
    lock: Lock,
    /// The event as the server sent it, if it was opened from that.
    source: Option<Value>,
}

enum Lock {
    /// It was sent in the clear.
    None,
    /// It was encrypted and is open.
    Opened(Box<EncryptionInfo>),
    /// Its key is missing.
    Locked(UnableToDecryptInfo),
}

impl Reader<'_> {
    /// Asks for everything since the journal's position again.
    pub(crate) async fn fetch(&self) -> Result<BTreeMap<String, feed::Stretch>, Fault> {
        let mut limits = poll::EVENTS.into_iter();
        loop {
            let filter = poll::filter(limits.next().unwrap_or(1));
            let asked = self.rest.poll(self.token, self.done, &filter, unlike_before()).await;
            match asked {
                Ok(answer) => return Ok(feed::timelines(&answer)),
                Err(RestError::TooLarge) if limits.len() > 0 => {}
                Err(error) => return Err(self.rest.fault(&self.spec.account, error)),
            }
        }
    }

    /// Makes of the news what the journal takes in.
    pub(crate) async fn read(
        &self,
        mut news: News,
        waiting: &mut Waiting,
        broken: &mut Broken,
        requests: &mut Requests<'_>,
    ) -> Result<Arrivals, Fault> {
        let mut arrivals = Arrivals::default();
        arrivals.intake.position = Some(std::mem::take(&mut news.position));
        let keys = news.keys.take().unwrap_or(Keys::Unknown);
        let mut originals = Originals::new(&news);
        let mut updates: BTreeMap<String, Vec<Part>> = BTreeMap::new();
        news.syncs = news.updates.len();
        for update in std::mem::take(&mut news.updates) {
            for (room, joined) in update.joined {
                updates.entry(room.to_string()).or_default().push(Part::new(joined));
            }
        }
        let rooms: BTreeSet<String> = news.raw.keys().chain(updates.keys()).cloned().collect();
        // What waits from before was said before all this.
        self.retry(&keys, waiting, &mut arrivals).await?;
        let full = waiting.full();
        for id in rooms {
            let Ok(parsed) = ruma::RoomId::parse(&id) else { continue };
            let Some(room) = self.client.get_room(&parsed) else { continue };
            if room.state() != RoomState::Joined {
                continue;
            }
            let raw = news.raw.remove(&id).unwrap_or_default();
            let parts = updates.remove(&id).unwrap_or_default();
            let complete = news.raw_is_complete;
            let again = news.syncs > 1;
            let past = Past { broken: &mut *broken, passed_over: &mut arrivals.passed_over };
            let seen =
                self.gather(&room, raw, complete, parts, again, &mut originals, past).await?;
            for seen in &seen {
                requests.add(&RoomId::new(&id), &seen.json);
            }
            self.take_in(&room, seen, &mut originals, &full, &mut arrivals).await?;
        }
        self.note_encrypted(&mut arrivals.intake).await?;
        waiting.add(arrivals.intake.locked.iter().map(|(locked, _)| locked.clone()), self.report);
        self.add_hints(waiting, &mut arrivals.notices).await?;
        arrivals.notices.extend(self.due_notices(waiting).await?);
        Ok(arrivals)
    }

    /// All events of a room since the journal's position, once each, in order.
    #[expect(
        clippy::too_many_arguments,
        reason = "the two sources and what they are compared with"
    )]
    async fn gather(
        &self,
        room: &Room,
        raw: feed::Stretch,
        raw_is_complete: bool,
        parts: Vec<Part>,
        again: bool,
        originals: &mut Originals,
        mut past: Past<'_>,
    ) -> Result<Vec<Seen>, Fault> {
        let mut opened: BTreeMap<String, TimelineEvent> = BTreeMap::new();
        let mut order: Vec<Value> = Vec::new();
        let mut known: BTreeSet<String> = BTreeSet::new();
        if raw_is_complete {
            if let Some(gap) = raw.gap {
                self.fill(room, &gap, &mut order, &mut known, &mut past).await?;
            }
            add_all(raw.events, &mut order, &mut known);
        }
        for part in parts {
            if let Some(gap) = part.gap {
                self.fill(room, &gap, &mut order, &mut known, &mut past).await?;
            }
            let mut events = Vec::new();
            for event in part.events {
                let json: Value =
                    serde_json::from_str(event.raw().json().get()).unwrap_or_default();
                if let Some(id) = feed::event_id(&json) {
                    opened.insert(id.to_owned(), event);
                    events.push(json);
                }
            }
            add_all(events, &mut order, &mut known);
        }
        // Only what was sent in the clear is a join: what is encrypted can say what it wants.
        let user = &self.spec.account.user_id;
        let from = order.iter().rposition(|event| {
            let event_was = feed::event_id(event).and_then(|id| opened.get(id));
            let was_encrypted = event_was
                .is_some_and(|event| matches!(event.kind, TimelineEventKind::Decrypted(_)));
            timeline::is_join(event, user) && !was_encrypted
        });
        let mut seen = Vec::new();
        for json in order.into_iter().skip(from.map_or(0, |position| position + 1)) {
            originals.add(&json);
            let Some(id) = feed::event_id(&json).map(ToOwned::to_owned) else { continue };
            let (event, source) = match opened.remove(&id) {
                Some(event) => match &event.kind {
                    // The key may have come with a later one of several syncs.
                    TimelineEventKind::UnableToDecrypt { .. } if again => {
                        (self.open(room, &json).await?.or(Some(event)), Some(json))
                    }
                    _ => (Some(event), None),
                },
                None if !feed::is_encrypted(&json) => {
                    seen.push(Seen { id, json, lock: Lock::None, source: None });
                    continue;
                }
                None => (self.open(room, &json).await?, Some(json)),
            };
            seen.extend(event.and_then(|event| Seen::new(id, event, source)));
        }
        Ok(seen)
    }

    /// Decrypts an event that the server sent; `None` if it is malformed.
    async fn open(&self, room: &Room, json: &Value) -> Result<Option<TimelineEvent>, Fault> {
        match decrypting::open(room, json).await {
            Ok(event) => Ok(Some(event)),
            Err(
                error @ (matrix_sdk::Error::CryptoStoreError(_) | matrix_sdk::Error::NoOlmMachine),
            ) => Err(Fault::StoreFailed { detail: error.to_string() }),
            Err(_) => {
                let event_id = feed::event_id(json);
                warn!(event = "undecryptable", room = %room.room_id(), event_id, reason = "malformed", "a message cannot be decrypted");
                self.report.count_undecryptable("malformed");
                Ok(None)
            }
        }
    }

    /// Fetches what is missing before a timeline, back to the journal's
    /// position, the agent's own join, what is too old, or the limit.
    async fn fill(
        &self,
        room: &Room,
        gap: &str,
        order: &mut Vec<Value>,
        known: &mut BTreeSet<String>,
        past: &mut Past<'_>,
    ) -> Result<(), Fault> {
        let passed_over = &mut *past.passed_over;
        let mut found: Vec<Value> = Vec::new();
        let mut from = Some(gap.to_owned());
        let mut pages = 0;
        'pages: while let Some(position) = from.take() {
            if pages == MOST_PAGES {
                passed_over.more = true;
                break;
            }
            pages += 1;
            let id = room.room_id().as_str();
            let asked = self.rest.messages(self.token, id, Some(&position), Some(self.done)).await;
            let page = match asked {
                Ok(page) => page,
                Err(error) if past.broken.is_hopeless(id, &error) => {
                    warn!(room = id, %error, "what was said here meanwhile cannot be read; passed over");
                    passed_over.more = true;
                    break;
                }
                Err(error) => return Err(self.rest.fault(&self.spec.account, error)),
            };
            let last = page.events.is_empty();
            let mut fresh = 0;
            for event in page.events {
                if feed::event_id(&event).is_some_and(|id| known.contains(id)) {
                    break 'pages;
                }
                let joined = timeline::is_join(&event, &self.spec.account.user_id);
                match self.is_too_old(&event) {
                    true => passed_over.count += 1,
                    false => {
                        fresh += 1;
                        found.push(event);
                    }
                }
                // What stands before the join is history.
                if joined {
                    break 'pages;
                }
            }
            if last {
                break;
            }
            // One old event alone says nothing: a bridge can date its events back.
            if fresh == 0 {
                passed_over.more |= page.next.is_some();
                break;
            }
            from = page.next;
        }
        past.broken.forget(room.room_id().as_str());
        debug!(room = %room.room_id(), events = found.len(), pages, "filled a gap");
        found.reverse();
        add_all(found, order, known);
        Ok(())
    }

    fn is_too_old(&self, event: &Value) -> bool {
        event["state_key"].is_null()
            && event["sender"] != self.spec.account.user_id.as_str()
            && timeline::age(event) > self.spec.catch_up.max_age
    }

    /// Sorts a room's events into messages and locked ones.
    async fn take_in(
        &self,
        room: &Room,
        seen: Vec<Seen>,
        originals: &mut Originals,
        full: &BTreeSet<UserId>,
        arrivals: &mut Arrivals,
    ) -> Result<(), Fault> {
        let id = RoomId::new(room.room_id().as_str());
        let now = stamp();
        let own = self.spec.account.user_id.as_str();
        for Seen { id: event_id, json, lock, source } in seen {
            if json["sender"] == own {
                continue;
            }
            let history = feed::is_history(&json);
            match lock {
                Lock::Locked(info) if undecryptable::is_forged(&info.reason) => {
                    warn_forged(&id, &event_id);
                }
                Lock::Locked(_) if history => {}
                Lock::Locked(info) => {
                    if let Some(locked) = undecryptable::lock(&id, &json, &info, now, self.report) {
                        // What is damaged or too old for an answer need not be kept.
                        let fresh = timeline::age(&json) <= self.spec.catch_up.max_age;
                        if fresh && locked.cause.can_heal() {
                            arrivals.intake.locked.push((locked, json.to_string()));
                        }
                    }
                }
                Lock::Opened(info) if is_forged(&info) => warn_forged(&id, &event_id),
                Lock::Opened(info) => {
                    self.report.decrypted();
                    let Some(message) = message(room, &json, true) else { continue };
                    let wanted = !history && self.is_wanted(&message);
                    if !wanted {
                        // What is never answered needs no protection against a replay.
                        if let Some(ciphertext) = originals.ciphertext(&event_id) {
                            let (ciphertext, wanted) = (Some(ciphertext), !history);
                            arrivals.intake.heard.push(Heard {
                                message,
                                ciphertext,
                                wanted,
                                verdict: None,
                            });
                        }
                        continue;
                    }
                    // What is judged is what is acted upon: the event as it was sent.
                    let found = match source {
                        Some(source) => Some((message, *info, source)),
                        None => self.original_message(room, &event_id, originals).await?,
                    };
                    let Some((message, info, source)) = found else { continue };
                    let Some(ciphertext) = feed::ciphertext(&source) else { continue };
                    match self.judge(&message.sender, Some(&info)).await? {
                        Ok(assurance) => {
                            let message = Message { assurance, ..message };
                            let ciphertext = Some(ciphertext);
                            arrivals.intake.heard.push(Heard {
                                message,
                                ciphertext,
                                wanted,
                                verdict: None,
                            });
                        }
                        Err(refusal) => {
                            let session = info.session_id().map(ToOwned::to_owned);
                            self.refuse(&id, &source, session, refusal, full, arrivals);
                        }
                    }
                }
                Lock::None => {
                    let Some(message) = message(room, &json, false) else { continue };
                    if !history && self.is_wanted(&message) {
                        let judged = self.judge(&message.sender, None).await?;
                        if let Err(refusal) = judged {
                            // Nobody can react in another way, so nobody is told.
                            if !matches!(message.kind, Kind::Reaction | Kind::Redaction) {
                                self.refuse(&id, &json, None, refusal, full, arrivals);
                            }
                            continue;
                        }
                    }
                    arrivals.intake.heard.push(Heard {
                        message,
                        ciphertext: None,
                        wanted: !history,
                        verdict: None,
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether a message is acted upon.
    async fn judge(
        &self,
        sender: &UserId,
        info: Option<&EncryptionInfo>,
    ) -> Result<Result<Assurance, Refusal>, Fault> {
        self.ledger.judge_message(self.client, sender, info).await
    }

    /// Keeps a message that is not acted upon, if that can change: as it was sent,
    /// so that it is decrypted and judged anew.
    fn refuse(
        &self,
        room: &RoomId,
        source: &Value,
        session: Option<String>,
        refusal: Refusal,
        full: &BTreeSet<UserId>,
        arrivals: &mut Arrivals,
    ) {
        let refused = undecryptable::refuse(room, source, session, refusal, stamp());
        let Some(locked) = refused else { return };
        if timeline::age(source) > self.spec.catch_up.max_age {
            return;
        }
        match refusal.can_heal() && !full.contains(&locked.sender) {
            true => arrivals.intake.locked.push((locked, source.to_string())),
            false => arrivals.notices.extend(notices::hint(&locked, refusal)),
        }
    }

    /// A message, who the encryption says has sent it, and the event that both are
    /// from, as the server gives it. The SDK's own reading of it may be of another: a server
    /// can tell different things in different answers.
    async fn original_message(
        &self,
        room: &Room,
        event: &str,
        originals: &mut Originals,
    ) -> Result<Option<(Message, EncryptionInfo, Value)>, Fault> {
        let id = room.room_id().as_str();
        if !originals.contains(event) && !originals.fetched {
            originals.fetched = true;
            for stretch in self.fetch().await?.into_values() {
                stretch.events.iter().for_each(|event| originals.add(event));
            }
        }
        if !originals.contains(event) {
            match self.rest.event(self.token, id, event).await {
                Ok(json) => originals.add(&json),
                Err(error) if error.is_absence() => {}
                Err(error) => return Err(self.rest.fault(&self.spec.account, error)),
            }
        }
        let Some(json) = originals.get(event).cloned() else {
            warn!(
                room = id,
                event_id = event,
                "the server does not give the message as it was sent; not answered"
            );
            return Ok(None);
        };
        let Some(opened) = self.open(room, &json).await? else { return Ok(None) };
        match Seen::new(event.to_owned(), opened, None) {
            Some(Seen { json: opened, lock: Lock::Opened(info), .. }) if !is_forged(&info) => {
                let message = message(room, &opened, true);
                let wanted = message.filter(|message| self.is_wanted(message));
                Ok(wanted.map(|message| (message, *info, json)))
            }
            _ => {
                warn_forged(&RoomId::new(id), event);
                Ok(None)
            }
        }
    }

    /// Tries what waits for its key again.
    async fn retry(
        &self,
        keys: &Keys,
        waiting: &mut Waiting,
        arrivals: &mut Arrivals,
    ) -> Result<(), Fault> {
        let intake = &mut arrivals.intake;
        let now = stamp();
        for mut locked in waiting.take_due(keys, now) {
            if now.since(locked.sent) > self.spec.catch_up.max_age {
                info!(event = "stale_skipped", count = 1, room = %locked.room, event_id = %locked.event, "a message waited longer than catch_up.max_age");
                intake.unlocked.push(locked.event);
                continue;
            }
            match self.try_again(&locked).await? {
                Tried::Opened(heard) => {
                    let why = match locked.cause {
                        Cause::SenderNotTrusted(_) => "its sender is trusted now",
                        _ => "its key arrived",
                    };
                    info!(event = "decrypted_late", room = %locked.room, event_id = %locked.event, why, "a message that waited is taken up");
                    intake.heard.extend(heard.map(|heard| *heard));
                    intake.unlocked.push(locked.event);
                }
                Tried::Gone => intake.unlocked.push(locked.event),
                Tried::Refused(refusal) => {
                    info!(event = "message_refused", room = %locked.room, event_id = %locked.event, code = refusal.code(), reason = %refusal, "a message is not acted upon");
                    arrivals.notices.extend(notices::hint(&locked, refusal));
                    intake.unlocked.push(locked.event);
                }
                Tried::InVain(cause) => {
                    locked.tries += 1;
                    if let Some(cause) = cause {
                        locked.cause = cause;
                    }
                    let next = undecryptable::next_try(&locked, self.spec.catch_up.max_age, now);
                    locked.next_try = next;
                    self.journal.postpone(&locked).await?;
                    waiting.update(&locked);
                }
            }
        }
        waiting.remove(&intake.unlocked, self.report);
        Ok(())
    }

    async fn try_again(&self, locked: &Locked) -> Result<Tried, Fault> {
        let Some(json) = self.journal.locked_event(&locked.event).await? else {
            return Ok(Tried::Gone);
        };
        let Ok(json) = serde_json::from_str::<Value>(&json) else { return Ok(Tried::Gone) };
        let Ok(id) = ruma::RoomId::parse(locked.room.as_str()) else { return Ok(Tried::Gone) };
        let Some(room) = self.client.get_room(&id) else { return Ok(Tried::InVain(None)) };
        let Some(event) = self.open(&room, &json).await? else { return Ok(Tried::Gone) };
        let (opened, info) = match Seen::new(locked.event.as_str().to_owned(), event, None) {
            Some(Seen { json, lock: Lock::Opened(info), .. }) if !is_forged(&info) => (json, info),
            Some(Seen { lock: Lock::Locked(info), .. })
                if !undecryptable::is_forged(&info.reason) =>
            {
                return Ok(Tried::InVain(Some(undecryptable::cause(&info.reason))));
            }
            _ => {
                warn_forged(&locked.room, locked.event.as_str());
                return Ok(Tried::Gone);
            }
        };
        let mut message = message(&room, &opened, true);
        if let Some(message) = &mut message {
            message.age = stamp().since(locked.sent);
        }
        if let Some(message) = &mut message
            && self.is_wanted(message)
        {
            match self.judge(&message.sender, Some(&info)).await? {
                Ok(assurance) => message.assurance = assurance,
                Err(refusal) if refusal.can_heal() => {
                    return Ok(Tried::InVain(Some(Cause::SenderNotTrusted(refusal))));
                }
                Err(refusal) => return Ok(Tried::Refused(refusal)),
            }
        }
        let ciphertext = feed::ciphertext(&json);
        let wanted = ciphertext.is_some();
        let heard = message.map(|message| Heard { message, ciphertext, wanted, verdict: None });
        Ok(Tried::Opened(heard.map(Box::new)))
    }

    fn own(&self) -> UserId {
        UserId::new(self.spec.account.user_id.clone())
    }

    /// Whether the agent does anything with a message.
    fn is_wanted(&self, message: &Message) -> bool {
        concerns(self.spec, &self.own(), message).is_ok()
    }

    /// Finds the rooms that are encrypted, so that nothing is ever sent there in the clear.
    async fn note_encrypted(&self, intake: &mut Intake) -> Result<(), Fault> {
        let seen = intake
            .heard
            .iter()
            .filter(|heard| heard.ciphertext.is_some())
            .map(|heard| heard.message.room.clone())
            .chain(intake.locked.iter().map(|(locked, _)| locked.room.clone()))
            .chain(encrypted_rooms(self.client));
        let rooms: BTreeSet<RoomId> = seen.collect();
        for room in rooms {
            if !self.journal.was_encrypted(&room).await? {
                intake.encrypted_rooms.push(room);
            }
        }
        Ok(())
    }

    /// Adds what those have to be told who are not obeyed, and leaves out those
    /// who were told before.
    async fn add_hints(
        &self,
        waiting: &mut Waiting,
        notices: &mut Vec<Notice>,
    ) -> Result<(), Fault> {
        let mut hints = std::mem::take(notices);
        hints
            .extend(waiting.refused().iter().filter_map(|(event, why)| notices::hint(event, *why)));
        for hint in hints {
            let is_first = !waiting.is_hinted(&hint.sender);
            if is_first && !self.ledger.is_told(&hint.sender).await? {
                if !waiting.may_tell(&hint.room, stamp()) {
                    continue;
                }
                waiting.set_hinted(&hint.sender);
                notices.push(hint);
            }
        }
        Ok(())
    }

    /// What this agent has to tell people about missing keys now.
    async fn due_notices(&self, waiting: &mut Waiting) -> Result<Vec<Notice>, Fault> {
        let Some(grace) = self.spec.undecryptable.notice_after else { return Ok(Vec::new()) };
        let agent = UserId::new(self.spec.account.user_id.clone());
        let mut found = Vec::new();
        for event in waiting.to_notice(grace, stamp()) {
            waiting.set_noticed(&event);
            let told = !self.notices.claim(&event, &agent)
                || !waiting.may_tell(&event.room, stamp())
                || notices::is_told(self.client, self.rest, self.token, &event).await;
            if told {
                self.journal.noticed(&event.room, &undecryptable::key_of(&event)).await?;
            } else {
                found.push(notices::notice(&event));
            }
        }
        Ok(found)
    }
}

enum Tried {
    Opened(Option<Box<Heard>>),
    InVain(Option<Cause>),
    /// It is readable, and its sender will not be obeyed.
    Refused(Refusal),
    Gone,
}

impl Seen {
    fn new(id: String, event: TimelineEvent, source: Option<Value>) -> Option<Self> {
        let (json, lock) = match event.kind {
            TimelineEventKind::Decrypted(event) => (
                event.event.json().get().to_owned(),
                Lock::Opened(Box::new((*event.encryption_info).clone())),
            ),
            TimelineEventKind::UnableToDecrypt { event, utd_info } => {
                (event.json().get().to_owned(), Lock::Locked(utd_info))
            }
            TimelineEventKind::PlainText { event } => (event.json().get().to_owned(), Lock::None),
        };
        Some(Self { id, json: serde_json::from_str(&json).ok()?, lock, source })
    }
}

/// The message in an event of a room, if it is one. `encrypted` says that the
/// event was, and is open now.
fn message(room: &Room, event: &Value, encrypted: bool) -> Option<Message> {
    let found = timeline::message(room.room_id().as_str(), event)?;
    let direct = room.active_members_count() <= 2;
    let message = Message { direct, ..found };
    if encrypted { timeline::of_encrypted(message) } else { Some(message) }
}

/// The rooms that the SDK knows to be encrypted.
pub(crate) fn encrypted_rooms(client: &Client) -> impl Iterator<Item = RoomId> {
    client
        .joined_rooms()
        .into_iter()
        .filter(|room| room.encryption_state().is_encrypted())
        .map(|room| RoomId::new(room.room_id().as_str()))
}

/// Whether the event claims a sender that its session does not belong to. The
/// SDK lets that through where unverified devices are obeyed.
fn is_forged(info: &EncryptionInfo) -> bool {
    info.verification_state == VerificationState::Unverified(VerificationLevel::MismatchedSender)
}

fn warn_forged(room: &RoomId, event_id: &str) {
    warn!(event = "duplicate_ignored", %room, event_id, why = "OtherSender", "a message claims a sender that its session does not belong to; it is not acted upon");
}

/// Appends events that are not there yet.
fn add_all(events: Vec<Value>, order: &mut Vec<Value>, known: &mut BTreeSet<String>) {
    for event in events {
        if feed::event_id(&event).is_some_and(|id| known.insert(id.to_owned())) {
            order.push(event);
        }
    }
}

/// Encrypted events as they were sent, by id.
#[derive(Default)]
struct Originals {
    events: BTreeMap<String, Value>,
    /// Whether everything since the journal's position is in here.
    fetched: bool,
}

impl Originals {
    fn new(news: &News) -> Self {
        let mut originals = Self { fetched: news.raw_is_complete, ..Self::default() };
        for event in news.raw.values().flat_map(|stretch| &stretch.events) {
            originals.add(event);
        }
        originals
    }

    fn add(&mut self, event: &Value) {
        if let Some(id) = feed::event_id(event).filter(|_| feed::is_encrypted(event)) {
            self.events.entry(id.to_owned()).or_insert_with(|| event.clone());
        }
    }

    fn contains(&self, event: &str) -> bool {
        self.events.contains_key(event)
    }

    fn get(&self, event: &str) -> Option<&Value> {
        self.events.get(event)
    }

    fn ciphertext(&self, event: &str) -> Option<Ciphertext> {
        self.get(event).and_then(feed::ciphertext)
    }
}

/// What happens about the past of rooms.
struct Past<'a> {
    broken: &'a mut Broken,
    passed_over: &'a mut PassedOver,
}

impl Broken {
    /// Counts that a room's past could not be read; whether to give up on it.
    fn is_hopeless(&mut self, room: &str, error: &RestError) -> bool {
        if error.is_absence() {
            return true;
        }
        let failures = self.0.entry(room.to_owned()).or_default();
        *failures += u32::from(error.is_answer());
        *failures >= GAP_TRIES
    }

    fn forget(&mut self, room: &str) {
        self.0.remove(room);
    }
}

/// What one of the SDK's syncs brought for a room.
struct Part {
    events: Vec<TimelineEvent>,
    gap: Option<String>,
}

impl Part {
    fn new(update: JoinedRoomUpdate) -> Self {
        let timeline = update.timeline;
        let gap = feed::gap(timeline.limited, timeline.prev_batch.as_deref());
        Self { events: timeline.events, gap }
    }
}
