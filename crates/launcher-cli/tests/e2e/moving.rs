//! Agents that are carried to another place as one file.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use launcher_testbed::DEFAULT_TIMEOUT;

use crate::{
    Cases, Outcome,
    bed::Bed,
    copies::{check_both, comes_back, talk},
    launcher::{pickle_key, variable},
    recovery::only_signed_device,
    rooms::{ask, room_with},
    tapped::Tapped,
};

pub(crate) const CASES: Cases = &[
    ("moving::an_agent_that_was_stopped_is_the_same_device_in_another_place", stopped),
    ("moving::an_agent_goes_on_after_a_backup_and_its_copy_becomes_a_new_device", running),
    ("moving::a_restored_agent_is_taken_up_by_a_launcher_that_runs", taken_up),
    ("moving::what_does_not_open_leaves_nothing", refused),
];

fn said(output: &Output) -> String {
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{stdout}{stderr}")
}

/// Runs `launcher backup` and returns the archive.
fn backup(from: &Tapped) -> Result<(PathBuf, String), Box<dyn std::error::Error>> {
    // A relative path, which the launcher could take for one of its own.
    let output = from.place.command(&["backup", "echo", "-o", "echo.backup"])?;
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(!said.contains(&pickle_key("echo")), "{said}");
    Ok((from.place.path().join("echo.backup"), said))
}

fn restore(into: &Tapped, archive: &Path, key: &str) -> Result<Output, Box<dyn std::error::Error>> {
    let archive = archive.to_str().ok_or("a path that is no text")?;
    let output = into.place.command_with_input(&["restore", archive], key)?;
    assert!(!said(&output).contains(key), "{}", said(&output));
    Ok(output)
}

/// Whether nothing is left of attempts to restore but their lines in the audit
/// log, which has these outcomes.
fn is_untouched(place: &Tapped, outcomes: &[&str]) -> Result<bool, Box<dyn std::error::Error>> {
    let names = |folder: &str| -> Result<Vec<String>, std::io::Error> {
        let entries = match fs::read_dir(place.place.path().join(folder)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    let audit = fs::read_to_string(place.place.path().join(".launcher/audit.jsonl"))?;
    let mut found = Vec::new();
    for line in audit.lines() {
        let line: serde_json::Value = serde_json::from_str(line)?;
        assert_eq!((&line["action"], &line["agent"]), (&"restore".into(), &"echo".into()));
        found.push(line["outcome"].as_str().unwrap_or_default().to_owned());
    }
    assert_eq!(found, outcomes);
    Ok(names("agents")?.is_empty() && names(".launcher")? == ["audit.jsonl"])
}

fn stopped(bed: &Bed) -> Outcome {
    let here = Tapped::new(bed)?;
    let agent = here.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let alice = bed.person("alice")?;
    let launcher = here.start_ready("echo")?;
    let room = room_with(&alice, &agent)?;
    talk(&here, bed, &alice, &room, &agent, 2)?;
    let devices = alice.user_devices(&agent)?;
    assert!(launcher.stop()?.0.success());
    let (archive, page) = backup(&here)?;
    assert!(page.contains("keeps its device"), "{page}");
    // A second one does not replace the first.
    let again = here.place.command(&["backup", "echo", "-o", "echo.backup", "--json"])?;
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).contains("echo.backup exists"), "{}", said(&again));

    let there = Tapped::new(bed)?;
    let output = restore(&there, &archive, &pickle_key("echo"))?;
    let page = said(&output);
    assert_eq!(output.status.code(), Some(0), "{page}");
    let todo = format!("set {} in `.env` to its pickle key", variable("echo"));
    assert!(page.contains(&todo), "{page}");
    there.place.set_variable(&variable("echo"), &pickle_key("echo"))?;
    let launcher = there.start_ready("echo")?;
    ask(&alice, &room, "where are you?", &agent)?;
    assert_eq!(alice.user_devices(&agent)?, devices);
    assert!(launcher.events("store_reset", "echo")?.is_empty());
    let doctor = there.place.command(&["doctor", "echo"])?;
    assert_eq!(doctor.status.code(), Some(0), "{}", said(&doctor));
    assert!(launcher.stop()?.0.success());
    check_both(&here, &there)
}

