//! The launcher is killed at the worst moments, and every message is answered
//! exactly once.

use std::time::Duration;

use launcher_testbed::{
    DEFAULT_TIMEOUT, RoomOptions,
    tap::{Action, Matcher, Point, Request, Rule},
};
use serde_json::Value;

use crate::{Cases, Outcome, bed::Bed, rooms::ask, tapped::Tapped};

pub(crate) const CASES: Cases = &[
    ("kills::with_the_room_key_in_hand", |bed| rounds(bed, Moment::KeyInHand)),
    ("kills::in_the_middle_of_the_answer_with_the_room_key", |bed| rounds(bed, Moment::KeyCut)),
    ("kills::at_the_sync_after_the_room_key", |bed| rounds(bed, Moment::NextSync)),
    ("kills::before_an_answer_reaches_the_server", |bed| rounds(bed, Moment::BeforeSend)),
    ("kills::after_the_server_has_the_answer", |bed| rounds(bed, Moment::AfterSend)),
    ("kills::while_the_behavior_is_at_work", |bed| rounds(bed, Moment::AtWork)),
    ("kills::while_one_time_keys_are_claimed", |bed| rounds(bed, Moment::Claim)),
    ("kills::while_the_room_key_is_shared", |bed| rounds(bed, Moment::Sharing)),
    ("kills::while_the_first_keys_are_uploaded", first_upload),
];

/// Kills per case.
const ROUNDS: usize = 5;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    KeyInHand,
    KeyCut,
    NextSync,
    BeforeSend,
    AfterSend,
    AtWork,
    Claim,
    Sharing,
}

/// One user asks, the launcher is killed at the moment, comes back and answers.
fn rounds(bed: &Bed, moment: Moment) -> Outcome {
    let stage = Tapped::new(bed)?;
    let delay = if moment == Moment::AtWork { "1s" } else { "0s" };
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), delay)?;
    let alice = bed.person("alice")?;
    let mut launcher = stage.start_ready("echo")?;
    let room = alice.create_room(RoomOptions::encrypted().invite(&agent))?;
    alice.wait_for_member(&room, &agent, "join", DEFAULT_TIMEOUT)?;
    ask(&alice, &room, "steady", &agent)?;
    let mut asked = Vec::new();
    for round in 0..ROUNDS {
        if matches!(moment, Moment::Claim | Moment::Sharing) {
            // Somebody whom the agent has never written to.
            let lurker = bed.person("lurker")?;
            alice.invite(&room, lurker.user_id())?;
            lurker.join(&room)?;
            alice.wait_for_member(&room, lurker.user_id(), "join", DEFAULT_TIMEOUT)?;
        }
        // A new session, so that there is a key to be lost.
        alice.discard_session(&room)?;
        let rules: Vec<Rule> = actions(&stage, moment, round)
            .into_iter()
            .map(|action| stage.tap.add_rule(matcher(moment), action))
            .collect();
        asked.push(stage.say(&alice, &room, &format!("round {round}"))?);
        for rule in &rules {
            rule.wait_for_hits(1, DEFAULT_TIMEOUT)?;
        }
        launcher.wait_for_end(DEFAULT_TIMEOUT)?;
        drop(rules);
        launcher = stage.start_ready("echo")?;
        for event in &asked {
            alice.wait_for_replies(&room, event, 1, DEFAULT_TIMEOUT)?;
        }
    }
    ask(&alice, &room, "healed", &agent)?;
    stage.answered_once(bed.homeserver(), &alice, &room, &agent, &asked)?;
    assert!(launcher.stop()?.0.success());
    stage.check()
}

fn is_sync_of_sdk(request: &Request) -> bool {
    request.path.ends_with("/sync") && request.query_value("timeout") == Some("0")
}

fn has_key(response: &Value) -> bool {
    let events = response["to_device"]["events"].as_array();
    events.is_some_and(|events| events.iter().any(|event| event["type"] == "m.room.encrypted"))
}

fn matcher(moment: Moment) -> Matcher {
    let put = |path: &str| Matcher::path_contains(path).method("PUT");
    match moment {
        Moment::KeyInHand | Moment::KeyCut | Moment::AtWork => {
            Matcher::when(is_sync_of_sdk).response(has_key).times(1)
        }
        Moment::NextSync => {
            // The poll that finds the key and the SDK's own sync come before it.
            Matcher::when(|request| request.path.ends_with("/sync")).nth(3)
        }
        Moment::BeforeSend | Moment::AfterSend => put("/send/m.room.encrypted/").times(1),
        Moment::Claim => Matcher::path_contains("/keys/claim").times(1),
        Moment::Sharing => put("/sendToDevice/m.room.encrypted/").times(1),
    }
}

fn actions(stage: &Tapped, moment: Moment, round: usize) -> Vec<Action> {
    let later = |millis: [u64; ROUNDS]| Duration::from_millis(millis[round % ROUNDS]);
    let now = Duration::ZERO;
    vec![match moment {
        Moment::KeyInHand => stage.kill(Point::AfterDelivery, later([0, 5, 20, 35, 50])),
        Moment::KeyCut => {
            // The rest of the answer never comes; the kill comes while it is waited for.
            let victim = stage.victim();
            let kill = move |_: &Request| {
                let victim = victim.clone();
                drop(std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(20));
                    victim.kill();
                }));
            };
            return vec![Action::hook(Point::AfterResponse, kill), Action::CutBody];
        }
        Moment::NextSync | Moment::BeforeSend => stage.kill(Point::BeforeForwarding, now),
        Moment::AfterSend | Moment::Claim => stage.kill(Point::AfterResponse, now),
        Moment::AtWork => stage.kill(Point::AfterDelivery, Duration::from_millis(500)),
        Moment::Sharing if round.is_multiple_of(2) => stage.kill(Point::BeforeForwarding, now),
        Moment::Sharing => stage.kill(Point::AfterResponse, now),
    }]
}

/// New agents are killed while their keys are uploaded for the first time.
fn first_upload(bed: &Bed) -> Outcome {
    let alice = bed.person("alice")?;
    for round in 0..ROUNDS {
        let stage = Tapped::new(bed)?;
        let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "0s")?;
        let point = match round.is_multiple_of(2) {
            true => Point::AfterResponse,
            false => Point::BeforeForwarding,
        };
        for kill in 0..2 {
            let upload = Matcher::path_contains("/keys/upload").nth(kill + 1);
            let rule = stage.tap.add_rule(upload, stage.kill(point, Duration::ZERO));
            let mut launcher = stage.start()?;
            rule.wait_for_hits(1, DEFAULT_TIMEOUT)?;
            launcher.wait_for_end(DEFAULT_TIMEOUT)?;
        }
        let launcher = stage.start_ready("echo")?;
        let room = alice.create_room(RoomOptions::encrypted().invite(&agent))?;
        alice.wait_for_member(&room, &agent, "join", DEFAULT_TIMEOUT)?;
        let asked = stage.say(&alice, &room, "hello")?;
        alice.wait_for_replies(&room, &asked, 1, DEFAULT_TIMEOUT)?;
        assert_eq!(alice.user_devices(&agent)?.len(), 1);
        stage.answered_once(bed.homeserver(), &alice, &room, &agent, &[asked])?;
        assert!(launcher.stop()?.0.success());
        stage.check()?;
    }
    Ok(())
}
