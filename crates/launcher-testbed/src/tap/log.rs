//! Every request, in memory and as lines of a file.

use std::{
    collections::HashSet,
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
    requests: Mutex<Vec<Arc<Request>>>,
    changed: Condvar,
    file: Option<Mutex<fs_err::File>>,
}

impl Log {
    pub(super) fn new(file: Option<&Path>) -> Result<Self, TestbedError> {
        let file = file.map(fs_err::File::create).transpose().map_err(TestbedError::files)?;
        Ok(Self {
            started: Instant::now(),
            requests: Mutex::default(),
            changed: Condvar::new(),
            file: file.map(Mutex::new),
        })
    }

    /// Enters a request and gives it its number and its time.
    pub(super) fn begin(&self, request: &mut Request) {
        let mut requests = self.lock();
        request.number = requests.len() as u64 + 1;
        request.started = self.started.elapsed();
        requests.push(Arc::new(request.clone()));
        self.changed.notify_all();
    }

    /// Enters what has become known of a request.
    pub(super) fn update(&self, request: &Request) {
        let kept = Arc::new(Request { response: request.response.kept(), ..request.clone() });
        let mut requests = self.lock();
        if let Some(entry) = index(request.number).and_then(|index| requests.get_mut(index)) {
            *entry = kept;
            self.changed.notify_all();
        }
    }

    /// Enters how a request ended, also into the file.
    pub(super) fn finish(&self, request: &mut Request, outcome: Outcome) {
        request.outcome = outcome;
        request.ended = Some(self.started.elapsed());
        self.update(request);
        if let Some(file) = &self.file {
            let line = Request { response: request.response.kept(), ..request.clone() }.to_line();
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            // A full disk is seen soon enough; the requests are in memory too.
            drop(writeln!(file, "{line}"));
        }
    }

    /// Corrects the owner of what was entered before it was known.
    pub(super) fn rename_owner(&self, Renamed { from, to }: &Renamed) {
        for request in self.lock().iter_mut() {
            if request.owner.as_ref() == Some(from) {
                Arc::make_mut(request).owner = Some(to.clone());
            }
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.lock().len() as u64
    }

    /// The requests after the first `mark`.
    pub(super) fn since(&self, mark: u64) -> Vec<Arc<Request>> {
        since(&self.lock(), mark)
    }

    /// Waits for a request after the first `mark` for which `wanted` holds.
    ///
    /// Asks again whenever a request changes, and never about one that is over
    /// and was no match.
    pub(super) fn wait_for(
        &self,
        mark: u64,
        wanted: impl Fn(&Request) -> bool,
        timeout: Duration,
    ) -> Result<Arc<Request>, TestbedError> {
        let deadline = Instant::now() + timeout;
        let mut refused = HashSet::new();
        loop {
            // Asked without the lock, so that a slow predicate holds up nobody.
            let requests = self.since(mark);
            for request in &requests {
                if refused.contains(&request.number) {
                    continue;
                }
                if wanted(request) {
                    return Ok(Arc::clone(request));
                }
                if request.is_finished() {
                    refused.insert(request.number);
                }
            }
            let guard = self.lock();
            let is_same = |now: &[Arc<Request>]| {
                now.len() == requests.len()
                    && now.iter().zip(&requests).all(|(now, then)| Arc::ptr_eq(now, then))
            };
            let left = deadline.saturating_duration_since(Instant::now());
            let (_guard, waited) = self
                .changed
                .wait_timeout_while(guard, left, |now| is_same(&since(now, mark)))
                .unwrap_or_else(PoisonError::into_inner);
            if waited.timed_out() {
                return Err(in_vain(&requests, timeout));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Request>>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn since(requests: &[Arc<Request>], mark: u64) -> Vec<Arc<Request>> {
    let mark = usize::try_from(mark).unwrap_or(usize::MAX);
    requests.get(mark..).unwrap_or_default().to_vec()
}

fn index(number: u64) -> Option<usize> {
    usize::try_from(number.checked_sub(1)?).ok()
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
