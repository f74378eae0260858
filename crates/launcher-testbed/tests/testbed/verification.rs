//! Shows that users verify each other as they do in Element, what others see
//! when that ends or an identity is replaced, and what passes between devices.

use std::{thread, time::Instant};

use launcher_testbed::{
    DEFAULT_TIMEOUT, JsUser, LoginOptions, MessageFilter, RoomOptions, UnverifiedDevices,
    VerificationEnd,
};
use serde_json::json;

use super::{Testbed, recovery::further_device, room_with};

const DONE: VerificationEnd =
    VerificationEnd { done: true, cancelled: false, code: None, cancelled_by_us: None };

fn cancelled(code: &str, by_us: Option<bool>) -> VerificationEnd {
    let code = Some(code.to_owned());
    VerificationEnd { done: false, cancelled: true, code, cancelled_by_us: by_us }
}

/// Two users in a direct chat.
fn acquainted(testbed: &Testbed, names: [&str; 2]) -> ([JsUser; 2], String) {
    let users = testbed.users(names, LoginOptions::default);
    let room = room_with(&users[0], &users[1], RoomOptions::encrypted().direct());
    (users, room)
}

/// The one asks, the other is willing.
fn agreed(asking: &JsUser, asked: &JsUser, room: &str) -> String {
    let flow = asking.request_verification(room, asked.user_id()).unwrap();
    let seen = asked.wait_for_verification_request(asking.user_id(), DEFAULT_TIMEOUT).unwrap();
    assert_eq!(seen, flow);
    assert_eq!(asked.verification_phase(&flow).unwrap(), "requested");
    asked.accept_verification(&flow).unwrap();
    flow
}

/// Both see the emojis and say that they are the same.
fn compare(one: &JsUser, other: &JsUser, flow: &str) {
    let [emojis, others] = thread::scope(|scope| {
        [one, other]
            .map(|user| scope.spawn(|| user.wait_for_emojis(flow, DEFAULT_TIMEOUT).unwrap()))
            .map(|shown| shown.join().unwrap())
    });
    assert_eq!(emojis, others);
    assert_eq!(emojis.len(), 7);
    one.confirm_emojis(flow).unwrap();
    other.confirm_emojis(flow).unwrap();
    assert_eq!(one.wait_for_verification_end(flow, DEFAULT_TIMEOUT).unwrap(), DONE);
    assert_eq!(other.wait_for_verification_end(flow, DEFAULT_TIMEOUT).unwrap(), DONE);
}

fn assert_verified(one: &JsUser, other: &JsUser) {
    for (user, other) in [(one, other), (other, one)] {
        let status = user.wait_for_verified_user(other.user_id(), DEFAULT_TIMEOUT).unwrap();
        assert!(status.was_verified && !status.needs_approval && status.master_key.is_some());
        let device = user.device_status(other.user_id(), other.device_id()).unwrap();
        assert!(device.cross_signing_verified);
    }
}

fn verify(one: &JsUser, other: &JsUser, room: &str) {
    let flow = agreed(one, other, room);
    one.start_sas(&flow).unwrap();
    compare(one, other, &flow);
    assert_verified(one, other);
}

/// Lets both forget the verification that they are done with.
fn sync_both(one: &JsUser, other: &JsUser, room: &str) {
    let sent = one.send_text(room, "once more").unwrap();
    for user in [one, other] {
        let seen = MessageFilter::new().event_id(&sent);
        user.wait_for_message(room, seen, DEFAULT_TIMEOUT).unwrap();
    }
}

fn is_verified(user: &JsUser, other: &JsUser) -> bool {
    user.user_status(other.user_id()).unwrap().verified
}

pub(super) fn two_users_verify_each_other_by_emojis(testbed: &Testbed) {
    let ([ada, bea], room) = acquainted(testbed, ["ada", "bea"]);
    assert!(!is_verified(&ada, &bea) && !is_verified(&bea, &ada));
    assert!(is_verified(&ada, &ada));

    let started = Instant::now();
    verify(&ada, &bea, &room);
    println!("    verified after {:.1?}", started.elapsed());
}

pub(super) fn emojis_are_the_same_whoever_begins(testbed: &Testbed) {
    let ([cai, dov], room) = acquainted(testbed, ["cai", "dov"]);
    let flow = agreed(&cai, &dov, &room);
    dov.start_sas(&flow).unwrap();
    compare(&cai, &dov, &flow);
    assert_verified(&cai, &dov);

    sync_both(&cai, &dov, &room);
    let flow = agreed(&dov, &cai, &room);
    thread::scope(|scope| {
        for user in [&cai, &dov] {
            scope.spawn(|| user.start_sas(&flow).unwrap());
        }
    });
    compare(&cai, &dov, &flow);
}

