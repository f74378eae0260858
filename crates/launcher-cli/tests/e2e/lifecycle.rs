//! Starting, stopping and starting again.

use std::time::Duration;

use launcher_testbed::{DEFAULT_TIMEOUT, RoomOptions};
use rustix::process::Signal;

use crate::{
    Cases, Outcome,
    bed::Bed,
    launcher::Place,
    rooms::{ask, room_with},
};

pub(crate) const CASES: Cases = &[
    ("lifecycle::after_a_restart_the_same_device_answers_once_what_was_said_meanwhile", restart),
    ("lifecycle::a_second_launcher_is_refused_and_the_first_goes_on", second),
    ("lifecycle::a_second_launcher_with_another_root_on_the_same_store_is_refused", other_root),
    ("lifecycle::a_launcher_that_was_killed_blocks_nobody", killed),
    ("lifecycle::every_life_has_a_room_session_of_its_own", sessions),
    ("lifecycle::status_without_a_launcher_says_so_and_exits_1", no_launcher),
    ("lifecycle::an_idle_agent_lets_its_stores_go_and_still_answers", hibernation),
    ("lifecycle::a_second_signal_ends_a_launcher_at_once", second_signal),
    ("lifecycle::a_homeserver_that_is_away_is_waited_for", server_away),
];

fn restart(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let alice = bed.person("alice")?;
    let mut launcher = place.start()?;
    let before = launcher.wait_for_event("agent_ready", "echo")?;
    let room = room_with(&alice, &agent)?;
    ask(&alice, &room, "before", &agent)?;
    let (ended, took) = launcher.stop()?;
    assert!(ended.success());
    assert!(took < Duration::from_secs(10), "the stop took {took:?}");

    // A new session, so that its key is news, too.
    alice.discard_session(&room)?;
    let meanwhile = alice.send_text(&room, "meanwhile")?;
    let devices = alice.user_devices(&agent)?;
    let mut launcher = place.start()?;
    let after = launcher.wait_for_event("agent_ready", "echo")?;
    alice.wait_for_replies(&room, &meanwhile, 1, DEFAULT_TIMEOUT)?;
    ask(&alice, &room, "after", &agent)?;
    let answers = alice.messages(&room)?.into_iter().filter(|message| message.sender == agent);
    let bodies: Vec<_> = answers.filter_map(|message| message.body).collect();
    assert_eq!(bodies, ["echo: before", "echo: meanwhile", "echo: after"]);
    assert_eq!(before["device_id"], after["device_id"]);
    assert_eq!(before["ed25519"], after["ed25519"]);
    assert_eq!(alice.user_devices(&agent)?, devices);
    let logins = launcher.lines()?;
    assert!(!logins.iter().any(|line| line["message"] == "logged in"), "it logged in again");
    Ok(())
}

fn second(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let alice = bed.person("alice")?;
    let _first = place.start_ready(&["echo"])?;
    let mut other = place.start()?;
    let ended = other.wait_for_end(Duration::from_secs(5))?;
    assert!(!ended.success());
    let lines = other.lines()?;
    assert!(lines.iter().any(|line| line["event"] == "store_locked"), "{lines:?}");
    let room = room_with(&alice, &agent)?;
    ask(&alice, &room, "still there?", &agent)?;
    Ok(())
}

fn other_root(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    place.agent(bed, "echo")?;
    let _first = place.start_ready(&["echo"])?;
    let other = Place::new(bed)?;
    let user = bed.homeserver().user_id(&bed.name("other"));
    other.agent_for("thief", &user, "password: \"x\"", "")?;
    let store = place.agent_folder("echo").join("data/crypto");
    let path = format!("encryption:\n  store_path: \"{}\"\n", store.display());
    let config = crate::launcher::agent_config("thief", &user, "password: \"x\"", "");
    other.write_agent("thief", &config.replace("encryption:\n", &path))?;
    let mut second = other.start()?;
    assert!(!second.wait_for_end(Duration::from_secs(5))?.success());
    assert_eq!(second.events("store_locked", "thief")?.len(), 1);
    Ok(())
}

