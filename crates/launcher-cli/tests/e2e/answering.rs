//! When an agent answers, and what it does by itself.

use std::collections::BTreeSet;

use launcher_testbed::{DEFAULT_TIMEOUT, JsUser, Message, MessageFilter, RoomOptions};
use rustix::process::Signal;
use serde_json::json;

use crate::{
    Cases, Outcome,
    bed::{Bed, PASSWORD},
    launcher::{Place, Running, agent_config},
    rooms::room_with,
};

pub(crate) const CASES: Cases = &[
    ("answering::an_agent_answers_what_is_meant_for_it_and_in_its_threads", meant),
    ("answering::limits_quiet_hours_and_settings_hold_in_a_room_and_survive_a_kill", settings),
    ("answering::several_behaviors_answer_in_their_order_and_help_lists_all", several),
    ("answering::two_agents_that_answer_each_other_come_to_an_end", each_other),
    ("answering::a_schedule_is_kept_through_kills_once_for_each_time", schedule),
];

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// An agent with these keys in place of a behavior.
pub(crate) fn agent_with(bed: &Bed, place: &Place, id: &str, keys: &str) -> Result<String> {
    let user = bed.homeserver().register_without_login(&bed.name(id), PASSWORD)?;
    write_agent(place, id, &user, keys)?;
    Ok(user)
}

fn write_agent(place: &Place, id: &str, user: &str, keys: &str) -> Outcome {
    let password = format!("password: \"{PASSWORD}\"");
    let config = agent_config(id, user, &password, "");
    let (before, _) = config.split_once("behavior:").ok_or("no behavior")?;
    place.agent_for(id, user, &password, "")?;
    place.write_agent(id, &format!("{before}{keys}"))
}

/// Says something and waits for what is said to it.
pub(crate) fn hear(user: &JsUser, room: &str, text: &str) -> Result<String> {
    let said = user.send_text(room, text)?;
    answer_to(user, room, &said)
}

fn answer_to(user: &JsUser, room: &str, event: &str) -> Result<String> {
    let answers = user.wait_for_replies(room, event, 1, DEFAULT_TIMEOUT)?;
    let answer = answers.into_iter().next().ok_or("no answer")?;
    assert!(answer.encrypted);
    Ok(answer.body.unwrap_or_default())
}

/// Fails if somebody has replied to an event. Something later is answered already.
fn is_unanswered(user: &JsUser, room: &str, event: &str) -> Outcome {
    let found = user.messages(room)?.into_iter().find(|one| one.reply_to() == Some(event));
    match found {
        Some(message) => Err(format!("{event} was answered: {message:?}").into()),
        None => Ok(()),
    }
}

const ECHO: &str = "behavior: { echo: { prefix: \"echo: \" } }\n";

fn meant(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let keys = "answer: { when: [mentioned, thread], names: [Rosie], prefix: \"!ask\" }\n";
    let agent = agent_with(bed, &place, "rosie", &format!("{keys}{ECHO}"))?;
    let _launcher = place.start_ready(&["rosie"])?;
    let (alice, bob) = (bed.person("alice")?, bed.person("bob")?);
    let options = RoomOptions::encrypted().invite(&agent).invite(bob.user_id());
    let room = alice.create_room(options)?;
    bob.join(&room)?;
    alice.wait_for_member(&room, &agent, "join", DEFAULT_TIMEOUT)?;
    let idle = alice.send_text(&room, "hello everybody")?;
    assert_eq!(hear(&alice, &room, "rosie, hello")?, "echo: rosie, hello");
    is_unanswered(&alice, &room, &idle)?;
    assert_eq!(hear(&bob, &room, "!ask and now?")?, "echo: and now?");
    let mention =
        json!({ "msgtype": "m.text", "body": "you", "m.mentions": { "user_ids": [agent] } });
    let mentioned = alice.send(&room, &mention)?;
    assert_eq!(answer_to(&alice, &room, &mentioned)?, "echo: you");
    // In a thread it goes on once it has answered there.
    let early = alice.send_in_thread(&room, &idle, "what do you think?")?;
    let called = alice.send_in_thread(&room, &idle, "Rosie?")?;
    assert_eq!(answer_to(&alice, &room, &called)?, "echo: Rosie?");
    let later = alice.send_in_thread(&room, &idle, "really?")?;
    assert_eq!(answer_to(&alice, &room, &later)?, "echo: really?");
    is_unanswered(&alice, &room, &early)
}

