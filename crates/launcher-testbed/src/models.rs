//! Language models that are none: a server that speaks the wire formats of real
//! providers and does what a test wants.
//!
//! A [`ModelServer`] answers on one port in five formats, each under a path of
//! its own, see [`Format`]. What it answers is the next [`Reply`] of its queue;
//! if that is empty, what [`Reply::to`] makes of the question: it repeats what
//! was said, calls a tool when it is told to, and knows a picture by its hash.
//! Every question is kept as it came, with its headers, and read as one
//! [`ModelCall`], whichever format it had.
//!
//! ```
//! use launcher_testbed::models::{Format, ModelServer, Reply};
//!
//! # fn main() -> Result<(), launcher_testbed::TestbedError> {
//! let server = ModelServer::start()?;
//! server.push(Reply::text("Hello!"));
//! // Now something asks the model at this address, and once more.
//! let address = server.url(Format::Anthropic);
//! # let _ = address;
//! # Ok(())
//! # }
//! ```

mod call;
mod connection;
mod reply;
mod wire;

use std::{
    collections::VecDeque,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

pub use self::{
    call::{ModelCall, ToolAnswer},
    reply::{Chunks, End, Part, Refusal, Reply},
};
use crate::{TestbedError, tap::sockets::Sockets};

/// What an error calls the one that waited.
const NAME: &str = "the model server";

/// How long a thread waits before it looks whether the server is still there.
const POLL: Duration = Duration::from_millis(50);

/// How providers are spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenAI's chat completions.
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
    /// Gemini's `streamGenerateContent`.
    Gemini,
    /// Ollama's `/api/chat`.
    Ollama,
    /// Chat completions with the errors of llama.cpp.
    LlamaCpp,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 5] =
        [Self::OpenAi, Self::Anthropic, Self::Gemini, Self::Ollama, Self::LlamaCpp];

    /// The first part of its paths, and its name in an agent's config.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
            Self::LlamaCpp => "llamacpp",
        }
    }

    /// Which format a path belongs to, if it is one that a model is asked at.
    fn of(path: &str) -> Option<Self> {
        let path = path.split('?').next().unwrap_or_default();
        let (name, rest) = path.strip_prefix('/')?.split_once('/')?;
        let format = Self::ALL.into_iter().find(|format| format.name() == name)?;
        let right = match format {
            Self::OpenAi | Self::LlamaCpp => rest == "v1/chat/completions",
            Self::Anthropic => rest == "v1/messages",
            Self::Gemini => {
                rest.starts_with("v1beta/models/") && rest.ends_with(":streamGenerateContent")
            }
            Self::Ollama => rest == "api/chat",
        };
        right.then_some(format)
    }
}

/// A server on a free loopback port, until it is dropped.
///
/// Dropping it closes all connections. All methods take `&self`, so threads can
/// share one.
#[derive(Debug)]
pub struct ModelServer {
    shared: Arc<Shared>,
    address: SocketAddr,
}

/// What the threads of a server share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    sockets: Arc<Sockets>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct State {
    replies: VecDeque<Reply>,
    calls: Vec<ModelCall>,
}

impl ModelServer {
    /// Starts a server that answers by its rules.
    ///
    /// # Errors
    ///
    /// [`TestbedError::Port`] when there is no port to listen on.
    pub fn start() -> Result<Self, TestbedError> {
        let port = |source| TestbedError::Port { source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(port)?;
        let address = listener.local_addr().map_err(port)?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            sockets: Arc::new(Sockets::new()),
            threads: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        shared.spawn(move || accepting.accept(&listener)).map_err(port)?;
        Ok(Self { shared, address })
    }

    /// What an agent's config has as the address of a model of this format.
    pub fn url(&self, format: Format) -> String {
        let path = match format {
            Format::OpenAi | Format::LlamaCpp => "/v1",
            Format::Anthropic | Format::Gemini | Format::Ollama => "",
        };
        format!("http://{}/{}{path}", self.address, format.name())
    }

    /// Answers the next question for which nothing else is queued with this.
    pub fn push(&self, reply: Reply) {
        lock(&self.shared.state).replies.push_back(reply);
    }

    /// Forgets what is queued.
    pub fn clear(&self) {
        lock(&self.shared.state).replies.clear();
    }

    /// All questions so far, also those that are still being answered.
    pub fn calls(&self) -> Vec<ModelCall> {
        lock(&self.shared.state).calls.clone()
    }

    /// Waits until `wanted` holds for the questions so far.
    ///
    /// # Errors
    ///
    /// [`TestbedError::TimedOut`], with how many there are.
    pub fn wait_until(
        &self,
        wanted: impl Fn(&[ModelCall]) -> bool,
        timeout: Duration,
    ) -> Result<Vec<ModelCall>, TestbedError> {
        let state = lock(&self.shared.state);
        let waited =
            self.shared.changed.wait_timeout_while(state, timeout, |state| !wanted(&state.calls));
        let (state, result) = waited.unwrap_or_else(PoisonError::into_inner);
        if result.timed_out() {
            return Err(TestbedError::TimedOut {
                user: NAME.to_owned(),
                message: format!("{} questions after {timeout:?}", state.calls.len()),
            });
        }
        Ok(state.calls.clone())
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.shared.sockets.close_all();
        // Wakes the thread that accepts; an error means that it has ended.
        drop(TcpStream::connect(self.address));
        loop {
            let threads = std::mem::take(&mut *lock(&self.shared.threads));
            if threads.is_empty() {
                return;
            }
            // One that has panicked has said so.
            threads.into_iter().for_each(|thread| drop(thread.join()));
        }
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        while !self.sockets.is_closed() {
            if let Ok((client, _)) = listener.accept() {
                let shared = Arc::clone(self);
                // Without a thread for it, the connection is closed.
                drop(self.spawn(move || connection::serve(&shared, client)));
            }
        }
    }

    fn spawn(&self, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = thread::Builder::new().name("model".to_owned()).spawn(work)?;
        let mut threads = lock(&self.threads);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    }

    /// Takes a question in, and says what it is answered with.
    fn take(&self, call: ModelCall) -> (usize, Reply) {
        let mut state = lock(&self.state);
        let reply = state.replies.pop_front().unwrap_or_else(|| Reply::to(&call));
        state.calls.push(call);
        let number = state.calls.len() - 1;
        self.changed.notify_all();
        (number, reply)
    }

    /// Notes what became of the answer.
    fn finish(&self, number: usize, change: impl FnOnce(&mut ModelCall)) {
        if let Some(call) = lock(&self.state).calls.get_mut(number) {
            change(call);
        }
        self.changed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
