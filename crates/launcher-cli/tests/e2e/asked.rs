//! What can be asked beside a launcher that runs, and how it was started.

use std::{
    fs,
    io::Write,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

use crate::{
    Cases, Outcome,
    bed::{Bed, PASSWORD},
    launcher::{Place, mode, pickle_key, variable},
    rooms::{ask, room_with},
};

pub(crate) const CASES: Cases = &[
    ("asked::every_command_answers_beside_a_running_launcher", beside),
    ("asked::what_a_running_launcher_says_of_a_parked_agent_is_explained", explained),
    ("asked::run_takes_only_the_agents_and_the_variables_it_is_given", chosen),
];

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A command without anything that was not typed: `config.yaml` is found by itself.
pub(crate) fn bare(place: &Place, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_launcher"));
    for variable in ["RUST_LOG", "LC_ALL", "LC_MESSAGES", "LANG"] {
        command.env_remove(variable);
    }
    command.args(arguments).current_dir(place.path()).stdin(Stdio::null());
    command
}

/// An agent that is parked as soon as it has tried to log in.
pub(crate) fn parked_agent(bed: &Bed, place: &Place, id: &str) -> Result<()> {
    let user = bed.homeserver().register_without_login(&bed.name(id), PASSWORD)?;
    place.agent_for(id, &user, "password: \"not this one\"", "")
}

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// Runs a command that has to end so, and to show all of these.
fn shows(place: &Place, arguments: &[&str], status: i32, parts: &[&str]) -> Result<String> {
    let output = bare(place, arguments).output()?;
    let (shown, said) = text(&output);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {shown}\n{said}");
    for part in parts {
        assert!(shown.contains(part), "{arguments:?} does not show {part}: {shown}\n{said}");
    }
    Ok(shown)
}

fn shows_json(place: &Place, arguments: &[&str]) -> Result<Value> {
    let all = [arguments, &["--json"]].concat();
    Ok(serde_json::from_str(&shows(place, &all, 0, &[])?)?)
}

fn beside(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "well")?;
    parked_agent(bed, &place, "shut")?;
    place.agent_for("off", "@off:localhost", "password: \"x\"", "enabled: false\n")?;
    shows(&place, &["check"], 0, &["3 agents, no problems"])?;
    assert!(!place.path().join(".launcher").exists() && !data_of(&place, "well").exists());
    let mut launcher = place.start_ready(&["well"])?;
    launcher.wait_for_state("shut", "parked")?;
    let alice = bed.person("alice")?;
    let room = room_with(&alice, &agent)?;
    ask(&alice, &room, "hello", &agent)?;
    let device = launcher.agent_status("well")?["device_id"].clone();
    let device = device.as_str().ok_or("no device")?;

    let parked = ["shut", "parked", "login_refused"];
    for (arguments, status, parts) in [
        (&["check"][..], 0, &["3 agents, no problems"][..]),
        (&["status"], 0, &["AGENT", "well", "running", device, "why: login_refused", "do: "]),
        (&["doctor"], 1, &["well\n", "shut\n", "FAIL", "login_refused", "one_time_keys"]),
        (&["doctor", "well"], 0, &["one_time_keys"]),
        (&["stores", "well"], 0, &["no crypto store was put aside"]),
        (&["devices", "well"], 0, &["DEVICE", device, "own"]),
        (&["invites"], 0, &[&["no invitations wait"][..], &parked].concat()),
        (&["invites", "list"], 0, &["no invitations wait", "shut"]),
        (&["invites", "list", "well"], 0, &["no invitations wait"]),
        (&["invites", "well"], 0, &["no invitations wait"]),
        (&["invites", "well", "rooms"], 0, &["ROOM", &room]),
        (&["invites", "shut"], 1, &[]),
        (&["trust", "well"], 0, &[alice.user_id(), alice.device_id()]),
        (&["verify", "well", "--requests"], 0, &[]),
        (&["explain", "login_refused"], 0, &["login_refused: "]),
        (&["completions", "bash"], 0, &["complete -F _launcher"]),
        (&["man"], 0, &[".SH NAME"]),
        (&["acknowledge", "shut"], 0, &["it is known that shut is parked: login_refused"]),
    ] {
        shows(&place, arguments, status, parts)?;
    }
    let waiting = shows_json(&place, &["invites"])?;
    let of = |id: &str| waiting["agents"].as_array()?.iter().find(|agent| agent["id"] == id);
    let (well, shut) = (of("well").ok_or("well")?, of("shut").ok_or("shut")?);
    assert_eq!((&well["invites"], &well["reason"]), (&json!([]), &Value::Null));
    assert!(shut["invites"].is_null() && shut["action"].is_string(), "{shut}");
    let known = shows_json(&place, &["acknowledge", "shut", "--note", "asked the owner"])?;
    assert_eq!(known["note"], "asked the owner");
    assert!(
        known["reason"].as_str().is_some_and(|why| why.starts_with("login_refused")),
        "{known}"
    );
    shows(&place, &["status"], 0, &["known: asked the owner"])?;

    let archive = place.path().join("well.backup");
    let written = shows_json(&place, &["backup", "well", "--output", "well.backup"])?;
    assert_eq!((&written["agent"], &written["runs_on"]), (&json!("well"), &json!(true)));
    assert_eq!(written["size"], fs::metadata(&archive)?.len());
    assert_eq!((written["path"].as_str(), mode(&archive)?), (archive.to_str(), 0o600));
    assert!(written["files"].as_u64() > Some(3), "{written}");
    launcher.wait_for_state("well", "running")?;

    let new_key = pickle_key("another");
    let rekeyed = place.command_with_input(&["rekey", "well"], &new_key)?;
    let (shown, said) = text(&rekeyed);
    assert!(rekeyed.status.success(), "{said}");
    assert!(!shown.contains(&new_key) && !said.contains(&new_key));
    let env = fs::read_to_string(place.path().join(".env"))?;
    let line = |key: &str| env.lines().any(|line| line == format!("{}={key}", variable("well")));
    assert!(line(&new_key) && !line(&pickle_key("well")));
    ask(&alice, &room, "after the new key", &agent)?;

    shows(&place, &["trust", "well", "block", alice.user_id(), alice.device_id()], 0, &[])?;
    let trust = shows_json(&place, &["trust", "well"])?;
    let users = trust["users"].as_array().ok_or("no users")?;
    let entry = users.iter().find(|user| user["user"] == alice.user_id()).ok_or("no alice")?;
    assert_eq!(
        (&entry["decision"], &entry["devices"][0]["verdict"]),
        (&Value::Null, &json!("blocked"))
    );
    let status = launcher.agent_status("well")?;
    assert_eq!((&status["state"], &status["device_id"]), (&json!("running"), &json!(device)));
    assert!(!data_of(&place, "off").exists());
    assert!(launcher.stop()?.0.success());
    Ok(())
}

