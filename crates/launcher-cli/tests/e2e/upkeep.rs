//! What an operator does about an agent's stores, devices and keys.

use std::{fs, process::Output, time::Duration};

use launcher_testbed::DEFAULT_TIMEOUT;
use serde_json::{Value, json};

use crate::{
    Cases, Outcome,
    bed::{Bed, PASSWORD},
    launcher::{Place, Running, variable},
    recovery::{only_signed_device, retired},
    rooms::{ask, room_with},
    tapped::Tapped,
};

pub(crate) const CASES: Cases = &[
    (
        "upkeep::reset_through_the_launcher_makes_a_new_device_and_keeps_the_old_store",
        reset_running,
    ),
    ("upkeep::reset_without_a_launcher_does_the_same", reset_stopped),
    ("upkeep::reset_with_a_password_brings_back_an_agent_with_a_token_only", reset_token_only),
    ("upkeep::reset_brings_back_an_agent_with_a_token_only_that_lost_everything", reset_lost_all),
    ("upkeep::reset_with_a_wrong_password_changes_nothing", reset_wrong_password),
    ("upkeep::stores_are_listed_and_removed_only_by_prune", stores),
    ("upkeep::stale_devices_are_listed_and_removed", devices),
    ("upkeep::doctor_finds_nothing_wrong_with_a_healthy_agent", doctor_healthy),
    ("upkeep::doctor_names_what_is_wrong_and_the_way_out", doctor_ill),
    ("upkeep::a_recovery_key_given_by_command_signs_the_device", recovery_set),
    ("upkeep::rekey_changes_the_key_of_a_running_agent_and_the_old_one_opens_nothing", rekey),
    ("upkeep::rekey_of_a_stopped_agent_works_with_either_key_until_the_next_start", rekey_stopped),
    ("upkeep::kills_while_everything_is_sealed_anew_lose_nothing", rekey_killed),
];

/// The output of a command that has to succeed.
fn done(
    place: &Place,
    arguments: &[&str],
    input: &str,
) -> Result<Output, Box<dyn std::error::Error>> {
    let output = place.command_with_input(arguments, input)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    Ok(output)
}