fn killed(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let alice = bed.person("alice")?;
    let mut launcher = place.start()?;
    let before = launcher.wait_for_event("agent_ready", "echo")?;
    let room = room_with(&alice, &agent)?;
    ask(&alice, &room, "before", &agent)?;
    launcher.signal(Signal::KILL)?;
    launcher.wait_for_end(Duration::from_secs(5))?;
    let mut launcher = place.start()?;
    let after = launcher.wait_for_event("agent_ready", "echo")?;
    assert_eq!(before["ed25519"], after["ed25519"]);
    ask(&alice, &room, "after", &agent)?;
    Ok(())
}

fn sessions(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let alice = bed.person("alice")?;
    let launcher = place.start_ready(&["echo"])?;
    let room = room_with(&alice, &agent)?;
    let session = |text: &str| -> Result<String, Box<dyn std::error::Error>> {
        let answer = ask(&alice, &room, text, &agent)?;
        Ok(answer.wire_content["session_id"].as_str().unwrap_or_default().to_owned())
    };
    let first = session("first")?;
    assert!(!first.is_empty());
    assert_eq!(session("second")?, first);
    assert!(launcher.stop()?.0.success());
    let mut launcher = place.start_ready(&["echo"])?;
    let second = session("after a clean restart")?;
    assert_ne!(second, first);
    assert_eq!(session("and one more")?, second);
    launcher.signal(Signal::KILL)?;
    launcher.wait_for_end(Duration::from_secs(5))?;
    let _launcher = place.start_ready(&["echo"])?;
    let third = session("after a kill")?;
    assert!(third != first && third != second);
    Ok(())
}

fn no_launcher(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let output = place.command(&["status"])?;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr)?;
    assert!(said.contains("no launcher is running"), "{said}");
    Ok(())
}

fn server_away(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let user = bed.homeserver().register_without_login(&bed.name("away"), crate::bed::PASSWORD)?;
    let nowhere = format!("http://127.0.0.1:{}", launcher_testbed::free_port()?);
    let secret = format!("homeserver: \"{nowhere}\"\n  password: \"{}\"", crate::bed::PASSWORD);
    place.agent_for("away", &user, &secret, "")?;
    let agent = place.agent(bed, "echo")?;
    let alice = bed.person("alice")?;
    let mut launcher = place.start()?;
    launcher.wait_for_event("agent_restarting", "away")?;
    launcher.wait_for_event("agent_ready", "echo")?;
    let status = launcher.wait_for_state("away", "backoff")?;
    assert!(status["reason"].as_str().is_some_and(|why| why.contains(&nowhere)), "{status}");
    let room = room_with(&alice, &agent)?;
    ask(&alice, &room, "not disturbed?", &agent)?;
    // The address is corrected while it waits.
    place.agent_for("away", &user, &secret.replace(&nowhere, place.homeserver()), "")?;
    launcher.wait_for_event("agent_ready", "away")?;
    Ok(())
}

/// Takes a minute: that is how long an agent keeps its stores without need.
fn hibernation(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "sleepy")?;
    let alice = bed.person("alice")?;
    let mut launcher = place.start_ready(&["sleepy"])?;
    let room = room_with(&alice, &agent)?;
    ask(&alice, &room, "good night", &agent)?;
    // Somebody else's doings move the server's stream on; a server that answers from a cache
    // then says "nothing new" to a question that it was asked before.
    let elsewhere = alice.create_room(RoomOptions::plain())?;
    alice.send_text(&elsewhere, "to myself")?;
    let limit = DEFAULT_TIMEOUT * 5;
    for round in ["first", "second"] {
        launcher.wait_until_within(limit, "the stores are closed", |running| {
            Ok(!running.open_files()?.iter().any(|file| file.contains("/crypto/crypto.db")))
        })?;
        assert_eq!(launcher.agent_status("sleepy")?["state"], "running");
        alice.discard_session(&room)?;
        ask(&alice, &room, round, &agent)?;
    }
    Ok(())
}

fn second_signal(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    place.agent(bed, "echo")?;
    let mut launcher = place.start_ready(&["echo"])?;
    launcher.signal(Signal::TERM)?;
    launcher.signal(Signal::INT)?;
    launcher.wait_for_end(Duration::from_secs(5))?;
    Ok(())
}
