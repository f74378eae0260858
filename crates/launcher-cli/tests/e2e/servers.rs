//! Homeservers that restart, refuse, stammer and slow down.

use std::time::Duration;

use launcher_testbed::{
    DEFAULT_TIMEOUT, Homeserver, HomeserverOptions, RoomOptions,
    tap::{Action, Answer, Matcher},
};

use crate::{Cases, Outcome, bed::Bed, rooms::ask, tapped::Tapped};

pub(crate) const CASES: Cases = &[
    ("servers::one_that_is_killed_five_times_under_load_loses_nothing", killed),
    ("servers::gateway_timeouts_and_cut_answers_lose_nothing", gateway),
    ("servers::the_limits_of_a_fresh_installation_are_kept", limited),
];

fn killed(bed: &Bed) -> Outcome {
    let homeserver = Homeserver::start(HomeserverOptions::default())?;
    let stage = Tapped::before(&homeserver)?;
    let agent = stage.agent(&homeserver, "echo", "echo", "", "")?;
    let alice = bed.person_of(&homeserver, "alice")?;
    let launcher = stage.start_ready("echo")?;
    let room = alice.create_room(RoomOptions::encrypted().rotate_after(1).invite(&agent))?;
    alice.wait_for_member(&room, &agent, "join", DEFAULT_TIMEOUT)?;
    ask(&alice, &room, "steady", &agent)?;
    let mut asked = Vec::new();
    for round in 0..5 {
        for number in 0..5 {
            asked.push(stage.say(&alice, &room, &format!("{round} {number}"))?);
        }
        homeserver.kill();
        homeserver.restart()?;
    }
    stage.wait_for_answers(&homeserver, &alice, &room, &agent, &asked)?;
    ask(&alice, &room, "healed", &agent)?;
    stage.answered_once(&homeserver, &alice, &room, &agent, &asked)?;
    assert!(launcher.stop()?.0.success());
    stage.check()
}

fn gateway(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let alice = bed.person("alice")?;
    let launcher = stage.start_ready("echo")?;
    let room = alice.create_room(RoomOptions::encrypted().rotate_after(1).invite(&agent))?;
    alice.wait_for_member(&room, &agent, "join", DEFAULT_TIMEOUT)?;
    ask(&alice, &room, "steady", &agent)?;
    let mut asked = Vec::new();
    let timeout = || Action::Status(Answer::refusal(504, "M_UNKNOWN"));
    for (path, times) in
        [("/sendToDevice/", 3), ("/keys/query", 3), ("/keys/claim", 2), ("/send/m.room", 2)]
    {
        let rule = stage.tap.add_rule(Matcher::path_contains(path).times(times), timeout());
        // A new device, so that there is somebody to ask about and to claim a key of.
        let guest = bed.person("guest")?;
        alice.invite(&room, guest.user_id())?;
        guest.join(&room)?;
        alice.wait_for_member(&room, guest.user_id(), "join", DEFAULT_TIMEOUT)?;
        for number in 0..2 {
            asked.push(stage.say(&alice, &room, &format!("{times} {number}"))?);
        }
        for event in &asked {
            alice.wait_for_replies(&room, event, 1, DEFAULT_TIMEOUT * 3)?;
        }
        let last = asked[asked.len() - 1].clone();
        let read = guest.wait_for_replies(&room, &last, 1, DEFAULT_TIMEOUT)?;
        assert!(read[0].decryption_failure.is_none());
        rule.remove();
    }
    let is_sync = |request: &launcher_testbed::tap::Request| request.path.ends_with("/sync");
    for broken in [
        Action::CutBody,
        Action::DropAfter,
        Action::rewrite(|_| serde_json::json!("no answer at all")),
        Action::Status(Answer::new(200, serde_json::json!({ "rooms": [] }))),
        Action::Status(Answer::refusal(502, "M_UNKNOWN")),
    ] {
        let rule = stage.tap.add_rule(Matcher::when(is_sync).times(2), broken);
        asked.push(stage.say(&alice, &room, "through a bad line")?);
        alice.wait_for_replies(&room, &asked[asked.len() - 1], 1, DEFAULT_TIMEOUT * 3)?;
        rule.remove();
    }
    ask(&alice, &room, "healed", &agent)?;
    stage.answered_once(bed.homeserver(), &alice, &room, &agent, &asked)?;
    assert!(launcher.stop()?.0.success());
    stage.check()
}

/// The limits let an agent say ten things at once and then one every five seconds.
fn limited(bed: &Bed) -> Outcome {
    let homeserver = Homeserver::start(HomeserverOptions::default().with_rate_limits())?;
    let stage = Tapped::before(&homeserver)?;
    let agent = stage.agent(&homeserver, "echo", "echo", "", "")?;
    let alice = bed.person_of(&homeserver, "alice")?;
    let bob = bed.person_of(&homeserver, "bob")?;
    let launcher = stage.start_ready("echo")?;
    let room = alice.create_room(RoomOptions::encrypted().invite(&agent).invite(bob.user_id()))?;
    bob.join(&room)?;
    alice.wait_for_member(&room, &agent, "join", DEFAULT_TIMEOUT * 2)?;
    let mut asked = Vec::new();
    for number in 0..8 {
        for person in [&alice, &bob] {
            asked.push(stage.say(person, &room, &format!("{number}"))?);
        }
    }
    for event in &asked {
        alice.wait_for_replies(&room, event, 1, Duration::from_secs(180))?;
    }
    stage.answered_once(&homeserver, &alice, &room, &agent, &asked)?;
    let refused = stage.tap.requests().iter().filter(|request| request.status == Some(429)).count();
    assert!(refused > 0, "the server slowed nobody down");
    let events = homeserver.room_events(&alice.account().access_token, &room)?;
    let order: Vec<&str> = events
        .iter()
        .filter(|event| event["sender"] == agent.as_str())
        .filter_map(|event| event["content"]["m.relates_to"]["m.in_reply_to"]["event_id"].as_str())
        .collect();
    assert_eq!(order.len(), asked.len());
    let in_order: Vec<&str> = events
        .iter()
        .filter_map(|event| event["event_id"].as_str())
        .filter(|id| asked.iter().any(|asked| asked == id))
        .collect();
    assert_eq!(order, in_order);
    assert!(launcher.stop()?.0.success());
    stage.check()
}