fn json_of(output: &Output) -> Result<Value, Box<dyn std::error::Error>> {
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn reset_running(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let alice = bed.person("alice")?;
    let launcher = stage.start_ready("echo")?;
    let room = room_with(&alice, &agent)?;
    let mut asked = vec![stage.say(&alice, &room, "before")?];
    alice.wait_for_replies(&room, &asked[0], 1, DEFAULT_TIMEOUT)?;
    let old = only_signed_device(&alice, &agent)?;
    done(&stage.place, &["reset", "echo", "--yes"], "")?;
    let reset = &launcher.events("store_reset", "echo")?[0];
    assert!(reset["cause"].as_str().is_some_and(|cause| cause.contains("operator")));
    assert_ne!(only_signed_device(&alice, &agent)?, old);
    // The old store opened: its keys are the new one's now.
    let lines = launcher.lines()?;
    let took = lines.iter().find(|line| line["keys"].is_u64());
    assert!(took.is_some_and(|line| line["keys"] != 0 && line["secrets"] == true), "{took:?}");
    asked.push(stage.say(&alice, &room, "after")?);
    alice.wait_for_replies(&room, &asked[1], 1, Duration::from_secs(60))?;
    stage.answered_once(bed.homeserver(), &alice, &room, &agent, &asked)?;
    assert_eq!(retired(&stage.place, "echo")?, 1);
    assert!(launcher.stop()?.0.success());
    stage.check()
}

fn reset_stopped(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let alice = bed.person("alice")?;
    let launcher = place.start_ready(&["echo"])?;
    let room = room_with(&alice, &agent)?;
    ask(&alice, &room, "before", &agent)?;
    let old = only_signed_device(&alice, &agent)?;
    assert!(launcher.stop()?.0.success());
    done(&place, &["reset", "echo", "--yes"], "")?;
    let new = only_signed_device(&alice, &agent)?;
    assert_ne!(new, old);
    let _launcher = place.start_ready(&["echo"])?;
    ask(&alice, &room, "after", &agent)?;
    assert_eq!(only_signed_device(&alice, &agent)?, new);
    Ok(())
}

fn reset_token_only(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let account = bed.account("echo")?;
    let alice = bed.person("alice")?;
    let secret = format!("access_token: \"{}\"", account.access_token);
    place.agent_for("echo", &account.user_id, &secret, "")?;
    let launcher = place.start_ready(&["echo"])?;
    let room = room_with(&alice, &account.user_id)?;
    ask(&alice, &room, "before", &account.user_id)?;
    let old = only_signed_device(&alice, &account.user_id)?;
    assert!(launcher.stop()?.0.success());
    fs::remove_dir_all(place.agent_folder("echo").join("data/crypto"))?;
    let mut launcher = place.start()?;
    let parked = launcher.wait_for_event("agent_parked", "echo")?;
    let action = parked["action"].as_str().unwrap_or_default();
    assert!(action.contains("`launcher reset echo`"), "{action}");
    done(&place, &["reset", "echo", "--yes", "--password-stdin"], PASSWORD)?;
    assert_ne!(only_signed_device(&alice, &account.user_id)?, old);
    ask(&alice, &room, "after", &account.user_id)?;
    assert!(!launcher.log_text()?.contains(PASSWORD));
    Ok(())
}

fn reset_lost_all(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let account = bed.account("echo")?;
    let alice = bed.person("alice")?;
    let secret = format!("access_token: \"{}\"", account.access_token);
    place.agent_for("echo", &account.user_id, &secret, "")?;
    place.start_ready(&["echo"])?.stop()?;
    let old = alice.user_devices(&account.user_id)?;
    fs::remove_dir_all(place.agent_folder("echo").join("data"))?;
    let mut launcher = place.start()?;
    launcher.wait_for_event("agent_parked", "echo")?;
    let output =
        place.command_with_input(&["reset", "echo", "--yes", "--password-stdin"], PASSWORD)?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let room = room_with(&alice, &account.user_id)?;
    ask(&alice, &room, "are you back?", &account.user_id)?;
    let now = alice.user_devices(&account.user_id)?;
    assert!(now.len() == 1 && now != old, "{now:?}");
    Ok(())
}

fn reset_wrong_password(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let account = bed.account("echo")?;
    let alice = bed.person("alice")?;
    let secret = format!("access_token: \"{}\"", account.access_token);
    place.agent_for("echo", &account.user_id, &secret, "")?;
    let launcher = place.start_ready(&["echo"])?;
    let devices = alice.user_devices(&account.user_id)?;
    let reset = ["reset", "echo", "--yes", "--password-stdin"];
    let output = place.command_with_input(&reset, "not this one")?;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("login_refused") && !said.contains("not this one"), "{said}");
    assert_eq!(alice.user_devices(&account.user_id)?, devices);
    assert_eq!(retired(&place, "echo")?, 0);
    drop(launcher);
    Ok(())
}

fn stores(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    place.start_ready(&["echo"])?.stop()?;
    let listed = json_of(&done(&place, &["stores", "echo", "--json"], "")?)?;
    assert_eq!(listed["stores"], json!([]));
    let launcher = place.start_ready(&["echo"])?;
    let old = launcher.agent_status("echo")?["device_id"].clone();
    done(&place, &["reset", "echo", "--yes"], "")?;
    let listed = json_of(&done(&place, &["stores", "echo", "--json"], "")?)?;
    assert_eq!(listed["stores"][0]["device_id"], old);
    assert!(listed["stores"][0]["size"].as_u64().is_some_and(|size| size > 0));
    assert_eq!(retired(&place, "echo")?, 1);
    let removed = json_of(&done(&place, &["stores", "echo", "--prune", "--json"], "")?)?;
    assert_eq!(removed["removed"][0]["device_id"], old);
    assert_eq!(retired(&place, "echo")?, 0);
    assert_eq!(launcher.agent_status("echo")?["state"], "running", "{agent}");
    Ok(())
}

fn devices(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let launcher = place.start_ready(&["echo"])?;
    let log_in = |name: &str| -> Outcome {
        let body = json!({
            "type": "m.login.password", "password": PASSWORD, "initial_device_display_name": name,
            "identifier": { "type": "m.id.user", "user": agent },
        });
        let (status, said) =
            bed.homeserver().request("POST", "/_matrix/client/v3/login", None, Some(&body))?;
        assert_eq!(status, 200, "{said}");
        Ok(())
    };
    log_in("launcher: echo")?;
    log_in("the owner's own client")?;
    let listed = json_of(&done(&place, &["devices", "echo", "--json"], "")?)?;
    let devices = listed["devices"].as_array().cloned().unwrap_or_default();
    assert_eq!(devices.len(), 3, "{listed}");
    assert_eq!(devices[0]["device_id"], launcher.agent_status("echo")?["device_id"]);
    assert_eq!((&devices[0]["own"], &devices[0]["signed"]), (&true.into(), &true.into()));
    assert_eq!(devices.iter().filter(|device| device["stale"] == true).count(), 1);
    let removed = json_of(&done(&place, &["devices", "echo", "--prune-stale", "--json"], "")?)?;
    assert_eq!(removed["removed"].as_array().map(Vec::len), Some(1), "{removed}");
    let listed = json_of(&done(&place, &["devices", "echo", "--json"], "")?)?;
    let names: Vec<_> = listed["devices"].as_array().into_iter().flatten().collect();
    assert!(names.iter().any(|device| device["name"] == "the owner's own client"), "{listed}");
    assert_eq!(names.len(), 2);
    Ok(())
}

