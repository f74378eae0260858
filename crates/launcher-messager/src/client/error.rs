//! Why a request was in vain.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

/// The most characters of what is told about an error.
const LONGEST: usize = 300;

/// Why a request was in vain. No message names a token, or has a body in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// There was no answer, or none that says anything: the network, a server
    /// that is down or busy, or somebody in between, who says no in words that are
    /// not the server's. The request may have been carried out.
    #[error("no answer from the server: {detail}")]
    Unreachable {
        /// What it was.
        detail: String,
        /// When the server wants to be asked again, if it says.
        retry_after: Option<Duration>,
    },
    /// There was an answer that does not have the form of one, or has no end.
    /// Asked for something else, the server may answer well.
    #[error("no answer from the server: an answer that is none, {detail}")]
    Nonsense {
        /// What it was.
        detail: String,
    },
    /// The token does not count, or not any more.
    #[error("the server does not know the token")]
    Unauthorized,
    /// The server understood, and refused.
    #[error("the server refused ({status}): {detail}")]
    Refused {
        /// The status.
        status: u16,
        /// The rule that it breaks, in the server's word.
        code: Option<String>,
        /// The server's text.
        detail: String,
    },
}

impl ClientError {
    /// Whether the same request can have another answer later, by itself.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Nonsense { .. } => true,
            Self::Unauthorized | Self::Refused { .. } => false,
        }
    }

    /// When the server wants to be asked again, if it says.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unreachable { retry_after, .. } => *retry_after,
            Self::Nonsense { .. } | Self::Unauthorized | Self::Refused { .. } => None,
        }
    }

    /// Whether this is a refusal with this status.
    pub fn is_refused_with(&self, wanted: u16) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == wanted)
    }

    /// Whether this is a refusal by this rule.
    pub fn is_by(&self, rule: &str) -> bool {
        matches!(self, Self::Refused { code: Some(code), .. } if code == rule)
    }

    pub(crate) fn unreachable(detail: impl AsRef<str>) -> Self {
        Self::Unreachable { detail: cut(detail.as_ref()), retry_after: None }
    }

    /// An answer that does not have the form of one.
    pub(crate) fn nonsense(what: impl AsRef<str>) -> Self {
        Self::Nonsense { detail: cut(what.as_ref()) }
    }

    /// What an answer with this status and body means; `None` is a body that could
    /// not be read. What is not in the server's words is a proxy's, and says
    /// nothing about the request.
    pub(super) fn of(
        status: StatusCode,
        retry_after: Option<Duration>,
        body: Option<&[u8]>,
    ) -> Self {
        let is_silent = body.is_some_and(<[u8]>::is_empty);
        let body: Value = serde_json::from_slice(body.unwrap_or_default()).unwrap_or_default();
        let is_passing = status.is_server_error()
            || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        match (status, told(&body)) {
            // Of a token that it does not know the server says nothing, or that it is a problem.
            (StatusCode::UNAUTHORIZED, _) if is_silent || body["status"] == 401 => {
                Self::Unauthorized
            }
            (_, Some(detail)) if is_passing => {
                let detail = cut(&format!("{}: {detail}", status.as_u16()));
                Self::Unreachable { detail, retry_after }
            }
            (_, None) if is_passing => {
                Self::Unreachable { detail: status.to_string(), retry_after }
            }
            (_, Some(detail)) if status.is_client_error() && status != StatusCode::UNAUTHORIZED => {
                let code = body["code"].as_str().map(cut);
                Self::Refused { status: status.as_u16(), code, detail: cut(&detail) }
            }
            _ if status.is_client_error() => {
                let detail = format!("{status}, and not in the server's words");
                Self::Unreachable { detail, retry_after }
            }
            // Redirects are not followed: the token is for this server. Who sends on
            // what is asked is somebody in between.
            _ => Self::unreachable(format!("an answer with status {}", status.as_u16())),
        }
    }
}

/// `None` where the server says that there is no such thing.
pub(super) fn found<T>(answer: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_refused_with(404) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a refusal says to people: a text, a rule's `error`, or a problem with
/// its fields (RFC 9457).
fn told(body: &Value) -> Option<String> {
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    if let Some(text) = body.as_str().map(str::to_owned).or_else(|| text("error")) {
        return Some(text);
    }
    if let Some(fields) = body["errors"].as_object() {
        let problem = |(name, problems): (&String, &Value)| {
            let first = problems.get(0).and_then(Value::as_str).unwrap_or_default();
            format!("{name} {first}")
        };
        return Some(fields.iter().map(problem).collect::<Vec<_>>().join(", "));
    }
    text("detail").or_else(|| text("title"))
}

/// At most so much of a text, and nothing in it that a terminal obeys.
pub(super) fn cut(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> ClientError {
        ClientError::of(StatusCode::from_u16(status).unwrap(), None, Some(body.as_bytes()))
    }

    #[test]
    fn an_answer_says_whether_to_ask_again() {
        for status in [408, 429, 500, 503, 599, 302, 600] {
            assert!(of(status, "").is_passing(), "{status}");
        }
        for status in [400, 403, 404, 409, 413] {
            for body in [r#""No.""#, r#"{"error":"no"}"#, r#"{"title":"t"}"#] {
                assert!(of(status, body).is_refused_with(status), "{status} {body}");
            }
        }
    }

    #[test]
    fn who_says_no_in_other_words_is_not_the_server() {
        for body in ["", "<html>", "Forbidden", "{}", "[]", "null", r#"{"message":"no route"}"#] {
            for status in [400, 403, 404, 405, 409, 413] {
                assert!(of(status, body).is_passing(), "{status} {body}");
            }
        }
        let unread = ClientError::of(StatusCode::NOT_FOUND, None, None);
        assert!(unread.is_passing());
    }

    #[test]
    fn only_the_server_says_that_a_token_does_not_count() {
        for body in ["", r#"{"title":"Unauthorized","status":401}"#] {
            assert_eq!(of(401, body), ClientError::Unauthorized);
        }
        for body in ["<html>", "Unauthorized", r#"{"error":"invalid_token"}"#, r#""no""#] {
            assert!(of(401, body).is_passing(), "{body}");
        }
        assert!(ClientError::of(StatusCode::UNAUTHORIZED, None, None).is_passing());
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let told = |body: &str| match of(409, body) {
            ClientError::Refused { detail, code, .. } => (code, detail),
            other => panic!("{other}"),
        };
        let rule = r#"{"code":"chat.e2ee_required","error":"no"}"#;
        assert_eq!(told(rule), (Some("chat.e2ee_required".to_owned()), "no".to_owned()));
        assert_eq!(told(r#""You may not.""#).1, "You may not.");
        assert_eq!(
            told(r#"{"title":"t","errors":{"name":["is required"]}}"#).1,
            "name is required"
        );
        assert_eq!(told(r#"{"title":"t","detail":"d"}"#).1, "d");
    }

    #[test]
    fn what_is_told_is_short_and_obeyed_by_no_terminal() {
        let body = serde_json::to_string(&format!("\x1b[2J{}", "x".repeat(9000))).unwrap();
        let ClientError::Refused { detail, .. } = of(400, &body) else { panic!() };
        assert_eq!(detail.len(), LONGEST);
        assert!(detail.starts_with("[2Jxx"));
    }
}
