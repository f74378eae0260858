//! Sending, and what a send finds out about the session itself.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use launcher_core::{
    fault::Fault,
    names::{EventId, RoomId as Room, UserId},
};
use launcher_runtime::ports::{Notice, NoticeKind, SendFault};
use matrix_sdk::{RoomMemberships, ruma::RoomId};
use serde_json::Value;
use tokio::time::Instant;
use tracing::error;

use super::MatrixSession;
use crate::{content, errors, rest::RestError};

impl MatrixSession {
    /// Sends a notice.
    pub(super) async fn send_note(&self, notice: &Notice) -> Result<EventId, SendFault> {
        if let Some(event) = self.said_already(notice).await {
            return Ok(event);
        }
        let (event_type, content) = content::notice(notice);
        let sent = self.send_event(&notice.room, event_type, content, &notice.transaction).await?;
        match notice.kind {
            NoticeKind::NotTrusted { .. } => {
                self.ledger.set_told(&notice.sender).await.map_err(passing)?;
            }
            NoticeKind::Greeting { .. } => self.greeted(notice, &sent).await.map_err(passing)?,
            NoticeKind::MissingKey { .. } => {}
        }
        Ok(sent)
    }

    /// Sends an event, encrypted if the room is or ever was. (A reaction never
    /// is: that is how clients find what it belongs to.)
    ///
    /// One at a time per room: encryption's bookkeeping does not survive two.
    pub(super) async fn send_event(
        &self,
        room: &Room,
        event_type: &str,
        content: Value,
        transaction: &str,
    ) -> Result<EventId, SendFault> {
        let _turn = self.turns.take(room.as_str()).await;
        let live = self.live().await.map_err(passing)?;
        let started = Instant::now();
        self.position().last_use = started;
        let refused = |detail: &str| SendFault::Refused { detail: detail.to_owned() };
        let id = RoomId::parse(room.as_str()).map_err(|_| refused("not a room id"))?;
        let found = live.client.get_room(&id).ok_or_else(|| refused("not in this room"))?;
        let encryption =
            found.latest_encryption_state().await.map_err(|error| self.send_fault(&error))?;
        if !encryption.is_encrypted()
            && self.parts.journal.was_encrypted(room).await.map_err(passing)?
        {
            error!(event = "send_refused_plaintext", %room, "the room was encrypted before and the server says that it is not; nothing is sent there");
            return Err(refused("the room was encrypted before and is said to be so no more"));
        }
        if encryption.is_encrypted() && content["url"].is_string() {
            let detail = "the room became encrypted after its file was uploaded".to_owned();
            return Err(SendFault::Passing { detail, retry_after: None });
        }
        let members = match encryption.is_encrypted() && self.ledger.watches().await {
            true => self.members(&found).await?,
            false => Vec::new(),
        };
        let _side_by_side = self.sending.read().await;
        let begun = self.unfinished.begin(room);
        let sent = async {
            self.ledger
                .prepare(&live.client, &members)
                .await
                .map_err(|fault| self.ledger_fault(fault))?;
            let sent = found
                .send_raw(event_type, content)
                .with_transaction_id(transaction.into())
                .await
                .map_err(|error| self.send_fault(&error))?;
            let too_open = self.ledger.was_too_open(&live.client, &members).await;
            if too_open.map_err(|fault| self.ledger_fault(fault))? {
                found.discard_room_key().await.map_err(|error| self.send_fault(&error))?;
            }
            Ok::<_, SendFault>(sent)
        };
        let sent = sent.await;
        begun.finish();
        let sent = sent?;
        self.parts.report.count_sent(started.elapsed());
        self.position().last_use = Instant::now();
        Ok(EventId::new(sent.response.event_id.as_str()))
    }

    /// Those who get a room's key, if they may.
    async fn members(&self, room: &matrix_sdk::Room) -> Result<Vec<UserId>, SendFault> {
        let members = room.members(RoomMemberships::ACTIVE).await;
        let members = members.map_err(|error| self.send_fault(&error))?;
        Ok(members.iter().map(|member| UserId::new(member.user_id().as_str())).collect())
    }

    /// What an error while sending means. One of the session itself ends the
    /// wait for news: a long poll does not notice that its token has expired.
    pub(super) fn send_fault(&self, error: &matrix_sdk::Error) -> SendFault {
        if let Some(fault) = errors::session_fault(&self.parts.spec.account, error) {
            self.note_broken(fault);
        }
        errors::send_fault(error)
    }

    /// What an error of a request by hand means for a send.
    pub(super) fn rest_send_fault(&self, error: RestError) -> SendFault {
        if error.is_final() {
            return SendFault::Refused { detail: error.to_string() };
        }
        let fault = self.parts.rest.fault(&self.parts.spec.account, error);
        if !matches!(fault, Fault::ServerUnavailable { .. }) {
            self.note_broken(fault.clone());
        }
        passing(fault)
    }

    pub(super) fn note_broken(&self, fault: Fault) {
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        self.broke.notify_one();
    }

    /// What an error of the trust ledger means for a send: a store that is broken
    /// ends the session.
    fn ledger_fault(&self, fault: Fault) -> SendFault {
        if matches!(fault, Fault::StoreFailed { .. } | Fault::StoreCorrupt { .. }) {
            self.note_broken(fault.clone());
        }
        passing(fault)
    }

    /// What a send has found out about the session, as an error.
    pub(super) fn check_broken(&self) -> Result<(), Fault> {
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        broken.clone().map_or(Ok(()), Err)
    }
}

/// The rooms in which the last send was cut off: their key may be known to some
/// only, and what this life ends with is not in order.
#[derive(Debug, Default)]
pub(super) struct Unfinished(Mutex<BTreeSet<Room>>);

/// A send that has begun. Dropping it does not end it.
#[must_use]
struct Begun<'a>(&'a Unfinished, &'a Room);

impl Unfinished {
    fn begin<'a>(&'a self, room: &'a Room) -> Begun<'a> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(room.clone());
        Begun(self, room)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl Begun<'_> {
    fn finish(self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(self.1);
    }
}

pub(super) fn passing(fault: Fault) -> SendFault {
    SendFault::Passing { detail: fault.to_string(), retry_after: fault.retry_after() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_send_that_was_cut_off_is_remembered_until_one_in_its_room_ends() {
        let (unfinished, one, two) = (Unfinished::default(), Room::new("!1"), Room::new("!2"));
        unfinished.begin(&one).finish();
        assert!(unfinished.is_empty());
        drop(unfinished.begin(&one));
        unfinished.begin(&two).finish();
        assert!(!unfinished.is_empty());
        unfinished.begin(&one).finish();
        assert!(unfinished.is_empty());
    }
}
