//! The trust ledger of an agent that runs: what the SDK's store shows of users
//! and their devices goes in, and what the core makes of it goes out again, as
//! the *local trust* that the SDK goes by when it shares room keys.
//!
//! In the modes `cross-signing` and `manual` the SDK shares with nobody but
//! those that are marked as trusted, so a device that nobody has looked at gets
//! nothing. In `tofu` it shares with everybody but those that are marked as
//! blocked; after every message into a room with somebody blocked in it, their
//! devices are looked at once more (see [`Ledger::was_too_open`]).
//!
//! The ledger in the journal is changed before anything is marked: after a kill
//! in between, the next life marks it.

mod log;
pub(crate) mod reach;
mod seen;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use launcher_core::{
    agent::AgentId,
    fault::Fault,
    fleet::Degradation,
    names::{DeviceId, UserId},
    spec::{AgentSpec, TrustMode},
    trust::{
        Assurance, Method, Order, Reconciled, Refusal, Sender, UnderWay, UserRecord, Verdict,
        carry_out, judge, judge_message, reconcile, verified,
    },
};
use launcher_runtime::{
    Report,
    ports::{journal::Journal, trust::TrustError},
    stamp,
};
use matrix_sdk::{
    Client, deserialized_responses::EncryptionInfo, encryption::identities::Device, ruma,
};
use matrix_sdk_base::crypto::LocalTrust;
use tokio::{sync::Mutex, time::Instant};

use crate::verification::refused;

/// The topic of [`Report::set_degraded`] for users whose identity changed
/// although they were verified.
const TRUST: &str = "trust";

/// Records that are kept in memory at most.
const REMEMBERED: usize = 1_000;

/// How long a member without devices counts as one: a bridge brings hundreds.
const SILENT_FOR: Duration = Duration::from_secs(3_600);

/// Users whom the server is asked about side by side.
const ASKED_AT_ONCE: usize = 8;

/// How long after a question about a user's devices the server is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// One agent's trust ledger.
pub(crate) struct Ledger {
    id: AgentId,
    mode: TrustMode,
    own: UserId,
    journal: Arc<dyn Journal>,
    report: Arc<Report>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Some of the records, as they are in the journal.
    known: BTreeMap<UserId, UserRecord>,
    /// When the server was asked about users of whom nothing was known.
    asked: BTreeMap<UserId, Instant>,
    /// When the server was last asked about members of rooms who had no devices.
    silent: BTreeMap<UserId, Instant>,
    /// Users who are blocked, or who have a device that is.
    blocked: BTreeSet<UserId>,
    /// Users who were verified and have another identity since.
    violated: BTreeSet<UserId>,
    /// Verifications that are under way, or were when a former life ended.
    under_way: BTreeMap<UserId, UnderWay>,
}

impl Ledger {
    /// Takes up the ledger as it is in the journal.
    pub(crate) async fn load(
        spec: &AgentSpec,
        journal: Arc<dyn Journal>,
        report: Arc<Report>,
    ) -> Result<Self, Fault> {
        let ledger = Self {
            id: spec.id.clone(),
            mode: spec.encryption.trust_mode,
            own: UserId::new(spec.account.user_id.clone()),
            journal,
            report,
            state: Mutex::default(),
        };
        let records = ledger.journal.trust_ledger().await?;
        let mut state = ledger.state.lock().await;
        for record in &records {
            state.note(record);
        }
        ledger.show(&state);
        drop(state);
        Ok(ledger)
    }

    /// Forgets what is in the journal anyway.
    pub(crate) async fn rest(&self) {
        let mut state = self.state.lock().await;
        state.known.clear();
        state.asked.clear();
    }

    /// Everybody in the ledger, by user id.
    pub(crate) async fn users(&self) -> Result<Vec<UserRecord>, Fault> {
        self.journal.trust_ledger().await
    }

    /// Brings the ledger up to what the SDK's store shows of everybody it
    /// follows, and of everybody in the ledger.
    pub(crate) async fn reconcile_all(&self, client: &Client) -> Result<(), Fault> {
        let tracked = client.encryption().tracked_users().await.map_err(store_failed)?;
        let mut users: BTreeSet<UserId> =
            tracked.iter().map(|user| UserId::new(user.as_str())).collect();
        users.extend(self.users().await?.into_iter().map(|record| record.user));
        for some in users.into_iter().collect::<Vec<_>>().chunks(REMEMBERED / 2) {
            self.reconcile(client, some).await?;
        }
        Ok(())
    }

