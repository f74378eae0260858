use serde_json::value::to_raw_value;

use super::*;

const ID: &str = "0193b1c2-aaaa-7bbb-8ccc-0123456789ab";

fn row(kind: &str, more: Value) -> Value {
    let mut row = json!({
        "id": ID, "type": kind, "chat_room_id": ID, "created_at": "2025-11-13T02:13:20.120Z",
        "sender": { "account_id": ID, "account": { "name": "ann" } }, "meta": {},
    });
    if let (Value::Object(row), Value::Object(more)) = (&mut row, more) {
        row.extend(more);
    }
    row
}

fn as_row(value: &Value) -> Option<TimelineRow> {
    super::as_row(&to_raw_value(value).unwrap())
}

fn kind(name: &str, more: Value) -> Option<TimelineKind> {
    as_row(&row(name, more)).map(|row| row.kind)
}

#[test]
fn a_row_of_each_kind_is_told_from_the_others() {
    let sealed = json!({
        "is_encrypted": true, "ciphertext": "AQI=", "meta": { "message_id": ID },
        "encryption_epoch": 3,
    });
    let of = RowId::parse(ID).unwrap();
    for (name, wanted) in [
        ("text", RowKind::Message),
        ("messages.update", RowKind::Update { of }),
        ("messages.delete", RowKind::Delete { of }),
    ] {
        let Some(TimelineKind::Encrypted(row)) = kind(name, sealed.clone()) else { panic!() };
        assert_eq!((row.kind, row.epoch, row.ciphertext), (wanted, 3, vec![1, 2]));
    }
    let plain = kind("text", json!({ "content": "hi" }));
    assert!(matches!(plain, Some(TimelineKind::Plain { text, .. }) if text == "hi"));
    let left = json!({ "meta": { "account_id": ID, "operator_account_id": ID } });
    let Some(TimelineKind::System(notice)) = kind("system.member.left", left) else { panic!() };
    let account = AccountId::parse(ID).unwrap();
    assert_eq!(notice, Notice::Left { account, by: Some(account) });
    assert!(matches!(kind("voice", json!({})), Some(TimelineKind::Other { .. })));
}

#[test]
fn what_is_left_of_a_deleted_edit_is_no_message() {
    let emptied = json!({ "is_encrypted": true, "meta": { "message_id": ID } });
    let kind = kind("messages.update", emptied);
    assert!(matches!(kind, Some(TimelineKind::Other { .. })));
}

#[test]
fn what_is_no_row_is_none() {
    assert!(as_row(&json!(null)).is_none());
    assert!(as_row(&row("text", json!({ "sender": null }))).is_none());
    let bad = json!({ "is_encrypted": true, "ciphertext": "AQI" });
    assert!(kind("text", bad).is_none());
    assert!(kind("messages.update", json!({ "is_encrypted": true })).is_none());
}
