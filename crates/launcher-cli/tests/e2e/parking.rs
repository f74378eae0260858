//! Agents that cannot run, beside one that can.

use crate::{
    Cases, Outcome,
    bed::{Bed, PASSWORD},
    launcher::{Place, pickle_key, variable},
    rooms::{ask, room_with},
};

pub(crate) const CASES: Cases = &[
    ("parking::a_wrong_key_and_a_broken_file_park_their_agents_and_the_third_answers", three),
    ("parking::a_wrong_pickle_key_changes_no_byte_and_the_right_one_works_again", wrong_key),
    ("parking::a_store_of_another_device_parks", other_device),
    ("parking::a_token_of_another_account_parks", other_account),
    ("parking::a_wrong_password_parks_without_hammering", wrong_password),
    ("parking::a_revoked_token_parks_a_running_agent", revoked),
];

fn three(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let healthy = place.agent(bed, "healthy")?;
    place.agent(bed, "locked-out")?;
    place.agent(bed, "broken")?;
    place.start_ready(&["healthy", "locked-out", "broken"])?.stop()?;
    place.set_variable(&variable("locked-out"), &pickle_key("another"))?;
    place.write_agent("broken", "matrix: [this is not a map\n")?;
    let mut launcher = place.start_ready(&["healthy"])?;
    let alice = bed.person("alice")?;
    let room = room_with(&alice, &healthy)?;
    ask(&alice, &room, "are you well?", &healthy)?;
    for (agent, why) in [("locked-out", "store_key_wrong"), ("broken", "config_invalid")] {
        let status = launcher.wait_for_state(agent, "parked")?;
        assert!(status["reason"].as_str().is_some_and(|text| text.starts_with(why)), "{status}");
        assert!(status["action"].as_str().is_some_and(|text| !text.is_empty()), "{status}");
    }
    assert_eq!(launcher.events("store_key_wrong", "locked-out")?.len(), 1);
    assert_eq!(launcher.events("agent_parked", "broken")?.len(), 1);
    Ok(())
}

fn wrong_key(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let alice = bed.person("alice")?;
    let mut launcher = place.start_ready(&["echo"])?;
    let room = room_with(&alice, &agent)?;
    ask(&alice, &room, "before", &agent)?;
    // Killed, so that the write-ahead log is still there.
    launcher.signal(rustix::process::Signal::KILL)?;
    launcher.wait_for_end(std::time::Duration::from_secs(5))?;
    let files = place.data_files("echo")?;
    let devices = alice.user_devices(&agent)?;
    place.set_variable(&variable("echo"), &pickle_key("another"))?;
    let mut launcher = place.start()?;
    launcher.wait_for_event("agent_parked", "echo")?;
    assert_eq!(launcher.events("store_key_wrong", "echo")?.len(), 1);
    // The right key again, in the running launcher.
    assert!(place.data_files("echo")? == files, "files changed");
    assert_eq!(alice.user_devices(&agent)?, devices);
    place.set_variable(&variable("echo"), &pickle_key("echo"))?;
    launcher.wait_for_event("agent_ready", "echo")?;
    ask(&alice, &room, "after", &agent)?;
    Ok(())
}

fn other_device(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let account = bed.account("moved")?;
    let token = |token: &str| format!("access_token: \"{token}\"");
    place.agent_for("moved", &account.user_id, &token(&account.access_token), "")?;
    place.start_ready(&["moved"])?.stop()?;
    let newer = bed.homeserver().login(&account.user_id, PASSWORD)?;
    place.agent_for("moved", &account.user_id, &token(&newer.access_token), "")?;
    let mut launcher = place.start()?;
    let parked = launcher.wait_for_event("agent_parked", "moved")?;
    assert!(parked["reason"].as_str().is_some_and(|why| why.starts_with("store_other_device")));
    Ok(())
}

fn other_account(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let (one, two) = (bed.account("one")?, bed.account("two")?);
    let secret = format!("access_token: \"{}\"", two.access_token);
    place.agent_for("mixed", &one.user_id, &secret, "")?;
    let mut launcher = place.start()?;
    let parked = launcher.wait_for_event("agent_parked", "mixed")?;
    assert!(parked["reason"].as_str().is_some_and(|why| why.starts_with("token_other_account")));
    Ok(())
}

fn wrong_password(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let user = bed.homeserver().register_without_login(&bed.name("forgot"), PASSWORD)?;
    place.agent_for("forgot", &user, "password: \"not this one\"", "")?;
    let mut launcher = place.start()?;
    let parked = launcher.wait_for_event("agent_parked", "forgot")?;
    assert!(parked["reason"].as_str().is_some_and(|why| why.starts_with("login_refused")));
    assert!(launcher.events("agent_restarting", "forgot")?.is_empty());
    Ok(())
}

fn revoked(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let account = bed.account("revoked")?;
    let secret = format!("access_token: \"{}\"", account.access_token);
    place.agent_for("revoked", &account.user_id, &secret, "")?;
    let mut launcher = place.start_ready(&["revoked"])?;
    let token = Some(account.access_token.as_str());
    bed.homeserver().request("POST", "/_matrix/client/v3/logout", token, None)?;
    launcher.wait_for_event("token_invalid", "revoked")?;
    launcher.wait_for_state("revoked", "parked")?;
    Ok(())
}