    /// Brings the ledger up to what the SDK's store shows of these users;
    /// returns those about whom something is new.
    pub(crate) async fn reconcile(
        &self,
        client: &Client,
        users: &[UserId],
    ) -> Result<BTreeSet<UserId>, Fault> {
        let mut state = self.state.lock().await;
        self.reconcile_in(&mut state, client, users).await
    }

    async fn reconcile_in(
        &self,
        state: &mut State,
        client: &Client,
        users: &[UserId],
    ) -> Result<BTreeSet<UserId>, Fault> {
        self.recall(state, users).await?;
        let mut changed = Vec::new();
        let mut looked = Vec::new();
        for user in users {
            let Some(look) = seen::look(client, user).await? else { continue };
            let record = state.known.get(user);
            // Somebody of whom the store has nothing was never asked about in it, or is of no concern:
            // after the loss of a store nobody's devices are gone because of that.
            if look.user.devices.is_empty() && look.user.identity.is_none() {
                continue;
            }
            let Reconciled { record: fresh, findings } = reconcile(record, &look.user, stamp().0);
            if record != Some(&fresh) {
                changed.push((fresh.clone(), findings));
            }
            looked.push((fresh, look.devices));
        }
        let records: Vec<UserRecord> = changed.iter().map(|(record, _)| record.clone()).collect();
        if !records.is_empty() {
            self.journal.keep_trust(&records).await?;
        }
        log::findings(&changed);
        for (record, findings) in &changed {
            log::refused(self.mode, record, findings, record.user == self.own);
        }
        for record in &records {
            state.note(record);
            state.known.insert(record.user.clone(), record.clone());
        }
        if !records.is_empty() {
            self.show(state);
        }
        for (record, devices) in looked {
            self.mark(&record, devices).await?;
        }
        Ok(changed.into_iter().map(|(record, _)| record.user).collect())
    }

    /// Has these users' records in memory.
    async fn recall(&self, state: &mut State, users: &[UserId]) -> Result<(), Fault> {
        let missing: Vec<UserId> =
            users.iter().filter(|user| !state.known.contains_key(*user)).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        while state.known.len() + missing.len() > REMEMBERED && !state.known.is_empty() {
            state.known.pop_first();
        }
        // What was dropped may be among those that are needed.
        let needed: Vec<UserId> =
            users.iter().filter(|user| !state.known.contains_key(*user)).cloned().collect();
        for record in self.journal.trust_records(&needed).await? {
            state.known.insert(record.user.clone(), record);
        }
        Ok(())
    }

    /// Marks devices in the SDK's store by what the core makes of them.
    async fn mark(&self, record: &UserRecord, devices: Vec<Device>) -> Result<(), Fault> {
        let own = record.user == self.own;
        for device in devices {
            let Some(known) = record.devices.get(&DeviceId::new(device.device_id().as_str()))
            else {
                continue;
            };
            let by_signature = device.is_verified_with_cross_signing();
            let verdict = judge(self.mode, record, known, own);
            let wanted = match (own, verdict) {
                (true, Verdict::Refused(Refusal::Blocked)) => LocalTrust::BlackListed,
                // Never marked as trusted: such a device is given the account's secrets.
                (true, _) => LocalTrust::Unset,
                (false, verdict) => mark(self.mode, verdict, by_signature),
            };
            if device.local_trust_state() != wanted {
                device.set_local_trust(wanted).await.map_err(store_failed)?;
            }
        }
        Ok(())
    }

    /// Whether a message is acted upon, by who the encryption says has sent it;
    /// `None` for one that was sent in the clear.
    pub(crate) async fn judge_message(
        &self,
        client: &Client,
        sender: &UserId,
        info: Option<&EncryptionInfo>,
    ) -> Result<Result<Assurance, Refusal>, Fault> {
        let sender = std::slice::from_ref(sender);
        let look = async || {
            let mut state = self.state.lock().await;
            self.reconcile_in(&mut state, client, sender).await?;
            let record = state.known.get(&sender[0]);
            let verdict = match info {
                Some(info) => seen::judge(self.mode, record, info),
                None => judge_message(self.mode, record, Sender::InTheClear),
            };
            let ask = verdict == Err(Refusal::UnknownDevice) && state.may_ask(&sender[0]);
            Ok::<_, Fault>((verdict, ask))
        };
        let (verdict, unknown) = look().await?;
        if !unknown {
            return Ok(verdict);
        }
        ask(client, &sender[0]).await;
        Ok(look().await?.0)
    }

