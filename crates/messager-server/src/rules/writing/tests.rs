//! The order of the checks, and each of them.

use serde_json::json;

use super::*;
use crate::values::{AccountId, MemberId};

const NOW: Moment = Moment(1_000_000);

fn member() -> Membership {
    Membership {
        id: MemberId::new(NOW).unwrap(),
        account: AccountId::new(NOW).unwrap(),
        joined: Some(Moment(1)),
        left: None,
        timeout: None,
    }
}

fn place(membership: Option<&Membership>) -> Place<'_> {
    Place { mode: Mode::SenderKeys, membership, ability: Ability::Encrypts, now: NOW }
}

fn body(value: serde_json::Value) -> SendBody {
    serde_json::from_value(value).unwrap()
}

fn good() -> serde_json::Value {
    json!({
        "is_encrypted": true, "ciphertext": "AQID", "encryption_scheme": "megolm.v1",
        "encryption_message_type": "content.new",
    })
}

fn rule(result: Result<(), Refusal>) -> EncryptionRule {
    match result {
        Err(Refusal::Encryption(rule, _)) => rule,
        other => panic!("{other:?} is no rule of encryption"),
    }
}

#[test]
fn what_is_wrong_is_said_in_one_order() {
    // Each step repairs what was refused before.
    let mut member = member();
    member.left = Some(Moment(2));
    member.timeout = Some(NOW.next());
    let nothing = body(json!({}));
    let mut all = place(None);
    all.ability = Ability::None;
    let forbidden = |text: &str| text.contains("member to send");
    assert!(matches!(may_send(&all, &nothing), Err(Refusal::Forbidden(t)) if forbidden(t)));
    all.membership = Some(&member);
    assert!(matches!(may_send(&all, &nothing), Err(Refusal::Forbidden(t)) if forbidden(t)));
    let active = Membership { left: None, ..member.clone() };
    all.membership = Some(&active);
    assert!(matches!(may_send(&all, &nothing), Err(Refusal::Forbidden(t)) if !forbidden(t)));
    let heard = Membership { timeout: Some(NOW), ..active.clone() };
    all.membership = Some(&heard);
    assert_eq!(rule(may_send(&all, &nothing)), EncryptionRule::Required);
    all.ability = Ability::Encrypts;
    assert_eq!(rule(may_send(&all, &nothing)), EncryptionRule::PayloadRequired);
    let mut value = good();
    value["ciphertext"] = "eyJjb250ZW50IjoiaGkifQ==".into();
    value["content"] = "hi".into();
    assert_eq!(rule(may_send(&all, &body(value.clone()))), EncryptionRule::CiphertextInvalid);
    value["ciphertext"] = "AQID".into();
    assert_eq!(rule(may_send(&all, &body(value.clone()))), EncryptionRule::PlaintextForbidden);
    value["content"] = " \n".into();
    assert_eq!(may_send(&all, &body(value)), Ok(()));
}

#[test]
fn nothing_of_the_payload_can_be_missing() {
    let member = member();
    let place = place(Some(&member));
    for (field, value) in [
        ("is_encrypted", json!(null)),
        ("is_encrypted", json!(false)),
        ("ciphertext", json!(null)),
        ("ciphertext", json!("")),
        ("encryption_scheme", json!("  ")),
        ("encryption_message_type", json!(null)),
        ("encryption_message_type", json!("content.edit")),
        ("encryption_message_type", json!("text")),
        ("encryption_epoch", json!(-1)),
    ] {
        let mut changed = good();
        changed[field] = value;
        let changed = body(changed);
        assert_eq!(rule(may_send(&place, &changed)), EncryptionRule::PayloadRequired, "{field}");
    }
    assert_eq!(may_send(&place, &body(good())), Ok(()));
}

#[test]
fn nothing_can_stand_beside_the_ciphertext() {
    let member = member();
    let place = place(Some(&member));
    let id = "0198c0de-0000-7000-8000-000000000001";
    for (field, value) in [
        ("content", json!("hello")),
        ("attachments_id", json!(["a"])),
        ("fund_id", json!(id)),
        ("poll_id", json!(id)),
        ("replied_message_id", json!(id)),
        ("forwarded_message_id", json!(id)),
        ("meta", json!({ "a": 1 })),
    ] {
        let mut changed = good();
        changed[field] = value;
        let changed = body(changed);
        assert_eq!(rule(may_send(&place, &changed)), EncryptionRule::PlaintextForbidden, "{field}");
    }
    let mut empty = good();
    empty["attachments_id"] = json!([]);
    empty["meta"] = json!({});
    assert_eq!(may_send(&place, &body(empty)), Ok(()));
}

