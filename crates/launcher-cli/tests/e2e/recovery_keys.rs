//! Recovery keys, from and for other clients.

use std::{collections::BTreeMap, fs};

use launcher_testbed::{CrossSigning, DEFAULT_TIMEOUT, JsUser, LoginOptions, tap::Point};
use serde_json::Value;

use crate::{
    Cases, Outcome,
    bed::{Bed, PASSWORD},
    launcher::{Place, Running},
    recovery::{master_key, only_signed_device},
    rooms::{ask, room_with},
    tapped::Tapped,
};

pub(crate) const CASES: Cases = &[
    ("recovery_keys::another_client_recovers_with_the_agents_key", for_others),
    ("recovery_keys::the_agent_recovers_with_a_key_of_another_client", of_others),
    (
        "recovery_keys::the_agent_recovers_with_a_key_that_has_a_passphrase_too",
        of_others_passphrase,
    ),
    ("recovery_keys::a_wrong_key_changes_nothing_on_the_server_and_names_the_layer", wrong),
    (
        "recovery_keys::a_kill_in_any_step_of_the_first_start_leaves_a_key_that_opens_everything",
        killed,
    ),
];

/// The agent's recovery key, as an operator gets it to see on a terminal.
fn shown(place: &Place) -> Result<String, Box<dyn std::error::Error>> {
    let output = place.command_on_terminal(&["recovery", "echo"])?;
    let key = output.lines().find(|line| line.trim_start().starts_with("Es"));
    key.map(|key| key.trim().to_owned()).ok_or_else(|| format!("no key in: {output}").into())
}

/// A further device of an account, which touches nothing of it.
fn further_device(bed: &Bed, user: &str) -> Result<JsUser, Box<dyn std::error::Error>> {
    let options = LoginOptions { cross_signing: CrossSigning::Leave, ..LoginOptions::default() };
    let device = bed.device_of(user, options)?;
    device.wait_for_device(user, device.device_id(), DEFAULT_TIMEOUT)?;
    Ok(device)
}

/// Fails if the agent's key does not open everything for another client.
fn opens_for_others(bed: &Bed, agent: &str, key: &str) -> Outcome {
    let other = further_device(bed, agent)?;
    let recovered = other.recover(key)?;
    assert!(recovered.cross_signed, "{recovered:?}");
    assert_eq!(recovered.backup_version.as_deref(), Some("1"));
    assert_eq!(recovered.imported, recovered.total);
    other.logout()?;
    Ok(())
}

fn for_others(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let alice = bed.person("alice")?;
    let launcher = place.start_ready(&["echo"])?;
    let room = room_with(&alice, &agent)?;
    ask(&alice, &room, "to be backed up", &agent)?;
    let key = shown(&place)?;
    // Once.
    let again = place.command_on_terminal(&["recovery", "echo"])?;
    assert!(again.contains("shown once already") && !again.contains(&key), "{again}");
    opens_for_others(bed, &agent, &key)?;
    assert!(!launcher.log_text()?.contains(&key));
    assert!(launcher.stop()?.0.success());
    Ok(())
}

/// An account whose owner uses another client and made a recovery key there.
fn owner(
    bed: &Bed,
    passphrase: Option<&str>,
) -> Result<(JsUser, String), Box<dyn std::error::Error>> {
    let owner = bed.person("owner")?;
    let key = owner.set_up_recovery(passphrase)?;
    Ok((owner, key))
}

fn of_others(bed: &Bed) -> Outcome {
    recovers(bed, None)
}

fn of_others_passphrase(bed: &Bed) -> Outcome {
    recovers(bed, Some("open sesame"))
}

fn recovers(bed: &Bed, passphrase: Option<&str>) -> Outcome {
    let (owner, key) = owner(bed, passphrase)?;
    let place = Place::new(bed)?;
    let account = format!("password: \"{PASSWORD}\"");
    place.agent_for("echo", owner.user_id(), &account, "")?;
    let config = fs::read_to_string(place.agent_folder("echo").join("config.yaml"))?;
    let config = config.replace("encryption:\n", "encryption:\n  recovery_key: \"${KEY}\"\n");
    place.set_variable("KEY", &format!("\"{key}\""))?;
    place.write_agent("echo", &config)?;
    let alice = bed.person("alice")?;
    let identity = identity(bed, &owner)?;
    let launcher = place.start_ready(&["echo"])?;
    let status = launcher.agent_status("echo")?;
    assert_eq!((&status["state"], &status["cross_signed"]), (&"running".into(), &true.into()));
    assert_eq!(status["backup_version"], "1");
    assert_eq!(self::identity(bed, &owner)?, identity);
    let room = room_with(&alice, owner.user_id())?;
    ask(&alice, &room, "are you signed?", owner.user_id())?;
    let device = status["device_id"].as_str().unwrap_or_default();
    alice.wait_for_signed_device(owner.user_id(), device, DEFAULT_TIMEOUT)?;
    // What the agent backed up opens with the owner's key.
    let other = further_device(bed, owner.user_id())?;
    assert!(other.recover(&key)?.imported > 0);
    assert!(launcher.stop()?.0.success());
    Ok(())
}

