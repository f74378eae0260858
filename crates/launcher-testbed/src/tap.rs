//! A proxy between a client and its homeserver, which sees and disturbs.
//!
//! A [`Tap`] forwards every request, keeps all of them in a log, and applies
//! the rules of the test: it delays, drops, refuses, rewrites and holds, and
//! calls the test at an exact moment of an exchange. [`invariants`] says what
//! must never be in the log of a client, whatever was done to it.
//!
//! It speaks HTTP/1.1 without TLS, and reads an answer whole before it gives
//! the client a byte. Each connection of a client is a thread with a connection
//! of its own to the homeserver. When the homeserver is down, the client's
//! connection is closed without an answer.
//!
//! ```no_run
//! use launcher_testbed::{
//!     DEFAULT_TIMEOUT,
//!     tap::{Action, Matcher, Tap, invariants},
//! };
//!
//! # fn main() -> Result<(), launcher_testbed::TestbedError> {
//! let tap = Tap::start("http://127.0.0.1:8008")?;
//! let lost = tap.add_rule(
//!     Matcher::path_contains("/send/m.room.encrypted/").method("PUT").nth(2),
//!     Action::DropAfter,
//! );
//! // Now a client that was told of `tap.base_url()` sends two messages.
//! lost.wait_for_hits(1, DEFAULT_TIMEOUT)?;
//! let again = tap.wait_for(|request| request.number > 2 && request.is_finished(), DEFAULT_TIMEOUT)?;
//! assert!(again.server_answered);
//! assert!(invariants::reused_message_indices(&tap.requests()).is_empty());
//! # Ok(())
//! # }
//! ```

