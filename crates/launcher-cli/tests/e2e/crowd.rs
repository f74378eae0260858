//! Many agents in one room.

use std::collections::BTreeSet;

use launcher_testbed::{DEFAULT_TIMEOUT, JsUser, RoomOptions};
use serde_json::Value;

use crate::{
    Cases, Outcome,
    bed::Bed,
    launcher::{Place, Running},
};

pub(crate) const CASES: Cases =
    &[("crowd::one_message_to_thirty_agents_gets_thirty_readable_answers", thirty)];

/// The agents that the homeserver has no message of in the room, as `status` has them.
fn silent(
    bed: &Bed,
    reader: &JsUser,
    room: &str,
    agents: &BTreeSet<String>,
    launcher: &Running<'_>,
) -> Result<Vec<Value>, Box<dyn std::error::Error>> {
    let events = bed.homeserver().room_events(&reader.account().access_token, room)?;
    let said = |agent: &&String| {
        let is_message = |event: &&Value| event["type"] == "m.room.encrypted";
        events.iter().filter(is_message).any(|event| event["sender"] == agent.as_str())
    };
    let silent: Vec<&String> = agents.iter().filter(|agent| !said(agent)).collect();
    let status = launcher.status()?;
    let all = status["agents"].as_array().cloned().unwrap_or_default();
    Ok(all
        .into_iter()
        .filter(|agent| silent.iter().any(|silent| agent["user_id"] == silent.as_str()))
        .collect())
}

fn thirty(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let ids: Vec<String> = (0..30).map(|number| format!("agent-{number}")).collect();
    let mut agents = BTreeSet::new();
    for id in &ids {
        agents.insert(place.agent(bed, id)?);
    }
    let names: Vec<&str> = ids.iter().map(String::as_str).collect();
    let launcher = place.start_ready(&names)?;
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
    let answers = alice.wait_for_replies(&room, &question, 30, DEFAULT_TIMEOUT * 12);
    let answers =
        answers.map_err(|error| match silent(bed, &alice, &room, &agents, &launcher) {
            Ok(silent) => format!("{error}\nby the homeserver's record, silent are: {silent:#?}"),
            Err(other) => format!("{error}\n{other}"),
        })?;
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