/// Everything that recovery could damage, without the devices.
fn identity(
    bed: &Bed,
    owner: &JsUser,
) -> Result<BTreeMap<String, Value>, Box<dyn std::error::Error>> {
    let token = &owner.account().access_token;
    let mut objects = bed.homeserver().server_objects(token, owner.user_id())?;
    objects.retain(|name, _| !name.starts_with("device ") && name != "backup");
    Ok(objects)
}

fn wrong(bed: &Bed) -> Outcome {
    let (owner, _) = owner(bed, None)?;
    let (_, wrong) = self::owner(bed, None)?;
    let place = Place::new(bed)?;
    place.agent_for("echo", owner.user_id(), &format!("password: \"{PASSWORD}\""), "")?;
    let config = fs::read_to_string(place.agent_folder("echo").join("config.yaml"))?;
    let with_key = config.replace("encryption:\n", "encryption:\n  recovery_key: \"${KEY}\"\n");
    place.set_variable("KEY", &format!("\"{wrong}\""))?;
    place.write_agent("echo", &with_key)?;
    let token = &owner.account().access_token;
    let before = bed.homeserver().server_objects(token, owner.user_id())?;
    let mut launcher = place.start_ready(&["echo"])?;
    let failed = launcher.wait_for_event("recovery_failed", "echo")?;
    let said = failed["message"].as_str().unwrap_or_default();
    assert!(said.contains("secret storage, which has another key"), "{said}");
    let status = launcher.agent_status("echo")?;
    assert_eq!(status["state"], "degraded");
    let device = status["device_id"].as_str().unwrap_or_default().to_owned();
    unchanged(bed, &owner, &before, &device)?;
    // By command: the same, and a typing error is told from a wrong key.
    for (key, layer) in
        [(wrong.as_str(), "which has another key"), ("EsTc nonsense", "checksum is wrong")]
    {
        let output = place.command_with_input(&["recovery", "echo", "--set"], key)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(layer) && !said.contains(key), "{said}");
        unchanged(bed, &owner, &before, &device)?;
    }
    assert!(launcher.stop()?.0.success());
    Ok(())
}

/// Fails unless the server shows what it showed before, and one device more.
fn unchanged(bed: &Bed, owner: &JsUser, before: &BTreeMap<String, Value>, device: &str) -> Outcome {
    let token = &owner.account().access_token;
    let mut now = bed.homeserver().server_objects(token, owner.user_id())?;
    assert!(now.remove(&format!("device {device}")).is_some(), "{:?}", now.keys());
    assert_eq!(&now, before);
    Ok(())
}

/// The launcher is killed when the server has acted and before it hears of it,
/// in every step that makes identity, backup and secret storage.
fn killed(bed: &Bed) -> Outcome {
    let alice = bed.person("alice")?;
    let steps = [
        "/login",
        "/account_data/launcher.life",
        "/keys/upload",
        "/device_signing/upload",
        "/room_keys/version",
        "/account_data/m.secret_storage.key.",
        "/account_data/m.secret_storage.default_key",
        "/account_data/m.cross_signing.master",
        "/account_data/m.megolm_backup.v1",
    ];
    for step in steps {
        let stage = Tapped::new(bed)?;
        let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
        let kill = stage.kill(Point::AfterResponse, std::time::Duration::ZERO);
        let matcher = launcher_testbed::tap::Matcher::path_contains(step)
            .and(|request| request.method != "GET");
        let rule = stage.tap.add_rule(matcher.times(1), kill);
        let mut launcher = stage.start()?;
        rule.wait_for_hits(1, DEFAULT_TIMEOUT)?;
        launcher.wait_for_end(DEFAULT_TIMEOUT)?;
        rule.remove();
        let identity = master_key(bed, &alice, &agent)?;
        let launcher: Running<'_> = stage.start_ready("echo")?;
        let status = launcher.agent_status("echo")?;
        assert_eq!(status["cross_signed"], true, "killed at {step}");
        assert!(status["backup_version"].is_string(), "killed at {step}");
        let room = room_with(&alice, &agent)?;
        ask(&alice, &room, "to be backed up", &agent)?;
        only_signed_device(&alice, &agent)?;
        let now = master_key(bed, &alice, &agent)?;
        assert!(identity.is_null() || identity == now, "killed at {step}");
        let key = shown(&stage.place)?;
        let other = further_device(bed, &agent)?;
        let recovered = other.recover(&key)?;
        assert!(recovered.cross_signed && recovered.backup_version.is_some(), "killed at {step}");
        other.logout()?;
        assert!(launcher.stop()?.0.success());
        stage.check()?;
    }
    Ok(())
}
