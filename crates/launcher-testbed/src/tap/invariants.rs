//! What must not be in the log of a client, whatever was done to it.
//!
//! Each function reads a log and returns the violations it finds, in words that
//! name the requests; none is what a test wants.
//!
//! An answer of which the log kept only the beginning tells nothing here.

mod keys;
mod plaintext;
mod replies;
mod secrets;
mod storms;

use percent_encoding::percent_decode_str;

pub use self::{
    keys::{changed_identity_keys, changed_one_time_keys, reused_message_indices},
    plaintext::plaintext_in_encrypted_rooms,
    replies::replies_by_question,
    secrets::find_any,
    storms::{STORM_LIMIT, STORM_WINDOW, normalized_path, request_storms},
};
use super::Request;

/// The room, the event type and the transaction of a request that sends an
/// event.
fn sent_event(request: &Request) -> Option<[String; 3]> {
    if request.method != "PUT" {
        return None;
    }
    let (_, rest) = request.path.split_once("/rooms/")?;
    let parts: Vec<&str> = rest.split('/').collect();
    let [room, "send", event_type, transaction] = parts[..] else { return None };
    Some([decoded(room), decoded(event_type), decoded(transaction)])
}

/// A part of a path without the percent signs.
fn decoded(part: &str) -> String {
    percent_decode_str(part).decode_utf8_lossy().into_owned()
}

/// The owner of a request, for a message.
fn owner(request: &Request) -> &str {
    request.owner.as_deref().unwrap_or("nobody")
}

#[cfg(test)]
mod made_up {
    //! Requests that nobody sent.

    use std::{sync::Arc, time::Duration};

    use serde_json::Value;

    use crate::tap::{Body, Outcome, Request};

    /// Logs these requests, one each second, each answered at once.
    pub(super) fn log(requests: impl IntoIterator<Item = Request>) -> Vec<Arc<Request>> {
        let numbered = requests.into_iter().zip(1..).map(|(mut request, number)| {
            request.number = number;
            request.started = Duration::from_secs(number);
            request.ended = Some(request.started + Duration::from_millis(10));
            Arc::new(request)
        });
        numbered.collect()
    }

    pub(super) fn request(method: &str, path: &str, body: Value) -> Request {
        let mut request = Request::new(method, path);
        request.owner = Some("@a:x/A".to_owned());
        request.body = Body::new(body.to_string().as_bytes());
        answered(request, 200, serde_json::json!({}))
    }

    pub(super) fn answered(mut request: Request, status: u16, response: Value) -> Request {
        request.status = Some(status);
        request.response = Body::new(response.to_string().as_bytes());
        request.server_answered = true;
        request.outcome = Outcome::Delivered;
        request
    }

    pub(super) fn send(room: &str, event_type: &str, body: Value) -> Request {
        let path = format!("/_matrix/client/v3/rooms/{room}/send/{event_type}/txn");
        request("PUT", &path, body)
    }
}
