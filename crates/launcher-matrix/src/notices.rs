//! Who of the launcher's agents tells a room that a message cannot be read.
//!
//! If a key reaches none of a hundred agents in a room, one of them says so.
//! Within a process that is the first one whose patience ends. Across
//! processes and restarts the room itself is asked: whoever finds that
//! somebody has told already keeps quiet.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use launcher_core::{
    names::{RoomId, UserId},
    trust::Refusal,
};
use launcher_runtime::{
    ports::{Notice, NoticeKind, journal::Locked},
    transaction_part,
};
use matrix_sdk::{Client, deserialized_responses::TimelineEventKind, ruma};
use serde_json::Value;
use tracing::debug;

use crate::{content, decrypting, feed, rest::Rest, undecryptable};

/// Claims that are remembered at most.
const CLAIMS: usize = 10_000;

/// The claims of all agents of the process.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    claims: Mutex<BTreeMap<(RoomId, String), UserId>>,
}

impl Notices {
    /// Whether it falls to `agent` to tell about this event's session.
    pub(crate) fn claim(&self, event: &Locked, agent: &UserId) -> bool {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (event.room.clone(), undecryptable::key_of(event));
        if claims.len() >= CLAIMS && !claims.contains_key(&key) {
            claims.pop_first();
        }
        claims.entry(key).or_insert_with(|| agent.clone()) == agent
    }
}

/// What to say about an event.
pub(crate) fn notice(event: &Locked) -> Notice {
    Notice {
        room: event.room.clone(),
        about: event.event.clone(),
        sender: event.sender.clone(),
        kind: NoticeKind::MissingKey {
            session: undecryptable::key_of(event),
            text: event.cause.notice(),
        },
        transaction: format!("notice-to{}", transaction_part(&event.event)),
    }
}

/// What to tell somebody who is not obeyed; nothing, if they are not to know.
pub(crate) fn hint(event: &Locked, refusal: Refusal) -> Option<Notice> {
    Some(Notice {
        room: event.room.clone(),
        about: event.event.clone(),
        sender: event.sender.clone(),
        kind: NoticeKind::NotTrusted { hint: refusal.hint()? },
        transaction: format!("hint-to{}", transaction_part(&event.event)),
    })
}

/// Whether somebody, of whatever process, has told already: a notice in reply
/// to this event, not by its sender. A reply that cannot be read may be one.
/// A room that cannot be looked at counts as not told: twice is better than never.
pub(crate) async fn is_told(client: &Client, rest: &Rest, token: &str, event: &Locked) -> bool {
    let Ok(id) = ruma::RoomId::parse(event.room.as_str()) else { return true };
    let Some(room) = client.get_room(&id) else { return true };
    let page = match rest.messages(token, event.room.as_str(), None, None).await {
        Ok(page) => page,
        Err(error) => {
            debug!(room = %event.room, %error, "looking for a notice failed");
            return error.is_absence();
        }
    };
    for found in page.events {
        let relation = &found["content"]["m.relates_to"]["m.in_reply_to"]["event_id"];
        if *relation != event.event.as_str() || found["sender"] == event.sender.as_str() {
            continue;
        }
        if !feed::is_encrypted(&found) {
            if is_notice(&found) {
                return true;
            }
            continue;
        }
        let opened = decrypting::open(&room, &found).await;
        let is_notice = match opened.as_ref().map(|event| &event.kind) {
            Ok(TimelineEventKind::Decrypted(event)) => {
                serde_json::from_str(event.event.json().get()).is_ok_and(|json| is_notice(&json))
            }
            _ => true,
        };
        if is_notice {
            return true;
        }
    }
    false
}

fn is_notice(event: &Value) -> bool {
    event["content"]["msgtype"] == "m.notice"
        && content::AUTOMATED.iter().any(|mark| event["content"][mark] == true)
}

#[cfg(test)]
mod tests {
    use launcher_core::{names::EventId, undecryptable::Cause};
    use launcher_runtime::ports::journal::Stamp;

    use super::*;

    #[test]
    fn one_of_many_agents_tells_about_a_session() {
        let event = Locked {
            event: EventId::new("$1"),
            room: RoomId::new("!r:hs"),
            sender: UserId::new("@alice:hs"),
            session: Some("s".into()),
            cause: Cause::UnknownSession,
            sent: Stamp(0),
            first_seen: Stamp(0),
            tries: 0,
            next_try: Stamp(0),
            noticed: false,
        };
        let notices = Notices::default();
        let agents: Vec<UserId> = (0..100).map(|n| UserId::new(format!("@bot{n}:hs"))).collect();
        let claimed = agents.iter().filter(|agent| notices.claim(&event, agent)).count();
        assert_eq!(claimed, 1);
        assert!(notices.claim(&event, &agents[0]), "asked again, it is still the same one");
        let other = Locked { session: Some("t".into()), ..event };
        assert!(notices.claim(&other, &agents[5]));
    }
}
