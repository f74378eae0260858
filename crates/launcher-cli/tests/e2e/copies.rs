//! Folders that are restored from a copy, and copies that run beside the original.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use launcher_testbed::{JsUser, tap::invariants};

use crate::{
    Cases, Outcome,
    bed::{Bed, PASSWORD},
    launcher::{Place, Running},
    recovery::only_signed_device,
    rooms::{ask, room_with},
    tapped::Tapped,
};

pub(crate) const CASES: Cases = &[
    ("copies::a_folder_restored_from_a_stopped_copy_becomes_a_new_device", stopped_copy),
    ("copies::a_folder_restored_from_a_hot_copy_becomes_a_new_device", hot_copy),
    ("copies::a_crypto_store_restored_alone_becomes_a_new_device", store_alone),
    ("copies::a_restored_folder_of_an_agent_with_a_token_only_parks", token_only),
    ("copies::of_two_hosts_with_one_folder_the_second_stops", two_hosts),
    ("copies::an_old_copy_beside_the_running_original_stops", old_copy_beside),
    ("copies::a_folder_that_was_moved_keeps_its_device", moved),
];

/// Messages that the agent answers after the copy was made.
const MESSAGES: usize = 40;

/// How long users wait at most until they are answered again.
const WITHIN: Duration = Duration::from_secs(60);

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Asks `count` things and waits for all answers.
pub(crate) fn talk(
    stage: &Tapped,
    bed: &Bed,
    alice: &JsUser,
    room: &str,
    agent: &str,
    count: usize,
) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let asked: Vec<String> = (0..count)
        .map(|number| stage.say(alice, room, &format!("question {number}")))
        .collect::<Result<_, _>>()?;
    stage.wait_for_answers(bed.homeserver(), alice, room, agent, &asked)?;
    Ok(asked)
}

/// Waits until the agent is a new device that its owner signed, and asks it something.
pub(crate) fn comes_back(
    stage: &Tapped,
    launcher: &mut Running<'_>,
    alice: &JsUser,
    room: &str,
    agent: &str,
    old: &str,
) -> Result<String, Box<dyn std::error::Error>> {
    let began = Instant::now();
    let reset = launcher.wait_for_event("store_reset", "echo")?;
    let cause = reset["cause"].as_str().unwrap_or_default();
    assert!(cause.starts_with("store_rolled_back"), "{cause}");
    assert_eq!(launcher.events("store_rolled_back", "echo")?.len(), 1);
    launcher.wait_for_event("agent_ready", "echo")?;
    assert_ne!(only_signed_device(alice, agent)?, old);
    let after = stage.say(alice, room, "after")?;
    alice.wait_for_replies(room, &after, 1, WITHIN.saturating_sub(began.elapsed()))?;
    Ok(after)
}

/// How many room keys are in the key backup of an account.
fn keys_in_backup(bed: &Bed, user: &str) -> Result<u64, Box<dyn std::error::Error>> {
    let owner = bed.homeserver().login(user, PASSWORD)?;
    let token = Some(owner.access_token.as_str());
    let path = "/_matrix/client/v3/room_keys/version";
    let (_, version) = bed.homeserver().request("GET", path, token, None)?;
    bed.homeserver().request("POST", "/_matrix/client/v3/logout", token, None)?;
    Ok(version["count"].as_u64().unwrap_or_default())
}

