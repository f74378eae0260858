//! A homeserver that gives old messages again under other names.

use std::sync::{Arc, Mutex, PoisonError};

use launcher_testbed::{
    DEFAULT_TIMEOUT, RoomOptions,
    tap::{Action, Matcher},
};
use serde_json::{Value, json};

use crate::{Cases, Outcome, bed::Bed, rooms::ask, tapped::Tapped};

pub(crate) const CASES: Cases =
    &[("replays::an_old_ciphertext_under_another_name_is_never_acted_upon", replayed)];

fn replayed(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let (alice, bob) = (bed.person("alice")?, bed.person("bob")?);
    let mut launcher = stage.start_ready("echo")?;
    let invited = RoomOptions::encrypted().invite(&agent).invite(bob.user_id());
    let room = alice.create_room(invited)?;
    let elsewhere = alice.create_room(RoomOptions::encrypted().invite(&agent))?;
    bob.join(&room)?;
    for room in [&room, &elsewhere] {
        alice.wait_for_member(room, &agent, "join", DEFAULT_TIMEOUT)?;
    }
    let asked = stage.say(&alice, &room, "open the door")?;
    alice.wait_for_replies(&room, &asked, 1, DEFAULT_TIMEOUT)?;
    ask(&bob, &room, "I am here, too", &agent)?;
    ask(&alice, &elsewhere, "here as well", &agent)?;

    let events = bed.homeserver().room_events(&alice.account().access_token, &room)?;
    let original = events.into_iter().find(|event| event["event_id"] == asked.as_str());
    let original = original.ok_or("the message is not on the server")?;
    let copy = move |id: &str, sender: &str| {
        let mut copy = original.clone();
        copy["event_id"] = json!(id);
        copy["sender"] = json!(sender);
        copy["unsigned"] = json!({ "age": 10 });
        if let Some(copy) = copy.as_object_mut() {
            copy.remove("room_id");
            copy.remove("user_id");
        }
        copy
    };
    let copies = [
        (room.clone(), copy("$replayed-as-another-event", alice.user_id())),
        (room.clone(), copy("$replayed-as-another-sender", bob.user_id())),
        (elsewhere.clone(), copy("$replayed-in-another-room", alice.user_id())),
        // The same event once more: nothing but a server that repeats itself.
        (room.clone(), copy(&asked, alice.user_id())),
    ];
    let seen: Arc<Mutex<usize>> = Arc::default();
    let counted = seen.clone();
    let inject = Action::rewrite(move |mut answer| {
        for (room, copy) in &copies {
            let timeline = &mut answer["rooms"]["join"][room]["timeline"];
            if !timeline.is_object() {
                *timeline = json!({ "events": [], "limited": false, "prev_batch": "x" });
            }
            if let Some(events) = timeline["events"].as_array_mut() {
                events.insert(0, copy.clone());
            }
        }
        *counted.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        answer
    });
    let news = |answer: &Value| answer["rooms"]["join"].is_object();
    let syncs = Matcher::when(|request| request.path.ends_with("/sync")).response(news);
    let rule = stage.tap.add_rule(syncs, inject);
    // News, so that there are answers to change.
    for round in 0..3 {
        ask(&alice, &room, &format!("trigger {round}"), &agent)?;
    }
    launcher.wait_until("the replays are noticed", |launcher| {
        let found = launcher.events("duplicate_ignored", "echo")?;
        let about = |id: &str| found.iter().any(|line| line["event_id"] == id);
        Ok(about("$replayed-as-another-event") && about("$replayed-as-another-sender"))
    })?;
    rule.remove();
    assert!(*seen.lock().unwrap_or_else(PoisonError::into_inner) >= 3);
    ask(&alice, &elsewhere, "and now?", &agent)?;
    for room in [&room, &elsewhere] {
        let events = bed.homeserver().room_events(&alice.account().access_token, room)?;
        let answers: Vec<&Value> = events
            .iter()
            .filter(|event| event["sender"] == agent.as_str())
            .map(|event| &event["content"]["m.relates_to"]["m.in_reply_to"]["event_id"])
            .filter(|about| about.is_string())
            .collect();
        let expected = if *room == elsewhere { 2 } else { 5 };
        assert_eq!(answers.len(), expected, "{answers:?}");
    }
    stage.answered_once(bed.homeserver(), &alice, &room, &agent, &[asked])?;
    assert!(launcher.stop()?.0.success());
    stage.check()
}
