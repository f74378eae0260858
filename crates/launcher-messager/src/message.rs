//! Rows as the runtime's messages.

use std::time::Duration;

use launcher_core::{
    conversation::{Message, MessageKind},
    trust::Assurance,
};
use launcher_runtime::ports::journal::{Ciphertext, Heard};

use crate::{
    crypto::{AccountId, Action, ReadRow, RoomId, Row, RowId, RowKind},
    names,
};

/// What is known of a message besides what its sender wrote.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Around {
    /// How long ago the server got it.
    pub(crate) age: Duration,
    /// Whether nobody but the sender and the agent is in the room.
    pub(crate) direct: bool,
    /// How sure it is who wrote it.
    pub(crate) assurance: Assurance,
}

/// A row that was read, as a message that was heard.
pub(crate) fn heard(row: &Row, read: &ReadRow, around: Around) -> Heard {
    let body = &read.content.body;
    // A message that was edited before anybody read it is a message all the same.
    let (kind, target) = match (row.kind, read.content.action) {
        (RowKind::Message, _) | (_, Action::New) => (MessageKind::Text, None),
        (_, Action::Edit { target }) => (MessageKind::Edit, Some(target)),
        (_, Action::Delete { target }) => (MessageKind::Redaction, Some(target)),
    };
    // The row of a message is heard once, whatever stands in it by then: an edit has its
    // ciphertext in a row of its own as well, and the journal takes each once, for ever.
    let ciphertext = match row.kind {
        RowKind::Message => Ciphertext { session: format!("row:{}", row.id), index: 0 },
        RowKind::Update { .. } | RowKind::Delete { .. } => {
            Ciphertext { session: read.place.session.to_string(), index: read.place.index }
        }
    };
    let message = Message {
        kind,
        automated: body.automated,
        thread: body.thread.map(names::event),
        in_reply_to: body.reply_to.map(names::event),
        target: target.map(names::event),
        mentions: body.mentions.iter().map(|account| names::user(*account)).collect(),
        ..text(row.room, row.id, row.sender, body.text.clone(), around)
    };
    Heard { message, ciphertext: Some(ciphertext), wanted: true, verdict: None }
}

/// A message in the clear.
pub(crate) fn plain(
    room: RoomId,
    row: RowId,
    sender: AccountId,
    (body, automated): (String, bool),
    around: Around,
) -> Heard {
    let message = Message { automated, ..text(room, row, sender, body, around) };
    Heard { message, ciphertext: None, wanted: true, verdict: None }
}

fn text(
    room: RoomId,
    row: RowId,
    sender: AccountId,
    body: String,
    Around { age, direct, assurance }: Around,
) -> Message {
    let (room, event, sender) = (names::room(room), names::event(row), names::user(sender));
    Message { age, direct, assurance, ..Message::text(room, event, sender, body) }
}

#[cfg(test)]
mod tests {
    use vodozemac::{Curve25519PublicKey, Curve25519SecretKey, Ed25519Keypair};

    use super::*;
    use crate::crypto::{Address, Body, Content, DeviceName, Place, RowSender, SCHEME, SessionId};

    fn row(kind: RowKind) -> Row {
        Row {
            id: RowId::from_bytes([1; 16]),
            room: RoomId::from_bytes([2; 16]),
            sender: AccountId::from_bytes([3; 16]),
            kind,
            scheme: SCHEME.to_owned(),
            epoch: 1,
            message_type: "content.new".to_owned(),
            client_message_id: None,
            ciphertext: Vec::new(),
        }
    }

    fn read(action: Action, index: u32) -> ReadRow {
        let address =
            Address::new(AccountId::from_bytes([3; 16]), DeviceName::new("phone").unwrap());
        let curve25519 = Curve25519PublicKey::from(&Curve25519SecretKey::new());
        let ed25519 = Ed25519Keypair::new().public_key();
        let session = SessionId::from_base64(&"A".repeat(43)).unwrap();
        ReadRow {
            content: Content {
                room: RoomId::from_bytes([2; 16]),
                sender: address.clone(),
                epoch: 1,
                client_message_id: "a".to_owned(),
                sent: 0,
                action,
                body: Body::text("hi"),
            },
            sender: RowSender { address, curve25519, ed25519, device: None },
            place: Place { session, index },
            is_own: false,
            was_read: false,
        }
    }

    #[test]
    fn a_message_is_known_again_by_its_row_also_after_an_edit() {
        let around =
            || Around { age: Duration::ZERO, direct: true, assurance: Assurance::InTheClear };
        let target = RowId::from_bytes([1; 16]);
        let known = |kind, action, index| heard(&row(kind), &read(action, index), around());
        let first = known(RowKind::Message, Action::New, 0);
        let edited = known(RowKind::Message, Action::Edit { target }, 1);
        assert_eq!(first.ciphertext, edited.ciphertext);
        assert_eq!(edited.message.kind, MessageKind::Text);
        let edit = known(RowKind::Update { of: target }, Action::Edit { target }, 1);
        assert_ne!(edit.ciphertext, first.ciphertext);
        assert_eq!(edit.message.kind, MessageKind::Edit);
    }
}
