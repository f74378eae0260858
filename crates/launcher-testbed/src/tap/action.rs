//! What a rule does to a request.

use std::{fmt, sync::Arc, time::Duration};

use serde_json::Value;

use super::{Gate, Request};

/// What happens to a request that a rule is about.
///
/// The rules are tried in the order in which they were added, and all that are
/// about a request are applied, up to the first that ends it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Action {
    /// Waits before the request is forwarded.
    Delay(Duration),
    /// Closes the connection; the homeserver never hears of the request.
    DropBefore,
    /// Forwards, reads the whole answer, and closes the connection without
    /// giving the client a byte of it.
    DropAfter,
    /// Forwards and closes the connection in the middle of the answer's body.
    CutBody,
    /// Answers in place of the homeserver, which never hears of the request.
    Status(Answer),
    /// Changes the JSON that the client is given.
    Rewrite(Rewrite),
    /// Changes the JSON that the homeserver is given. The log keeps what the
    /// client sent.
    RewriteRequest(Rewrite),
    /// Holds the request before it is forwarded. It is forwarded also when the
    /// client is gone by then: it was on its way.
    HoldBefore(Gate),
    /// Forwards, reads the whole answer, and holds that.
    HoldAfter(Gate),
    /// Calls the test.
    Hook(Hook),
}

impl Action {
    /// Answers with this status in place of the homeserver.
    pub fn status(code: u16, body: Value) -> Self {
        Self::Status(Answer::new(code, body))
    }

    /// Changes the JSON that the client is given; an answer that has none stays
    /// as it is.
    pub fn rewrite(change: impl Fn(Value) -> Value + Send + Sync + 'static) -> Self {
        Self::Rewrite(Rewrite(Arc::new(change)))
    }

    /// Changes the JSON that the homeserver is given; a request that has none
    /// stays as it is.
    pub fn rewrite_request(change: impl Fn(Value) -> Value + Send + Sync + 'static) -> Self {
        Self::RewriteRequest(Rewrite(Arc::new(change)))
    }

    /// Calls the test at this point.
    pub fn hook(point: Point, call: impl Fn(&Request) + Send + Sync + 'static) -> Self {
        Self::Hook(Hook::new(point, call))
    }

    /// Where in the exchange it happens.
    pub(super) fn point(&self) -> Point {
        match self {
            Self::Delay(_)
            | Self::DropBefore
            | Self::Status(_)
            | Self::RewriteRequest(_)
            | Self::HoldBefore(_) => Point::BeforeForwarding,
            Self::DropAfter | Self::CutBody | Self::Rewrite(_) | Self::HoldAfter(_) => {
                Point::AfterResponse
            }
            Self::Hook(hook) => hook.point,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay(delay) => write!(formatter, "delay {delay:?}"),
            Self::DropBefore => formatter.write_str("drop before"),
            Self::DropAfter => formatter.write_str("drop after"),
            Self::CutBody => formatter.write_str("cut body"),
            Self::Status(answer) => write!(formatter, "status {}", answer.code),
            Self::Rewrite(_) => formatter.write_str("rewrite"),
            Self::RewriteRequest(_) => formatter.write_str("rewrite request"),
            Self::HoldBefore(_) => formatter.write_str("hold before"),
            Self::HoldAfter(_) => formatter.write_str("hold after"),
            Self::Hook(hook) => write!(formatter, "hook {:?}", hook.point),
        }
    }
}

/// An answer that no homeserver gave.
#[derive(Debug, Clone)]
pub struct Answer {
    pub(super) code: u16,
    pub(super) body: Value,
    pub(super) headers: Vec<(String, String)>,
}

impl Answer {
    /// An answer with this status and JSON.
    pub fn new(code: u16, body: Value) -> Self {
        let json = ("content-type".to_owned(), "application/json".to_owned());
        Self { code, body, headers: vec![json] }
    }

    /// As homeservers refuse: with a Matrix error code.
    pub fn refusal(code: u16, errcode: &str) -> Self {
        Self::new(code, serde_json::json!({ "errcode": errcode, "error": "refused by the tap" }))
    }

    /// Adds a header, for example `Retry-After`.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A change to JSON.
#[derive(Clone)]
pub struct Rewrite(Arc<dyn Fn(Value) -> Value + Send + Sync>);

impl Rewrite {
    /// The changed body, if it was JSON.
    pub(super) fn apply(&self, body: &[u8]) -> Option<Vec<u8>> {
        let json = serde_json::from_slice(body).ok()?;
        Some((self.0)(json).to_string().into_bytes())
    }
}

impl fmt::Debug for Rewrite {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Rewrite")
    }
}

/// A moment of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// The whole request was read; the homeserver has not heard of it.
    BeforeForwarding,
    /// The homeserver has given its whole answer; the client has no byte of it.
    AfterResponse,
    /// The whole answer was written to the client's connection.
    AfterDelivery,
}

/// Calls the test in the middle of an exchange, which goes on when the call
/// has returned. The call may kill the client.
#[derive(Clone)]
pub struct Hook {
    point: Point,
    pub(super) delay: Duration,
    pub(super) call: Arc<dyn Fn(&Request) + Send + Sync>,
}

impl Hook {
    /// Calls the test at this point.
    pub fn new(point: Point, call: impl Fn(&Request) + Send + Sync + 'static) -> Self {
        Self { point, delay: Duration::ZERO, call: Arc::new(call) }
    }

    /// Calls it so much later.
    ///
    /// The exchange waits for it, except after the delivery, where there is
    /// nothing left to wait: the next request of the connection goes on.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Hook")
            .field("point", &self.point)
            .field("delay", &self.delay)
            .finish_non_exhaustive()
    }
}
