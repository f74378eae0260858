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
    ("kills::with_the_room_key_in_hand", |bed| few(bed, Moment::KeyInHand)),
    ("kills::in_the_middle_of_the_answer_with_the_room_key", |bed| few(bed, Moment::KeyCut)),
    ("kills::at_the_sync_after_the_room_key", |bed| few(bed, Moment::NextSync)),
    ("kills::before_an_answer_reaches_the_server", |bed| few(bed, Moment::BeforeSend)),
    ("kills::after_the_server_has_the_answer", |bed| few(bed, Moment::AfterSend)),
    ("kills::while_the_behavior_is_at_work", |bed| few(bed, Moment::AtWork)),
    ("kills::while_one_time_keys_are_claimed", |bed| few(bed, Moment::Claim)),
    ("kills::while_the_room_key_is_shared", |bed| few(bed, Moment::Sharing)),
    ("kills::while_the_first_keys_are_uploaded", |bed| first_upload(bed, ROUNDS)),
    ("kills::in_the_middle_of_the_first_keys_of_strangers", |bed| strangers(bed, ROUNDS)),
];

/// Kills per case.
const ROUNDS: usize = 5;

/// Kills per case when there is time.
const LONG_ROUNDS: usize = 100;

/// The same with more kills; run only when they are asked for.
pub(crate) const LONG: Cases = &[
    ("soak::killed_with_the_room_key_in_hand", |bed| many(bed, Moment::KeyInHand)),
    ("soak::killed_in_the_middle_of_the_answer_with_the_room_key", |bed| many(bed, Moment::KeyCut)),
    ("soak::killed_at_the_sync_after_the_room_key", |bed| many(bed, Moment::NextSync)),
    ("soak::killed_before_an_answer_reaches_the_server", |bed| many(bed, Moment::BeforeSend)),
    ("soak::killed_after_the_server_has_the_answer", |bed| many(bed, Moment::AfterSend)),
    ("soak::killed_while_the_behavior_is_at_work", |bed| many(bed, Moment::AtWork)),
    ("soak::killed_while_one_time_keys_are_claimed", |bed| many(bed, Moment::Claim)),
    ("soak::killed_while_the_room_key_is_shared", |bed| many(bed, Moment::Sharing)),
    ("soak::killed_while_the_first_keys_are_uploaded", |bed| first_upload(bed, LONG_ROUNDS)),
    ("soak::killed_in_the_middle_of_the_first_keys_of_strangers", |bed| {
        strangers(bed, LONG_ROUNDS)
    }),
];

fn few(bed: &Bed, moment: Moment) -> Outcome {
    rounds(bed, moment, ROUNDS)
}

fn many(bed: &Bed, moment: Moment) -> Outcome {
    rounds(bed, moment, LONG_ROUNDS)
}

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
fn rounds(bed: &Bed, moment: Moment, rounds: usize) -> Outcome {
    let stage = Tapped::new(bed)?;
    let delay = if moment == Moment::AtWork { ", delay: 1s" } else { "" };
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), delay, "")?;
    let alice = bed.person("alice")?;
    let mut launcher = stage.start_ready("echo")?;
    let room = alice.create_room(RoomOptions::encrypted().invite(&agent))?;
    alice.wait_for_member(&room, &agent, "join", DEFAULT_TIMEOUT)?;
    ask(&alice, &room, "steady", &agent)?;
    let mut asked = Vec::new();
    for round in 0..rounds {
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
        alice.wait_for_replies(&room, &asked[round], 1, DEFAULT_TIMEOUT)?;
    }
    ask(&alice, &room, "healed", &agent)?;
    stage.answered_once(bed.homeserver(), &alice, &room, &agent, &asked)?;
    assert!(launcher.stop()?.0.success());
    if rounds > ROUNDS { stage.check_much() } else { stage.check() }
}

pub(crate) fn is_sync_of_sdk(request: &Request) -> bool {
    request.path.ends_with("/sync") && request.query_value("timeout") == Some("0")
}

pub(crate) fn has_key(response: &Value) -> bool {
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
fn first_upload(bed: &Bed, rounds: usize) -> Outcome {
    let alice = bed.person("alice")?;
    for round in 0..rounds {
        let stage = Tapped::new(bed)?;
        let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
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

/// The first key of somebody new opens an Olm session. The SDK stores that at
/// once and the key at the end of the batch; here the rest of the batch is long.
fn strangers(bed: &Bed, rounds: usize) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let mut launcher = stage.start_ready("echo")?;
    for delay in [3, 10, 20, 40, 80].into_iter().cycle().take(rounds) {
        let stranger = bed.person("stranger")?;
        let room = stranger.create_room(RoomOptions::encrypted().invite(&agent))?;
        stranger.wait_for_member(&room, &agent, "join", DEFAULT_TIMEOUT)?;
        let with_key = || Matcher::when(is_sync_of_sdk).response(has_key).times(1);
        let _longer = stage.tap.add_rule(with_key(), Action::rewrite(lengthen));
        let kill = stage.kill(Point::AfterDelivery, Duration::from_millis(delay));
        let kill = stage.tap.add_rule(with_key(), kill);
        let asked = stage.say(&stranger, &room, "hello")?;
        kill.wait_for_hits(1, DEFAULT_TIMEOUT)?;
        launcher.wait_for_end(DEFAULT_TIMEOUT)?;
        kill.remove();
        launcher = stage.start_ready("echo")?;
        stranger.wait_for_replies(&room, &asked, 1, DEFAULT_TIMEOUT)?;
        ask(&stranger, &room, "healed", &agent)?;
        stage.answered_once(bed.homeserver(), &stranger, &room, &agent, &[asked])?;
    }
    assert!(launcher.stop()?.0.success());
    if rounds > ROUNDS { stage.check_much() } else { stage.check() }
}

/// Appends ninety to-device messages that nobody can decrypt.
fn lengthen(mut answer: Value) -> Value {
    if let Some(events) = answer["to_device"]["events"].as_array_mut() {
        let sample = events.iter().find(|event| event["type"] == "m.room.encrypted").cloned();
        for number in 0..90 {
            let mut junk = sample.clone().unwrap_or_default();
            if let Some(ciphertexts) = junk["content"]["ciphertext"].as_object_mut() {
                for ciphertext in ciphertexts.values_mut() {
                    // Another sender's key in it, so no session fits.
                    let body = ciphertext["body"].as_str().unwrap_or_default();
                    let other: String = body
                        .char_indices()
                        .map(|(place, letter)| match place == 20 + number % 20 {
                            true if letter == 'A' => 'B',
                            true => 'A',
                            false => letter,
                        })
                        .collect();
                    ciphertext["body"] = other.into();
                }
            }
            events.push(junk);
        }
    }
    answer
}
