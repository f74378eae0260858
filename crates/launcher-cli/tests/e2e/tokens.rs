//! Sessions that expire, devices that an administrator removes, accounts that are closed.

use std::time::Duration;

use launcher_testbed::{
    DEFAULT_TIMEOUT, Homeserver, HomeserverOptions, JsUser,
    tap::{Matcher, Tap},
};

use crate::{
    Cases, Outcome,
    bed::{Bed, PASSWORD},
    recovery::only_signed_device,
    rooms::{ask, room_with},
    tapped::Tapped,
};

pub(crate) const CASES: Cases = &[
    ("tokens::a_session_that_expires_goes_on_as_the_same_device_and_loses_nothing", expires),
    ("tokens::a_soft_logout_of_an_agent_with_a_token_only_parks_and_keeps_its_store", token_only),
    ("tokens::a_device_that_an_administrator_deletes_is_replaced_under_traffic", deleted),
    ("tokens::a_wrong_password_parks_after_one_login", wrong_password),
    ("tokens::a_locked_account_parks_without_hammering", locked),
    ("tokens::a_deactivated_account_parks_and_keeps_its_store", deactivated),
];

/// How long a session lasts in these cases.
const LIFETIME: Duration = Duration::from_secs(12);

fn expires(bed: &Bed) -> Outcome {
    let folder = tempfile::tempdir()?;
    let options = || HomeserverOptions::default().directory(folder.path());
    // Whoever logs in here has a session that does not expire.
    let before = Homeserver::start(options())?;
    let alice = bed.person_of(&before, "alice")?;
    before.stop();
    drop(before);
    let expiring =
        options().access_token_lifetime(LIFETIME).refreshable_access_token_lifetime(LIFETIME);
    let homeserver = Homeserver::start(expiring)?;
    let stage = Tapped::before(&homeserver)?;
    let agent = stage.agent(&homeserver, "echo", "echo", "", "")?;
    let launcher = stage.start_ready("echo")?;
    let room = room_with(&alice, &agent)?;
    let device = only_signed_device(&alice, &agent)?;
    let ed25519 = launcher.agent_status("echo")?["ed25519"].clone();
    let refreshes = |launcher: &crate::launcher::Running<'_>| {
        let lines = launcher.lines()?;
        Ok::<_, Box<dyn std::error::Error>>(
            lines.iter().filter(|line| line["message"] == "refreshed the session").count(),
        )
    };
    let mut asked = Vec::new();
    // Through the end of the first session, and two refreshes of the one after it.
    while refreshes(&launcher)? < 2 {
        asked.push(stage.say(&alice, &room, "still there?")?);
        alice.wait_for_replies(&room, asked.last().ok_or("none")?, 1, DEFAULT_TIMEOUT)?;
        assert!(asked.len() < 600, "no refresh");
    }
    stage.answered_once(&homeserver, &alice, &room, &agent, &asked)?;
    assert_eq!(only_signed_device(&alice, &agent)?, device);
    assert_eq!(launcher.agent_status("echo")?["ed25519"], ed25519);
    assert!(launcher.events("store_reset", "echo")?.is_empty());
    assert!(launcher.stop()?.0.success());
    // A token that expired while nothing ran is refreshed as well.
    std::thread::sleep(LIFETIME);
    let launcher = stage.start_ready("echo")?;
    asked.push(stage.say(&alice, &room, "and after a restart?")?);
    alice.wait_for_replies(&room, asked.last().ok_or("none")?, 1, DEFAULT_TIMEOUT)?;
    assert!(launcher.stop()?.0.success());
    stage.check()?;
    softly(&homeserver, &alice)?;
    homeserver.stop();
    Ok(())
}

/// A first session that expires while nothing runs cannot be refreshed.
fn softly(homeserver: &Homeserver, alice: &JsUser) -> Outcome {
    let stage = Tapped::before(homeserver)?;
    let agent = stage.agent(homeserver, "echo", "soft", "", "")?;
    let launcher = stage.start_ready("echo")?;
    let room = room_with(alice, &agent)?;
    let mut asked = vec![stage.say(alice, &room, "before")?];
    alice.wait_for_replies(&room, &asked[0], 1, DEFAULT_TIMEOUT)?;
    let device = only_signed_device(alice, &agent)?;
    assert!(launcher.stop()?.0.success());
    asked.push(stage.say(alice, &room, "while you are away")?);
    std::thread::sleep(LIFETIME);
    let mut launcher = stage.start()?;
    launcher.wait_for_event("soft_logout", "echo")?;
    launcher.wait_for_event("agent_ready", "echo")?;
    asked.push(stage.say(alice, &room, "after")?);
    stage.wait_for_answers(homeserver, alice, &room, &agent, &asked)?;
    stage.answered_once(homeserver, alice, &room, &agent, &asked)?;
    assert_eq!(only_signed_device(alice, &agent)?, device);
    assert!(launcher.stop()?.0.success());
    stage.check()
}

