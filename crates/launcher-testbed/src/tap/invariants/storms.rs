//! Who is refused does not ask again and again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::owner;
use crate::tap::{Outcome, Request};

/// How many requests may fail within [`STORM_WINDOW`].
pub const STORM_LIMIT: usize = 20;

/// How long a window of time is.
pub const STORM_WINDOW: Duration = Duration::from_secs(60);

/// Finds clients of which more than [`STORM_LIMIT`] requests to one endpoint
/// failed within any [`STORM_WINDOW`], and says how many did at the worst.
///
/// A request has failed when the status was 429 or at least 500, or when there
/// was no whole answer, because of a rule or because the homeserver was gone.
pub fn request_storms(log: &[Arc<Request>]) -> Vec<String> {
    let mut failed: BTreeMap<(&str, String), Vec<&Request>> = BTreeMap::new();
    for request in log.iter().filter(|request| has_failed(request)) {
        let endpoint = format!("{} {}", request.method, normalized_path(&request.path));
        failed.entry((owner(request), endpoint)).or_default().push(request);
    }
    let storms = failed.into_iter().filter_map(|((owner, endpoint), mut requests)| {
        requests.sort_by_key(|request| request.started);
        let worst = worst_window(&requests);
        let [first, .., last] = worst else { return None };
        (worst.len() > STORM_LIMIT).then(|| {
            format!(
                "#{} to #{}: {} requests of {owner} to {endpoint} failed within {STORM_WINDOW:?}, {} in all",
                first.number,
                last.number,
                worst.len(),
                requests.len(),
            )
        })
    });
    storms.collect()
}

/// The window with the most requests; they are sorted by their time.
fn worst_window<'a, 'b>(requests: &'b [&'a Request]) -> &'b [&'a Request] {
    let windows = (0..requests.len()).map(|start| {
        let rest = &requests[start..];
        let end = rest[0].started + STORM_WINDOW;
        &rest[..rest.partition_point(|request| request.started < end)]
    });
    // The first of the worst, for a message that says where it began.
    windows.rev().max_by_key(|window| window.len()).unwrap_or_default()
}

fn has_failed(request: &Request) -> bool {
    let is_refused = request.status.is_some_and(|status| status == 429 || status >= 500);
    let is_lost =
        matches!(request.outcome, Outcome::Dropped | Outcome::Cut | Outcome::UpstreamGone);
    is_refused || is_lost
}

/// A path without what differs from one request to the next: the ids of rooms,
/// events, users, devices, filters, files and transactions.
pub fn normalized_path(path: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    for index in 1..parts.len() {
        if is_id(&parts, index) {
            parts[index] = "{}";
        }
    }
    parts.join("/")
}

fn is_id(parts: &[&str], index: usize) -> bool {
    /// What is followed by an id.
    const BEFORE_AN_ID: [&str; 11] = [
        "rooms", "redact", "event", "context", "user", "profile", "devices", "filter", "join",
        "sessions", "aliases",
    ];
    /// What is followed by a type and a transaction.
    const BEFORE_A_TRANSACTION: [&str; 2] = ["send", "sendToDevice"];
    /// What is followed by the name of a server and of a file.
    const BEFORE_A_FILE: [&str; 2] = ["download", "thumbnail"];
    /// What ids begin with, also when they are encoded.
    const BEGINNINGS: [&str; 8] = ["!", "$", "@", "#", "%21", "%24", "%40", "%23"];

    let follows = |distance: usize, names: &[&str]| {
        index.checked_sub(distance).is_some_and(|before| names.contains(&parts[before]))
    };
    BEGINNINGS.iter().any(|beginning| parts[index].starts_with(beginning))
        || follows(1, &BEFORE_AN_ID)
        || follows(2, &["redact"])
        || follows(2, &BEFORE_A_TRANSACTION)
        || follows(1, &BEFORE_A_FILE)
        || follows(2, &BEFORE_A_FILE)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::made_up::{answered, log, request, send},
        *,
    };

    fn refused(status: u16) -> Request {
        answered(send("!r:x", "m.room.encrypted", json!({})), status, json!({}))
    }

    #[test]
    fn a_path_is_normalized_to_its_endpoint() {
        for (path, endpoint) in [
            (
                "/c/v3/rooms/!r:x/send/m.room.encrypted/t1",
                "/c/v3/rooms/{}/send/m.room.encrypted/{}",
            ),
            ("/c/v3/rooms/%21r%3Ax/redact/$e/t1", "/c/v3/rooms/{}/redact/{}/{}"),
            ("/c/v3/rooms/!r:x/state/m.room.member/@a:x", "/c/v3/rooms/{}/state/m.room.member/{}"),
            ("/c/v3/sendToDevice/m.room.encrypted/t1", "/c/v3/sendToDevice/m.room.encrypted/{}"),
            ("/c/v3/user/@a:x/filter/3", "/c/v3/user/{}/filter/{}"),
            ("/c/v1/media/download/x/abc", "/c/v1/media/download/{}/{}"),
            ("/c/v3/keys/upload", "/c/v3/keys/upload"),
            ("/c/v3/sync", "/c/v3/sync"),
        ] {
            assert_eq!(normalized_path(path), endpoint);
        }
    }

    #[test]
    fn twenty_failures_in_a_minute_are_no_storm_and_one_more_is() {
        assert_eq!(request_storms(&log((0..20).map(|_| refused(429)))), [""; 0]);
        assert_eq!(
            request_storms(&log((0..21).map(|_| refused(502)))),
            ["#1 to #21: 21 requests of @a:x/A to \
              PUT /_matrix/client/v3/rooms/{}/send/m.room.encrypted/{} failed within 60s, 21 in all"]
        );
    }

    #[test]
    fn failures_far_apart_are_no_storm() {
        let mut log = log((0..40).map(|_| refused(500)));
        for (request, seconds) in log.iter_mut().zip((0..).step_by(5)) {
            Arc::make_mut(request).started = Duration::from_secs(seconds);
        }
        assert_eq!(request_storms(&log), [""; 0]);
    }

    #[test]
    fn each_client_and_each_endpoint_counts_on_its_own() {
        let requests = (0..42).map(|n| {
            let mut request = refused(500);
            if n % 2 == 0 {
                request.owner = Some("@b:x/B".to_owned());
            }
            request
        });
        assert_eq!(request_storms(&log(requests)).len(), 2);
        let paths = ["/c/v3/sync", "/c/v3/keys/query", "/c/v3/keys/claim"];
        let requests = (0..45).map(|n| {
            let request = request("POST", paths[n % 3], json!({}));
            answered(request, 500, json!({}))
        });
        assert_eq!(request_storms(&log(requests)), [""; 0]);
    }

    #[test]
    fn what_was_dropped_has_failed_and_a_refusal_for_good_has_not() {
        let mut dropped = refused(200);
        dropped.outcome = Outcome::Dropped;
        assert!(has_failed(&dropped));
        assert!(!has_failed(&refused(200)));
        assert!(!has_failed(&refused(403)));
    }
}
