//! What a provider's error means.
//!
//! Each provider has its own words, and some use one status for two things: a
//! 429 can mean "later" and "never". So the machine-readable code comes first,
//! then the status, and only where these say too little the text, which is
//! looked at and never shown.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use launcher_core::llm::fault::FaultKind;
use serde_json::Value;

/// The headers in which providers name a request.
const REQUEST_IDS: [&str; 3] = ["x-request-id", "request-id", "x-goog-request-id"];

/// What an error means.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) kind: FaultKind,
    pub(super) code: Option<String>,
    pub(super) retry_after: Option<Duration>,
}

/// What an error means that came with this status, or within an answer.
pub(super) fn refusal(
    status: Option<u16>,
    body: &str,
    headers: Option<&HeaderMap>,
    code: Option<&str>,
    refused: bool,
) -> Refusal {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    // Gemini wraps its errors into a list where it would have streamed one.
    let body = body.get(0).unwrap_or(&body);
    let error = body.get("error").unwrap_or(body);
    let mut codes: Vec<&str> = code.into_iter().collect();
    codes.extend(["code", "status", "type"].iter().filter_map(|name| error.get(name)?.as_str()));
    let details = error.get("details").and_then(Value::as_array);
    let details: &[Value] = details.map_or(&[], Vec::as_slice);
    codes.extend(details.iter().filter_map(|detail| detail.get("reason")?.as_str()));
    let text = error.as_str().or_else(|| error.get("message")?.as_str()).unwrap_or_default();
    let facts = Facts { status, codes: &codes, text: &text.to_lowercase(), error, details };
    Refusal {
        kind: if refused { FaultKind::Filtered } else { facts.kind() },
        code: codes.iter().find_map(|code| word(code)),
        retry_after: headers.and_then(retry_after).or_else(|| facts.delay()),
    }
}

struct Facts<'a> {
    status: Option<u16>,
    codes: &'a [&'a str],
    text: &'a str,
    error: &'a Value,
    details: &'a [Value],
}

impl Facts<'_> {
    fn kind(&self) -> FaultKind {
        const LONG: [&str; 4] = [
            "context_length_exceeded",
            "exceed_context_size_error",
            "request_too_large",
            "string_above_max_length",
        ];
        const LONG_WORDS: [&str; 5] = [
            "prompt is too long",
            "maximum context length",
            "exceeds the maximum number of tokens",
            "exceeds the available context size",
            "context window",
        ];
        const MONEY: [&str; 3] =
            ["insufficient_quota", "billing_error", "billing_hard_limit_reached"];
        const AUTH: [&str; 6] = [
            "invalid_api_key",
            "authentication_error",
            "permission_error",
            "api_key_invalid",
            "permission_denied",
            "unauthenticated",
        ];
        const FILTER: [&str; 3] =
            ["content_filter", "content_policy_violation", "responsibleaipolicyviolation"];
        const RATE: [&str; 3] = ["rate_limit_exceeded", "rate_limit_error", "resource_exhausted"];

        let is_client_error = self.status.is_none_or(|status| (400..500).contains(&status));
        if self.has(&LONG) || self.status == Some(413) || is_client_error && self.says(&LONG_WORDS)
        {
            return self.too_long();
        }
        let broke = self.says(&["credit balance is too low"]) || self.is_out_for_today();
        if self.has(&MONEY) || self.status == Some(402) || broke {
            return FaultKind::Money;
        }
        if self.has(&AUTH) || matches!(self.status, Some(401 | 403)) {
            return FaultKind::Auth;
        }
        if self.has(&FILTER) {
            return FaultKind::Filtered;
        }
        if self.has(&RATE) || self.status == Some(429) {
            return FaultKind::RateLimit;
        }
        match self.status {
            Some(408 | 425 | 500..) => FaultKind::Overloaded,
            Some(300..) => FaultKind::BadRequest,
            // It began to answer and then gave up, whatever it calls that.
            _ => FaultKind::Overloaded,
        }
    }

    fn has(&self, known: &[&str]) -> bool {
        self.codes.iter().any(|code| known.iter().any(|known| known.eq_ignore_ascii_case(code)))
    }

    fn says(&self, known: &[&str]) -> bool {
        known.iter().any(|known| self.text.contains(known))
    }

    /// Gemini names the quota that was exceeded; one for a day does not come
    /// back in a minute.
    fn is_out_for_today(&self) -> bool {
        let violations = self.details.iter().filter_map(|detail| detail.get("violations"));
        violations
            .filter_map(Value::as_array)
            .flatten()
            .filter_map(|violation| violation.get("quotaId")?.as_str())
            .any(|id| id.contains("PerDay"))
    }

    fn too_long(&self) -> FaultKind {
        let number = |name: &str| self.error.get(name).and_then(Value::as_u64);
        if let (Some(tokens), Some(limit)) = (number("n_prompt_tokens"), number("n_ctx")) {
            return FaultKind::TooLong { tokens: Some(tokens), limit: Some(limit) };
        }
        // Two numbers are the question's and the limit's, in either order; the
        // question's is the larger one.
        let mut numbers = self
            .text
            .split(|letter: char| !letter.is_ascii_digit())
            .filter_map(|digits| digits.parse::<u64>().ok())
            .filter(|number| *number >= 100);
        match (numbers.next(), numbers.next()) {
            (Some(first), Some(second)) if first != second => FaultKind::TooLong {
                tokens: Some(first.max(second)),
                limit: Some(first.min(second)),
            },
            _ => FaultKind::TooLong { tokens: None, limit: None },
        }
    }

    /// How long Gemini wants to be left alone: it says so in the body.
    fn delay(&self) -> Option<Duration> {
        let delay = self.details.iter().find_map(|detail| detail.get("retryDelay")?.as_str())?;
        seconds(delay.strip_suffix('s')?)
    }
}

/// How long a provider wants to be left alone, by its headers.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(wait) = text("retry-after-ms").and_then(|text| text.parse().ok()) {
        return Some(Duration::from_millis(wait));
    }
    let text = text("retry-after")?;
    seconds(text).or_else(|| {
        let then = httpdate::parse_http_date(text).ok()?;
        Some(then.duration_since(SystemTime::now()).unwrap_or_default())
    })
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

/// The request's name, by the headers.
pub(super) fn request_id(headers: &HeaderMap) -> Option<&str> {
    REQUEST_IDS.iter().find_map(|name| headers.get(*name)?.to_str().ok())
}

/// A word of a provider's, if it is one: nothing that could be a text.
pub(super) fn word(text: &str) -> Option<String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.:".contains(letter);
    (!text.is_empty() && text.len() <= 64 && text.chars().all(plain)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