pub(super) fn different_emojis_verify_nobody(testbed: &Testbed) {
    let ([eli, fay], room) = acquainted(testbed, ["eli", "fay"]);
    let flow = agreed(&eli, &fay, &room);
    eli.start_sas(&flow).unwrap();
    fay.wait_for_emojis(&flow, DEFAULT_TIMEOUT).unwrap();
    eli.wait_for_emojis(&flow, DEFAULT_TIMEOUT).unwrap();
    eli.confirm_emojis(&flow).unwrap();
    fay.mismatch_emojis(&flow).unwrap();
    let end = |user: &JsUser| user.wait_for_verification_end(&flow, DEFAULT_TIMEOUT).unwrap();
    assert_eq!(end(&fay), cancelled("m.mismatched_sas", Some(true)));
    assert_eq!(end(&eli), cancelled("m.mismatched_sas", Some(false)));
    assert!(!is_verified(&eli, &fay) && !is_verified(&fay, &eli));
}

pub(super) fn a_cancelled_verification_is_over_for_both(testbed: &Testbed) {
    let ([gil, hal], room) = acquainted(testbed, ["gil", "hal"]);
    let flow = gil.request_verification(&room, hal.user_id()).unwrap();
    hal.wait_for_verification_request(gil.user_id(), DEFAULT_TIMEOUT).unwrap();
    hal.cancel_verification(&flow).unwrap();
    let end = |user: &JsUser| user.wait_for_verification_end(&flow, DEFAULT_TIMEOUT).unwrap();
    assert_eq!(end(&hal), cancelled("m.user", Some(true)));
    assert_eq!(end(&gil), cancelled("m.user", Some(false)));
    let error = gil.start_sas(&flow).unwrap_err().to_string();
    assert!(error.ends_with("is over: cancelled, m.user"), "{error}");

    let again = agreed(&gil, &hal, &room);
    assert_ne!(again, flow, "each request is reported once");
    assert!(!is_verified(&gil, &hal) && !is_verified(&hal, &gil));
}

pub(super) fn a_scanned_code_verifies_both(testbed: &Testbed) {
    let ([ida, jon], room) = acquainted(testbed, ["ida", "jon"]);
    let flow = agreed(&ida, &jon, &room);
    let code = ida.show_qr(&flow).unwrap();
    assert!(code.starts_with(b"MATRIX"), "{code:?}");
    jon.scan_qr(&flow, &code).unwrap();
    ida.confirm_scan(&flow, DEFAULT_TIMEOUT).unwrap();
    for user in [&ida, &jon] {
        assert_eq!(user.wait_for_verification_end(&flow, DEFAULT_TIMEOUT).unwrap(), DONE);
    }
    assert_verified(&ida, &jon);
}

pub(super) fn a_verified_device_is_signed(testbed: &Testbed) {
    let [kay] = testbed.users(["kay"], LoginOptions::default);
    let second = further_device(testbed, &kay);
    kay.wait_for_device(kay.user_id(), second.device_id(), DEFAULT_TIMEOUT).unwrap();
    let flow = second.request_own_verification().unwrap();
    let seen = kay.wait_for_verification_request(kay.user_id(), DEFAULT_TIMEOUT).unwrap();
    assert_eq!(seen, flow);
    kay.accept_verification(&flow).unwrap();
    kay.start_sas(&flow).unwrap();
    compare(&kay, &second, &flow);
    for device in [&kay, &second] {
        device.wait_for_signed_device(kay.user_id(), second.device_id(), DEFAULT_TIMEOUT).unwrap();
    }

    let third = further_device(testbed, &kay);
    third.wait_for_device(kay.user_id(), kay.device_id(), DEFAULT_TIMEOUT).unwrap();
    let flow = kay.request_device_verification(kay.user_id(), third.device_id()).unwrap();
    third.wait_for_verification_request(kay.user_id(), DEFAULT_TIMEOUT).unwrap();
    assert_eq!(third.verification_phase(&flow).unwrap(), "requested");
    third.cancel_verification(&flow).unwrap();
    let end = kay.wait_for_verification_end(&flow, DEFAULT_TIMEOUT).unwrap();
    assert_eq!(end, cancelled("m.user", None));
}

pub(super) fn a_replaced_identity_is_not_verified_anymore(testbed: &Testbed) {
    let ([lea, max], room) = acquainted(testbed, ["lea", "max"]);
    let [ned] = testbed.users(["ned"], LoginOptions::default);
    let other_room = room_with(&ned, &max, RoomOptions::encrypted());
    ned.send_text(&other_room, "who are you?").unwrap();
    ned.wait_for_signed_device(max.user_id(), max.device_id(), DEFAULT_TIMEOUT).unwrap();
    verify(&lea, &max, &room);
    let before = lea.user_status(max.user_id()).unwrap();

    max.reset_identity().unwrap();
    let after = lea.wait_for_changed_identity(max.user_id(), DEFAULT_TIMEOUT).unwrap();
    assert!(!after.verified && after.was_verified && after.needs_approval);
    assert_ne!(after.master_key, before.master_key);
    lea.wait_for_signed_device(max.user_id(), max.device_id(), DEFAULT_TIMEOUT).unwrap();
    let after = ned.wait_for_changed_identity(max.user_id(), DEFAULT_TIMEOUT).unwrap();
    assert!(!after.was_verified && after.needs_approval);
    assert!(max.wait_for_verified_user(max.user_id(), DEFAULT_TIMEOUT).is_ok());
}

