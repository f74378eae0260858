//! What others ask an agent for that it does not give: room keys and secrets.

use launcher_testbed::{
    CrossSigning, DEFAULT_TIMEOUT, JsUser, LoginOptions, MessageFilter, UnverifiedDevices,
};
use serde_json::json;

use crate::{
    Cases, Outcome,
    bed::Bed,
    policy::{Scene, wait_about},
    rooms::{ask, room_with},
};

pub(crate) const CASES: Cases = &[
    ("key_requests::a_thousand_of_them_get_nothing_and_hold_nobody_up", flood),
    ("key_requests::a_key_that_nobody_asked_for_opens_nothing", unsolicited),
    ("key_requests::nobody_but_the_accounts_own_verified_devices_gets_a_secret", secrets),
];

/// How many key requests one user sends.
const FLOOD: usize = 1_000;

/// What a device could ask for, by its name (spec 11.12.1).
const SECRETS: [&str; 4] = [
    "m.cross_signing.master",
    "m.cross_signing.self_signing",
    "m.cross_signing.user_signing",
    "m.megolm_backup.v1",
];

fn flood(bed: &Bed) -> Outcome {
    let scene = Scene::new(bed, "tofu")?;
    let second = scene.tapped.agent(bed.homeserver(), "second", &bed.name("second"), "", "")?;
    let mut launcher = scene.tapped.start()?;
    let ready = launcher.wait_for_event("agent_ready", "agent")?;
    launcher.wait_for_event("agent_ready", "second")?;
    let (alice, eve) = (&scene.alice, bed.person("eve")?);
    let room = room_with(alice, &scene.agent)?;
    let answer = ask(alice, &room, "a secret between us", &scene.agent)?;
    let others = room_with(alice, &second)?;
    ask(alice, &others, "before", &second)?;

    let session = answer.wire_content["session_id"].as_str().unwrap_or_default().to_owned();
    let device = ready["device_id"].as_str().unwrap_or_default().to_owned();
    let mark = scene.tapped.tap.mark();
    std::thread::scope(|scope| -> Outcome {
        let asking =
            scope.spawn(|| eve.flood_key_requests(&scene.agent, &device, &room, &session, FLOOD));
        // While they arrive, and are thrown away, the other agent answers.
        for round in 0..5 {
            ask(alice, &others, &format!("meanwhile {round}"), &second)?;
        }
        asking.join().map_err(|_| "asking failed")??;
        Ok(())
    })?;
    ask(alice, &others, "after", &second)?;
    ask(alice, &room, "still there?", &scene.agent)?;
    assert_eq!(given(&scene, mark, &eve), 0);
    scene.tapped.check()
}

fn unsolicited(bed: &Bed) -> Outcome {
    let scene = Scene::new(bed, "tofu")?;
    let mut launcher = scene.tapped.start()?;
    let ready = launcher.wait_for_event("agent_ready", "agent")?;
    let device = ready["device_id"].as_str().unwrap_or_default();
    let alice = &scene.alice;
    let room = room_with(alice, &scene.agent)?;
    ask(alice, &room, "before", &scene.agent)?;
    alice.set_unverified_devices(UnverifiedDevices::Exclude)?;
    alice.discard_session(&room)?;
    let said = alice.send_text(&room, "not for the agent")?;
    launcher.wait_for_event("key_withheld", "agent")?;
    let sent =
        alice.wait_for_message(&room, MessageFilter::new().event_id(&said), DEFAULT_TIMEOUT)?;
    let session = sent.wire_content["session_id"].as_str().unwrap_or_default().to_owned();
    alice.forward_room_key(&scene.agent, device, &room, &session)?;
    alice.set_unverified_devices(UnverifiedDevices::Include)?;
    alice.discard_session(&room)?;
    // Whatever came before this has been read when it is answered.
    ask(alice, &room, "after", &scene.agent)?;
    ask(alice, &room, "and later", &scene.agent)?;
    scene.is_unanswered(&room, &said)?;
    assert_eq!(launcher.agent_status("agent")?["undecryptable_pending"], 1);
    assert!(launcher.events("decrypted_late", "agent")?.is_empty());
    scene.tapped.check()
}

fn secrets(bed: &Bed) -> Outcome {
    let scene = Scene::new(bed, "tofu")?;
    let mut launcher = scene.tapped.start()?;
    let ready = launcher.wait_for_event("agent_ready", "agent")?;
    let room = room_with(&scene.alice, &scene.agent)?;
    ask(&scene.alice, &room, "before", &scene.agent)?;
    let options = LoginOptions { cross_signing: CrossSigning::Leave, ..LoginOptions::default() };
    let ghost = bed.device_of(&scene.agent, options)?;
    wait_about(&mut launcher, "device_new", &ghost)?;
    let mark = scene.tapped.tap.mark();
    let device = ready["device_id"].as_str().unwrap_or_default();
    for asker in [&scene.alice, &ghost] {
        for (number, secret) in SECRETS.iter().enumerate() {
            let content = json!({
                "action": "request",
                "name": secret,
                "requesting_device_id": asker.device_id(),
                "request_id": format!("{}-{number}", asker.device_id()),
            });
            let messages = json!({ scene.agent.as_str(): { device: content } });
            asker.send_to_device("m.secret.request", &messages)?;
        }
    }
    // The answer to a message comes after what was read with it.
    ask(&scene.alice, &room, "after", &scene.agent)?;
    ask(&scene.alice, &room, "and later", &scene.agent)?;
    assert_eq!(given(&scene, mark, &ghost), 1, "the room's key, as every device in tofu");
    assert_eq!(given(&scene, mark, &scene.alice), 0, "she has the room's key");
    Ok(())
}

/// How many encrypted messages the launcher sent to a device since then.
fn given(scene: &Scene, mark: u64, device: &JsUser) -> usize {
    let requests = scene.tapped.tap.requests_since(mark);
    let sent = requests.iter().filter(|request| {
        let is_encrypted = request.path.contains("/sendToDevice/m.room.encrypted/");
        let body = request.json().unwrap_or_default();
        is_encrypted && !body["messages"][device.user_id()][device.device_id()].is_null()
    });
    sent.count()
}
