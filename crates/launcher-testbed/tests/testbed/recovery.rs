//! Shows that a recovery key does what it does in Element, and no more.

use std::collections::BTreeMap;

use launcher_testbed::{
    CrossSigning, DEFAULT_TIMEOUT, JsUser, LoginOptions, MessageFilter, Recovered, RoomOptions,
};
use serde_json::Value;

use super::{Testbed, room_with};

/// One more device of a user, unsigned, whose keys are on the homeserver.
pub(super) fn further_device(testbed: &Testbed, user: &JsUser) -> JsUser {
    let options = LoginOptions { cross_signing: CrossSigning::Leave, ..Default::default() };
    testbed.engine.login(testbed.homeserver.base_url(), user.user_id(), "secret", options).unwrap()
}

fn objects(testbed: &Testbed, user: &JsUser) -> BTreeMap<String, Value> {
    testbed.homeserver.server_objects(&user.account().access_token, user.user_id()).unwrap()
}

/// The names of what differs.
fn changed(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Vec<String> {
    let names = before.keys().chain(after.keys()).collect::<std::collections::BTreeSet<_>>();
    names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

pub(super) fn a_recovery_key_brings_another_device_all_it_needs(testbed: &Testbed) {
    let [rosa, sam] = testbed.users(["rosa", "sam"], LoginOptions::default);
    let room = room_with(&rosa, &sam, RoomOptions::encrypted());
    rosa.send_text(&room, "from rosa").unwrap();
    sam.send_text(&room, "from sam").unwrap();
    let from_sam = MessageFilter::new().body("from sam");
    rosa.wait_for_message(&room, from_sam.clone(), DEFAULT_TIMEOUT).unwrap();

    let recovery_key = rosa.set_up_recovery(None).unwrap();
    assert!(recovery_key.starts_with("Es"), "{recovery_key}");
    assert_eq!(recovery_key.split(' ').count(), 12);
    rosa.wait_for_backup(2, DEFAULT_TIMEOUT).unwrap();
    let before = objects(testbed, &rosa);
    assert!(before.values().all(|value| !value.is_null()), "{before:#?}");
    assert_eq!(before["backup"]["count"], 2);

    let second = further_device(testbed, &rosa);
    let locked = MessageFilter::new().undecryptable();
    second.wait_for_message(&room, locked, DEFAULT_TIMEOUT).unwrap();
    let recovered = second.recover(&recovery_key).unwrap();
    let version = before["backup"]["version"].as_str().unwrap().to_owned();
    let expected =
        Recovered { cross_signed: true, backup_version: Some(version), total: 2, imported: 2 };
    assert_eq!(recovered, expected);
    let from_rosa = MessageFilter::new().body("from rosa");
    for late in [from_sam.clone(), from_rosa] {
        let late = second.wait_for_message(&room, late, DEFAULT_TIMEOUT).unwrap();
        assert!(late.ever_failed && late.decryption_failure.is_none(), "{late:?}");
    }
    let in_time = rosa.wait_for_message(&room, from_sam, DEFAULT_TIMEOUT).unwrap();
    assert!(!in_time.ever_failed);
    sam.wait_for_signed_device(second.user_id(), second.device_id(), DEFAULT_TIMEOUT).unwrap();
    let device = format!("device {}", second.device_id());
    assert_eq!(changed(&before, &objects(testbed, &rosa)), [device]);
}

pub(super) fn a_passphrase_makes_a_recovery_key(testbed: &Testbed) {
    let [tess] = testbed.users(["tess"], || LoginOptions {
        cross_signing: CrossSigning::Leave,
        ..Default::default()
    });
    let recovery_key = tess.set_up_recovery(Some("correct horse")).unwrap();
    tess.wait_for_signed_device(tess.user_id(), tess.device_id(), DEFAULT_TIMEOUT).unwrap();
    let objects = objects(testbed, &tess);
    let id = objects["account_data m.secret_storage.default_key"]["key"].as_str().unwrap();
    let key = &objects[&format!("account_data m.secret_storage.key.{id}")];
    assert_eq!(key["passphrase"]["algorithm"], "m.pbkdf2");

    let second = further_device(testbed, &tess);
    let recovered = second.recover(&recovery_key).unwrap();
    assert!(recovered.cross_signed);
    assert_eq!((recovered.imported, recovered.total), (0, 0), "nothing was ever said");
}

pub(super) fn a_wrong_recovery_key_changes_nothing(testbed: &Testbed) {
    let [ute, vic] = testbed.users(["ute", "vic"], LoginOptions::default);
    let right = ute.set_up_recovery(None).unwrap();
    let wrong = vic.set_up_recovery(None).unwrap();
    let second = further_device(testbed, &ute);
    let before = objects(testbed, &ute);

    let error = second.recover(&wrong).unwrap_err().to_string();
    let expected = "Error decrypting secret m.cross_signing.master: bad MAC";
    assert_eq!(error, format!("recover of {}: {expected}", ute.user_id()));
    let error = second.recover(&right.replacen(' ', " 2", 1)).unwrap_err().to_string();
    assert!(error.contains("Incorrect "), "{error}");
    assert_eq!(objects(testbed, &ute), before);

    let error = second.set_up_recovery(None).unwrap_err().to_string();
    assert!(error.ends_with("its private keys are not on this device"), "{error}");
    assert_eq!(objects(testbed, &ute), before);
    assert!(second.recover(&right).unwrap().cross_signed);
}

pub(super) fn a_further_device_leaves_the_others_alone(testbed: &Testbed) {
    let [wim, xia] = testbed.users(["wim", "xia"], LoginOptions::default);
    let before = objects(testbed, &wim);
    let second = further_device(testbed, &wim);
    let device = format!("device {}", second.device_id());
    assert_eq!(changed(&before, &objects(testbed, &wim)), [device]);

    let room = room_with(&wim, &xia, RoomOptions::encrypted());
    xia.wait_for_device(wim.user_id(), second.device_id(), DEFAULT_TIMEOUT).unwrap();
    xia.send_text(&room, "to both").unwrap();
    for device in [&wim, &second] {
        let seen = MessageFilter::new().body("to both");
        device.wait_for_message(&room, seen, DEFAULT_TIMEOUT).unwrap();
    }
    let error = second.recover("EsTc").unwrap_err().to_string();
    assert!(error.ends_with("the account has no secret storage"), "{error}");

    wim.delete_device(second.device_id()).unwrap();
    assert_eq!(objects(testbed, &wim), before);
    wim.delete_device(second.device_id()).unwrap();
}
