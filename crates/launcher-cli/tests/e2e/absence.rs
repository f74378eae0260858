//! What was said while the launcher was away.

use std::{collections::BTreeMap, time::Duration};

use launcher_testbed::{DEFAULT_TIMEOUT, JsUser, RoomOptions};

use crate::{Cases, Outcome, bed::Bed, tapped::Tapped};

pub(crate) const CASES: Cases = &[
    ("absence::five_hundred_messages_of_ten_people_are_answered_once_and_in_order", many),
    ("absence::what_is_older_than_max_age_is_counted_and_not_answered", stale),
];

/// Messages per person.
const EACH: usize = 50;

fn many(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", "")?;
    let people: Vec<JsUser> = (0..10).map(|_| bed.person("guest")).collect::<Result<_, _>>()?;
    let launcher = stage.start_ready("echo")?;
    // Three rooms, in which every message has a session of its own.
    let mut rooms: Vec<(String, Vec<&JsUser>)> = Vec::new();
    for part in people.chunks(4) {
        let mut options = RoomOptions::encrypted().rotate_after(1).invite(&agent);
        for guest in &part[1..] {
            options = options.invite(guest.user_id());
        }
        let room = part[0].create_room(options)?;
        for guest in &part[1..] {
            guest.join(&room)?;
        }
        for member in part.iter().map(JsUser::user_id).chain([agent.as_str()]) {
            part[0].wait_for_member(&room, member, "join", DEFAULT_TIMEOUT)?;
        }
        rooms.push((room, part.iter().collect()));
    }
    assert!(launcher.stop()?.0.success());

    std::thread::scope(|scope| {
        let senders: Vec<_> = rooms
            .iter()
            .map(|(room, guests)| {
                scope.spawn(move || {
                    for number in 0..EACH {
                        for guest in guests {
                            guest.send_text(room, &format!("{number} of {}", guest.user_id()))?;
                        }
                    }
                    Ok::<(), launcher_testbed::TestbedError>(())
                })
            })
            .collect();
        senders.into_iter().try_for_each(|sender| match sender.join() {
            Ok(sent) => sent,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;

    let mut launcher = stage.start_ready("echo")?;
    let expected = EACH * people.len();
    launcher.wait_until_within(Duration::from_secs(600), "all are answered", |launcher| {
        Ok(launcher.agent_status("echo")?["answered"] == expected)
    })?;
    assert_eq!(launcher.agent_status("echo")?["undecryptable_pending"], 0);
    for (room, guests) in &rooms {
        let token = &guests[0].account().access_token;
        let events = bed.homeserver().room_events(token, room)?;
        let asked: Vec<&str> = events
            .iter()
            .filter(|event| {
                event["type"] == "m.room.encrypted" && event["sender"] != agent.as_str()
            })
            .filter_map(|event| event["event_id"].as_str())
            .collect();
        assert_eq!(asked.len(), EACH * guests.len());
        let answered: Vec<&str> = events
            .iter()
            .filter(|event| event["sender"] == agent.as_str())
            .filter_map(|event| {
                event["content"]["m.relates_to"]["m.in_reply_to"]["event_id"].as_str()
            })
            .collect();
        assert_eq!(answered, asked, "once each, in the order of the questions");
        // What the agent said can be read, and says what it should.
        let last = guests[0].wait_for_replies(room, asked[asked.len() - 1], 1, DEFAULT_TIMEOUT)?;
        let body = format!("echo: {} of {}", EACH - 1, guests[guests.len() - 1].user_id());
        assert_eq!(last[0].body.as_deref(), Some(body.as_str()));
    }
    assert!(launcher.stop()?.0.success());
    stage.check()
}

fn stale(bed: &Bed) -> Outcome {
    let stage = Tapped::new(bed)?;
    let more = "catch_up: { max_age: 5s }\n";
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", more)?;
    let alice = bed.person("alice")?;
    let launcher = stage.start_ready("echo")?;
    let room = alice.create_room(RoomOptions::encrypted().invite(&agent))?;
    alice.wait_for_member(&room, &agent, "join", DEFAULT_TIMEOUT)?;
    assert!(launcher.stop()?.0.success());
    let mut sent = BTreeMap::new();
    // More than one answer of the server has, so that there is a gap as well.
    for number in 0..110 {
        sent.insert(alice.send_text(&room, &format!("old {number}"))?, number);
    }
    let oldest_is_over = Duration::from_secs(6);
    std::thread::sleep(oldest_is_over);
    let fresh = stage.say(&alice, &room, "fresh")?;
    let mut launcher = stage.start_ready("echo")?;
    alice.wait_for_replies(&room, &fresh, 1, DEFAULT_TIMEOUT)?;
    let skipped = launcher.wait_for_event("stale_skipped", "echo")?;
    assert_eq!(skipped["count"], 110);
    assert_eq!(launcher.events("stale_skipped", "echo")?.len(), 1, "said once");
    stage.answered_once(bed.homeserver(), &alice, &room, &agent, &[fresh])?;
    let events = bed.homeserver().room_events(&alice.account().access_token, &room)?;
    let answers = events.iter().filter(|event| {
        let about = &event["content"]["m.relates_to"]["m.in_reply_to"]["event_id"];
        event["sender"] == agent.as_str() && about.as_str().is_some_and(|id| sent.contains_key(id))
    });
    assert_eq!(answers.count(), 0);
    stage.check()
}