/// The checks of `doctor`, by their outcome.
fn checks(output: &Output, outcome: &str) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let report = json_of(output)?;
    let checks = report["agents"][0]["checks"].as_array().cloned().unwrap_or_default();
    let chosen = checks.iter().filter(|check| check["outcome"] == outcome);
    Ok(chosen.filter_map(|check| check["name"].as_str().map(ToOwned::to_owned)).collect())
}

fn doctor_healthy(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let alice = bed.person("alice")?;
    let launcher = place.start_ready(&["echo"])?;
    let room = room_with(&alice, &agent)?;
    ask(&alice, &room, "hello", &agent)?;
    let before = bed.homeserver().server_objects(&alice.account().access_token, &agent)?;
    let output = done(&place, &["doctor", "echo", "--json"], "")?;
    assert!(
        checks(&output, "bad")?.is_empty() && checks(&output, "notable")?.is_empty(),
        "{output:?}"
    );
    let good = checks(&output, "good")?;
    for name in [
        "state",
        "file_modes",
        "vault",
        "store",
        "server",
        "clock",
        "session",
        "device_keys",
        "signed",
        "one_time_keys",
        "backup",
        "recovery_key",
        "generation",
        "last_sync",
        "last_decrypt",
    ] {
        assert!(good.iter().any(|found| found == name), "{name} is not in {good:?}");
    }
    // It has only looked.
    assert_eq!(bed.homeserver().server_objects(&alice.account().access_token, &agent)?, before);
    ask(&alice, &room, "still there?", &agent)?;
    assert!(launcher.stop()?.0.success());
    let output = done(&place, &["doctor", "echo", "--json"], "")?;
    assert!(checks(&output, "bad")?.is_empty(), "{output:?}");
    Ok(())
}

