//! What the commands say about configuration files. The diagnostics themselves
//! are tested where they are made; here it is what a script can rely on.

use std::fs;

use serde_json::{Value, json};

use crate::{Cases, Outcome, bed::Bed, launcher::Place};

pub(crate) const CASES: Cases = &[
    ("config::check_exits_0_without_and_78_with_problems_and_names_their_place", check),
    ("config::a_broken_root_file_starts_nothing", broken_root),
    ("config::wrong_usage_exits_2", usage),
];

fn check(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    place.agent_for("fine", "@fine:localhost", "password: \"x\"", "")?;
    let output = place.command(&["check"])?;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    place.write_agent("bad", "matrix:\n  user: \"@bad:localhost\"\n")?;
    let output = place.command(&["check"])?;
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let text = String::from_utf8(output.stdout)?;
    assert!(text.contains("agents/bad/config.yaml:2:3: error: matrix.user: "), "{text}");
    let output = place.command(&["check", "--json"])?;
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let shown: Value = serde_json::from_slice(&output.stdout)?;
    let problems = shown["problems"].as_array().ok_or("no problems")?;
    let problem = problems.iter().find(|problem| problem["path"] == "matrix.user");
    let problem = problem.ok_or_else(|| shown.to_string())?;
    assert_eq!((&shown["agents"], &problem["line"]), (&json!(2), &json!(2)), "{shown}");
    assert_eq!(problem["file"], "agents/bad/config.yaml");
    assert!(!place.path().join(".launcher").exists());
    Ok(())
}

fn broken_root(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    place.agent_for("fine", "@fine:localhost", "password: \"x\"", "")?;
    fs::write(place.path().join("config.yaml"), "homserver: x\n")?;
    let mut launcher = place.start()?;
    assert_eq!(launcher.wait_for_end(std::time::Duration::from_secs(5))?.code(), Some(78));
    assert!(launcher.log_text()?.contains("config.yaml:1:1: error: homserver: "));
    assert!(!place.agent_folder("fine").join("data").exists());
    Ok(())
}

fn usage(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    assert_eq!(place.command(&["run", "--only", "nobody"])?.status.code(), Some(2));
    assert_eq!(place.command(&["fly"])?.status.code(), Some(2));
    Ok(())
}
