//! Refusals as answers.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::refusal::Refusal;

/// A refusal becomes a response in two steps: what it looks like depends on
/// what the client accepts, which only the outermost layer knows.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = status(&self).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Login | Refusal::LoginNeeded => StatusCode::UNAUTHORIZED,
        Refusal::NotFound(_) => StatusCode::NOT_FOUND,
        Refusal::Forbidden(_) => StatusCode::FORBIDDEN,
        Refusal::Bad(_) | Refusal::Invalid(_) => StatusCode::BAD_REQUEST,
        Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Refusal::Encryption(..) | Refusal::Devices { .. } => StatusCode::CONFLICT,
        Refusal::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Broken => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A refusal for those who speak over the websocket: its code and its text.
pub(crate) fn told(refusal: &Refusal) -> (Option<&'static str>, String) {
    match refusal {
        Refusal::Encryption(rule, text) => (Some(rule.as_str()), (*text).to_owned()),
        Refusal::Forbidden(text) => (None, (*text).to_owned()),
        Refusal::Bad(text) => (None, text.to_string()),
        Refusal::Invalid(_) => (None, "Invalid request data".to_owned()),
        Refusal::TooMany(after) => {
            (None, format!("Too many: the next is taken in {} s.", seconds(*after)))
        }
        Refusal::NotFound(what) => (None, format!("There is no such {what}.")),
        other => (None, title(other).to_owned()),
    }
}

/// At least one, so that nobody tries again at once.
fn seconds(after: std::time::Duration) -> u64 {
    after.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).max(1)
}

fn title(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Invalid(_) => "One or more validation errors occurred.",
        other => status(other).canonical_reason().unwrap_or_default(),
    }
}

/// The response to a request that was refused.
pub(super) fn rendered(refusal: &Refusal, asked: &HeaderMap, request_id: &str) -> Response {
    let status = status(refusal);
    let (media_type, body) = match refusal {
        Refusal::Login => return status.into_response(),
        Refusal::Forbidden(text) => plain(text, asked),
        Refusal::Bad(text) => plain(text, asked),
        Refusal::Encryption(rule, text) => {
            ("application/json", json!({ "code": rule.as_str(), "error": text }).to_string())
        }
        Refusal::Devices { missing, unknown } => {
            let body = json!({
                "code": "e2ee.fanout_devices_mismatch",
                "error": "The payloads are not one for each active device of the recipient.",
                "missing": missing,
                "unknown": unknown,
            });
            ("application/json", body.to_string())
        }
        refusal => ("application/problem+json", problem(refusal, status, request_id).to_string()),
    };
    let mut response = (status, Body::from(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    if let Refusal::TooMany(after) = refusal {
        headers.insert(header::RETRY_AFTER, seconds(*after).into());
    }
    response
}

/// A text; for those who want JSON, in quotes.
fn plain(text: &str, asked: &HeaderMap) -> (&'static str, String) {
    let accepts = asked.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let wants_json = accepts.flat_map(|value| value.split(',')).any(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json")
    });
    match wants_json {
        true => ("application/json; charset=utf-8", Value::from(text).to_string()),
        false => ("text/plain; charset=utf-8", text.to_owned()),
    }
}

/// RFC 9457.
fn problem(refusal: &Refusal, status: StatusCode, request_id: &str) -> Value {
    let mut problem = json!({
        "type": "about:blank",
        "title": title(refusal),
        "status": status.as_u16(),
        "traceId": request_id,
    });
    match refusal {
        Refusal::Invalid(problems) => problem["errors"] = json!(problems),
        Refusal::NotFound(what) => problem["detail"] = format!("There is no such {what}.").into(),
        _ => {}
    }
    problem
}
