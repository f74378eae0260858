//! What an operator does with commands about one agent.

use std::process::Output;

use launcher_testbed::DEFAULT_TIMEOUT;

use crate::{
    Cases, Outcome,
    bed::Bed,
    launcher::Place,
    rooms::{ask, room_with},
};

pub(crate) const CASES: Cases = &[
    ("operator::verify_without_a_launcher_signs_and_takes_no_message", verify_alone),
    ("operator::verify_through_a_launcher_starts_the_agent_anew_and_it_answers", verify_remote),
    ("operator::commands_name_what_is_not_there", unknown),
];

/// The value behind a name in the page that `verify` prints.
fn shown(output: &Output, name: &str) -> String {
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_default().trim().to_owned()
}

fn verify_alone(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let alice = bed.person("alice")?;
    // The agent has never run: this makes its device and its signing keys.
    let output = place.command(&["verify", "echo"])?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(shown(&output, "signed"), "yes");
    let device = shown(&output, "device");
    let mut launcher = place.start()?;
    let ready = launcher.wait_for_event("agent_ready", "echo")?;
    assert_eq!(ready["device_id"], device.as_str());
    let room = room_with(&alice, &agent)?;
    ask(&alice, &room, "before", &agent)?;
    assert!(alice.wait_for_signed_device(&agent, &device, DEFAULT_TIMEOUT)?.signed_by_owner);
    assert!(launcher.stop()?.0.success());

    // What is said while no launcher runs is for the launcher.
    let meanwhile = alice.send_text(&room, "meanwhile")?;
    let output = place.command(&["verify", "echo"])?;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(shown(&output, "device"), device);
    let _launcher = place.start_ready(&["echo"])?;
    alice.wait_for_replies(&room, &meanwhile, 1, DEFAULT_TIMEOUT)?;
    ask(&alice, &room, "after", &agent)?;
    let answers = alice.messages(&room)?.into_iter().filter(|message| message.sender == agent);
    let bodies: Vec<_> = answers.filter_map(|message| message.body).collect();
    assert_eq!(bodies, ["echo: before", "echo: meanwhile", "echo: after"]);
    Ok(())
}

fn verify_remote(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let alice = bed.person("alice")?;
    let mut launcher = place.start()?;
    let before = launcher.wait_for_event("agent_ready", "echo")?;
    let room = room_with(&alice, &agent)?;
    ask(&alice, &room, "before", &agent)?;
    let output = place.command(&["verify", "echo"])?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(before["device_id"], shown(&output, "device").as_str());
    assert_eq!(launcher.events("agent_ready", "echo")?.len(), 2);
    let actions = launcher.events("operator_action", "echo")?;
    assert_eq!(actions.len(), 1);
    assert_eq!(actions[0]["action"], "restart");
    ask(&alice, &room, "after", &agent)?;
    assert!(launcher.stop()?.0.success());
    Ok(())
}

fn unknown(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    place.agent(bed, "echo")?;
    place.write_agent("broken", "x: 1\n")?;
    for (arguments, status, part) in [
        (["verify", "other"], 2, "there is no agent `other`; there are: broken, echo"),
        (["stores", "broken"], 78, "agents/broken/config.yaml:1:1: error"),
        (["devices", "Echo"], 2, "is not an agent id"),
        (["recovery", "echo"], 2, "at a terminal only"),
    ] {
        let output = place.command(&arguments)?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
    let reset = std::process::Command::new(env!("CARGO_BIN_EXE_launcher"))
        .args(["reset", "echo"])
        .current_dir(place.path())
        .stdin(std::process::Stdio::null())
        .output()?;
    assert_eq!(reset.status.code(), Some(2));
    assert!(!place.agent_folder("echo").join("data").exists());
    Ok(())
}
