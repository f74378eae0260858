//! Agents that lost their store, their device or their session come back.

use std::{fs, time::Duration};

use launcher_testbed::{
    DEFAULT_TIMEOUT, JsUser,
    tap::{Action, Matcher, Point},
};
use serde_json::json;

use crate::{
    Cases, Outcome,
    bed::{Bed, PASSWORD},
    launcher::Place,
    rooms::{ask, room_with},
    tapped::Tapped,
};

pub(crate) const CASES: Cases = &[
    ("recovery::a_lost_store_leads_to_a_new_signed_device_that_old_friends_talk_to", store_lost),
    ("recovery::a_lost_store_in_trust_mode_cross_signing_leads_to_a_new_signed_device", careful),
    ("recovery::a_lost_store_in_trust_mode_manual_waits_for_an_operator", manual),
    ("recovery::a_second_loss_within_the_hour_parks", twice),
    ("recovery::a_lost_store_of_an_agent_with_a_token_only_parks", token_only),
    ("recovery::a_device_that_was_deleted_is_replaced_while_the_launcher_runs", deleted),
    ("recovery::a_damaged_store_is_put_aside_and_replaced", damaged),
    ("recovery::a_kill_in_any_step_of_it_leads_to_the_same_new_device", killed),
    ("recovery::a_server_that_lies_once_about_the_keys_changes_nothing", lies_once),
    ("recovery::a_server_that_always_lies_about_the_keys_costs_one_device", always_lies),
];

/// Waits until `user` knows one device of the agent, signed, and returns its id.
pub(crate) fn only_signed_device(
    user: &JsUser,
    agent: &str,
) -> Result<String, Box<dyn std::error::Error>> {
    let devices = user.user_devices(agent)?;
    assert_eq!(devices.len(), 1, "{devices:?}");
    user.wait_for_signed_device(agent, &devices[0].device_id, DEFAULT_TIMEOUT)?;
    Ok(devices[0].device_id.clone())
}