fn doctor_ill(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    // An account with an identity that the agent cannot use.
    let owner = bed.person("owner")?;
    place.agent_for("echo", owner.user_id(), &format!("password: \"{PASSWORD}\""), "")?;
    place.start_ready(&["echo"])?.stop()?;
    let vault = place.agent_folder("echo").join("data/vault");
    fs::set_permissions(&vault, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    let output = place.command(&["doctor", "echo", "--json"])?;
    assert_eq!(output.status.code(), Some(1));
    let bad = checks(&output, "bad")?;
    assert!(
        bad.contains(&"signed".to_owned()) && bad.contains(&"file_modes".to_owned()),
        "{bad:?}"
    );
    let report = json_of(&output)?;
    for check in report["agents"][0]["checks"].as_array().into_iter().flatten() {
        assert!(check["outcome"] == "good" || check["action"].is_string(), "{check}");
    }
    let crypto = place.agent_folder("echo").join("data/crypto/crypto.db");
    fs::write(&crypto, "no database")?;
    let output = place.command(&["doctor", "echo", "--json"])?;
    assert_eq!(output.status.code(), Some(1));
    assert!(checks(&output, "bad")?.contains(&"store".to_owned()), "{output:?}");
    Ok(())
}

fn recovery_set(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let owner = bed.person("owner")?;
    let key = owner.set_up_recovery(None)?;
    place.agent_for("echo", owner.user_id(), &format!("password: \"{PASSWORD}\""), "")?;
    let launcher = place.start_ready(&["echo"])?;
    assert_eq!(launcher.agent_status("echo")?["cross_signed"], false);
    let output = done(&place, &["recovery", "echo", "--set"], &key)?;
    assert!(!String::from_utf8_lossy(&output.stderr).contains(&key));
    let status = launcher.agent_status("echo")?;
    assert_eq!((&status["cross_signed"], &status["state"]), (&true.into(), &"running".into()));
    assert_eq!(status["backup_version"], "1");
    assert!(!launcher.log_text()?.contains(&key));
    Ok(())
}

fn key_in_env(place: &Place) -> Result<String, Box<dyn std::error::Error>> {
    let text = fs::read_to_string(place.path().join(".env"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{}=", variable("echo"))));
    Ok(line.ok_or("no key")?.trim_matches('"').to_owned())
}

fn is_parked_with_wrong_key(place: &Place) -> Outcome {
    let mut launcher: Running<'_> = place.start()?;
    launcher.wait_for_event("store_key_wrong", "echo")?;
    assert!(launcher.stop()?.0.success());
    Ok(())
}

fn rekey(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let alice = bed.person("alice")?;
    let launcher = place.start_ready(&["echo"])?;
    let room = room_with(&alice, &agent)?;
    ask(&alice, &room, "before", &agent)?;
    let device = only_signed_device(&alice, &agent)?;
    let old = key_in_env(&place)?;
    let output = done(&place, &["rekey", "echo", "--generate"], "")?;
    let new = key_in_env(&place)?;
    assert_ne!(new, old);
    let said = [output.stdout, output.stderr].concat();
    assert!(!String::from_utf8_lossy(&said).contains(&new));
    ask(&alice, &room, "after", &agent)?;
    assert_eq!(only_signed_device(&alice, &agent)?, device);
    assert!(!place.agent_folder("echo").join("data/rekey").exists());
    assert!(launcher.stop()?.0.success());
    place.set_variable(&variable("echo"), &old)?;
    is_parked_with_wrong_key(&place)?;
    place.set_variable(&variable("echo"), &new)?;
    let _launcher = place.start_ready(&["echo"])?;
    ask(&alice, &room, "and after a restart", &agent)?;
    Ok(())
}

fn rekey_stopped(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    place.agent(bed, "echo")?;
    let device =
        |launcher: &Running<'_>| launcher.agent_status("echo").map(|s| s["device_id"].clone());
    let launcher = place.start_ready(&["echo"])?;
    let first = device(&launcher)?;
    assert!(launcher.stop()?.0.success());
    let old = key_in_env(&place)?;
    done(&place, &["rekey", "echo", "--generate"], "")?;
    let new = key_in_env(&place)?;
    // Until it is started with the new one, the old key works as well, any number of times.
    place.set_variable(&variable("echo"), &old)?;
    for _ in 0..2 {
        let launcher = place.start_ready(&["echo"])?;
        assert!(launcher.events("rekeyed", "echo")?.is_empty());
        assert_eq!(device(&launcher)?, first);
        assert!(launcher.stop()?.0.success());
    }
    place.set_variable(&variable("echo"), &new)?;
    let mut launcher = place.start_ready(&["echo"])?;
    launcher.wait_for_event("rekeyed", "echo")?;
    assert_eq!(device(&launcher)?, first);
    assert!(launcher.stop()?.0.success());
    place.set_variable(&variable("echo"), &old)?;
    is_parked_with_wrong_key(&place)
}

fn rekey_killed(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let alice = bed.person("alice")?;
    let launcher = stage.start_ready("echo")?;
    let room = room_with(&alice, &agent)?;
    let mut asked = vec![stage.say(&alice, &room, "before")?];
    alice.wait_for_replies(&room, &asked[0], 1, DEFAULT_TIMEOUT)?;
    let device = only_signed_device(&alice, &agent)?;
    assert!(launcher.stop()?.0.success());
    for round in 0..4 {
        done(&stage.place, &["rekey", "echo", "--generate"], "")?;
        // The first kill comes right after the first file was sealed anew.
        let vault = stage.place.agent_folder("echo").join("data/vault");
        let before = fs::read(&vault)?;
        let launcher = stage.start()?;
        let end = std::time::Instant::now() + DEFAULT_TIMEOUT;
        while fs::read(&vault)? == before && std::time::Instant::now() < end {}
        stage.victim().kill();
        drop(launcher);
        // The others come at any moment of it.
        for delay in [5, 15, 25, 40, 60, 90] {
            let launcher = stage.start()?;
            std::thread::sleep(Duration::from_millis(delay + round));
            stage.victim().kill();
            drop(launcher);
        }
        let launcher = stage.start_ready("echo")?;
        assert!(!stage.place.agent_folder("echo").join("data/rekey").exists());
        let text = format!("round {round}");
        asked.push(stage.say(&alice, &room, &text)?);
        let last = asked.last().ok_or("none")?;
        alice.wait_for_replies(&room, last, 1, DEFAULT_TIMEOUT)?;
        assert_eq!(only_signed_device(&alice, &agent)?, device);
        assert!(launcher.stop()?.0.success());
    }
    stage.answered_once(bed.homeserver(), &alice, &room, &agent, &asked)?;
    stage.check()
}
