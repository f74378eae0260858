//! Folders that come, change and go while the launcher runs.

use std::{fs, time::Duration};

use rustix::process::Signal;

use crate::{
    Cases, Outcome,
    bed::{Bed, PASSWORD},
    launcher::{Place, agent_config, pickle_key, variable},
    rooms::{ask, room_with},
};

pub(crate) const CASES: Cases = &[
    ("folders::a_folder_copied_in_becomes_an_agent_and_a_removed_one_stops", come_and_go),
    ("folders::a_broken_edit_changes_nothing_and_a_good_one_restarts_just_that_agent", edits),
    ("folders::sighup_reads_everything_again", hangup),
];

fn come_and_go(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let first = place.agent(bed, "first")?;
    let alice = bed.person("alice")?;
    let mut launcher = place.start_ready(&["first"])?;
    let user = bed.homeserver().register_without_login(&bed.name("later"), PASSWORD)?;
    // Its key stands in its own file, so that nothing else changes with it.
    let secret = format!("password: \"{PASSWORD}\"");
    let config = agent_config("later", &user, &secret, "");
    let with_key = config.replace(&format!("${{{}}}", variable("later")), &pickle_key("later"));
    place.write_agent("later", &with_key)?;
    launcher.wait_for_event_within("agent_ready", "later", Duration::from_secs(10))?;
    let room = room_with(&alice, &user)?;
    ask(&alice, &room, "new here?", &user)?;
    fs::remove_dir_all(place.agent_folder("later"))?;
    launcher.wait_for_event_within("agent_stopped", "later", Duration::from_secs(10))?;
    let status = launcher.status()?;
    assert_eq!(status["agents"].as_array().map(Vec::len), Some(1), "{status}");
    let room = room_with(&alice, &first)?;
    ask(&alice, &room, "undisturbed?", &first)?;
    Ok(())
}

fn edits(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let (edited, other) = (place.agent(bed, "edited")?, place.agent(bed, "other")?);
    let alice = bed.person("alice")?;
    let mut launcher = place.start_ready(&["edited", "other"])?;
    let room = room_with(&alice, &edited)?;
    ask(&alice, &room, "before", &edited)?;
    let config = place.agent_folder("edited").join("config.yaml");
    let good = fs::read_to_string(&config)?;
    fs::write(&config, good.replace("behavior:", "behaviour:"))?;
    let complaint = |line: &serde_json::Value| {
        line["message"].as_str().is_some_and(|text| text.contains("agents/edited/config.yaml:"))
    };
    launcher.wait_until("a complaint about the edit", |running| {
        Ok(running.lines()?.iter().any(complaint))
    })?;
    ask(&alice, &room, "after the broken edit", &edited)?;
    fs::write(&config, good.replace("\"echo: \"", "\"edited: \""))?;
    launcher.wait_until("ready again", |running| {
        Ok(running.events("agent_ready", "edited")?.len() == 2)
    })?;
    let question = alice.send_text(&room, "after the good edit")?;
    let answers = alice.wait_for_replies(&room, &question, 1, launcher_testbed::DEFAULT_TIMEOUT)?;
    assert_eq!(answers[0].body.as_deref(), Some("edited: after the good edit"));
    assert_eq!(launcher.events("agent_ready", "edited")?.len(), 2);
    assert_eq!(launcher.events("agent_ready", "other")?.len(), 1);
    let room = room_with(&alice, &other)?;
    ask(&alice, &room, "undisturbed?", &other)?;
    Ok(())
}

fn hangup(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let one = bed.account("one")?;
    let two = bed.account("two")?;
    let secret = format!("access_token: \"{}\"", two.access_token);
    place.agent_for("parked", &one.user_id, &secret, "")?;
    let mut launcher = place.start()?;
    launcher.wait_for_event("agent_parked", "parked")?;
    launcher.signal(Signal::HUP)?;
    // A parked agent is tried again, and parked again.
    launcher.wait_until("parked twice", |running| {
        Ok(running.events("agent_parked", "parked")?.len() == 2)
    })?;
    Ok(())
}