pub(crate) fn retired(place: &Place, id: &str) -> Result<usize, Box<dyn std::error::Error>> {
    let mut count = 0;
    for entry in fs::read_dir(place.agent_folder(id).join("data"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        count += usize::from(name.starts_with("crypto.retired-"));
    }
    Ok(count)
}

fn store_lost(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let alice = bed.person("alice")?;
    let launcher = stage.start_ready("echo")?;
    let room = room_with(&alice, &agent)?;
    let mut asked = vec![stage.say(&alice, &room, "before")?];
    alice.wait_for_replies(&room, &asked[0], 1, DEFAULT_TIMEOUT)?;
    let old = only_signed_device(&alice, &agent)?;
    assert!(launcher.stop()?.0.success());
    fs::remove_dir_all(stage.place.agent_folder("echo").join("data/crypto"))?;
    let mut launcher = stage.start()?;
    let reset = launcher.wait_for_event("store_reset", "echo")?;
    assert!(reset["cause"].as_str().is_some_and(|cause| cause.starts_with("store_lost")));
    launcher.wait_for_event("agent_ready", "echo")?;
    let new = only_signed_device(&alice, &agent)?;
    assert_ne!(new, old);
    asked.push(stage.say(&alice, &room, "after")?);
    alice.wait_for_replies(&room, &asked[1], 1, Duration::from_secs(60))?;
    let status = launcher.agent_status("echo")?;
    assert_eq!((&status["resets"], &status["cross_signed"]), (&1.into(), &true.into()));
    assert!(status["backup_version"].is_string(), "{status}");
    stage.answered_once(bed.homeserver(), &alice, &room, &agent, &asked)?;
    assert!(launcher.stop()?.0.success());
    // The next start is an ordinary one.
    let launcher = stage.start_ready("echo")?;
    assert_eq!(only_signed_device(&alice, &agent)?, new);
    ask(&alice, &room, "and again", &agent)?;
    assert!(launcher.stop()?.0.success());
    stage.check()
}

fn careful(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let path = stage.place.agent_folder("echo").join("config.yaml");
    let config = fs::read_to_string(&path)?;
    let careful = "encryption:\n  trust_mode: cross-signing\n";
    fs::write(&path, config.replace("encryption:\n", careful))?;
    let alice = bed.person("alice")?;
    let launcher = stage.start_ready("echo")?;
    let room = room_with(&alice, &agent)?;
    let mut asked = vec![stage.say(&alice, &room, "before")?];
    alice.wait_for_replies(&room, &asked[0], 1, DEFAULT_TIMEOUT)?;
    let old = only_signed_device(&alice, &agent)?;
    assert!(launcher.stop()?.0.success());
    fs::remove_dir_all(stage.place.agent_folder("echo").join("data/crypto"))?;
    let launcher = stage.start_ready("echo")?;
    assert_ne!(only_signed_device(&alice, &agent)?, old);
    asked.push(stage.say(&alice, &room, "after")?);
    alice.wait_for_replies(&room, &asked[1], 1, Duration::from_secs(60))?;
    stage.answered_once(bed.homeserver(), &alice, &room, &agent, &asked)?;
    assert!(launcher.stop()?.0.success());
    stage.check()
}

fn manual(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let alice = bed.person("alice")?;
    stage.start_ready("echo")?.stop()?;
    let devices = alice.user_devices(&agent)?;
    let path = stage.place.agent_folder("echo").join("config.yaml");
    let config = fs::read_to_string(&path)?;
    fs::write(&path, config.replace("encryption:\n", "encryption:\n  trust_mode: manual\n"))?;
    fs::remove_dir_all(stage.place.agent_folder("echo").join("data/crypto"))?;
    let before = stage.tap.requests().len();
    let mut launcher = stage.start()?;
    launcher.wait_for_event("agent_parked", "echo")?;
    assert!(launcher.events("store_reset", "echo")?.is_empty());
    let uploads = |path: &str| path.contains("/keys/upload") || path.contains("/login");
    assert!(!stage.tap.requests()[before..].iter().any(|request| uploads(&request.path)));
    assert_eq!(alice.user_devices(&agent)?, devices);
    stage.check()
}

fn twice(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let alice = bed.person("alice")?;
    place.start_ready(&["echo"])?.stop()?;
    let crypto = place.agent_folder("echo").join("data/crypto");
    fs::remove_dir_all(&crypto)?;
    place.start_ready(&["echo"])?.stop()?;
    let devices = alice.user_devices(&agent)?;
    assert_eq!(devices.len(), 1);
    fs::remove_dir_all(&crypto)?;
    let mut launcher = place.start()?;
    let parked = launcher.wait_for_event("agent_parked", "echo")?;
    let reason = parked["reason"].as_str().unwrap_or_default();
    assert!(reason.starts_with("store_lost") && reason.contains("an hour ago"), "{reason}");
    assert_eq!(alice.user_devices(&agent)?, devices);
    assert!(!crypto.join("crypto.db").exists());
    Ok(())
}

fn token_only(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let account = bed.account("echo")?;
    let alice = bed.person("alice")?;
    let secret = format!("access_token: \"{}\"", account.access_token);
    place.agent_for("echo", &account.user_id, &secret, "")?;
    place.start_ready(&["echo"])?.stop()?;
    let devices = alice.user_devices(&account.user_id)?;
    fs::remove_dir_all(place.agent_folder("echo").join("data/crypto"))?;
    let mut launcher = place.start()?;
    let parked = launcher.wait_for_event("agent_parked", "echo")?;
    assert!(parked["reason"].as_str().is_some_and(|why| why.starts_with("store_lost")));
    assert_eq!(alice.user_devices(&account.user_id)?, devices);
    assert!(!place.agent_folder("echo").join("data/crypto/crypto.db").exists());
    Ok(())
}

fn deleted(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let alice = bed.person("alice")?;
    let mut launcher = place.start_ready(&["echo"])?;
    let room = room_with(&alice, &agent)?;
    ask(&alice, &room, "before", &agent)?;
    let old = only_signed_device(&alice, &agent)?;
    let owner = bed.homeserver().login(&agent, PASSWORD)?;
    let path = format!("/_matrix/client/v3/devices/{old}");
    let auth = json!({ "auth": {
        "type": "m.login.password", "password": PASSWORD,
        "identifier": { "type": "m.id.user", "user": agent },
    } });
    let token = Some(owner.access_token.as_str());
    let (status, said) = bed.homeserver().request("DELETE", &path, token, Some(&auth))?;
    assert_eq!(status, 200, "{said}");
    bed.homeserver().request("POST", "/_matrix/client/v3/logout", token, None)?;
    let reset = launcher.wait_for_event("store_reset", "echo")?;
    assert!(reset["cause"].as_str().is_some_and(|cause| cause.starts_with("keys_vanished")));
    launcher.wait_until("ready again", |launcher| {
        Ok(launcher.events("agent_ready", "echo")?.len() == 2)
    })?;
    assert_ne!(only_signed_device(&alice, &agent)?, old);
    ask(&alice, &room, "after", &agent)?;
    assert_eq!(retired(&place, "echo")?, 1);
    Ok(())
}

fn damaged(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let alice = bed.person("alice")?;
    let launcher = place.start_ready(&["echo"])?;
    let room = room_with(&alice, &agent)?;
    ask(&alice, &room, "before", &agent)?;
    let old = only_signed_device(&alice, &agent)?;
    assert!(launcher.stop()?.0.success());
    let crypto_db = place.agent_folder("echo").join("data/crypto/crypto.db");
    fs::write(&crypto_db, "this is no database any more")?;
    let mut launcher = place.start()?;
    let reset = launcher.wait_for_event("store_reset", "echo")?;
    assert!(reset["cause"].as_str().is_some_and(|cause| cause.starts_with("store_corrupt")));
    launcher.wait_for_event("agent_ready", "echo")?;
    assert_ne!(only_signed_device(&alice, &agent)?, old);
    ask(&alice, &room, "after", &agent)?;
    assert_eq!(retired(&place, "echo")?, 1);
    Ok(())
}

/// The launcher is killed when the server has acted and before it hears of it.
fn killed(bed: &Bed) -> Outcome {
    let alice = bed.person("alice")?;
    for step in ["/login", "/keys/upload", "/keys/signatures/upload", "/delete_devices"] {
        let stage = Tapped::new(bed)?;
        let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
        let launcher = stage.start_ready("echo")?;
        let room = room_with(&alice, &agent)?;
        let before = stage.say(&alice, &room, "before")?;
        alice.wait_for_replies(&room, &before, 1, DEFAULT_TIMEOUT)?;
        let old = only_signed_device(&alice, &agent)?;
        assert!(launcher.stop()?.0.success());
        fs::remove_dir_all(stage.place.agent_folder("echo").join("data/crypto"))?;
        let kill = stage.kill(Point::AfterResponse, Duration::ZERO);
        let rule = stage.tap.add_rule(Matcher::path_contains(step).times(1), kill);
        let mut launcher = stage.start()?;
        rule.wait_for_hits(1, DEFAULT_TIMEOUT)?;
        launcher.wait_for_end(DEFAULT_TIMEOUT)?;
        rule.remove();
        let launcher = stage.start_ready("echo")?;
        assert_ne!(only_signed_device(&alice, &agent)?, old, "killed at {step}");
        let after = stage.say(&alice, &room, "after")?;
        alice.wait_for_replies(&room, &after, 1, DEFAULT_TIMEOUT)?;
        stage.answered_once(bed.homeserver(), &alice, &room, &agent, &[before, after])?;
        assert_eq!(launcher.agent_status("echo")?["resets"], 1);
        assert!(launcher.stop()?.0.success());
        stage.check()?;
    }
    Ok(())
}

/// Shows other keys for the agent's own device than it has uploaded.
fn lie(agent: &str) -> Action {
    let agent = agent.to_owned();
    Action::rewrite(move |mut answer| {
        if let Some(devices) = answer["device_keys"][&agent].as_object_mut() {
            for device in devices.values_mut() {
                if let Some(keys) = device["keys"].as_object_mut() {
                    for key in keys.values_mut() {
                        *key = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
                    }
                }
            }
        }
        answer
    })
}

fn lies_once(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let alice = bed.person("alice")?;
    stage.start_ready("echo")?.stop()?;
    let devices = alice.user_devices(&agent)?;
    let rule = stage.tap.add_rule(Matcher::path_contains("/keys/query").times(1), lie(&agent));
    let launcher = stage.start_ready("echo")?;
    rule.wait_for_hits(1, DEFAULT_TIMEOUT)?;
    assert_eq!(alice.user_devices(&agent)?, devices);
    assert!(launcher.events("store_reset", "echo")?.is_empty());
    let room = room_with(&alice, &agent)?;
    ask(&alice, &room, "still you?", &agent)?;
    stage.check()
}

/// The identity of an account, as the homeserver shows it to others.
pub(crate) fn master_key(
    bed: &Bed,
    asker: &JsUser,
    user: &str,
) -> Result<serde_json::Value, Box<dyn std::error::Error>> {
    let body = json!({ "device_keys": { user: [] } });
    let token = Some(asker.account().access_token.as_str());
    let path = "/_matrix/client/v3/keys/query";
    let (_, answer) = bed.homeserver().request("POST", path, token, Some(&body))?;
    Ok(answer["master_keys"][user]["keys"].clone())
}

fn always_lies(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let alice = bed.person("alice")?;
    stage.start_ready("echo")?.stop()?;
    let identity = master_key(bed, &alice, &agent)?;
    let _rule = stage.tap.add_rule(Matcher::path_contains("/keys/query"), lie(&agent));
    let mut launcher = stage.start()?;
    launcher.wait_for_event("store_reset", "echo")?;
    launcher.wait_for_event("agent_restarting", "echo")?;
    // Whatever it tries: no further device, and the identity is the same.
    for _ in 0..2 {
        let seen = launcher.events("agent_restarting", "echo")?.len();
        launcher.wait_until("another try", |launcher| {
            let parked = !launcher.events("agent_parked", "echo")?.is_empty();
            Ok(parked || launcher.events("agent_restarting", "echo")?.len() > seen)
        })?;
    }
    assert_eq!(launcher.events("store_reset", "echo")?.len(), 1);
    assert!(alice.user_devices(&agent)?.len() <= 2);
    assert_eq!(master_key(bed, &alice, &agent)?, identity);
    Ok(())
}
