//! One request, as the log and the rules see it.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use super::Body;

/// A request and what became of it.
///
/// No token, password or other secret of a login is in here: tokens are known
/// by the name of their owner, and in a body they are replaced.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its place among all requests, from 1.
    pub number: u64,
    /// When it was read from the client, since the tap was started.
    pub started: Duration,
    /// The same on the clock on the wall.
    pub started_at: SystemTime,
    /// When all was over, since the tap was started.
    pub ended: Option<Duration>,
    /// Whose token it carries: `@alice:localhost/DEVICE` once a login, a
    /// `whoami` or an upload of keys has told, `token-` and a hash before, none
    /// without a token.
    pub owner: Option<String>,
    /// The verb.
    pub method: String,
    /// The path, as encoded as it came, without the query.
    pub path: String,
    /// What follows the question mark, without an access token.
    pub query: Option<String>,
    /// What the client sent.
    pub body: Body,
    /// The status that the client was given or, if that was kept from it, would
    /// have been.
    pub status: Option<u16>,
    /// The answer that goes with [`Self::status`].
    pub response: Body,
    /// The rules that were applied, in this order.
    pub rules: Vec<String>,
    /// Whether the homeserver answered: then it has done what was asked, or
    /// refused to, whatever the client was told.
    pub server_answered: bool,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Not yet.
    Open,
    /// The client was given a whole answer.
    Delivered,
    /// A rule closed the connection before the client had a byte.
    Dropped,
    /// A rule closed the connection in the middle of the answer.
    Cut,
    /// The homeserver could not be reached, or closed the connection.
    UpstreamGone,
    /// The client closed the connection.
    ClientGone,
    /// The tap was dropped.
    TapGone,
}

impl Request {
    /// A request that nobody has answered yet. `target` is the path with the
    /// query.
    pub fn new(method: &str, target: &str) -> Self {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, without_token(query)),
            None => (target, None),
        };
        Self {
            number: 0,
            started: Duration::ZERO,
            started_at: SystemTime::now(),
            ended: None,
            owner: None,
            method: method.to_owned(),
            path: path.to_owned(),
            query,
            body: Body::default(),
            status: None,
            response: Body::default(),
            rules: Vec::new(),
            server_answered: false,
            outcome: Outcome::Open,
        }
    }

    /// The JSON that the client sent.
    pub fn json(&self) -> Option<Value> {
        self.body.json()
    }

    /// The JSON that goes with [`Self::status`].
    pub fn response_json(&self) -> Option<Value> {
        self.response.json()
    }

    /// The value of a parameter of the query, as encoded as it came.
    pub fn query_value(&self, name: &str) -> Option<&str> {
        self.query
            .as_deref()?
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
    }

    /// Whether all is over.
    pub fn is_finished(&self) -> bool {
        self.outcome != Outcome::Open
    }

    /// The line of the log file.
    pub(crate) fn to_line(&self) -> Value {
        let wall = self.started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        json!({
            "number": self.number,
            "started_ms": millis(self.started),
            "ended_ms": self.ended.map(millis),
            "started_unix_ms": millis(wall),
            "owner": self.owner,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "body": to_value(&self.body),
            "status": self.status,
            "response": to_value(&self.response),
            "response_truncated": self.response.is_truncated(),
            "rules": self.rules,
            "server_answered": self.server_answered,
            "outcome": self.outcome.to_string(),
        })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "#{} {} {}", self.number, self.method, self.path)?;
        if let Some(owner) = &self.owner {
            write!(formatter, " of {owner}")?;
        }
        if let Some(status) = self.status {
            write!(formatter, " -> {status}")?;
        }
        write!(formatter, " ({})", self.outcome)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Open => "open",
            Self::Delivered => "delivered",
            Self::Dropped => "dropped",
            Self::Cut => "cut",
            Self::UpstreamGone => "upstream gone",
            Self::ClientGone => "client gone",
            Self::TapGone => "tap gone",
        })
    }
}

fn without_token(query: &str) -> Option<String> {
    let kept: Vec<&str> =
        query.split('&').filter(|pair| !pair.starts_with("access_token=")).collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn to_value(body: &Body) -> Value {
    if body.length() == 0 {
        return Value::Null;
    }
    body.json().unwrap_or_else(|| Value::String(body.text().into_owned()))
}