fn stopped_copy(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let alice = bed.person("alice")?;
    let launcher = stage.start_ready("echo")?;
    let room = room_with(&alice, &agent)?;
    let mut asked = talk(&stage, bed, &alice, &room, &agent, 3)?;
    let old = only_signed_device(&alice, &agent)?;
    assert!(launcher.stop()?.0.success());
    let (data, kept) = (stage.place.agent_folder("echo").join("data"), tempfile::tempdir()?);
    copy(&data, kept.path())?;
    let mut launcher = stage.start_ready("echo")?;
    asked.extend(talk(&stage, bed, &alice, &room, &agent, MESSAGES)?);
    // A key that the copy does not have, and the key backup does.
    alice.discard_session(&room)?;
    let backed_up = keys_in_backup(bed, &agent)?;
    asked.extend(talk(&stage, bed, &alice, &room, &agent, 1)?);
    launcher
        .wait_until("the key is backed up", |_| Ok(keys_in_backup(bed, &agent)? > backed_up))?;
    assert!(launcher.stop()?.0.success());
    fs::remove_dir_all(&data)?;
    copy(kept.path(), &data)?;
    let mut launcher = stage.start()?;
    asked.push(comes_back(&stage, &mut launcher, &alice, &room, &agent, &old)?);
    // What was said after the copy is read again, with keys from the old store and from the
    // backup, and not answered twice.
    launcher.wait_until("everything is read", |launcher| {
        let status = launcher.agent_status("echo")?;
        Ok(status["received"] == MESSAGES + 2 && status["undecryptable_pending"] == 0)
    })?;
    stage.answered_once(bed.homeserver(), &alice, &room, &agent, &asked)?;
    assert!(launcher.stop()?.0.success());
    stage.check()
}

fn hot_copy(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let alice = bed.person("alice")?;
    let launcher = stage.start_ready("echo")?;
    let room = room_with(&alice, &agent)?;
    let mut asked = talk(&stage, bed, &alice, &room, &agent, 3)?;
    let old = only_signed_device(&alice, &agent)?;
    let (data, kept) = (stage.place.agent_folder("echo").join("data"), tempfile::tempdir()?);
    copy(&data, kept.path())?;
    asked.extend(talk(&stage, bed, &alice, &room, &agent, MESSAGES)?);
    stage.victim().kill();
    drop(launcher);
    fs::remove_dir_all(&data)?;
    copy(kept.path(), &data)?;
    let mut launcher = stage.start()?;
    asked.push(comes_back(&stage, &mut launcher, &alice, &room, &agent, &old)?);
    stage.answered_once(bed.homeserver(), &alice, &room, &agent, &asked)?;
    assert!(launcher.stop()?.0.success());
    stage.check()
}

fn store_alone(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let alice = bed.person("alice")?;
    let launcher = stage.start_ready("echo")?;
    let room = room_with(&alice, &agent)?;
    let mut asked = talk(&stage, bed, &alice, &room, &agent, 2)?;
    let old = only_signed_device(&alice, &agent)?;
    assert!(launcher.stop()?.0.success());
    let crypto = stage.place.agent_folder("echo").join("data/crypto");
    let kept = tempfile::tempdir()?;
    copy(&crypto, kept.path())?;
    let launcher = stage.start_ready("echo")?;
    asked.extend(talk(&stage, bed, &alice, &room, &agent, 2)?);
    assert!(launcher.stop()?.0.success());
    fs::remove_dir_all(&crypto)?;
    copy(kept.path(), &crypto)?;
    let mut launcher = stage.start()?;
    asked.push(comes_back(&stage, &mut launcher, &alice, &room, &agent, &old)?);
    stage.answered_once(bed.homeserver(), &alice, &room, &agent, &asked)?;
    assert!(launcher.stop()?.0.success());
    stage.check()
}

fn token_only(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let account = bed.account("echo")?;
    let alice = bed.person("alice")?;
    let secret = format!("access_token: \"{}\"", account.access_token);
    place.agent_for("echo", &account.user_id, &secret, "")?;
    place.start_ready(&["echo"])?.stop()?;
    let (data, kept) = (place.agent_folder("echo").join("data"), tempfile::tempdir()?);
    copy(&data, kept.path())?;
    place.start_ready(&["echo"])?.stop()?;
    let devices = alice.user_devices(&account.user_id)?;
    fs::remove_dir_all(&data)?;
    copy(kept.path(), &data)?;
    let mut launcher = place.start()?;
    let parked = launcher.wait_for_event("agent_parked", "echo")?;
    assert!(parked["reason"].as_str().is_some_and(|why| why.starts_with("store_rolled_back")));
    let action = parked["action"].as_str().unwrap_or_default();
    assert!(action.contains("`launcher reset echo`"), "{action}");
    assert_eq!(alice.user_devices(&account.user_id)?, devices);
    Ok(())
}