    /// Whether members of a room have to be looked at when something is sent there.
    pub(crate) async fn watches(&self) -> bool {
        self.mode != TrustMode::Tofu || !self.state.lock().await.blocked.is_empty()
    }

    /// Makes sure that the SDK shares a room's key with those of its members that
    /// may have it: to be called right before something is sent there.
    pub(crate) async fn prepare(&self, client: &Client, members: &[UserId]) -> Result<(), Fault> {
        let members = self.watched(members).await;
        for some in members.chunks(REMEMBERED / 2) {
            self.reconcile(client, some).await?;
            // A member who was loaded a moment ago: the SDK asks about them only when it sends.
            let unknown = self.unknown(some).await;
            if unknown.is_empty() {
                continue;
            }
            for few in unknown.chunks(ASKED_AT_ONCE) {
                let mut asking = FuturesUnordered::new();
                for user in few {
                    asking.push(ask(client, user));
                }
                while asking.next().await.is_some() {}
            }
            self.reconcile(client, &unknown).await?;
        }
        Ok(())
    }

    /// Those of these users of whom no device is known, and about whom the server
    /// was not asked lately.
    async fn unknown(&self, users: &[UserId]) -> Vec<UserId> {
        let mut state = self.state.lock().await;
        let has_device = |record: &UserRecord| record.devices.values().any(|d| d.gone.is_none());
        let mut unknown = Vec::new();
        for user in users.iter().filter(|user| **user != self.own) {
            let is_silent = state.silent.get(user).is_some_and(|then| then.elapsed() < SILENT_FOR);
            if !is_silent && !state.known.get(user).is_some_and(has_device) {
                unknown.push(user.clone());
            }
        }
        let now = Instant::now();
        if state.silent.len() > REMEMBERED * 10 {
            state.silent.clear();
        }
        for user in &unknown {
            state.silent.insert(user.clone(), now);
        }
        unknown
    }

    /// Whether something has become known of those who are looked at while
    /// something was sent: it may have gone to somebody who may not have it. Then
    /// the room's next message has to begin a new session.
    pub(crate) async fn was_too_open(
        &self,
        client: &Client,
        members: &[UserId],
    ) -> Result<bool, Fault> {
        let members = self.watched(members).await;
        let mut changed = false;
        for some in members.chunks(REMEMBERED / 2) {
            changed |= !self.reconcile(client, some).await?.is_empty();
        }
        Ok(changed)
    }

    /// Those who have to be looked at when something is sent.
    async fn watched(&self, members: &[UserId]) -> Vec<UserId> {
        let state = self.state.lock().await;
        let is_watched =
            |user: &&UserId| self.mode != TrustMode::Tofu || state.blocked.contains(*user);
        members.iter().filter(is_watched).cloned().collect()
    }

    /// Carries out what an operator says about a user.
    pub(crate) async fn decide(
        &self,
        client: &Client,
        user: &UserId,
        order: &Order,
    ) -> Result<UserRecord, TrustError> {
        let users = std::slice::from_ref(user);
        // Who was never met may be known to the server.
        if *order != Order::Block(None) && self.journal.trust_records(users).await?.is_empty() {
            ask(client, user).await;
        }
        let mut state = self.state.lock().await;
        self.reconcile_in(&mut state, client, users).await?;
        let now = stamp().0;
        let before =
            state.known.get(user).cloned().unwrap_or_else(|| UserRecord::new(user.clone(), now));
        let after = carry_out(&before, order, now)?;
        if *order == Order::Withdraw
            && let Some(identity) = seen::identity(client, user).await?
            && identity.was_previously_verified()
        {
            // Else the SDK goes on to complain about an identity that nobody holds on to.
            identity.withdraw_verification().await.map_err(store_failed)?;
        }
        self.keep(&mut state, client, after).await.map_err(TrustError::from)
    }

