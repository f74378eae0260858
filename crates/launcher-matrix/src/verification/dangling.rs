//! Requests in rooms that a former life made or saw, and was killed before it
//! could write them down. The journal's position stands before them, so they
//! are read again.

use std::{collections::BTreeSet, time::Duration};

use launcher_core::{
    names::{RoomId, UserId},
    trust::UnderWay,
};
use serde_json::Value;

use crate::{feed, timeline};

/// How long a request can be taken up
/// (<https://spec.matrix.org/v1.16/client-server-api/#key-verification-framework>).
const LIFETIME: Duration = Duration::from_secs(600);

/// The verification requests in a part of a room's past.
pub(crate) struct Requests<'a> {
    user: &'a str,
    device: &'a str,
    made: Vec<Request>,
    over: BTreeSet<String>,
}

/// One of them.
pub(crate) struct Request {
    /// Who is at the other end.
    pub(crate) user: UserId,
    pub(crate) left: UnderWay,
    /// Whether this device has made it.
    pub(crate) by_us: bool,
}

impl<'a> Requests<'a> {
    /// Those by this device, and those to this user.
    pub(crate) fn of(user: &'a str, device: &'a str) -> Self {
        Self { user, device, made: Vec::new(), over: BTreeSet::new() }
    }

    /// Takes in an event, as it reads decrypted.
    pub(crate) fn add(&mut self, room: &RoomId, event: &Value) {
        let content = &event["content"];
        let kind = event["type"].as_str().unwrap_or_default();
        if matches!(kind, "m.key.verification.cancel" | "m.key.verification.done") {
            let flow = content["m.relates_to"]["event_id"].as_str();
            self.over.extend(flow.map(ToOwned::to_owned));
            return;
        }
        let is_request =
            kind == "m.room.message" && content["msgtype"] == "m.key.verification.request";
        let (true, Some(sender), Some(to), Some(id)) =
            (is_request, event["sender"].as_str(), content["to"].as_str(), feed::event_id(event))
        else {
            return;
        };
        let by_us = sender == self.user && content["from_device"] == self.device;
        let other = if by_us { to } else { sender };
        let is_ours = by_us || to == self.user;
        if is_ours && other != self.user && timeline::age(event) < LIFETIME {
            let left = UnderWay { room: Some(room.clone()), flow: id.to_owned(), device: None };
            self.made.push(Request { user: UserId::new(other), left, by_us });
        }
    }

    /// Those that nobody has ended.
    pub(crate) fn open(self) -> impl Iterator<Item = Request> {
        let over = self.over;
        self.made.into_iter().filter(move |request| !over.contains(&request.left.flow))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(id: &str, sender: &str, to: &str, age: u64) -> Value {
        json!({
            "type": "m.room.message", "event_id": id, "sender": sender,
            "content": {
                "msgtype": "m.key.verification.request", "to": to, "from_device": "MINE",
                "body": "verify me",
            },
            "unsigned": { "age": age },
        })
    }

    fn open(events: &[Value]) -> Vec<(String, String)> {
        let mut requests = Requests::of("@bot:hs", "MINE");
        for event in events {
            requests.add(&RoomId::new("!r"), event);
        }
        requests.open().map(|request| (request.user.to_string(), request.left.flow)).collect()
    }

    #[test]
    fn requests_by_this_device_and_to_this_user_are_open() {
        let found = open(&[
            request("$1", "@bot:hs", "@alice:hs", 1),
            request("$2", "@bob:hs", "@bot:hs", 1),
        ]);
        let expected = [("@alice:hs", "$1"), ("@bob:hs", "$2")];
        assert_eq!(found, expected.map(|(user, flow)| (user.to_owned(), flow.to_owned())));
    }

    #[test]
    fn what_is_over_or_old_or_of_others_is_passed_over() {
        let mut other_device = request("$3", "@bot:hs", "@alice:hs", 1);
        other_device["content"]["from_device"] = json!("ANOTHER");
        let cancelled = json!({
            "type": "m.key.verification.cancel", "sender": "@alice:hs",
            "content": { "m.relates_to": { "rel_type": "m.reference", "event_id": "$1" } },
        });
        let events = [
            request("$1", "@bot:hs", "@alice:hs", 1),
            cancelled,
            request("$2", "@bob:hs", "@bot:hs", 600_000),
            other_device,
            request("$4", "@bob:hs", "@carol:hs", 1),
            json!({ "type": "m.room.message", "content": { "msgtype": "m.key.verification.request" } }),
            json!(null),
        ];
        assert_eq!(open(&events), []);
    }
}
