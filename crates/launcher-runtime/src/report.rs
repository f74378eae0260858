//! What one agent tells about itself while it runs.

pub mod latency;
mod metrics;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use launcher_core::{agent::AgentId, fleet::Degradation, spec::Network, status::Standing};
use tokio::sync::watch;

pub use self::metrics::AgentMetrics;
use self::metrics::Counted;
use crate::ports::Session;

/// The topic of [`Report::set_degraded`] for a server that does not answer.
pub const SERVER: &str = "server";

/// The topic of [`Report::set_degraded`] for answers that do not get through.
pub const SENDING: &str = "sending";

/// The topic of [`Report::set_degraded`] for a behavior that fails.
pub const BEHAVIOR: &str = "behavior";

/// The topic of [`Report::set_degraded`] for a behavior's program that is not there.
pub const PROGRAM: &str = "program";

/// The topic of [`Report::set_degraded`] for a sync that makes no progress.
pub const PROGRESS: &str = "progress";

/// Counters and facts of one agent. They outlive restarts of its task.
#[derive(Default)]
pub struct Report {
    facts: Mutex<AccountFacts>,
    degradations: watch::Sender<BTreeMap<&'static str, Degradation>>,
    last_sync_ms: AtomicU64,
    received: AtomicU64,
    answered: AtomicU64,
    undecryptable: AtomicU64,
    undecryptable_pending: AtomicU64,
    last_decrypt_ms: AtomicU64,
    counted: Counted,
    session: watch::Sender<Option<Weak<dyn Session>>>,
}

/// What is known about the account an agent speaks as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountFacts {
    /// Where it is.
    pub network: Network,
    /// The account.
    pub user_id: Option<String>,
    /// The agent's device.
    pub device_id: Option<String>,
    /// The device's fingerprint key, base64.
    pub ed25519: Option<String>,
    /// Whether the account's owner has signed the device. On Messager nobody does.
    pub cross_signed: bool,
    /// The key backup in use.
    pub backup_version: Option<String>,
}

impl fmt::Debug for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Report").field("facts", &self.facts()).finish_non_exhaustive()
    }
}

impl Report {
    /// Notes the session that operators can ask; `None` before it is up, and from
    /// when it is told to end.
    pub fn set_session(&self, session: Option<&Arc<dyn Session>>) {
        self.session.send_replace(session.map(Arc::downgrade));
    }

    /// The session that operators can ask, if there is one. Whoever has it must
    /// not keep it beyond [`Report::let_go`]: it would outlive its agent.
    pub fn session(&self) -> Option<Arc<dyn Session>> {
        self.session.borrow().as_ref()?.upgrade()
    }

    /// Ends when operators cannot ask this session any more, because it is about
    /// to be closed.
    ///
    /// Cancel safe.
    pub async fn let_go(&self, session: &Arc<dyn Session>) {
        let own = Arc::downgrade(session);
        let is_over =
            |now: &Option<Weak<dyn Session>>| !now.as_ref().is_some_and(|now| now.ptr_eq(&own));
        let mut sessions = self.session.subscribe();
        // The other end lives as long as this report.
        drop(sessions.wait_for(is_over).await);
    }

    /// Replaces what is known about the account.
    pub fn set_facts(&self, facts: AccountFacts) {
        *self.facts.lock().unwrap_or_else(PoisonError::into_inner) = facts;
    }

    /// What is known about the account.
    pub fn facts(&self) -> AccountFacts {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that `topic` is not right, or right again.
    pub fn set_degraded(&self, topic: &'static str, found: Option<Degradation>) {
        self.degradations.send_if_modified(|all| match found {
            Some(found) => all.insert(topic, found.clone()).as_ref() != Some(&found),
            None => all.remove(topic).is_some(),
        });
    }

    /// Follows what is not right.
    pub fn degradations(&self) -> watch::Receiver<BTreeMap<&'static str, Degradation>> {
        self.degradations.subscribe()
    }

    /// Notes that the server just answered a sync, so it is well.
    pub fn synced(&self) {
        self.set_degraded(SERVER, None);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last_sync_ms.store(millis(now), Ordering::Relaxed);
    }

    /// Notes that an encrypted message was just read.
    pub fn decrypted(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last_decrypt_ms.store(millis(now), Ordering::Relaxed);
    }

    /// When the server last answered a sync, in milliseconds since 1970.
    pub fn last_sync_ms(&self) -> Option<u64> {
        Some(self.last_sync_ms.load(Ordering::Relaxed)).filter(|then| *then > 0)
    }

    /// When an encrypted message was last read, in milliseconds since 1970.
    pub fn last_decrypt_ms(&self) -> Option<u64> {
        Some(self.last_decrypt_ms.load(Ordering::Relaxed)).filter(|then| *then > 0)
    }

    /// How many events wait for their key.
    pub fn undecryptable_pending(&self) -> u64 {
        self.undecryptable_pending.load(Ordering::Relaxed)
    }

    /// Counts a message that calls for an answer.
    pub fn count_received(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an answer that the server accepted.
    pub fn count_answered(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an event that could not be decrypted when it arrived, and why.
    pub fn count_undecryptable(&self, cause: &'static str) {
        self.undecryptable.fetch_add(1, Ordering::Relaxed);
        self.counted.undecryptable(cause);
    }

    /// Counts a message that the server accepted, and how long that took.
    pub fn count_sent(&self, took: Duration) {
        self.counted.sent(took);
    }

    /// Notes how much is worked on or waits for its turn.
    pub fn set_queued(&self, count: usize) {
        self.counted.set_queued(count);
    }

    /// Notes how many one-time keys the server says it has for the device.
    pub fn set_one_time_keys(&self, count: u64) {
        self.counted.set_one_time_keys(count);
    }

    /// What monitoring is told besides [`Report::status`].
    pub fn metrics(&self) -> AgentMetrics {
        self.counted.snapshot()
    }

    /// Notes how many events wait for their key.
    pub fn set_undecryptable_pending(&self, count: usize) {
        self.undecryptable_pending.store(count as u64, Ordering::Relaxed);
    }

    /// Notes how often the agent became a new device.
    pub fn set_resets(&self, count: usize) {
        self.counted.set_resets(count as u64);
    }

    /// Everything, for `status`.
    pub fn status(&self, id: &AgentId, standing: Standing) -> AgentStatus {
        AgentStatus {
            id: id.clone(),
            standing,
            facts: self.facts(),
            last_sync_ms: self.last_sync_ms(),
            received: self.received.load(Ordering::Relaxed),
            answered: self.answered.load(Ordering::Relaxed),
            undecryptable: self.undecryptable.load(Ordering::Relaxed),
            undecryptable_pending: self.undecryptable_pending.load(Ordering::Relaxed),
            resets: self.counted.resets().unwrap_or_default(),
        }
    }
}

/// What an operator sees of one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentStatus {
    /// The agent.
    pub id: AgentId,
    /// Its state, why, and what helps.
    pub standing: Standing,
    /// Its account.
    pub facts: AccountFacts,
    /// When the server last answered a sync, in milliseconds since 1970.
    pub last_sync_ms: Option<u64>,
    /// Messages that called for an answer since the launcher started.
    pub received: u64,
    /// Answers that were accepted since the launcher started.
    pub answered: u64,
    /// Events that could not be decrypted on arrival since the launcher started.
    pub undecryptable: u64,
    /// Events that still wait for their key.
    pub undecryptable_pending: u64,
    /// Times the crypto store was replaced; zero until the agent has started.
    pub resets: u64,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