mod action;
mod body;
mod connection;
mod gate;
pub(crate) mod http1;
pub mod invariants;
mod log;
mod matcher;
mod owners;
mod request;
mod rules;
pub(crate) mod sockets;
mod upstream;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::{
    net::listen,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

pub use self::{
    action::{Action, Answer, Hook, Point, Rewrite},
    body::Body,
    gate::Gate,
    matcher::Matcher,
    request::{Outcome, Request},
    rules::Rule,
};
use self::{
    log::Log,
    owners::{Owners, Renamed, TokenHash},
    rules::Rules,
    sockets::Sockets,
    upstream::Address,
};
use crate::TestbedError;

/// What an error calls the one that waited.
const NAME: &str = "the tap";

/// How often something that waits looks whether the tap is still there.
const POLL: Duration = Duration::from_millis(100);

/// How many clients may connect at the same moment. With the usual 128, some of
/// a few hundred would be delayed by a second.
const BACKLOG: i32 = 4096;

/// How much a connection's thread needs. Reading JSON takes the most.
const STACK: usize = 1024 * 1024;

/// A proxy on a free loopback port, until it is dropped.
///
/// Dropping it closes all connections and waits for all threads, so also for a
/// hook that is being called. All methods take `&self`, so threads can share
/// one.
#[derive(Debug)]
pub struct Tap {
    shared: Arc<Shared>,
    address: SocketAddr,
    base_url: String,
}

/// What the threads of a tap share.
#[derive(Debug)]
struct Shared {
    upstream: Mutex<Address>,
    log: Log,
    owners: Owners,
    rules: Arc<Rules>,
    sockets: Arc<Sockets>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Tap {
    /// Starts forwarding to the homeserver at this address, which need not be
    /// up.
    ///
    /// Raises this process's limit of open files as far as it may.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Unexpected`] when this is no address of plain HTTP,
    /// [`TestbedError::Port`] when there is no port to listen on, and
    /// [`TestbedError::Files`] when the limit cannot be raised.
    pub fn start(upstream: &str) -> Result<Self, TestbedError> {
        Self::launch(upstream, None)
    }

    /// As [`Self::start`], and writes every request that is over to this file,
    /// one object of JSON a line.
    ///
    /// # Errors
    ///
    /// The same as [`Self::start`], and [`TestbedError::Files`] when the file
    /// cannot be made.
    pub fn start_with_log(upstream: &str, log: impl AsRef<Path>) -> Result<Self, TestbedError> {
        Self::launch(upstream, Some(log.as_ref()))
    }

    /// Where it listens, `http://127.0.0.1:8448`, without a slash at the end.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Forwards to another address from the next request on.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Unexpected`] when this is no address of plain HTTP.
    pub fn set_upstream(&self, upstream: &str) -> Result<(), TestbedError> {
        *lock(&self.shared.upstream) = Address::parse(upstream)?;
        Ok(())
    }

    /// Names the owner of a token, also in what was logged in memory before.
    pub fn name_owner(&self, token: &str, name: &str) {
        self.shared.rename(self.shared.owners.set(TokenHash::of(token), name));
    }

    /// Applies `action` to the requests that `matcher` picks, until the rule is
    /// dropped.
    pub fn add_rule(&self, matcher: Matcher, action: Action) -> Rule {
        self.shared.rules.add(matcher, action)
    }

    /// All requests so far, also those that are still open.
    pub fn requests(&self) -> Vec<Arc<Request>> {
        self.shared.log.since(0)
    }

    /// The requests after a [`Self::mark`].
    pub fn requests_since(&self, mark: u64) -> Vec<Arc<Request>> {
        self.shared.log.since(mark)
    }

    /// This moment, for a later look at what has come since: the number of the
    /// last request.
    pub fn mark(&self) -> u64 {
        self.shared.log.len()
    }

    /// How many requests after a [`Self::mark`] there are that `wanted` holds
    /// for.
    pub fn count_since(&self, mark: u64, wanted: impl Fn(&Request) -> bool) -> usize {
        self.requests_since(mark).iter().filter(|request| wanted(request)).count()
    }

    /// Waits for a request that `wanted` holds for, which may be there already.
    ///
    /// It is asked about a request when that arrives and whenever more is known
    /// of it.
    ///
    /// # Errors
    ///
    /// [`TestbedError::TimedOut`], with the last requests.
    pub fn wait_for(
        &self,
        wanted: impl Fn(&Request) -> bool,
        timeout: Duration,
    ) -> Result<Arc<Request>, TestbedError> {
        self.wait_for_since(0, wanted, timeout)
    }

    /// As [`Self::wait_for`], only for requests after a [`Self::mark`].
    ///
    /// # Errors
    ///
    /// [`TestbedError::TimedOut`], with the last requests.
    pub fn wait_for_since(
        &self,
        mark: u64,
        wanted: impl Fn(&Request) -> bool,
        timeout: Duration,
    ) -> Result<Arc<Request>, TestbedError> {
        self.shared.log.wait_for(mark, wanted, timeout)
    }

    fn launch(upstream: &str, log: Option<&Path>) -> Result<Self, TestbedError> {
        let port = |source| TestbedError::Port { source };
        let shared = Arc::new(Shared {
            upstream: Mutex::new(Address::parse(upstream)?),
            log: Log::new(log)?,
            owners: Owners::default(),
            rules: Arc::default(),
            sockets: Arc::new(Sockets::new()),
            threads: Mutex::default(),
        });
        raise_limit_of_open_files()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(port)?;
        listen(&listener, BACKLOG).map_err(|error| port(error.into()))?;
        let address = listener.local_addr().map_err(port)?;
        let accepting = Arc::clone(&shared);
        shared.spawn(move || accepting.accept(&listener)).map_err(port)?;
        Ok(Self { shared, address, base_url: format!("http://{address}") })
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.shared.sockets.close_all();
        // Wakes the thread that accepts; an error means that it has ended.
        drop(TcpStream::connect(self.address));
        loop {
            let threads = std::mem::take(&mut *lock(&self.shared.threads));
            if threads.is_empty() {
                return;
            }
            for thread in threads {
                // A hook that fails has said so; and one that drops the tap
                // cannot wait for itself.
                if thread.thread().id() != thread::current().id() {
                    drop(thread.join());
                }
            }
        }
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        while !self.sockets.is_closed() {
            match listener.accept() {
                Ok((client, _)) => {
                    let shared = Arc::clone(self);
                    // Without a thread for it, the connection is closed.
                    drop(self.spawn(move || connection::serve(&shared, client)));
                }
                // No more files may be opened, for the moment.
                Err(_) => thread::sleep(POLL),
            }
        }
    }

    fn spawn(&self, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = thread::Builder::new().name("tap".to_owned()).stack_size(STACK).spawn(work)?;
        let mut threads = lock(&self.threads);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    }

    fn rename(&self, renamed: Option<Renamed>) {
        if let Some(renamed) = renamed {
            self.log.rename_owner(&renamed);
        }
    }

    /// Waits, unless the tap is dropped meanwhile.
    fn pause(&self, delay: Duration) -> Result<(), Outcome> {
        let end = Instant::now() + delay;
        self.wait_until(|limit| {
            let left = end.saturating_duration_since(Instant::now());
            thread::sleep(left.min(limit));
            left <= limit
        })
    }

    /// Waits for the gate, unless the tap is dropped meanwhile.
    fn hold(&self, gate: &Gate) -> Result<(), Outcome> {
        self.wait_until(|limit| gate.wait(limit))
    }

    /// Calls `wait`, which gets a limit for one call, until it says that it is
    /// done.
    fn wait_until(&self, wait: impl Fn(Duration) -> bool) -> Result<(), Outcome> {
        while !wait(POLL) {
            if self.sockets.is_closed() {
                return Err(Outcome::TapGone);
            }
        }
        Ok(())
    }
}

/// Two connections for each of a few hundred clients are more than the usual
/// limit.
fn raise_limit_of_open_files() -> Result<(), TestbedError> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .map_err(|error| TestbedError::files(error.into()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