    /// Whether somebody may be verified at all: not if they are blocked.
    pub(crate) async fn begin_verifying(&self, user: &UserId) -> Result<(), TrustError> {
        let users = std::slice::from_ref(user);
        match self.journal.trust_records(users).await?.iter().any(UserRecord::is_blocked) {
            true => Err(refused(
                format!("{user} is blocked"),
                format!("`launcher trust {} withdraw {user}` first", self.id),
            )),
            false => Ok(()),
        }
    }

    /// Those of these users whose devices have to be let in, so that they can
    /// read what a verification takes.
    pub(crate) fn outsiders(&self, partners: impl Iterator<Item = UserId>) -> BTreeSet<UserId> {
        let is_outsider = |user: &UserId| self.mode != TrustMode::Tofu && *user != self.own;
        partners.filter(is_outsider).collect()
    }

    /// Lets the devices in that a user has signed, whatever the mode says; or
    /// puts them back to where they belong.
    pub(crate) async fn let_in(
        &self,
        client: &Client,
        user: &UserId,
        is_in: bool,
    ) -> Result<(), Fault> {
        let mut state = self.state.lock().await;
        self.reconcile_in(&mut state, client, std::slice::from_ref(user)).await?;
        if !is_in {
            return Ok(());
        }
        let Some(record) = state.known.get(user).filter(|record| !record.is_blocked()) else {
            return Ok(());
        };
        let Some(look) = seen::look(client, user).await? else { return Ok(()) };
        for device in look.devices {
            let id = DeviceId::new(device.device_id().as_str());
            let blocked = record.devices.get(&id).is_none_or(|device| device.is_blocked());
            if device.is_cross_signed_by_owner() && !blocked {
                device.set_local_trust(LocalTrust::Verified).await.map_err(store_failed)?;
            }
        }
        Ok(())
    }

    /// Verifications that a former life left.
    pub(crate) async fn under_way(&self) -> BTreeMap<UserId, UnderWay> {
        self.state.lock().await.under_way.clone()
    }

    /// Notes which verifications are under way, so that the next life can call
    /// them off.
    pub(crate) async fn note_under_way(
        &self,
        now: &BTreeMap<UserId, UnderWay>,
    ) -> Result<(), Fault> {
        let mut state = self.state.lock().await;
        let before = state.under_way.clone();
        let differs = |user: &&UserId| before.get(*user) != now.get(*user);
        let users: BTreeSet<&UserId> = before.keys().chain(now.keys()).filter(differs).collect();
        for user in users {
            self.recall(&mut state, std::slice::from_ref(user)).await?;
            let record = state.known.get(user).cloned();
            let mut record = record.unwrap_or_else(|| UserRecord::new(user.clone(), stamp().0));
            record.under_way = now.get(user).cloned();
            self.journal.keep_trust(std::slice::from_ref(&record)).await?;
            state.note(&record);
            state.known.insert(user.clone(), record);
        }
        Ok(())
    }

    /// Notes that an operator has just verified a user by this master key; whether
    /// that is still theirs.
    pub(crate) async fn set_verified(
        &self,
        client: &Client,
        user: &UserId,
        master_key: &str,
        method: Method,
    ) -> Result<bool, Fault> {
        let mut state = self.state.lock().await;
        self.reconcile_in(&mut state, client, std::slice::from_ref(user)).await?;
        let known = state.known.get(user);
        let Some(record) = known.and_then(|known| verified(known, master_key, method, stamp().0))
        else {
            return Ok(false);
        };
        self.keep(&mut state, client, record).await?;
        Ok(true)
    }

    /// Signs those whom an operator has verified and whose signature is not on
    /// the server: a kill can have come in between.
    pub(crate) async fn sign_verified(&self, client: &Client) -> Result<(), Fault> {
        for record in self.users().await? {
            // What another device of the account has found out is its own to sign.
            let by_us = record.verified.as_ref().is_some_and(|verified| verified.method.is_some());
            if !by_us || record.user == self.own || record.withdrawn.is_some() {
                continue;
            }
            let Some(identity) = seen::identity(client, &record.user).await? else { continue };
            let key = identity.master_key().get_first_key().map(|key| key.to_base64());
            if identity.is_verified() || key != record.master_key {
                continue;
            }
            if let Err(error) = identity.verify().await {
                tracing::warn!(user = %record.user, %error, "a verified user could not be signed");
            }
        }
        Ok(())
    }