fn running(bed: &Bed) -> Outcome {
    let here = Tapped::new(bed)?;
    let agent = here.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let alice = bed.person("alice")?;
    let mut launcher = here.start_ready("echo")?;
    let room = room_with(&alice, &agent)?;
    let mut asked = talk(&here, bed, &alice, &room, &agent, 3)?;
    let old = only_signed_device(&alice, &agent)?;
    let (archive, page) = backup(&here)?;
    assert!(page.contains("This agent runs on"), "{page}");
    let actions = launcher.events("operator_action", "echo")?;
    assert_eq!(actions.len(), 1);
    assert_eq!(actions[0]["action"], "backup");
    asked.extend(talk(&here, bed, &alice, &room, &agent, 3)?);
    launcher.wait_for_state("echo", "running")?;
    assert_eq!(only_signed_device(&alice, &agent)?, old);
    here.answered_once(bed.homeserver(), &alice, &room, &agent, &asked)?;
    assert!(launcher.stop()?.0.success());

    let there = Tapped::new(bed)?;
    // This time the key is found where an agent's key usually is.
    there.place.set_variable(&variable("echo"), &pickle_key("echo"))?;
    let output = restore(&there, &archive, "not a key")?;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(!said(&output).contains("do: "), "{}", said(&output));
    let mut launcher = there.start()?;
    asked.push(comes_back(&there, &mut launcher, &alice, &room, &agent, &old)?);
    there.answered_once(bed.homeserver(), &alice, &room, &agent, &asked)?;
    assert!(launcher.stop()?.0.success());
    check_both(&here, &there)
}

fn taken_up(bed: &Bed) -> Outcome {
    let here = Tapped::new(bed)?;
    let more = "";
    let agent = here.agent(bed.homeserver(), "echo", &bed.name("echo"), "", more)?;
    let config = here.place.agent_folder("echo").join("config.yaml");
    let text = fs::read_to_string(&config)?;
    let text = text.replace("encryption:\n", "encryption:\n  store_path: stores/echo\n");
    fs::write(&config, text)?;
    let alice = bed.person("alice")?;
    let launcher = here.start_ready("echo")?;
    let room = room_with(&alice, &agent)?;
    talk(&here, bed, &alice, &room, &agent, 1)?;
    let devices = alice.user_devices(&agent)?;
    assert!(launcher.stop()?.0.success());
    let (archive, _) = backup(&here)?;

    let there = Tapped::new(bed)?;
    there.place.set_variable("KEY_OF_ANOTHER_NAME", &pickle_key("echo"))?;
    there.place.set_variable(&variable("echo"), &pickle_key("echo"))?;
    let mut launcher = there.start()?;
    launcher.wait_until_within(DEFAULT_TIMEOUT, "the launcher answers", |launcher| {
        Ok(launcher.status().is_ok())
    })?;
    let archive = archive.to_str().ok_or("a path that is no text")?;
    let output = there.place.command(&["restore", archive, "--key-env", "KEY_OF_ANOTHER_NAME"])?;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("takes it up."), "{}", said(&output));
    launcher.wait_for_event("agent_ready", "echo")?;
    assert!(there.place.path().join("stores/echo/crypto.db").is_file());
    assert!(!there.place.agent_folder("echo").join("data/crypto").exists());
    ask(&alice, &room, "where are you?", &agent)?;
    assert_eq!(alice.user_devices(&agent)?, devices);
    // There is an agent of that name now.
    let output = there.place.command(&["restore", archive])?;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("agents/echo exists"), "{}", said(&output));
    assert!(launcher.stop()?.0.success());
    check_both(&here, &there)
}

fn refused(bed: &Bed) -> Outcome {
    let here = Tapped::new(bed)?;
    here.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    assert!(here.start_ready("echo")?.stop()?.0.success());
    let (archive, _) = backup(&here)?;

    let there = Tapped::new(bed)?;
    let output = restore(&there, &archive, &pickle_key("other"))?;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("the pickle key does not open"), "{}", said(&output));
    assert!(is_untouched(&there, &["refused"])?);

    let mut bytes = fs::read(&archive)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archive, bytes)?;
    let output = restore(&there, &archive, &pickle_key("echo"))?;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("is damaged in the chunk"), "{}", said(&output));
    assert!(is_untouched(&there, &["refused", "began", "refused"])?);

    fs::write(&archive, "something else")?;
    let output = restore(&there, &archive, &pickle_key("echo"))?;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    // Whose archive it is, nobody knows.
    assert!(is_untouched(&there, &["refused", "began", "refused"])?);
    here.check()
}
