//! What a model answers, in no provider's words.

use std::time::Duration;

use serde_json::{Value, json};

use super::ModelCall;
use crate::tap::Gate;

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(super) parts: Vec<Part>,
    pub(super) end: End,
    /// What the provider counts, read and written.
    pub(super) usage: Option<(u64, u64)>,
    pub(super) chunks: Chunks,
    /// How long to wait before each chunk.
    pub(super) pause: Duration,
    /// What is waited for after this many chunks.
    pub(super) gate: Option<(usize, Gate)>,
    /// Line ends are two characters.
    pub(super) crlf: bool,
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// A piece of text, sent as one event.
    Text(String),
    /// Something that the model thinks and does not say, sent as one event.
    Thought(String),
    /// Something is called, with these arguments, which need not be JSON.
    Call {
        /// The tool.
        name: String,
        /// What it is given, as text.
        arguments: String,
    },
}

/// How an answer ends.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// As it should.
    Well,
    /// It has become as long as it may.
    Length,
    /// The provider does not want to go on.
    Filtered,
    /// With an error, after the parts, in the middle of a good answer.
    Error(Refusal),
    /// The connection is closed in order, and the end is missing.
    Missing,
    /// The connection breaks in the middle of an event.
    Cut,
    /// Nothing more comes, and the connection stays.
    Silence,
    /// Comments or empty lines, one after the other, without an end.
    Drip,
    /// One line of this many bytes.
    Line(usize),
    /// No stream at all: an error, with its status.
    Refused(Refusal),
    /// No stream at all: this.
    Raw {
        /// The status.
        status: u16,
        /// The `Content-Type`.
        content_type: String,
        /// What it says.
        body: String,
        /// More headers.
        headers: Vec<(String, String)>,
    },
    /// The connection is closed without an answer.
    Nothing,
}

/// Why a provider refuses. Each has other words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The key is wrong.
    Auth,
    /// Too often; again after this many seconds, if it is said.
    RateLimit(Option<u32>),
    /// Nothing is left on the account.
    Money,
    /// Too much to do.
    Overloaded,
    /// The question has this many tokens, and this many fit.
    TooLong(u64, u64),
    /// Not this content.
    Filtered,
    /// There is no such model. Quotes the question, as providers do.
    NoModel,
}

/// How an answer is cut into chunks of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunks {
    /// Each event is one.
    Events,
    /// This many bytes each, across characters and line ends.
    Bytes(usize),
}

impl Reply {
    fn new(parts: Vec<Part>, end: End) -> Self {
        Self {
            parts,
            end,
            usage: Some((9, 3)),
            chunks: Chunks::Events,
            pause: Duration::ZERO,
            gate: None,
            crlf: false,
        }
    }

    /// A text, word by word.
    pub fn text(text: &str) -> Self {
        let words = text.split_inclusive(' ').map(|word| Part::Text(word.to_owned()));
        Self::new(words.collect(), End::Well)
    }

    /// A call.
    pub fn call(name: &str, arguments: &Value) -> Self {
        Self::raw_call(name, &arguments.to_string())
    }

    /// A call whose arguments need not be JSON.
    pub fn raw_call(name: &str, arguments: &str) -> Self {
        let call = Part::Call { name: name.to_owned(), arguments: arguments.to_owned() };
        Self::new(vec![call], End::Well)
    }

    /// An error instead of an answer.
    pub fn refuse(refusal: Refusal) -> Self {
        Self::new(Vec::new(), End::Refused(refusal))
    }

    /// Something that is no answer.
    pub fn raw(status: u16, content_type: &str, body: &str) -> Self {
        let end = End::Raw {
            status,
            content_type: content_type.to_owned(),
            body: body.to_owned(),
            headers: Vec::new(),
        };
        Self::new(Vec::new(), end)
    }

    /// What this server says by itself.
    ///
    /// After a tool's results: `The tools said: …`. To `use TOOL {…}`, in a
    /// line of its own or after a colon: a call, if there is such a tool. To
    /// pictures: their hashes. To anything else: `You said: …`.
    pub fn to(call: &ModelCall) -> Self {
        if !call.results.is_empty() {
            let said: Vec<&str> = call.results.iter().map(|result| result.text.as_str()).collect();
            return Self::text(&format!("The tools said: {}", said.join(" | ")));
        }
        for line in call.asked.lines() {
            let order = line.strip_prefix("use ").or_else(|| Some(line.split_once(": use ")?.1));
            let Some(order) = order else { continue };
            let (name, arguments) = order.split_once(' ').unwrap_or((order, "{}"));
            if let Some(tool) = call.tools.iter().find(|tool| is_called(tool, name)) {
                return Self::raw_call(tool, arguments);
            }
        }
        let pictures: Vec<String> =
            call.images.iter().map(|hash| format!("I see a picture, sha256 {hash}.")).collect();
        if pictures.is_empty() {
            Self::text(&format!("You said: {}", call.asked))
        } else {
            Self::text(&pictures.join(" "))
        }
    }

    /// More parts, at the end.
    #[must_use]
    pub fn and(mut self, parts: impl IntoIterator<Item = Part>) -> Self {
        self.parts.extend(parts);
        self
    }

    /// With another end.
    #[must_use]
    pub fn ending(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    /// With these counts, or none.
    #[must_use]
    pub fn usage(mut self, usage: Option<(u64, u64)>) -> Self {
        self.usage = usage;
        self
    }

    /// Cut in another way.
    #[must_use]
    pub fn chunks(mut self, chunks: Chunks) -> Self {
        self.chunks = chunks;
        self
    }

    /// With this wait before each chunk.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Waits for the gate after this many chunks.
    #[must_use]
    pub fn hold(mut self, after: usize, gate: &Gate) -> Self {
        self.gate = Some((after, gate.clone()));
        self
    }

    /// With line ends of two characters, as Gemini has them anyway.
    #[must_use]
    pub fn crlf(mut self) -> Self {
        self.crlf = true;
        self
    }
}

/// Whether a tool is meant by this name: an assistant may have put its server's
/// name before the tool's own.
fn is_called(tool: &str, name: &str) -> bool {
    tool == name || tool.strip_suffix(name).is_some_and(|server| server.ends_with("__"))
}

impl Part {
    /// The arguments as JSON, where a format has no other way.
    pub(super) fn object(arguments: &str) -> Value {
        serde_json::from_str(arguments).unwrap_or_else(|_| json!({}))
    }
}
