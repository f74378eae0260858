//! A row as it waits in the journal.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::crypto::{AccountId, RoomId, Row, RowId, RowKind};

/// A row that could not be read, or not be acted upon, in a form of its own:
/// the server's may change.
#[derive(Serialize, Deserialize)]
struct Kept {
    id: RowId,
    room: RoomId,
    sender: AccountId,
    kind: Kind,
    of: Option<RowId>,
    scheme: String,
    epoch: i64,
    message_type: String,
    client_message_id: Option<String>,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Message,
    Update,
    Delete,
}

/// The row as JSON.
pub(crate) fn write(row: &Row) -> String {
    let (kind, of) = match row.kind {
        RowKind::Message => (Kind::Message, None),
        RowKind::Update { of } => (Kind::Update, Some(of)),
        RowKind::Delete { of } => (Kind::Delete, Some(of)),
    };
    let kept = Kept {
        id: row.id,
        room: row.room,
        sender: row.sender,
        kind,
        of,
        scheme: row.scheme.clone(),
        epoch: row.epoch,
        message_type: row.message_type.clone(),
        client_message_id: row.client_message_id.clone(),
        ciphertext: STANDARD.encode(&row.ciphertext),
    };
    // Texts and numbers only: it cannot fail.
    serde_json::to_string(&kept).unwrap_or_default()
}

/// The row from its JSON; `None` if it is damaged.
pub(crate) fn read(json: &str) -> Option<Row> {
    let kept: Kept = serde_json::from_str(json).ok()?;
    let kind = match (kept.kind, kept.of) {
        (Kind::Message, _) => RowKind::Message,
        (Kind::Update, Some(of)) => RowKind::Update { of },
        (Kind::Delete, Some(of)) => RowKind::Delete { of },
        (Kind::Update | Kind::Delete, None) => return None,
    };
    Some(Row {
        id: kept.id,
        room: kept.room,
        sender: kept.sender,
        kind,
        scheme: kept.scheme,
        epoch: kept.epoch,
        message_type: kept.message_type,
        client_message_id: kept.client_message_id,
        ciphertext: STANDARD.decode(kept.ciphertext).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_the_same_when_it_is_taken_up_again() {
        let of = RowId::from_bytes([4; 16]);
        for kind in [RowKind::Message, RowKind::Update { of }, RowKind::Delete { of }] {
            let row = Row {
                id: RowId::from_bytes([1; 16]),
                room: RoomId::from_bytes([2; 16]),
                sender: AccountId::from_bytes([3; 16]),
                kind,
                scheme: "s".to_owned(),
                epoch: -7,
                message_type: "content.new".to_owned(),
                client_message_id: Some("c".to_owned()),
                ciphertext: vec![0, 255, 7],
            };
            assert_eq!(format!("{:?}", read(&write(&row)).unwrap()), format!("{row:?}"));
        }
        assert!(read("{").is_none());
    }
}
