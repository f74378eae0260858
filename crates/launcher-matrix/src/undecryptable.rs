//! Events whose key is not here yet.
//!
//! A room key may come after the message: it travels another way. Such events
//! wait here and are tried again when keys have arrived.

use std::collections::BTreeMap;

use launcher_core::conversation::Message;
use launcher_runtime::Report;
use matrix_sdk::{
    Client,
    deserialized_responses::{
        TimelineEventKind, UnableToDecryptInfo, UnableToDecryptReason, WithheldCode,
    },
    ruma::{
        OwnedEventId, OwnedRoomId,
        events::{AnySyncTimelineEvent, room::encrypted::OriginalSyncRoomEncryptedEvent},
        serde::Raw,
    },
};
use serde_json::Value;
use tracing::{info, warn};

use crate::timeline;

/// Events that wait at most, per agent; the oldest give way.
const MOST: usize = 1_000;

/// The events of one agent that wait for their key.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    events: BTreeMap<u64, Undecryptable>,
    next: u64,
}

#[derive(Debug)]
struct Undecryptable {
    room: OwnedRoomId,
    event_id: OwnedEventId,
    raw: Raw<AnySyncTimelineEvent>,
}

impl Waiting {
    /// Notes an event that could not be decrypted.
    pub(crate) fn add(
        &mut self,
        room: &OwnedRoomId,
        raw: Raw<AnySyncTimelineEvent>,
        info: &UnableToDecryptInfo,
        report: &Report,
    ) {
        let Ok(Some(event_id)) = raw.get_field::<OwnedEventId>("event_id") else { return };
        warn!(
            event = "undecryptable",
            room = %room,
            %event_id,
            session_id = info.session_id,
            reason = reason(&info.reason),
            "a message cannot be decrypted"
        );
        report.count_undecryptable();
        self.events.insert(self.next, Undecryptable { room: room.clone(), event_id, raw });
        self.next += 1;
        if self.events.len() > MOST {
            self.events.pop_first();
        }
        report.set_undecryptable_pending(self.events.len());
    }

    /// Whether any event waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Tries all of them again and returns the messages among those that opened.
    pub(crate) async fn retry(&mut self, client: &Client, report: &Report) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut opened = Vec::new();
        for (number, event) in &self.events {
            let Some(room) = client.get_room(&event.room) else { continue };
            let encrypted: &Raw<OriginalSyncRoomEncryptedEvent> = event.raw.cast_ref_unchecked();
            let Ok(decrypted) = room.decrypt_event(encrypted, None).await else { continue };
            if let TimelineEventKind::Decrypted(decrypted) = &decrypted.kind {
                info!(event = "decrypted_late", room = %event.room, event_id = %event.event_id, "the key arrived");
                opened.push(*number);
                let json = serde_json::from_str::<Value>(decrypted.event.json().get());
                messages.extend(
                    json.ok().and_then(|json| timeline::message(event.room.as_str(), &json)),
                );
            }
        }
        for number in opened {
            self.events.remove(&number);
        }
        report.set_undecryptable_pending(self.events.len());
        messages
    }
}

fn reason(reason: &UnableToDecryptReason) -> String {
    match reason {
        UnableToDecryptReason::MissingMegolmSession { withheld_code: Some(code) } => {
            format!("withheld: {}", withheld(code))
        }
        UnableToDecryptReason::MissingMegolmSession { withheld_code: None } => {
            "unknown session".to_owned()
        }
        UnableToDecryptReason::UnknownMegolmMessageIndex => "the key starts later".to_owned(),
        UnableToDecryptReason::MalformedEncryptedEvent => "malformed".to_owned(),
        UnableToDecryptReason::MegolmDecryptionFailure => "decryption failed".to_owned(),
        UnableToDecryptReason::PayloadDeserializationFailure => "malformed content".to_owned(),
        UnableToDecryptReason::MismatchedIdentityKeys => "identity keys differ".to_owned(),
        UnableToDecryptReason::SenderIdentityNotTrusted(level) => {
            format!("sender not trusted: {level:?}")
        }
        other => format!("{other:?}"),
    }
}

fn withheld(code: &WithheldCode) -> &str {
    code.as_str()
}