fn data_of(place: &Place, id: &str) -> std::path::PathBuf {
    place.agent_folder(id).join("data")
}

/// Gives this to `launcher explain`. Returns how it ended and what it printed.
fn explain(
    place: &Place,
    arguments: &[&str],
    variables: &[(&str, &str)],
    input: &str,
) -> Result<(Option<i32>, String)> {
    let mut child = bare(place, &[&["explain"], arguments].concat())
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().ok_or("no input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    Ok((output.status.code(), text(&output).0))
}

fn explained(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    parked_agent(bed, &place, "shut")?;
    let mut launcher = place.start()?;
    let parked = launcher.wait_for_event("agent_parked", "shut")?;
    launcher.wait_for_state("shut", "parked")?;
    let status = shows(&place, &["status"], 0, &["login_refused"])?;
    let spanish = [("LC_ALL", "es_ES.UTF-8")];
    for input in [launcher.log_text()?, status] {
        let (code, english) = explain(&place, &["-"], &[], &input)?;
        assert_eq!(code, Some(0), "{english}");
        assert!(english.contains("login_refused: ") && english.contains("What helps"), "{english}");
        let (code, found) = explain(&place, &["-", "--json"], &[], &input)?;
        let found: Value = serde_json::from_str(&found)?;
        let matches = found["matches"].as_array().ok_or("no matches")?;
        let page = matches.iter().find(|page| page["id"] == "login_refused");
        let page = page.ok_or_else(|| format!("not found: {found}"))?;
        assert_eq!(code, Some(0));
        assert!(page["count"].as_u64() >= Some(1) && page["cure"].is_string(), "{page}");

        let (code, by_option) = explain(&place, &["-", "--lang", "es"], &[], &input)?;
        assert_eq!((code, by_option.contains("Qué hacer")), (Some(0), true), "{by_option}");
        assert!(!by_option.contains("What helps"), "{by_option}");
        assert_eq!(explain(&place, &["-"], &spanish, &input)?, (Some(0), by_option));
        let (_, chosen) = explain(&place, &["-", "--lang", "en"], &spanish, &input)?;
        assert_eq!(chosen, english);
    }
    // Whose log it is, is said where the log says it.
    let (_, found) = explain(&place, &["-", "--json"], &[], &launcher.log_text()?)?;
    let found: Value = serde_json::from_str(&found)?;
    let pages = found["matches"].as_array().ok_or("no matches")?;
    let page = pages.iter().find(|page| page["id"] == "login_refused").ok_or("no page")?;
    assert_eq!(page["agents"], json!(["shut"]));

    let reason = parked["reason"].as_str().ok_or("no reason")?;
    let (code, page) = explain(&place, &[reason], &[], "")?;
    assert_eq!((code, page.starts_with("login_refused: ")), (Some(0), true), "{page}");
    for (arguments, input) in [(&["flibbertigibbet"][..], ""), (&["-"], "flibbertigibbet\n")] {
        assert_eq!(explain(&place, arguments, &[], input)?, (Some(1), String::new()));
    }
    Ok(())
}

fn chosen(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "one")?;
    place.agent(bed, "two")?;
    fs::rename(place.path().join(".env"), place.path().join("secrets"))?;
    shows(&place, &["check"], 78, &[&variable("one"), &variable("two")])?;
    shows(&place, &["check", "--env-file", "secrets"], 0, &["2 agents, no problems"])?;
    let mut launcher = place.start_with(&["--only", "one", "--env-file", "secrets"], "")?;
    launcher.wait_for_event("agent_ready", "one")?;
    let alice = bed.person("alice")?;
    let room = room_with(&alice, &agent)?;
    ask(&alice, &room, "alone?", &agent)?;
    let status = launcher.status()?;
    let agents: Vec<&Value> = status["agents"].as_array().into_iter().flatten().collect();
    assert_eq!((agents.len(), &agents[0]["id"]), (1, &json!("one")), "{status}");
    assert!(!data_of(&place, "two").exists());
    Ok(())
}
