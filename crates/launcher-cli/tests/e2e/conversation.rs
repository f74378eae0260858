//! What is answered, and how.

use launcher_testbed::{DEFAULT_TIMEOUT, RoomOptions};
use serde_json::json;

use crate::{
    Cases, Outcome,
    bed::Bed,
    launcher::Place,
    rooms::{ask, room_with},
};

pub(crate) const CASES: Cases = &[
    ("conversation::an_answer_stays_in_the_thread_of_its_question", thread),
    ("conversation::notices_edits_and_marked_messages_are_not_answered", unanswered),
    ("conversation::two_echo_agents_in_one_room_do_not_answer_each_other", two_agents),
    ("conversation::a_hundred_messages_in_a_row_are_answered_in_order_once_each", burst),
];

fn thread(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let _launcher = place.start_ready(&["echo"])?;
    let alice = bed.person("alice")?;
    let room = room_with(&alice, &agent)?;
    let root = alice.send_text(&room, "root")?;
    let question = alice.send_in_thread(&room, &root, "in the thread")?;
    let answers = alice.wait_for_replies(&room, &question, 1, DEFAULT_TIMEOUT)?;
    assert_eq!(answers[0].thread_root(), Some(root.as_str()));
    assert!(answers[0].encrypted);
    assert_eq!(answers[0].body.as_deref(), Some("echo: in the thread"));
    Ok(())
}

fn unanswered(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let _launcher = place.start_ready(&["echo"])?;
    let alice = bed.person("alice")?;
    let room = room_with(&alice, &agent)?;
    let first = alice.send_text(&room, "first")?;
    alice.wait_for_replies(&room, &first, 1, DEFAULT_TIMEOUT)?;
    alice.send_notice(&room, "a notice")?;
    let edit = json!({
        "msgtype": "m.text", "body": "* edited",
        "m.new_content": { "msgtype": "m.text", "body": "edited" },
        "m.relates_to": { "rel_type": "m.replace", "event_id": first },
    });
    alice.send(&room, &edit)?;
    let marked =
        json!({ "msgtype": "m.text", "body": "by a bot", "org.matrix.msc1767.automated": true });
    alice.send(&room, &marked)?;
    ask(&alice, &room, "last", &agent)?;
    let answers = alice.messages(&room)?.into_iter().filter(|message| message.sender == agent);
    let bodies: Vec<_> = answers.filter_map(|message| message.body).collect();
    assert_eq!(bodies, ["echo: first", "echo: last"]);
    Ok(())
}

fn two_agents(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let (one, two) = (place.agent(bed, "one")?, place.agent(bed, "two")?);
    let _launcher = place.start_ready(&["one", "two"])?;
    let alice = bed.person("alice")?;
    let room = alice.create_room(RoomOptions::encrypted().invite(&one).invite(&two))?;
    for agent in [&one, &two] {
        alice.wait_for_member(&room, agent, "join", DEFAULT_TIMEOUT)?;
    }
    for text in ["first", "second", "third"] {
        let question = alice.send_text(&room, text)?;
        alice.wait_for_replies(&room, &question, 2, DEFAULT_TIMEOUT)?;
    }
    // Each agent has answered the third question after it saw the other's earlier answers.
    let said = alice.messages(&room)?.into_iter().filter(|m| m.sender != alice.user_id());
    assert_eq!(said.count(), 6);
    Ok(())
}

fn burst(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let _launcher = place.start_ready(&["echo"])?;
    let alice = bed.person("alice")?;
    let room = room_with(&alice, &agent)?;
    let mut last = String::new();
    for number in 0..100 {
        last = alice.send_text(&room, &format!("number {number}"))?;
    }
    alice.wait_for_replies(&room, &last, 1, DEFAULT_TIMEOUT * 2)?;
    let answers = alice.messages(&room)?.into_iter().filter(|message| message.sender == agent);
    let bodies: Vec<_> = answers.filter_map(|message| message.body).collect();
    let expected: Vec<_> = (0..100).map(|number| format!("echo: number {number}")).collect();
    assert_eq!(bodies, expected);
    Ok(())
}