/// Makes the folder of another host of what is in `original` now.
fn other_host(original: &Tapped, bed: &Bed) -> Result<Tapped, Box<dyn std::error::Error>> {
    let other = Tapped::new(bed)?;
    copy(&original.place.path().join("agents"), &other.place.path().join("agents"))?;
    fs::copy(original.place.path().join(".env"), other.place.path().join(".env"))?;
    Ok(other)
}

/// Fails if both hosts together used an index twice.
pub(crate) fn check_both(one: &Tapped, other: &Tapped) -> Outcome {
    let mut requests = one.tap.requests();
    requests.extend(other.tap.requests());
    let mut violations = invariants::reused_message_indices(&requests);
    violations.extend(invariants::changed_one_time_keys(&requests));
    violations.extend(invariants::changed_identity_keys(&requests));
    assert!(violations.is_empty(), "{violations:?}");
    one.check()?;
    other.check()
}

fn is_parked_as_cloned(launcher: &mut Running<'_>) -> Outcome {
    let parked = launcher.wait_for_event("agent_parked", "echo")?;
    assert!(parked["reason"].as_str().is_some_and(|why| why.starts_with("store_cloned")));
    assert_eq!(launcher.events("store_cloned", "echo")?.len(), 1);
    assert!(launcher.events("store_reset", "echo")?.is_empty());
    Ok(())
}

fn two_hosts(bed: &Bed) -> Outcome {
    let one = Tapped::new(bed)?;
    let agent = one.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let alice = bed.person("alice")?;
    let first = one.start_ready("echo")?;
    let room = room_with(&alice, &agent)?;
    let mut asked = talk(&one, bed, &alice, &room, &agent, 3)?;
    let devices = alice.user_devices(&agent)?;
    let other = other_host(&one, bed)?;
    let mut second = other.start()?;
    is_parked_as_cloned(&mut second)?;
    asked.extend(talk(&one, bed, &alice, &room, &agent, 3)?);
    one.answered_once(bed.homeserver(), &alice, &room, &agent, &asked)?;
    assert_eq!(alice.user_devices(&agent)?, devices);
    assert_eq!(first.agent_status("echo")?["state"], "running");
    assert!(first.stop()?.0.success());
    assert!(second.stop()?.0.success());
    check_both(&one, &other)
}

fn old_copy_beside(bed: &Bed) -> Outcome {
    let one = Tapped::new(bed)?;
    let agent = one.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let alice = bed.person("alice")?;
    let first = one.start_ready("echo")?;
    let room = room_with(&alice, &agent)?;
    let mut asked = talk(&one, bed, &alice, &room, &agent, 2)?;
    let devices = alice.user_devices(&agent)?;
    let other = other_host(&one, bed)?;
    // The copy is behind now, which looks like a restore; but the original answers.
    asked.extend(talk(&one, bed, &alice, &room, &agent, 5)?);
    let mut second = other.start()?;
    is_parked_as_cloned(&mut second)?;
    assert!(second.events("agent_ready", "echo")?.is_empty());
    asked.extend(talk(&one, bed, &alice, &room, &agent, 2)?);
    one.answered_once(bed.homeserver(), &alice, &room, &agent, &asked)?;
    assert_eq!(alice.user_devices(&agent)?, devices);
    assert!(first.stop()?.0.success());
    assert!(second.stop()?.0.success());
    check_both(&one, &other)
}

fn moved(bed: &Bed) -> Outcome {
    let one = Tapped::new(bed)?;
    let agent = one.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let alice = bed.person("alice")?;
    let launcher = one.start_ready("echo")?;
    let room = room_with(&alice, &agent)?;
    talk(&one, bed, &alice, &room, &agent, 2)?;
    let devices = alice.user_devices(&agent)?;
    assert!(launcher.stop()?.0.success());
    let other = other_host(&one, bed)?;
    let launcher = other.start_ready("echo")?;
    ask(&alice, &room, "where are you?", &agent)?;
    assert_eq!(alice.user_devices(&agent)?, devices);
    assert!(launcher.events("store_reset", "echo")?.is_empty());
    assert!(launcher.stop()?.0.success());
    check_both(&one, &other)
}
