//! First contact: the first message in every kind of room.

use launcher_testbed::{DEFAULT_TIMEOUT, Encryption, JsUser, Message, RoomOptions};

use crate::{Cases, Outcome, bed::Bed, launcher::Place};

pub(crate) const CASES: Cases = &[
    ("rooms::the_first_message_in_an_encrypted_dm_is_answered", dm),
    ("rooms::the_first_message_in_an_encrypted_group_of_four_is_answered_and_read_by_all", group),
    ("rooms::encryption_turned_on_later_holds_from_the_first_message_after", later),
    ("rooms::an_invite_from_a_stranger_is_refused", stranger),
    ("rooms::a_room_that_everyone_else_has_left_is_left", empty),
    ("rooms::what_was_said_before_the_agent_joined_is_not_answered", history),
];

/// Says something and waits for the one readable answer of `agent`.
pub(crate) fn ask(
    user: &JsUser,
    room: &str,
    text: &str,
    agent: &str,
) -> Result<Message, Box<dyn std::error::Error>> {
    let question = user.send_text(room, text)?;
    let answers = user.wait_for_replies(room, &question, 1, DEFAULT_TIMEOUT)?;
    let answer = answers.into_iter().next().ok_or("no answer")?;
    assert_eq!(answer.sender, agent);
    assert_eq!(answer.body.as_deref(), Some(format!("echo: {text}").as_str()));
    Ok(answer)
}

/// Makes an encrypted room with the agent in it.
pub(crate) fn room_with(user: &JsUser, agent: &str) -> Result<String, Box<dyn std::error::Error>> {
    let room = user.create_room(RoomOptions::encrypted().invite(agent))?;
    user.wait_for_member(&room, agent, "join", DEFAULT_TIMEOUT)?;
    Ok(room)
}

fn dm(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let mut launcher = place.start()?;
    let ready = launcher.wait_for_event("agent_ready", "echo")?;
    let alice = bed.person("alice")?;
    let room = alice.create_room(RoomOptions::encrypted().invite(&agent).direct())?;
    alice.wait_for_member(&room, &agent, "join", DEFAULT_TIMEOUT)?;
    let answer = ask(&alice, &room, "hello", &agent)?;
    assert!(answer.encrypted);
    let status = launcher.agent_status("echo")?;
    assert_eq!(status["state"], "running");
    assert_eq!(status["device_id"], ready["device_id"]);
    assert_eq!(status["cross_signed"], true);
    assert!(status["backup_version"].is_string(), "{status}");
    assert_eq!((&status["received"], &status["answered"]), (&1.into(), &1.into()));
    let devices = alice.user_devices(&agent)?;
    assert_eq!(devices.len(), 1);
    assert_eq!(status["ed25519"], devices[0].ed25519.clone().unwrap_or_default());
    let (ended, _) = launcher.stop()?;
    assert!(ended.success());
    Ok(())
}

fn group(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let _launcher = place.start_ready(&["echo"])?;
    let (alice, bob, carol) = (bed.person("alice")?, bed.person("bob")?, bed.person("carol")?);
    let invited = RoomOptions::encrypted().invite(bob.user_id()).invite(carol.user_id());
    let room = alice.create_room(invited.invite(&agent))?;
    for person in [&bob, &carol] {
        person.join(&room)?;
        alice.wait_for_member(&room, person.user_id(), "join", DEFAULT_TIMEOUT)?;
    }
    alice.wait_for_member(&room, &agent, "join", DEFAULT_TIMEOUT)?;
    let question = alice.send_text(&room, "who is there?")?;
    for person in [&alice, &bob, &carol] {
        let answers = person.wait_for_replies(&room, &question, 1, DEFAULT_TIMEOUT)?;
        assert!(answers[0].encrypted);
        assert_eq!(answers[0].body.as_deref(), Some("echo: who is there?"));
    }
    ask(&bob, &room, "and now bob", &agent)?;
    Ok(())
}

fn later(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let _launcher = place.start_ready(&["echo"])?;
    let alice = bed.person("alice")?;
    let room = alice.create_room(RoomOptions::plain().invite(&agent))?;
    alice.wait_for_member(&room, &agent, "join", DEFAULT_TIMEOUT)?;
    assert!(!ask(&alice, &room, "in the clear", &agent)?.encrypted);
    alice.enable_encryption(&room, &Encryption::default())?;
    assert!(ask(&alice, &room, "and now encrypted", &agent)?.encrypted);
    Ok(())
}

fn stranger(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let friend = bed.person("friend")?;
    let account = bed.account("picky")?;
    let more = format!("invites: {{ from: [\"{}\"] }}\n", friend.user_id());
    let secret = format!("access_token: \"{}\"", account.access_token);
    place.agent_for("picky", &account.user_id, &secret, &more)?;
    let mut launcher = place.start_ready(&["picky"])?;
    let stranger = bed.person("stranger")?;
    let theirs = stranger.create_room(RoomOptions::encrypted().invite(&account.user_id))?;
    let refused = launcher.wait_for_event("invite_refused", "picky")?;
    assert_eq!(refused["room"], theirs);
    assert_eq!(refused["inviter"], stranger.user_id());
    let room = room_with(&friend, &account.user_id)?;
    ask(&friend, &room, "hello friend", &account.user_id)?;
    let joined = format!("/_matrix/client/v3/rooms/{theirs}/joined_members");
    let token = Some(stranger.account().access_token.as_str());
    let (_, members) = bed.homeserver().request("GET", &joined, token, None)?;
    assert!(members["joined"][&account.user_id].is_null(), "{members}");
    Ok(())
}

fn empty(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let account = bed.account("alone")?;
    let secret = format!("access_token: \"{}\"", account.access_token);
    place.agent_for("alone", &account.user_id, &secret, "")?;
    let mut launcher = place.start_ready(&["alone"])?;
    let alice = bed.person("alice")?;
    let kept = room_with(&alice, &account.user_id)?;
    let room = room_with(&alice, &account.user_id)?;
    ask(&alice, &room, "goodbye", &account.user_id)?;
    alice.leave(&room)?;
    let left = |lines: Vec<serde_json::Value>| {
        lines.into_iter().any(|line| {
            line["room"] == room.as_str()
                && line["message"].as_str().is_some_and(|text| text.starts_with("left"))
        })
    };
    launcher.wait_until("the room is left", |running| Ok(left(running.lines()?)))?;
    let token = Some(account.access_token.as_str());
    let (_, rooms) =
        bed.homeserver().request("GET", "/_matrix/client/v3/joined_rooms", token, None)?;
    assert_eq!(rooms["joined_rooms"], serde_json::json!([kept]));
    Ok(())
}

fn history(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let _launcher = place.start_ready(&["echo"])?;
    let alice = bed.person("alice")?;
    let room = alice.create_room(RoomOptions::encrypted())?;
    let early = alice.send_text(&room, "before you came")?;
    let plain = alice.create_room(RoomOptions::plain())?;
    let early_plain = alice.send_text(&plain, "before you came")?;
    for (room, early) in [(&room, early), (&plain, early_plain)] {
        alice.invite(room, &agent)?;
        alice.wait_for_member(room, &agent, "join", DEFAULT_TIMEOUT)?;
        ask(&alice, room, "now you are here", &agent)?;
        let to_early = alice.messages(room)?.into_iter().filter(|m| m.reply_to() == Some(&early));
        assert_eq!(to_early.count(), 0);
    }
    Ok(())
}
