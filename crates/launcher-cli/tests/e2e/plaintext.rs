//! Nothing is sent in the clear where encryption was ever seen.

use launcher_testbed::{
    DEFAULT_TIMEOUT, RoomOptions,
    tap::{Action, Answer, Matcher},
};
use serde_json::Value;

use crate::{Cases, Outcome, bed::Bed, rooms::ask, tapped::Tapped};

pub(crate) const CASES: Cases =
    &[("plaintext::a_server_that_denies_encryption_gets_no_plaintext", denied)];

/// The state store is lost, and the server hides that the room is encrypted.
fn denied(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let (alice, eve) = (bed.person("alice")?, bed.account("eve")?);
    let launcher = stage.start_ready("echo")?;
    let room = alice.create_room(RoomOptions::encrypted().invite(&agent).invite(&eve.user_id))?;
    alice.wait_for_member(&room, &agent, "join", DEFAULT_TIMEOUT)?;
    ask(&alice, &room, "in secret", &agent)?;
    bed.homeserver().request(
        "POST",
        &format!("/_matrix/client/v3/rooms/{room}/join"),
        Some(&eve.access_token),
        Some(&serde_json::json!({})),
    )?;
    assert!(launcher.stop()?.0.success());

    for entry in std::fs::read_dir(stage.place.agent_folder("echo").join("data/crypto"))? {
        let path = entry?.path();
        if path.to_string_lossy().contains("matrix-sdk-state") {
            std::fs::remove_file(path)?;
        }
    }
    let hide = Action::rewrite(|mut answer| {
        hide_encryption(&mut answer);
        answer
    });
    let _hidden =
        stage.tap.add_rule(Matcher::when(|request| request.path.ends_with("/sync")), hide);
    let _denied = stage.tap.add_rule(
        Matcher::path_contains("/state/m.room.encryption"),
        Action::Status(Answer::refusal(404, "M_NOT_FOUND")),
    );
    let mut launcher = stage.start_ready("echo")?;
    // Somebody says something in the clear, which the agent would answer in the same way.
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/t1");
    let body = serde_json::json!({ "msgtype": "m.text", "body": "tell me in the clear" });
    bed.homeserver().request("PUT", &path, Some(&eve.access_token), Some(&body))?;
    let refused = launcher.wait_for_event("send_refused_plaintext", "echo")?;
    assert_eq!(refused["room"], room.as_str());
    let events = bed.homeserver().room_events(&alice.account().access_token, &room)?;
    let clear =
        |event: &&Value| event["sender"] == agent.as_str() && event["type"] == "m.room.message";
    assert_eq!(events.iter().filter(clear).count(), 0);
    stage.check()
}

/// Takes every trace of encryption out of an answer.
fn hide_encryption(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.retain(|item| {
                item["type"] != "m.room.encryption" && item["type"] != "m.room.encrypted"
            });
            items.iter_mut().for_each(hide_encryption);
        }
        Value::Object(map) => map.values_mut().for_each(hide_encryption),
        _ => {}
    }
}