fn settings(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let alice = bed.person("alice")?;
    let keys = format!(
        "answer: {{ per_user: 3/1h, quiet_hours: \"00:00-23:59 UTC\", debounce: 1s }}\n\
         settings: {{ users: [\"{}\"] }}\n{ECHO}",
        alice.user_id()
    );
    let agent = agent_with(bed, &place, "echo", &keys)?;
    let mut launcher = place.start_ready(&["echo"])?;
    let room = room_with(&alice, &agent)?;
    let waits = alice.send_text(&room, "in the night")?;
    assert!(hear(&alice, &room, "!config")?.contains("`per_user`: as everywhere"));
    is_unanswered(&alice, &room, &waits)?;
    assert!(hear(&alice, &room, "!set per_user many")?.contains("is not a number and a time"));
    launcher.signal(Signal::KILL)?;
    launcher.wait_for_end(DEFAULT_TIMEOUT)?;
    let launcher = place.start_ready(&["echo"])?;
    assert!(hear(&alice, &room, "!set quiet_hours off")?.contains("is set for this room"));
    assert_eq!(answer_to(&alice, &room, &waits)?, "echo: in the night");
    let first = alice.send_text(&room, "one")?;
    assert_eq!(hear(&alice, &room, "two")?, "echo: one\ntwo");
    is_unanswered(&alice, &room, &first)?;
    assert_eq!(hear(&alice, &room, "three")?, "echo: three");
    assert!(hear(&alice, &room, "four")?.starts_with("That is more than I may answer: 3 messages"));
    let fifth = alice.send_text(&room, "five")?;
    assert!(hear(&alice, &room, "!set per_user off")?.contains("is set"));
    is_unanswered(&alice, &room, &fifth)?;
    drop(launcher);
    let _launcher = place.start_ready(&["echo"])?;
    assert_eq!(hear(&alice, &room, "six")?, "echo: six");
    let shown = hear(&alice, &room, "!config")?;
    assert!(shown.contains("`quiet_hours`: `off` (set here)"), "{shown}");
    Ok(())
}

fn several(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let keys = "behavior:\n  commands:\n    \"!date\": { run: [date, -u, \"+%Y\"] }\n  \
                echo: { prefix: \"echo: \" }\n";
    let agent = agent_with(bed, &place, "both", keys)?;
    let _launcher = place.start_ready(&["both"])?;
    let alice = bed.person("alice")?;
    let room = room_with(&alice, &agent)?;
    assert!(hear(&alice, &room, "!date")?.contains("20"));
    assert_eq!(hear(&alice, &room, "a date")?, "echo: a date");
    let help = hear(&alice, &room, "!help")?;
    assert!(help.contains("- `!date`"), "{help}");
    assert!(hear(&alice, &room, "!data")?.contains("I do not know this command"));
    Ok(())
}

