//! What monitoring is told of one agent besides its status.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::latency::Latency;

/// Counted while an agent works; all since the launcher started.
#[derive(Debug, Default)]
pub(super) struct Counted {
    undecryptable: Mutex<BTreeMap<&'static str, u64>>,
    sent: AtomicU64,
    latency: Mutex<Latency>,
    queued: AtomicU64,
    /// These two: one more than the number, so that zero is "nobody knows".
    one_time_keys: AtomicU64,
    resets: AtomicU64,
}

/// What `Counted` has at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AgentMetrics {
    /// Events that could not be decrypted on arrival, by cause.
    pub undecryptable: BTreeMap<&'static str, u64>,
    /// Messages of all kinds that the server accepted.
    pub sent: u64,
    /// How long the server and the sharing of keys took for those.
    pub send_latency: Latency,
    /// Messages and notices that are worked on or wait for their turn.
    pub queued: u64,
    /// One-time keys that the server has for the device, as it last said.
    pub one_time_keys: Option<u64>,
    /// How often the agent became a new device, once that was looked up.
    pub resets: Option<u64>,
}

impl Counted {
    pub(super) fn undecryptable(&self, cause: &'static str) {
        let mut counts = self.undecryptable.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(cause).or_default() += 1;
    }

    pub(super) fn sent(&self, took: Duration) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.latency.lock().unwrap_or_else(PoisonError::into_inner).observe(took);
    }

    pub(super) fn set_queued(&self, count: usize) {
        self.queued.store(count as u64, Ordering::Relaxed);
    }

    pub(super) fn set_one_time_keys(&self, count: u64) {
        self.one_time_keys.store(count.saturating_add(1), Ordering::Relaxed);
    }

    pub(super) fn set_resets(&self, count: u64) {
        self.resets.store(count.saturating_add(1), Ordering::Relaxed);
    }

    pub(super) fn resets(&self) -> Option<u64> {
        self.resets.load(Ordering::Relaxed).checked_sub(1)
    }

    pub(super) fn snapshot(&self) -> AgentMetrics {
        let undecryptable = self.undecryptable.lock().unwrap_or_else(PoisonError::into_inner);
        let latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        AgentMetrics {
            undecryptable: undecryptable.clone(),
            sent: self.sent.load(Ordering::Relaxed),
            send_latency: latency.clone(),
            queued: self.queued.load(Ordering::Relaxed),
            one_time_keys: self.one_time_keys.load(Ordering::Relaxed).checked_sub(1),
            resets: self.resets(),
        }
    }
}
