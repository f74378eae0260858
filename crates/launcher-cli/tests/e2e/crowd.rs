//! Many agents in one room.

use std::collections::BTreeSet;

use launcher_testbed::{DEFAULT_TIMEOUT, JsUser, RoomOptions};
use serde_json::Value;

use crate::{Cases, Outcome, bed::Bed, launcher::Place};

pub(crate) const CASES: Cases =
    &[("crowd::one_message_to_thirty_agents_gets_thirty_readable_answers", thirty)];

/// Whether the homeserver has a message of each agent in the room.
fn all_have_spoken(
    bed: &Bed,
    reader: &JsUser,
    room: &str,
    agents: &BTreeSet<String>,
) -> Result<bool, Box<dyn std::error::Error>> {
    let events = bed.homeserver().room_events(&reader.account().access_token, room)?;
    let messages = events.iter().filter(|event| event["type"] == "m.room.encrypted");
    let senders: BTreeSet<&str> =
        messages.filter_map(|message| message["sender"].as_str()).collect();
    Ok(agents.iter().all(|agent| senders.contains(agent.as_str())))
}

fn thirty(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let ids: Vec<String> = (0..30).map(|number| format!("agent-{number}")).collect();
    let mut agents = BTreeSet::new();
    for id in &ids {
        agents.insert(place.agent(bed, id)?);
    }
    let names: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut launcher = place.start_ready(&names)?;
    let alice = bed.person("alice")?;
    let mut options = RoomOptions::encrypted();
    for agent in &agents {
        options = options.invite(agent);
    }
    let room = alice.create_room(options)?;
    for agent in &agents {
        alice.wait_for_member(&room, agent, "join", DEFAULT_TIMEOUT * 2)?;
    }
    // A client that has not heard of a device yet leaves it out; that is not what is tested here.
    let status = launcher.status()?;
    for agent in status["agents"].as_array().into_iter().flatten() {
        let part = |name: &str| agent[name].as_str().unwrap_or_default().to_owned();
        alice.wait_for_device(&part("user_id"), &part("device_id"), DEFAULT_TIMEOUT)?;
    }
    let question = alice.send_text(&room, "everybody?")?;
    // Each of them shares a key with thirty others, all at once: a busy machine needs minutes.
    launcher.wait_until_within(DEFAULT_TIMEOUT * 12, "all have answered", |_| {
        all_have_spoken(bed, &alice, &room, &agents)
    })?;
    // A client that was slow meanwhile has a gap.
    alice.scroll_back(&room)?;
    let answers = alice.wait_for_replies(&room, &question, 30, DEFAULT_TIMEOUT)?;
    let senders: BTreeSet<String> = answers.iter().map(|answer| answer.sender.clone()).collect();
    assert_eq!(senders, agents);
    assert!(answers.iter().all(|answer| answer.encrypted && answer.body.is_some()));
    // Thirty devices came at once; announcements of that many are dropped on the way.
    let ledger = place.command(&["trust", &ids[0], "--json"])?;
    let ledger: Value = serde_json::from_slice(&ledger.stdout)?;
    let known = ledger["users"].as_array().into_iter().flatten();
    let known = known.filter(|user| user["devices"].as_array().is_some_and(|all| !all.is_empty()));
    assert_eq!(known.count(), 30, "Alice and the other agents: {ledger}");
    Ok(())
}