fn each_other(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let register = |id| bed.homeserver().register_without_login(&bed.name(id), PASSWORD);
    let (one, two) = (register("one")?, register("two")?);
    for (id, own, other) in [("one", &one, &two), ("two", &two, &one)] {
        let bots = format!("answer: {{ bots: {{ users: [\"{other}\"], turns: 3 }} }}\n{ECHO}");
        write_agent(&place, id, own, &bots)?;
    }
    let mut launcher = place.start_ready(&["one", "two"])?;
    let alice = bed.person("alice")?;
    let room = alice.create_room(RoomOptions::encrypted().invite(&one).invite(&two))?;
    for agent in [&one, &two] {
        alice.wait_for_member(&room, agent, "join", DEFAULT_TIMEOUT)?;
    }
    alice.send_text(&room, "go")?;
    for agent in ["one", "two"] {
        launcher.wait_for_line("the guard against loops", |line| {
            let said = line["message"].as_str().unwrap_or_default();
            line["agent"] == agent && said.contains("another bot answers every answer")
        })?;
    }
    // A person is answered, and what the other says to that as well, for a while.
    alice.send_text(&room, "again")?;
    launcher.wait_until("the guard again", |running| {
        let lines = running.lines()?;
        let guarded = |agent: &str| {
            let is = |line: &&serde_json::Value| {
                let said = line["message"].as_str().unwrap_or_default();
                line["agent"] == agent && said.contains("another bot answers every answer")
            };
            lines.iter().filter(is).count()
        };
        Ok(guarded("one") >= 2 && guarded("two") >= 2)
    })?;
    let said = alice.messages(&room)?;
    let count = said.iter().filter(|message| message.sender != alice.user_id()).count();
    // Each answers Alice twice, and the other three times after each.
    assert!((4..=16).contains(&count), "{count}");
    Ok(())
}

fn schedule(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let alice = bed.person("alice")?;
    let agent = agent_with(bed, &place, "clock", ECHO)?;
    let launcher = place.start_ready(&["clock"])?;
    let room = room_with(&alice, &agent)?;
    drop(launcher);
    let path = place.agent_folder("clock").join("config.yaml");
    let config = std::fs::read_to_string(&path)?;
    let (before, _) = config.split_once("behavior:").ok_or("no behavior")?;
    let task = format!("cron: \"*/2 * * * * *\", room: \"{room}\"");
    let keys = format!(
        "behavior:\n  echo: {{ prefix: \"echo: \" }}\n  schedule:\n    tick: {{ {task}, say: tick }}\n    \
         ask: {{ {task}, prompt: asked }}\n"
    );
    let ticks = |launcher: &Running<'_>, moments: &mut BTreeSet<u64>| -> Outcome {
        let began = launcher.events("schedule_began", "clock")?;
        let ticks = began.iter().filter(|line| line["schedule"] == "tick");
        moments.extend(ticks.filter_map(|line| line["moment"].as_u64()));
        Ok(())
    };
    std::fs::write(&path, format!("{before}{keys}"))?;
    let mut moments = BTreeSet::new();
    for _ in 0..3 {
        let mut launcher = place.start_ready(&["clock"])?;
        launcher.wait_until("two ticks", |running| {
            let began = running.events("schedule_began", "clock")?;
            Ok(began.iter().filter(|line| line["schedule"] == "tick").count() >= 2)
        })?;
        launcher.signal(Signal::KILL)?;
        launcher.wait_for_end(DEFAULT_TIMEOUT)?;
        ticks(&launcher, &mut moments)?;
    }
    // Without the schedule only what was begun is finished.
    std::fs::write(&path, format!("{before}{ECHO}"))?;
    let _launcher = place.start_ready(&["clock"])?;
    alice.wait_for_message(&room, MessageFilter::new().body("echo: asked"), DEFAULT_TIMEOUT)?;
    assert_eq!(hear(&alice, &room, "the end")?, "echo: the end");
    let said = alice.messages(&room)?;
    let said: Vec<&Message> = said.iter().filter(|message| message.sender == agent).collect();
    assert!(said.iter().all(|message| message.encrypted));
    let ticks = said.iter().filter(|one| one.body.as_deref() == Some("tick")).count();
    // One can have been begun without a line in the log: that is written after it.
    assert!((moments.len()..=moments.len() + 3).contains(&ticks), "{ticks} of {moments:?}");
    Ok(())
}