pub(super) fn a_device_may_be_signed_later(testbed: &Testbed) {
    let ([oda, pia], _) = acquainted(testbed, ["oda", "pia"]);
    let second = further_device(testbed, &oda);
    let device = pia.wait_for_device(oda.user_id(), second.device_id(), DEFAULT_TIMEOUT).unwrap();
    assert!(!device.signed_by_owner);
    oda.sign_own_device(second.device_id()).unwrap();
    for user in [&pia, &oda, &second] {
        user.wait_for_signed_device(oda.user_id(), second.device_id(), DEFAULT_TIMEOUT).unwrap();
    }
}

pub(super) fn a_withheld_key_says_why(testbed: &Testbed) {
    let ([rex, sue], room) = acquainted(testbed, ["rex", "sue"]);
    rex.set_unverified_devices(UnverifiedDevices::Exclude).unwrap();
    let hidden = rex.send_text(&room, "for the verified").unwrap();
    let why = "MEGOLM_KEY_WITHHELD_FOR_UNVERIFIED_DEVICE";
    let locked = MessageFilter::new().event_id(&hidden).failed_with(why);
    let seen = sue.wait_for_message(&room, locked, DEFAULT_TIMEOUT).unwrap();
    assert_eq!(seen.decryption_failure.as_deref(), Some(why));

    // Of the other reasons, the SDK tells only that there was one.
    let content = json!({
        "algorithm": "m.megolm.v1.aes-sha2",
        "code": "m.blacklisted",
        "reason": "not you",
        "room_id": room,
        "sender_key": rex.user_devices(rex.user_id()).unwrap()[0].curve25519,
        "session_id": seen.wire_content["session_id"],
    });
    let messages = json!({ sue.user_id(): { sue.device_id(): content } });
    rex.send_to_device("m.room_key.withheld", &messages).unwrap();
    let locked = MessageFilter::new().event_id(&hidden).failed_with("MEGOLM_KEY_WITHHELD");
    sue.wait_for_message(&room, locked, DEFAULT_TIMEOUT).unwrap();

    rex.set_unverified_devices(UnverifiedDevices::Include).unwrap();
    rex.send_text(&room, "for all").unwrap();
    let for_all = MessageFilter::new().body("for all");
    sue.wait_for_message(&room, for_all, DEFAULT_TIMEOUT).unwrap();
}

pub(super) fn a_flood_of_key_requests_arrives(testbed: &Testbed) {
    let ([tom, una], room) = acquainted(testbed, ["tom", "una"]);
    let sent = tom.send_text(&room, "wanted").unwrap();
    let wanted = MessageFilter::new().event_id(&sent);
    let seen = una.wait_for_message(&room, wanted, DEFAULT_TIMEOUT).unwrap();
    let session = seen.wire_content["session_id"].as_str().unwrap();
    una.flood_key_requests(tom.user_id(), tom.device_id(), &room, session, 100).unwrap();
    // Whoever asks like that still gets what is for all.
    tom.send_text(&room, "still here").unwrap();
    let wanted = MessageFilter::new().body("still here");
    una.wait_for_message(&room, wanted, DEFAULT_TIMEOUT).unwrap();
}

pub(super) fn a_reaction_is_seen_with_what_it_says(testbed: &Testbed) {
    let ([viv, wes], room) = acquainted(testbed, ["viv", "wes"]);
    let sent = viv.send_text(&room, "a question").unwrap();
    let relation = json!({ "rel_type": "m.annotation", "event_id": sent, "key": "👀" });
    let content = json!({ "m.relates_to": relation });
    let reaction = wes.send_event(&room, "m.reaction", &content).unwrap();
    let wanted = MessageFilter::new().sender(wes.user_id()).reaction_to(&sent);
    let seen = viv.wait_for_message(&room, wanted, DEFAULT_TIMEOUT).unwrap();
    assert_eq!(
        (seen.event_id.as_str(), seen.event_type.as_str()),
        (reaction.as_str(), "m.reaction")
    );
    assert_eq!(seen.content["m.relates_to"]["key"], "👀");
    assert!(viv.messages(&room).unwrap().contains(&seen));
    let of_type = MessageFilter::new().event_type("m.reaction");
    assert_eq!(viv.wait_for_message(&room, of_type, DEFAULT_TIMEOUT).unwrap(), seen);
}