#[test]
fn an_edit_is_refused_in_its_own_order() {
    let former = Membership { left: Some(Moment(2)), ..member() };
    let mut place = place(Some(&former));
    place.ability = Ability::None;
    let own = Original { kind: RowKind::Voice, is_own: true };
    let other = Original { is_own: false, ..own };
    let nothing = body(json!({}));
    assert_eq!(rule(may_edit(&place, other, &nothing)), EncryptionRule::Required);
    place.ability = Ability::Encrypts;
    let says = |result, what: &str| match result {
        Err(Refusal::Forbidden(text)) => assert!(text.contains(what), "{text}"),
        Err(Refusal::Bad(text)) => assert!(text.contains(what), "{text}"),
        other => panic!("{other:?}"),
    };
    says(may_edit(&place, other, &nothing), "your own");
    says(may_edit(&place, own, &nothing), "member");
    let quiet = Membership { timeout: Some(NOW.next()), ..member() };
    place.membership = Some(&quiet);
    says(may_edit(&place, own, &nothing), "timed out");
    let member = member();
    place.membership = Some(&member);
    says(may_edit(&place, own, &nothing), "text messages");
    let text = Original { kind: RowKind::Text, ..own };
    assert_eq!(rule(may_edit(&place, text, &nothing)), EncryptionRule::PayloadRequired);
    // The payload of a new message is not that of an edit.
    assert_eq!(rule(may_edit(&place, text, &body(good()))), EncryptionRule::PayloadRequired);
    let mut edit = good();
    edit["encryption_message_type"] = "content.edit".into();
    assert_eq!(may_edit(&place, text, &body(edit)), Ok(()));
}

#[test]
fn a_delete_in_an_encrypted_room_needs_its_payload() {
    let member = member();
    let place = place(Some(&member));
    let own = Original { kind: RowKind::Text, is_own: true };
    let read = |value| serde_json::from_value::<DeleteBody>(value).unwrap();
    let nothing = read(json!({}));
    assert_eq!(rule(may_delete(&place, own, &nothing)), EncryptionRule::PayloadRequired);
    let delete = json!({
        "ciphertext": "AQID", "encryption_scheme": "megolm.v1",
        "encryption_message_type": "content.delete",
    });
    assert_eq!(may_delete(&place, own, &read(delete.clone())), Ok(()));
    let row = Original { kind: RowKind::Update, ..own };
    assert!(matches!(may_delete(&place, row, &read(delete)), Err(Refusal::Bad(_))));
    let plain = Place { mode: Mode::Plain, ..place };
    assert_eq!(may_delete(&plain, own, &nothing), Ok(()));
}

#[test]
fn a_room_in_the_clear_takes_words_only() {
    let member = member();
    let plain = Place { mode: Mode::Plain, ..place(Some(&member)) };
    for (value, what) in [
        (json!({}), "empty"),
        (json!({ "content": " " }), "empty"),
        (good(), "not encrypted"),
        (json!({ "poll_id": "0198c0de-0000-7000-8000-000000000001" }), "no polls"),
    ] {
        let refused = may_send(&plain, &body(value)).unwrap_err();
        assert!(matches!(&refused, Refusal::Bad(text) if text.contains(what)), "{refused:?}");
    }
    assert_eq!(may_send(&plain, &body(json!({ "content": "hello" }))), Ok(()));
    assert_eq!(may_send(&plain, &body(json!({ "attachments_id": ["a"] }))), Ok(()));
}

#[test]
fn voice_is_refused_for_its_own_reason_whatever_the_client_can_do() {
    let member = member();
    let unable = Place { ability: Ability::None, ..place(Some(&member)) };
    assert_eq!(rule(may_speak(&unable)), EncryptionRule::Voice);
    assert!(matches!(may_speak(&place(None)), Err(Refusal::Forbidden(_))));
    assert_eq!(may_speak(&Place { mode: Mode::Plain, ..unable }), Ok(()));
}