    /// Notes that a user was told why they are not obeyed.
    pub(crate) async fn set_told(&self, user: &UserId) -> Result<(), Fault> {
        let mut state = self.state.lock().await;
        self.recall(&mut state, std::slice::from_ref(user)).await?;
        let now = stamp().0;
        let record =
            state.known.get(user).cloned().unwrap_or_else(|| UserRecord::new(user.clone(), now));
        let record = UserRecord { told: Some(now), ..record };
        self.journal.keep_trust(std::slice::from_ref(&record)).await?;
        state.known.insert(user.clone(), record);
        Ok(())
    }

    /// Whether a user was told why they are not obeyed.
    pub(crate) async fn is_told(&self, user: &UserId) -> Result<bool, Fault> {
        let mut state = self.state.lock().await;
        self.recall(&mut state, std::slice::from_ref(user)).await?;
        Ok(state.known.get(user).is_some_and(|record| record.told.is_some()))
    }

    /// Writes a record down, and marks the user's devices by it.
    async fn keep(
        &self,
        state: &mut State,
        client: &Client,
        record: UserRecord,
    ) -> Result<UserRecord, Fault> {
        self.journal.keep_trust(std::slice::from_ref(&record)).await?;
        state.note(&record);
        state.known.insert(record.user.clone(), record.clone());
        self.show(state);
        if let Some(look) = seen::look(client, &record.user).await? {
            self.mark(&record, look.devices).await?;
        }
        Ok(record)
    }

    /// Shows in `status` who was verified and has another identity since.
    fn show(&self, state: &State) {
        let found = state.violated.first().map(|user| Degradation {
            reason: match state.violated.len() {
                1 => format!("identity_changed: {user} was verified and has another identity now"),
                count => format!(
                    "identity_changed: {count} users who were verified have another identity now, \
                     {user} among them"
                ),
            },
            action: format!(
                "ask them whether they reset it; then run `launcher verify {id} --with {user}`, or \
                 `launcher trust {id} withdraw {user}`",
                id = self.id
            ),
        });
        self.report.set_degraded(TRUST, found);
    }
}

impl State {
    fn note(&mut self, record: &UserRecord) {
        let user = &record.user;
        let blocked = record.is_blocked() || record.devices.values().any(|d| d.is_blocked());
        put(&mut self.blocked, user, blocked);
        put(&mut self.violated, user, record.is_violated());
        match &record.under_way {
            Some(under_way) => drop(self.under_way.insert(user.clone(), under_way.clone())),
            None => drop(self.under_way.remove(user)),
        }
    }

    /// Whether the server may be asked about a user; if so, it counts as done.
    fn may_ask(&mut self, user: &UserId) -> bool {
        let now = Instant::now();
        self.asked.retain(|_, then| now.duration_since(*then) < ASK_AGAIN);
        let may = !self.asked.contains_key(user) && self.asked.len() < REMEMBERED;
        if may {
            self.asked.insert(user.clone(), now);
        }
        may
    }
}

fn put(set: &mut BTreeSet<UserId>, user: &UserId, is_in: bool) {
    match is_in {
        true => drop(set.insert(user.clone())),
        false => drop(set.remove(user)),
    }
}

/// What a device is marked as. `by_signature` says that the SDK trusts it
/// without any mark, because the agent's account has verified its owner.
fn mark(mode: TrustMode, verdict: Verdict, by_signature: bool) -> LocalTrust {
    match (mode, verdict) {
        (_, Verdict::Refused(Refusal::Blocked)) => LocalTrust::BlackListed,
        // Not marked, so that it does not get what only its owner's signature is good for.
        (TrustMode::Tofu, _) => LocalTrust::Unset,
        (_, Verdict::Trusted) if by_signature => LocalTrust::Unset,
        (_, Verdict::Trusted) => LocalTrust::Verified,
        (_, Verdict::Refused(_)) if by_signature => LocalTrust::BlackListed,
        (_, Verdict::Refused(_)) => LocalTrust::Unset,
    }
}

/// Asks the server about a user whose devices are not known. It may not know
/// them either, or be away: then what follows judges by what is known.
async fn ask(client: &Client, user: &UserId) {
    let Ok(id) = ruma::UserId::parse(user.as_str()) else { return };
    if let Err(error) = client.encryption().request_user_identity(&id).await {
        tracing::warn!(%user, %error, "asking for a user's devices failed");
    }
}

fn store_failed(error: impl std::fmt::Display) -> Fault {
    Fault::StoreFailed { detail: error.to_string() }
}
