//! Every request, in memory and as lines of a file.

use std::{
    io::Write,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{Outcome, Request, owners::Renamed};
use crate::TestbedError;

/// The requests of a tap.
#[derive(Debug)]
pub(super) struct Log {
    started: Instant,
    entries: Mutex<Entries>,
    changed: Condvar,
    file: Option<Mutex<fs_err::File>>,
}

#[derive(Debug, Default)]
struct Entries {
    requests: Vec<Arc<Request>>,
    /// How often anything has changed.
    changes: u64,
    /// How often that was the name of an owner, also of requests that are over.
    renames: u64,
}

impl Log {
    pub(super) fn new(file: Option<&Path>) -> Result<Self, TestbedError> {
        let file = file.map(fs_err::File::create).transpose().map_err(TestbedError::files)?;
        Ok(Self {
            started: Instant::now(),
            entries: Mutex::default(),
            changed: Condvar::new(),
            file: file.map(Mutex::new),
        })
    }

    /// Enters a request and gives it its number and its time.
    pub(super) fn begin(&self, request: &mut Request) {
        let mut entries = self.lock();
        request.number = entries.requests.len() as u64 + 1;
        request.started = self.started.elapsed();
        entries.requests.push(Arc::new(request.clone()));
        self.tell(entries);
    }

    /// Enters what has become known of a request.
    pub(super) fn update(&self, request: &Request) {
        let kept = Arc::new(kept(request));
        let mut entries = self.lock();
        if let Some(entry) = entries.requests.get_mut(index(request.number - 1)) {
            *entry = kept;
        }
        self.tell(entries);
    }

    /// Enters how a request ended, also into the file.
    pub(super) fn finish(&self, request: &mut Request, outcome: Outcome) {
        request.outcome = outcome;
        request.ended = Some(self.started.elapsed());
        self.update(request);
        if let Some(file) = &self.file {
            let line = kept(request).to_line();
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            // A full disk is seen soon enough; the requests are in memory too.
            drop(writeln!(file, "{line}"));
        }
    }

    /// Corrects the owner of what was entered before it was known.
    pub(super) fn rename_owner(&self, Renamed { from, to }: &Renamed) {
        let mut entries = self.lock();
        for request in &mut entries.requests {
            if request.owner.as_ref() == Some(from) {
                Arc::make_mut(request).owner = Some(to.clone());
            }
        }
        entries.renames += 1;
        self.tell(entries);
    }

    pub(super) fn len(&self) -> u64 {
        self.lock().requests.len() as u64
    }

    /// The requests after the first `mark`.
    pub(super) fn since(&self, mark: u64) -> Vec<Arc<Request>> {
        self.lock().since(mark).to_vec()
    }

    /// Waits for a request after the first `mark` for which `wanted` holds.
    ///
    /// Asks again about those that are open whenever something changes, and
    /// about all when an owner got another name. A long log costs nothing.
    pub(super) fn wait_for(
        &self,
        mark: u64,
        wanted: impl Fn(&Request) -> bool,
        timeout: Duration,
    ) -> Result<Arc<Request>, TestbedError> {
        let deadline = Instant::now() + timeout;
        let (mut open, mut asked, mut renames) = (Vec::<u64>::new(), mark, 0);
        loop {
            let entries = self.lock();
            if entries.renames != renames {
                (open, asked, renames) = (Vec::new(), mark, entries.renames);
            }
            let earlier = open.iter().filter_map(|number| entries.requests.get(index(number - 1)));
            let candidates: Vec<Arc<Request>> =
                earlier.chain(entries.since(asked)).cloned().collect();
            let changes = entries.changes;
            asked = asked.max(entries.requests.len() as u64);
            // Asked without the lock, so that a slow predicate holds up nobody.
            drop(entries);
            if let Some(found) = candidates.iter().find(|request| wanted(request)) {
                return Ok(Arc::clone(found));
            }
            open = candidates
                .iter()
                .filter(|request| !request.is_finished())
                .map(|request| request.number)
                .collect();

            let left = deadline.saturating_duration_since(Instant::now());
            let (entries, waited) = self
                .changed
                .wait_timeout_while(self.lock(), left, |entries| entries.changes == changes)
                .unwrap_or_else(PoisonError::into_inner);
            if waited.timed_out() {
                return Err(in_vain(entries.since(mark), timeout));
            }
        }
    }

    fn tell(&self, mut entries: MutexGuard<'_, Entries>) {
        entries.changes += 1;
        drop(entries);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn since(&self, mark: u64) -> &[Arc<Request>] {
        self.requests.get(index(mark)..).unwrap_or_default()
    }
}

/// A request with as much of its answer as the log keeps.
fn kept(request: &Request) -> Request {
    Request { response: request.response.kept(), ..request.clone() }
}

/// A number of a request, counted from 0, as a place in memory.
fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn in_vain(requests: &[Arc<Request>], timeout: Duration) -> TestbedError {
    /// How many requests an error names.
    const NAMED: usize = 10;
    let last = &requests[requests.len().saturating_sub(NAMED)..];
    let last: Vec<String> = last.iter().map(|request| format!("\n  {request}")).collect();
    let message = format!(
        "no such request within {timeout:?}; the last of {} were:{}",
        requests.len(),
        last.concat()
    );
    TestbedError::TimedOut { user: super::NAME.to_owned(), message }
}