fn token_only(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let account = bed.account("echo")?;
    let alice = bed.person("alice")?;
    let secret = format!("access_token: \"{}\"", account.access_token);
    stage.place.agent_for("echo", &account.user_id, &secret, "")?;
    stage.start_ready("echo")?.stop()?;
    let devices = alice.user_devices(&account.user_id)?;
    let expired = serde_json::json!({
        "errcode": "M_UNKNOWN_TOKEN", "error": "Access token has expired", "soft_logout": true,
    });
    let rule = stage.tap.add_rule(
        Matcher::path_contains("/whoami"),
        launcher_testbed::tap::Action::status(401, expired),
    );
    let mut launcher = stage.start()?;
    let parked = launcher.wait_for_event("agent_parked", "echo")?;
    assert!(parked["reason"].as_str().is_some_and(|why| why.starts_with("token_invalid")));
    assert!(parked["action"].as_str().is_some_and(|action| action.contains("launcher reset echo")));
    assert!(launcher.stop()?.0.success());
    rule.remove();
    stage.start_ready("echo")?.stop()?;
    assert_eq!(alice.user_devices(&account.user_id)?, devices);
    stage.check()
}

fn deleted(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let alice = bed.person("alice")?;
    let mut launcher = stage.start_ready("echo")?;
    let room = room_with(&alice, &agent)?;
    let mut asked = vec![stage.say(&alice, &room, "before")?];
    alice.wait_for_replies(&room, &asked[0], 1, DEFAULT_TIMEOUT)?;
    let old = only_signed_device(&alice, &agent)?;
    let mut between = Vec::new();
    for number in 0..10 {
        if number == 3 {
            bed.homeserver().admin_delete_device(&agent, &old)?;
        }
        between.push(stage.say(&alice, &room, &format!("meanwhile {number}"))?);
    }
    launcher.wait_for_event("store_reset", "echo")?;
    launcher.wait_until("ready again", |launcher| {
        Ok(launcher.events("agent_ready", "echo")?.len() == 2)
    })?;
    assert_ne!(only_signed_device(&alice, &agent)?, old);
    asked.push(stage.say(&alice, &room, "after")?);
    alice.wait_for_replies(&room, &asked[1], 1, Duration::from_secs(60))?;
    stage.answered_once(bed.homeserver(), &alice, &room, &agent, &asked)?;
    // What was said to a device that was no more can be lost, and is not answered twice.
    let events = bed.homeserver().room_events(&alice.account().access_token, &room)?;
    let counts = launcher_testbed::tap::invariants::replies_by_question(&events, &agent);
    assert!(between.iter().all(|event| counts.get(event).copied().unwrap_or(0) <= 1));
    assert!(launcher.stop()?.0.success());
    stage.check()
}

fn logins(tap: &Tap) -> usize {
    tap.requests().iter().filter(|request| request.path.ends_with("/login")).count()
}

fn wrong_password(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let user = bed.homeserver().register_without_login(&bed.name("echo"), PASSWORD)?;
    stage.place.agent_for("echo", &user, "password: \"not this one\"", "")?;
    let mut launcher = stage.start()?;
    let parked = launcher.wait_for_event("agent_parked", "echo")?;
    assert!(parked["reason"].as_str().is_some_and(|why| why.starts_with("login_refused")));
    assert_eq!(logins(&stage.tap), 1);
    assert!(launcher.stop()?.0.success());
    stage.check()
}

fn locked(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let alice = bed.person("alice")?;
    let mut launcher = stage.start_ready("echo")?;
    let room = room_with(&alice, &agent)?;
    ask(&alice, &room, "before", &agent)?;
    let device = only_signed_device(&alice, &agent)?;
    let before = logins(&stage.tap);
    bed.homeserver().admin_lock(&agent)?;
    let parked = launcher.wait_for_event("agent_parked", "echo")?;
    assert!(parked["reason"].as_str().is_some_and(|why| why.starts_with("account_unusable")));
    assert_eq!(logins(&stage.tap), before);
    assert!(launcher.stop()?.0.success());
    bed.homeserver().admin_unlock(&agent)?;
    let launcher = stage.start_ready("echo")?;
    ask(&alice, &room, "are you back?", &agent)?;
    assert_eq!(only_signed_device(&alice, &agent)?, device);
    assert!(launcher.stop()?.0.success());
    stage.check()
}

fn deactivated(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let mut launcher = stage.start_ready("echo")?;
    let before = logins(&stage.tap);
    bed.homeserver().admin_deactivate(&agent)?;
    let parked = launcher.wait_for_event("agent_parked", "echo")?;
    assert!(parked["reason"].as_str().is_some_and(|why| why.starts_with("login_refused")));
    assert_eq!(logins(&stage.tap), before + 1);
    assert!(launcher.events("store_reset", "echo")?.is_empty());
    assert!(stage.place.agent_folder("echo").join("data/crypto/crypto.db").exists());
    assert!(launcher.stop()?.0.success());
    stage.check()
}
