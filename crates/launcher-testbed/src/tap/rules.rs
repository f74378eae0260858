//! The rules of a tap and how often each was applied.

use std::{
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Action, Matcher, Point, Request};
use crate::TestbedError;

/// The rules, in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Rules {
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    rules: Vec<Arc<Entry>>,
    added: u64,
}

/// One rule with its counters.
#[derive(Debug)]
pub(super) struct Entry {
    number: u64,
    matcher: Matcher,
    pub(super) action: Action,
    matched: Mutex<usize>,
    hits: Mutex<usize>,
    hit: Condvar,
}

impl Rules {
    pub(super) fn add(self: &Arc<Self>, matcher: Matcher, action: Action) -> Rule {
        let mut list = self.list();
        list.added += 1;
        let entry = Arc::new(Entry {
            number: list.added,
            matcher,
            action,
            matched: Mutex::default(),
            hits: Mutex::default(),
            hit: Condvar::new(),
        });
        list.rules.push(Arc::clone(&entry));
        Rule { entry, rules: Arc::clone(self), kept: false }
    }

    /// The rules that act at this point.
    pub(super) fn at(&self, point: Point) -> Vec<Arc<Entry>> {
        self.list().rules.iter().filter(|entry| entry.point() == point).cloned().collect()
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Whether the rule is to be applied to this request. Counts.
    pub(super) fn applies_to(&self, request: &Request) -> bool {
        if !self.matcher.holds(request) {
            return false;
        }
        let mut matched = lock(&self.matched);
        let before = *matched;
        *matched += 1;
        self.matcher.takes(before)
    }

    /// Tells those who wait that the rule was applied.
    pub(super) fn count_hit(&self) {
        *lock(&self.hits) += 1;
        self.hit.notify_all();
    }

    fn point(&self) -> Point {
        match self.action.point() {
            Point::BeforeForwarding if self.matcher.needs_response() => Point::AfterResponse,
            point => point,
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.number, self.action)
    }
}

/// A rule of a tap, which is removed when this is dropped.
///
/// What has begun goes on: a request that is held stays held until its gate is
/// opened.
#[derive(Debug)]
#[must_use = "the rule is removed when this is dropped"]
pub struct Rule {
    entry: Arc<Entry>,
    rules: Arc<Rules>,
    kept: bool,
}

impl Rule {
    /// How often the rule was applied.
    ///
    /// A hook counts when it has returned, anything else when it begins: a
    /// request that is held was counted.
    pub fn hits(&self) -> usize {
        *lock(&self.entry.hits)
    }

    /// Waits until the rule was applied at least `n` times.
    ///
    /// # Errors
    ///
    /// [`TestbedError::TimedOut`].
    pub fn wait_for_hits(&self, n: usize, timeout: Duration) -> Result<(), TestbedError> {
        let hits = lock(&self.entry.hits);
        let (hits, waited) = self
            .entry
            .hit
            .wait_timeout_while(hits, timeout, |hits| *hits < n)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            let message = format!("rule {} was applied {hits} times, not {n}", self.entry);
            return Err(TestbedError::TimedOut { user: super::NAME.to_owned(), message });
        }
        Ok(())
    }

    /// Removes the rule, as dropping does.
    pub fn remove(self) {}

    /// Leaves the rule in place until the tap ends.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Rule {
    fn drop(&mut self) {
        if !self.kept {
            self.rules.list().rules.retain(|entry| !Arc::ptr_eq(entry, &self.entry));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
